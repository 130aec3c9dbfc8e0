"""Operators of ONNX that pick, repeat or rearrange elements at places known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import MAX_ELEMENTS, Node
from tinyfoundry.importers._onnx_value import Constant, Unsupported, Value, at_rest
from tinyfoundry.importers._onnx_windows import Image
from tinyfoundry.ir.graph import DType, Shape
from tinyfoundry.ops.indexing import Broadcast, Gather, StridedSlice
from tinyfoundry.ops.shape import Transpose
from tinyfoundry.ops.take import Take

_MOST_PICKED = 2**16


def axis_of(axis: int, shape: Shape) -> int:
    """``axis`` counted from 0, where negative ones count from the end."""
    if not -len(shape) <= axis < len(shape):
        raise Unsupported(f"along axis {axis} of {list(shape)}; the file is damaged")
    return axis % len(shape)


def slice_(draft: Draft, node: Node) -> Value:
    """Slice: from starts to ends in steps, forwards or backwards."""
    x = draft.untangled(draft.value(node))
    starts, ends = (draft.ints(node, i, name) or () for i, name in ((1, "starts"), (2, "ends")))
    axes = draft.ints(node, 3, "axes") or tuple(range(len(starts)))
    steps = draft.ints(node, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Unsupported(f"from {starts} to {ends} in steps {steps} along {axes}; the file is damaged")
    ranges = [range(size) for size in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, x.shape)
        ranges[place] = range(x.shape[place])[start:end:step]
    return _picked(draft, x, ranges, node.outputs[0])


def _picked(draft: Draft, x: Value, ranges: Sequence[range], key: str) -> Value:
    """The elements at ``ranges``, one for each axis; all of them in their order are ``x`` itself."""
    if not all(ranges):
        raise Unsupported(f"that picks nothing of {list(x.shape)}")
    if all(r == range(size) for r, size in zip(ranges, x.shape, strict=True)):
        return x
    runs = [ranges[axis] for axis in x.order]
    attrs = StridedSlice(tuple(r[0] for r in runs), tuple(map(len, runs)), tuple(r.step for r in runs))
    full = tuple(map(len, ranges))
    return Value(_moved(draft, "strided_slice", x.tensor, attrs, key), full, x.order, full)


def _moved(draft: Draft, op: str, tensor: str, attrs: Any, key: str) -> str:
    return draft.add(op, (tensor,), attrs, draft.type(tensor).quant, key)


def split(draft: Draft, node: Node) -> tuple[Value, ...]:
    """Split along an axis, into parts of given sizes or equal ones, of which the last may be less."""
    x = draft.untangled(draft.value(node))
    axis, count = axis_of(node.integer("axis", 0), x.shape), len(node.outputs)
    size = x.shape[axis]
    even = -(-size // count)
    sizes = draft.ints(node, 1, "split") or tuple(max(min(even, size - even * i), 0) for i in range(count))
    if len(sizes) != count or min(sizes) < 1 or sum(sizes) != size:
        raise Unsupported(f"of {size} elements into {sizes}; the file is damaged")
    parts = []
    for n, end, name in zip(sizes, accumulate(sizes), node.outputs, strict=True):
        ranges = [range(whole) for whole in x.shape]
        ranges[axis] = range(end - n, end)
        parts.append(_picked(draft, x, ranges, name))
    return tuple(parts)


def gather(draft: Draft, node: Node) -> Value:
    """Gather; at constant indices that lie at even distances it is a slice."""
    if isinstance(draft.operand(node, 1), Value):
        return _take(draft, node)
    x, wanted = draft.untangled(draft.value(node)), draft.constant(node, 1).array
    axis = axis_of(node.integer("axis", 0), x.shape)
    size = x.shape[axis]
    if wanted.dtype.kind != "i" or not 0 < wanted.size <= _MOST_PICKED:
        raise Unsupported(f"at {wanted.dtype}{list(wanted.shape)} (wanted some whole numbers)")
    indices = [int(index) + (size if index < 0 else 0) for index in wanted.ravel()]
    if not all(0 <= index < size for index in indices):
        raise Unsupported(f"at index {max(indices, key=abs)} of {size} elements; the file is damaged")
    y = indexed(draft, x, axis, indices, node.outputs[0])
    return draft.reshaped(y, (*x.shape[:axis], *wanted.shape, *x.shape[axis + 1 :]))


def _take(draft: Draft, node: Node) -> Value:
    """Gather at indices that are computed; a constant table is one of embeddings."""
    table, indices = draft.operand(node, 0), draft.value(node, 1)
    if isinstance(table, Constant):
        if table.quant is not None and table.quant.per_channel:
            raise Unsupported("of a table with several scales (quantise it with one)")
        array = table.array if table.quant else table.array.astype(np.float32)
        x = at_rest(draft.add_constant(table.key, array, table.quant), array.shape)
    else:
        x = at_rest(draft.arranged(table, tuple(range(len(table.shape)))), table.shape)
    axis, own = axis_of(node.integer("axis", 0), x.shape), draft.type(x.tensor).quant
    where = draft.arranged(indices, tuple(range(len(indices.shape))))
    if draft.type(where).dtype not in (DType.INT32, DType.INT64):
        raise Unsupported(f"at indices of {draft.type(where).dtype} (wanted int32 or int64)")
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    wanted = draft.wanted.get(node.outputs[0], own) if own is not None else None
    name = node.outputs[0] if wanted == own else f"{node.outputs[0]}_taken"
    taken = draft.add("take", (x.tensor, where), Take(axis), own, name)
    if wanted != own:
        taken = draft.add("quantize", (taken,), None, wanted, node.outputs[0])
    return at_rest(taken, shape)


def indexed(draft: Draft, x: Value, axis: int, indices: Sequence[int], key: str) -> Value:
    """The slices of ``x``, whose axes are plain, at ``indices`` along an axis."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step and all(b - a == step for a, b in pairwise(indices)):
        ranges = [range(size) for size in x.shape]
        ranges[axis] = range(indices[0], indices[-1] + (1 if step > 0 else -1), step)
        return _picked(draft, x, ranges, key)
    tensor = _moved(draft, "gather", x.tensor, Gather(x.order.index(axis), tuple(indices)), key)
    full = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
    return Value(tensor, full, x.order, full)


def expand(draft: Draft, node: Node) -> Value:
    """Expand: repeated onto a shape as numpy does."""
    x, wanted = draft.value(node), draft.ints(node, 1, "shape") or ()
    rank = max(len(x.shape), len(wanted))
    x = draft.untangled(draft.reshaped(x, (1,) * (rank - len(x.shape)) + x.shape))
    try:
        full = tuple(map(int, np.broadcast_shapes(x.shape, wanted)))
    except ValueError:
        raise Unsupported(f"of {list(x.shape)} to {list(wanted)}; the file is damaged") from None
    if full == x.shape:
        return x
    if not 0 < prod(full) <= MAX_ELEMENTS:
        raise Unsupported(f"to {prod(full)} elements (at most {MAX_ELEMENTS})")
    attrs = Broadcast(tuple(full[axis] for axis in x.order))
    return Value(_moved(draft, "broadcast", x.tensor, attrs, node.outputs[0]), full, x.order, full)


def tile(draft: Draft, node: Node) -> Value:
    """Tile: each axis so many times, one after the other."""
    x, times = draft.untangled(draft.value(node)), draft.ints(node, 1, "repeats") or ()
    if len(times) != len(x.shape) or min(times, default=1) < 1:
        raise Unsupported(f"of {list(x.shape)} {times} times; the file is damaged")
    if prod(x.shape) * prod(times) > MAX_ELEMENTS:
        raise Unsupported(f"to {prod(x.shape) * prod(times)} elements (at most {MAX_ELEMENTS})")
    tensor, stored = x.tensor, list(x.stored)
    for place, axis in enumerate(x.order):
        if times[axis] > 1:
            outer, inner = prod(stored[:place]), prod(stored[place:])
            rows = draft.view(tensor, (outer, 1, inner))
            attrs = Broadcast((outer, times[axis], inner))
            tensor = _moved(draft, "broadcast", rows, attrs, f"{node.outputs[0]}_{axis}")
            stored[place] *= times[axis]
    full = tuple(size * count for size, count in zip(x.full, times, strict=True))
    return Value(draft.view(tensor, tuple(stored)), full, x.order, full)


def depth_to_space(draft: Draft, node: Node) -> Value:
    """DepthToSpace; of mode CRD (torch's pixel shuffle), whose channels are brought to the other order."""
    image, block = _blocks(draft, node)
    n, height, width, channels = draft.type(image.tensor).shape
    if block < 1 or channels % block**2:
        raise Unsupported(f"of {channels} channels in blocks of {block}; the file is damaged")
    depth = channels // block**2
    tensor, key = image.tensor, node.outputs[0]
    if node.text("mode", "DCR") == "CRD":
        apart = draft.view(tensor, (n * height * width, depth, block**2))
        tensor = _moved(draft, "transpose", apart, Transpose((0, 2, 1)), f"{key}_blocks_first")
    parts = draft.view(tensor, (n * height, width, block, block * depth))
    swapped = _moved(draft, "transpose", parts, Transpose((0, 2, 1, 3)), key)
    return image.value(draft.view(swapped, (n, height * block, width * block, depth)))


def space_to_depth(draft: Draft, node: Node) -> Value:
    """SpaceToDepth."""
    image, block = _blocks(draft, node)
    n, height, width, channels = draft.type(image.tensor).shape
    if block < 1 or height % block or width % block:
        raise Unsupported(f"of {height}×{width} pixels in blocks of {block}; the file is damaged")
    parts = draft.view(image.tensor, (n * height // block, block, width // block, block * channels))
    swapped = _moved(draft, "transpose", parts, Transpose((0, 2, 1, 3)), node.outputs[0])
    return image.value(draft.view(swapped, (n, height // block, width // block, block**2 * channels)))


def _blocks(draft: Draft, node: Node) -> tuple[Image, int]:
    value = draft.value(node)
    if len(value.shape) != 4:
        raise Unsupported(f"on {len(value.shape)} axes (wanted 4)")
    return Image(draft, value), node.integer("blocksize", 0)


def where(draft: Draft, node: Node) -> Value | Constant:
    """Where by a constant that is the same everywhere; no other choice is known beforehand."""
    chosen = draft.constant(node, 0).array
    if not chosen.size or not (chosen == chosen.ravel()[0]).all():
        raise Unsupported("by a condition that is not the same for all elements")
    return draft.operand(node, 1 if chosen.ravel()[0] else 2)
