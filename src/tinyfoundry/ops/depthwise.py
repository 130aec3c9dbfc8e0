"""Depthwise 2-D convolution: every channel is filtered by itself, by one filter or by several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_or_float
from tinyfoundry.ops._window import (
    Window,
    check_weights,
    convolution_literals,
    correlate_channels,
    rescale_channels,
    wide_sums,
)


@dataclass(frozen=True)
class DepthwiseConv2D:
    """Attributes: the sliding window and the activation applied to the output."""

    window: Window = field(default_factory=Window)
    activation: Activation = Activation.NONE


def _infer(attrs: DepthwiseConv2D, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, w, b = inputs
    if len(x.shape) != 4 or len(w.shape) != 4 or w.shape[0] != 1 or w.shape[3] % x.shape[3]:
        raise GraphError(f"input {x.shape}, weights {w.shape}; wanted NHWC and 1HWO with O a multiple of C")
    if b.shape != w.shape[3:]:
        raise GraphError(f"bias {b.shape}, weights {w.shape}; wanted a bias of ({w.shape[3]},)")
    size = attrs.window.output_size(x.shape[1:3], w.shape[1:3])
    return [((x.shape[0], *size, w.shape[3]), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    yield from quantized_or_float((("input", call.x), ("output", call.y)))
    yield from check_weights(call, axis=3)
    if call.x.dtype == DType.INT16 and call.inputs[2].dtype == DType.INT32:
        yield f"bias is {call.inputs[2]}; wanted int64, as TensorFlow Lite has it for int16"


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, w, b = values
    attrs: DepthwiseConv2D = call.attrs
    filters = w.reshape(*w.shape[1:3], x.shape[3], -1)
    if call.x.quant is None:
        return [activate(correlate_channels(x, filters, attrs.window) + b, attrs.activation, call.y)]
    # int32 is faster, and enough for int8.
    centred = x.astype(np.int64 if wide_sums(call) else np.int32) - call.x.zero_point
    acc = correlate_channels(centred, filters, attrs.window) + b.astype(np.int64)
    return [activate(rescale_channels(acc, call), attrs.activation, call.y)]


def _macs(call: Call) -> int:
    _, kernel_h, kernel_w, _ = call.inputs[1].shape
    return call.y.elements * kernel_h * kernel_w


def _literals(call: Call) -> Mapping[str, Literal]:
    return {**convolution_literals(call), "depth_multiplier": call.y.shape[3] // call.x.shape[3]}


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    for number, (label, in_shape, _, kernel, window) in enumerate(_samples.window_cases(rng)):
        # Multipliers 1, 2, 1, 3, 1, 4, ...: one filter a channel is by far the usual case.
        single = number % 2 == 0 or label.startswith("planes")
        out_c = in_shape[3] * (1 if single else 2 + number // 2 % 3)
        yield _samples.weighted(
            rng, label, DepthwiseConv2D, window, in_shape, (1, *kernel, out_c), out_c, axis=3
        )


DEPTHWISE_CONV2D = register(
    Op(
        name="depthwise_conv2d",
        summary="2-D convolution of each channel by itself, with bias and fused activation",
        attributes=DepthwiseConv2D,
        inputs=(Port("x"), Port("w", constant=True), Port("b", constant=True)),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(weights=3),
        int16=QuantRule(weights=3),
        samples=_samples.with_int16(_samples_of, biases=(DType.INT64,)),
    )
)
