"""Plans a graph: tries its tricks together and apart, and keeps the smallest arena."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyfoundry.errors import GraphError, OptionError
from tinyfoundry.ir.graph import Graph
from tinyfoundry.ir.planned import Planned
from tinyfoundry.op import get_op
from tinyfoundry.plan.bound import lower_bound
from tinyfoundry.plan.lifetimes import Buffer, buffers_of
from tinyfoundry.plan.order import reorder
from tinyfoundry.plan.pack import pack


@dataclass(frozen=True)
class PlanOptions:
    """The planner's tricks, each a switch. Views share bytes always, because no kernel runs for them.

    in_place: outputs may overwrite inputs that die at that step. reorder: nodes may run in another order
    where that lowers the peak. search: look for better offsets when the greedy ones miss the lower bound.
    alignment: a power of two, in bytes; offsets and the arena's size are multiples of it (4: a word of a
    32-bit core).
    """

    in_place: bool = True
    reorder: bool = True
    search: bool = True
    alignment: int = 4

    def __post_init__(self) -> None:
        if self.alignment < 1 or self.alignment & (self.alignment - 1):
            raise OptionError(f"plan: alignment is {self.alignment}; wanted a power of two, 1, 2, 4, 8, ...")


_DEFAULT = PlanOptions()
_NO_SCRATCH: Mapping[str, int] = MappingProxyType({})


def plan(graph: Graph, scratch: Mapping[str, int] = _NO_SCRATCH, options: PlanOptions = _DEFAULT) -> Planned:
    """Places every activation and scratch buffer of ``graph`` in one arena.

    An input of the graph may be overwritten while the graph runs: it must be written before every run. All
    outputs may be read after the run. A state has a place of its own, where its update is written. Views of
    constants get no offset: their bytes are the constant's.

    scratch: name of a node -> bytes it needs while it runs, aligned for int32.

    Raises:
        GraphError: scratch of a node that the graph does not have, or a negative number of bytes.
    """
    _check_scratch(graph, scratch)
    best: Planned | None = None
    for ordered, buffers in _candidates(graph, scratch, options):
        bound = lower_bound(buffers)
        if best is not None and bound >= best.arena_bytes:
            continue
        planned = _placed(ordered, scratch, buffers, bound, options)
        if best is None or planned.arena_bytes < best.arena_bytes:
            best = planned
    assert best is not None
    return best


def _candidates(
    graph: Graph, scratch: Mapping[str, int], options: PlanOptions
) -> Iterator[tuple[Graph, list[Buffer]]]:
    """Orders and their buffers, the most promising first; also without each trick: it may hinder packing."""
    useful = options.in_place and any(get_op(node.op).updates for node in graph.nodes)
    choices = (True, False) if useful else (False,)
    orders = [reorder(graph, scratch, c, options.alignment) for c in choices] if options.reorder else []
    distinct = {tuple(n.name for n in order.nodes): order for order in (*orders, graph)}
    for candidate in distinct.values():
        for in_place in choices:
            yield candidate, buffers_of(candidate, scratch, in_place, options.alignment)


def _placed(
    graph: Graph, scratch: Mapping[str, int], buffers: list[Buffer], bound: int, options: PlanOptions
) -> Planned:
    offsets = pack(buffers, options.search)
    placed = list(zip(buffers, offsets, strict=True))
    return Planned(
        graph=graph,
        offsets={name: offset for buffer, offset in placed for name in buffer.tensors},
        scratch={node.name: scratch[node.name] for node in graph.nodes if scratch.get(node.name, 0)},
        scratch_offsets={b.scratch_of: offset for b, offset in placed if b.scratch_of is not None},
        arena_bytes=max((offset + buffer.size for buffer, offset in placed), default=0),
        lower_bound=bound,
    )


def _check_scratch(graph: Graph, scratch: Mapping[str, int]) -> None:
    names = {node.name for node in graph.nodes}
    for name, size in scratch.items():
        if name not in names:
            raise GraphError(f"plan of '{graph.name}': scratch for '{name}', but the graph has no such node")
        if size < 0:
            raise GraphError(
                f"plan of '{graph.name}': node '{name}' asks for {size} bytes of scratch, wanted >= 0"
            )
