"""How sums become outputs with one high multiplication and one shift (ARMv7E-M's SMMLAR).

The rounding term goes in as the addend: half a step of the result and the output's zero point, both before
the shift. Sums are given doubled, so that the high word has the 31 bits of the multiplier behind it.
"""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.prepared.register import Use

_LARGEST_SHIFT = 23


def folded_bias(use: Use, sums: Array) -> Array:
    """Bias of each channel with what the input's zero point adds. sums: of each channel's weights."""
    folded: Array = use.constants["b"].astype(np.int64) - use.number("x_zero_point") * sums
    return folded


def largest_sums(use: Use, rows: Array) -> Array:
    """What the sums of each channel stay within. rows: the weights of each channel, [channels, taps]."""
    bound: Array = np.abs(folded_bias(use, rows.sum(axis=1))) + 128 * np.abs(rows).sum(axis=1)
    return bound


def rescaling(use: Use, largest: Array) -> tuple[Array, Array, Array]:
    """Rounding term, multiplier and right shift of every channel, int64.

    largest: no sum of the channel is larger in magnitude. Where the shift leaves nothing of it, the zero
    point is all there is.
    """
    multiplier, right = _table(use)
    gone = _gone(right, largest)
    multiplier, right = np.where(gone, 0, multiplier), np.where(gone, 1, right)
    rounding: Array = (1 << (right - 1)) + (use.number("y_zero_point") << right)
    return rounding, multiplier, right


def shifts_fit(use: Use, largest: Array) -> bool:
    """Whether every channel's shift is one that ``rescaling`` is exact for."""
    right = _table(use)[1]
    return bool((((right >= 1) & (right <= _LARGEST_SHIFT)) | _gone(right, largest)).all())


def _gone(right: Array, largest: Array) -> Array:
    """Where the sum, multiplied by less than 1, stays below half a step of the result."""
    gone: Array = (right >= 1) & (largest < 1 << np.maximum(right - 1, 0))
    return gone


def _table(use: Use) -> tuple[Array, Array]:
    multiplier, shift = use.literals["multiplier"], use.literals["shift"]
    assert isinstance(multiplier, np.ndarray)
    assert isinstance(shift, np.ndarray)
    return multiplier.astype(np.int64), -shift.astype(np.int64)
