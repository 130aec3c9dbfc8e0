"""Functions of one number: magnitude, exponential, square root and its reciprocal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinyfoundry.fixed import (
    INT32_MAX,
    INT32_MIN,
    Ints,
    clamp,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
)
from tinyfoundry.fixed import saturating_rounding_doubling_high_mul as multiply
from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Call, Literal
from tinyfoundry.ops._curve import curve_table, on_curve
from tinyfoundry.ops._lookup import (
    Function,
    Wide,
    int16_samples,
    lookup_op,
    lookup_samples,
    real_values,
    within_reach,
)
from tinyfoundry.ops._rescale import check_ratio, float_quotient

# exp of more than this is infinite in float32.
_LARGEST_EXPONENT = 88.0
# Fractional bits of a reciprocal square root before it is brought to the output's scale.
_FRACTION = 20


@dataclass(frozen=True)
class Abs:
    """No attributes."""


@dataclass(frozen=True)
class Exp:
    """No attributes."""


@dataclass(frozen=True)
class Sqrt:
    """No attributes."""


@dataclass(frozen=True)
class Rsqrt:
    """No attributes."""


def _abs_ratio(call: Call) -> float:
    return float_quotient(call.y, call.x.scale)


def _abs_stored(call: Call, x: Ints) -> Ints:
    """AbsEvalQuantized of elementwise.cc, which rescales only where the scales differ."""
    magnitude = np.abs(x - call.x.zero_point)
    if call.x.scale != call.y.scale:
        magnitude = requantize(magnitude, *quantize_multiplier(_abs_ratio(call)))
    return magnitude + call.y.zero_point


def _abs_complaints(call: Call) -> Iterable[str]:
    yield from check_ratio(_abs_ratio(call), call.x)


def _abs_literals(call: Call) -> dict[str, Literal]:
    multiplier, shift = quantize_multiplier(_abs_ratio(call))  # of equal scales 1, which changes nothing
    return {"multiplier": multiplier, "shift": shift}


ABS = lookup_op(
    "abs",
    "magnitude",
    Abs,
    Function(
        lambda _attrs, x: np.abs(x),
        _abs_stored,
        _abs_complaints,
        int16=Wide(_abs_stored, _abs_literals, _abs_complaints),
    ),
    int16_samples(lambda rng: lookup_samples(rng, [Abs()])),
)


def _exp(_attrs: Exp, x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(x.astype(np.float64)).astype(np.float32)


def _exp_curve(call: Call) -> Array:
    """LUTPopulate's table, in float32."""
    return curve_table(lambda x: _exp(Exp(), x), (call.x.scale, 0), (call.y.scale, 0), np.float32)


def _exp_complaints(call: Call) -> Iterable[str]:
    largest = call.x.scale * 2**15 - math.log(call.y.scale)
    if not largest < _LARGEST_EXPONENT:
        yield (
            f"input scale {call.x.scale:g} reaches exp({call.x.scale * 2**15:g}), which in steps of "
            f"{call.y.scale:g} is beyond float32; wanted a smaller input scale"
        )


EXP = lookup_op(
    "exp",
    "exponential",
    Exp,
    Function(
        _exp,
        int16=Wide(
            lambda call, x: on_curve(x, _exp_curve(call)),
            lambda call: {"curve": _exp_curve(call)},
            _exp_complaints,
        ),
    ),
    int16_samples(
        lambda rng: lookup_samples(rng, [Exp()]), suits=lambda sample: sample.call.x.scale * 2**7 < 60
    ),
)


def _sqrt(_attrs: Sqrt, x: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def _sqrt_stored(call: Call, x: Ints) -> Ints:
    """SqrtEvalQuantized of elementwise.cc, which truncates.

    Negative values, which it refuses while it runs, count as 0 here.
    """
    with np.errstate(all="ignore"):  # what overflows is limited
        root = np.sqrt(real_values(call, np.maximum(x, call.x.zero_point)))
        steps = within_reach(root / np.float32(call.y.scale))
    return np.trunc(steps).astype(np.int64) + call.y.zero_point


SQRT = lookup_op(
    "sqrt",
    "square root",
    Sqrt,
    Function(_sqrt, _sqrt_stored),
    lambda rng: lookup_samples(rng, [Sqrt()], x_zero_point=-128),
)


def _rsqrt(_attrs: Rsqrt, x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.float32(1) / np.sqrt(x)


def _rsqrt_stored(call: Call, x: Ints) -> Ints:
    """RsqrtEvalQuantizedInt8 of elementwise.cc: 0 gives the largest result.

    Negative values, which it refuses while it runs, count as 0 here.
    """
    value = x - call.x.zero_point
    inverse, shift = _inverse_square_root(np.maximum(value, 1))
    multiplier, y_shift = quantize_multiplier(_rsqrt_factor(call))
    fraction = requantize(1, inverse, shift + _FRACTION)
    y = requantize(fraction, multiplier, y_shift - _FRACTION) + call.y.zero_point
    return np.where(value <= 0, call.y.dtype.limits[1], y)


def _rsqrt_factor(call: Call) -> float:
    """What results are multiplied by: a double, over a product of floats."""
    with np.errstate(all="ignore"):
        product = float(np.sqrt(np.float32(call.x.scale)) * np.float32(call.y.scale))
    return 1 / product if product else np.inf


def _inverse_square_root(x: Ints) -> tuple[Ints, Ints]:
    """(r, shift) with 1 / sqrt(x) = r * 2**(shift - 31), for x in [1, 511].

    Five steps of Newton's method from 1 on x / 4**k in [1/4, 1), in Q3.28, then times sqrt(2) / 2: gemmlowp's
    arithmetic (GetInvSqrtQuantizedMultiplierExp of internal/common.h).
    """
    length = np.frexp(x.astype(np.float64))[1].astype(np.int64)
    pairs = (31 - length) // 2 - 1
    half = rounding_divide_by_pot((x << (2 * pairs)) >> 1, 1)
    guess = np.full_like(x, 1 << 28)
    for _ in range(5):
        cube = _shifted(multiply(multiply(guess, guess), guess), 6)
        guess = _shifted(multiply((1 << 28) + (1 << 27), guess) - multiply(half, cube), 3)
    inverse = multiply(guess, 1518500250)
    shift = 11 - pairs
    one = x == 1
    left = np.where(one, 0, np.maximum(-shift, 0))
    return np.where(one, INT32_MAX, inverse << left), np.where(one, 0, -np.maximum(shift, 0))


def _shifted(x: Ints, bits: int) -> Ints:
    return clamp(x << bits, INT32_MIN, INT32_MAX)


def _rsqrt_complaints(call: Call) -> Iterable[str]:
    if quantize_multiplier(_rsqrt_factor(call))[1] < _FRACTION - 31:
        yield (
            f"input scale {call.x.scale:g} and output scale {call.y.scale:g} are too large: every result "
            "is nothing beside the output's scale"
        )


RSQRT = lookup_op(
    "rsqrt",
    "1 / sqrt(x)",
    Rsqrt,
    Function(_rsqrt, _rsqrt_stored, _rsqrt_complaints),
    lambda rng: lookup_samples(rng, [Rsqrt()], x_zero_point=-128),
)
