"""Mean, sum and largest value over axes; a mean over height and width is global average pooling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import prod

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import quantize_multiplier, requantize
from tinyfoundry.ir.graph import Array, DType, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, int8_or_float, quantized_or_float
from tinyfoundry.ops._moves import check_moved, no_macs


@dataclass(frozen=True)
class Mean:
    """Attributes: the axes, counted from 0, and whether they stay in the output as axes of size 1."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class Sum:
    """Attributes: as those of ``Mean``."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class ReduceMax:
    """Attributes: as those of ``Mean``."""

    axes: tuple[int, ...]
    keep_dims: bool = False


Reduction = Mean | Sum | ReduceMax


def _infer(attrs: Reduction, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    rank = len(x.shape)
    if len(set(attrs.axes)) != len(attrs.axes) or not all(0 <= axis < rank for axis in attrs.axes):
        raise GraphError(f"axes {attrs.axes}, input {x.shape}; wanted different axes from 0 to {rank - 1}")
    if attrs.keep_dims:
        return [(tuple(1 if axis in attrs.axes else size for axis, size in enumerate(x.shape)), x.dtype)]
    return [(tuple(size for axis, size in enumerate(x.shape) if axis not in attrs.axes), x.dtype)]


def _check(call: Call) -> Iterable[str]:
    faces = (("input", call.x), ("output", call.y))
    yield from int8_or_float(faces) if isinstance(call.attrs, Sum) else quantized_or_float(faces)
    if call.x.dtype == DType.INT16 and _count(call) >= 2**16:
        yield f"{_count(call)} values to sum; wanted less than {2**16}, whose sum 32 bits hold"
    if len(_runs(call)) > 5:
        yield f"axes {call.attrs.axes} of {call.x}; wanted axes in at most two runs of neighbours"


def _count(call: Call) -> int:
    return prod(call.x.shape[axis] for axis in call.attrs.axes)


def _scaling(call: Call) -> tuple[int, int]:
    """Multiplier and shift from a sum at the input's scale to the output: those of x.scale / y.scale.

    For a mean 1 / count is folded in: TensorFlow Lite shifts left by as much as keeps 31 bits, then divides
    and truncates (QuantizedMeanOrSum in reference/reduce.h).
    """
    multiplier, shift = quantize_multiplier(call.x.scale / call.y.scale)
    if isinstance(call.attrs, Sum):
        return multiplier, shift
    count = _count(call)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    (x,) = values
    attrs: Mean | Sum = call.attrs
    if call.x.quant is None:
        total = x.sum(axis=attrs.axes, dtype=np.float32).reshape(call.y.shape)
        count = 1 if isinstance(attrs, Sum) else _count(call)
        return [activate(total / np.float32(count), Activation.NONE, call.y)]
    total = x.sum(axis=attrs.axes, dtype=np.int64).reshape(call.y.shape)
    y = requantize(total - _count(call) * call.x.zero_point, *_scaling(call)) + call.y.zero_point
    return [activate(y, Activation.NONE, call.y)]


def _runs(call: Call) -> list[int]:
    """Sizes of the runs of neighbouring axes that are kept, reduced, kept, and so on.

    The first is 1 when axis 0 is reduced.
    """
    runs = [
        (reduced, prod(call.x.shape[axis] for axis in axes))
        for reduced, axes in groupby(range(len(call.x.shape)), lambda axis: axis in call.attrs.axes)
    ]
    sizes = [size for _, size in runs]
    return [1, *sizes] if runs and runs[0][0] else sizes


def _run_literals(call: Call) -> dict[str, Literal]:
    names = ("kept_0", "reduced_0", "kept_1", "reduced_1", "kept_2")
    return dict(zip(names, _runs(call) + [1] * 5, strict=False))


def _literals(call: Call) -> Mapping[str, Literal]:
    multiplier, shift = _scaling(call)
    return {
        **_run_literals(call),
        "multiplier": multiplier,
        "shift": shift,
        "x_zero_point": call.x.zero_point,
        "y_zero_point": call.y.zero_point,
    }


def _samples_of(rng: np.random.Generator, attributes: type[Reduction] = Mean) -> Iterable[Sample]:
    for label, shape, axes, same_scale in _cases(rng):
        x = _samples.int8_type(rng, shape)
        attrs = attributes(axes, bool(rng.random() < 0.5))
        [(y_shape, dtype)] = _infer(attrs, (x,))
        y_scale = x.scale * float(np.exp(rng.uniform(-2, 0.5)))
        if attributes is Sum:
            y_scale *= np.sqrt(x.elements / max(prod(y_shape), 1))
        shared = same_scale or attributes is ReduceMax
        quant = x.quant if shared else per_tensor(y_scale, _samples.pick_zero_point(rng))
        yield Sample(label, Call(attrs, (x,), (Type(y_shape, dtype, quant),)), {})


def _cases(rng: np.random.Generator) -> Iterator[tuple[str, Shape, tuple[int, ...], bool]]:
    """(label, input shape, axes, whether the output has the input's quantization)."""
    yield "one_by_one", (1, 1, 1, 1), (1, 2), True
    yield "global", (1, 7, 6, 5), (1, 2), False
    yield "global_same_scale", (1, 5, 5, 3), (1, 2), True
    yield "large_count", (1, 48, 48, 2), (1, 2), False
    yield "rows", (1, 9, 4, 3), (1,), False
    yield "channels", (1, 3, 4, 11), (3,), False
    yield "columns_and_channels", (1, 4, 5, 6), (2, 3), False
    yield "two_runs", (2, 3, 4, 5), (0, 2), False
    yield "outer_and_channels", (2, 3, 4, 5), (3, 1), False
    yield "everything", (2, 3, 5), (0, 1, 2), False
    for i in range(6):
        rank = int(rng.integers(1, 5))
        shape = tuple(int(size) for size in rng.integers(1, 9, rank))
        chosen = rng.permutation(rank)[: int(rng.integers(1, rank + 1))]
        yield f"random_{i}", shape, tuple(int(axis) for axis in chosen), bool(rng.random() < 0.3)


MEAN = register(
    Op(
        name="mean",
        summary="mean over any axes",
        attributes=Mean,
        inputs=(Port("x"),),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=no_macs,
        literals=_literals,
        int8=QuantRule(),
        int16=QuantRule(),
        samples=_samples.with_int16(_samples_of),
    )
)


SUM = register(
    Op(
        name="sum",
        summary="sum over any axes",
        attributes=Sum,
        inputs=(Port("x"),),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=no_macs,
        literals=_literals,
        int8=QuantRule(),
        samples=partial(_samples_of, attributes=Sum),
        kernels="mean",
    )
)


def _max_check(call: Call) -> Iterable[str]:
    yield from check_moved(call)
    yield from _check(call)


def _max_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    return [values[0].max(axis=call.attrs.axes).reshape(call.y.shape)]


REDUCE_MAX = register(
    Op(
        name="reduce_max",
        summary="largest value over any axes",
        attributes=ReduceMax,
        inputs=(Port("x"),),
        infer=_infer,
        check=_max_check,
        reference=_max_reference,
        macs=no_macs,
        literals=_run_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(partial(_samples_of, attributes=ReduceMax)),
    )
)
