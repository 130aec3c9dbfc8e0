"""The curves of int16 gates: the twin of ``kernels/common/tinyfoundry_gates.h``.

A Qm.n number is an int16 that stands for itself / 2**n, with m + n = 15. The definitions are gemmlowp's for
int16 (fixedpoint/fixedpoint.h), restated on arrays: what LiteRT computes inside an LSTM.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyfoundry.fixed import Ints, rounding_divide_by_pot

INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1

_EXP_OF_MINUS_EIGHTH, _THIRD = 28918, 10923  # Q0.15
# exp(-1/4), exp(-1/2), exp(-1), ... exp(-8) in Q0.15; the next one, exp(-16), is 0.
_EXP_OF_MINUS_POWERS = (25520, 19875, 12055, 4435, 600, 11, 0)
_48_OVER_17, _32_OVER_17 = 23130, 15420  # Q2.13: Newton's first guess of a reciprocal on [1/2, 1]
_ONE = 1 << 13  # Q2.13


def logistic(x: npt.ArrayLike) -> Ints:
    """1 / (1 + exp(-x)) in Q0.15 for x in Q3.12."""
    x64 = np.asarray(x, np.int64)
    positive = _reciprocal(_exp(-np.abs(x64), 3))
    return np.where(x64 == 0, 1 << 14, np.where(x64 > 0, positive, INT16_MAX - positive))


def tanh(x: npt.ArrayLike, integer_bits: int) -> Ints:
    """Hyperbolic tangent in Q0.15 of x in Qm.n with m = ``integer_bits``, 0 to 6."""
    x64 = np.asarray(x, np.int64)
    # 2x is the same number with one integer bit more; tanh is (1 - e) / (1 + e) with e = exp(-2|x|).
    inverse = _newton(_exp(-np.abs(x64), integer_bits + 1))
    magnitude = np.clip((inverse - _ONE) * 4, INT16_MIN, INT16_MAX)
    return np.where(x64 == 0, 0, np.where(x64 > 0, magnitude, -magnitude))


def _multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Ints:
    """High 16 bits of 2ab, rounded as the doubling high multiply of int32 is."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.where(nudged >= 0, nudged >> 15, -((-nudged) >> 15))


def _exp(x: Ints, integer_bits: int) -> Ints:
    """exp(x) in Q0.15 for x <= 0 with ``integer_bits``; exp(0) is the largest int16."""
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (x & (quarter - 1)) - quarter
    quarters = (rest - x) >> (fraction_bits - 2)
    result = _exp_of_rest(rest << integer_bits)
    for bit, factor in enumerate(_EXP_OF_MINUS_POWERS[: integer_bits + 2]):
        result = np.where(quarters >> bit & 1, _multiply(result, factor), result)
    if integer_bits > 5:
        result = np.where(x < -(32 << fraction_bits), 0, result)
    return np.where(x == 0, INT16_MAX, result)


def _exp_of_rest(x: Ints) -> Ints:
    """exp(x) in Q0.15 for x in [-1/4, 0) in Q0.15: Taylor's series of degree 4 about -1/8."""
    t = x + (1 << 12)
    t2 = _multiply(t, t)
    t3, t4 = _multiply(t2, t), _multiply(t2, t2)
    higher = _multiply(rounding_divide_by_pot(t4, 2) + t3, _THIRD) + t2
    return _EXP_OF_MINUS_EIGHTH + _multiply(_EXP_OF_MINUS_EIGHTH, t + rounding_divide_by_pot(higher, 1))


def _newton(x: Ints) -> Ints:
    """2 / (1 + x) in Q2.13 for x in [0, 1] in Q0.15, by three steps of Newton's method."""
    half = (x + INT16_MAX + 1) >> 1
    guess = _48_OVER_17 + _multiply(half, -_32_OVER_17)
    for _ in range(3):
        error = _ONE - _multiply(half, guess)
        guess = guess + np.clip(_multiply(guess, error) * 4, INT16_MIN, INT16_MAX)
    return guess


def _reciprocal(x: Ints) -> Ints:
    """1 / (1 + x) in Q0.15."""
    return np.minimum(_newton(x) * 2, INT16_MAX)
