"""Average and max pooling over sliding windows. Padding takes no part in an average or a maximum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_limits, quantized_or_float
from tinyfoundry.ops._window import Pair, Window, windows


@dataclass(frozen=True)
class AveragePool2D:
    """Attributes: size of the window, how it slides (no dilation), activation applied to the output."""

    kernel: Pair
    window: Window = field(default_factory=Window)
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class MaxPool2D:
    """Attributes: size of the window, how it slides (no dilation), activation applied to the output."""

    kernel: Pair
    window: Window = field(default_factory=Window)
    activation: Activation = Activation.NONE


Pool = AveragePool2D | MaxPool2D


def _infer(attrs: Pool, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if len(x.shape) != 4:
        raise GraphError(f"input {x.shape}; wanted four sizes, NHWC")
    if attrs.window.dilation != (1, 1):
        raise GraphError(f"dilation {attrs.window.dilation}; pools have none, wanted (1, 1)")
    size = attrs.window.output_size((x.shape[1], x.shape[2]), attrs.kernel)
    return [((x.shape[0], *size, x.shape[3]), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    yield from quantized_or_float((("input", call.x), ("output", call.y)))
    if call.x.quant != call.y.quant:
        yield f"output is {call.y}; wanted the quantization of the input, {call.x}"


def _average(call: Call, values: Sequence[Array]) -> list[Array]:
    (x,) = values
    attrs: AveragePool2D = call.attrs
    inside = np.ones((1, *x.shape[1:3], 1), np.int64)
    count = windows(inside, attrs.window, attrs.kernel, 0).sum(axis=(4, 5))
    if call.x.quant is None:
        total = windows(x, attrs.window, attrs.kernel, 0).sum(axis=(4, 5))
        return [activate(total / count.astype(np.float32), attrs.activation, call.y)]
    total = windows(x.astype(np.int64), attrs.window, attrs.kernel, 0).sum(axis=(4, 5))
    # Stored values are averaged as they are, halves rounded away from 0 (AveragePool, integer_ops/pooling.h).
    magnitude = (np.abs(total) + count // 2) // count
    return [activate(np.sign(total) * magnitude, attrs.activation, call.y)]


def _maximum(call: Call, values: Sequence[Array]) -> list[Array]:
    (x,) = values
    attrs: MaxPool2D = call.attrs
    lowest = -np.inf if call.x.quant is None else call.x.dtype.limits[0]
    y = windows(x, attrs.window, attrs.kernel, lowest).max(axis=(4, 5))
    return [activate(y, attrs.activation, call.y)]


def _macs(_call: Call) -> int:
    return 0


def _literals(call: Call) -> Mapping[str, Literal]:
    attrs: Pool = call.attrs
    y_min, y_max = quantized_limits(attrs.activation, call.y)
    return {
        **attrs.window.literals(call),
        "kernel_h": attrs.kernel[0],
        "kernel_w": attrs.kernel[1],
        "y_min": y_min,
        "y_max": y_max,
    }


def _samples_of(rng: np.random.Generator, attributes: type[Pool]) -> Iterable[Sample]:
    cases = [(label, shape, kernel, window) for label, shape, _, kernel, window in _samples.window_cases(rng)]
    cases.append(("whole_image", (1, 6, 5, 7), (6, 5), Window()))
    cases.append(("same_2x2_odd_size", (1, 5, 7, 3), (2, 2), _samples.same((5, 7), (2, 2), (2, 2))))
    for label, shape, kernel, window in cases:
        if window.dilation != (1, 1) or window.pad_w[0] > window.pad_w[1]:
            continue  # TensorFlow Lite's pools know neither dilation nor padding other than SAME and VALID
        x = _samples.int8_type(rng, shape)
        attrs = attributes(kernel, window, _samples.pick_activation(rng))
        [(y_shape, dtype)] = _infer(attrs, (x,))
        yield Sample(label, Call(attrs, (x,), (Type(y_shape, dtype, x.quant),)), {})


def _average_samples(rng: np.random.Generator) -> Iterable[Sample]:
    return _samples_of(rng, AveragePool2D)


def _maximum_samples(rng: np.random.Generator) -> Iterable[Sample]:
    return _samples_of(rng, MaxPool2D)


AVERAGE_POOL2D = register(
    Op(
        name="average_pool2d",
        summary="mean of each window's elements inside the image",
        attributes=AveragePool2D,
        inputs=(Port("x"),),
        infer=_infer,
        check=_check,
        reference=_average,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_average_samples),
    )
)

MAX_POOL2D = register(
    Op(
        name="max_pool2d",
        summary="largest of each window's elements inside the image",
        attributes=MaxPool2D,
        inputs=(Port("x"),),
        infer=_infer,
        check=_check,
        reference=_maximum,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_maximum_samples),
    )
)
