"""Operators on constants alone: exporters compute shapes and lay out weights with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import FLOAT, INT32, INT64, Node
from tinyfoundry.importers._onnx_value import Constant, Unsupported
from tinyfoundry.ir.graph import Array

_FEW = 4096  # elements of what is computed and not only moved: shapes and settings, no weights

Fold = Callable[[Node, Sequence[Array]], Array]


def folded(draft: Draft, node: Node) -> Constant | None:
    """The value of a node whose inputs are all constants, where its operator is one of these; else None."""
    inputs = [draft.known[name] for name in node.inputs if name]
    fold = FOLDS.get(node.op)
    if fold is None or not inputs:
        return None
    constants = [one for one in inputs if isinstance(one, Constant)]
    if len(constants) < len(inputs):
        return None
    first = constants[0]
    quants = [one.quant for one in constants if one.quant is not None]
    if quants and (node.op not in _MOVES or any(quant.per_channel for quant in quants)):
        return None
    if node.op not in _MOVES and sum(one.array.size for one in constants) > _FEW:
        raise Unsupported(f"on constants of more than {_FEW} elements")
    try:
        array = fold(node, [one.array for one in constants])
    except (ArithmeticError, ValueError, IndexError, TypeError):
        raise Unsupported("on constants of shapes that do not go together; the file is damaged") from None
    draft.budget.spend(array)
    return Constant(array, node.outputs[0], first.quant)


def squeezed(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """``shape`` without ``axes``, or without all axes of one element."""
    rank = len(shape)
    if axes and not all(-rank <= axis < rank for axis in axes):
        raise Unsupported(f"of axes {tuple(axes)} of {list(shape)}; the file is damaged")
    gone = {axis % rank for axis in axes} if axes else {i for i, n in enumerate(shape) if n == 1}
    if any(shape[axis] != 1 for axis in gone):
        raise Unsupported(f"of axes {sorted(gone)} of {list(shape)}, not all of one element")
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def unsqueezed(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """``shape`` with axes of one element put in, so that they are ``axes`` of the result."""
    rank = len(shape) + len(axes)
    if not all(-rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) < len(axes):
        raise Unsupported(f"of axes {list(axes)} into {list(shape)}; the file is damaged")
    places, rest = {axis % rank for axis in axes}, iter(shape)
    return tuple(1 if axis in places else next(rest) for axis in range(rank))


def filled(node: Node, wanted: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape that Reshape asks for: 0 copies a size of ``shape``, one -1 is what is left."""
    copies = not node.integer("allowzero", 0)
    if any(size == 0 and (not copies or i >= len(shape)) for i, size in enumerate(wanted)):
        raise Unsupported(f"to {list(wanted)} from {list(shape)}; the file is damaged")
    sizes = [shape[i] if size == 0 else int(size) for i, size in enumerate(wanted)]
    if sizes.count(-1) == 1:
        rest = int(np.prod([size for size in sizes if size != -1], dtype=object))
        sizes[sizes.index(-1)] = int(np.prod(shape, dtype=object)) // max(rest, 1)
    return tuple(sizes)


def _axes(node: Node, values: Sequence[Array]) -> list[int]:
    return [int(axis) for axis in (values[1].ravel() if len(values) > 1 else node.integers("axes") or ())]


def _gather(node: Node, values: Sequence[Array]) -> Array:
    if values[1].size > _FEW:
        raise ValueError
    return np.take(values[0], values[1], axis=node.integer("axis", 0))


def _cast(node: Node, values: Sequence[Array]) -> Array:
    types: Mapping[int, str] = {FLOAT: "float32", INT32: "int32", INT64: "int64"}
    target = types.get(node.integer("to", 0))
    if target is None or not np.isfinite(values[0]).all():
        raise TypeError
    return values[0].astype(target)


def _slice(node: Node, values: Sequence[Array]) -> Array:
    x, rest = values[0], [[int(n) for n in value.ravel()] for value in values[1:]]
    starts, ends = (
        rest[i] if rest else node.integers(name) or () for i, name in ((0, "starts"), (1, "ends"))
    )
    axes = rest[2] if len(rest) > 2 else node.integers("axes") or range(len(starts))
    steps = rest[3] if len(rest) > 3 else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = x[(*(slice(None),) * (axis % x.ndim), slice(start, end, step))]
    return x


def _constant_of_shape(node: Node, values: Sequence[Array]) -> Array:
    fill = node.attributes.get("value", np.zeros(1, np.float32))
    return np.broadcast_to(np.asarray(fill).reshape(()), _few(values[0].ravel().tolist())).copy()


def _few(shape: Sequence[int]) -> tuple[int, ...]:
    """``shape`` when that many elements may be made of nothing."""
    if np.prod(shape, dtype=object) > _FEW or min(shape, default=1) < 0:
        raise ValueError
    return tuple(int(size) for size in shape)


def _expand(_node: Node, values: Sequence[Array]) -> Array:
    shape = np.broadcast_shapes(values[0].shape, tuple(values[1].ravel().tolist()))
    return np.broadcast_to(values[0], _few(shape)).copy()


def _range(_node: Node, values: Sequence[Array]) -> Array:
    start, limit, step = (value.reshape(()).item() for value in values)
    count = max(int(np.ceil((limit - start) / step)), 0) if step else -1
    found: Array = (start + step * np.arange(*_few([count]))).astype(values[0].dtype)
    return found


def _div(_node: Node, values: Sequence[Array]) -> Array:
    a, b = values
    if not b.all():
        raise ValueError
    whole = a.dtype.kind == "i"  # and then towards 0
    return (np.trunc(a / b) if whole else a / b).astype(a.dtype)


def _of_two(function: Callable[..., Any]) -> Fold:
    def fold(_node: Node, values: Sequence[Array]) -> Array:
        a, b = values
        return np.asarray(function(a, b))

    return fold


def _transpose(node: Node, values: Sequence[Array]) -> Array:
    return values[0].transpose(node.integers("perm"))


FOLDS: dict[str, Fold] = {
    "Add": _of_two(np.add),
    "Cast": _cast,
    "Concat": lambda node, values: np.concatenate(values, axis=node.integer("axis", 0)),
    "ConstantOfShape": _constant_of_shape,
    "Div": _div,
    "Equal": _of_two(np.equal),
    "Expand": _expand,
    "Gather": _gather,
    "Greater": _of_two(np.greater),
    "Identity": lambda _node, values: values[0],
    "Less": _of_two(np.less),
    "Mul": _of_two(np.multiply),
    "Range": _range,
    "Reshape": lambda node, values: values[0].reshape(filled(node, values[1].tolist(), values[0].shape)),
    "Slice": _slice,
    "Sqrt": lambda _node, values: np.sqrt(values[0]),
    "Squeeze": lambda node, values: values[0].reshape(squeezed(values[0].shape, _axes(node, values))),
    "Sub": _of_two(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": lambda node, values: values[0].reshape(unsqueezed(values[0].shape, _axes(node, values))),
    "Where": lambda _node, values: np.where(values[0], values[1], values[2]),
}
_MOVES = frozenset({"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
