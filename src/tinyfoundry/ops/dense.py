"""Fully connected layer: y[n, o] = sum over k of x[n, k] * w[o, k], plus b[o]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import quantize_multiplier, requantize_sum
from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_or_float
from tinyfoundry.ops._window import channel_multipliers, check_weights, product, weighted_literals, wide_sums


@dataclass(frozen=True)
class Dense:
    """Attributes: the activation applied to the output."""

    activation: Activation = Activation.NONE


def _infer(_attrs: Dense, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, w, b = inputs
    if len(x.shape) != 2 or len(w.shape) != 2 or x.shape[1] != w.shape[1] or b.shape != w.shape[:1]:
        raise GraphError(
            f"input {x.shape}, weights {w.shape}, bias {b.shape}; wanted (N, K), (O, K) with the same K, (O,)"
        )
    return [((x.shape[0], w.shape[0]), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    yield from quantized_or_float((("input", call.x), ("output", call.y)))
    yield from check_weights(call, axis=0)


def _multipliers(call: Call) -> tuple[Array, Array]:
    """Multiplier and shift of each output channel, or one of each for all.

    With one scale for all weights TensorFlow Lite multiplies the scales of input and weights in float32
    (GetQuantizedConvolutionMultipler); with a scale a channel it computes in doubles, as for convolutions.
    """
    w = call.inputs[1]
    if w.quant is not None and w.quant.per_channel:
        return channel_multipliers(call.x, w, call.y)
    scale = float(np.float32(call.x.scale) * np.float32(w.scale))
    multiplier, shift = quantize_multiplier(scale / call.y.scale)
    return np.array([multiplier], np.int32), np.array([shift], np.int32)


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, w, b = values
    attrs: Dense = call.attrs
    if call.x.quant is None:
        return [activate(product(x, w.T) + b, attrs.activation, call.y)]
    acc = product(x.astype(np.int64) - call.x.zero_point, w.T) + b
    y = requantize_sum(acc, *_multipliers(call), wide=wide_sums(call)) + call.y.zero_point
    return [activate(y, attrs.activation, call.y)]


def _macs(call: Call) -> int:
    return call.y.elements * call.x.shape[1]


def _literals(call: Call) -> Mapping[str, Literal]:
    return {
        "batch": call.x.shape[0],
        "in_c": call.x.shape[1],
        "out_c": call.y.shape[1],
        **weighted_literals(call, *_multipliers(call)),
    }


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    for label, batch, in_c, out_c, channels, gain in _cases(rng):
        x = _samples.int8_type(rng, (batch, in_c))
        scales = tuple(np.exp(rng.uniform(-8, -3, out_c if channels else 1)))
        w = Type((out_c, in_c), DType.INT8, Quantization(scales, (0,) * len(scales), 0))
        # A sum of in_c products of centred bytes is of the order of 128 * 64 * sqrt(in_c).
        y_scale = x.scale * float(np.mean(scales)) * 128 * np.sqrt(in_c) / gain
        y = Type((batch, out_c), DType.INT8, per_tensor(y_scale, _samples.pick_zero_point(rng)))
        bias = rng.integers(-20000, 20000, out_c).astype(np.int32)
        call = Call(Dense(_samples.pick_activation(rng)), (x, w, Type((out_c,), DType.INT32)), (y,))
        yield Sample(label, call, {1: _samples.random_weights(rng, w.shape), 2: bias})


def _cases(rng: np.random.Generator) -> Iterator[tuple[str, int, int, int, bool, float]]:
    """(label, rows, inputs, outputs, whether a scale a channel, gain)."""
    yield "one_by_one", 1, 1, 1, False, 1.0
    yield "one_scale", 1, 33, 10, False, 1.0
    yield "scale_a_channel", 1, 64, 12, True, 1.0
    yield "batch_of_3", 3, 17, 5, True, 1.0
    yield "long_sum", 1, 2000, 3, False, 1.0
    yield "left_shift", 1, 4, 6, False, 500.0
    for i in range(6):
        rows, in_c, out_c = (int(rng.integers(1, limit)) for limit in (4, 200, 40))
        yield f"random_{i}", rows, in_c, out_c, bool(rng.random() < 0.5), float(np.exp(rng.uniform(-2, 3)))


DENSE = register(
    Op(
        name="dense",
        summary="fully connected layer with bias and fused activation",
        attributes=Dense,
        inputs=(Port("x"), Port("w", constant=True), Port("b", constant=True)),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(weights=0),
        int16=QuantRule(weights=0),
        samples=_samples.with_int16(_samples_of),
    )
)
