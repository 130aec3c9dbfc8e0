"""How ops that move, pick, resize or reduce elements are written as .tflite."""

from __future__ import annotations

import numpy as np

from tinyfoundry.exporters._rows import Draft, row
from tinyfoundry.ir.graph import DType, Node, Type
from tinyfoundry.ops.shape import pad_fill


@row("mean")
@row("sum")
@row("reduce_max")
def _reduction(draft: Draft, node: Node) -> None:
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_axes", node.attrs.axes))
    draft.add(node, node.op.upper(), (1, 2), "ReducerOptions", {"KeepDims": node.attrs.keep_dims}, inputs)


@row("arg_max")
def _arg_max(draft: Draft, node: Node) -> None:
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_axis", (node.attrs.axis,)))
    fields = {"OutputType": 2 if node.attrs.dtype == DType.INT32 else 4}
    draft.add(node, "ARG_MAX", (1, 2), "ArgMaxOptions", fields, inputs)


@row("pad")
def _pad(draft: Draft, node: Node) -> None:
    amounts = np.stack([node.attrs.before, node.attrs.after], axis=1)
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_amounts", amounts))
    if node.attrs.value == 0.0:
        draft.add(node, "PAD", (1, 2), "PadOptions", inputs=inputs)
        return
    y = draft.graph.types[node.outputs[0]]
    fill = np.array([pad_fill(node.attrs, y)], y.dtype.value)
    value = draft.invent(f"{node.name}_value", Type((1,), y.dtype, y.quant), fill)
    draft.add(node, "PADV2", (1, 2), "PadV2Options", inputs=(*inputs, value))


@row("transpose")
def _transpose(draft: Draft, node: Node) -> None:
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_order", node.attrs.permutation))
    draft.add(node, "TRANSPOSE", (1, 2), "TransposeOptions", inputs=inputs)


@row("strided_slice")
def _strided_slice(draft: Draft, node: Node) -> None:
    attrs = node.attrs
    runs = list(zip(attrs.begin, attrs.size, attrs.stride, strict=True))
    ends = [begin + (size - 1) * stride + (1 if stride > 0 else -1) for begin, size, stride in runs]
    # What runs backwards to element 0 has no end that could be written: -1 is the last element.
    mask = sum(1 << axis for axis, end in enumerate(ends) if end < 0)
    numbers = (
        draft.ints(f"{node.name}_begin", attrs.begin),
        draft.ints(f"{node.name}_end", tuple(ends)),
        draft.ints(f"{node.name}_stride", attrs.stride),
    )
    inputs = (draft.tensor(node.inputs[0]), *numbers)
    draft.add(node, "STRIDED_SLICE", (1, 2), "StridedSliceOptions", {"EndMask": mask}, inputs)


@row("gather")
def _gather(draft: Draft, node: Node) -> None:
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_indices", node.attrs.indices))
    draft.add(node, "GATHER", (1, 2), "GatherOptions", {"Axis": node.attrs.axis}, inputs)


@row("take")
def _take(draft: Draft, node: Node) -> None:
    draft.add(node, "GATHER", (1, 2), "GatherOptions", {"Axis": node.attrs.axis})


@row("broadcast")
def _broadcast(draft: Draft, node: Node) -> None:
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_shape", node.attrs.shape))
    draft.add(node, "BROADCAST_TO", (2, 2), "BroadcastToOptions", inputs=inputs)


@row("resize_nearest")
def _resize_nearest(draft: Draft, node: Node) -> None:
    _resize(draft, node, "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")


@row("resize_bilinear")
def _resize_bilinear(draft: Draft, node: Node) -> None:
    _resize(draft, node, "RESIZE_BILINEAR", "ResizeBilinearOptions")


def _resize(draft: Draft, node: Node, code: str, options: str) -> None:
    attrs = node.attrs
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_size", attrs.size))
    fields = {"AlignCorners": attrs.align_corners, "HalfPixelCenters": attrs.half_pixel_centers}
    draft.add(node, code, (3, 3), options, fields, inputs)
