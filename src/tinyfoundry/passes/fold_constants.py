"""Computes nodes whose inputs are all constants once, here, instead of on every inference."""

from __future__ import annotations

from tinyfoundry.ir.graph import Graph, Node
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.op import call_of, get_op

GROWTH, SPARE_ELEMENTS = 8, 2**20
"""Work is done here for so many elements for each one that the constants have, and for so many beyond."""


def fold_constants(graph: Graph) -> Graph:
    """The graph with every such node replaced by the constant that its reference gives.

    A node stays where its result, or the multiply-accumulates to get there, are out of all proportion to the
    constants of the graph: a tensor of one element that is repeated a million times is no weight.
    """
    known = dict(graph.constants)
    left = GROWTH * sum(value.size for value in known.values()) + SPARE_ELEMENTS
    nodes = []
    for node in graph.nodes:
        work = _work(graph, node) if all(name in known for name in node.inputs) else left + 1
        if work > left:
            nodes.append(node)
            continue
        left -= work
        values = get_op(node.op).reference(call_of(graph, node), [known[name] for name in node.inputs])
        known.update(zip(node.outputs, values, strict=True))
    return rebuild(graph, nodes, constants=known)


def _work(graph: Graph, node: Node) -> int:
    call = call_of(graph, node)
    return get_op(node.op).macs(call) + sum(type_.elements for type_ in (*call.inputs, *call.outputs))
