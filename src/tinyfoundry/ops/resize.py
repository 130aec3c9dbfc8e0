"""Resizing of images: nearest neighbour and bilinear, with TensorFlow Lite's arithmetic.

Along each axis an output coordinate i reads the input at i * scale, or at (i + 1/2) * scale - 1/2 where
pixels are taken by their centres; scale is input / output size, or (input - 1) / (output - 1) where the
corners are aligned (reference/resize_nearest_neighbor.h and resize_bilinear.h of TensorFlow Lite).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._moves import check_moved, moved, no_macs
from tinyfoundry.ops._window import Pair

_ONE = 1 << 10  # bilinear int8 coordinates have 10 bits after the point


@dataclass(frozen=True)
class Resize:
    """Attributes: height and width of the output, and how coordinates are mapped (see the module)."""

    size: Pair
    align_corners: bool = False
    half_pixel_centers: bool = False


def _infer(attrs: Resize, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if len(x.shape) != 4 or min(attrs.size) < 1:
        raise GraphError(f"{x.shape} to size {attrs.size}; wanted 4 dimensions, N H W C, and sizes above 0")
    return [((x.shape[0], *attrs.size, x.shape[3]), x.dtype)]


def nearest(attrs: Resize, axis: int, size: int) -> Array:
    """For each row (axis 0) or column (axis 1) of the output the one of the input's ``size`` that it is."""
    out = attrs.size[axis]
    aligned = attrs.align_corners and out > 1
    scale = np.float32(size - 1) / np.float32(out - 1) if aligned else np.float32(size) / np.float32(out)
    offset = np.float32(0.5 if attrs.half_pixel_centers else 0.0)
    places = ((np.arange(out, dtype=np.float32) + offset) * scale).astype(np.float64)
    # std::round: halves away from zero; places are never negative.
    whole = np.floor(places + 0.5) if attrs.align_corners else np.floor(places)
    return np.minimum(whole, size - 1).astype(np.int32)


def _nearest_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    rows, columns = (nearest(call.attrs, axis, call.x.shape[1 + axis]) for axis in (0, 1))
    return [values[0][:, rows][:, :, columns]]


def _images(call: Call) -> dict[str, Literal]:
    n, in_h, in_w, c = call.x.shape
    return {"n": n, "in_h": in_h, "in_w": in_w, "c": c, "out_h": call.y.shape[1], "out_w": call.y.shape[2]}


def _nearest_literals(call: Call) -> Mapping[str, Literal]:
    rows, columns = (nearest(call.attrs, axis, call.x.shape[1 + axis]) for axis in (0, 1))
    return {**_images(call), "rows": rows, "columns": columns}


_CASES: tuple[tuple[str, Shape, Pair], ...] = (
    ("double", (1, 3, 4, 3), (6, 8)),
    ("half", (1, 6, 8, 2), (3, 4)),
    ("uneven", (2, 5, 7, 2), (8, 3)),
    ("one_pixel", (1, 4, 5, 3), (1, 1)),
    ("from_one_pixel", (1, 1, 1, 4), (3, 2)),
    ("same", (1, 4, 3, 2), (4, 3)),
)


def _cases(rng: np.random.Generator) -> Iterator[tuple[str, Shape, Pair]]:
    yield from _CASES
    for i in range(4):
        n, in_h, in_w, c, out_h, out_w = (int(size) for size in rng.integers(1, (3, 12, 12, 6, 20, 20)))
        yield f"random_{i}", (n, in_h, in_w, c), (out_h, out_w)


_MAPPINGS = ((False, False), (True, False), (False, True))


def _samples_of(
    rng: np.random.Generator, mappings: tuple[tuple[bool, bool], ...] = _MAPPINGS
) -> Iterable[Sample]:
    """mappings: (whether corners are aligned, whether pixels are taken by their centres)."""
    for label, shape, size in _cases(rng):
        for corners, centers in mappings:
            name = f"{label}_{corners}_{centers}".lower()
            yield moved(rng, name, Resize(size, corners, centers), shape, (shape[0], *size, shape[3]))


RESIZE_NEAREST = register(
    Op(
        name="resize_nearest",
        summary="an image of another size, each pixel the nearest of the input's",
        attributes=Resize,
        inputs=(Port("x"),),
        infer=_infer,
        check=check_moved,
        reference=_nearest_reference,
        macs=no_macs,
        literals=_nearest_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(partial(_samples_of, mappings=(*_MAPPINGS, (True, True)))),
    )
)


def _places(attrs: Resize, axis: int, size: int) -> tuple[Array, Array, Array]:
    """For each row or column of the output: its two neighbours in the input, and its distance in 1/1024 from
    the first.
    """
    places = np.arange(attrs.size[axis], dtype=np.int64) * _scale(attrs, axis, size) + _start(
        attrs, axis, size
    )
    # Only the first half pixel is below 0; both its neighbours are pixel 0, so its distance does not matter.
    low = np.maximum(places, 0) // _ONE
    high = np.minimum((np.maximum(places, 0) + _ONE - 1) // _ONE, size - 1)
    return low, high, places - low * _ONE


def _scale(attrs: Resize, axis: int, size: int) -> int:
    """Input pixels between neighbours of the output, in 1/1024, rounded to nearest."""
    out = attrs.size[axis]
    if attrs.align_corners and out > 1:
        return (_ONE * (size - 1) + (out - 1) // 2) // (out - 1)
    return (_ONE * size + out // 2) // out


def _start(attrs: Resize, axis: int, size: int) -> int:
    """Where in the input the first row or column of the output lies, in 1/1024 pixels."""
    return _scale(attrs, axis, size) // 2 - _ONE // 2 if attrs.half_pixel_centers else 0


def _bilinear_check(call: Call) -> Iterable[str]:
    yield from check_moved(call)
    attrs: Resize = call.attrs
    if attrs.align_corners and attrs.half_pixel_centers:
        yield "corners are aligned and pixels taken by their centres; wanted at most one of both"
    for axis in (0, 1) if call.x.quant is not None else ():
        size, out = call.x.shape[1 + axis], attrs.size[axis]
        if (out - 1) * _scale(attrs, axis, size) + _start(attrs, axis, size) >= min(size * _ONE, 2**31):
            yield f"{size} pixels to {out}: 10 bits after the point are too few; wanted a smaller image"


def _bilinear_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    if call.x.quant is None:
        return [_bilinear_float(call, values[0])]
    x = values[0].astype(np.int64)
    (top, bottom, down), (left, right, across) = (
        _places(call.attrs, axis, call.x.shape[1 + axis]) for axis in (0, 1)
    )
    down, across = down[:, None, None], across[:, None]
    upper = x[:, top][:, :, left] * (_ONE - across) + x[:, top][:, :, right] * across
    lower = x[:, bottom][:, :, left] * (_ONE - across) + x[:, bottom][:, :, right] * across
    total = upper * (_ONE - down) + lower * down
    # Halves away from zero, by a division that truncates towards it.
    rounded = (np.abs(total) + _ONE * _ONE // 2) // (_ONE * _ONE)
    return [(np.sign(total) * rounded).astype(call.y.dtype.value)]


def _bilinear_float(call: Call, x: Array) -> Array:
    y = x
    for axis in (0, 1):
        size, out = call.x.shape[1 + axis], call.attrs.size[axis]
        aligned = call.attrs.align_corners and out > 1
        scale = np.float32(size - 1) / np.float32(out - 1) if aligned else np.float32(size) / np.float32(out)
        places = np.arange(out, dtype=np.float32) * scale
        if call.attrs.half_pixel_centers:
            places = (np.arange(out, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
        low = np.maximum(np.floor(places), 0).astype(np.int64)
        high = np.minimum(np.ceil(places), size - 1).astype(np.int64)
        part = (places - low.astype(np.float32)).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        y = np.take(y, low, 1 + axis) * (1 - part) + np.take(y, high, 1 + axis) * part
    return y.astype(np.float32)


def _bilinear_literals(call: Call) -> Mapping[str, Literal]:
    attrs, (_, height, width, _) = call.attrs, call.x.shape
    return {
        **_images(call),
        "row_scale": _scale(attrs, 0, height),
        "row_start": _start(attrs, 0, height),
        "column_scale": _scale(attrs, 1, width),
        "column_start": _start(attrs, 1, width),
    }


RESIZE_BILINEAR = register(
    Op(
        name="resize_bilinear",
        summary="an image of another size, each pixel a mean of the four around it",
        attributes=Resize,
        inputs=(Port("x"),),
        infer=_infer,
        check=_bilinear_check,
        reference=_bilinear_reference,
        macs=lambda call: 4 * call.y.elements,
        literals=_bilinear_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_samples_of),
    )
)
