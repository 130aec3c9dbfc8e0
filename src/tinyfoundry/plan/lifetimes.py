"""The buffers that a graph needs when its nodes run in order, and the steps during which each is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyfoundry.ir.graph import Graph
from tinyfoundry.op import view_roots
from tinyfoundry.plan.aliases import overwritable

SCRATCH_ALIGNMENT = 4
"""Scratch may hold int32 values."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that are needed from step ``start`` to step ``end``, both included; step i runs node i.

    tensors: the activations that live there, one after the other or as views of each other; none for scratch.
    scratch_of: name of the node whose scratch it is. size: bytes, a multiple of the plan's alignment.
    alignment: its offset must be a multiple of this many bytes.
    """

    tensors: tuple[str, ...]
    start: int
    end: int
    size: int
    alignment: int
    scratch_of: str | None = None


@dataclass
class _Group:
    """A buffer in the making."""

    start: int
    tensors: list[str] = field(default_factory=list)


def buffers_of(graph: Graph, scratch: Mapping[str, int], in_place: bool, alignment: int) -> list[Buffer]:
    """Every buffer of ``graph``: those of its tensors in the order they are first written, then the scratch.

    The graph's inputs are needed from step 0 on, because they are written before the run; its outputs up to
    the last step, because they are read after it. A state and its update are one buffer, needed all the time.
    Views share the buffer of their source; views of constants have none.

    scratch: bytes each node needs while it runs. in_place: whether outputs may overwrite inputs that die at
    that step.
    alignment: a power of two; every offset and size is a multiple of it.
    """
    last_use = _last_uses(graph)
    groups = _group(graph, last_use, in_place)
    buffers = [_finish(graph, group, last_use, alignment) for group in groups]
    for step, node in enumerate(graph.nodes):
        if scratch.get(node.name, 0):
            place = max(alignment, SCRATCH_ALIGNMENT)
            size = align_up(scratch[node.name], alignment)
            buffers.append(Buffer((), step, step, size, place, node.name))
    return buffers


def align_up(value: int, alignment: int) -> int:
    """The smallest multiple of ``alignment`` that is not below ``value``."""
    return -(-value // alignment) * alignment


def _last_uses(graph: Graph) -> dict[str, int]:
    """The last step that writes or reads each activation; the last of all for what outlives the run."""
    uses = dict.fromkeys(graph.inputs, 0)
    for step, node in enumerate(graph.nodes):
        uses |= dict.fromkeys((*node.inputs, *node.outputs), step)
    return uses | dict.fromkeys(_lasting(graph), max(len(graph.nodes) - 1, 0))


def _lasting(graph: Graph) -> tuple[str, ...]:
    """What is needed after the last step: outputs, states and their updates."""
    return (*graph.lasting, *graph.states)


def _group(graph: Graph, last_use: dict[str, int], in_place: bool) -> list[_Group]:
    roots = view_roots(graph)
    of: dict[str, _Group] = {}
    for name in (*graph.inputs, *graph.states):
        of[name] = _Group(0, [name])
    updated = {state.next: name for name, state in graph.states.items()}
    for step, node in enumerate(graph.nodes):
        for position, name in enumerate(node.outputs):
            root = roots[name]
            if root in graph.constants:
                continue
            group = of.get(updated.get(name, root))
            if group is None and in_place:
                group = _dying(graph, overwritable(graph, node, position, roots), step, of, last_use)
            of[name] = group = group or _Group(step)
            group.tensors.append(name)
    return list({id(group): group for group in of.values()}.values())


def _dying(
    graph: Graph, names: tuple[str, ...], step: int, of: dict[str, _Group], last_use: dict[str, int]
) -> _Group | None:
    """The first group among those of ``names`` that nothing needs after ``step``."""
    busy = {*_lasting(graph), *graph.nodes[step].outputs}
    for name in names:
        group = of[name]
        if all(last_use[tensor] <= step and tensor not in busy for tensor in group.tensors):
            return group
    return None


def _finish(graph: Graph, group: _Group, last_use: dict[str, int], alignment: int) -> Buffer:
    types = [graph.types[name] for name in group.tensors]
    end = max(last_use[name] for name in group.tensors)
    place = max(alignment, *(type_.dtype.bytes for type_ in types))
    return Buffer(tuple(group.tensors), group.start, end, align_up(types[0].bytes, alignment), place)
