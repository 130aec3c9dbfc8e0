"""Float .onnx models mean to us what they mean to onnxruntime, and no transpose is left of N C H W."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnx_nets import NETS, Net, assert_means_the_same, from_torch, imported, judge
from tinyfoundry.errors import ModelError
from tinyfoundry.importers.onnx import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Graph

SHAPES = {
    "mobilenet": (1, 3, 24, 24), "resnet": (1, 3, 16, 16), "ds_cnn": (1, 1, 49, 10), "autoencoder": (1, 64),
}  # fmt: skip
IMAGE = (1, 6, 9, 8)


def count(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NETS)
def test_networks_mean_what_they_mean_to_onnxruntime(name: str, seed: int) -> None:
    model = NETS[name](seed)
    graph = load(model)
    assert_means_the_same(graph, model, [SHAPES[name]])
    found = count(graph)
    assert not found["transpose"]
    assert graph.types[graph.inputs[0]].shape == (1, *SHAPES[name][2:], *SHAPES[name][1:2])
    # BatchNormalization has gone into the layer before it.
    wanted = {"mobilenet": 4, "resnet": 0, "ds_cnn": 2, "autoencoder": 0}
    assert found["depthwise_conv2d"] == wanted[name]


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("kind", ["mobile", "residual", "series"])
def test_torch_exports(kind: str, dynamo: bool, tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.head = nn.Linear(4 * 5 * 4, 3)

        def forward(self, x: Any) -> Any:
            x = torch.relu(x + self.b(self.a(x)))
            x = nn.functional.max_pool2d(x, 2, ceil_mode=True)
            return torch.softmax(self.head(x.view(x.shape[0], -1)), dim=-1)

    torch.manual_seed(0)
    mobile = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardtanh(-1, 1), nn.Conv2d(8, 12, 1),
        nn.AvgPool2d(3, 2, 1), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip
    series = nn.Sequential(
        nn.Conv1d(3, 6, 5, 2, 2), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 6, 3, dilation=2, groups=6),
        nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6 * 3, 7), nn.BatchNorm1d(7),
    )  # fmt: skip
    nets = {"mobile": mobile, "residual": Residual(), "series": series}
    shapes = {"mobile": (1, 3, 13, 12), "residual": (1, 4, 10, 7), "series": (1, 3, 22)}
    module, shape = nets[kind], shapes[kind]
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.uniform_(-1, 1), layer.running_var.uniform_(0.5, 2)
    model = from_torch(module, torch.zeros(shape), tmp_path, dynamo)
    graph = load(model)
    assert_means_the_same(graph, model, [shape])
    assert not count(graph)["transpose"]


@pytest.mark.parametrize("batch", ["batch", "", 0, -1])
def test_an_open_batch_size_becomes_one(batch: str | int) -> None:
    net = Net((batch, 3, 6, 6))
    net.conv(4, 3, 3), net.add("GlobalAveragePool"), net.add("Flatten")
    graph = load(net.bytes())
    assert graph.types[graph.inputs[0]].shape == (1, 6, 6, 3)
    assert graph.types[graph.outputs[0]].shape == (1, 4)


def test_torch_export_with_a_dynamic_batch(tmp_path: Path) -> None:
    """The shape of what is flattened is then computed in the graph; with a batch of one it is known."""
    import torch
    from torch import nn

    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 3), nn.Linear(3 * 4 * 3, 5)

        def forward(self, x: Any) -> Any:
            x = self.a(x)
            return self.b(x.view(x.size(0), -1))

    axes = {"x": {0: "batch"}}
    model = from_torch(
        Viewed(), torch.zeros(2, 2, 6, 5), tmp_path, dynamo=False, input_names=["x"], dynamic_axes=axes
    )
    graph = load(model)
    assert "Shape" in {node.op_type for node in onnx.load_from_string(model).graph.node}
    assert_means_the_same(graph, model, [(1, 2, 6, 5)])
    assert count(graph) == {"conv2d": 1, "reshape": 1, "dense": 1}


def test_batch_normalization_is_folded_in_float64() -> None:
    """Weights are the float32 nearest to the true product, not a product of rounded factors."""
    net = Net(IMAGE)
    net.conv(5, 6, 3), net.batch_norm(5)
    arrays = [onnx.numpy_helper.to_array(tensor).astype(np.float64) for tensor in net.weights]
    w, b, scale, variance, shift, mean = arrays
    factor = scale / np.sqrt(variance + np.float64(np.float32(1e-3)))
    graph = imported(net)
    (node,) = graph.nodes
    want = (w * factor[:, None, None, None]).astype(np.float32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(graph.constants[node.inputs[1]], want)
    np.testing.assert_array_equal(
        graph.constants[node.inputs[2]], (b * factor + (shift - mean * factor)).astype(np.float32)
    )


def test_batch_normalization_that_no_layer_can_take_up() -> None:
    net = Net(IMAGE)
    x = net.batch_norm(6)
    y = net.conv(6, 6, 3)
    z = net.batch_norm(6)
    net.add("Add", y, net.add("Add", x, z))
    assert count(imported(net)) == {"depthwise_conv2d": 2, "conv2d": 1, "add": 2}


WINDOWS = {
    "max, ceil": ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1}),
    "max, pads": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2]}),
    "max, same": ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "average, pads": ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "average, counted": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 2, 0, 1], "count_include_pad": 1},
    ),
    "average, ceil": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "average, same": ("AveragePool", {"kernel_shape": [3, 4], "auto_pad": "SAME_UPPER"}),
    "average, valid": ("AveragePool", {"kernel_shape": [3, 4], "auto_pad": "VALID"}),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_pools(case: str) -> None:
    op, attributes = WINDOWS[case]
    net = Net(IMAGE)
    net.add(op, **attributes)
    found = count(imported(net))
    assert found["pad"] == (case == "average, counted")


CONVOLUTIONS = {
    "strides": (7, 6, (3, 2), {"strides": [2, 1]}),
    "dilations": (4, 6, (2, 3), {"dilations": [3, 2], "pads": [2, 0, 1, 4]}),
    "three groups": (9, 2, (3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    "two filters a channel": (12, 1, (3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "same": (3, 6, (4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "padding past the kernel": (3, 6, (1, 1), {"pads": [1, 2, 0, 1]}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case: str) -> None:
    out, into, kernel, attributes = CONVOLUTIONS[case]
    net = Net(IMAGE)
    net.add("Conv", net.last, net.random(out, into, *kernel, fan_in=20), **attributes)
    graph = imported(net)
    assert not count(graph)["transpose"]
    assert count(graph)["depthwise_conv2d"] == (attributes.get("group") == 6)


def ints(net: Net, *values: int) -> str:
    return net.constant(values, np.int64)


def flattened_with_sizes(net: Net) -> None:
    net.conv(4, 6, 3), net.add("Flatten"), net.add("Relu"), net.add("Add", net.last, net.random(288))
    net.add("Gemm", net.last, net.random(288, 5, fan_in=300), net.constant(0.5), alpha=0.5, beta=3.0)


def flattened_and_back(net: Net) -> None:
    net.conv(4, 6, 3), net.add("Reshape", net.last, ints(net, 0, -1)), net.add("Relu")
    net.add("Reshape", net.last, ints(net, 1, 4, 9, 8)), net.conv(3, 4, 1)


def channels_last_inside(net: Net) -> None:
    net.conv(5, 6, 1), net.add("Transpose", perm=[0, 2, 3, 1])
    net.add("MatMul", net.last, net.random(5, 7)), net.add("Softmax", axis=-1)
    net.add("Transpose", perm=[0, 3, 1, 2]), net.conv(4, 7, 3)


def softmax_over_channels(net: Net) -> None:
    net.conv(5, 6, 1), net.add("Softmax", axis=1)


def mean_of_rows(net: Net) -> None:
    net.add("ReduceMean", axes=[-1], keepdims=0), net.add("Relu")


def mean_to_vector(net: Net) -> None:
    net.conv(5, 6, 3), net.add("ReduceMean", axes=[2, 3], keepdims=0), net.gemm(4, 5)


def mean_of_channels(net: Net) -> None:
    net.conv(5, 6, 3), net.add("ReduceMean", axes=[1], keepdims=1), net.conv(3, 1, 3)


def padded(net: Net) -> None:
    net.add("Pad", net.last, ints(net, 0, 1, 2, 0, 0, 0, 1, 3)), net.conv(4, 7, 3)


def joined(net: Net) -> None:
    net.add("Concat", "x", net.conv(3, 6, 3), axis=1), net.conv(2, 9, 1)


def broadcast(net: Net) -> None:
    net.conv(5, 6, 3), net.add("Add", net.random(5, 1, 1), net.last), net.add("Add", net.last, net.random(8))


def added_to_every_pixel(net: Net) -> None:
    y = net.conv(6, 6, 3)
    net.add("GlobalAveragePool"), net.conv(6, 6, 1), net.add("Add", y, net.last)


def unsqueezed(net: Net) -> None:
    net.add("GlobalAveragePool"), net.add("Squeeze", net.last, ints(net, 2, 3))
    net.add("Unsqueeze", net.last, ints(net, -1)), net.add("Flatten", axis=0)


def clipped(net: Net) -> None:
    net.add("Clip", net.last, net.constant(0.0)), net.add("Clip"), net.add("Identity"), net.add("Relu")


def shuffled(net: Net) -> None:
    net.add("Reshape", net.last, ints(net, 1, 2, 3, 9, 8)), net.add("Transpose", perm=[0, 2, 1, 3, 4])
    net.add("Reshape", net.last, ints(net, 1, 6, 9, 8)), net.conv(4, 6, 1)


def constant_nodes(net: Net) -> None:
    w = np.random.default_rng(2).standard_normal((4, 5)).astype(np.float32)
    net.conv(5, 6, 3), net.add("GlobalAveragePool"), net.add("Flatten")
    h, t = net.last, net.add("Constant", value=onnx.numpy_helper.from_array(w))
    del net.nodes[-1].input[:]
    net.add("Gemm", h, net.add("Transpose", t, perm=[1, 0]))


def squeezed_and_excited(net: Net) -> None:
    y = net.conv(6, 6, 3)
    net.add("GlobalAveragePool"), net.conv(3, 6, 1), net.add("Relu"), net.conv(6, 3, 1)
    net.add("Mul", y, net.add("Sigmoid"))


def functions(net: Net) -> None:
    net.conv(5, 6, 3)
    for op in ("Tanh", "Abs", "Sqrt", "Exp"):
        net.add(op)
    net.add("LeakyRelu", alpha=0.2), net.add("Pow", net.last, net.constant(2.0)), net.conv(4, 5, 1)


def pairs(net: Net) -> None:
    y = net.conv(5, 6, 3)
    (
        net.add("Sub", net.random(5, 1, 1), y),
        net.add("Max", net.last, y),
        net.add("Min", net.last, net.constant(1.5)),
    )
    net.add("Div", net.last, net.constant(3.0)), net.add("PRelu", net.last, net.random(5, 1, 1))
    net.add("Pow", net.last, net.constant(1.0)), net.conv(4, 5, 1)


NO_TRANSPOSES = [
    flattened_with_sizes, flattened_and_back, channels_last_inside, softmax_over_channels, mean_of_rows,
    mean_to_vector, mean_of_channels, padded, joined, broadcast, added_to_every_pixel, unsqueezed, clipped,
    constant_nodes, squeezed_and_excited, functions, pairs,
]  # fmt: skip


@pytest.mark.parametrize("build", [*NO_TRANSPOSES, shuffled], ids=lambda build: build.__name__)
def test_operators_between(build: Callable[[Net], None]) -> None:
    net = Net(IMAGE)
    build(net)
    # Without a layer on images before anything that moves, the graph's input lies as the file says.
    other = {mean_of_rows: "", clipped: "", shuffled: "outputs"}
    graph = imported(net, turned=other.get(build, "inputs, outputs"))
    # Channels that are really shuffled have to be moved.
    assert count(graph)["transpose"] == (build is shuffled)


@pytest.mark.parametrize("opset", [7, 11, 13, 17, 21])
def test_older_and_newer_operator_sets(opset: int) -> None:
    """Settings that were attributes first and inputs later: the same network by either."""
    net = Net((1, 4, 6, 5), opset=opset)
    net.conv(4, 4, 3)
    limits = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    net.add("Clip", net.last, *([] if limits else [net.constant(0.0), net.constant(6.0)]), **limits)
    net.add("ReduceMean", net.last, *([net.constant([2], np.int64)] if opset >= 18 else []), keepdims=1,
            **({} if opset >= 18 else {"axes": [2]}))  # fmt: skip
    net.add("Squeeze", net.last, *([net.constant([2], np.int64)] if opset >= 13 else []),
            **({} if opset >= 13 else {"axes": [2]}))  # fmt: skip
    net.add("Softmax", axis=1), net.add("Flatten")
    imported(net, shape=(1, 4, 6, 5))


def test_rows_of_a_sequence() -> None:
    net = Net((1, 7, 6))
    net.add("MatMul", net.last, net.random(6, 4)), net.add("Add", net.last, net.random(4)), net.add("Relu")
    graph = imported(net, shape=(1, 7, 6), turned="")
    assert count(graph) == {"reshape": 2, "dense": 1, "relu": 1}


def test_several_inputs_and_outputs() -> None:
    net = Net((1, 3, 5, 4))
    net.inputs.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n", 8]))
    a = net.conv(2, 3, 3)
    net.last = "v"
    b = net.gemm(2, 8)
    c = net.add("Add", a, net.add("Reshape", b, net.constant([1, 2, 1, 1], np.int64)))
    model = net.bytes(b, c)
    graph = load(model)
    assert_means_the_same(graph, model, [(1, 3, 5, 4), (1, 8)])
    assert graph.inputs == ("x", "v")


def test_a_small_image_needs_no_transpose_to_be_flat() -> None:
    net = Net((1, 3, 2, 2))
    net.add("Conv", net.last, net.random(4, 3, 2, 2)), net.add("Flatten"), net.gemm(3, 4)
    assert count(imported(net, shape=(1, 3, 2, 2))) == {"conv2d": 1, "reshape": 1, "dense": 1}


def test_names_are_the_files_own(tmp_path: Path) -> None:
    net = Net(IMAGE)
    net.conv(2, 6, 3)
    net.nodes[-1].output[0] = "/features/0/Conv_output_0"
    path = tmp_path / "my model.onnx"
    path.write_bytes(net.bytes("/features/0/Conv_output_0"))
    graph = load(path)
    assert (graph.name, graph.nodes[0].name) == ("my_model", "features_0_Conv_output_0")


def test_weights_only_in_int8_are_read_as_the_reals_they_stand_for() -> None:
    net = Net(IMAGE)
    w = net.constant(np.random.default_rng(0).integers(-127, 128, (4, 6, 3, 3)), np.int8)
    scale, zero = net.constant([0.01, 0.02, 0.005, 0.03]), net.constant([0] * 4, np.int8)
    net.add("Conv", "x", net.add("DequantizeLinear", w, scale, zero, axis=0))
    assert count(imported(net)) == {"conv2d": 1}


def test_outputs_of_onnxruntime_are_reached_for_large_values_too() -> None:
    model = NETS["resnet"](3)
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32) * 1000
    (want,), (got,) = judge(model)([x]), interpret(load(model), [x.transpose(0, 2, 3, 1).copy()])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_package_onnx_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from tinyfoundry.errors import ToolError

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ToolError, match=r"wanted it to read .onnx files; run: pip install 'tinyfoundry\[onnx\]'"
    ):
        load(b"")


def test_a_float_model_with_a_nan_is_refused() -> None:
    net = Net(IMAGE)
    net.add("Conv", net.last, net.constant(np.full((2, 6, 1, 1), np.nan)))
    with pytest.raises(ModelError, match="holds a NaN or an infinity"):
        load(net.bytes())
