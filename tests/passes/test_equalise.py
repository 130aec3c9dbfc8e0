"""Cross-layer equalisation leaves the float function as it is and makes int8 better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tinyfoundry.builder import Builder
from tinyfoundry.interpret import entering, interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.ops.pool import MaxPool2D
from tinyfoundry.ops.reduce import Mean
from tinyfoundry.passes.equalise import channel_peaks, equalise
from tinyfoundry.passes.observe import Observer
from tinyfoundry.passes.post_training import PostTraining, post_training

SAME = Window((1, 1), (1, 1), (1, 1))
CHANNELS = 8


def network(activation: Activation, spread: float, seed: int = 0, multiplier: int = 1) -> Graph:
    """conv, depthwise, pool, conv, mean, dense; the first layers' channels differ by up to ``spread``."""
    rng = np.random.default_rng(seed)
    b = Builder("net")

    def layer(x: str, name: str, shape: tuple[int, ...], scale: Array, unscale: Array) -> Sequence[str]:
        w = rng.standard_normal(shape).astype(np.float32) * 0.4 / unscale
        along = scale if shape[0] == 1 else scale.reshape(-1, *(1,) * (len(shape) - 1))
        bias = 0.1 * rng.standard_normal(len(scale)) * scale
        values = (w * along).astype(np.float32), bias.astype(np.float32)
        return (x, *(b.constant(f"{name}_{end}", value) for end, value in zip("wb", values, strict=True)))

    one, many = np.ones(CHANNELS), np.exp(rng.uniform(-np.log(spread), np.log(spread), (2, CHANNELS)))
    wide = np.repeat(many[1], multiplier)
    x = b.input("x", Type((1, 6, 6, 3), DType.FLOAT32))
    x = b.apply(
        "conv2d", layer(x, "first", (CHANNELS, 3, 3, 3), many[0], np.ones(3)), Conv2D(SAME, activation)
    )
    shape = (1, 3, 3, CHANNELS * multiplier)
    inputs = layer(x, "second", shape, wide, np.repeat(many[0], multiplier))
    x = b.apply("depthwise_conv2d", inputs, DepthwiseConv2D(SAME, activation))
    x = b.apply("max_pool2d", (x,), MaxPool2D((2, 2), Window((2, 2))))
    x = b.apply("conv2d", layer(x, "third", (CHANNELS, 1, 1, CHANNELS * multiplier), one, wide), Conv2D())
    x = b.apply("mean", (x,), Mean((1, 2)))
    return b.finish(b.apply("dense", layer(x, "last", (5, CHANNELS), np.ones(5), one), Dense()))


def samples(count: int = 40) -> Array:
    return np.random.default_rng(1).standard_normal((count, 1, 6, 6, 3)).astype(np.float32)


def answers(graph: Graph, xs: Array) -> Array:
    """Real answers of a float or int8 graph."""
    type_ = graph.types[graph.outputs[0]]
    inputs = [entering(graph.types["x"], x) for x in xs]
    stored = np.concatenate([interpret(graph, [x])[0] for x in inputs]).astype(np.float64)
    return stored if type_.quant is None else (stored - type_.zero_point) * type_.scale


def peaks_of(graph: Graph, xs: Array) -> dict[str, Array]:
    found: dict[str, Array] = {}

    def watch(name: str, value: Array) -> None:
        found[name] = np.maximum(found.get(name, 0.0), channel_peaks(value))

    for x in xs:
        interpret(graph, [x], watch)
    return found


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("with_peaks", [False, True])
def test_the_float_function_stays(multiplier: int, with_peaks: bool) -> None:
    graph = network(Activation.RELU, 10.0, multiplier=multiplier)
    after = equalise(graph, peaks_of(graph, samples()) if with_peaks else None)
    assert any(not np.allclose(after.constants[name], graph.constants[name]) for name in graph.constants)
    want, found = answers(graph, samples()), answers(after, samples())
    assert np.abs(found - want).max() < 1e-5 * np.abs(want).max()


def test_channels_become_alike() -> None:
    graph = network(Activation.RELU, 20.0)

    def spread(graph: Graph) -> float:
        peaks = peaks_of(graph, samples())["conv2d_0"]
        return float(peaks.max() / peaks[peaks > 0].min())

    assert spread(graph) > 20
    assert spread(equalise(graph, peaks_of(graph, samples()))) < 1.5


def test_int8_of_unequal_channels_is_mended() -> None:
    graph, xs = network(Activation.RELU, 16.0), samples()
    want = answers(graph, xs)

    def error(even: bool) -> float:
        how = PostTraining(Observer.MIN_MAX, equalise=even, correct_bias=False)
        return float(np.square(answers(post_training(graph, [xs], how).graph, xs) - want).mean())

    assert error(even=True) < error(even=False) / 10
    assert post_training(graph, [xs]).how.equalise


def test_relu6_is_left_alone_without_samples() -> None:
    graph = network(Activation.RELU6, 4.0)
    after = equalise(graph)
    for name in ("first_w", "first_b", "second_b"):
        np.testing.assert_array_equal(after.constants[name], graph.constants[name])


def test_relu6_channels_that_reach_the_clamp_stay_and_the_others_stay_below_it() -> None:
    graph, xs = network(Activation.RELU6, 4.0), samples()
    before = peaks_of(graph, xs)["conv2d_0"]
    after = equalise(graph, peaks_of(graph, xs))
    clamped = before * 1.25 >= 6
    assert 0 < clamped.sum() < CHANNELS
    np.testing.assert_allclose(
        after.constants["first_b"][clamped], graph.constants["first_b"][clamped], rtol=1e-6
    )
    moved = peaks_of(after, xs)["conv2d_0"][~clamped]
    assert (moved * 1.25 <= 6.001).all()
    assert not np.allclose(moved, before[~clamped], rtol=0.01)
    want = answers(graph, xs)
    assert np.abs(answers(after, xs) - want).max() < 1e-5 * np.abs(want).max()


def test_a_tensor_with_two_readers_keeps_its_scale() -> None:
    rng = np.random.default_rng(0)
    b = Builder("fork")
    x = b.input("x", Type((1, 4), DType.FLOAT32))
    w = [
        b.constant(f"w{i}", (rng.standard_normal((4, 4)) * [1, 9, 81, 1]).astype(np.float32))
        for i in range(2)
    ]
    biases = [b.constant(f"b{i}", np.zeros(4, np.float32)) for i in range(2)]
    x = b.apply("dense", (x, w[0], biases[0]), Dense(Activation.RELU))
    y = b.apply("dense", (x, w[1], biases[1]), Dense())
    graph = b.finish(b.apply("add", (x, y), Add()))
    assert equalise(graph) is graph
