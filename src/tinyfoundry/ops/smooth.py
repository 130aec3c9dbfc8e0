"""Activations with a curve or a slope where relus are flat: logistic, tanh, hard swish, leaky relu."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyfoundry.fixed import Ints, clamp, quantize_multiplier, rounding_divide_by_pot
from tinyfoundry.ir.graph import Array, DType, Quantization, Type, per_tensor
from tinyfoundry.op import Call, Literal, Sample
from tinyfoundry.ops._curve import SIGMOID, on_sigmoid
from tinyfoundry.ops._lookup import Function, Wide, int16_samples, lookup_op, lookup_samples
from tinyfoundry.ops._rescale import check_ratio, float_quotient, rescaled

LOGISTIC_OUTPUT = per_tensor(1 / 256, -128)
TANH_OUTPUT = per_tensor(1 / 128, 0)
INT16_OUTPUT = per_tensor(1 / 32768)


@dataclass(frozen=True)
class Logistic:
    """No attributes."""


@dataclass(frozen=True)
class Tanh:
    """No attributes."""


@dataclass(frozen=True)
class HardSwish:
    """No attributes."""


@dataclass(frozen=True)
class LeakyRelu:
    """Attributes: the slope of the negative half."""

    alpha: float = 0.2


def _logistic(_attrs: Logistic, x: Array) -> Array:
    """1 / (1 + exp(-x)), each step rounded to float32."""
    with np.errstate(over="ignore"):
        power = np.exp(-x.astype(np.float64)).astype(np.float32)
    return np.float32(1) / (np.float32(1) + power)


def _tanh(_attrs: Tanh, x: Array) -> Array:
    return np.tanh(x.astype(np.float64)).astype(np.float32)


def _sigmoid_scaling(call: Call) -> tuple[int, int]:
    """(multiplier, shift) that bring an int16 value to units of 1/12288 (TanhPrepare, SigmoidPrepare).

    The input scales 2**-12 and, for tanh, 2**-11 are exact: the multiplier is 3 or 6.
    """
    logarithm = np.float32(np.log(np.float32(call.x.scale))) * np.float32(1.4426950408889634)
    power = int(np.floor(logarithm + 0.5))
    exact = (0, 1) if isinstance(call.attrs, Tanh) else (0,)
    if abs(power - logarithm) < 1e-3 and power + 12 in exact:
        return 3 << (power + 12), 0
    multiplier, shift = call.x.scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    return int(multiplier), shift


def _sigmoid_places(call: Call, x: Ints) -> Ints:
    multiplier, shift = _sigmoid_scaling(call)
    return (x * multiplier + ((1 << shift) >> 1)) >> shift


def _int16_logistic(call: Call, x: Ints) -> Ints:
    """Logistic of reference/integer_ops/logistic.h."""
    place = _sigmoid_places(call, x)
    value = on_sigmoid(place, 9, 2**16 - 2)
    return np.where(place >= 0, value + 2**9, 2**25 - value + 2**9 - 1) >> 10


def _int16_tanh(call: Call, x: Ints) -> Ints:
    """Tanh of reference/integer_ops/tanh.h: 2 * sigmoid(2x) - 1."""
    place = _sigmoid_places(call, x)
    value = on_sigmoid(place, 8, 2**16 - 1) - 2**23
    return np.where(place >= 0, value + 2**7, -value + 2**7 - 1) >> 8


def _by_sigmoid(stored: Callable[[Call, Ints], Ints]) -> Wide:
    def literals(call: Call) -> dict[str, Literal]:
        multiplier, shift = _sigmoid_scaling(call)
        return {"sigmoid": SIGMOID, "multiplier": multiplier, "shift": shift}

    def complaints(call: Call) -> Iterable[str]:
        if not _sigmoid_scaling(call)[0] < 2**16:
            yield f"input scale is {call.x.scale:g}; wanted less than 5.3"

    return Wide(stored, literals, complaints, INT16_OUTPUT)


def _sigmoid_samples(rng: np.random.Generator, attrs: Any, output: Quantization) -> Iterable[Sample]:
    yield from lookup_samples(rng, [attrs], output)
    for label, scale in (("exact_scale", 2**-4), ("double_scale", 2**-3), ("large_scale", 1000.0)):
        x = Type((300,), DType.INT8, per_tensor(scale))
        yield Sample(label, Call(attrs, (x,), (Type((300,), DType.INT8, output),)), {})


LOGISTIC = lookup_op(
    "logistic",
    "1 / (1 + exp(-x)), also called sigmoid",
    Logistic,
    Function(_logistic, output=LOGISTIC_OUTPUT, int16=_by_sigmoid(_int16_logistic)),
    int16_samples(lambda rng: _sigmoid_samples(rng, Logistic(), LOGISTIC_OUTPUT), INT16_OUTPUT),
)

TANH = lookup_op(
    "tanh",
    "hyperbolic tangent",
    Tanh,
    Function(_tanh, output=TANH_OUTPUT, int16=_by_sigmoid(_int16_tanh)),
    int16_samples(lambda rng: _sigmoid_samples(rng, Tanh(), TANH_OUTPUT), INT16_OUTPUT),
)


def _hard_swish(_attrs: HardSwish, x: Array) -> Array:
    six = np.float32(6)
    return x * np.clip(x + np.float32(3), np.float32(0), six) / six


def _hard_swish_ratios(call: Call) -> tuple[float, float]:
    """Scale of x, shifted left by 7 bits, over that of y, and over that on which 3.0 is 2**15.

    Quotients of floats, as in HardSwishPrepare of activations.cc.
    """
    fine = call.x.scale / 128
    with np.errstate(all="ignore"):  # what overflows is infinite, and is complained about as such
        to_weight = np.float32(fine) / (np.float32(3) / np.float32(2**15))
    return float_quotient(call.y, fine), float(to_weight)


def _multiplier16(ratio: float) -> tuple[int, int]:
    """``quantize_multiplier`` with a multiplier of 15 bits (DownScaleInt32ToInt16Multiplier)."""
    multiplier, shift = quantize_multiplier(ratio)
    return min((multiplier + 2**15) >> 16, 2**15 - 1), shift


def _high_mul16(a: Ints, b: int) -> Ints:
    """High 16 bits of ``2 * a * b``, rounded as gemmlowp does; b is no -2**15."""
    product = a * b
    return _truncated(product + np.where(product >= 0, 1 << 14, 1 - (1 << 14)))


def _truncated(x: Ints) -> Ints:
    """``x / 2**15`` truncated towards 0, as C divides."""
    return np.where(x >= 0, x >> 15, -((-x) >> 15))


def _hard_swish_stored(call: Call, x: Ints) -> Ints:
    """Values times a weight in [0, 1], each in 16 bits (reference/hard_swish.h)."""
    to_y, to_weight = (_multiplier16(ratio) for ratio in _hard_swish_ratios(call))
    fine = (x - call.x.zero_point) << 7
    weight = _limited(fine << max(to_weight[1] - 1, 0))
    weight = _high_mul16(weight, to_weight[0])
    weight = _limited(weight << 1) if to_weight[1] > 0 else rounding_divide_by_pot(weight, -to_weight[1])
    weight = (weight + 2**15) >> 1
    product = _truncated(weight * _high_mul16(fine, to_y[0]))
    return rounding_divide_by_pot(product, -to_y[1]) + call.y.zero_point


def _limited(x: Ints) -> Ints:
    return clamp(x, -(2**15), 2**15 - 1)


def _hard_swish_complaints(call: Call) -> Iterable[str]:
    to_y, to_weight = _hard_swish_ratios(call)
    if quantize_multiplier(to_y)[1] > 0:
        yield f"input scale is {to_y * 128:g} times the output's; wanted less than 128"
    if not to_weight < 2**16:
        yield f"input scale is {call.x.scale:g}; wanted less than 768"


HARD_SWISH = lookup_op(
    "hard_swish",
    "x * relu6(x + 3) / 6",
    HardSwish,
    Function(_hard_swish, _hard_swish_stored, _hard_swish_complaints),
    lambda rng: lookup_samples(rng, [HardSwish()]),
)


def _leaky_relu(attrs: LeakyRelu, x: Array) -> Array:
    return np.where(x > 0, x, x * np.float32(attrs.alpha))


def _leaky_ratios(call: Call) -> tuple[float, float]:
    """Factors of the positive and of the negative half, as floats (LeakyReluPrepare of activations.cc)."""
    return float_quotient(call.y, call.x.scale), float_quotient(call.y, call.x.scale, call.attrs.alpha)


def _leaky_stored(call: Call, x: Ints) -> Ints:
    above, below = (rescaled(x, ratio, call.x, call.y) for ratio in _leaky_ratios(call))
    return np.where(x >= call.x.zero_point, above, below)


def _leaky_complaints(call: Call) -> Iterable[str]:
    if not (np.isfinite(call.attrs.alpha) and call.attrs.alpha >= 0):
        yield f"alpha is {call.attrs.alpha:g}; wanted a finite number >= 0"
        return
    for ratio in _leaky_ratios(call):
        yield from check_ratio(ratio, call.x)


def _leaky_literals(call: Call) -> dict[str, Literal]:
    (above, above_shift), (below, below_shift) = map(quantize_multiplier, _leaky_ratios(call))
    return {
        "above_multiplier": above, "above_shift": above_shift,
        "below_multiplier": below, "below_shift": below_shift,
    }  # fmt: skip


LEAKY_RELU = lookup_op(
    "leaky_relu",
    "max(x, 0) + alpha * min(x, 0)",
    LeakyRelu,
    Function(
        _leaky_relu,
        _leaky_stored,
        _leaky_complaints,
        int16=Wide(_leaky_stored, _leaky_literals, _leaky_complaints),
    ),
    int16_samples(
        lambda rng: lookup_samples(rng, [LeakyRelu(alpha) for alpha in (0.2, 0.0, 0.01, 1.0, 2.5)])
    ),
)
