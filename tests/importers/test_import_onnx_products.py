"""ONNX's products of two computed tensors and its transposed convolutions, against onnxruntime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnx_nets import Net, assert_means_the_same, from_torch, quantised
from tinyfoundry.errors import ModelError
from tinyfoundry.importers.onnx import load
from tinyfoundry.ir.graph import DType

IMAGE = (1, 6, 5, 4)
TRANSPOSED = {
    "doubled": {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "uneven": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    "plain": {"kernel_shape": [3, 2]},
    "gaps": {"kernel_shape": [2, 2], "strides": [3, 4]},
    "rest": {"kernel_shape": [2, 3], "strides": [3, 2], "output_padding": [2, 1], "pads": [0, 1, 1, 0]},
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolutions(case: str, bias: bool) -> None:
    net, attributes = Net(IMAGE), TRANSPOSED[case]
    w = net.random(6, 7, *attributes["kernel_shape"], fan_in=20)
    net.add("ConvTranspose", "x", w, *([net.random(7)] if bias else []), **attributes)
    model = net.bytes()
    graph = load(model)
    assert_means_the_same(graph, model, [IMAGE])
    assert Counter(node.op for node in graph.nodes) == {"transpose_conv": 1}


def test_a_transposed_convolution_of_one_axis() -> None:
    net = Net((1, 3, 9))
    net.add("ConvTranspose", "x", net.random(3, 4, 5), strides=[2], pads=[2, 2], output_padding=[1])
    model = net.bytes()
    assert_means_the_same(load(model), model, [(1, 3, 9)])


FAULTS = {
    "groups": ({"group": 2}, "wanted 1 group"),
    "auto_pad": ({"auto_pad": "SAME_UPPER"}, "with auto_pad or output_shape .wanted pads."),
    "output_shape": ({"output_shape": [7, 6]}, "with auto_pad or output_shape .wanted pads."),
    "dilation": ({"dilations": [2, 2]}, r"with dilation \(2, 2\) and output padding"),
    "nothing_left": ({"pads": [9, 9, 9, 9]}, "with padding that leaves"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_transposed_convolutions_that_are_refused(case: str) -> None:
    attributes, complaint = FAULTS[case]
    net = Net(IMAGE)
    net.add("ConvTranspose", "x", net.random(6, 7, 3, 3), **attributes)
    with pytest.raises(ModelError, match=complaint):
        load(net.bytes())


def scores(net: Net) -> None:
    """Rows with each other: the second factor is read as it lies."""
    x = net.add("Relu", "x")
    net.add("MatMul", x, net.add("Transpose", "x", perm=[0, 1, 3, 2]))


def columns(net: Net) -> None:
    net.add("MatMul", net.add("Transpose", "x", perm=[0, 1, 3, 2]), net.add("Relu", "x"))


def repeated(net: Net) -> None:
    """A batch of one matrix meets six."""
    one = net.add("ReduceMean", "x", axes=[1], keepdims=0)
    net.add("MatMul", net.add("Transpose", one, perm=[0, 2, 1]), "x")


def softmaxed(net: Net) -> None:
    product = net.add("MatMul", "x", net.add("Transpose", "x", perm=[0, 1, 3, 2]))
    net.add("MatMul", net.add("Softmax", product, axis=-1), "x")


@pytest.mark.parametrize("build", [scores, columns, repeated, softmaxed], ids=lambda b: b.__name__)
def test_products_of_computed_tensors(build: Callable[[Net], None]) -> None:
    net = Net(IMAGE)
    build(net)
    model = net.bytes()
    graph = load(model)
    assert_means_the_same(graph, model, [IMAGE], turned="")
    assert not any(node.op == "transpose" for node in graph.nodes)


def test_vectors_are_refused() -> None:
    net = Net((4,))
    net.add("MatMul", "x", net.add("Relu", "x"))
    with pytest.raises(
        ModelError, match=r"MatMul .* of \[4\] \(wanted matrices, at least one of them computed\)"
    ):
        load(net.bytes())


def test_torch_attention(tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: Any) -> Any:
            q, k, v = (f(x).view(1, 6, 2, 4).transpose(1, 2) for f in (self.q, self.k, self.v))
            shares = torch.softmax(q @ k.transpose(-1, -2) * 0.5, dim=-1)
            return x + (shares @ v).transpose(1, 2).reshape(1, 6, 8)

    torch.manual_seed(0)
    model = from_torch(Attention(), torch.zeros(1, 6, 8), tmp_path, dynamo=False)
    graph = load(model)
    assert_means_the_same(graph, model, [(1, 6, 8)], turned="")
    assert Counter(node.op for node in graph.nodes)["batch_matmul"] == 2


def test_int8_pairs(tmp_path: Path) -> None:
    """onnxruntime quantises weights of a transposed convolution along their second axis."""
    net = Net(IMAGE)
    net.add("ConvTranspose", "x", net.random(6, 7, 2, 2, fan_in=12), net.random(7), strides=[2, 2])
    y = net.last
    net.add("MatMul", y, net.add("Transpose", y, perm=[0, 1, 3, 2]))
    graph = load(quantised(net.bytes(), tmp_path, IMAGE))
    kinds = {node.op: graph.types[node.outputs[0]].dtype for node in graph.nodes}
    assert kinds["transpose_conv"] == kinds["batch_matmul"] == DType.INT8
    (node,) = (node for node in graph.nodes if node.op == "transpose_conv")
    scales = graph.types[node.inputs[1]].quant
    assert scales is not None
    assert (len(scales.scale), scales.axis) == (7, 0)
