"""Bias correction takes planted mean errors out, layer after layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from test_equalise import answers, network, samples
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.ops._activation import Activation
from tinyfoundry.passes.bias_correction import correct_biases
from tinyfoundry.passes.calibrate import Watch, calibrate
from tinyfoundry.passes.observe import Observer
from tinyfoundry.passes.post_training import Interpreter, PostTraining, post_training
from tinyfoundry.passes.quantise import quantise


def corrected(floating: Graph, int8: Graph, xs: Array) -> Graph:
    def run(graph: Graph, indices: Array, watch: Watch) -> None:
        Interpreter()(graph, [xs[indices]], watch)

    return correct_biases(floating, int8, [xs], run)


def with_planted_bias(int8: Graph, name: str) -> Graph:
    """Every second channel of one bias moved by what 20 steps of the output are worth."""
    (node,) = (node for node in int8.nodes if name in node.inputs)
    x, w, _ = (int8.types[each] for each in node.inputs)
    assert w.quant is not None
    units = 20 * int8.types[node.outputs[0]].scale / (x.scale * np.asarray(w.quant.scale))
    bias = int8.constants[name].copy()
    bias[::2] += np.round(units[::2]).astype(np.int32)
    return replace(int8, constants={**int8.constants, name: bias})


def test_a_planted_bias_is_found_and_taken_out() -> None:
    graph, xs = network(Activation.RELU, 1.5), samples()
    int8 = quantise(graph, calibrate(graph, xs[:, 0]))
    want = answers(graph, xs)
    for name in ("first_b", "second_b", "third_b", "last_b"):
        planted = with_planted_bias(int8, name)
        mended = corrected(graph, planted, xs)
        before, after = (np.square(answers(each, xs) - want).mean() for each in (planted, mended))
        assert after < before / 4, name
        found, right = mended.constants[name].astype(float), int8.constants[name].astype(float)
        off = np.abs(found - right).max() / np.abs(planted.constants[name] - right).max()
        assert off < 0.2, name


def test_the_mean_of_every_answer_is_that_of_float() -> None:
    graph, xs = network(Activation.RELU, 4.0), samples()
    int8 = quantise(graph, calibrate(graph, xs[:, 0]))
    want = answers(graph, xs).mean(0)
    both = int8, corrected(graph, int8, xs)
    before, after = (np.abs(answers(each, xs).mean(0) - want).max() for each in both)
    # What is left is the rounding of the output itself.
    assert after < int8.types[int8.outputs[0]].scale
    assert after < before


def test_only_biases_change() -> None:
    graph, xs = network(Activation.RELU6, 2.0), samples()
    int8 = quantise(graph, calibrate(graph, xs[:, 0]), float_faces=True)
    after = corrected(graph, int8, xs)
    assert (after.nodes, after.types) == (int8.nodes, int8.types)
    changed = {
        name for name, value in after.constants.items() if not np.array_equal(value, int8.constants[name])
    }
    assert changed
    assert changed <= {"first_b", "second_b", "third_b", "last_b"}


def test_it_can_be_switched_on_and_off() -> None:
    graph, xs = network(Activation.RELU, 4.0), samples()
    on, off = (
        post_training(graph, [xs], PostTraining(Observer.MIN_MAX, equalise=False, correct_bias=each))
        for each in (True, False)
    )
    assert (on.how.correct_bias, off.how.correct_bias) == (True, False)
    assert not np.array_equal(on.graph.constants["last_b"], off.graph.constants["last_b"])
