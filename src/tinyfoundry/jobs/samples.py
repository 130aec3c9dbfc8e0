"""Inputs to prove a network on when there is no data: random ones and the extremes."""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.op import value_limits


def sample_inputs(graph: Graph, count: int, seed: int) -> list[list[Array]]:
    """``count`` input sets: all lowest, all highest, all zero (as far as ``count`` goes), then random over
    the whole range: that of the element type, or of what an index may be.
    """
    rng = np.random.default_rng(seed)
    return [[_value(graph, name, index, rng) for name in graph.inputs] for index in range(count)]


def largest_float(graph: Graph, name: str) -> float:
    """The largest magnitude to feed a float input with: 1e6, or less where a quantize reads it whose steps
    are so fine that their number would leave int32, for which LiteRT has no answer.
    """
    scales = [graph.types[node.outputs[0]].scale for node in graph.readers(name) if node.op == "quantize"]
    return min([1e6, *(scale * 2**30 for scale in scales)])


def _value(graph: Graph, name: str, index: int, rng: np.random.Generator) -> Array:
    type_ = graph.types[name]
    dtype = type_.dtype.value
    if type_.dtype == "float32":
        most = largest_float(graph, name)
        extremes = (-most, most, 0.0)
        if index >= len(extremes):
            return (rng.standard_normal(type_.shape) * 2).astype(dtype)
        return np.full(type_.shape, extremes[index], dtype)
    low, high = value_limits(graph, name)
    corners = (low, high, 0 if type_.quant is None else type_.zero_point)
    if index >= len(corners):
        return rng.integers(low, high, type_.shape, endpoint=True).astype(dtype)
    return np.full(type_.shape, corners[index], dtype)
