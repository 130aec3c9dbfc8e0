"""How sums become outputs with one high multiplication and one shift (ARMv7E-M's SMMLAR).

The rounding term goes in as the addend: half a step of the result and the output's zero point, both before
the shift. Sums are given doubled, so that the high word has the 31 bits of the multiplier behind it.
"""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.prepared.register import Use

_LARGEST_SHIFT = 23
# Behind a shift this large nothing is left of a sum of 23 bits but the zero point.
_ALL_GONE = 25


def folded_bias(use: Use, sums: Array) -> Array:
    """Bias of each channel with what the input's zero point adds. sums: of each channel's weights."""
    folded: Array = use.constants["b"].astype(np.int64) - use.number("x_zero_point") * sums
    return folded


def rescaling(use: Use) -> tuple[Array, Array, Array]:
    """Rounding term, multiplier and right shift of every channel, int64."""
    multiplier, right = _table(use)
    gone = right >= _ALL_GONE
    multiplier, right = np.where(gone, 0, multiplier), np.where(gone, 1, right)
    rounding: Array = (1 << (right - 1)) + (use.number("y_zero_point") << right)
    return rounding, multiplier, right


def shifts_fit(use: Use) -> bool:
    """Whether every channel's shift is one that ``rescaling`` is exact for, with sums below 23 bits."""
    right = _table(use)[1]
    return bool((((right >= 1) & (right <= _LARGEST_SHIFT)) | (right >= _ALL_GONE)).all())


def _table(use: Use) -> tuple[Array, Array]:
    multiplier, shift = use.literals["multiplier"], use.literals["shift"]
    assert isinstance(multiplier, np.ndarray)
    assert isinstance(shift, np.ndarray)
    return multiplier.astype(np.int64), -shift.astype(np.int64)
