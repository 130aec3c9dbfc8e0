"""The dumb checker of plans: plays the graph on an arena where every byte knows who wrote it.

It shares no code with the planner and believes nothing it says but the offsets.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Graph, Node
from tinyfoundry.ir.planned import Planned
from tinyfoundry.op import get_op

_NOBODY = -1


def validate(planned: Planned) -> None:
    """Returns when the plan is sound.

    Sound means: every activation and scratch buffer lies inside the arena and is aligned (an activation to
    its element's size, scratch to 4 bytes); whatever a node reads, and every output after the last node, is
    still what its producer wrote, where a view is its source's bytes; scratch touches nothing its node reads
    or writes; and an output overwrites an input of its own node only where the op allows it, on exactly the
    same bytes. A state's bytes are written by its update alone, in the same place, and hold it at the end.

    Raises:
        GraphError: names the graph, the node and the first tensor that is not sound.
    """
    _check_places(planned)
    arena = _Arena(planned)
    first = (*planned.graph.states, *planned.graph.inputs)
    for name in first:
        arena.write(name)
    for name in first:
        arena.demand(name, "the graph's inputs are written")
    for node in planned.graph.nodes:
        _run(arena, node)
    kept = tuple(state.next for state in planned.graph.states.values())
    for name in (*planned.graph.outputs, *kept):
        arena.demand(name, "the last node has run")


class _Arena:
    """owner[i]: number of the tensor or scratch buffer that wrote byte i last."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self.graph = planned.graph
        self.owner = np.full(planned.arena_bytes, _NOBODY, np.int32)
        self.number = {name: i for i, name in enumerate(self.graph.types)}
        self.source = {name: name for name in self.graph.types}

    def span(self, name: str) -> slice:
        """The bytes of an activation."""
        offset = self.planned.offsets[name]
        return slice(offset, offset + self.graph.types[name].bytes)

    def write(self, name: str) -> None:
        """The activation's bytes become its own."""
        self.owner[self.span(name)] = self.number[name]

    def demand(self, name: str, when: str) -> None:
        """Complains unless all bytes of a tensor were written last by it, or by what it is a view of."""
        source = self.source[name]
        if source in self.graph.constants:
            return
        found = self.owner[self.span(name)]
        wrong = found[found != self.number[source]]
        if wrong.size:
            holder = self.holder(int(wrong[0]))
            _complain(
                self.graph, f"when {when}, {wrong.size} of the {found.size} bytes of '{name}' hold {holder}"
            )

    def holder(self, number: int) -> str:
        """What a byte holds, in words."""
        if number == _NOBODY:
            return "nothing"
        names = list(self.graph.types)
        return f"'{names[number]}'" if number < len(names) else "scratch"


def _run(arena: _Arena, node: Node) -> None:
    if get_op(node.op).view:
        _look(arena, node)
        return
    scratch = _scratch_span(arena.planned, node)
    _check_states(arena, scratch, "", f"scratch of '{node.name}'")
    # No tensor has this number, so bytes of scratch satisfy no reader, now or later.
    garbage = len(arena.number)
    arena.owner[scratch] = garbage
    for name in node.inputs:
        arena.demand(name, f"'{node.name}' reads")
    for position, name in enumerate(node.outputs):
        _check_overwriting(arena, node, position)
        _check_states(arena, arena.span(name), name, f"output '{name}' of '{node.name}'")
        arena.write(name)
    for name in node.outputs:
        arena.demand(name, f"'{node.name}' has written")
    if (arena.owner[scratch] != garbage).any():
        _complain(arena.graph, f"an output of '{node.name}' overlaps its scratch")


def _look(arena: _Arena, node: Node) -> None:
    """A view: nothing runs; the bytes must be there already."""
    source, view = node.inputs[0], node.outputs[0]
    arena.source[view] = arena.source[source]
    found, wanted = arena.planned.offsets.get(view), arena.planned.offsets.get(source)
    if found != wanted:
        _complain(arena.graph, f"'{view}' is a view of '{source}' but is at {found}, not {wanted}")
    arena.demand(source, f"'{node.name}' looks at it")
    arena.demand(view, f"'{node.name}' looks at it")


def _check_overwriting(arena: _Arena, node: Node, position: int) -> None:
    """An output may meet an input of its node only where the op says so, byte on byte, element on element."""
    output = node.outputs[position]
    for index, name in enumerate(node.inputs):
        if name not in arena.planned.offsets:
            continue
        a, b = arena.span(output), arena.span(name)
        if a.stop <= b.start or b.stop <= a.start:
            continue
        allowed = (index, position) in get_op(node.op).updates
        if not allowed or a != b or arena.graph.types[output].shape != arena.graph.types[name].shape:
            _complain(arena.graph, f"output '{output}' of '{node.name}' may not overwrite its input '{name}'")


def _check_states(arena: _Arena, written: slice, output: str, what: str) -> None:
    """Of the bytes of a state nothing may be written but all, by its update."""
    for name, state in arena.graph.states.items():
        own = arena.span(name)
        if output == state.next and written != own:
            _complain(arena.graph, f"'{output}' is the update of '{name}' but lies elsewhere")
        apart = written.stop <= own.start or own.stop <= written.start or written.start == written.stop
        if output != state.next and not apart:
            _complain(arena.graph, f"{what} overwrites state '{name}'")


def _check_places(planned: Planned) -> None:
    graph, nodes = planned.graph, {node.name for node in planned.graph.nodes}
    in_flash = _views_of_constants(graph)
    wanted = {name for name in graph.activations() if name not in in_flash}
    if set(planned.offsets) != wanted:
        _complain(graph, f"offsets given or missing unduly for {sorted(set(planned.offsets) ^ wanted)}")
    if set(planned.scratch_offsets) != set(planned.scratch) or not set(planned.scratch) <= nodes:
        _complain(graph, "scratch, its offsets and the nodes do not go together")
    for name, offset in planned.offsets.items():
        type_ = graph.types[name]
        _check_place(planned, f"'{name}'", offset, type_.bytes, type_.dtype.bytes)
    for name, offset in planned.scratch_offsets.items():
        _check_place(planned, f"scratch of '{name}'", offset, planned.scratch[name], 4)
    if planned.lower_bound > planned.arena_bytes:
        _complain(graph, f"arena of {planned.arena_bytes} bytes is below the bound {planned.lower_bound}")


def _check_place(planned: Planned, what: str, offset: int, size: int, alignment: int) -> None:
    if offset < 0 or offset + size > planned.arena_bytes:
        _complain(
            planned.graph,
            f"{what} lies at {offset}..{offset + size}, outside the arena of {planned.arena_bytes} bytes",
        )
    if offset % alignment:
        _complain(planned.graph, f"{what} lies at {offset}, which is no multiple of {alignment}")


def _views_of_constants(graph: Graph) -> set[str]:
    found: set[str] = set()
    for node in graph.nodes:
        if get_op(node.op).view and (node.inputs[0] in graph.constants or node.inputs[0] in found):
            found.add(node.outputs[0])
    return found


def _scratch_span(planned: Planned, node: Node) -> slice:
    sizes: Mapping[str, int] = planned.scratch
    start = planned.scratch_offsets.get(node.name, 0)
    return slice(start, start + sizes.get(node.name, 0))


def _complain(graph: Graph, text: str) -> None:
    raise GraphError(f"plan of '{graph.name}': {text}; this is a bug of the planner, please report the model")
