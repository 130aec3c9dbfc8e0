"""Observers on distributions whose best ranges are known."""

from __future__ import annotations

import numpy as np
import pytest

from tinyfoundry.builder import Builder
from tinyfoundry.errors import OptionError
from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.passes.calibrate import calibrate
from tinyfoundry.passes.observe import BINS, Histogram, Observer, Range, observer_of
from tinyfoundry.passes.quantise import quantization_of


def seen(values: Array, slices: int = 10) -> Histogram:
    """A histogram filled slice by slice, as calibration does."""
    histogram = Histogram(Range(min(0.0, float(values.min())), max(0.0, float(values.max()))))
    for part in np.array_split(values.astype(np.float32), slices):
        histogram.add(part)
    return histogram


def error(values: Array, range_: Range) -> float:
    """Mean squared error of int8 with the quantization that covers ``range_``."""
    quant = quantization_of(range_)
    (scale,), (zero,) = quant.scale, quant.zero_point
    stored = np.clip(np.round(values / scale) + zero, -128, 127)
    return float(np.square(values - (stored - zero) * scale).mean())


def test_min_max_is_the_hull() -> None:
    assert seen(np.array([-1.0, 0.5, 3.0])).range(Observer.MIN_MAX) == (-1.0, 3.0)


def test_percentile_of_a_uniform_distribution() -> None:
    values = np.random.default_rng(0).uniform(-2, 2, 200_000)
    low, high = seen(values).percentile(90)
    assert low == pytest.approx(-1.8, abs=4 / BINS + 0.01)
    assert high == pytest.approx(1.8, abs=4 / BINS + 0.01)


def test_percentile_leaves_an_outlier_out_and_keeps_the_mass_at_zero() -> None:
    values = np.concatenate([np.zeros(50_000), np.random.default_rng(0).uniform(0, 1, 50_000), [40.0]])
    low, high = seen(values).range(Observer.PERCENTILE)
    assert low == 0.0
    assert high == pytest.approx(1.0, abs=0.05)


def test_the_least_squared_error_of_a_normal_distribution() -> None:
    """Around 4 standard deviations for 8 bits (Banner et al., "Post Training 4-bit Quantization", 2019)."""
    values = np.random.default_rng(0).standard_normal(1_000_000)
    found = seen(values).range(Observer.MSE)
    assert 3.4 < -found.low < 4.6
    assert 3.4 < found.high < 4.6
    assert error(values, found) < error(values, seen(values).range(Observer.MIN_MAX))


def test_the_least_squared_error_of_a_uniform_distribution_clips_nothing() -> None:
    values = np.random.default_rng(0).uniform(0, 5, 100_000)
    assert seen(values).range(Observer.MSE).high == pytest.approx(5.0, rel=0.02)


def test_memory_does_not_grow_with_the_samples() -> None:
    histogram = seen(np.random.default_rng(0).standard_normal(100_000), 50)
    held = [value.nbytes for value in vars(histogram).values() if isinstance(value, np.ndarray)]
    assert sum(held) == 8 * BINS


def network() -> Graph:
    b = Builder("net")
    x = b.input("x", Type((1, 1000), DType.FLOAT32))
    x = b.apply("relu", (x,), name="inner")
    return b.finish(b.apply("abs", (x,), name="answer"))


def test_calibration_clips_inner_tensors_and_never_the_answer() -> None:
    samples = np.random.default_rng(0).standard_normal((50, 1000)).astype(np.float32)
    samples[7, 3] = 100.0
    whole = calibrate(network(), samples)
    for observer in (Observer.PERCENTILE, Observer.MSE):
        ranges = calibrate(network(), samples, observer=observer)
        assert ranges["inner"].high < 100
        assert ranges["answer"] == whole["answer"] == (0.0, 100.0)
    assert calibrate(network(), samples, observer=Observer.PERCENTILE)["inner"].high < 5


def test_a_misspelt_observer() -> None:
    with pytest.raises(
        OptionError, match=r"^--observer 'minmax': wanted min-max, percentile, mse; choose one of them$"
    ):
        observer_of("minmax")
