"""Transposed convolution: every input pixel adds its weighted kernel to the output (Zeiler et al.,
"Deconvolutional Networks", 2010). It is the gradient of a convolution with respect to its input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type, per_tensor
from tinyfoundry.op import Call, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_or_float
from tinyfoundry.ops._window import (
    Pair,
    Window,
    check_weights,
    convolution_literals,
    product,
    rescale_channels,
)


@dataclass(frozen=True)
class TransposeConv:
    """Attributes: height and width of the output, the window of the convolution that leads back from it to
    the input, and the activation applied to the output. The window's padding is what is cut off the output.
    """

    size: Pair = (1, 1)
    window: Window = field(default_factory=Window)
    activation: Activation = Activation.NONE


def _infer(attrs: TransposeConv, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, w, b = inputs
    if len(x.shape) != 4 or len(w.shape) != 4 or x.shape[3] != w.shape[3] or b.shape != w.shape[:1]:
        raise GraphError(
            f"input {x.shape}, weights {w.shape}, bias {b.shape}; wanted NHWC, OHWI with the same C, (O,)"
        )
    back = attrs.window.output_size(attrs.size, w.shape[1:3])
    if back != x.shape[1:3]:
        raise GraphError(
            f"an output of {attrs.size[0]}×{attrs.size[1]} belongs to an input of {back[0]}×{back[1]}; "
            f"found {x.shape[1]}×{x.shape[2]}"
        )
    return [((x.shape[0], *attrs.size, w.shape[0]), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    if call.attrs.window.dilation != (1, 1):
        yield f"dilation is {call.attrs.window.dilation}; wanted (1, 1)"
    yield from quantized_or_float((("input", call.x), ("output", call.y)))
    yield from check_weights(call, axis=0)


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, w, b = values
    attrs: TransposeConv = call.attrs
    if call.x.quant is None:
        return [activate(_scatter(x, w, attrs) + b, attrs.activation, call.y)]
    acc = _scatter(x.astype(np.int64) - call.x.zero_point, w, attrs) + b
    return [activate(rescale_channels(acc, call), attrs.activation, call.y)]


def _scatter(x: Array, w: Array, attrs: TransposeConv) -> Array:
    """Sums of x[N,H,W,C] times w[O,kh,kw,C] where the kernels fall on the output: [N, *attrs.size, O]."""
    window, (top, left) = attrs.window, (attrs.window.pad_h[0], attrs.window.pad_w[0])
    spread = [1 + (size - 1) * step for size, step in zip(x.shape[1:3], window.stride, strict=True)]
    height, width = (max(spread[i] + w.shape[1 + i] - 1, (top, left)[i] + attrs.size[i]) for i in (0, 1))
    canvas: Array = np.zeros((x.shape[0], height, width, w.shape[0]), x.dtype)
    for i, j in np.ndindex(w.shape[1:3]):
        rows, columns = slice(i, i + spread[0], window.stride[0]), slice(j, j + spread[1], window.stride[1])
        canvas[:, rows, columns] += product(x, w[:, i, j].T)
    return canvas[:, top : top + attrs.size[0], left : left + attrs.size[1]]


def _macs(call: Call) -> int:
    """Every input value meets every weight of its channel; what falls on the rim that is cut off counts."""
    return call.x.elements * int(np.prod(call.inputs[1].shape[:3]))


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    doubled = _samples.same((8, 6), (4, 4), (2, 2))
    yield _sample(rng, "doubled", (1, 8, 6, 5), 3, (4, 4), doubled)
    gaps = _samples.same((9, 7), (2, 1), (3, 2))
    yield _sample(rng, "gaps", (1, 9, 7, 2), 4, (2, 1), gaps)
    yield _sample(rng, "rest_beyond", (2, 12, 9, 3), 2, (3, 2), Window((4, 3)))
    for label, shape, out_c, kernel, window in _samples.window_cases(rng):
        # Padding that is neither SAME nor VALID, and dilation, are not TensorFlow Lite's.
        if label not in ("dilated", "causal"):
            yield _sample(rng, label, shape, out_c, kernel, window)


def _sample(
    rng: np.random.Generator, label: str, shape: Shape, in_c: int, kernel: Pair, window: Window
) -> Sample:
    """The sample whose output has ``shape``."""
    out_c = shape[3]
    x = _samples.int8_type(rng, (shape[0], *window.output_size(shape[1:3], kernel), in_c))
    scales = tuple(np.exp(rng.uniform(-8, -3, 1 if rng.random() < 0.25 else out_c)))
    w = Type((out_c, *kernel, in_c), DType.INT8, Quantization(scales, (0,) * len(scales), 0))
    taps = max(in_c * kernel[0] * kernel[1] // (window.stride[0] * window.stride[1]), 1)
    y_scale = x.scale * float(np.mean(scales)) * 128 * np.sqrt(taps)
    y = Type(shape, DType.INT8, per_tensor(y_scale, _samples.pick_zero_point(rng)))
    bias = rng.integers(-20000, 20000, out_c).astype(np.int32)
    attrs = TransposeConv((shape[1], shape[2]), window, _samples.pick_activation(rng))
    call = Call(attrs, (x, w, Type((out_c,), DType.INT32)), (y,))
    return Sample(label, call, {1: _samples.random_weights(rng, w.shape), 2: bias})


TRANSPOSE_CONV = register(
    Op(
        name="transpose_conv",
        summary="transposed 2-D convolution with bias and fused activation",
        attributes=TransposeConv,
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
