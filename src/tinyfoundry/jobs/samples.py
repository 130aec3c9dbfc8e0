"""Inputs to prove a network on when there is no data: random ones and the extremes."""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array, Graph, Type


def sample_inputs(graph: Graph, count: int, seed: int) -> list[list[Array]]:
    """``count`` input sets: all lowest, all highest, all zero (as far as ``count`` goes), then random over
    the whole range.
    """
    rng = np.random.default_rng(seed)
    types = [(graph.types[name], largest_float(graph, name)) for name in graph.inputs]
    return [[_value(type_, most, index, rng) for type_, most in types] for index in range(count)]


def largest_float(graph: Graph, name: str) -> float:
    """The largest magnitude to feed a float input with: 1e6, or less where a quantize reads it whose steps
    are so fine that their number would leave int32, for which LiteRT has no answer.
    """
    scales = [graph.types[node.outputs[0]].scale for node in graph.readers(name) if node.op == "quantize"]
    return min([1e6, *(scale * 2**30 for scale in scales)])


def _value(type_: Type, most: float, index: int, rng: np.random.Generator) -> Array:
    dtype = type_.dtype.value
    if type_.dtype == "float32":
        extremes = (-most, most, 0.0)
        if index >= len(extremes):
            return (rng.standard_normal(type_.shape) * 2).astype(dtype)
        return np.full(type_.shape, extremes[index], dtype)
    low, high = type_.dtype.limits
    corners = (low, high, 0 if type_.quant is None else type_.zero_point)
    if index >= len(corners):
        return rng.integers(low, high, type_.shape, endpoint=True).astype(dtype)
    return np.full(type_.shape, corners[index], dtype)
