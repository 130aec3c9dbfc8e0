"""Slices along one axis, picked while the network runs: embeddings of words, gathers at computed indices.

An index counts from 0, a negative one from the end (as in ONNX; TensorFlow Lite refuses those). Beyond
either end the nearest slice is taken: firmware cannot refuse to go on, and must not read outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._moves import check_moved, no_macs

_INDICES = (DType.INT32, DType.INT64)


@dataclass(frozen=True)
class Take:
    """Attributes: the axis of x along which indices pick; their own axes take its place in the output."""

    axis: int = 0


def _infer(attrs: Take, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, indices = inputs
    if not 0 <= attrs.axis < len(x.shape):
        raise GraphError(f"axis {attrs.axis} of {x.shape}; wanted 0 to {len(x.shape) - 1}")
    return [((*x.shape[: attrs.axis], *indices.shape, *x.shape[attrs.axis + 1 :]), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    x, indices = call.inputs
    if indices.dtype not in _INDICES or indices.quant is not None:
        yield f"indices are {indices}; wanted int32 or int64"
    yield from check_moved(replace(call, inputs=(x,)))


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, indices = values
    size = x.shape[call.attrs.axis]
    counted = np.where(indices < 0, indices.astype(np.int64) + size, indices)
    return [np.take(x, np.clip(counted, 0, size - 1), axis=call.attrs.axis)]


def _bounds(call: Call) -> Mapping[int, tuple[int, int]]:
    return {1: (0, call.x.shape[call.attrs.axis] - 1)}


def _literals(call: Call) -> Mapping[str, Literal]:
    axis = call.attrs.axis
    return {
        "outer": prod(call.x.shape[:axis]),
        "size": call.x.shape[axis],
        "inner": prod(call.x.shape[axis + 1 :]),
        "count": call.inputs[1].elements,
    }


def _sample_calls(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, int, Shape, DType]] = [
        ("words", (50, 6), 0, (1, 9), DType.INT32),
        ("long_words", (50, 6), 0, (1, 9), DType.INT64),
        ("one_word", (7, 3), 0, (), DType.INT32),
        ("columns", (2, 3, 8), 2, (4,), DType.INT32),
        ("rows", (1, 5, 4, 3), 1, (2, 3), DType.INT64),
        ("one_slice", (4, 1, 3), 1, (2,), DType.INT32),
        ("vector", (300,), 0, (5,), DType.INT32),
    ]
    for label, shape, axis, picked, dtype in cases:
        x = _samples.int8_type(rng, shape)
        y = Type((*shape[:axis], *picked, *shape[axis + 1 :]), x.dtype, x.quant)
        table = {0: rng.integers(-128, 128, shape).astype(np.int8)} if axis == 0 else {}
        yield Sample(label, Call(Take(axis), (x, Type(picked, dtype)), (y,)), table)


TAKE = register(
    Op(
        name="take",
        summary="slices along one axis, at indices computed while it runs: embeddings",
        attributes=Take,
        inputs=(Port("x"), Port("indices")),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=no_macs,
        literals=_literals,
        int8=QuantRule(shared=True),
        samples=_sample_calls,
        bounds=_bounds,
    )
)
