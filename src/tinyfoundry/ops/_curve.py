"""Functions of int16 values by tables with straight lines between: the twin of ``tinyfoundry_curve.h``.

TensorFlow Lite's: ``LUTPopulate`` and ``LUTLookup`` of internal/common.h (tables of 513 entries), and the
table of a sigmoid that logistic and tanh share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyfoundry.fixed import Ints, clamp
from tinyfoundry.ir.graph import Array

_LOW, _HIGH = -(2**15), 2**15 - 1
_STEPS = 512


def _sigmoid_table() -> Array:
    """sigmoid(i / 24) * 2**16, each moved by half of the error that a straight line makes in the middle of
    its step; the last entry is the largest.
    """
    here, middle, there = (2**16 / (1 + np.exp(-(np.arange(256) + shift) / 24)) for shift in (0, 0.5, 1))
    entries = np.floor(here - ((here + there) / 2 - middle) / 2 + 0.5)
    entries[-1] = 2**16 - 1
    return entries.astype(np.uint16)


SIGMOID: Array = _sigmoid_table()


def curve_table(
    function: Callable[[Array], Array],
    x: tuple[float, int],
    y: tuple[float, int],
    real: type[np.floating[Any]],
) -> Array:
    """The function at 513 even distances over the range of int16, as int16.

    Each entry is moved by half of the error that a straight line makes in the middle of its step. x, y: scale
    and zero point. real: the float type that the runtime computes in.
    """
    x_scale, y_scale = real(x[0]), real(y[0])
    start, stop = x_scale * real(_LOW - x[1]), x_scale * real(_HIGH - x[1])
    step = (stop - start) / real(_STEPS)
    unit = real(2**16) / (y_scale * real(_HIGH - y[1]) - y_scale * real(_LOW - y[1]))
    number = np.arange(_STEPS).astype(real)
    places = start + number * step
    here = _rounded(function(places) * unit)
    there = function(start + (number + real(1)) * step) * unit
    middle = _rounded(function(places + step / real(2)) * unit)
    error = _rounded((there + here) / real(2)) - middle
    entries = here - _rounded(error / real(2))
    last = _rounded(function(np.array([stop], real)) * unit)
    table: Array = np.clip(np.concatenate([entries, last]), _LOW, _HIGH).astype(np.int16)
    return table


def on_curve(x: Ints, table: Array) -> Ints:
    """Values of a table of ``curve_table`` at int16 numbers."""
    entries = table.astype(np.int64)
    index = 256 + (x >> 7)
    slope = _wrapped(entries[index + 1] - entries[index])
    return _wrapped(entries[index] + ((slope * (x & 127) + 64) >> 7))


def on_sigmoid(x: Ints, bits: int, most: int) -> Ints:
    """sigmoid(abs(x) / 24 / 2**bits) * 2**(16 + bits), straight between the table's entries.

    most: what stands for 2**16 beyond the table.
    """
    magnitude = np.abs(x)
    index = np.minimum(magnitude >> bits, 254)
    entries = SIGMOID.astype(np.int64)
    part = magnitude & ((1 << bits) - 1)
    between = (entries[index] << bits) + part * (entries[index + 1] - entries[index])
    return np.where(magnitude >> bits >= 255, most << bits, between)


def limited16(x: Ints) -> Ints:
    """``x`` limited to int16."""
    return clamp(x, _LOW, _HIGH)


def _wrapped(x: Ints) -> Ints:
    return x.astype(np.int16).astype(np.int64)


def _rounded(x: Array) -> Array:
    """C's round: halves away from 0."""
    rounded: Array = np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)
    return rounded
