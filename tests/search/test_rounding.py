"""Quantisation-aware training: rounds as int8 does, and mends what rounding breaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tinyfoundry.data import Splits, load, split
from tinyfoundry.errors import DataError
from tinyfoundry.interpret import entering, interpret
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.ops._activation import Activation
from tinyfoundry.passes.calibrate import calibrate
from tinyfoundry.passes.observe import Observer, Range
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.search.arch import Arch, Block
from tinyfoundry.search.fit import run_fast
from tinyfoundry.search.network import network
from tinyfoundry.search.recipe import Labelled, Recipe
from tinyfoundry.search.rounding import Measure, Rounding
from tinyfoundry.search.train import accuracy, train, tune, tuning
from tinyfoundry.search.twin import Twin

ARCH = Arch(
    (1, 1),
    1.0,
    (3, 3),
    (1, 1),
    8,
    (Block((3, 3), (2, 2), 2, 16, skip=False), Block((3, 3), (1, 1), 2, 16, skip=True)),
)
RECIPE = Recipe(epochs=8, rate=2e-2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(load("digits"))


@pytest.fixture(scope="module")
def graph(splits: Splits) -> Graph:
    """A trained network with relus, whose second layer's channels are then made unequal."""
    fresh = network(ARCH, (8, 8, 1), 10, np.random.default_rng(0))
    nodes = [
        replace(node, attrs=replace(node.attrs, activation=Activation.RELU))
        if getattr(node.attrs, "activation", None) is Activation.RELU6
        else node
        for node in fresh.nodes
    ]
    trained = train(replace(fresh, nodes=tuple(nodes)), Labelled(splits.train.x, splits.train.y), RECIPE)
    return unequal(trained, "block0_depthwise", "block0_project")


def unequal(graph: Graph, first: str, second: str) -> Graph:
    factor = np.exp(np.linspace(-3.5, 3.5, len(graph.constants[f"{first}_b"]))).astype(np.float32)
    changed = {
        f"{first}_w": graph.constants[f"{first}_w"] * factor,
        f"{first}_b": graph.constants[f"{first}_b"] * factor,
        f"{second}_w": graph.constants[f"{second}_w"] / factor,
    }
    return replace(graph, constants={**graph.constants, **changed})


def int8_accuracy(graph: Graph, samples: Labelled) -> float:
    stored = entering(graph.types[graph.inputs[0]], samples.x)
    answers = [int(np.argmax(interpret(graph, [x[None]])[0])) for x in stored]
    return float(np.mean(answers == samples.y))


def logits(graph: Graph, x: Array) -> Array:
    """Of an int8 graph, as real values."""
    body = replace(graph, nodes=graph.nodes[:-1], outputs=("classifier",))
    type_ = body.types["classifier"]
    stored = np.concatenate([interpret(body, [each[None]])[0] for each in entering(body.types["x"], x)])
    return (stored.astype(np.float64) - type_.zero_point) * type_.scale


def test_the_rounded_twin_computes_what_int8_computes(splits: Splits, graph: Graph) -> None:
    x = splits.train.x[:100]
    rounding = Rounding(graph, Measure(x, Observer.MIN_MAX, {}), run_fast)
    with torch.no_grad():
        found = Twin(graph, normalise=False)(torch.from_numpy(x[:20]), alter=rounding).numpy()
    int8 = quantise(graph, calibrate(graph, x))
    step = int8.types["classifier"].scale
    off = np.abs(found - logits(int8, x[:20])) / step
    assert off.mean() < 1
    assert off.max() < 6
    assert np.abs(found / step - np.round(found / step)).max() < 1e-3


def test_gradients_pass_rounding_and_stop_where_it_clips(splits: Splits, graph: Graph) -> None:
    rounding = Rounding(graph, Measure(splits.train.x[:50], Observer.MIN_MAX, {}), run_fast)
    high = rounding.ranges["stem"].high
    value = torch.tensor([0.1 * high, 0.5 * high, 3.0 * high], requires_grad=True)
    rounding("stem", value).sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [1.0, 1.0, 0.0]


def test_training_as_int8_mends_planted_unequal_channels(splits: Splits, graph: Graph) -> None:
    training, test = Labelled(splits.train.x, splits.train.y), Labelled(splits.test.x, splits.test.y)
    wanted = accuracy(graph, test)
    ranges = calibrate(graph, splits.train.x[:200], run_fast)
    before = int8_accuracy(quantise(graph, ranges), test)
    assert before < wanted - 0.03
    recipe = replace(tuning(RECIPE, 4), rate=2e-3)
    tuned, ranges = tune(graph, training, recipe, calibration=splits.train.x[:200], observer=Observer.MIN_MAX)
    after = int8_accuracy(quantise(tuned, ranges), test)
    assert after > before + 0.03
    assert {node.name for node in tuned.nodes} == {node.name for node in graph.nodes}


def test_the_same_seed_gives_the_same_weights_and_known_ranges_stay(splits: Splits, graph: Graph) -> None:
    samples = Labelled(splits.train.x[:128], splits.train.y[:128])
    known = {"x": Range(-9.0, 9.0)}
    both = [tune(graph, samples, tuning(RECIPE, 2), calibration=samples.x, known=known) for _ in range(2)]
    for name, value in both[0][0].constants.items():
        np.testing.assert_array_equal(value, both[1][0].constants[name])
    assert both[0][1]["x"] == (-9.0, 9.0)
    assert both[0][1] == both[1][1]


def test_samples_that_do_not_go_with_the_graph(graph: Graph) -> None:
    x = np.zeros((4, 5, 8, 1), np.float32)
    with pytest.raises(
        DataError, match=r"samples for graph 'network': found shape \(5, 8, 1\); wanted \(8, 8, 1\)"
    ):
        tune(graph, Labelled(x, np.zeros(4, np.int64)), RECIPE, calibration=x)
