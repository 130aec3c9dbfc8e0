"""Ops that pick elements, or repeat them, at places known beforehand: strided slice, gather, broadcast.

Split, slice, unpack and reverse of other formats are strided slices too; mirror padding is a gather along
each padded axis, tiling a broadcast along each axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._moves import check_moved, moved, no_macs
from tinyfoundry.ops._strides import at_most_four_loops, broadcast_strides, copy_literals, strides


@dataclass(frozen=True)
class StridedSlice:
    """Attributes, one number a dimension: element i of the output is element begin + i * stride of the input.

    size: of the output, at least 1. stride: not 0; negative ones go backwards.
    """

    begin: tuple[int, ...]
    size: Shape
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Gather:
    """Attributes: an axis, and for each slice of the output along it the slice of the input that it is."""

    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Broadcast:
    """Attributes: shape of the output, onto which the input is repeated as numpy does."""

    shape: Shape


def _slice_infer(attrs: StridedSlice, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if not len(attrs.begin) == len(attrs.size) == len(attrs.stride) == len(x.shape):
        raise GraphError(f"{attrs} of {x.shape}; wanted a number for each dimension")
    for begin, count, stride, size in zip(attrs.begin, attrs.size, attrs.stride, x.shape, strict=True):
        ends = (begin, begin + (count - 1) * stride)
        if count < 1 or stride == 0 or min(ends) < 0 or max(ends) >= size:
            raise GraphError(
                f"{count} elements from {begin} on in steps of {stride}; "
                f"wanted at least 1, all within 0 to {size - 1}"
            )
    return [(attrs.size, x.dtype)]


def _slice_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    attrs: StridedSlice = call.attrs
    places = [
        begin + stride * np.arange(size)
        for begin, size, stride in zip(attrs.begin, attrs.size, attrs.stride, strict=True)
    ]
    return [values[0][np.ix_(*places)] if places else values[0].copy()]


def _slice_steps(call: Call) -> tuple[int, ...]:
    pairs = zip(strides(call.x.shape), call.attrs.stride, strict=True)
    return tuple(step * stride for step, stride in pairs)


def _slice_check(call: Call) -> Iterable[str]:
    yield from check_moved(call)
    yield from at_most_four_loops(call.y.shape, _slice_steps(call))


def _slice_literals(call: Call) -> Mapping[str, Literal]:
    pairs = zip(strides(call.x.shape), call.attrs.begin, strict=True)
    start = sum(step * begin for step, begin in pairs)
    return {**copy_literals(call.y.shape, _slice_steps(call)), "x_start": start}


def _slice_samples(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, StridedSlice]] = [
        ("whole", (2, 3), StridedSlice((0, 0), (2, 3), (1, 1))),
        ("channels", (1, 3, 4, 6), StridedSlice((0, 0, 0, 2), (1, 3, 4, 3), (1, 1, 1, 1))),
        ("rows", (1, 7, 4, 3), StridedSlice((0, 2, 0, 0), (1, 4, 4, 3), (1, 1, 1, 1))),
        ("every_other", (1, 7, 6, 3), StridedSlice((0, 1, 0, 0), (1, 3, 3, 3), (1, 2, 2, 1))),
        ("mirrored", (2, 3, 4), StridedSlice((1, 2, 3), (2, 3, 4), (-1, -1, -1))),
        ("backwards", (9, 2), StridedSlice((8, 1), (3, 1), (-3, 1))),
        ("one_element", (4, 5), StridedSlice((3, 4), (1, 1), (1, 1))),
        (
            "five_dimensions",
            (2, 3, 4, 3, 5),
            StridedSlice((0, 1, 1, 0, 1), (2, 2, 3, 3, 5 - 1), (1, 1, 1, 1, 1)),
        ),
    ]
    for i in range(6):
        shape = tuple(int(n) for n in rng.integers(1, 9, int(rng.integers(1, 5))))
        begin, size, stride = zip(*(_random_run(rng, n) for n in shape), strict=True)
        cases.append((f"random_{i}", shape, StridedSlice(begin, size, stride)))
    for label, shape, attrs in cases:
        yield moved(rng, label, attrs, shape, attrs.size)


def _random_run(rng: np.random.Generator, length: int) -> tuple[int, int, int]:
    """Begin, size and stride of a run of elements within ``length``."""
    begin, stride = int(rng.integers(length)), int(rng.choice((-3, -2, -1, 1, 2, 3)))
    room = (length - 1 - begin) // stride if stride > 0 else begin // -stride
    return begin, int(rng.integers(room + 1)) + 1, stride


STRIDED_SLICE = register(
    Op(
        name="strided_slice",
        summary="elements at even distances along each dimension, forwards or backwards",
        attributes=StridedSlice,
        inputs=(Port("x"),),
        infer=_slice_infer,
        check=_slice_check,
        reference=_slice_reference,
        macs=no_macs,
        literals=_slice_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_slice_samples),
        kernels="copy",
    )
)


def _gather_infer(attrs: Gather, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if not 0 <= attrs.axis < len(x.shape):
        raise GraphError(f"axis {attrs.axis} of {x.shape}; wanted 0 to {len(x.shape) - 1}")
    size = x.shape[attrs.axis]
    wrong = [index for index in attrs.indices if not 0 <= index < size]
    if wrong or not attrs.indices:
        found = f"index {wrong[0]}" if wrong else "no indices"
        raise GraphError(f"{found} along axis {attrs.axis} of {x.shape}; wanted 0 to {size - 1}")
    return [((*x.shape[: attrs.axis], len(attrs.indices), *x.shape[attrs.axis + 1 :]), x.dtype)]


def _gather_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    return [np.take(values[0], call.attrs.indices, axis=call.attrs.axis)]


def _gather_literals(call: Call) -> Mapping[str, Literal]:
    axis = call.attrs.axis
    return {
        "outer": prod(call.x.shape[:axis]),
        "size": call.x.shape[axis],
        "inner": prod(call.x.shape[axis + 1 :]),
        "indices": np.array(call.attrs.indices, np.int32),
        "count": len(call.attrs.indices),
    }


def _gather_samples(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, int, int]] = [
        ("vector", (9,), 0, 20),
        ("channels", (1, 3, 4, 7), 3, 5),
        ("rows", (1, 5, 4, 3), 1, 7),
        ("batch", (4, 3), 0, 2),
        ("one", (2, 5, 3), 1, 1),
        ("six_dimensions", (2, 1, 3, 2, 2, 2), 2, 4),
    ]
    for label, shape, axis, count in cases:
        attrs = Gather(axis, tuple(int(i) for i in rng.integers(shape[axis], size=count)))
        yield moved(rng, label, attrs, shape, (*shape[:axis], count, *shape[axis + 1 :]))


GATHER = register(
    Op(
        name="gather",
        summary="slices along one axis, at indices known beforehand",
        attributes=Gather,
        inputs=(Port("x"),),
        infer=_gather_infer,
        check=check_moved,
        reference=_gather_reference,
        macs=no_macs,
        literals=_gather_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_gather_samples),
    )
)


def _broadcast_infer(attrs: Broadcast, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    own = (1,) * (len(attrs.shape) - len(x.shape)) + x.shape
    if len(own) != len(attrs.shape) or any(
        n not in (1, wanted) for n, wanted in zip(own, attrs.shape, strict=True)
    ):
        raise GraphError(f"{x.shape} onto {attrs.shape}; wanted equal sizes, or 1 where they differ")
    return [(attrs.shape, x.dtype)]


def _broadcast_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    return [np.broadcast_to(values[0], call.attrs.shape).copy()]


def _broadcast_check(call: Call) -> Iterable[str]:
    yield from check_moved(call)
    yield from at_most_four_loops(call.y.shape, broadcast_strides(call.x.shape, call.y.shape))


def _broadcast_literals(call: Call) -> Mapping[str, Literal]:
    return copy_literals(call.y.shape, broadcast_strides(call.x.shape, call.y.shape))


def _broadcast_samples(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, Shape]] = [
        ("channels", (5,), (2, 3, 5)),
        ("squeeze_excite", (1, 1, 1, 4), (1, 3, 5, 4)),
        ("planes", (1, 3, 5, 1), (1, 3, 5, 4)),
        ("one_element", (1,), (3, 7)),
        ("scalar", (), (2, 2)),
        ("nothing_to_do", (2, 3), (2, 3)),
        ("both_ends", (1, 4, 1), (3, 4, 2)),
        ("five_dimensions", (1, 1, 3, 1, 2), (2, 4, 3, 2, 2)),
    ]
    for label, shape, y_shape in cases:
        yield moved(rng, label, Broadcast(y_shape), shape, y_shape)


BROADCAST = register(
    Op(
        name="broadcast",
        summary="repeats a tensor along dimensions where it has size 1",
        attributes=Broadcast,
        inputs=(Port("x"),),
        infer=_broadcast_infer,
        check=_broadcast_check,
        reference=_broadcast_reference,
        macs=no_macs,
        literals=_broadcast_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_broadcast_samples),
        kernels="copy",
    )
)
