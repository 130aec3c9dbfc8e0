"""Runs a graph with every op's numpy reference: the meaning of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinyfoundry import ops  # noqa: F401 - importing it registers every op
from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import stored_values
from tinyfoundry.ir.graph import Array, Graph, Type
from tinyfoundry.op import call_of, get_op


def interpret(
    graph: Graph, inputs: Sequence[Array], observe: Callable[[str, Array], None] | None = None
) -> list[Array]:
    """Values of the graph's outputs.

    inputs: one array per input of the graph, of its exact shape and dtype.
    observe: called with the name and value of every activation, inputs included, as soon as it is known.

    Raises:
        GraphError: an input has another shape or dtype than the graph wants.
    """
    values: dict[str, Array] = dict(graph.constants)
    watch = observe or (lambda _name, _value: None)
    for name, value in zip(graph.inputs, checked(graph, inputs), strict=True):
        values[name] = value
        watch(name, value)
    for node in graph.nodes:
        results = get_op(node.op).reference(call_of(graph, node), [values[name] for name in node.inputs])
        for name, value in zip(node.outputs, results, strict=True):
            values[name] = value
            watch(name, value)
    return [values[name] for name in graph.outputs]


def checked(graph: Graph, inputs: Sequence[Array]) -> Sequence[Array]:
    """``inputs`` when they have the number, shapes and dtypes the graph wants; GraphError otherwise."""
    if len(inputs) != len(graph.inputs):
        raise GraphError(f"graph '{graph.name}' takes {len(graph.inputs)} inputs, {len(inputs)} were given")
    for name, value in zip(graph.inputs, inputs, strict=True):
        type_ = graph.types[name]
        if value.shape != type_.shape or value.dtype != np.dtype(type_.dtype.value):
            raise GraphError(
                f"graph '{graph.name}', input '{name}': got {value.dtype}{list(value.shape)}, wanted {type_}"
            )
    return inputs


def entering(type_: Type, x: Array) -> Array:
    """Real values ``x`` as a graph takes them at an input of ``type_``: stored ones where it is quantized."""
    if type_.quant is None:
        return np.ascontiguousarray(x, type_.dtype.value)
    stored = stored_values(x, type_.scale, type_.zero_point, *type_.dtype.limits)
    return np.ascontiguousarray(stored, type_.dtype.value)
