"""What convolutions and pools share: sliding windows, explicit padding, and per-channel requantisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import quantize_multiplier, requantize_sum
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal
from tinyfoundry.ops._activation import quantized_limits

Pair = tuple[int, int]

MOST_WIDE = 127
"""What factors of 64-bit sums must stay below: a shift of 7 is the most that TensorFlow Lite has."""


@dataclass(frozen=True)
class Window:
    """How a kernel slides: strides, rows and columns of padding (before, after), dilation; height first."""

    stride: Pair = (1, 1)
    pad_h: Pair = (0, 0)
    pad_w: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def extent(self, kernel: Shape) -> Pair:
        """Height and width that a dilated kernel covers."""
        return (kernel[0] - 1) * self.dilation[0] + 1, (kernel[1] - 1) * self.dilation[1] + 1

    def output_size(self, size: Shape, kernel: Shape) -> Pair:
        """Size of the output over an input of ``size``; GraphError when the kernel does not fit."""
        if min(*self.stride, *self.dilation, *kernel) < 1 or min(*self.pad_h, *self.pad_w) < 0:
            raise GraphError(
                f"window {self} with kernel {kernel}: strides, dilations and sizes must be positive"
            )
        extent = self.extent(kernel)
        if max(self.pad_h) >= extent[0] or max(self.pad_w) >= extent[1]:
            raise GraphError(
                f"padding {self.pad_h}, {self.pad_w} reaches past a window of {extent[0]}×{extent[1]}"
            )
        span = size[0] + sum(self.pad_h) - extent[0], size[1] + sum(self.pad_w) - extent[1]
        if min(span) < 0:
            raise GraphError(
                f"a window of {extent[0]}×{extent[1]} does not fit an input of {size[0]}×{size[1]}"
            )
        return span[0] // self.stride[0] + 1, span[1] // self.stride[1] + 1

    def literals(self, call: Call) -> dict[str, Literal]:
        """Batch, sizes, strides, padding of a call from image to image, by the names that kernels know."""
        (batch, in_h, in_w, in_c), (_, out_h, out_w, out_c) = call.x.shape, call.y.shape
        return {
            "batch": batch,
            "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": out_h, "out_w": out_w, "out_c": out_c,
            "stride_h": self.stride[0], "stride_w": self.stride[1],
            "dilation_h": self.dilation[0], "dilation_w": self.dilation[1],
            "pad_top": self.pad_h[0], "pad_left": self.pad_w[0],
        }  # fmt: skip


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Padding (before, after) of TensorFlow's SAME: ceil(size / stride) outputs, the odd one goes after."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def windows(x: Array, window: Window, kernel: Shape, fill: float) -> Array:
    """All windows of x[N,H,W,C], padded with ``fill``: an array [N, out_h, out_w, C, kernel_h, kernel_w]."""
    padded = np.pad(x, ((0, 0), window.pad_h, window.pad_w, (0, 0)), constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, window.extent(kernel), axis=(1, 2))
    sh, sw = window.stride
    dh, dw = window.dilation
    return views[:, ::sh, ::sw, :, ::dh, ::dw]


def product(a: Array, b: Array) -> Array:
    """Matrix product of a[..., K] and b[K, M]; of integers an exact one, as int64.

    numpy multiplies only floats by BLAS, so integers go through float64: exact while no sum can reach 2**53,
    that is for K up to 2**38 where ``a`` holds centred int8 values (up to 255) and ``b`` weights (up to 128),
    and for K up to 2**23 where both hold int16 values.
    """
    if a.dtype.kind == "f":
        return a @ b
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def correlate(x: Array, w: Array, window: Window) -> Array:
    """Sums of products of w[O,kh,kw,C] with each window of x[N,H,W,C]: [N,out_h,out_w,O]; zeros pad x."""
    patches = windows(x, window, w.shape[1:3], 0).transpose(0, 1, 2, 4, 5, 3)
    return product(patches.reshape(*patches.shape[:3], -1), w.reshape(w.shape[0], -1).T)


def correlate_channels(x: Array, w: Array, window: Window) -> Array:
    """As ``correlate`` with w[kh,kw,C,m], each channel by itself: [N,out_h,out_w,C*m], of the type of x.

    int32 holds every sum of up to 65,000 taps of |x| <= 255 and |w| <= 128.
    """
    patches = windows(x, window, w.shape[:2], 0)
    total = np.zeros((*patches.shape[:4], w.shape[3]), x.dtype)
    for i, j in np.ndindex(w.shape[:2]):
        total += patches[..., i, j, None] * w[i, j].astype(total.dtype)
    return total.reshape(*patches.shape[:3], -1)


def channel_multipliers(x: Type, w: Type, y: Type) -> tuple[Array, Array]:
    """Multiplier and shift of each output channel: x.scale * w.scale[c] / y.scale, in doubles."""
    assert w.quant is not None
    real = [x.scale * scale / y.scale for scale in w.quant.scale]
    pairs = np.array([quantize_multiplier(value) for value in real], np.int32)
    return pairs[:, 0], pairs[:, 1]


def rescale_channels(acc: Array, call: Call) -> Array:
    """Accumulators [..., channel] of a convolution as stored values of its output, not yet clamped."""
    multiplier, shift = channel_multipliers(call.x, call.inputs[1], call.y)
    return requantize_sum(acc, multiplier, shift, wide=wide_sums(call)) + call.y.zero_point


def wide_sums(call: Call) -> bool:
    """Whether TensorFlow Lite sums an op with weights in 64 bits: in as many as its bias has."""
    return call.inputs[2].dtype == DType.INT64


def weighted_literals(call: Call, multiplier: Array, shift: Array) -> dict[str, Literal]:
    """What every kernel of an int8 op with weights may ask for: ``multiplier`` (int32) and ``shift`` (int8)
    tables, one entry an output channel (one for all is repeated), zero points, and the activation's clamp.
    """
    channels = call.y.shape[-1]
    y_min, y_max = quantized_limits(call.attrs.activation, call.y)
    return {
        "multiplier": np.broadcast_to(multiplier, (channels,)).astype(np.int32),
        "shift": np.broadcast_to(shift, (channels,)).astype(np.int8),
        "x_zero_point": call.x.zero_point,
        "y_zero_point": call.y.zero_point,
        "y_min": y_min,
        "y_max": y_max,
    }


def convolution_literals(call: Call) -> dict[str, Literal]:
    """``weighted_literals`` of a convolution with weights [., kernel_h, kernel_w, .], and its window."""
    window: Window = call.attrs.window
    return {
        **window.literals(call),
        **weighted_literals(call, *channel_multipliers(call.x, call.inputs[1], call.y)),
        "kernel_h": call.inputs[1].shape[1],
        "kernel_w": call.inputs[1].shape[2],
    }


def check_weights(call: Call, axis: int) -> Iterable[str]:
    """Complaints unless weights are int8, symmetric, with one scale or some along ``axis``, and bias int32.

    With int16 activations the bias is int64 or int32; in a float32 call weights and bias are float32.
    """
    w, b = call.inputs[1], call.inputs[2]
    if call.x.dtype == "float32":
        if w.dtype != "float32" or b.dtype != "float32":
            yield f"weights are {w} and bias {b}; wanted float32 as the input is"
        return
    if w.dtype != "int8" or w.quant is None or any(w.quant.zero_point):
        yield f"weights are {w}; wanted int8 with zero point 0"
    elif w.quant.per_channel and w.quant.axis != axis:
        yield f"weights are quantized along axis {w.quant.axis}; wanted {axis}"
    if call.x.dtype == DType.INT16 and b.dtype == DType.INT64:
        yield from _check_wide(call)
    elif b.dtype != DType.INT32:
        yield f"bias is {b}; wanted int32{' or int64' if call.x.dtype == DType.INT16 else ''}"


def _check_wide(call: Call) -> Iterable[str]:
    """A complaint where 64-bit sums would need a shift that TensorFlow Lite has not."""
    w = call.inputs[1]
    if w.quant is None or call.y.quant is None or call.x.quant is None:
        return
    factor = call.x.scale * max(w.quant.scale) / call.y.scale
    if not factor < MOST_WIDE:
        yield f"input scale times weight scale is {factor:g} times the output's; wanted less than {MOST_WIDE}"
