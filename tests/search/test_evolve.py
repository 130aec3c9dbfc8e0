"""The search: it finds, repeats itself, goes on after a break, keeps to the limits, and says when nothing
fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyfoundry.errors import DoesNotFit, InputError, OptionError
from tinyfoundry.search.arch import Arch, encode
from tinyfoundry.search.cost import Bounds, Candidate, Cost, front
from tinyfoundry.search.evolve import Budget, Outcome, Step, evolve
from tinyfoundry.search.propose import Settings, estimate, propose
from tinyfoundry.search.recipe import Labelled, Recipe
from tinyfoundry.search.space import Space, smallest, space_for
from tinyfoundry.search.trial import Trial, untrained

SPACE = space_for("image", (8, 8, 1))
LIMITS = Bounds(sram=6000, flash=12000)


def cost(arch: Arch) -> Cost:
    """A cost by counting: what these tests need of a compiler is that sizes differ and repeat."""
    size = estimate(SPACE.shape, arch)
    return Cost(size.activations + 1000, size.weights + 4000, size.macs / 50_000, 3 * size.macs, size.macs)


def accuracy(arch: Arch) -> float:
    """More weights in more blocks are better, up to a point: a landscape with a known direction."""
    return round(1 - 1 / (1 + estimate(SPACE.shape, arch).weights / 500 + len(arch.blocks)), 4)


def search(**changes: object) -> Outcome:
    options = {
        "space": SPACE,
        "cost": cost,
        "accuracy": accuracy,
        "limits": LIMITS,
        "budget": Budget(evaluations=40),
    }
    return evolve(**{**options, **changes})  # type: ignore[arg-type]


def interrupt_after(count: int) -> Callable[[Step], None]:
    def progress(step: Step) -> None:
        if step.done + step.unfit == count:
            raise KeyboardInterrupt

    return progress


def test_it_finds_better_than_chance_and_keeps_to_the_limits() -> None:
    found = [search(settings=Settings(seed=seed)) for seed in range(6)]
    chance = [search(settings=Settings(seed=seed, initial=40)) for seed in range(6)]
    assert mean_best(found) > mean_best(chance)
    for outcome in found:
        assert LIMITS.over(outcome.best.cost) == 0
        assert sum(candidate.accuracy is not None for candidate in outcome.candidates) == 40


def mean_best(outcomes: list[Outcome]) -> float:
    return float(np.mean([outcome.best.accuracy for outcome in outcomes]))


def test_misfits_are_measured_and_never_trained() -> None:
    trained: list[Arch] = []
    found = search(accuracy=lambda arch: trained.append(arch) or accuracy(arch))
    unfit = [candidate for candidate in found.candidates if candidate.accuracy is None]
    assert 0 < len(unfit) < 40
    assert all(LIMITS.over(candidate.cost) > 0 for candidate in unfit)
    assert [c.arch for c in found.candidates if c.accuracy is not None] == trained
    assert len({encode(candidate.arch) for candidate in found.candidates}) == len(found.candidates)


def test_the_seed_decides_everything() -> None:
    one, two, other = (search(settings=Settings(seed=seed)) for seed in (1, 1, 2))
    assert one == two
    assert one.candidates != other.candidates


def test_running_several_at_once_changes_nothing() -> None:
    with ThreadPoolExecutor(3) as pool:
        assert search(mapper=pool.map) == search()


@pytest.mark.parametrize("count", [1, 4, 7, 23])
def test_an_interrupted_search_ends_as_one_without_a_break(tmp_path: Path, count: int) -> None:
    diary = tmp_path / "search.jsonl"
    with pytest.raises(KeyboardInterrupt):
        search(diary=diary, progress=interrupt_after(count))
    measured: list[Arch] = []
    resumed = search(diary=diary, cost=lambda arch: measured.append(arch) or cost(arch))
    assert resumed == search()
    assert len(measured) == len(resumed.candidates) - count
    assert search(diary=diary, cost=lambda arch: pytest.fail("measured again")) == resumed


def test_a_larger_budget_goes_on_from_a_finished_search(tmp_path: Path) -> None:
    diary = tmp_path / "search.jsonl"
    search(diary=diary, budget=Budget(evaluations=13))
    assert search(diary=diary) == search()


def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    diary = tmp_path / "search.jsonl"
    search(diary=diary, budget=Budget(evaluations=9))
    diary.write_text(diary.read_text()[:-30])
    assert search(diary=diary) == search()
    diary.write_text('{"settings": {"sp')
    assert search(diary=diary) == search()


def test_a_diary_of_another_search_is_refused(tmp_path: Path) -> None:
    diary = tmp_path / "search.jsonl"
    search(diary=diary, budget=Budget(evaluations=2))
    with pytest.raises(
        OptionError, match=r"search.jsonl: found a search with other settings \(limits, seed\); wanted"
    ):
        search(diary=diary, limits=replace(LIMITS, sram=1), settings=Settings(seed=3))
    with pytest.raises(OptionError, match=r"other settings \(tag\)"):
        search(diary=diary, settings=Settings(tag="other data"))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("nonsense", "found Expecting value"),
        ("[]", "found a list"),
        ("{}", "found no architecture"),
        ('{"arch": null}', "found no architecture"),
    ],
)
def test_a_damaged_diary_is_refused(tmp_path: Path, line: str, found: str) -> None:
    diary = tmp_path / "search.jsonl"
    search(diary=diary, budget=Budget(evaluations=2))
    lines = diary.read_text().splitlines()
    diary.write_text("\n".join([lines[0], line, *lines[2:], ""]))
    with pytest.raises(InputError, match=f"search.jsonl, line 2: {found}"):
        search(diary=diary)
    record = json.loads(lines[1])
    diary.write_text("\n".join([lines[0], json.dumps({**record, "cost": {"sram": 1}}), ""]))
    with pytest.raises(InputError, match=r"search\.jsonl, line 2: found TypeError"):
        search(diary=diary)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"seconds": -1}, "ValueError: seconds -1"),
        ({"seconds": float("nan")}, "ValueError: seconds nan"),
        ({"seconds": "2"}, "ValueError: seconds '2'"),
        ({"accuracy": 1.5}, "ValueError: accuracy 1.5"),
        ({"accuracy": "good"}, "ValueError: accuracy 'good'"),
        ({"cost": {"sram": "1"}}, "ValueError: sram '1'"),
        ({"cost": {"macs": -1}}, "ValueError: macs -1"),
        ({"cost": {"latency_ms": True}}, "ValueError: latency_ms True"),
    ],
)
def test_numbers_of_a_diary_that_are_none(tmp_path: Path, change: dict[str, object], found: str) -> None:
    diary = tmp_path / "search.jsonl"
    search(diary=diary, budget=Budget(evaluations=2))
    lines = diary.read_text().splitlines()
    record = json.loads(lines[1])
    inner = change.get("cost")
    record |= {"cost": {**record["cost"], **inner}} if isinstance(inner, dict) else change
    diary.write_text("\n".join([lines[0], json.dumps(record), ""]))
    with pytest.raises(InputError, match=rf"search\.jsonl, line 2: found {re.escape(found)};"):
        search(diary=diary)


def test_nothing_fits_and_the_closest_is_named() -> None:
    asked: list[Cost] = []

    def measured(arch: Arch) -> Cost:
        asked.append(cost(arch))
        return asked[-1]

    limits = Bounds(sram=1200, flash=12000)
    with pytest.raises(DoesNotFit) as caught:
        search(cost=measured, limits=limits)
    closest = min(each.sram for each in asked)
    message = rf"nothing fits; the closest of {len(asked)} candidates needs {closest - 1200} bytes more SRAM "
    assert message + f"({closest} of 1200); raise the limits" in str(caught.value)
    assert cost(smallest(SPACE)).sram == closest
    with pytest.raises(
        DoesNotFit, match=r"bytes more flash \(\d+ of 4001\) and .* ms more time \(.* of 1e-05\)"
    ):
        search(limits=Bounds(sram=10**6, flash=4001, latency_ms=1e-5))


def test_a_budget_in_seconds_ends_and_counts_earlier_runs(tmp_path: Path) -> None:
    diary = tmp_path / "search.jsonl"
    search(diary=diary, budget=Budget(seconds=0.2))
    lines = len(diary.read_text().splitlines())
    assert lines > 2
    text = diary.read_text().splitlines()
    record = {**json.loads(text[1]), "seconds": 1000.0}
    diary.write_text("\n".join([text[0], json.dumps(record), *text[2:], ""]))
    search(diary=diary, budget=Budget(seconds=500))
    assert len(diary.read_text().splitlines()) == lines


@pytest.mark.parametrize("budget", [{}, {"evaluations": 0}, {"seconds": -1.0}])
def test_a_budget_must_be_above_zero(budget: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=r"search budget: found .*; wanted evaluations or seconds, above 0"):
        Budget(**budget)  # type: ignore[arg-type]


def test_progress_counts_up_to_the_total() -> None:
    steps: list[Step] = []
    found = search(progress=steps.append)
    assert len(steps) == len(found.candidates)
    assert (steps[-1].done, steps[-1].total, steps[-1].seconds_left) == (40, 40, 0.0)
    assert steps[-1].best == found.best.accuracy


def test_a_small_space_is_used_up() -> None:
    single = replace(
        SPACE, width=(1.0,), stem_channels=(8,), depth=(2, 2), kernel=((3, 3),), stride=((1, 1),),
        expansion=(1,), channels=(8, 16), skip=(False,),
    )  # fmt: skip
    found = search(space=single)
    assert len(found.candidates) == 4
    assert search(space=single) == found


def test_larger_than_a_misfit_is_not_measured() -> None:
    rng = np.random.default_rng(0)
    small = smallest(SPACE)
    unfit = Candidate(small, Cost(LIMITS.sram + 1, 1, None, 1, 1), None)
    limit = 1.1 * estimate(SPACE.shape, small).activations
    for place in range(20):
        arch = propose(SPACE, LIMITS, Settings(), [unfit], [], np.random.default_rng(place))
        assert arch is None or estimate(SPACE.shape, arch).activations <= limit
    assert propose(SPACE, LIMITS, Settings(), [], [], rng) == small


costs = st.builds(
    Cost, sram=st.integers(1, 4), flash=st.integers(1, 4), latency_ms=st.integers(1, 4).map(float),
    instructions=st.just(1), macs=st.just(1),
)  # fmt: skip
candidates = st.lists(
    st.builds(
        Candidate, arch=st.just(smallest(SPACE)), cost=costs, accuracy=st.sampled_from([None, 0.1, 0.2, 0.3])
    ),
    max_size=12,
)


@given(candidates)
def test_the_front_is_what_no_other_beats(found: list[Candidate]) -> None:
    def key(candidate: Candidate) -> tuple[float, int, float]:
        assert candidate.accuracy is not None
        return -candidate.accuracy, candidate.cost.sram, candidate.cost.time

    trained = [key(candidate) for candidate in found if candidate.accuracy is not None]
    beaten = {
        k for k in trained if any(o != k and all(a <= b for a, b in zip(o, k, strict=True)) for o in trained)
    }
    kept = [key(candidate) for candidate in front(found)]
    assert set(kept) == set(trained) - beaten
    assert len(kept) == len(set(kept))
    assert kept == sorted(kept, key=lambda k: k[0])


def test_without_a_timing_model_instructions_are_compared() -> None:
    slow, fast = Cost(1, 1, None, 200, 1), Cost(1, 1, None, 100, 1)
    arch = smallest(SPACE)
    assert front([Candidate(arch, slow, 0.5), Candidate(arch, fast, 0.5)]) == (Candidate(arch, fast, 0.5),)
    assert Bounds(10, 10, latency_ms=0.001).over(slow) == 0


def test_a_trial_trains_and_an_untrained_network_compiles_to_the_same_shape() -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    x = ((data.images - 4.88) / 6.0).astype(np.float32)[:, :, :, None]
    y = data.target.astype(np.int64)
    trial = Trial(Labelled(x[:1000], y[:1000]), Labelled(x[1000:1400], y[1000:1400]), 10, Recipe(epochs=3))
    small, large = smallest(SPACE), _large(SPACE)
    assert 0.15 < trial(small) < trial(large)
    assert trial(small) == trial(small)
    graph = untrained(large, (8, 8, 1), 10)
    assert {graph.types[name].dtype.value for name in graph.activations()} == {"int8"}
    assert graph.types[graph.outputs[0]].shape == (1, 10)


def _large(space: Space) -> Arch:
    rng = np.random.default_rng(0)
    arches = [
        arch
        for arch in (propose(space, LIMITS, Settings(), [], [smallest(space)], rng) for _ in range(20))
        if arch
    ]
    return max(arches, key=lambda arch: estimate(space.shape, arch).weights)
