"""Random and corner-case material for the ops' sample calls: types, weights, windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type, per_tensor
from tinyfoundry.op import Call, Sample
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Pair, Window, same_padding

WindowCase = tuple[str, Shape, int, Pair, Window]
Samples = Callable[[np.random.Generator], Iterable[Sample]]

# Samples that int16 repeats at most, evenly chosen: its kernels have the text of those of int8.
_REPEATED = 12


def int8_type(rng: np.random.Generator, shape: Shape, zero_point: int | None = None) -> Type:
    """An int8 type with a random scale and, unless given, a zero point from ``pick_zero_point``."""
    zero = pick_zero_point(rng) if zero_point is None else zero_point
    return Type(shape, DType.INT8, per_tensor(float(np.exp(rng.uniform(-6, 0))), zero))


def pick_zero_point(rng: np.random.Generator) -> int:
    """A zero point: one of the extremes -128 and 127 half of the time, otherwise anything between."""
    return int(rng.choice((-128, 127, *rng.integers(-128, 128, 2))))


def pick_activation(rng: np.random.Generator) -> Activation:
    """One of the fused activations."""
    return list(Activation)[int(rng.integers(len(Activation)))]


def same(size: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Window:
    """A window with TensorFlow's SAME padding over an input of ``size``."""
    pads = [same_padding(size[i], kernel[i], stride[i], dilation[i]) for i in (0, 1)]
    return Window(stride, pads[0], pads[1], dilation)


def window_cases(rng: np.random.Generator) -> Iterator[WindowCase]:
    """(label, input shape, output channels, kernel, window): the corners of convolution, then random ones."""
    yield "one_by_one", (1, 1, 1, 1), 1, (1, 1), Window()
    yield "pointwise", (1, 5, 4, 8), 6, (1, 1), Window()
    yield "same_3x3", (1, 7, 6, 3), 5, (3, 3), same((7, 6), (3, 3), (1, 1))
    yield "same_3x3_stride_2", (1, 8, 8, 4), 4, (3, 3), same((8, 8), (3, 3), (2, 2))
    yield "valid_5x5", (1, 9, 8, 2), 3, (5, 5), Window()
    yield "tall_10x4_stride_2", (1, 13, 10, 1), 8, (10, 4), same((13, 10), (10, 4), (2, 2))
    yield "one_dimensional", (1, 1, 20, 6), 4, (1, 5), same((1, 20), (1, 5), (1, 2))
    yield "dilated", (1, 9, 9, 2), 3, (3, 3), same((9, 9), (3, 3), (1, 1), (2, 2))
    yield "batch_of_2", (2, 4, 5, 3), 2, (3, 2), same((4, 5), (3, 2), (1, 2))
    yield "causal", (1, 1, 12, 4), 3, (1, 3), Window(pad_w=(2, 0))
    yield "kernel_wider_than_input", (1, 3, 3, 2), 2, (7, 7), same((3, 3), (7, 7), (1, 1))
    for i in range(6):
        size = int(rng.integers(2, 11)), int(rng.integers(2, 11))
        kernel = int(rng.integers(1, min(6, size[0] + 1))), int(rng.integers(1, min(6, size[1] + 1)))
        stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        window = same(size, kernel, stride) if rng.random() < 0.5 else Window(stride)
        channels = int(rng.integers(1, 20))
        yield f"random_{i}", (1, *size, channels), int(rng.integers(1, 20)), kernel, window


def weighted(
    rng: np.random.Generator,
    label: str,
    attributes: Any,
    window: Window,
    x_shape: Shape,
    w_shape: Shape,
    out_c: int,
    axis: int,
) -> Sample:
    """A convolution-like sample: random int8 weights, output scale fit to the sums.

    The weights have a scale a channel along ``axis``, now and then a single one.
    """
    x = int8_type(rng, x_shape)
    scales = tuple(np.exp(rng.uniform(-8, -3, 1 if rng.random() < 0.25 else out_c)))
    w = Type(w_shape, DType.INT8, Quantization(scales, (0,) * len(scales), axis))
    b = Type((out_c,), DType.INT32)
    attrs = attributes(window, pick_activation(rng))
    y_shape = (x_shape[0], *window.output_size(x_shape[1:3], w_shape[1:3]), out_c)
    taps = int(np.prod(w_shape)) // out_c
    y_scale = x.scale * float(np.mean(scales)) * 128 * np.sqrt(taps)
    y = Type(y_shape, DType.INT8, per_tensor(y_scale, pick_zero_point(rng)))
    constants = {1: random_weights(rng, w_shape), 2: rng.integers(-20000, 20000, out_c).astype(np.int32)}
    return Sample(label, Call(attrs, (x, w, b), (y,)), constants)


def random_weights(rng: np.random.Generator, shape: Shape) -> Array:
    """Symmetric int8 weights in [-127, 127]."""
    return rng.integers(-127, 128, shape).astype(np.int8)


def with_int16(
    samples: Samples,
    suits: Callable[[Sample], bool] = lambda _sample: True,
    biases: Sequence[DType] = (DType.INT64, DType.INT64, DType.INT32),
) -> Samples:
    """``samples`` in int8, then some of them again in int16: scales 256 times finer, zero points 0.

    Of calls with a bias (int32, the third input) the weights stay int8 and the bias becomes one of ``biases``
    in turn. suits: whether int16 can do what a sample does.
    """

    def both(rng: np.random.Generator) -> Iterable[Sample]:
        known = list(samples(rng))
        yield from known
        able = [sample for sample in known if suits(sample)]
        chosen = np.unique(np.linspace(0, len(able) - 1, min(len(able), _REPEATED)).astype(int))
        for number, sample in enumerate(able[index] for index in chosen):
            yield _widened(rng, sample, biases[number % len(biases)])

    return both


def int16_type(type_: Type) -> Type:
    """An int8 type in int16, of about the same range."""
    return Type(type_.shape, DType.INT16, per_tensor(type_.scale / 256))


def _widened(rng: np.random.Generator, sample: Sample, bias: DType) -> Sample:
    call, constants = sample.call, dict(sample.constants)
    weighted = len(call.inputs) == 3 and call.inputs[2].dtype == DType.INT32
    if weighted:
        x, w, b = call.inputs
        inputs = [int16_type(x), w, replace(b, dtype=bias)]
        constants[2] = (constants[2] * 256).astype(bias.value)
    else:
        inputs = [int16_type(x) for x in call.inputs]
        for position, value in constants.items():
            fine = value.astype(np.int64) * 256 + rng.integers(256, size=value.shape)
            constants[position] = fine.astype(np.int16)
    outputs = [int16_type(y) if y.dtype == DType.INT8 else y for y in call.outputs]
    return Sample(
        f"int16_{sample.label}", replace(call, inputs=tuple(inputs), outputs=tuple(outputs)), constants
    )
