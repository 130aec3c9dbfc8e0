"""Observers: from the values that a tensor took over samples to the range that its int8 values cover.

The widest range clips nothing and gives coarse steps; a narrower one clips rare values and tells the common
ones apart. A histogram of fixed size holds the values, so memory does not grow with the samples.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tinyfoundry.errors import OptionError
from tinyfoundry.ir.graph import Array

BINS = 2048
PERCENTILE = 99.99
"""Per cent of the values that a percentile range covers; what it leaves out is shared between both ends."""

_PARTS: list[float] = np.linspace(1.0, 0.1, 46).tolist()


class Range(NamedTuple):
    """Smallest and largest real value that a tensor's int8 values must reach; 0 is always between them."""

    low: float
    high: float


class Observer(StrEnum):
    """How a range follows from the values seen.

    min-max: from the smallest to the largest. percentile: covers 99.99 % of them. mse: the range whose
    rounded and clipped values have the least squared error (Nagel et al., "A White Paper on Neural Network
    Quantization", 2021, section 3.1).
    """

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"


def observer_of(name: str) -> Observer:
    """The observer called ``name``.

    Raises:
        OptionError: there is none.
    """
    if name not in set(Observer):
        raise OptionError(f"--observer '{name}': wanted {', '.join(Observer)}; choose one of them")
    return Observer(name)


class Histogram:
    """Counts of a tensor's values in ``BINS`` equal bins over ``hull``, filled slice by slice."""

    def __init__(self, hull: Range) -> None:
        self.hull = hull
        self._counts = np.zeros(BINS, np.int64)

    def add(self, values: Array) -> None:
        """Counts ``values``; those outside the hull count in its outermost bins."""
        low, high = self.hull
        if high > low:
            scaled = (values.ravel() - np.float32(low)) * np.float32(BINS / (high - low))
            self._counts += np.bincount(np.clip(scaled, 0, BINS - 1).astype(np.int64), minlength=BINS)

    def range(self, observer: Observer) -> Range:
        """The range that ``observer`` makes of what was counted."""
        if observer is Observer.MIN_MAX or not self._counts.any():
            return self.hull
        return self.percentile(PERCENTILE) if observer is Observer.PERCENTILE else self._least_error()

    def percentile(self, percent: float) -> Range:
        """The narrowest run of whole bins that leaves out at most half of the rest at each end."""
        edges = np.linspace(*self.hull, BINS + 1)
        first, last = middle(self._counts, 1 - percent / 100)
        return _with_zero(float(edges[first]), float(edges[last + 1]))

    def _least_error(self) -> Range:
        """Each end by turns moved towards 0, to where the error is least; the other held."""
        best = self.hull
        for _ in range(2):
            best = min((Range(best.low, self.hull.high * part) for part in _PARTS), key=self._error)
            best = min((Range(self.hull.low * part, best.high) for part in _PARTS), key=self._error)
        return best

    def _error(self, range_: Range) -> float:
        """Sum of squared differences between the values, each taken at its bin's centre, and what int8
        stores.
        """
        low, high = self.hull
        centres: npt.NDArray[np.float64] = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
        scale = max(range_.high - range_.low, 1e-30) / 255
        zero = np.round(-128 - range_.low / scale)
        stored = np.clip(np.round(centres / scale) + zero, -128, 127)
        return float(self._counts @ (centres - (stored - zero) * scale) ** 2)


def middle(counts: npt.NDArray[np.int64], left_out: float) -> tuple[int, int]:
    """First and last of the narrowest run of bins outside of which lies at most half of ``left_out``, a share
    of all that is counted, at each end.
    """
    spare = left_out / 2 * counts.sum()
    first = int(np.searchsorted(np.cumsum(counts), spare, side="right"))
    last = len(counts) - 1 - int(np.searchsorted(np.cumsum(counts[::-1]), spare, side="right"))
    return first, last


def _with_zero(low: float, high: float) -> Range:
    return Range(min(low, 0.0), max(high, 0.0))
