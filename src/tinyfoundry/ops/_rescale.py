"""What ops share that bring stored values from one scale to another without weights between."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinyfoundry.fixed import Ints, quantize_multiplier, requantize
from tinyfoundry.ir.graph import Array, DType, Type
from tinyfoundry.op import Literal


def float_quotient(to: Type, *factors: float) -> float:
    """The product of ``factors`` over the scale of ``to``, every step rounded to float32, as C has floats."""
    with np.errstate(all="ignore"):  # what overflows is infinite, and is complained about as such
        product = np.prod(np.array(factors, np.float32), dtype=np.float32)
        return float(product / np.float32(to.scale))


def rescaled(x: Array, ratio: float, from_: Type, to: Type) -> Ints:
    """Stored values ``x`` of ``from_`` as those of ``to``, not yet clamped; ratio: quotient of the scales."""
    multiplier, shift = quantize_multiplier(ratio)
    return requantize(x.astype("int64") - from_.zero_point, multiplier, shift) + to.zero_point


def rescale_literals(ratio: float, from_: Type, to: Type) -> dict[str, Literal]:
    """The same for kernels: ``elements``, ``multiplier``, ``shift`` and both zero points."""
    multiplier, shift = quantize_multiplier(ratio)
    return {
        "elements": to.elements,
        "multiplier": multiplier,
        "shift": shift,
        "x_zero_point": from_.zero_point,
        "y_zero_point": to.zero_point,
    }


def check_ratio(ratio: float, from_: Type | None = None) -> Iterable[str]:
    """A complaint when differences of stored values, shifted left by the ratio, leave int32.

    They are at most 255 in int8, and 2**15 in int16, whose zero point is 0.
    """
    bits = 15 if from_ is not None and from_.dtype == DType.INT16 else 22
    if not ratio < 2**bits:
        yield (
            f"input scale is {ratio:g} times the output's; wanted less than 2**{bits}: the scales are damaged"
        )
