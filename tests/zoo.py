"""Whole networks that together use every op: from .tflite (built by hand), ONNX and torch; a table.

A network is a function that gives a float graph, an int8 graph, or the bytes of an .onnx file. ``write``
turns it into the files that a user would have: a model, and inputs to calibrate it with where it is float.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import float_nets
import memory_nets
import onnx_nets
import zoo_torch
from detector import Detector
from float_nets import Floats, layer_norm
from tinyfoundry.builder import Builder
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.jobs.calibration import to_quantised
from tinyfoundry.jobs.importing import load_model
from tinyfoundry.op import value_limits
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._samples import same
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.ops.indexing import Gather, StridedSlice
from tinyfoundry.ops.pool import AveragePool2D
from tinyfoundry.ops.reduce import Mean, ReduceMax, Sum
from tinyfoundry.ops.resize import Resize
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape, Transpose
from tinyfoundry.ops.take import Take
from tinyfoundry.passes.calibrate import Watch, calibrate
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.pipeline import Options, simplify

CALIBRATION = 20


class Files(NamedTuple):
    """A model's file; the inputs to calibrate it with, None for one that is int8; what faces to compile it
    with: float where the file's are and those within are int8.
    """

    model: Path
    calibration: Path | None
    io: str


def write(name: str, folder: Path) -> Files:
    """The files of network ``name`` in ``folder``."""
    data = _model(name)
    model = folder / f"{name}.{'tflite' if data[4:8] == b'TFL3' else 'onnx'}"
    model.write_bytes(data)
    graph = load_model(model)
    if _is_int8(graph):
        return Files(model, None, "float" if graph.types[graph.inputs[0]].dtype == DType.FLOAT32 else "int8")
    (shape,) = (graph.types[face].shape for face in graph.inputs)
    calibration = folder / f"{name}.npy"
    np.save(
        calibration, np.random.default_rng(4).standard_normal((CALIBRATION, *shape[1:])).astype(np.float32)
    )
    return Files(model, calibration, "int8")


def graph_of(files: Files) -> Graph:
    """The int8 network that is compiled from the files, after all passes."""
    graph = load_model(files.model)
    calibration = None if files.calibration is None else str(files.calibration)
    graph, _ = to_quantised(graph, calibration, float_faces=False, seed=0, progress=lambda *_: None)
    return simplify(graph, Options(float_faces=files.io == "float"))


@cache
def _model(name: str) -> bytes:
    made = NETS[name]()
    if isinstance(made, bytes):
        return made
    return export(made if _is_int8(made) else _int8(made))


def _is_int8(graph: Graph) -> bool:
    return DType.INT8 in {type_.dtype for type_ in graph.types.values()}


def _int8(graph: Graph) -> Graph:
    rng = np.random.default_rng(4)
    sets = [[_drawn(graph, name, rng) for name in graph.inputs] for _ in range(CALIBRATION)]

    def run(graph: Graph, indices: Array, watch: Watch) -> None:
        for index in indices:
            interpret(graph, sets[index], watch)

    return quantise(graph, calibrate(graph, np.arange(CALIBRATION), run))


def _drawn(graph: Graph, name: str, rng: np.random.Generator) -> Array:
    type_ = graph.types[name]
    if type_.dtype == DType.FLOAT32:
        return rng.standard_normal(type_.shape).astype(np.float32)
    return rng.integers(*value_limits(graph, name), type_.shape, endpoint=True).astype(type_.dtype.value)


def resnet_qdq() -> bytes:
    """A residual network that onnxruntime quantised; its faces are float."""
    with tempfile.TemporaryDirectory() as folder:
        return onnx_nets.quantised(onnx_nets.resnet(), Path(folder), (1, 3, 16, 16))


def mcunet() -> Graph:
    """MCUNet's blocks (Lin et al., 2020) of 3, 5 and 7 wide depthwise kernels, with squeeze and excite."""
    net = Floats("mcunet", (1, 20, 20, 3))
    b = net.b
    x = b.apply("pad", (net.x,), Pad((0, 1, 1, 0), (0, 1, 1, 0)), name="padded")
    w, bias = net.constant("stem_w", 8, 3, 3, 3), net.constant("stem_b", 8)
    x = b.apply("conv2d", (x, w, bias), Conv2D(Window((2, 2)), Activation.RELU6), name="stem")
    for name, units, size, stride in (("a", 8, 3, 1), ("b", 12, 7, 2), ("c", 12, 5, 1)):
        y = _inverted(net, x, units, size, stride, name)
        x = b.apply("add", (x, y), name=f"{name}_sum") if b.type_of(x) == b.type_of(y) else y
    return net.finish(x)


def _inverted(net: Floats, x: str, units: int, size: int, stride: int, name: str) -> str:
    _, height, width, channels = net.b.type_of(x).shape
    wide = 3 * channels
    x = net.conv(x, wide, 1, f"{name}_wide", Activation.RELU6)
    w = net.constant(f"{name}_depth_w", 1, size, size, wide, spread=1 / size)
    window = same((height, width), (size, size), (stride, stride))
    attrs = DepthwiseConv2D(window, Activation.RELU6)
    x = net.b.apply("depthwise_conv2d", (x, w, net.constant(f"{name}_depth_b", wide)), attrs)
    y = net.b.apply("mean", (x,), Mean((1, 2), keep_dims=True))
    y = net.conv(net.conv(y, 4, 1, f"{name}_down", Activation.RELU), wide, 1, f"{name}_up")
    x = net.b.apply("mul", (x, net.b.apply("logistic", (y,))))
    return net.conv(x, units, 1, f"{name}_narrow")


def preactivated() -> Graph:
    """A residual network that clamps what enters its layers, not its sums (He et al., 2016)."""
    net = Floats("preactivated")
    x = net.conv(net.x, 8, 3, "stem")
    for number in range(3):
        y = net.conv(net.b.apply("relu", (x,)), 8, 3, f"a{number}", Activation.RELU, spread=0.2)
        x = net.b.apply("add", (x, net.conv(y, 8, 3, f"b{number}", spread=0.2)))
    return net.finish(x)


def layer_norm_mlp() -> Graph:
    """Dense layers, each with a layer normalisation behind it and a residual around it."""
    net = Floats("layer_norm_mlp", (1, 24))
    x = net.x
    for number in range(3):
        w, bias = net.constant("w", 24, 24, spread=0.2), net.constant("bias", 24)
        y = layer_norm(net, net.b.apply("dense", (x, w, bias), Dense(Activation.RELU), name=f"dense{number}"))
        x = net.b.apply("add", (x, y), Add(), name=f"sum{number}")
    return net.b.finish(net.b.apply("tanh", (x,), name="bounded"))


def sensor_fusion() -> Graph:
    """Two motion sensors and four numbers beside them; what each shows, and where they disagree."""
    net = Floats("sensor_fusion", (1, 32, 3))
    b, acc = net.b, net.x
    gyro = b.input("gyro", Type((1, 32, 3), DType.FLOAT32))
    context = b.input("context", Type((1, 4), DType.FLOAT32))
    high, low = b.apply("maximum", (acc, gyro)), b.apply("minimum", (acc, gyro))
    apart = b.apply("abs", (b.apply("sub", (high, low)),))
    peak = b.apply("reduce_max", (apart,), ReduceMax((1,)))
    power = b.apply("sum", (b.apply("squared_difference", (acc, gyro)),), Sum((1,)))
    strength = b.apply("sqrt", (power,))
    negative = b.constant("negative", np.array(-0.1, np.float32))
    calm = b.apply("exp", (b.apply("mul", (strength, negative)),))
    newest = b.apply("strided_slice", (acc,), StridedSlice((0, 31, 0), (1, 8, 3), (1, -1, 1)))
    newest = b.apply("gather", (newest,), Gather(2, (2, 0)))
    newest = b.apply("reshape", (newest,), Reshape((1, 1, 8, 2)))
    newest = b.apply("average_pool2d", (newest,), AveragePool2D((1, 4), Window((1, 4))))
    newest = b.apply("reshape", (newest,), Reshape((1, 4)))
    x = b.apply("concatenation", (peak, strength, calm, newest, context), Concatenation(1))
    w, bias = net.constant("w", 5, 17, spread=0.2), net.constant("bias", 5)
    logits = b.apply("dense", (x, w, bias), name="logits")
    return b.finish(b.apply("softmax", (logits,), name="states"), calm)


def super_resolution() -> Graph:
    """Twice the size: depth to space beside a bilinear resize (Shi et al., 2016)."""
    net = Floats("super_resolution", (1, 10, 12, 2))
    b = net.b
    x = net.conv(net.x, 12, 5, "features")
    x = b.apply("prelu", (x, net.constant("slopes", 12, mean=0.2, spread=0.1)), name="bent")
    x = net.conv(x, 8, 3, "details")
    x = b.apply("reshape", (x,), Reshape((10, 12, 2, 4)), name="apart")
    x = b.apply("transpose", (x,), Transpose((0, 2, 1, 3)), name="swapped")
    x = b.apply("reshape", (x,), Reshape((1, 20, 24, 2)), name="finer")
    large = b.apply("resize_bilinear", (net.x,), Resize((20, 24), half_pixel_centers=True), name="large")
    return b.finish(b.apply("add", (x, large), name="picture"))


def words() -> Graph:
    """A sentence's class: the mean of its words' embeddings, and two dense layers."""
    rng, b = np.random.default_rng(3), Builder("words")
    sentence = b.input("sentence", Type((1, 12), DType.INT32))
    table, *weights = (
        b.constant("w", rng.standard_normal(shape).astype(np.float32))
        for shape in ((40, 8), (10, 8), (4, 10))
    )
    x = b.apply("mean", (b.apply("take", (table, sentence), Take(), name="vectors"),), Mean((1,)))
    for w, kind in zip(weights, (Activation.RELU, Activation.NONE), strict=True):
        bias = b.constant("b", rng.standard_normal(b.type_of(w).shape[0]).astype(np.float32))
        x = b.apply("dense", (x, w, bias), Dense(kind))
    return b.finish(b.apply("softmax", (x,), name="topics"))


NETS: dict[str, Callable[[], Graph | bytes]] = {
    "mobilenet_v1": onnx_nets.mobilenet,
    "mobilenet_v2": zoo_torch.mobilenet_v2,
    "mobilenet_v3": zoo_torch.mobilenet_v3,
    "resnet": onnx_nets.resnet,
    "resnet_qdq": resnet_qdq,
    "preactivated": preactivated,
    "mcunet": mcunet,
    "ds_cnn": onnx_nets.ds_cnn,
    "temporal": zoo_torch.temporal,
    "autoencoder": onnx_nets.autoencoder,
    "detector": lambda: Detector().graph(),
    "layer_norm_mlp": layer_norm_mlp,
    "gated_mlp": zoo_torch.gated_mlp,
    "sensor_fusion": sensor_fusion,
    "super_resolution": super_resolution,
    "decoder": zoo_torch.decoder,
    "words": words,
    "lstm": lambda: memory_nets.lstm_net(1, steps=6, features=8, units=9),
    "keyword_svdf": lambda: memory_nets.svdf_net(2),
    **float_nets.NETS,  # transformer, U-Net, squeeze and excite, layer normalisation
}
"""Name -> network."""
