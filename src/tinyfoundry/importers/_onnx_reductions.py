"""Operators of ONNX over whole axes: reductions, global pools, arg max, and normalisations by their means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_value import Unsupported, Value, parts_of
from tinyfoundry.ir.graph import Array, DType, Shape
from tinyfoundry.ops.arg_max import ArgMax
from tinyfoundry.ops.elementwise import Add, SquaredDifference, Sub
from tinyfoundry.ops.product import Mul
from tinyfoundry.ops.reduce import Mean, ReduceMax, Sum

Row = Callable[[Draft, Node], Value]
Step = Callable[[Draft, Value, str], Value]
_OPS: dict[str, Callable[[Shape, bool], Any]] = {"mean": Mean, "sum": Sum, "reduce_max": ReduceMax}


def reduction(op: str, before: Step | None = None, after: Step | None = None) -> Row:
    """The row of Reduce…: ``op`` over the axes that an attribute or input 1 names.

    before, after: what is done to each element first or last.
    """

    def row(draft: Draft, node: Node) -> Value:
        x, axes = draft.untangled(draft.value(node)), draft.ints(node, 1, "axes")
        rank = len(x.shape)
        if not axes and node.integer("noop_with_empty_axes", 0):
            axes = ()
        elif not axes:
            axes = tuple(range(rank))
        if not all(-rank <= axis < rank for axis in axes):
            raise Unsupported(f"over axes {axes} of {list(x.shape)}; the file is damaged")
        if before:
            x = before(draft, x, f"{node.outputs[0]}_before")
        if axes or before or after:
            chosen = tuple(sorted({axis % rank for axis in axes}))
            x = reduced(draft, node, op, x, chosen, keep=bool(node.integer("keepdims", 1)))
        return after(draft, x, node.outputs[0]) if after else x

    return row


def square(draft: Draft, x: Value, key: str) -> Value:
    """Each element times itself; of floats."""
    _only_float(draft, x)
    return replace(x, tensor=draft.add("mul", (x.tensor, x.tensor), Mul(), None, key))


def plain(function: str) -> Step:
    """An op of each element, without attributes; of floats."""

    def step(draft: Draft, x: Value, key: str) -> Value:
        _only_float(draft, x)
        return replace(x, tensor=draft.add(function, (x.tensor,), None, None, key))

    return step


def _only_float(draft: Draft, x: Value) -> None:
    if draft.type(x.tensor).quant is not None:
        raise Unsupported("on int8, where its steps have no scales (leave it as float, or calibrate here)")


def reduced(draft: Draft, node: Node, op: str, value: Value, axes: Shape, *, keep: bool) -> Value:
    """``op`` over ``axes``, counted as ONNX counts them, wherever they lie."""
    stored = tuple(sorted(value.order.index(axis) for axis in axes))
    tensor = draft.apply(node, op, (value.tensor,), _OPS[op](stored, keep))
    if keep:
        full = tuple(1 if axis in axes else size for axis, size in enumerate(value.full))
        return Value(tensor, full, value.order, full)
    left = [axis for axis in range(len(value.full)) if axis not in axes]
    full = tuple(value.full[axis] for axis in left)
    return Value(tensor, full, tuple(left.index(a) for a in value.order if a in left), full)


def global_pool(op: str) -> Row:
    """The row of Global…Pool: ``op`` over all spatial axes, which stay as axes of one element."""

    def row(draft: Draft, node: Node) -> Value:
        value = draft.untangled(draft.value(node))
        if len(value.shape) < 3:
            raise Unsupported(f"on {len(value.shape)} axes (wanted 3 or 4)")
        return reduced(draft, node, op, value, tuple(range(2, len(value.shape))), keep=True)

    return row


def arg_max(draft: Draft, node: Node) -> Value:
    """ArgMax: of equals the first."""
    x = draft.untangled(draft.value(node))
    axis, rank = node.integer("axis", 0), len(x.shape)
    if not -rank <= axis < rank or node.integer("select_last_index", 0):
        raise Unsupported(
            f"along axis {axis} of {list(x.shape)}, or of the last of equals (wanted the first)"
        )
    axis %= rank
    attrs = ArgMax(x.order.index(axis), DType.INT64)
    tensor = draft.add("arg_max", (x.tensor,), attrs, None, node.outputs[0])
    if node.integer("keepdims", 1):
        kept = tuple(1 if a == axis else size for a, size in enumerate(x.full))
        return Value(draft.view(tensor, tuple(kept[a] for a in x.order)), kept, x.order, kept)
    left = [a for a in range(rank) if a != axis]
    full = tuple(x.full[a] for a in left)
    return Value(tensor, full, tuple(left.index(a) for a in x.order if a != axis), full)


def layer_normalization(draft: Draft, node: Node) -> Value:
    """LayerNormalization: all axes from ``axis`` on have mean 0 and variance 1, then factors and offsets."""
    x, rank = draft.value(node), len(draft.value(node).shape)
    axis = node.integer("axis", -1)
    if not -rank <= axis < rank:
        raise Unsupported(f"from axis {axis} of {list(x.shape)}; the file is damaged")
    y = _normalised(draft, node, x, tuple(range(axis % rank, rank)))
    return _scaled(draft, node, y, _parameter(draft, node, 1, rank), _parameter(draft, node, 2, rank))


def instance_normalization(draft: Draft, node: Node) -> Value:
    """InstanceNormalization: each channel of each image by itself."""
    x = draft.value(node)
    rank = len(x.shape)
    if rank < 3:
        raise Unsupported(f"on {rank} axes (wanted 3 or 4)")
    y = _normalised(draft, node, x, tuple(range(2, rank)))
    factor, offset = (draft.constant(node, i).real().reshape(-1, *(1,) * (rank - 2)) for i in (1, 2))
    return _scaled(draft, node, y, factor[None], offset[None])


def group_normalization(draft: Draft, node: Node) -> Value:
    """GroupNormalization: channels in groups; before operator set 21 a factor for each group."""
    x, groups = draft.value(node), node.integer("num_groups", 0)
    channels = x.shape[1] if len(x.shape) > 2 else 0
    if groups < 1 or not channels or channels % groups:
        raise Unsupported(f"of {list(x.shape)} in {groups} groups; the file is damaged")
    apart = draft.reshaped(x, (x.shape[0], groups, channels // groups, *x.shape[2:]))
    y = draft.reshaped(_normalised(draft, node, apart, tuple(range(2, len(apart.shape)))), x.shape)
    arrays = [draft.constant(node, i).real().ravel() for i in (1, 2)]
    each = [np.repeat(a, channels // groups) if a.size == groups else a for a in arrays]
    factor, offset = (array.reshape(1, -1, *(1,) * (len(x.shape) - 2)) for array in each)
    return _scaled(draft, node, y, factor, offset)


def _parameter(draft: Draft, node: Node, position: int, rank: int) -> Array | None:
    if not draft.has(node, position):
        return None
    array = draft.constant(node, position).real()
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def _apart(draft: Draft, x: Value) -> tuple[Value, list[Shape]]:
    """``x`` on as many stored axes as its shape needs, and those of each axis of its shape."""
    found = parts_of(x, x.shape)
    if found is None:
        found = parts_of(draft.untangled(x), x.shape)
    assert found is not None  # what is untangled has its shape
    return replace(found[0], tensor=draft.view(x.tensor, found[0].stored)), found[1]


def _normalised(draft: Draft, node: Node, x: Value, axes: Shape) -> Value:
    """(x - mean) / sqrt(variance + epsilon), both over ``axes`` of its shape."""
    _only_float(draft, x)
    parts, runs = _apart(draft, x)
    stored = tuple(sorted(parts.order.index(part) for axis in axes for part in runs[axis]))
    key, tensor = node.outputs[0], parts.tensor
    epsilon = draft.add_constant(f"{key}_epsilon", np.array(node.real("epsilon", 1e-5), np.float32))
    mean = draft.add("mean", (tensor,), Mean(stored, keep_dims=True), None, f"{key}_mean")
    squares = draft.add("squared_difference", (tensor, mean), SquaredDifference(), None, f"{key}_squares")
    variance = draft.add("mean", (squares,), Mean(stored, keep_dims=True), None, f"{key}_variance")
    safe = draft.add("add", (variance, epsilon), Add(), None, f"{key}_safe")
    factor = draft.add("rsqrt", (safe,), None, None, f"{key}_inverse")
    centred = draft.add("sub", (tensor, mean), Sub(), None, f"{key}_centred")
    y = draft.add("mul", (centred, factor), Mul(), None, f"{key}_normal")
    return replace(x, tensor=draft.view(y, draft.type(x.tensor).shape))


def _scaled(draft: Draft, node: Node, x: Value, factor: Array | None, offset: Array | None) -> Value:
    """Scales and shifts by arrays whose axes are those of the shape of ``x`` or of one element."""
    parts, runs = _apart(draft, x)
    tensor = parts.tensor
    for op, attrs, array, idle in (("mul", Mul(), factor, 1.0), ("add", Add(), offset, 0.0)):
        if array is None or np.all(array == idle):
            continue
        pairs = zip(array.shape, x.shape, strict=False)
        if array.ndim != len(x.shape) or any(size not in (1, whole) for size, whole in pairs):
            raise Unsupported(f"of {list(x.shape)} with {list(array.shape)} factors; the file is damaged")
        sizes = [
            parts.full[part] if array.shape[axis] > 1 else 1 for axis, run in enumerate(runs) for part in run
        ]
        stored = array.reshape(sizes).transpose(parts.order).astype(np.float32)
        other = draft.add_constant(f"{node.outputs[0]}_{op}", stored)
        tensor = draft.add(op, (tensor, other), attrs, None, node.outputs[0])
    return replace(x, tensor=draft.view(tensor, draft.type(x.tensor).shape))
