"""The inputs that ``verify`` compares on: extremes, edge values, random ones, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyfoundry.interpret import entering
from tinyfoundry.ir.graph import Array, Graph, Type
from tinyfoundry.jobs.calibration import model_inputs
from tinyfoundry.jobs.samples import largest_float, sample_inputs
from tinyfoundry.op import value_limits

EXTREMES = 3
Sets = Sequence[Sequence[Array]]


def probes(graph: Graph, count: int, seed: int, data: str | Path | None) -> dict[str, Sets]:
    """Kind -> sets of inputs of ``graph``; ``count`` of the first three kinds together.

    extremes: all lowest, all highest, all zero. edges: an eighth of the rest, each element one of the values
    next to an end of the range or to zero, in a chequered order or at random. random: over the whole range.
    data: at most ``count`` of those that ``data`` holds (see ``model_inputs``); stored values where they have
    the input's own element type, real ones otherwise.
    """
    extremes = sample_inputs(graph, min(count, EXTREMES), seed)
    edges = (count - len(extremes) + 7) // 8
    rng = np.random.default_rng([seed, 1])
    types = [graph.types[name] for name in graph.inputs]
    sets: dict[str, Sets] = {
        "extremes": extremes,
        "edges": [[_edge(graph, name, index, rng) for name in graph.inputs] for index in range(edges)],
        "random": sample_inputs(graph, count - edges, seed)[len(extremes) :],
    }
    if data is not None:
        arrays = model_inputs(data, graph, seed, count, "--data")
        columns = [
            [_stored(type_, value) for value in values] for type_, values in zip(types, arrays, strict=True)
        ]
        sets["data"] = list(zip(*columns, strict=True))
    return {kind: inputs for kind, inputs in sets.items() if inputs}


def _edge(graph: Graph, name: str, index: int, rng: np.random.Generator) -> Array:
    type_ = graph.types[name]
    dtype = np.dtype(type_.dtype.value)
    if type_.dtype == "float32":
        tiny, most = float(np.finfo(np.float32).tiny), largest_float(graph, name)
        values = np.array([-most, -1.0, -tiny, 0.0, tiny, 1.0, most])
    else:
        low, high = value_limits(graph, name)
        zero = 0 if type_.quant is None else type_.zero_point
        values = np.clip([low, low + 1, zero - 1, zero, zero + 1, high - 1, high], low, high)
    if index < 2:  # every other element lowest and highest, then the other way round
        ends = values[[0, -1]] if index == 0 else values[[-1, 0]]
        return np.resize(ends, type_.shape).astype(dtype)
    return rng.choice(values, type_.shape).astype(dtype)


def _stored(type_: Type, value: Array) -> Array:
    stored = value.dtype == np.dtype(type_.dtype.value)
    return np.ascontiguousarray(value) if stored else entering(type_, value)
