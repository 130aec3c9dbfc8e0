"""Fixed-point arithmetic of TensorFlow Lite's int8 and 16x8 schemes in numpy: the twin of
``kernels/common/tinyfoundry_fixed.h``.

A real multiplier m > 0 is kept as ``multiplier * 2**(shift - 31)`` with ``multiplier`` in [2**30, 2**31) (0
when m is 0).
Requantising rounds twice, as TensorFlow Lite Micro and CMSIS-NN do: once in the doubling high multiply, once
in the right shift (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only
Inference", section 2.2 and appendix B). Everything works element-wise on arrays and scalars.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyfoundry.errors import GraphError

Ints = npt.NDArray[np.int64]
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Writes ``real`` >= 0 as (multiplier, shift) with ``real ≈ multiplier * 2**(shift - 31)``.

    Multipliers too small for a shift of -31 become (0, 0), as in TensorFlow Lite.

    Raises:
        GraphError: ``real`` is negative, not finite, or needs a left shift of more than 30.
    """
    if not math.isfinite(real) or real < 0:
        raise GraphError(f"requantisation factor {real} is not a finite number >= 0: the scales are damaged")
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    # C's round(): halves away from zero (fraction is positive here).
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise GraphError(f"requantisation factor {real:g} is above 2**30: the scales are damaged")
    return multiplier, shift


def saturating_rounding_doubling_high_mul(a: npt.ArrayLike, b: npt.ArrayLike) -> Ints:
    """High 32 bits of ``2 * a * b`` for int32 values, halves rounded towards +infinity for a*b >= 0, else
    away from zero towards -infinity by truncation; saturates the one overflow (both operands -2**31).
    gemmlowp's definition.
    """
    a64, b64 = np.asarray(a, np.int64), np.asarray(b, np.int64)
    product = a64 * b64
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # Integer division that truncates towards zero, as C's does; numpy's // floors.
    quotient = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(quotient, INT32_MAX)


def rounding_divide_by_pot(x: npt.ArrayLike, exponent: npt.ArrayLike) -> Ints:
    """``x / 2**exponent`` rounded to nearest, halves away from zero; exponent 0..31. gemmlowp's
    definition.
    """
    x64, e64 = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << e64) - 1
    threshold = (mask >> 1) + (x64 < 0)
    return (x64 >> e64) + ((x64 & mask) > threshold)


def requantize(acc: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Ints:
    """``acc * multiplier * 2**(shift - 31)`` with TensorFlow Lite's double rounding; acc is an int32 value.

    A left shift wraps to int32 first, as the C code does.
    """
    shift64 = np.asarray(shift, np.int64)
    left = wrap32(np.asarray(acc, np.int64) << np.maximum(shift64, 0))
    return rounding_divide_by_pot(
        saturating_rounding_doubling_high_mul(left, multiplier), np.maximum(-shift64, 0)
    )


def requantize64(acc: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Ints:
    """``acc * multiplier * 2**(shift - 31)`` as TensorFlow Lite does it for sums of 64 bits (|acc| < 2**47).

    The multiplier is cut to 15 bits and the product rounded once, halves upwards; shift is -31..7.
    """
    m64 = np.asarray(multiplier, np.int64)
    reduced = np.where(m64 < 0x7FFF0000, (m64 + (1 << 15)) >> 16, 0x7FFF)
    total = 15 - np.asarray(shift, np.int64)
    return wrap32((np.asarray(acc, np.int64) * reduced + (np.int64(1) << (total - 1))) >> total)


def requantize_sum(
    acc: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike, *, wide: bool
) -> Ints:
    """A sum of products at another scale: ``requantize64`` when TensorFlow Lite holds it in 64 bits (wide),
    else ``requantize`` of its low 32.
    """
    return requantize64(acc, multiplier, shift) if wide else requantize(wrap32(acc), multiplier, shift)


def wrap32(x: npt.ArrayLike) -> Ints:
    """The int32 value with the same low 32 bits."""
    return np.asarray(x, np.int64).astype(np.int32).astype(np.int64)


def clamp(x: npt.ArrayLike, low: int, high: int) -> Ints:
    """``x`` limited to [low, high]."""
    return np.clip(np.asarray(x, np.int64), low, high)


def stored_values(real: npt.ArrayLike, scale: float, zero_point: int, low: int, high: int) -> Ints:
    """Real values as stored ones: ``real / scale`` rounded (halves to even) plus the zero point, limited."""
    steps = np.round(np.asarray(real, np.float64) / scale) + zero_point
    return np.clip(steps, low, high).astype(np.int64)  # limited first: a huge float has no int64
