"""Checks a graph against the rules of the IR that need no knowledge of ops. Ops' own rules: ``op.check``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Graph, Type

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def verify(graph: Graph) -> Graph:
    """Returns ``graph`` unchanged when it is well formed.

    Raises:
        GraphError: names the graph and the first broken rule.
    """
    for complaint in _complaints(graph):
        raise GraphError(f"graph '{graph.name}': {complaint}")
    return graph


def _complaints(graph: Graph) -> Iterator[str]:
    yield from _name_complaints(graph)
    yield from _order_complaints(graph)
    for name, type_ in graph.types.items():
        yield from (f"tensor '{name}' ({type_}): {text}" for text in _type_complaints(type_))
    for name, value in graph.constants.items():
        yield from _value_complaints(graph, f"constant '{name}'", name, value)
    yield from _state_complaints(graph)


def _name_complaints(graph: Graph) -> Iterator[str]:
    if not _IDENTIFIER.fullmatch(graph.name):
        yield "its name is not a C identifier"
    seen: set[str] = set()
    for node in graph.nodes:
        if not _IDENTIFIER.fullmatch(node.name):
            yield f"node name '{node.name}' is not a C identifier"
        if node.name in seen:
            yield f"two nodes are called '{node.name}'"
        seen.add(node.name)


def _order_complaints(graph: Graph) -> Iterator[str]:
    written = set(graph.constants)
    for name in graph.inputs:
        if name in written:
            yield f"input '{name}' is also a constant or named twice"
        written.add(name)
    for name in graph.states:
        if name in written:
            yield f"state '{name}' is also an input or a constant"
        written.add(name)
    for node in graph.nodes:
        missing = [name for name in node.inputs if name not in written]
        if missing:
            yield f"node '{node.name}' reads '{missing[0]}' before anything writes it"
        for name in node.outputs:
            if name in written:
                yield f"tensor '{name}' is written twice, the second time by node '{node.name}'"
            written.add(name)
    yield from (f"output '{name}' is never written" for name in graph.outputs if name not in written)
    yield from (f"tensor '{name}' has no type" for name in sorted(written) if name not in graph.types)
    yield from (f"type of unknown tensor '{name}'" for name in graph.types if name not in written)


def _type_complaints(type_: Type) -> Iterator[str]:
    if any(size < 1 for size in type_.shape):
        yield "a size is below 1"
    quant = type_.quant
    if quant is None:
        return
    if type_.dtype == "float32":
        yield "a float tensor has a quantization"
        return
    if len(quant.scale) != len(quant.zero_point):
        yield f"{len(quant.scale)} scales but {len(quant.zero_point)} zero points"
    if not all(np.isfinite(s) and s > 0 for s in quant.scale):
        yield "a scale is not a positive finite number"
    low, high = type_.dtype.limits
    if not all(low <= z <= high for z in quant.zero_point):
        yield f"a zero point is outside {low}..{high}"
    if quant.per_channel:
        if not 0 <= quant.axis < len(type_.shape) or type_.shape[quant.axis] != len(quant.scale):
            yield f"{len(quant.scale)} scales do not match axis {quant.axis}"
        if any(quant.zero_point):
            yield "per-channel zero points must be 0"


def _value_complaints(graph: Graph, what: str, name: str, value: np.ndarray) -> Iterator[str]:
    """What is wrong with the value that ``what`` gives to tensor ``name``."""
    type_ = graph.types.get(name)
    if type_ is None:
        return
    if value.shape != type_.shape or value.dtype != np.dtype(type_.dtype.value):
        yield f"{what} is {value.dtype}{list(value.shape)}, its type says {type_}"
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        yield f"{what} holds a NaN or an infinity"


def _state_complaints(graph: Graph) -> Iterator[str]:
    written = {name for node in graph.nodes for name in node.outputs}
    updated: dict[str, str] = {}
    for name, state in graph.states.items():
        yield from _value_complaints(graph, f"initial value of state '{name}'", name, state.initial)
        if state.next not in written:
            yield f"state '{name}' becomes '{state.next}', which no node writes"
        elif graph.types[name] != graph.types[state.next]:
            found, wanted = graph.types[state.next], graph.types[name]
            yield f"state '{name}' ({wanted}) becomes '{state.next}' ({found}); wanted one type"
        if state.next in updated:
            yield f"states '{updated[state.next]}' and '{name}' become the same tensor '{state.next}'"
        updated[state.next] = name
        if name in graph.outputs:
            yield f"state '{name}' is an output; wanted a tensor that a node writes, such as '{state.next}'"
