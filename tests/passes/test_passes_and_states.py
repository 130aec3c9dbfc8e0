"""What a later run reads is as good as an output: no pass takes it away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphs import random_input
from tinyfoundry.builder import Builder
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import DType, Graph, Type, per_tensor
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.elementwise import Relu
from tinyfoundry.ops.shape import Pad
from tinyfoundry.pipeline import Options, simplify

QUANT = per_tensor(0.05, -3)


def relu_of_an_update() -> Graph:
    b, type_ = Builder("fused"), Type((1, 6), DType.INT8, QUANT)
    x, s = b.input("x", type_), b.state("s", type_)
    total = b.apply("add", (s, x), quant=QUANT, name="total")
    b.update(s, total)
    return b.finish(b.apply("relu", (total,), Relu(), QUANT, "y"))


def convolution_of_an_update() -> Graph:
    b, type_ = Builder("padded"), Type((1, 5, 5, 1), DType.INT8, QUANT)
    x, s = b.input("x", Type((1, 3, 3, 1), DType.INT8, QUANT)), b.state("s", type_)
    old = b.apply("relu", (s,), Relu(), QUANT, "old")
    wide = b.apply("pad", (x,), Pad((0, 1, 1, 0), (0, 1, 1, 0)), QUANT, "wide")
    b.update(s, wide)
    w = b.constant("w", np.arange(9, dtype=np.int8).reshape(1, 3, 3, 1), per_tensor(0.02))
    y = b.apply("conv2d", (wide, w, b.constant("b", np.zeros(1, np.int32))), Conv2D(Window()), QUANT, "y")
    return b.finish(y, old)


def quantised_face() -> Graph:
    """The input of the run before, as int8, behind a float face."""
    b = Builder("delayed")
    x, s = b.input("x", Type((1, 4), DType.FLOAT32)), b.state("s", Type((1, 4), DType.INT8, QUANT))
    old = b.apply("relu", (s,), Relu(), QUANT, "old")
    b.update(s, b.apply("quantize", (x,), None, QUANT, "now", DType.INT8))
    return b.finish(b.apply("dequantize", (old,), name="y"))


@pytest.mark.parametrize("net", [relu_of_an_update, convolution_of_an_update, quantised_face])
def test_streams_mean_the_same_after_the_passes(net: Callable[[], Graph]) -> None:
    graph = net()
    after = simplify(graph, Options(float_faces=True))
    assert list(after.states) == ["s"]
    rng, one, two = np.random.default_rng(1), Session(graph), Session(after)
    for _ in range(5):
        inputs = [random_input(rng, graph.types[name]) for name in graph.inputs]
        for a, b in zip(one.run(inputs), two.run(inputs), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_face_that_a_state_becomes_stays_float() -> None:
    after = simplify(quantised_face(), Options())
    assert [after.types[name].dtype.value for name in (*after.inputs, *after.outputs)] == ["float32", "int8"]
