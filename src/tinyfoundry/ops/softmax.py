"""Softmax over the last dimension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, prod

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import clamp, quantize_multiplier, requantize, rounding_divide_by_pot
from tinyfoundry.fixed import saturating_rounding_doubling_high_mul as multiply
from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import quantized_or_float
from tinyfoundry.ops._curve import curve_table, limited16, on_curve
from tinyfoundry.ops._exp import SCALED_DIFF_INTEGER_BITS, exp_on_negative_values, reciprocal

OUTPUT_QUANTIZATION: Quantization = per_tensor(1 / 256, -128)
INT16_OUTPUT: Quantization = per_tensor(1 / 32768)

# Of int16: exp(x) for x in [-10, 0], and 1 / (1 + x) for x in [0, 1].
_EXPONENTIALS = curve_table(np.exp, (10 / 65535, 2**15 - 1), (2 / 65535, 0), np.float64)
_RECIPROCALS = curve_table(lambda x: 1 / (1 + x), (1 / 65535, -(2**15)), (2 / 65535, 0), np.float64)

_FRACTION_BITS = 31 - SCALED_DIFF_INTEGER_BITS
# Sums of exponentials are in Q12.19, so one of 2**12 would overflow.
_SUM_INTEGER_BITS = 12


@dataclass(frozen=True)
class Softmax:
    """Attributes: y is the softmax of ``beta * x``; beta is rounded to float32, as the file format does."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", float(np.float32(self.beta)))


def _infer(_attrs: Softmax, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if not x.shape:
        raise GraphError("input is a scalar; wanted at least one dimension")
    return [(x.shape, x.dtype)]


def _check(call: Call) -> Iterable[str]:
    mixed = list(quantized_or_float((("input", call.x), ("output", call.y))))
    yield from mixed
    beta, depth = call.attrs.beta, call.x.shape[-1]
    if not (np.isfinite(beta) and beta > 0):
        yield f"beta is {beta}; wanted a positive number"
    elif not mixed and call.x.dtype == DType.INT16:
        yield from _check_int16(call)
    elif not mixed and call.x.quant is not None:
        if call.y.quant != OUTPUT_QUANTIZATION:
            yield f"output is {call.y}; wanted scale 1/256 and zero point -128"
        if beta * call.x.scale * 2**_FRACTION_BITS <= 1:
            yield f"beta {beta:g} times input scale {call.x.scale:g}; wanted more than 2**-{_FRACTION_BITS}"
        if depth >= 2**_SUM_INTEGER_BITS:
            yield f"last dimension is {depth}; wanted less than {2**_SUM_INTEGER_BITS}"


def _check_int16(call: Call) -> Iterable[str]:
    if call.y.quant != INT16_OUTPUT:
        yield f"output is {call.y}; wanted scale 1/32768 and zero point 0"
    if not _int16_factor(call) < 2**14:
        yield f"beta times input scale is {_int16_factor(call) * 10 / 65535:g}; wanted less than 2.5"
    if call.x.shape[-1] >= 2**16:
        yield f"last dimension is {call.x.shape[-1]}; wanted less than {2**16}"


def _int16_factor(call: Call) -> float:
    """What differences are multiplied by, so that -65535..0 stands for -10..0 (SoftmaxPrepare)."""
    return float(np.float32(call.x.scale) * np.float32(call.attrs.beta)) / (10.0 / 65535.0)


def _int16_reference(call: Call, x: Array) -> Array:
    """SoftmaxInt16 of reference/softmax.h."""
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    place = requantize(difference, *quantize_multiplier(_int16_factor(call))) + 2**15 - 1
    powers = on_curve(limited16(place), _EXPONENTIALS)
    total = powers.sum(axis=-1, keepdims=True)
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    one_and_f = ((total << (headroom - 1)) + 2**13) >> 14
    factor = on_curve(limited16(one_and_f - 2**15 - 2**16), _RECIPROCALS)
    right = 31 - headroom
    share: Array = np.clip((powers * factor + (1 << (right - 1))) >> right, 0, 2**15 - 1).astype(np.int16)
    return share


def _scaling(call: Call) -> tuple[int, int, int]:
    """(multiplier, shift) that bring a difference of int8 values to Q5.26, and the least one that can be.

    PreprocessSoftmaxScaling and CalculateInputRadius of quantization_util.cc.
    """
    real = call.attrs.beta * call.x.scale * 2**_FRACTION_BITS
    if real >= 2**30 - 1:
        # A step of 16 or more: exp(-16) is nothing beside exp(0), only 0 itself counts.
        return 0, 0, 0
    multiplier, shift = quantize_multiplier(real)
    largest = 2**SCALED_DIFF_INTEGER_BITS - 1
    return multiplier, shift, -floor(largest * 2**_FRACTION_BITS / 2**shift)


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    (x,) = values
    if call.x.quant is None:
        powers = np.exp((x - x.max(axis=-1, keepdims=True)) * np.float32(call.attrs.beta))
        return [(powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)]
    if call.x.dtype == DType.INT16:
        return [_int16_reference(call, x)]
    multiplier, shift, least = _scaling(call)
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    counts = difference >= least
    powers = exp_on_negative_values(requantize(np.where(counts, difference, 0), multiplier, shift))
    # Q0.31 to Q12.19.
    total = np.where(counts, rounding_divide_by_pot(powers, _SUM_INTEGER_BITS), 0).sum(axis=-1, keepdims=True)
    factor, bits = reciprocal(total)
    # 8 bits are kept. Shifts beyond 31, at which LiteRT stops, would leave less than half a step: 0.
    shares = np.where(
        bits > 8, 0, rounding_divide_by_pot(multiply(powers, factor), np.minimum(bits + 23, 31))
    )
    y = np.where(counts, shares, 0) + OUTPUT_QUANTIZATION.zero_point[0]
    return [clamp(y, *call.y.dtype.limits).astype(np.int8)]


def _macs(_call: Call) -> int:
    return 0


def _literals(call: Call) -> Mapping[str, Literal]:
    rows, depth = prod(call.x.shape[:-1]), call.x.shape[-1]
    if call.x.dtype == DType.INT16:
        multiplier, shift = quantize_multiplier(_int16_factor(call))
        tables: dict[str, Literal] = {"exponentials": _EXPONENTIALS, "reciprocals": _RECIPROCALS}
        return {**tables, "rows": rows, "depth": depth, "multiplier": multiplier, "shift": shift}
    multiplier, shift, least = _scaling(call)
    return {
        "rows": rows,
        "depth": depth,
        "multiplier": multiplier,
        "shift": shift,
        "least_difference": least,
    }


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, float, float]] = [
        ("ten_classes", (1, 10), 0.1, 1.0),
        ("one_class", (3, 1), 0.1, 1.0),
        ("two_classes", (5, 2), 0.004, 1.0),
        ("rows_of_an_image", (1, 4, 5, 6), 0.05, 1.0),
        ("vector", (12,), 0.2, 1.0),
        ("fine_scale", (4, 30), 1e-4, 1.0),
        ("finest_scale", (4, 30), 2e-8, 1.0),
        ("coarse_scale", (4, 30), 3.0, 1.0),
        ("only_maxima_count", (4, 30), 40.0, 1.0),
        ("beta", (4, 30), 0.1, 2.7),
        ("small_beta", (4, 30), 0.1, 0.01),
        ("deep", (2, 511), 0.03, 1.0),
    ]
    for i in range(6):
        rows, depth = int(rng.integers(1, 9)), int(rng.integers(1, 200))
        scale, beta = float(np.exp(rng.uniform(-7, 1))), float(rng.uniform(0.1, 3))
        cases.append((f"random_{i}", (rows, depth), scale, beta))
    for label, shape, scale, beta in cases:
        x = Type(shape, DType.INT8, per_tensor(scale, _samples.pick_zero_point(rng)))
        y = Type(shape, DType.INT8, OUTPUT_QUANTIZATION)
        yield Sample(label, Call(Softmax(beta), (x,), (y,)), {})
    for label, shape, scale, beta in cases:
        if scale * beta < 100:
            x = Type(shape, DType.INT16, per_tensor(scale / 256))
            call = Call(Softmax(beta), (x,), (Type(shape, DType.INT16, INT16_OUTPUT),))
            yield Sample(f"int16_{label}", call, {})


SOFTMAX = register(
    Op(
        name="softmax",
        summary="exp(beta * x) over its sum along the last dimension",
        attributes=Softmax,
        inputs=(Port("x"),),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(output=OUTPUT_QUANTIZATION),
        int16=QuantRule(output=INT16_OUTPUT),
        samples=_samples_of,
        # A row's maximum and sum are known before any of it is written.
        updates=((0, 0),),
    )
)
