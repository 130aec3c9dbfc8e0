"""The table of ONNX's operators: one row each, a function from a node to what its first outputs are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf, prod
from typing import Any

import numpy as np

from tinyfoundry.importers import _onnx_windows as windows
from tinyfoundry.importers._onnx_constants import FOLDS, filled, squeezed, unsqueezed
from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_elementwise import (
    CURVES,
    clamped,
    computed,
    divide,
    function,
    leaky_relu,
    pairwise,
    power,
)
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_picks import (
    axis_of,
    depth_to_space,
    expand,
    gather,
    indexed,
    slice_,
    space_to_depth,
    split,
    tile,
    where,
)
from tinyfoundry.importers._onnx_quant import Layout, dequantize, quantize, weighted
from tinyfoundry.importers._onnx_recurrent import lstm
from tinyfoundry.importers._onnx_reductions import (
    arg_max,
    global_pool,
    group_normalization,
    instance_normalization,
    layer_normalization,
    plain,
    reduction,
    square,
)
from tinyfoundry.importers._onnx_resize import resize
from tinyfoundry.importers._onnx_value import (
    Constant,
    Unsupported,
    Value,
    at_rest,
    channels_last,
    columns,
    in_order,
    same_memory,
)
from tinyfoundry.ir.graph import Array, Shape
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.batch_matmul import BatchMatMul
from tinyfoundry.ops.elementwise import Relu
from tinyfoundry.ops.shape import Concatenation, Pad
from tinyfoundry.ops.softmax import Softmax

Row = Callable[[Draft, Node], Value | Constant | tuple[Value, ...]]

_MOST_MIRRORED = 4096
_BEYOND = 3e38  # what exporters write for no limit at all
_CLAMPS = {kind.limits: kind for kind in Activation}


def _relu(draft: Draft, node: Node) -> Value:
    return _clamped(draft, node, Activation.RELU)


def _clip(draft: Draft, node: Node) -> Value:
    low, high = (_limit(draft, node, *which) for which in ((1, "min", -inf), (2, "max", inf)))
    kind = _CLAMPS.get((low, high))
    if kind is None:
        return clamped(draft, node, low, high)
    return draft.value(node) if kind is Activation.NONE else _clamped(draft, node, kind)


def _limit(draft: Draft, node: Node, position: int, name: str, default: float) -> float:
    found = node.real(name, default)
    if draft.has(node, position):
        constant = draft.constant(node, position)
        if constant.array.size != 1:
            raise Unsupported(f"with {constant.array.size} numbers as {name}; the file is damaged")
        found = constant.real().item()
    number = found
    return number if abs(number) < _BEYOND else float(np.copysign(inf, number))


def _clamped(draft: Draft, node: Node, kind: Activation) -> Value:
    x = draft.value(node)
    quant = draft.type(x.tensor).quant
    if quant is not None and node.outputs[0] not in draft.wanted:
        # Clamping needs no other scale: the following operators may go on with this one.
        return replace(x, tensor=draft.add("relu", (x.tensor,), Relu(kind), quant, node.outputs[0]))
    return replace(x, tensor=draft.apply(node, "relu", (x.tensor,), Relu(kind)))


def _gemm(draft: Draft, node: Node) -> Value:
    x, w = draft.value(node), draft.constant(node, 1)
    if node.integer("transA", 0) or len(x.shape) != 2 or w.array.ndim != 2:
        raise Unsupported(
            f"of {list(x.shape)} and {list(w.array.shape)} (wanted rows times a constant matrix)"
        )
    alpha, beta = (node.real(name, 1.0) for name in ("alpha", "beta"))
    bias = draft.constant(node, 2) if draft.has(node, 2) else None
    if draft.type(x.tensor).quant is not None and (alpha, beta) != (1.0, 1.0):
        raise Unsupported(f"on int8 with alpha {alpha:g} and beta {beta:g} (wanted 1)")
    axis = 0 if node.integer("transB", 0) else 1
    units = w.array.shape[axis]
    if alpha != 1.0:
        w = Constant(w.real() * alpha, w.key)
    if bias is not None and bias.array.size not in (1, units):
        raise Unsupported(f"with a bias of {bias.array.size} for {units} outputs; the file is damaged")
    if bias is not None and (beta != 1.0 or bias.array.size == 1 != units):
        bias = Constant(np.broadcast_to(bias.real().ravel() * beta, (units,)), bias.key)
    return _dense(draft, node, x, w, bias, axis)


def _matmul(draft: Draft, node: Node) -> Value:
    first, second = draft.operand(node, 0), draft.operand(node, 1)
    if isinstance(first, Constant) or isinstance(second, Value) or second.array.ndim != 2 or not first.shape:
        return _batch_matmul(draft, node, (first, second))
    # A bias as third input: the Add that followed (see the pass over the file's nodes).
    return _dense(draft, node, first, second, draft.constant(node, 2) if draft.has(node, 2) else None, 1)


def _batch_matmul(draft: Draft, node: Node, pair: tuple[Value | Constant, Value | Constant]) -> Value:
    """At most one is a constant. What lies with its last two axes swapped is read that way and not moved."""
    names, swapped = [], []
    for value in pair:
        shape = value.array.shape if isinstance(value, Constant) else value.shape
        rank = len(shape)
        if rank < 2 or all(isinstance(one, Constant) for one in pair):
            raise Unsupported(f"of {list(shape)} (wanted matrices, at least one of them computed)")
        if isinstance(value, Constant):
            names.append(_matrix(draft, value, pair))
            swapped.append(False)
            continue
        plain, rest = draft.untangled(value), tuple(range(rank))
        turned = (*rest[:-2], rank - 1, rank - 2)
        swapped.append(not in_order(plain) and same_memory(plain.full, plain.order, turned))
        names.append(draft.arranged(plain, turned if swapped[-1] else rest))
    y = draft.apply(node, "batch_matmul", names, BatchMatMul(*swapped))
    return at_rest(y, draft.type(y).shape)


def _matrix(draft: Draft, value: Constant, pair: Sequence[Value | Constant]) -> str:
    """A constant factor: of floats, or quantised with one scale as the other is quantised."""
    quantised = any(isinstance(one, Value) and draft.type(one.tensor).quant is not None for one in pair)
    if not quantised:
        return draft.add_constant(value.key, value.real().astype(np.float32))
    if value.quant is None or value.quant.per_channel or value.array.dtype != np.int8:
        raise Unsupported("on int8 with a constant that is not (quantise it too, with one scale)")
    return draft.add_constant(value.key, value.array, value.quant)


def _dense(draft: Draft, node: Node, x: Value, w: Constant, bias: Constant | None, axis: int) -> Value:
    """Rows times weights [O, K] (axis 0) or [K, O] (axis 1), whose columns follow those of the rows."""
    inputs, units = w.array.shape[1 - axis], w.array.shape[axis]
    if x.shape[-1] != inputs:
        raise Unsupported(f"of {list(x.shape)} with weights for {inputs} inputs; the file is damaged")
    chosen: Any = slice(None)
    if len(x.shape) == 2 and not x.plain and x.order[0] == 0 and x.full[0] == x.shape[0]:
        chosen = columns(x)
        order: tuple[int, ...] = (0, 1)
    else:
        x = draft.untangled(x)
        order = x.order if x.order[-1] == len(x.shape) - 1 else tuple(range(len(x.shape)))
        x = at_rest(draft.arranged(x, order), x.shape)
    tensor = draft.view(x.tensor, (prod(x.shape[:-1]), inputs))

    def move(array: Array) -> Array:
        return (array if axis == 0 else array.T)[:, chosen]

    constants = weighted(draft, node, draft.type(tensor), Layout(axis, 0, move), w, bias)
    y, shape = draft.apply(node, "dense", (tensor, *constants)), (*x.shape[:-1], units)
    return Value(draft.view(y, tuple(shape[a] for a in order)), shape, order, shape)


def _flatten(draft: Draft, node: Node) -> Value:
    x, axis = draft.value(node), node.integer("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return draft.reshaped(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def _reshape(draft: Draft, node: Node) -> Value:
    x, wanted = draft.value(node), draft.ints(node, 1, "shape")
    return draft.reshaped(x, filled(node, wanted or (), x.shape))


def _squeeze(draft: Draft, node: Node) -> Value:
    x = draft.value(node)
    return draft.reshaped(x, squeezed(x.shape, draft.ints(node, 1, "axes")))


def _unsqueeze(draft: Draft, node: Node) -> Value:
    x = draft.value(node)
    return draft.reshaped(x, unsqueezed(x.shape, draft.ints(node, 1, "axes") or ()))


def _transpose(draft: Draft, node: Node) -> Value:
    x = draft.untangled(draft.value(node))
    axes = node.integers("perm") or tuple(reversed(range(len(x.shape))))
    if sorted(axes) != list(range(len(x.shape))):
        raise Unsupported(f"by {axes} of {list(x.shape)}; the file is damaged")
    full = tuple(x.full[axis] for axis in axes)
    return Value(x.tensor, full, tuple(axes.index(axis) for axis in x.order), full)


def _concat(draft: Draft, node: Node) -> Value:
    values = [draft.untangled(draft.value(node, i)) for i in range(max(len(node.inputs), 1))]
    first, axis = max(values, key=lambda v: v.order == channels_last(len(v.shape))), _axis(node, values[0], 0)
    if len({len(v.shape) for v in values}) > 1:
        raise Unsupported("of inputs with different numbers of axes; the file is damaged")
    tensors = [draft.arranged(v, first.order) for v in values]
    quants = [draft.type(tensor).quant for tensor in tensors]
    quant = draft.wanted.get(node.outputs[0], quants[0])
    if quant is not None and None not in quants:
        tensors = [
            tensor if own == quant else draft.add("quantize", (tensor,), None, quant, f"{tensor}_rescaled")
            for tensor, own in zip(tensors, quants, strict=True)
        ]
    tensor = draft.apply(node, "concatenation", tensors, Concatenation(first.order.index(axis)))
    return computed(draft, tensor, first)


def _softmax(draft: Draft, node: Node) -> Value:
    x = draft.untangled(draft.value(node))
    axis, rank = _axis(node, x, -1 if draft.opset >= 13 else 1), len(x.shape)
    if draft.opset < 13:  # all axes from this one on are one row
        rows = draft.reshaped(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))
        tensor = draft.apply(node, "softmax", (draft.untangled(rows).tensor,), Softmax())
        return draft.reshaped(at_rest(tensor, rows.shape), x.shape)
    order = x.order if x.order[-1] == axis else (*(a for a in range(rank) if a != axis), axis)
    tensor = draft.apply(node, "softmax", (draft.arranged(x, order),), Softmax())
    return Value(tensor, x.full, order, x.shape)


def _axis(node: Node, x: Value, default: int) -> int:
    axis, rank = node.integer("axis", default), len(x.shape)
    if not -rank <= axis < rank:
        raise Unsupported(f"along axis {axis} of {list(x.shape)}; the file is damaged")
    return axis % rank


def _pad(draft: Draft, node: Node) -> Value:
    x, amounts = draft.untangled(draft.value(node)), draft.ints(node, 1, "pads") or ()
    rank = len(x.shape)
    axes = [axis_of(axis, x.shape) for axis in draft.ints(node, 3, "axes") or range(rank)]
    if len(amounts) != 2 * len(axes) or min(amounts, default=0) < 0 or len(set(axes)) < len(axes):
        raise Unsupported(f"by {amounts} of {list(x.shape)} (wanted numbers of 0 or more)")
    befores, afters = (
        dict(zip(axes, part, strict=True)) for part in (amounts[: len(axes)], amounts[len(axes) :])
    )
    mode = node.text("mode", "constant")
    if mode != "constant":
        around = {axis: (befores[axis], afters[axis]) for axis in axes if befores[axis] or afters[axis]}
        return _mirrored(draft, node, x, around, mode)
    fill = node.real("value", 0.0)
    if draft.has(node, 2):
        fill = float(draft.constant(node, 2).real().ravel().sum())
    if not np.isfinite(fill):
        raise Unsupported(f"with value {fill:g} (wanted a finite number)")
    sides = [tuple(given.get(axis, 0) for axis in x.order) for given in (befores, afters)]
    if not any((*sides[0], *sides[1])):
        return x
    return computed(draft, draft.apply(node, "pad", (x.tensor,), Pad(sides[0], sides[1], fill)), x)


def _mirrored(draft: Draft, node: Node, x: Value, around: dict[int, tuple[int, int]], mode: str) -> Value:
    """Padding with what is there: along each axis a gather."""
    if mode not in ("reflect", "edge", "wrap"):
        raise Unsupported(f"with mode {mode[:12]!a} (wanted constant, reflect, edge or wrap)")
    for axis, widths in around.items():
        size = x.shape[axis]
        if sum(widths) > _MOST_MIRRORED or (mode == "reflect" and max(widths) >= size):
            raise Unsupported(f"by {widths} of {size} elements in mode {mode}")
        indices = np.pad(np.arange(size), widths, mode=mode).tolist()  # type: ignore[call-overload]
        x = indexed(draft, x, axis, indices, f"{node.outputs[0]}_{axis}")
    return x


def _same(draft: Draft, node: Node) -> Value | Constant:
    return draft.operand(node, 0)


def _dropout(draft: Draft, node: Node) -> Value | Constant:
    if draft.has(node, 2) and draft.constant(node, 2).array.any():
        raise Unsupported("in training mode (export for inference)")
    return draft.operand(node, 0)


def _shape(draft: Draft, node: Node) -> Constant:
    x = draft.operand(node, 0)
    shape: Shape = x.array.shape if isinstance(x, Constant) else x.shape
    part = shape[node.integer("start", 0) : node.integer("end", len(shape))]
    return Constant(np.array(part, np.int64), node.outputs[0])


def _known_only(_draft: Draft, _node: Node) -> Value:
    raise Unsupported("of what is computed (wanted constants or shapes)")


ROWS: dict[str, Row] = {
    **dict.fromkeys(FOLDS, _known_only),
    **CURVES,
    "Abs": function("abs"),
    "Add": pairwise("add"),
    "ArgMax": arg_max,
    "AveragePool": windows.average_pool,
    "BatchNormalization": windows.batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": windows.convolution,
    "ConvTranspose": windows.transposed_convolution,
    "DepthToSpace": depth_to_space,
    "DequantizeLinear": dequantize,
    "Div": divide,
    "Dropout": _dropout,
    "Expand": expand,
    "Exp": function("exp"),
    "Flatten": _flatten,
    "Gather": gather,
    "Gemm": _gemm,
    "GlobalAveragePool": global_pool("mean"),
    "GlobalMaxPool": global_pool("reduce_max"),
    "GroupNormalization": group_normalization,
    "HardSwish": function("hard_swish"),
    "Identity": _same,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LSTM": lstm,
    "LeakyRelu": leaky_relu,
    "MatMul": _matmul,
    "Max": pairwise("maximum"),
    "MaxPool": windows.max_pool,
    "Min": pairwise("minimum"),
    "Mul": pairwise("mul"),
    "Pad": _pad,
    "Pow": power,
    "PRelu": pairwise("prelu"),
    "QuantizeLinear": quantize,
    "ReduceL1": reduction("sum", before=plain("abs")),
    "ReduceL2": reduction("sum", before=square, after=plain("sqrt")),
    "ReduceMax": reduction("reduce_max"),
    "ReduceMean": reduction("mean"),
    "ReduceSum": reduction("sum"),
    "ReduceSumSquare": reduction("sum", before=square),
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": resize,
    "Shape": _shape,
    "Sigmoid": function("logistic"),
    "Slice": slice_,
    "Softmax": _softmax,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Sqrt": function("sqrt"),
    "Squeeze": _squeeze,
    "Sub": pairwise("sub"),
    "Tanh": function("tanh"),
    "Tile": tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": resize,
    "Where": where,
}
"""Operator -> its row. Constant has none: its value is known as soon as the file is read."""
