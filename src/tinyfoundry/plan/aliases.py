"""Which inputs an output may overwrite if they are dead by then (in-place operations)."""

from __future__ import annotations

from collections.abc import Mapping

from tinyfoundry.ir.graph import Graph, Node
from tinyfoundry.op import get_op


def overwritable(graph: Graph, node: Node, position: int, roots: Mapping[str, str]) -> tuple[str, ...]:
    """Inputs whose bytes the output at ``position`` of ``node`` may overwrite if nobody reads them later.

    The op must say so, and input and output must be alike in shape and bytes: then element i of the output
    falls on element i of the input, also when the op broadcasts its other inputs. An input that the node
    reads a second time in another way (through a view of another shape, or at a position that may not be
    overwritten) is left alone, and so are constants and states, whose bytes belong to their update.
    """
    op = get_op(node.op)
    if op.view:
        return ()
    out = graph.types[node.outputs[position]]

    def aligned(index: int, name: str) -> bool:
        type_ = graph.types[name]
        return (index, position) in op.updates and type_.shape == out.shape and type_.bytes == out.bytes

    found = []
    for name in dict.fromkeys(node.inputs):
        uses = [(i, other) for i, other in enumerate(node.inputs) if roots[other] == roots[name]]
        lasting = roots[name] in graph.constants or roots[name] in graph.states
        if not lasting and all(aligned(i, other) for i, other in uses):
            found.append(name)
    return tuple(found)
