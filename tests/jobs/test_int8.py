"""The int8 network of a build is the better of two, by its compiled C."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tinyfoundry.board import load_board
from tinyfoundry.data import Splits, load, split
from tinyfoundry.interpret import entering, interpret
from tinyfoundry.ir.graph import Graph
from tinyfoundry.jobs.assemble import Job
from tinyfoundry.jobs.int8 import better_int8, host_accuracy, quantised
from tinyfoundry.jobs.limits import Limits
from tinyfoundry.pipeline import Options
from tinyfoundry.search.arch import Arch, Block
from tinyfoundry.search.network import network
from tinyfoundry.search.recipe import Labelled, Recipe
from tinyfoundry.search.train import accuracy, train

BLOCKS = (Block((3, 3), (1, 1), 2, 8, skip=False), Block((3, 3), (1, 1), 2, 8, skip=True))
ARCH = Arch((1, 1), 1.0, (3, 3), (2, 2), 4, BLOCKS)
RECIPE = Recipe(epochs=6)


@pytest.fixture(scope="module")
def splits() -> Splits:
    whole = split(load("digits"))
    return replace(
        whole, validation=replace(whole.validation, x=whole.validation.x[:150], y=whole.validation.y[:150])
    )


@pytest.fixture(scope="module")
def graph(splits: Splits) -> Graph:
    fresh = network(ARCH, (8, 8, 1), 10, np.random.default_rng(0))
    return train(fresh, Labelled(splits.train.x, splits.train.y), RECIPE)


def test_the_accuracy_is_that_of_the_reference(splits: Splits, graph: Graph) -> None:
    int8, samples = quantised(graph, splits).graph, Labelled(splits.validation.x, splits.validation.y)
    stored = entering(int8.types["x"], samples.x)
    picked = [int(np.argmax(interpret(int8, [x[None]])[0])) for x in stored]
    assert host_accuracy(int8, load_board("nucleo-f446re"), samples) == np.mean(picked == samples.y)


def test_the_better_network_is_kept_and_tuned_only_where_int8_lost(splits: Splits, graph: Graph) -> None:
    told: dict[str, str] = {}

    def progress(stage: str, _done: float, _total: float, note: str = "") -> None:
        told[stage] = note

    job = Job(load_board("nucleo-f446re"), Limits(), Options(), {}, progress)
    validation = Labelled(splits.validation.x, splits.validation.y)
    before = host_accuracy(quantised(graph, splits).graph, job.board, validation)
    found = better_int8(job, graph, splits, RECIPE, seconds=2.0, seed=0)
    after = host_accuracy(found, job.board, validation)
    assert after >= before
    lost = before < accuracy(graph, validation)
    assert ("tune" in told) == lost
    assert f"validation accuracy {100 * before:.1f} %" in told["quantise"]


def unequal(graph: Graph) -> Graph:
    """The same function with channels that no pair of layers can even out: an add reads them too."""
    factor = np.exp(np.linspace(-3.5, 3.5, 8)).astype(np.float32)
    changed = dict(graph.constants)
    for name in ("block0_project", "block1_project"):
        changed[f"{name}_w"] = changed[f"{name}_w"] * factor[:, None, None, None]
        changed[f"{name}_b"] = changed[f"{name}_b"] * factor
    for name in ("block1_expand_w", "classifier_w"):
        changed[name] = changed[name] / factor
    return replace(graph, constants=changed)


def test_what_int8_loses_is_won_back(splits: Splits, graph: Graph) -> None:
    told: dict[str, str] = {}

    def progress(stage: str, _done: float, _total: float, note: str = "") -> None:
        told[stage] = note

    damaged = unequal(graph)
    job = Job(load_board("nucleo-f446re"), Limits(), Options(), {}, progress)
    validation = Labelled(splits.validation.x, splits.validation.y)
    before = host_accuracy(quantised(damaged, splits).graph, job.board, validation)
    assert before < accuracy(damaged, validation)
    found = better_int8(job, damaged, splits, RECIPE, seconds=4.0, seed=0)
    assert host_accuracy(found, job.board, validation) >= before
    assert re.match(r"validation accuracy \d+\.\d % after tuning", told["tune"])
