"""2-D convolution (cross-correlation, as everywhere in deep learning). 1-D is a height or width of 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_or_float
from tinyfoundry.ops._window import Window, check_weights, convolution_literals, correlate, rescale_channels


@dataclass(frozen=True)
class Conv2D:
    """Attributes: the sliding window and the activation applied to the output."""

    window: Window = field(default_factory=Window)
    activation: Activation = Activation.NONE


def _infer(attrs: Conv2D, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, w, b = inputs
    if len(x.shape) != 4 or len(w.shape) != 4 or x.shape[3] != w.shape[3] or b.shape != w.shape[:1]:
        raise GraphError(
            f"input {x.shape}, weights {w.shape}, bias {b.shape}; wanted NHWC, OHWI with the same C, (O,)"
        )
    size = attrs.window.output_size(x.shape[1:3], w.shape[1:3])
    return [((x.shape[0], *size, w.shape[0]), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    yield from quantized_or_float((("input", call.x), ("output", call.y)))
    yield from check_weights(call, axis=0)


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, w, b = values
    attrs: Conv2D = call.attrs
    if call.x.quant is None:
        return [activate(correlate(x, w, attrs.window) + b, attrs.activation, call.y)]
    centred = x.astype(np.int64) - call.x.zero_point
    acc = correlate(centred, w, attrs.window) + b
    return [activate(rescale_channels(acc, call), attrs.activation, call.y)]


def _macs(call: Call) -> int:
    return call.y.elements * int(np.prod(call.inputs[1].shape[1:]))


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    for label, in_shape, out_c, kernel, window in _samples.window_cases(rng):
        w_shape = (out_c, *kernel, in_shape[3])
        yield _samples.weighted(rng, label, Conv2D, window, in_shape, w_shape, out_c, axis=0)


CONV2D = register(
    Op(
        name="conv2d",
        summary="2-D convolution with bias and fused activation",
        attributes=Conv2D,
        inputs=(Port("x"), Port("w", constant=True), Port("b", constant=True)),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=convolution_literals,
        int8=QuantRule(weights=0),
        int16=QuantRule(weights=0),
        samples=_samples.with_int16(_samples_of),
    )
)
