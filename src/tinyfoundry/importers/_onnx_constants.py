"""Operators on constants alone: exporters compute shapes and lay out weights with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import FLOAT, INT32, INT64, Node
from tinyfoundry.importers._onnx_value import Constant, Unsupported
from tinyfoundry.ir.graph import Array

_MOST = 2**20  # elements of what a small constant is repeated to: states before the first step
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
    if first.quant is not None and (first.quant.per_channel or node.op not in _MOVES):
        return None
    if node.op not in _MOVES and sum(one.array.size for one in constants) > _FEW:
        raise Unsupported(f"on constants of more than {_FEW} elements")
    try:
        array = fold(node, [one.array for one in constants])
    except (ValueError, IndexError, TypeError, OverflowError):
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


def _expand(_node: Node, values: Sequence[Array]) -> Array:
    shape = np.broadcast_shapes(values[0].shape, tuple(values[1].ravel().tolist()))
    if prod(shape) > _MOST:
        raise ValueError
    return np.broadcast_to(values[0], shape)


def _transpose(node: Node, values: Sequence[Array]) -> Array:
    return values[0].transpose(node.integers("perm"))


FOLDS: dict[str, Fold] = {
    "Cast": _cast,
    "Concat": lambda node, values: np.concatenate(values, axis=node.integer("axis", 0)),
    "Expand": _expand,
    "Gather": _gather,
    "Identity": lambda _node, values: values[0],
    "Reshape": lambda node, values: values[0].reshape(filled(node, values[1].tolist(), values[0].shape)),
    "Squeeze": lambda node, values: values[0].reshape(squeezed(values[0].shape, _axes(node, values))),
    "Transpose": _transpose,
    "Unsqueeze": lambda node, values: values[0].reshape(unsqueezed(values[0].shape, _axes(node, values))),
}
_MOVES = frozenset({"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
