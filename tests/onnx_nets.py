"""Networks in ONNX's format for tests, built by ``onnx.helper`` or exported by torch; onnxruntime judges.

Weights are random, scaled so that activations stay of the order of one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinyfoundry.importers.onnx import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Graph

Array = np.ndarray
OPSET = 17
IMAGE = (1, 6, 9, 8)


class Net:
    """Collects nodes over named tensors; each method returns the name of what it adds."""

    def __init__(self, shape: Sequence[int | str], seed: int = 0, opset: int = OPSET) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))]
        self.last = "x"

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """A node on ``inputs``, or on what was added last."""
        names = [f"{op.lower()}{len(self.nodes)}{'abc'[i]}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs or (self.last,)), names, **attributes))
        self.last = names[0]
        return self.last

    def random(self, *shape: int, fan_in: int = 1) -> str:
        return self.constant(self.rng.standard_normal(shape) / np.sqrt(fan_in))

    def conv(
        self, out: int, into: int, kernel: int, stride: int = 1, group: int = 1, bias: bool = True
    ) -> str:
        fan_in = into // group * kernel**2
        w = self.random(out, into // group, kernel, kernel, fan_in=fan_in)
        inputs = [self.last, w, *([self.random(out, fan_in=9)] if bias else [])]
        half = kernel // 2
        return self.add("Conv", *inputs, strides=[stride] * 2, pads=[half] * 4, group=group)

    def batch_norm(self, channels: int) -> str:
        scale, variance = (self.constant(self.rng.uniform(0.5, 2, channels)) for _ in range(2))
        shift, mean = self.random(channels), self.random(channels)
        return self.add("BatchNormalization", self.last, scale, shift, mean, variance, epsilon=1e-3)

    def relu6(self) -> str:
        return self.add("Clip", self.last, self.constant(0.0), self.constant(6.0))

    def gemm(self, out: int, into: int) -> str:
        w, b = self.random(out, into, fan_in=into), self.random(out)
        return self.add("Gemm", self.last, w, b, transB=1)

    def proto(self, *outputs: str, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
        """The model with these outputs, or with what was added last."""
        faces = [helper.make_tensor_value_info(name, dtype, None) for name in outputs or (self.last,)]
        graph = helper.make_graph(self.nodes, "net", self.inputs, faces, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def bytes(self, *outputs: str) -> bytes:
        return bytes(self.proto(*outputs).SerializeToString())


def mobilenet(seed: int = 0) -> bytes:
    """MobileNetV1: depthwise and pointwise convolutions, each with BatchNormalization and ReLU6."""
    net = Net(("batch", 3, 24, 24), seed)
    net.conv(8, 3, 3, 2, bias=False), net.batch_norm(8), net.relu6()
    for into, out, stride in ((8, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2)):
        net.conv(into, into, 3, stride, group=into, bias=False), net.batch_norm(into), net.relu6()
        net.conv(out, into, 1, bias=False), net.batch_norm(out), net.relu6()
    net.add("GlobalAveragePool"), net.add("Flatten"), net.gemm(10, 32), net.add("Softmax")
    return net.bytes()


def resnet(seed: int = 0) -> bytes:
    """Residual blocks, one with a convolution on its shortcut; features flattened while they have a size."""
    net = Net((1, 3, 16, 16), seed)
    x = (net.conv(8, 3, 3), net.batch_norm(8), net.add("Relu"))[-1]
    for into, out, stride in ((8, 8, 1), (8, 16, 2), (16, 16, 1)):
        net.last = x
        net.conv(out, into, 3, stride), net.batch_norm(out), net.add("Relu")
        y = (net.conv(out, out, 3), net.batch_norm(out))[-1]
        if stride > 1:
            net.last = x
            x = net.conv(out, into, 1, stride)
        net.add("Add", y, x)
        x = net.add("Relu")
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), net.add("Flatten"), net.gemm(10, 256)
    return net.bytes()


def ds_cnn(seed: int = 0) -> bytes:
    """Keyword spotting: a 10x4 convolution with uneven padding, depthwise blocks, pooling, squeeze."""
    net = Net((1, 1, 49, 10), seed)
    w = net.random(16, 1, 10, 4, fan_in=40)
    net.add("Conv", net.last, w, auto_pad="SAME_UPPER", strides=[2, 2]), net.batch_norm(16), net.add("Relu")
    net.add("Dropout")
    for _ in range(2):
        net.conv(16, 16, 3, group=16, bias=False), net.batch_norm(16), net.add("Relu")
        net.conv(16, 16, 1, bias=False), net.batch_norm(16), net.add("Relu")
    net.add("AveragePool", kernel_shape=[25, 5])
    net.add("Squeeze", net.last, net.constant([2, 3], np.int64))
    net.add("MatMul", net.last, net.random(16, 12, fan_in=16)), net.add("Add", net.last, net.random(12))
    net.add("Softmax")
    return net.bytes()


def autoencoder(seed: int = 0) -> bytes:
    """Dense layers with BatchNormalization behind them."""
    net, sizes = Net((1, 64), seed), (64, 24, 24, 6, 24, 64)
    for into, out in pairwise(sizes):
        net.gemm(out, into)
        if out != 64:
            net.batch_norm(out), net.add("Relu")
    return net.bytes()


def movers(seed: int = 0) -> bytes:
    """Operators that pick, repeat, resize, reduce and normalise, one after the other; no network of use."""
    net = Net((1, 6, 8, 8), seed, opset=18)

    def ints(*values: int) -> str:
        return net.constant(values, np.int64)

    net.conv(8, 6, 3, group=2), net.add("Slice", net.last, ints(7), ints(-9), ints(2), ints(-1))
    net.add("Split", net.last, ints(4, 4), outputs=2, axis=1)
    net.add("Gather", net.nodes[-1].output[1], ints(0, 3, 1, -1), axis=1)
    net.add("DepthToSpace", blocksize=2, mode="CRD"), net.add("SpaceToDepth", blocksize=2)
    net.add("Resize", net.last, "", net.constant([1.0, 1.0, 2.0, 0.5]), mode="linear")
    net.add("Resize", net.last, "", "", ints(1, 4, 5, 6), nearest_mode="ceil")
    net.add("Pad", net.last, ints(0, 0, 1, 2, 0, 0, 1, 0), mode="reflect")
    net.add("GroupNormalization", net.last, net.random(2), net.random(2), num_groups=2)
    net.add("InstanceNormalization", net.last, net.random(4), net.random(4))
    net.add("Reshape", net.last, ints(1, 2, 2, 7, 8)), net.add("Transpose", perm=[0, 2, 1, 4, 3])
    net.add("Reshape", net.last, ints(1, 4, 8, 7)), net.add("Softplus")
    net.add("Clip", net.last, net.constant(0.1)), net.add("Pow", net.last, net.constant(3.0))
    net.add("LayerNormalization", net.last, net.random(7), axis=-1)
    net.add("ReduceL2", net.last, ints(1), keepdims=1), net.add("Tile", net.last, ints(1, 2, 1, 1))
    net.add("Expand", net.last, ints(1, 2, 8, 7)), net.add("Div", net.constant(1.0), net.last)
    net.add("MatMul", net.random(2, 3, 8), net.last), net.add("ArgMax", axis=1)
    return net.bytes()


NETS = {"mobilenet": mobilenet, "resnet": resnet, "ds_cnn": ds_cnn, "autoencoder": autoencoder}


def from_torch(module: Any, example: Any, folder: Path, dynamo: bool, **options: Any) -> bytes:
    """A torch module as its exporter writes it, all in one file."""
    import torch

    path = folder / "module.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extra = {"external_data": False, "verbose": False} if dynamo else {}
        torch.onnx.export(module.eval(), (example,), str(path), dynamo=dynamo, **extra, **options)
    return path.read_bytes()


def quantised(model: bytes, folder: Path, shape: Sequence[int], **options: Any) -> bytes:
    """onnxruntime's static QDQ quantisation of a float model, by default to int8 with a scale a channel."""
    import onnxruntime.quantization as q

    class Reader(q.CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(5)
            self.left = [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(16)]

        def get_next(self) -> dict[str, Array] | None:
            return self.left.pop() if self.left else None

    source, prepared, target = (folder / f"{name}.onnx" for name in ("float", "prepared", "int8"))
    source.write_bytes(model)
    settings = {
        "quant_format": q.QuantFormat.QDQ, "per_channel": True,
        "activation_type": q.QuantType.QInt8, "weight_type": q.QuantType.QInt8,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        q.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        q.quantize_static(str(prepared), str(target), Reader(), **(settings | options))
    return target.read_bytes()


def judge(model: bytes, optimise: bool = True) -> Any:
    """A function from inputs to onnxruntime's outputs. optimise: fuse QDQ pairs into integer operators."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [face.name for face in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def channels_last(value: Array) -> Array:
    """What ONNX has as N C H W (or N C L) as the graph has it."""
    axes = (0, *range(2, value.ndim), 1) if value.ndim in (3, 4) else range(value.ndim)
    return np.ascontiguousarray(value.transpose(*axes))


def imported(
    net: Net, *outputs: str, shape: tuple[int, ...] = IMAGE, turned: str = "inputs, outputs"
) -> Graph:
    """The graph of a net, which means the same as it."""
    model = net.bytes(*outputs)
    graph = load(model)
    assert_means_the_same(graph, model, [shape], turned)
    return graph


def assert_means_the_same(
    graph: Graph, model: bytes, shapes: Sequence[Sequence[int]], turned: str = "inputs and outputs"
) -> None:
    """``interpret`` gives what onnxruntime gives, within 1e-4 of the largest output.

    turned: which of the graph's images have their channels last.
    """
    rng, run = np.random.default_rng(1), judge(model)
    turn_in, turn_out = (channels_last if word in turned else np.asarray for word in ("inputs", "outputs"))
    for _ in range(3):
        inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        for got, want in zip(interpret(graph, [turn_in(x) for x in inputs]), run(inputs), strict=True):
            assert got.shape == turn_out(want).shape
            np.testing.assert_allclose(got, turn_out(want), rtol=0, atol=1e-4 * max(1.0, np.abs(want).max()))
