"""Runs a graph with every op's numpy reference: the meaning of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinyfoundry import ops  # noqa: F401 - importing it registers every op
from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import stored_values
from tinyfoundry.ir.graph import Array, Graph, Type
from tinyfoundry.op import call_of, get_op

Observe = Callable[[str, Array], None]


class Session:
    """A graph that is run again and again: its states are carried from each run to the next."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reset()

    def reset(self) -> None:
        """Forgets what earlier runs left: the next run starts as the first did."""
        self._states = {name: state.initial for name, state in self.graph.states.items()}

    def run(self, inputs: Sequence[Array], observe: Observe | None = None) -> list[Array]:
        """Values of the graph's outputs; see ``interpret``."""
        graph, watch = self.graph, observe or (lambda _name, _value: None)
        values: dict[str, Array] = dict(graph.constants)
        given = zip(graph.inputs, checked(graph, inputs), strict=True)
        for name, value in (*given, *self._states.items()):
            values[name] = value
            watch(name, value)
        for node in graph.nodes:
            results = get_op(node.op).reference(call_of(graph, node), [values[name] for name in node.inputs])
            for name, value in zip(node.outputs, results, strict=True):
                values[name] = value
                watch(name, value)
        self._states = {name: values[state.next] for name, state in graph.states.items()}
        return [values[name] for name in graph.outputs]


def interpret(graph: Graph, inputs: Sequence[Array], observe: Observe | None = None) -> list[Array]:
    """Values of the graph's outputs in a first run: its states have their initial values.

    inputs: one array per input of the graph, of its exact shape and dtype.
    observe: called with the name and value of every activation, inputs and states included, as soon as it is
    known.

    Raises:
        GraphError: an input has another shape or dtype than the graph wants.
    """
    return Session(graph).run(inputs, observe)


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
        return np.asarray(x, type_.dtype.value, order="C")  # which, unlike others, keeps a scalar one
    stored = stored_values(x, type_.scale, type_.zero_point, *type_.dtype.limits)
    return np.asarray(stored, type_.dtype.value, order="C")


def leaving(type_: Type, stored: Array) -> Array:
    """Real values, in float64, of what a graph stores in a tensor of ``type_``."""
    real = stored.astype(np.float64)
    return real if type_.quant is None else (real - type_.zero_point) * type_.scale
