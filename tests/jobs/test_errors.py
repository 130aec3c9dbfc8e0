"""The error table names the layer that hurts, and says why."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from small_nets import random_net
from tinyfoundry import api
from tinyfoundry.builder import Builder
from tinyfoundry.errors import OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.jobs.errors import LayerError, layer_errors
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.shape import Concatenation
from tinyfoundry.passes.observe import Observer
from tinyfoundry.passes.post_training import PostTraining, post_training

PLAIN = PostTraining(Observer.MIN_MAX, equalise=False, correct_bias=False)
SHAPE = (1, 8, 8, 4)


def conv(b: Builder, x: str, name: str, w: Array, activation: Activation = Activation.RELU) -> str:
    inputs = (
        x,
        b.constant(f"{name}_w", w.astype(np.float32)),
        b.constant(f"{name}_b", np.zeros(len(w), np.float32)),
    )
    return b.apply("conv2d", inputs, Conv2D(Window((1, 1), (1, 1), (1, 1)), activation), name=name)


def weights(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((4, 3, 3, 4)) * 0.2


def chain(*more: Array) -> Graph:
    """Three convolutions, or as many as there are weights."""
    b = Builder("chain")
    x = b.input("x", Type(SHAPE, DType.FLOAT32))
    for number, w in enumerate(more or (weights(0), weights(1), weights(2))):
        x = conv(b, x, f"conv{number}", w)
    return b.finish(x)


def samples(count: int = 40) -> Array:
    return np.random.default_rng(3).standard_normal((count, *SHAPE)).astype(np.float32)


def table(graph: Graph, xs: Array, how: PostTraining = PLAIN) -> tuple[LayerError, ...]:
    return layer_errors(post_training(graph, [xs], how), [xs])


def test_a_sound_network_has_nothing_to_say() -> None:
    rows = table(chain(), samples())
    assert {row.name for row in rows} == {"conv0", "conv1", "conv2"}
    assert all(row.own > 30 and row.why == "" for row in rows)
    assert [row.own for row in rows] == sorted(row.own for row in rows)
    total = {row.name: row.total for row in rows}
    assert total["conv2"] < total["conv0"]


def test_a_damaged_layer_is_named_though_all_behind_it_suffer() -> None:
    quantised = post_training(chain(), [samples()], PLAIN)
    coarse = quantised.graph.constants["conv1_w"] // 32 * 32
    damaged = replace(quantised.graph, constants={**quantised.graph.constants, "conv1_w": coarse})
    rows = layer_errors(replace(quantised, graph=damaged), [samples()])
    assert rows[0].name == "conv1"
    assert rows[0].own < rows[1].own - 10
    behind = next(row for row in rows if row.name == "conv2")
    assert behind.total < behind.own - 10


def test_unequal_channels() -> None:
    w = weights(1)
    w[2] *= 50
    b = weights(2)
    b[..., 2] /= 50
    rows = {row.name: row for row in table(chain(weights(0), w, b), samples())}
    assert re.match(
        r"channel 2 reaches \d+, the median channel .*: the others share few steps", rows["conv1"].why
    )
    assert rows["conv1"].why.endswith("try --equalise")


def test_unequal_weights() -> None:
    first, second = weights(0), weights(1)
    first[1] /= 100
    second[..., 1] *= 100
    rows = {row.name: row for row in table(chain(first, second), samples())}
    assert re.match(r"weights of input channel 1 are \d+ times the median channel's", rows["conv1"].why)


def test_outliers() -> None:
    b = Builder("outliers")
    x = b.input("x", Type(SHAPE, DType.FLOAT32))
    graph = b.finish(b.apply("abs", (x,), name="size"))
    xs = samples()
    for channel in range(4):
        xs[channel * 10, 0, channel, 0, channel] = 60.0
    (row,) = layer_errors(post_training(graph, [xs], PLAIN), [xs])
    assert re.match(r"outliers set its range: 99.9 % of its values lie in \d+ of 256 steps; try", row.why)


def test_a_shared_scale() -> None:
    b = Builder("shared")
    x = b.input("x", Type(SHAPE, DType.FLOAT32))
    large, small = conv(b, x, "large", weights(0) * 40), conv(b, x, "small", weights(1))
    graph = b.finish(b.apply("concatenation", (large, small), Concatenation(3, Activation.NONE), name="both"))
    rows = {row.name: row for row in table(graph, samples())}
    assert re.match(r"uses \d+ of 256 steps: it shares the scale of 'large'", rows["small"].why)
    assert rows["small"].own < rows["large"].own - 15


def test_values_beyond_the_calibration() -> None:
    quantised = post_training(chain(), [samples()], PLAIN)
    rows = {row.name: row for row in layer_errors(quantised, [4 * samples()])}
    assert re.match(
        r"its range clips \d+\.\d % of its values; calibrate on samples like these", rows["conv1"].why
    )


def test_no_samples() -> None:
    quantised = post_training(chain(), [samples()], PLAIN)
    with pytest.raises(OptionError, match="errors of graph 'chain': found no samples; wanted at least one"):
        layer_errors(quantised, [samples(0)])


def test_the_command(tmp_path: Path) -> None:
    graph = random_net(4, floats=True)
    model, data = tmp_path / "net.tflite", tmp_path / "x.npy"
    model.write_bytes(export(graph))
    shape = graph.types[graph.inputs[0]].shape[1:]
    np.save(data, np.random.default_rng(0).standard_normal((12, *shape)).astype(np.float32))
    command = [sys.executable, "-m", "tinyfoundry", "errors", str(model), "--calibration", str(data)]
    shown = subprocess.run(
        [*command, "--observer", "mse", "--equalise", "--no-bias-correction"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "calibrate: mse, equalised" in shown
    assert "logits" in shown
    assert "own dB" in shown
    refused = subprocess.run([*command, "--observer", "best"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "--observer 'best': wanted min-max, percentile, mse; choose one of them" in refused.stderr


def test_int8_models_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "x.npy"
    np.save(data, np.zeros((2, 4), np.float32))
    with pytest.raises(
        OptionError, match=r"errors of model 'net_3': it is quantised already; give its float32 form"
    ):
        api.errors(random_net(3), data)
    with pytest.raises(
        OptionError,
        match=r"--observer, --equalise, --bias-correction, --activations: model 'net_3' is quantised already",
    ):
        api.compile(random_net(3), board="nucleo-f446re", output=tmp_path / "out", observer="mse")
