"""What a plan means for a person: what makes the peak, where everything lies when, what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyfoundry.errors import DoesNotFit
from tinyfoundry.ir.planned import Planned
from tinyfoundry.plan.lifetimes import buffers_of


@dataclass(frozen=True, slots=True)
class Rect:
    """A tensor (with its views) or the scratch of a node in the memory map.

    name: the tensor's, or the node's for scratch. start, end: first and last step that needs it, both
    included; step i runs node i. Where an output overwrites an input, both rectangles cover the same bytes at
    that one step.
    offset, size: bytes in the arena. kind: "input", "output", "state", "activation" or "scratch".
    """

    name: str
    start: int
    end: int
    offset: int
    size: int
    kind: str

    @property
    def label(self) -> str:
        """Its name for a person."""
        return f"scratch of {self.name}" if self.kind == "scratch" else self.name


@dataclass(frozen=True, slots=True)
class Peak:
    """The step with the most live bytes, the first of them when there are several.

    step: its index. node, op: the node that runs and its op; "" in a graph without nodes. live_bytes: bytes
    needed there. tensors: (name, bytes) of what is live, largest first; an input and the output that
    overwrites it are one entry.
    """

    step: int
    node: str
    op: str
    live_bytes: int
    tensors: tuple[tuple[str, int], ...]


def rectangles(planned: Planned) -> list[Rect]:
    """Every tensor with bytes of its own, in the order they are written, then the scratch of every node."""
    graph, found = planned.graph, []
    outputs = set(graph.outputs)
    for buffer in buffers_of(graph, planned.scratch, in_place=False, alignment=1):
        if buffer.scratch_of is not None:
            name, offset, kind = buffer.scratch_of, planned.scratch_offsets[buffer.scratch_of], "scratch"
        else:
            name, offset = buffer.tensors[0], planned.offsets[buffer.tensors[0]]
            made = "output" if outputs & set(buffer.tensors) else "activation"
            kind = "input" if name in graph.inputs else "state" if name in graph.states else made
        found.append(Rect(name, buffer.start, buffer.end, offset, buffer.size, kind))
    return found


def live_bytes(planned: Planned) -> dict[str, int]:
    """Name of each node -> bytes of the arena that are needed while it runs, padding and gaps not counted."""
    rects = rectangles(planned)
    return {node.name: _covered(_at(rects, step)) for step, node in enumerate(planned.graph.nodes)}


def peak(planned: Planned) -> Peak:
    """What makes the peak."""
    rects = rectangles(planned)
    steps = range(max(len(planned.graph.nodes), 1))
    step = max(steps, key=lambda s: _covered(_at(rects, s)))
    node = planned.graph.nodes[step] if planned.graph.nodes else None
    places: dict[tuple[int, int], list[str]] = {}
    for rect in _at(rects, step):
        places.setdefault((rect.offset, rect.size), []).append(rect.label)
    tensors = sorted(((" = ".join(names), size) for (_, size), names in places.items()), key=lambda t: -t[1])
    name, op = (node.name, node.op) if node else ("", "")
    return Peak(step, name, op, _covered(_at(rects, step)), tuple(tensors))


def require_fit(planned: Planned, available: int, what: str) -> None:
    """Returns when the arena fits.

    available: bytes there are for the arena. what: what has or sets them, as "the RAM of nucleo-f446re" or
    "--max-ram".

    Raises:
        DoesNotFit: bytes needed, available and missing, the layer at the peak, the tensors that make it, and
        what to try.
    """
    missing = planned.arena_bytes - available
    if missing <= 0:
        return
    top = peak(planned)
    tensors = ", ".join(f"{name} {size:,} B" for name, size in top.tensors)
    gaps = planned.arena_bytes - top.live_bytes
    where = f"at layer '{top.node}' ({top.op})" if top.node else "before any layer"
    raise DoesNotFit(
        f"model '{planned.graph.name}' does not fit in {what}: it needs {planned.arena_bytes:,} bytes,"
        f" {available:,} are available, {missing:,} are missing; the peak is {where}:"
        f" {tensors}{f', padding and gaps {gaps:,} B' if gaps else ''};"
        " make these smaller (input resolution, channels, an earlier stride) or choose a board with more RAM"
    )


def _at(rects: Sequence[Rect], step: int) -> list[Rect]:
    return [rect for rect in rects if rect.start <= step <= rect.end]


def _covered(rects: Sequence[Rect]) -> int:
    """Bytes that lie in at least one of the rectangles."""
    total, reached = 0, 0
    for rect in sorted(rects, key=lambda r: r.offset):
        total += max(rect.offset + rect.size - max(rect.offset, reached), 0)
        reached = max(reached, rect.offset + rect.size)
    return total
