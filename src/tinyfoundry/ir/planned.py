"""A graph with every activation and scratch buffer placed in the arena."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyfoundry.ir.graph import Graph


@dataclass(frozen=True)
class Planned:
    """Where every byte lives. ``graph.nodes`` is in execution order.

    offsets: byte offset in the arena of every activation, the graph's inputs and outputs included; a view has
    its source's, a view of a constant none.
    scratch: bytes of scratch each node needs while it runs (nodes without scratch absent). scratch_offsets:
    where it is.
    arena_bytes: size of the arena. lower_bound: no plan with this order and these aliases can use fewer
    bytes.
    """

    graph: Graph
    offsets: Mapping[str, int]
    scratch: Mapping[str, int]
    scratch_offsets: Mapping[str, int]
    arena_bytes: int
    lower_bound: int

    def __post_init__(self) -> None:
        for field in ("offsets", "scratch", "scratch_offsets"):
            object.__setattr__(self, field, MappingProxyType(dict(getattr(self, field))))

    @property
    def state_bytes(self) -> int:
        """Bytes of the arena that hold what one run leaves to the next."""
        return sum(self.graph.types[name].bytes for name in self.graph.states)
