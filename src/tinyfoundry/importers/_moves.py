"""How .tflite operators that move, pick, resize or reduce elements are read.

Many become few ops: whatever picks elements at even distances is a ``strided_slice``, and operators with
several outputs become one slice for each, so that the planner may run each right before its reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod

import numpy as np

from tinyfoundry.importers._draft import DTYPES, Draft, fail
from tinyfoundry.importers._flat import MAX_ITEMS, Operator
from tinyfoundry.importers._rows import Option, row
from tinyfoundry.importers._slices import Slicing, resolve
from tinyfoundry.ir.graph import DType, Shape
from tinyfoundry.ops.arg_max import ArgMax
from tinyfoundry.ops.indexing import Broadcast, Gather, StridedSlice
from tinyfoundry.ops.reduce import Mean, ReduceMax, Sum
from tinyfoundry.ops.resize import Resize
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape, Transpose
from tinyfoundry.ops.take import Take

_REDUCTIONS: dict[str, type[Mean | Sum | ReduceMax]] = {"mean": Mean, "sum": Sum, "reduce_max": ReduceMax}


@row("MEAN", "ReducerOptions")
@row("SUM", "ReducerOptions")
@row("REDUCE_MAX", "ReducerOptions")
def _reduction(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    rank, name = len(draft.type(x).shape), op.code.lower()
    axes = sorted({axis + rank if axis < 0 else axis for axis in draft.ints(op, 1)})
    return draft.apply(op, name, (x,), _REDUCTIONS[name](tuple(axes), bool(option("KeepDims"))))


@row("ARG_MAX", "ArgMaxOptions")
def _arg_max(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    return draft.apply(
        op, "arg_max", (x,), ArgMax(_axis(draft, op, x, 1), DType(draft.target(op).type.lower()))
    )


@row("PAD", "PadOptions")
def _pad(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    amounts = draft.ints(op, 1)
    return draft.apply(op, "pad", (x,), Pad(amounts[::2], amounts[1::2]))


@row("PADV2", "PadV2Options")
def _pad_v2(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=2)
    amounts, value = draft.ints(op, 1), draft.operand(op, 2)
    found, type_ = draft.builder.value_of(value), draft.type(value)
    if found is None or found.size != 1 or type_.quant != draft.type(x).quant:
        fail(op, f"pads with {type_}; wanted one constant of the input's quantization")
    number = float(found.reshape(-1)[0])
    real = number if type_.quant is None else type_.scale * (number - type_.zero_point)
    return draft.apply(op, "pad", (x,), Pad(amounts[::2], amounts[1::2], real))


@row("MIRROR_PAD", "MirrorPadOptions")
def _mirror_pad(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    amounts, shape = draft.ints(op, 1), draft.type(x).shape
    edge = 1 if option("Mode") == 0 else 0  # REFLECT leaves the border out, SYMMETRIC repeats it
    if len(amounts) != 2 * len(shape):
        fail(
            op,
            f"pads by {len(amounts)} numbers, wanted 2 for each axis of {list(shape)}; the file is damaged",
        )
    padded: list[tuple[int, tuple[int, ...]]] = []
    for axis, (before, after, size) in enumerate(zip(amounts[::2], amounts[1::2], shape, strict=True)):
        if not (0 <= before <= size - edge and 0 <= after <= size - edge):
            fail(op, f"mirrors {before} and {after} of {size} elements; the file is damaged")
        if size + before + after > MAX_ITEMS:
            fail(
                op, f"mirrors an axis of {size} elements; at most {MAX_ITEMS} are supported with the padding"
            )
        if before or after:
            start = range(before - 1 + edge, edge - 1, -1)
            end = range(size - 1 - edge, size - 1 - edge - after, -1)
            padded.append((axis, (*start, *range(size), *end)))
    if not padded:
        return draft.apply(op, "reshape", (x,), Reshape(shape))
    for axis, indices in padded[:-1]:
        x = draft.between(op, f"axis_{axis}", "gather", (x,), Gather(axis, indices), draft.type(x).quant)
    return draft.apply(op, "gather", (x,), Gather(*padded[-1]))


@row("TRANSPOSE", "TransposeOptions")
def _transpose(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    return draft.apply(op, "transpose", (x,), Transpose(draft.ints(op, 1)))


@row("SPACE_TO_DEPTH", "SpaceToDepthOptions")
def _space_to_depth(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1)
    block, (height, width), shape = option("BlockSize"), draft.image(op, x), draft.type(x).shape
    if block < 1 or height % block or width % block:
        fail(op, f"{list(shape)} in blocks of {block}; the file is damaged")
    n, c = shape[0], shape[3]
    parts = (n * height // block, block, width // block, block * c)
    return _shuffled(draft, op, x, parts, (n, height // block, width // block, block * block * c))


@row("DEPTH_TO_SPACE", "DepthToSpaceOptions")
def _depth_to_space(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1)
    block, (height, width), shape = option("BlockSize"), draft.image(op, x), draft.type(x).shape
    if block < 1 or shape[3] % (block * block):
        fail(op, f"{list(shape)} in blocks of {block}; the file is damaged")
    n, c = shape[0], shape[3] // (block * block)
    return _shuffled(
        draft, op, x, (n * height, width, block, block * c), (n, height * block, width * block, c)
    )


def _shuffled(draft: Draft, op: Operator, x: str, parts: Shape, shape: Shape) -> str:
    """``x`` seen as ``parts``, the two in the middle swapped, seen as ``shape``."""
    quant = draft.type(x).quant
    apart = draft.between(op, "parts", "reshape", (x,), Reshape(parts), quant)
    swapped = draft.between(op, "swapped", "transpose", (apart,), Transpose((0, 2, 1, 3)), quant)
    return draft.apply(op, "reshape", (swapped,), Reshape(shape))


@row("SHAPE", "ShapeOptions")
def _shape(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1)
    dtype = DType(draft.target(op).type.lower())
    return draft.constant(op, np.array(draft.type(x).shape, dtype.value))


@row("SQUEEZE", "SqueezeOptions")
def _squeeze(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1)
    shape = draft.type(x).shape
    given = option("SqueezeDims") or ()
    axes = {_counted(op, axis, len(shape)) for axis in given} or {
        axis for axis, size in enumerate(shape) if size == 1
    }
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return draft.apply(op, "reshape", (x,), Reshape(kept))


@row("EXPAND_DIMS", "ExpandDimsOptions")
def _expand_dims(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    shape = draft.type(x).shape
    return draft.apply(op, "reshape", (x,), Reshape(_with_one(shape, _axis(draft, op, x, 1, extra=1))))


@row("PACK", "PackOptions")
def _pack(draft: Draft, op: Operator, option: Option) -> str:
    inputs = draft.operands(op, max(len(op.inputs), 1))
    shape = draft.type(inputs[0]).shape
    axis = _counted(op, option("Axis"), len(shape) + 1)
    parts = [
        draft.between(op, f"part_{i}", "reshape", (x,), Reshape(_with_one(shape, axis)), draft.type(x).quant)
        for i, x in enumerate(inputs)
    ]
    return draft.apply(op, "concatenation", parts, Concatenation(axis))


@row("UNPACK", "UnpackOptions")
def _unpack(draft: Draft, op: Operator, option: Option) -> tuple[str, ...]:
    (x,) = draft.operands(op, 1)
    shape = draft.type(x).shape
    axis = _counted(op, option("Axis"), len(shape))
    kept = (*shape[:axis], *shape[axis + 1 :])
    slices = _cut(draft, op, x, axis, [1] * len(op.outputs))
    return tuple(_sliced(draft, op, x, part, kept, output) for output, part in enumerate(slices))


@row("SPLIT", "SplitOptions")
def _split(draft: Draft, op: Operator, _option: Option) -> tuple[str, ...]:
    if len(op.inputs) != 2:
        fail(op, f"has {len(op.inputs)} inputs, wanted 2; the file is damaged")
    x, count = draft.operand(op, 1), max(len(op.outputs), 1)
    axis = _axis(draft, op, x, 0)
    slices = _cut(draft, op, x, axis, [draft.type(x).shape[axis] // count] * count)
    return tuple(_sliced(draft, op, x, part, part.size, output) for output, part in enumerate(slices))


@row("SPLIT_V", "SplitVOptions")
def _split_v(draft: Draft, op: Operator, _option: Option) -> tuple[str, ...]:
    (x,) = draft.operands(op, 1, settings=2)
    axis = _axis(draft, op, x, 2)
    sizes = list(draft.ints(op, 1, MAX_ITEMS))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = draft.type(x).shape[axis] - sum(sizes) - 1
    slices = _cut(draft, op, x, axis, sizes)
    return tuple(_sliced(draft, op, x, part, part.size, output) for output, part in enumerate(slices))


def _cut(draft: Draft, op: Operator, x: str, axis: int, sizes: Sequence[int]) -> list[StridedSlice]:
    """The slices of ``x`` with these sizes along ``axis``, one for each output of ``op``."""
    shape = draft.type(x).shape
    if len(sizes) != len(op.outputs) or sum(sizes) != shape[axis]:
        text = f"axis {axis} of {list(shape)} in parts {sizes} for {len(op.outputs)} outputs"
        fail(op, f"{text}; the file is damaged")
    ones, zeros = (1,) * len(shape), (0,) * len(shape)
    return [
        StridedSlice(
            (*zeros[:axis], end - n, *zeros[axis + 1 :]), (*shape[:axis], n, *shape[axis + 1 :]), ones
        )
        for n, end in zip(sizes, accumulate(sizes), strict=True)
    ]


@row("SLICE", "SliceOptions")
def _slice(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=2)
    shape, begin, sizes = draft.type(x).shape, draft.ints(op, 1), draft.ints(op, 2)
    if not len(begin) == len(sizes) == len(shape):
        fail(op, f"begin {begin}, size {sizes} of {list(shape)}; the file is damaged")
    size = tuple(
        whole - first if wanted == -1 else wanted
        for first, wanted, whole in zip(begin, sizes, shape, strict=True)
    )
    return _sliced(draft, op, x, StridedSlice(begin, size, (1,) * len(shape)), size)


@row("STRIDED_SLICE", "StridedSliceOptions")
def _strided_slice(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=3)
    slicing = Slicing(
        begin=draft.ints(op, 1),
        end=draft.ints(op, 2),
        stride=draft.ints(op, 3),
        begin_mask=option("BeginMask"),
        end_mask=option("EndMask"),
        ellipsis_mask=option("EllipsisMask"),
        new_axis_mask=option("NewAxisMask"),
        shrink_axis_mask=option("ShrinkAxisMask"),
        offset=bool(option("Offset")),
    )
    return _sliced(draft, op, x, *resolve(slicing, draft.type(x).shape))


@row("REVERSE_V2", "ReverseV2Options")
def _reverse(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    shape = draft.type(x).shape
    axes = {_counted(op, axis, len(shape)) for axis in draft.ints(op, 1)}
    begin = tuple(size - 1 if axis in axes else 0 for axis, size in enumerate(shape))
    stride = tuple(-1 if axis in axes else 1 for axis in range(len(shape)))
    return _sliced(draft, op, x, StridedSlice(begin, shape, stride), shape)


def _sliced(draft: Draft, op: Operator, x: str, part: StridedSlice, shape: Shape, output: int = 0) -> str:
    """A slice of ``x`` seen as ``shape``, as an output of ``op``; all of ``x`` in its order is a view."""
    whole = draft.type(x)
    if part.size == whole.shape and min(part.stride, default=1) > 0:
        return draft.apply(op, "reshape", (x,), Reshape(shape), output)
    if part.size == shape:
        return draft.apply(op, "strided_slice", (x,), part, output)
    some = draft.between(op, f"slice_{output}", "strided_slice", (x,), part, whole.quant)
    return draft.apply(op, "reshape", (some,), Reshape(shape), output)


@row("GATHER", "GatherOptions")
def _gather(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    if option("BatchDims"):
        fail(op, f"has {option('BatchDims')} batch dimensions, wanted 0: gather without them")
    found = draft.type(x)
    axis = _counted(op, option("Axis"), len(found.shape))
    if not draft.is_constant(op, 1):
        return draft.apply(op, "take", (x, draft.operand(op, 1)), Take(axis))
    indices = draft.ints(op, 1, MAX_ITEMS)
    shape = (*found.shape[:axis], *draft.shape_of(op, 1), *found.shape[axis + 1 :])
    run = _even(found.shape, axis, indices)
    if run is not None:
        return _sliced(draft, op, x, run, shape)
    attrs, flat = Gather(axis, indices), (*found.shape[:axis], len(indices), *found.shape[axis + 1 :])
    if flat == shape:
        return draft.apply(op, "gather", (x,), attrs)
    picked = draft.between(op, "flat", "gather", (x,), attrs, found.quant)
    return draft.apply(op, "reshape", (picked,), Reshape(shape))


@row("EMBEDDING_LOOKUP", "")
def _embedding_lookup(draft: Draft, op: Operator, _option: Option) -> str:
    indices, x = draft.operands(op, 2)
    found, wanted = draft.type(x).dtype, draft.target(op).type
    if found != DTYPES.get(wanted):
        fail(op, f"makes {wanted} of a table of {found}: convert without dynamic-range quantization")
    return draft.apply(op, "take", (x, indices), Take(0))


def _even(shape: Shape, axis: int, indices: tuple[int, ...]) -> StridedSlice | None:
    """The slice that picks ``indices`` along ``axis``, when they lie at even distances."""
    stride = indices[1] - indices[0] if len(indices) > 1 else 1
    if not indices or stride == 0 or any(b - a != stride for a, b in pairwise(indices)):
        return None
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    return StridedSlice(
        (*zeros[:axis], indices[0], *zeros[axis + 1 :]),
        (*shape[:axis], len(indices), *shape[axis + 1 :]),
        (*ones[:axis], stride, *ones[axis + 1 :]),
    )


@row("TILE", "TileOptions")
def _tile(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    found, times = draft.type(x), draft.ints(op, 1)
    if len(times) != len(found.shape) or min(times, default=1) < 1:
        fail(op, f"{list(found.shape)} {times} times; the file is damaged")
    shape = list(found.shape)
    for axis, count in enumerate(times):
        if count > 1:
            outer, inner = prod(shape[:axis]), prod(shape[axis:])
            x = draft.between(op, f"rows_{axis}", "reshape", (x,), Reshape((outer, 1, inner)), found.quant)
            repeated = Broadcast((outer, count, inner))
            x = draft.between(op, f"axis_{axis}", "broadcast", (x,), repeated, found.quant)
            shape[axis] *= count
    return draft.apply(op, "reshape", (x,), Reshape(tuple(shape)))


@row("BROADCAST_TO", "BroadcastToOptions")
def _broadcast_to(draft: Draft, op: Operator, _option: Option) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    return draft.apply(op, "broadcast", (x,), Broadcast(draft.ints(op, 1)))


@row("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")
def _resize_nearest(draft: Draft, op: Operator, option: Option) -> str:
    return _resized(draft, op, option, "resize_nearest")


@row("RESIZE_BILINEAR", "ResizeBilinearOptions")
def _resize_bilinear(draft: Draft, op: Operator, option: Option) -> str:
    return _resized(draft, op, option, "resize_bilinear")


def _resized(draft: Draft, op: Operator, option: Option, name: str) -> str:
    (x,) = draft.operands(op, 1, settings=1)
    size = draft.ints(op, 1)
    if len(size) != 2 or min(size) < 1:
        fail(op, f"resizes to {size}, wanted height and width; the file is damaged")
    attrs = Resize((size[0], size[1]), bool(option("AlignCorners")), bool(option("HalfPixelCenters")))
    return draft.apply(op, name, (x,), attrs)


def _axis(draft: Draft, op: Operator, x: str, position: int, extra: int = 0) -> int:
    """The one number of a constant input as an axis of ``x``, which may have ``extra`` more."""
    numbers = draft.ints(op, position)
    if len(numbers) != 1:
        fail(op, f"names {len(numbers)} axes, wanted 1; the file is damaged")
    return _counted(op, numbers[0], len(draft.type(x).shape) + extra)


def _counted(op: Operator, axis: int, rank: int) -> int:
    """``axis`` counted from 0, where negative ones count from the end."""
    if not -rank <= axis < rank:
        fail(op, f"axis {axis} of {rank}; the file is damaged")
    return axis % rank


def _with_one(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 1, *shape[axis:])
