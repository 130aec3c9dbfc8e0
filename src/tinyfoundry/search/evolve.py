"""Evolution over a space of architectures under the limits of a board.

Regularly: a few random candidates first, then children of the best so far by mutation and crossover (Real et
al., "Regularized Evolution", 2019; Cai et al., "Once for All", 2020, section 3.4). What is particular here:
the cost of a candidate is measured by the caller's compiler and simulator before a weight is trained, a
candidate that does not fit is never trained, and one that is larger in every respect than one that did not
fit is not even measured.

The order of candidates is a function of the settings and of the candidates before the present generation. So
a search that was interrupted goes on with the very candidates it would have had, and it matters not how many
run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyfoundry.errors import DoesNotFit, OptionError
from tinyfoundry.search.arch import Arch
from tinyfoundry.search.cost import Bounds, Candidate, CostOf, better, front
from tinyfoundry.search.history import Diary, Entry
from tinyfoundry.search.propose import Settings, propose
from tinyfoundry.search.space import Space

Mapper = Callable[[Callable[[Arch], Entry], Iterable[Arch]], Iterable[Entry]]
"""Applies a function to items and yields the results in order: ``map``, or ``Executor.map`` for several at
once.
"""

# A search stops where this many candidates did not fit, of which the first is the smallest there is.
_UNFIT_AT_FIRST, _UNFIT_A_TRAINING = 10, 25


@dataclass(frozen=True)
class Budget:
    """When to stop: after so many trained candidates, or so many seconds (those of earlier runs of the same
    search included); whichever comes first.
    """

    evaluations: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.evaluations, self.seconds) if value is not None]
        if not given or min(given) <= 0:
            raise OptionError(
                f"search budget: found {self}; wanted evaluations or seconds, above 0; give one of them"
            )


@dataclass(frozen=True)
class Step:
    """Where a search stands: ``done`` of about ``total`` trainings, candidates that did not fit, best
    accuracy so far (None before the first), estimated seconds left.
    """

    done: int
    total: int
    unfit: int
    best: float | None
    seconds_left: float


@dataclass(frozen=True)
class Outcome:
    """All candidates in order; ``best`` is the most accurate (the cheapest of equals); ``front``: see
    ``cost.front``.
    """

    candidates: tuple[Candidate, ...]
    best: Candidate
    front: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Evaluate:
    """Cost first; accuracy only of what fits. Picklable when its parts are, so that other processes can run
    it.
    """

    cost: CostOf
    accuracy: Callable[[Arch], float]
    limits: Bounds

    def __call__(self, arch: Arch) -> Entry:
        started = time.perf_counter()
        cost = self.cost(arch)
        score = self.accuracy(arch) if self.limits.over(cost) == 0 else None
        return Entry(Candidate(arch, cost, score), time.perf_counter() - started)


@dataclass
class _Search:
    space: Space
    limits: Bounds
    budget: Budget
    settings: Settings
    diary: Diary
    progress: Callable[[Step], None] | None
    started: float = field(default_factory=time.perf_counter)
    before: float = 0.0

    @property
    def candidates(self) -> list[Candidate]:
        return [entry.candidate for entry in self.diary.entries]

    def trained(self) -> int:
        return sum(candidate.accuracy is not None for candidate in self.candidates)

    def finished(self) -> bool:
        if not self.diary.entries:
            return False
        trained, unfit = self.trained(), len(self.diary.entries) - self.trained()
        enough = self.budget.evaluations is not None and trained >= self.budget.evaluations
        late = self.budget.seconds is not None and self.spent() >= self.budget.seconds
        return enough or late or unfit >= _UNFIT_AT_FIRST + _UNFIT_A_TRAINING * trained

    def spent(self) -> float:
        return self.before + time.perf_counter() - self.started

    def record(self, entry: Entry) -> None:
        self.diary.add(entry)
        if self.progress:
            self.progress(self.step())

    def step(self) -> Step:
        done = self.trained()
        each = self.spent() / max(done, 1)
        by_time = np.inf if self.budget.seconds is None else max(0.0, self.budget.seconds - self.spent())
        by_count = (
            np.inf if self.budget.evaluations is None else each * max(0, self.budget.evaluations - done)
        )
        left = float(min(by_time, by_count))
        best = max((c.accuracy for c in self.candidates if c.accuracy is not None), default=None)
        return Step(done, done + round(left / each), len(self.diary.entries) - done, best, left)


def evolve(
    space: Space,
    cost: CostOf,
    accuracy: Callable[[Arch], float],
    limits: Bounds,
    budget: Budget,
    *,
    settings: Settings | None = None,
    diary: Path | None = None,
    progress: Callable[[Step], None] | None = None,
    mapper: Mapper = map,
) -> Outcome:
    """The best architecture of ``space`` that fits, found within ``budget``.

    cost: measures an architecture on the board. accuracy: on validation samples after a short training, 0..1;
    asked only for architectures that fit. Both must give the same answer for the same architecture. diary: a
    file to which every candidate is appended; a rerun goes on from it, and with a budget in evaluations ends
    as an uninterrupted run would.

    Raises:
        DoesNotFit: nothing fits; says what the closest candidate needs. OptionError: the diary is of another
        search. InputError: the diary is damaged.
    """
    chosen = settings or Settings()
    entries = Diary(diary, _identity(space, limits, chosen))
    search = _Search(space, limits, budget, chosen, entries, progress)
    # What earlier runs spent counts against a budget in seconds.
    search.before = sum(entry.seconds for entry in entries.entries)
    evaluate = _Evaluate(cost, accuracy, limits)
    for generation in _generations(search):
        for entry in mapper(evaluate, generation):
            search.record(entry)
            if search.finished():
                break
    return _outcome(search)


def _generations(search: _Search) -> Iterator[Sequence[Arch]]:
    """The candidates still to evaluate, generation by generation."""
    size = search.settings.generation
    while not search.finished():
        start = len(search.diary.entries) // size * size
        past = search.candidates[:start]
        proposed: list[Arch] = []
        for place in range(size):
            rng = np.random.default_rng((search.settings.seed, start + place))
            arch = propose(search.space, search.limits, search.settings, past, proposed, rng)
            if arch is not None:
                proposed.append(arch)
        left = proposed[len(search.diary.entries) - start :]
        if not left:  # the space is used up
            return
        yield left


def _identity(space: Space, limits: Bounds, settings: Settings) -> dict[str, Any]:
    return {"space": asdict(space), "limits": asdict(limits), **asdict(settings)}


def _outcome(search: _Search) -> Outcome:
    candidates = search.candidates
    trained = [candidate for candidate in candidates if candidate.accuracy is not None]
    if not trained:
        raise _does_not_fit(candidates, search.limits)
    return Outcome(tuple(candidates), min(trained, key=better), front(candidates))


def _does_not_fit(candidates: Sequence[Candidate], limits: Bounds) -> DoesNotFit:
    closest = min(candidates, key=lambda candidate: limits.over(candidate.cost))
    sram, flash, late = limits.excess(closest.cost)
    parts = [
        f"{sram:.0f} bytes more SRAM ({closest.cost.sram} of {limits.sram})" if sram else "",
        f"{flash:.0f} bytes more flash ({closest.cost.flash} of {limits.flash})" if flash else "",
        f"{late:.3g} ms more time ({closest.cost.latency_ms:.3g} of {limits.latency_ms:.3g})" if late else "",
    ]
    return DoesNotFit(
        f"search: nothing fits; the closest of {len(candidates)} candidates needs "
        f"{' and '.join(filter(None, parts))}; raise the limits or take a larger board"
    )
