"""Products of matrices, batch by batch: y[..., i, j] = sum over k of x1[..., i, k] * x2[..., k, j]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import quantize_multiplier, requantize_sum
from tinyfoundry.ir.graph import Array, DType, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_or_float
from tinyfoundry.ops._strides import broadcast_strides
from tinyfoundry.ops._window import MOST_WIDE, product

_MOST_AXES = 5  # as in TensorFlow Lite; three of them are batches
_MOST_TERMS = (2**31 - 1) // 255**2  # products of centred bytes whose sum an int32 surely holds


@dataclass(frozen=True)
class BatchMatMul:
    """Attributes: whether the last two axes of the first and of the second input are swapped before."""

    adj_x: bool = False
    adj_y: bool = False


def _matrices(attrs: BatchMatMul, inputs: tuple[Type, ...]) -> tuple[Shape, Shape]:
    """(rows, depth) of the first matrices and (depth, columns) of the second ones."""
    x1, x2 = (type_.shape[-2:] for type_ in inputs)
    return (x1[::-1] if attrs.adj_x else x1), (x2[::-1] if attrs.adj_y else x2)


def _infer(attrs: BatchMatMul, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x1, x2 = inputs
    if not all(2 <= len(type_.shape) <= _MOST_AXES for type_ in inputs):
        raise GraphError(f"inputs {x1.shape} and {x2.shape}; wanted 2 to {_MOST_AXES} axes each")
    left, right = _matrices(attrs, inputs)
    if left[1] != right[0]:
        raise GraphError(
            f"inputs {x1.shape} and {x2.shape} are rows of {left[1]} and columns of {right[0]}; "
            "wanted equal lengths"
        )
    try:
        batch = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    except ValueError:
        raise GraphError(
            f"inputs {x1.shape} and {x2.shape}; wanted equal batch sizes, or 1 where they differ"
        ) from None
    return [((*batch, left[0], right[1]), x1.dtype)]


def _check(call: Call) -> Iterable[str]:
    x1, x2 = call.inputs
    mixed = list(quantized_or_float((("input x1", x1), ("input x2", x2), ("output", call.y))))
    yield from mixed
    depth = _matrices(call.attrs, call.inputs)[1][0]
    if mixed or x1.quant is None:
        return
    if not _is_wide(call) and depth > _MOST_TERMS:
        yield f"sums of {depth} products; wanted at most {_MOST_TERMS}, which 32 bits hold"
    if _is_wide(call) and not x1.scale * x2.scale / call.y.scale < MOST_WIDE:
        factor = x1.scale * x2.scale / call.y.scale
        yield f"product of the input scales is {factor:g} times the output's; wanted less than {MOST_WIDE}"


def _is_wide(call: Call) -> bool:
    """TensorFlow Lite sums products of int16 values in 64 bits."""
    return call.x.dtype == DType.INT16


def _multiplier(call: Call) -> tuple[int, int]:
    """TensorFlow Lite multiplies the input scales in float32 (GetQuantizedConvolutionMultipler)."""
    x1, x2 = call.inputs
    return quantize_multiplier(float(np.float32(x1.scale) * np.float32(x2.scale)) / call.y.scale)


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    attrs: BatchMatMul = call.attrs
    x1, x2 = values
    if call.x.quant is not None:
        x1, x2 = (v.astype(np.int64) - t.zero_point for v, t in zip(values, call.inputs, strict=True))
    x1, x2 = (x1.swapaxes(-1, -2) if attrs.adj_x else x1), (x2.swapaxes(-1, -2) if attrs.adj_y else x2)
    y = product(x1, x2)
    if call.x.quant is not None:
        y = requantize_sum(y, *_multiplier(call), wide=_is_wide(call)) + call.y.zero_point
    return [activate(y, Activation.NONE, call.y)]


def _macs(call: Call) -> int:
    return call.y.elements * _matrices(call.attrs, call.inputs)[1][0]


def _literals(call: Call) -> Mapping[str, Literal]:
    """Three axes of batches (``batch``, ``x1_step``, ``x2_step``), and the steps within the matrices.

    ``x1_row``: elements from a row to the next; ``x1_term``, ``x2_term``: from a term of a sum to the next;
    ``x2_column``: from a column to the next.
    """
    attrs: BatchMatMul = call.attrs
    x1, x2 = call.inputs
    (rows, depth), (_, columns) = _matrices(attrs, call.inputs)
    multiplier, shift = _multiplier(call)
    batch = call.y.shape[:-2]
    first, second = (_batch_steps(type_.shape, batch) for type_ in (x1, x2))
    return {
        "batch": (1,) * (_MOST_AXES - 2 - len(batch)) + batch,
        "x1_step": first, "x2_step": second,
        "rows": rows, "columns": columns, "depth": depth,
        "x1_row": 1 if attrs.adj_x else depth, "x1_term": rows if attrs.adj_x else 1,
        "x2_column": depth if attrs.adj_y else 1, "x2_term": 1 if attrs.adj_y else columns,
        "multiplier": multiplier, "shift": shift,
        "x1_zero_point": x1.zero_point, "x2_zero_point": x2.zero_point, "y_zero_point": call.y.zero_point,
    }  # fmt: skip


def _batch_steps(shape: Shape, batch: Shape) -> Shape:
    """Elements from a matrix to the next along each of three axes of batches, 0 where it is repeated."""
    matrix = shape[-2] * shape[-1]
    steps = broadcast_strides(shape[:-2], batch) if len(shape) > 2 else (0,) * len(batch)
    return (0,) * (_MOST_AXES - 2 - len(batch)) + tuple(step * matrix for step in steps)


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    for label, left, right, adj_x, adj_y, constant in _cases(rng):
        attrs = BatchMatMul(adj_x, adj_y)
        x1, x2 = _samples.int8_type(rng, left), _samples.int8_type(rng, right)
        [(shape, dtype)] = _infer(attrs, (x1, x2))
        depth = _matrices(attrs, (x1, x2))[1][0]
        scale = x1.scale * x2.scale * 80 * np.sqrt(depth)
        y = Type(shape, dtype, per_tensor(scale, _samples.pick_zero_point(rng)))
        values = {1: _samples.random_weights(rng, right)} if constant else {}
        yield Sample(label, Call(attrs, (x1, x2), (y,)), values)


def _cases(rng: np.random.Generator) -> Iterator[tuple[str, Shape, Shape, bool, bool, bool]]:
    """(label, shapes of both inputs, which are swapped, whether the second is constant)."""
    yield "one_by_one", (1, 1), (1, 1), False, False, False
    yield "attention_scores", (1, 2, 7, 4), (1, 2, 7, 4), False, True, False
    yield "attention_values", (1, 2, 7, 7), (1, 2, 7, 4), False, False, False
    yield "constant", (2, 5, 8), (8, 6), False, False, True
    yield "constant_swapped", (3, 8, 2), (3, 6, 8), True, True, True
    yield "long_sum", (1, 900), (900, 2), False, False, False
    yield "five_axes", (2, 1, 3, 4, 2), (3, 1, 2, 5), False, False, False
    yield "both_repeat", (2, 1, 3, 4), (1, 3, 4, 2), False, False, False
    for i in range(6):
        rows, depth, columns, *batch = (int(n) for n in rng.integers(1, 8, 5))
        adj_x, adj_y = bool(i & 1), bool(i & 2)
        left = (*batch, depth, rows) if adj_x else (*batch, rows, depth)
        right = (batch[1], columns, depth) if adj_y else (batch[1], depth, columns)
        yield f"random_{i}", left, right, adj_x, adj_y, False


BATCH_MATMUL = register(
    Op(
        name="batch_matmul",
        summary="products of matrices, batches broadcast as numpy does",
        attributes=BatchMatMul,
        inputs=(Port("x1"), Port("x2")),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(),
        int16=QuantRule(),
        samples=_samples.with_int16(_samples_of),
    )
)
