"""Rebuilds graphs: what every pass needs to change nodes and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tinyfoundry.ir.graph import Array, Graph, Node, State, Type


def rebuild(
    graph: Graph,
    nodes: Sequence[Node],
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    types: Mapping[str, Type] | None = None,
    constants: Mapping[str, Array] | None = None,
) -> Graph:
    """``graph`` with other nodes (and inputs, outputs, further types and constants), less everything nothing
    reads.

    Nodes whose outputs reach no output of the graph, in this run or through its states in a later one, are
    dropped, then tensors and states that no node or face of the graph names.
    """
    faces_in = tuple(graph.inputs if inputs is None else inputs)
    faces_out = tuple(graph.outputs if outputs is None else outputs)
    kept, states = _live(nodes, faces_out, graph.states)
    named = {*faces_in, *faces_out, *states}
    for node in kept:
        named.update(node.inputs, node.outputs)
    all_types = {**graph.types, **(types or {})}
    all_constants = {**graph.constants, **(constants or {})}
    return replace(
        graph,
        inputs=faces_in,
        outputs=faces_out,
        nodes=tuple(kept),
        types={name: type_ for name, type_ in all_types.items() if name in named},
        constants={name: value for name, value in all_constants.items() if name in named},
        states=states,
    )


def redirect(nodes: Iterable[Node], mapping: Mapping[str, str]) -> list[Node]:
    """The nodes with every input named in ``mapping`` read from its new name."""
    return [replace(node, inputs=tuple(mapping.get(name, name) for name in node.inputs)) for node in nodes]


def _live(
    nodes: Sequence[Node], outputs: Sequence[str], states: Mapping[str, State]
) -> tuple[list[Node], dict[str, State]]:
    """The nodes and states that the outputs depend on; a state that is read depends on its update."""
    wanted = set(outputs)
    while True:
        kept: list[Node] = []
        for node in reversed(nodes):
            if wanted & set(node.outputs):
                wanted |= set(node.inputs)
                kept.append(node)
        following = {state.next for name, state in states.items() if name in wanted}
        if following <= wanted:
            return kept[::-1], {name: state for name, state in states.items() if name in wanted}
        wanted |= following
