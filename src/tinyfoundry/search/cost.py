"""What a candidate costs on the board, what it may cost, and which candidates no other one beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinyfoundry.search.arch import Arch


@dataclass(frozen=True)
class Cost:
    """Bytes of SRAM (arena, stack, static) and flash (code, weights); one inference in ms at the board's
    clock (None where the core has no timing model), instructions, and multiply-accumulates.
    """

    sram: int
    flash: int
    latency_ms: float | None
    instructions: int
    macs: int

    @property
    def time(self) -> float:
        """What is compared as time: ms, or instructions where there is no timing model."""
        return float(self.instructions) if self.latency_ms is None else self.latency_ms


@dataclass(frozen=True)
class Bounds:
    """What a network may cost on one board: most bytes of SRAM and flash, most ms of an inference (None: as
    long as it likes). ``jobs.limits.Limits`` is what a user says, and leaves open what the board decides.
    """

    sram: int
    flash: int
    latency_ms: float | None = None

    def excess(self, cost: Cost) -> tuple[float, float, float]:
        """Bytes of SRAM, bytes of flash and ms by which ``cost`` is above the limits; 0 where it is within.

        A time that nobody measured counts as within.
        """
        late = 0.0
        if self.latency_ms is not None and cost.latency_ms is not None:
            late = max(0.0, cost.latency_ms - self.latency_ms)
        return max(0, cost.sram - self.sram), max(0, cost.flash - self.flash), late

    def over(self, cost: Cost) -> float:
        """The excesses as shares of their limits, added up: 0 when the candidate fits."""
        sram, flash, late = self.excess(cost)
        return sram / max(self.sram, 1) + flash / max(self.flash, 1) + late / (self.latency_ms or 1.0)


@dataclass(frozen=True)
class Candidate:
    """An architecture, its measured cost, and its accuracy after a short training (None: it does not fit, so
    it was not trained).
    """

    arch: Arch
    cost: Cost
    accuracy: float | None


CostOf = Callable[[Arch], Cost]


def better(candidate: Candidate) -> tuple[float, float, int, int]:
    """Sort key, best first: accuracy, then time, SRAM, flash."""
    assert candidate.accuracy is not None
    cost = candidate.cost
    return -candidate.accuracy, cost.time, cost.sram, cost.flash


def front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The trained candidates that no other one beats or equals in accuracy, SRAM and time together; most
    accurate first.
    """
    trained = sorted((c for c in candidates if c.accuracy is not None), key=better)
    kept: list[Candidate] = []
    for candidate in trained:
        # Whatever could dominate it sorts before it.
        if not any(_dominates(other, candidate) for other in kept):
            kept.append(candidate)
    return tuple(kept)


def _dominates(a: Candidate, b: Candidate) -> bool:
    assert a.accuracy is not None and b.accuracy is not None
    return a.accuracy >= b.accuracy and a.cost.sram <= b.cost.sram and a.cost.time <= b.cost.time
