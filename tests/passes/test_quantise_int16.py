"""Quantisation to 16x8 of the graph that has every op, less those without int16."""

from __future__ import annotations

import numpy as np
import pytest

from litert import litert_judge
from test_quantise import every_op
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph
from tinyfoundry.ir.rewrite import rebuild, redirect
from tinyfoundry.op import all_ops, get_op
from tinyfoundry.passes.calibrate import Ranges, calibrate
from tinyfoundry.passes.quantise import quantise


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The others are bridged: each of them gives the shape of its first input."""
    graph = every_op(np.random.default_rng(0))
    without = {node.outputs[0]: node.inputs[0] for node in graph.nodes if get_op(node.op).int16 is None}
    for name in list(without):
        while without[name] in without:
            without[name] = without[without[name]]
    kept = [node for node in graph.nodes if node.outputs[0] not in without]
    return rebuild(graph, redirect(kept, without))


@pytest.fixture(scope="module")
def samples() -> Array:
    return np.random.default_rng(1).standard_normal((40, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def ranges(graph: Graph, samples: Array) -> Ranges:
    return calibrate(graph, samples)


def test_every_op_with_int16_is_in_the_test_graph(graph: Graph) -> None:
    assert {node.op for node in graph.nodes} == {op.name for op in all_ops() if op.int16 is not None}


def test_types_are_those_of_16x8(graph: Graph, ranges: Ranges) -> None:
    wide = quantise(graph, ranges, activations=DType.INT16)
    weights = {name for node in wide.nodes for name in node.inputs if name in wide.constants}
    found = {(wide.types[name].dtype, wide.types[name].quant is None) for name in weights}
    assert found == {("int8", False), ("int64", True), ("int16", False)}
    for name in wide.activations():
        type_ = wide.types[name]
        assert (type_.dtype, type_.zero_point) == ("int16", 0)
    assert wide.types["probabilities"].scale == wide.types["gate"].scale == 2**-15
    assert wide.types["x"].scale == pytest.approx(max(map(abs, ranges["x"])) / 32767)


def test_it_is_finer_than_int8(graph: Graph, samples: Array, ranges: Ranges) -> None:
    """What is left of the error is that of the weights."""
    errors = {}
    for dtype in (DType.INT8, DType.INT16):
        quantised = quantise(graph, ranges, float_faces=True, activations=dtype)
        pairs = [(interpret(graph, [x[None]])[0], interpret(quantised, [x[None]])[0]) for x in samples[:8]]
        errors[dtype] = max(float(np.abs(real - stored).max()) for real, stored in pairs)
    assert errors[DType.INT16] < 0.01
    assert errors[DType.INT16] < 0.8 * errors[DType.INT8]


def test_it_is_what_litert_says(graph: Graph, samples: Array, ranges: Ranges) -> None:
    """Node by node, on real inputs behind their float faces, and on the extremes."""
    wide = quantise(graph, ranges, float_faces=True, activations=DType.INT16)
    judge = litert_judge(wide)
    for x in (*samples[:5], np.full_like(samples[0], 1e5), np.full_like(samples[0], -1e5)):
        np.testing.assert_array_equal(interpret(wide, [x[None]])[0], judge([x[None]])[0])
