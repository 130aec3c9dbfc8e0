"""What a network may cost, and the refusal of one that costs more."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from tinyfoundry.board import Board
from tinyfoundry.errors import DoesNotFit, OptionError
from tinyfoundry.jobs.measure import Measured
from tinyfoundry.plan.explain import peak
from tinyfoundry.search.cost import Bounds

MARGIN = 0.03
_STACK_BYTES = 512  # more than the kernels need, as far as measured


@dataclass(frozen=True)
class Limits:
    """What a user allows; None leaves it to the board, or for the latency to anything.

    ram: bytes of arena, stack and static data. flash: bytes of code and weights. latency_ms: of one inference
    at the board's clock.

    Raises:
        OptionError: one of them is not above 0, or no finite number.
    """

    ram: int | None = None
    flash: int | None = None
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not 0 < value < math.inf:
                raise OptionError(f"limit {name} {value}: wanted a number above 0")

    def on(self, board: Board) -> Bounds:
        """These limits with the board's own sizes as the outermost."""
        ram = board.ram_bytes if self.ram is None else min(self.ram, board.ram_bytes)
        flash = board.flash_bytes if self.flash is None else min(self.flash, board.flash_bytes)
        return Bounds(ram, flash, self.latency_ms)


def arena_bytes(ram: int | None, board: Board) -> int:
    """What the arena may have of a limit on all RAM, so that a stack is left."""
    return (board.ram_bytes if ram is None else min(ram, board.ram_bytes)) - _STACK_BYTES


def narrowed(bounds: Bounds) -> Bounds:
    """What a candidate of the search is held to: ``MARGIN`` less flash and time than the finished network.

    A candidate is measured with made-up scales; the trained network's own scales make other instructions.
    """
    late = None if bounds.latency_ms is None else bounds.latency_ms * (1 - MARGIN)
    return Bounds(bounds.sram, int(bounds.flash * (1 - MARGIN)), late)


def require(measured: Measured, bounds: Bounds) -> None:
    """Returns when the network is within the bounds.

    Raises:
        DoesNotFit: what is too large, by how much, and for SRAM which tensors make the peak.
    """
    name, cost = f"model '{measured.build.name}'", measured.cost
    sram, flash, late = bounds.excess(cost)
    if sram:
        top = peak(measured.build.planned)
        tensors = ", ".join(f"{tensor} {size:,} B" for tensor, size in top.tensors)
        ram = measured.ram
        raise DoesNotFit(
            f"{name} needs {cost.sram:,} bytes of SRAM (arena {ram.arena:,}, stack {ram.stack:,}, static "
            f"{ram.static:,}), {bounds.sram:,} are allowed, {sram:,} are missing; the peak is at layer "
            f"'{top.node}' ({top.op}): {tensors}; make these smaller, or raise the limit"
        )
    if flash:
        parts = measured.firmware.flash
        raise DoesNotFit(
            f"{name} needs {cost.flash:,} bytes of flash (code {parts.code:,}, weights {parts.weights:,}), "
            f"{bounds.flash:,} are allowed, {flash:,} are missing; use fewer channels or layers, "
            "or raise the limit"
        )
    if late:
        raise DoesNotFit(
            f"{name} takes {cost.latency_ms:.6g} ms on {measured.build.board.name}, "
            f"{bounds.latency_ms:.6g} ms are allowed, {late:.3g} ms are too many; "
            "use a smaller input or fewer channels, or raise the limit"
        )
