"""Small graphs for tests: an op's sample as a network of one node, and inputs that reach the corners."""

from __future__ import annotations

import re

import numpy as np

from tinyfoundry.ir.graph import Array, DType, Graph, Node, Type
from tinyfoundry.op import Op, Sample, value_limits


def single(op: Op, sample: Sample) -> Graph:
    """The sample's call as a graph: constants stay constants, everything else is an input."""
    name = re.sub(r"\W", "_", f"{op.name}_{sample.label}")
    inputs = [f"x{i}" for i in range(len(sample.call.inputs))]
    types: dict[str, Type] = dict(zip(inputs, sample.call.inputs, strict=True))
    outputs = [f"y{i}" for i in range(len(sample.call.outputs))]
    types.update(zip(outputs, sample.call.outputs, strict=True))
    node = Node(op.name, op.name, tuple(inputs), tuple(outputs), sample.call.attrs)
    constants = {f"x{i}": value for i, value in sample.constants.items()}
    faces = tuple(x for x in inputs if x not in constants)
    return Graph(name, faces, tuple(outputs), (node,), types, constants)


def random_input(rng: np.random.Generator, type_: Type, limits: tuple[int, int] | None = None) -> Array:
    """Random values of a type: a few units for floats, for integers its whole range, or the given one."""
    if type_.dtype == DType.FLOAT32:
        return (rng.standard_normal(type_.shape) * 4).astype(np.float32)
    low, high = limits or type_.dtype.limits
    return rng.integers(low, high, type_.shape, endpoint=True).astype(type_.dtype.value)


def inputs_of(graph: Graph, rng: np.random.Generator, count: int) -> list[list[Array]]:
    """``count`` random input sets, then all lowest, all highest and all zero-point values."""
    faces = [(graph.types[name], _limits(graph, name)) for name in graph.inputs]
    sets = [[random_input(rng, *face) for face in faces] for _ in range(count)]
    for pick in (lambda _t, limits: limits[0], lambda _t, limits: limits[1], lambda t, _limits: _middle(t)):
        sets.append([np.full(t.shape, pick(t, limits), t.dtype.value) for t, limits in faces])
    return sets


def _limits(graph: Graph, name: str) -> tuple[int, int]:
    floating = graph.types[name].dtype == DType.FLOAT32
    return (-1_000_000, 1_000_000) if floating else value_limits(graph, name)


def _middle(type_: Type) -> float:
    return 0.0 if type_.quant is None else type_.zero_point
