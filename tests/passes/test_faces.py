"""Taking float faces off: what the user then quantises and dequantises himself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from small_nets import random_net
from tinyfoundry.builder import Builder
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.ir.verify import verify
from tinyfoundry.op import verify_ops
from tinyfoundry.ops.convert import Dequantize, Quantize
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.passes.faces import stored_faces
from tinyfoundry.pipeline import Options, simplify

QUANT, OTHER = per_tensor(0.05, -3), per_tensor(0.1, 4)


def quantised(b: Builder, x: str, quant: Quantization, name: str) -> str:
    return b.apply("quantize", (x,), Quantize(), quant, name, DType.INT8)


def stored(value: np.ndarray, type_: Type) -> np.ndarray:
    return np.clip(np.round(value / np.float32(type_.scale)) + type_.zero_point, -128, 127).astype(np.int8)


def check(graph: Graph) -> Graph:
    """The graph after the pass; quantising before and dequantising after it gives the old meaning."""
    after = verify_ops(verify(stored_faces(graph)))
    rng = np.random.default_rng(4)
    for _ in range(3):
        # Between the quarters of a step of either scale: no ties, which numpy and the op may break apart.
        given = [
            ((rng.integers(-400, 400, graph.types[n].shape) + 0.25) * 0.0125).astype(np.float32)
            if graph.types[n].dtype == "float32"
            else rng.integers(-128, 128, graph.types[n].shape).astype(np.int8)
            for n in graph.inputs
        ]
        inside = [
            stored(v, after.types[n]) if v.dtype.kind == "f" and after.types[n].dtype == "int8" else v
            for v, n in zip(given, after.inputs, strict=True)
        ]
        for old, new, name in zip(
            interpret(graph, given), interpret(after, inside), after.outputs, strict=True
        ):
            type_ = after.types[name]
            if old.dtype.kind == "f" and new.dtype == np.int8:
                real = (new.astype(np.float32) - type_.zero_point) * np.float32(type_.scale)
                np.testing.assert_allclose(real, old, rtol=1e-6, atol=1e-7)
            else:
                np.testing.assert_array_equal(new, old)
    return after


def test_both_faces_come_off() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    y = b.apply("relu", (quantised(b, x, QUANT, "q"),), Relu(), QUANT, "r")
    after = check(b.finish(b.apply("dequantize", (y,), Dequantize(), name="out")))
    assert (after.inputs, after.outputs) == (("q",), ("r",))
    assert [node.op for node in after.nodes] == ["relu"]


def test_two_equal_quantizes_become_one_input() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    total = b.apply("add", (quantised(b, x, QUANT, "q1"), quantised(b, x, QUANT, "q2")), Add(), OTHER, "sum")
    after = check(b.finish(b.apply("dequantize", (total,), Dequantize())))
    assert after.inputs == ("q1",)
    assert after.nodes[0].inputs == ("q1", "q1")


def test_two_different_quantizes_keep_the_float_input() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    total = b.apply("add", (quantised(b, x, QUANT, "q1"), quantised(b, x, OTHER, "q2")), Add(), OTHER)
    assert check(b.finish(total)).inputs == ("x",)


def test_a_float_reader_keeps_the_float_input() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    q, r = quantised(b, x, QUANT, "q"), b.apply("relu", (x,), Relu(), name="r")
    after = check(b.finish(q, r))
    assert (after.inputs, after.outputs) == (("x",), ("q", "r"))


def test_a_float_input_that_is_an_output_stays() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    assert check(b.finish(quantised(b, x, QUANT, "q"), x)).inputs == ("x",)


def test_a_network_of_faces_alone_hands_its_input_through() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    q = quantised(b, x, QUANT, "q")
    after = check(b.finish(b.apply("dequantize", (q,), Dequantize()), q))
    assert (after.inputs, after.outputs, after.nodes) == (("q",), ("q", "q"), ())


def test_int8_faces_stay_as_they_are() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 6), DType.INT8, QUANT))
    graph = b.finish(b.apply("quantize", (x,), Quantize(), OTHER, "y", DType.INT8))
    after = check(graph)
    assert (after.inputs, after.outputs, after.nodes) == (graph.inputs, graph.outputs, graph.nodes)


def test_float_faces_stay_when_asked() -> None:
    graph = next(g for g in map(random_net, range(50)) if g.types[g.inputs[0]].dtype == "float32")
    assert simplify(graph, Options(float_faces=True)).inputs == graph.inputs
    assert simplify(graph, Options()).types[stored_faces(graph).inputs[0]].dtype == "int8"


@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed: int) -> None:
    check(random_net(seed))


@given(st.integers(0, 10_000))
def test_no_float_is_left_in_an_int8_network(seed: int) -> None:
    after = stored_faces(random_net(seed))
    activations = [after.types[name] for name in after.activations()]
    assert all(type_.dtype == "int8" for type_ in activations)
