"""Channels that nothing needs go, and no byte of any output changes."""

from __future__ import annotations

import numpy as np
import pytest

from tinyfoundry.builder import Builder
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.ir.verify import verify
from tinyfoundry.op import verify_ops
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.shape import Reshape
from tinyfoundry.passes.dead_channels import dead_channels

SIZE = 6
SAME = Window(pad_h=(1, 1), pad_w=(1, 1))


class Net:
    """Layers in a row; some output channels have no weights, some input channels no reader."""

    def __init__(self, seed: int, channels: int = 8) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder("net")
        self.x = self.b.input("x", Type((1, SIZE, SIZE, channels), DType.INT8, per_tensor(0.04, 7)))

    @property
    def channels(self) -> int:
        return self.b.type_of(self.x).shape[-1]

    def _weights(
        self, shape: tuple[int, ...], axis: int, dead: float, sparse: bool = True
    ) -> tuple[str, str]:
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        away = self.rng.random(shape[axis]) < dead
        values = np.where(away.reshape([-1 if i == axis else 1 for i in range(len(shape))]), 0, values)
        if axis == 0 and sparse and self.rng.random() < 0.5:
            values[..., self.rng.random(shape[-1]) < 0.3] = 0
        scales = tuple(np.exp(self.rng.uniform(-8, -4, shape[axis])))
        bias = self.rng.integers(-4000, 4000, shape[axis]).astype(np.int32)
        quant = Quantization(scales, (0,) * len(scales), axis)
        return self.b.constant("w", values.astype(np.int8), quant), self.b.constant("b", bias)

    def _quant(self) -> Quantization:
        return per_tensor(0.05, int(self.rng.choice([-128, 0, 20])))

    def conv(self, out: int, kernel: int, window: Window | None = None, dead: float = 0.5) -> None:
        weights = self._weights((out, kernel, kernel, self.channels), 0, dead)
        attrs = Conv2D(window or Window(), Activation.RELU)
        self.x = self.b.apply("conv2d", (self.x, *weights), attrs, self._quant())

    def depthwise(self, window: Window, dead: float = 0.2) -> None:
        weights = self._weights((1, 3, 3, self.channels), 3, dead)
        self.x = self.b.apply("depthwise_conv2d", (self.x, *weights), DepthwiseConv2D(window), self._quant())

    def pool(self) -> None:
        op, attrs = self.rng.choice(
            np.array(
                [("average_pool2d", AveragePool2D((2, 2))), ("max_pool2d", MaxPool2D((2, 2)))], dtype=object
            )
        )
        self.x = self.b.apply(op, (self.x,), attrs, self.b.type_of(self.x).quant)

    def dense(self, out: int, sparse: bool = True) -> None:
        shape = self.b.type_of(self.x).shape
        rows = Reshape((int(np.prod(shape[:-1])), shape[-1]))
        self.x = self.b.apply("reshape", (self.x,), rows, self.b.type_of(self.x).quant)
        weights = self._weights((out, shape[-1]), 0, 0.0, sparse)
        self.x = self.b.apply("dense", (self.x, *weights), Dense(), self._quant())


def outputs(graph: Graph, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    shapes = [graph.types[name].shape for name in graph.inputs]
    values = [
        interpret(graph, [np.full(shape, fill, np.int8) for shape in shapes]) for fill in (-128, 127)
    ] + [interpret(graph, [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes])]
    return [array for one in values for array in one]


def assert_same(graph: Graph) -> Graph:
    """Returns what the pass makes of ``graph``, which computes the same."""
    slim = verify_ops(verify(dead_channels(graph)))
    for got, want in zip(outputs(slim, 5), outputs(graph, 5), strict=True):
        np.testing.assert_array_equal(got, want)
    return slim


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_compute_the_same(seed: int) -> None:
    """Padded and unpadded windows, constants that are the zero point and others."""
    net = Net(seed)
    for _ in range(int(net.rng.integers(1, 4))):
        kernel = 3 if net.b.type_of(net.x).shape[1] >= 3 and net.rng.random() < 0.3 else 1
        net.conv(int(net.rng.integers(5, 20)), kernel, dead=float(net.rng.random()))
        if net.rng.random() < 0.7 and net.b.type_of(net.x).shape[1] >= 3:
            net.depthwise(SAME if net.rng.random() < 0.5 else Window())
    if net.b.type_of(net.x).shape[1] >= 2:
        net.pool()
    net.dense(5)
    assert_same(net.b.finish(net.x))


def test_a_mobile_block_loses_its_dead_channels() -> None:
    """Between two mixing layers a dead channel goes through depthwise and pool; multiples of four stay."""
    net = Net(3)
    net.conv(32, 1, dead=0.6)
    net.depthwise(Window(), dead=0.0)
    net.pool()
    net.dense(4)
    graph = net.b.finish(net.x)
    slim = assert_same(graph)
    alive = int(graph.constants["w"].any(axis=(1, 2, 3)).sum())
    shapes = {node.op: slim.types[node.outputs[0]].shape[-1] for node in slim.nodes}
    assert shapes["conv2d"] == shapes["depthwise_conv2d"] == -(-alive // 4) * 4 < 32


def test_the_border_of_a_padded_window_counts() -> None:
    """A constant that is not the zero point looks different where padding begins, so it stays."""
    net = Net(4)
    net.conv(8, 1, dead=1.0)
    net.conv(8, 3, SAME, dead=0.0)
    graph = net.b.finish(net.x)
    seen: dict[str, Array] = {}
    interpret(graph, [np.zeros(graph.types["x"].shape, np.int8)], seen.__setitem__)
    first = graph.nodes[0].outputs[0]
    visible = int((seen[first][0, 0, 0] != graph.types[first].zero_point).sum())
    slim = assert_same(graph)
    assert 0 < visible <= slim.types[first].shape[-1] < 8


def test_what_others_read_stays() -> None:
    """An output of the network, and a tensor that is added, keep their channels; float networks are left."""
    net = Net(5)
    net.conv(12, 1, dead=0.9)
    first = net.x
    net.conv(12, 1, dead=0.9)
    total = net.b.apply("add", (first, net.x), Add(), net._quant())
    graph = net.b.finish(total, net.x)
    slim = assert_same(graph)
    assert [slim.types[name].shape for name in slim.outputs] == [graph.types[n].shape for n in graph.outputs]
    assert {slim.types[node.outputs[0]].shape[-1] for node in slim.nodes} == {12}


def test_all_channels_dead() -> None:
    """At least one stays, blank."""
    net = Net(6)
    net.conv(3, 1, dead=1.0)
    net.dense(2)
    slim = assert_same(net.b.finish(net.x))
    assert slim.types[slim.nodes[0].outputs[0]].shape[-1] == 3


def test_a_bias_that_would_overflow_is_left() -> None:
    """What a constant adds must fit the 32 bits of a bias."""
    net = Net(7, 4)
    net.conv(4, 1, dead=1.0)
    net.dense(2, sparse=False)
    graph = net.b.finish(net.x)
    last = graph.nodes[-1].inputs[2]
    full = np.array([2**31 - 1, 5 - 2**31], np.int32)
    heavy = Graph(
        graph.name, graph.inputs, graph.outputs, graph.nodes, graph.types, {**graph.constants, last: full}
    )
    assert dead_channels(heavy).types == heavy.types


def test_what_a_state_becomes_keeps_its_channels() -> None:
    """No node of this run reads it, the next run does."""
    quant, b = per_tensor(0.05), Builder("net")
    type_ = Type((1, 8), DType.INT8, quant)
    x, state = b.input("x", type_), b.state("h", type_)
    total = b.apply("add", (state, x), Add(), quant)
    w = b.constant("w", np.random.default_rng(0).integers(-9, 9, (8, 8)).astype(np.int8), per_tensor(0.02))
    new = b.apply("dense", (x, w, b.constant("b", np.zeros(8, np.int32))), Dense(), quant)
    b.update("h", new)
    graph = b.finish(total)
    assert verify(dead_channels(graph)).types[new].shape == (1, 8)
