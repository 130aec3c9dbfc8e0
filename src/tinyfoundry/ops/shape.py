"""Ops that move elements and compute nothing: pad, reshape, transpose, concatenation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Shape, Type
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_limits
from tinyfoundry.ops._moves import check_moved, moved, no_macs
from tinyfoundry.ops._strides import at_most_four, at_most_four_loops, copy_literals, four, strides


@dataclass(frozen=True)
class Pad:
    """Attributes: elements added before and after along each dimension, and the real value that they hold."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0


@dataclass(frozen=True)
class Reshape:
    """Attributes: the shape of the output, no size left open."""

    shape: Shape


@dataclass(frozen=True)
class Transpose:
    """Attributes: for each dimension of the output the dimension of the input it is."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class Concatenation:
    """Attributes: the dimension to join along, 0 or more, and the activation applied to the output."""

    axis: int
    activation: Activation = Activation.NONE


def _pad_check(call: Call) -> Iterable[str]:
    yield from check_moved(call)
    yield from at_most_four(call.y.shape)
    if not isfinite(call.attrs.value):
        yield f"pads with {call.attrs.value}; wanted a finite number"


def pad_fill(attrs: Pad, type_: Type) -> float:
    """The number stored in a tensor of ``type_`` where it is padded."""
    if type_.quant is None:
        return attrs.value
    return int(np.clip(round(attrs.value / type_.scale) + type_.zero_point, *type_.dtype.limits))


def _pad_infer(attrs: Pad, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if not len(attrs.before) == len(attrs.after) == len(x.shape) or min(*attrs.before, *attrs.after, 0) < 0:
        raise GraphError(
            f"padding before {attrs.before}, after {attrs.after}; wanted a number >= 0 for each of {x.shape}"
        )
    sizes = zip(attrs.before, x.shape, attrs.after, strict=True)
    return [(tuple(sum(parts) for parts in sizes), x.dtype)]


def _pad_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    fill = pad_fill(call.attrs, call.y)
    widths = list(zip(call.attrs.before, call.attrs.after, strict=True))
    return [np.pad(values[0], widths, constant_values=fill) if widths else values[0].copy()]


def _pad_literals(call: Call) -> Mapping[str, Literal]:
    return {
        **four("in", call.x.shape, 1),
        **four("out", call.y.shape, 1),
        **four("before", call.attrs.before, 0),
        "fill": pad_fill(call.attrs, call.y),
    }


def _pad_samples(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, Shape, Shape]] = [
        ("nothing", (1, 2, 3, 2), (0, 0, 0, 0), (0, 0, 0, 0)),
        ("same_3x3", (1, 5, 4, 3), (0, 1, 1, 0), (0, 1, 1, 0)),
        ("after_only", (1, 4, 4, 2), (0, 0, 0, 0), (0, 1, 1, 0)),
        ("every_side", (2, 3, 1, 2), (1, 2, 3, 4), (2, 1, 0, 5)),
        ("one_dimension", (5,), (3,), (2,)),
        ("rows", (3, 4), (1, 0), (0, 6)),
    ]
    for i in range(4):
        rank = int(rng.integers(1, 5))
        shape, before, after = (tuple(int(n) for n in rng.integers(low, 5, rank)) for low in (1, 0, 0))
        cases.append((f"random_{i}", shape, before, after))
    for label, shape, before, after in cases:
        y_shape = tuple(int(n) for n in np.add(before, after) + shape)
        yield moved(rng, label, Pad(before, after), shape, y_shape)
    for value in (-1e9, 1e9, 0.8):
        yield moved(rng, f"value_{value}", Pad((0, 1, 2), (1, 0, 1), value), (2, 3, 1), (3, 4, 4))


PAD = register(
    Op(
        name="pad",
        summary="surrounds a tensor with one value, 0 unless told",
        attributes=Pad,
        inputs=(Port("x"),),
        infer=_pad_infer,
        check=_pad_check,
        reference=_pad_reference,
        macs=no_macs,
        literals=_pad_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_pad_samples),
    )
)


def _reshape_infer(attrs: Reshape, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if prod(attrs.shape) != x.elements:
        raise GraphError(f"shape {attrs.shape} has {prod(attrs.shape)} elements, the input {x.elements}")
    return [(attrs.shape, x.dtype)]


def _reshape_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    return [values[0].reshape(call.attrs.shape)]


def _no_literals(_call: Call) -> Mapping[str, Literal]:
    return {}


def _reshape_samples(rng: np.random.Generator) -> Iterable[Sample]:
    for label, source, target in (
        ("flatten", (1, 4, 3, 2), (1, 24)),
        ("to_image", (1, 24), (1, 2, 3, 4)),
        ("one_element", (1, 1, 1, 1), (1,)),
        ("to_scalar", (1,), ()),
        ("five_dimensions", (6, 4), (1, 2, 3, 2, 2)),
    ):
        yield moved(rng, label, Reshape(target), source, target)


RESHAPE = register(
    Op(
        name="reshape",
        summary="the same bytes under another shape",
        attributes=Reshape,
        inputs=(Port("x"),),
        infer=_reshape_infer,
        check=check_moved,
        reference=_reshape_reference,
        macs=no_macs,
        literals=_no_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_reshape_samples),
        view=True,
    )
)


def _transpose_infer(attrs: Transpose, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    (x,) = inputs
    if sorted(attrs.permutation) != list(range(len(x.shape))):
        raise GraphError(f"permutation {attrs.permutation}; wanted each dimension of {x.shape} once, from 0")
    return [(tuple(x.shape[axis] for axis in attrs.permutation), x.dtype)]


def _transpose_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    return [np.ascontiguousarray(values[0].transpose(call.attrs.permutation)).reshape(call.y.shape)]


def _transpose_steps(call: Call) -> Shape:
    steps = strides(call.x.shape)
    return tuple(steps[axis] for axis in call.attrs.permutation)


def _transpose_check(call: Call) -> Iterable[str]:
    yield from check_moved(call)
    yield from at_most_four_loops(call.y.shape, _transpose_steps(call))


def _transpose_literals(call: Call) -> Mapping[str, Literal]:
    return copy_literals(call.y.shape, _transpose_steps(call))


def _transpose_samples(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, Shape, Shape]] = [
        ("matrix", (5, 7), (1, 0)),
        ("identity", (2, 3, 4), (0, 1, 2)),
        ("one_dimension", (6,), (0,)),
        ("to_channels_first", (1, 4, 5, 3), (0, 3, 1, 2)),
        ("to_channels_last", (1, 3, 4, 5), (0, 2, 3, 1)),
        ("reverse", (2, 3, 4, 5), (3, 2, 1, 0)),
        ("cycle", (4, 1, 6), (2, 0, 1)),
        ("channel_shuffle", (1, 3, 2, 4, 3), (0, 1, 2, 4, 3)),
        ("pixel_shuffle", (1, 3, 2, 2, 2, 5), (0, 1, 3, 2, 4, 5)),
    ]
    for i in range(5):
        rank = int(rng.integers(2, 5))
        shape = tuple(int(n) for n in rng.integers(1, 7, rank))
        cases.append((f"random_{i}", shape, tuple(int(n) for n in rng.permutation(rank))))
    for label, shape, permutation in cases:
        y_shape = tuple(shape[axis] for axis in permutation)
        yield moved(rng, label, Transpose(permutation), shape, y_shape)


TRANSPOSE = register(
    Op(
        name="transpose",
        summary="permutes the dimensions",
        attributes=Transpose,
        inputs=(Port("x"),),
        infer=_transpose_infer,
        check=_transpose_check,
        reference=_transpose_reference,
        macs=no_macs,
        literals=_transpose_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_transpose_samples),
        kernels="copy",
    )
)


def _concatenation_infer(attrs: Concatenation, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    shapes, axis = [x.shape for x in inputs], attrs.axis
    if not 0 <= axis < len(shapes[0]):
        raise GraphError(f"axis {axis}; wanted 0 to {len(shapes[0]) - 1} for inputs {shapes}")
    if len({(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
        raise GraphError(f"inputs {shapes}; wanted equal sizes but along axis {axis}")
    joined = sum(shape[axis] for shape in shapes)
    return [((*shapes[0][:axis], joined, *shapes[0][axis + 1 :]), inputs[0].dtype)]


def _concatenation_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    joined = np.concatenate(values, axis=call.attrs.axis)
    if call.attrs.activation is Activation.NONE:
        return [joined]
    return [activate(joined, call.attrs.activation, call.y)]


def _concatenation_literals(call: Call) -> Mapping[str, Literal]:
    y_min, y_max = quantized_limits(call.attrs.activation, call.y)
    return {
        "count": len(call.inputs),
        "outer": prod(call.y.shape[: call.attrs.axis]),
        "sizes": np.array([prod(x.shape[call.attrs.axis :]) for x in call.inputs], np.int32),
        "y_min": y_min,
        "y_max": y_max,
    }


def _concatenation_samples(rng: np.random.Generator) -> Iterable[Sample]:
    cases: list[tuple[str, int, list[Shape]]] = [
        ("channels", 3, [(1, 3, 4, 5), (1, 3, 4, 2), (1, 3, 4, 1)]),
        ("rows", 1, [(2, 3, 4, 2), (2, 1, 4, 2)]),
        ("columns", 2, [(2, 3, 1, 2), (2, 3, 5, 2)]),
        ("batch", 0, [(1, 3), (4, 3)]),
        ("vectors", 0, [(3,), (1,), (5,)]),
        ("alone", 1, [(2, 3)]),
        ("five_dimensions", 2, [(2, 1, 3, 2, 2), (2, 1, 1, 2, 2)]),
    ]
    for i in range(3):
        rank = int(rng.integers(1, 5))
        axis, sizes = int(rng.integers(rank)), [int(n) for n in rng.integers(1, 5, rank)]
        parts = [int(n) for n in rng.integers(1, 6, int(rng.integers(2, 9)))]
        cases.append((f"random_{i}", axis, [(*sizes[:axis], n, *sizes[axis + 1 :]) for n in parts]))
    for label, axis, shapes in cases:
        attrs, quant = Concatenation(axis), _samples.int8_type(rng, ()).quant
        xs = tuple(Type(shape, DType.INT8, quant) for shape in shapes)
        [(y_shape, dtype)] = _concatenation_infer(attrs, xs)
        yield Sample(label, Call(attrs, xs, (Type(y_shape, dtype, quant),)), {})


CONCATENATION = register(
    Op(
        name="concatenation",
        summary="joins tensors of one quantization along a dimension",
        attributes=Concatenation,
        inputs=(Port("x", variadic=True),),
        infer=_concatenation_infer,
        check=check_moved,
        reference=_concatenation_reference,
        macs=no_macs,
        literals=_concatenation_literals,
        int8=QuantRule(shared=True),
        int16=QuantRule(shared=True),
        samples=_samples.with_int16(_concatenation_samples),
    )
)
