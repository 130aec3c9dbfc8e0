"""Folding what is constant: computed once, by the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from c_libraries import compiled, run_self_test
from tinyfoundry.builder import Builder
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Type, per_tensor
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.ops.indexing import Broadcast
from tinyfoundry.ops.shape import Reshape
from tinyfoundry.passes import fold_constants as folding
from tinyfoundry.passes.fold_constants import fold_constants

QUANT = per_tensor(0.1, 3)


def test_a_chain_of_constants_becomes_one() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    c = b.constant("c", np.arange(4, dtype=np.int8), QUANT)
    doubled = b.apply("add", (c, c), Add(), QUANT, "doubled")
    shaped = b.apply("reshape", (doubled,), Reshape((1, 4)), QUANT, "shaped")
    graph = b.finish(b.apply("add", (x, shaped), Add(), QUANT, "y"))
    after = fold_constants(graph)
    assert [node.name for node in after.nodes] == ["y"]
    assert set(after.constants) == {"shaped"}
    assert set(after.types) == {"x", "shaped", "y"}
    # real values 0.1 * (i - 3), doubled: stored 2 * (i - 3) + 3
    np.testing.assert_array_equal(after.constants["shaped"], [[-3, -1, 1, 3]])
    values = [np.array([[5, -7, 0, 127]], np.int8)]
    np.testing.assert_array_equal(interpret(after, values)[0], interpret(graph, values)[0])


def test_a_constant_output_is_folded_too() -> None:
    b = Builder("net")
    b.input("x", Type((1,), DType.FLOAT32))
    y = b.apply("dequantize", (b.constant("c", np.array([13], np.int8), QUANT),))
    after = fold_constants(b.finish(y))
    assert after.nodes == ()
    np.testing.assert_allclose(after.constants[y], [1.0], rtol=1e-6)


def test_what_reads_an_input_stays() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    graph = b.finish(b.apply("add", (x, b.constant("c", np.zeros((1, 4), np.int8), QUANT)), Add(), QUANT))
    after = fold_constants(graph)
    assert (after.nodes, after.constants.keys()) == (graph.nodes, graph.constants.keys())


def test_what_would_grow_out_of_proportion_stays() -> None:
    """One element repeated is no weight; where it stays it is computed on the device, to the same bytes."""
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    c = b.constant("c", np.array([[7]], np.int8), QUANT)
    small = b.apply("broadcast", (c,), Broadcast((1, 4)), QUANT, "small")
    large = b.apply("broadcast", (c,), Broadcast((2**21, 4)), QUANT, "large")
    graph = b.finish(b.apply("add", (x, small), Add(), QUANT, "y"), large)
    after = fold_constants(graph)
    assert [node.name for node in after.nodes] == ["large", "y"]
    assert set(after.constants) == {"c", "small"}


def test_a_node_of_constants_that_stays_is_computed_in_c(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(folding, "SPARE_ELEMENTS", 0)
    monkeypatch.setattr(folding, "GROWTH", 0)
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    c = b.constant("c", np.array([[7]], np.int8), QUANT)
    wide = b.apply("broadcast", (c,), Broadcast((1, 4)), QUANT, "wide")
    graph = b.finish(b.apply("add", (x, wide), Add(), QUANT, "y"))
    build = compiled(graph, tmp_path)
    assert [layer.node.op for layer in build.layers] == ["broadcast", "add"]
    run_self_test(tmp_path)
