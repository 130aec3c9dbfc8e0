"""What is left open is chosen by the error on the samples; what cannot be chosen is said."""

from __future__ import annotations

import numpy as np
import pytest

from test_equalise import answers, network, samples
from tinyfoundry.builder import Builder
from tinyfoundry.errors import OptionError
from tinyfoundry.ir.graph import DType, Graph, Type
from tinyfoundry.ops._activation import Activation
from tinyfoundry.passes.observe import Observer
from tinyfoundry.passes.post_training import PostTraining, activations_of, post_training


def running_sum() -> Graph:
    b = Builder("running_sum")
    x, s = b.input("x", Type((1, 4), DType.FLOAT32)), b.state("s", Type((1, 4), DType.FLOAT32))
    total = b.apply("add", (s, x), name="total")
    b.update(s, total)
    return b.finish(b.apply("relu", (total,), name="y"))


def test_the_choice_is_no_worse_than_any_on_its_samples() -> None:
    graph, xs = network(Activation.RELU, 6.0), samples()
    want = answers(graph, xs)

    def error(how: PostTraining | None) -> float:
        return float(np.square(answers(post_training(graph, [xs], how).graph, xs) - want).mean())

    chosen = error(None)
    for observer in Observer:
        for even in (False, True):
            assert chosen <= 1.001 * error(PostTraining(observer, even, correct_bias=False))


def test_what_is_recorded_is_read_again() -> None:
    how = post_training(network(Activation.RELU, 6.0), [samples()]).how
    assert None not in how.record().values()
    assert PostTraining.recorded(how.record()) == how
    assert (
        PostTraining.recorded({"observer": "best", "equalise": 1, "bias_correction": None}) == PostTraining()
    )


def test_a_graph_with_states_is_calibrated_over_the_whole_sequence() -> None:
    xs = np.ones((200, 1, 4), np.float32)
    found = post_training(running_sum(), [xs])
    assert found.how == PostTraining(Observer.MIN_MAX, equalise=False, correct_bias=False)
    assert found.graph.types["total"].scale * 255 > 199


def test_biases_of_a_graph_with_states() -> None:
    how = PostTraining(correct_bias=True)
    with pytest.raises(
        OptionError, match=r"^--bias-correction: model 'running_sum' has states; wanted one without; leave"
    ):
        post_training(running_sum(), [np.ones((2, 1, 4), np.float32)], how)


def test_misspelt_activations() -> None:
    assert activations_of("int16") is DType.INT16
    with pytest.raises(OptionError, match=r"^--activations 'int4': wanted int8 or int16$"):
        activations_of("int4")
