"""The table of ONNX's operators: one row each, a function from a node to what its first outputs are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, prod
from typing import Any

import numpy as np

from tinyfoundry.importers import _onnx_windows as windows
from tinyfoundry.importers._onnx_constants import FOLDS, filled, squeezed, unsqueezed
from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_elementwise import (
    computed,
    divide,
    function,
    leaky_relu,
    pairwise,
    power,
)
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_quant import Layout, dequantize, quantize, weighted
from tinyfoundry.importers._onnx_recurrent import lstm
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
from tinyfoundry.ir.graph import Array, DType, Shape
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.batch_matmul import BatchMatMul
from tinyfoundry.ops.elementwise import Relu
from tinyfoundry.ops.shape import Concatenation, Pad
from tinyfoundry.ops.softmax import Softmax
from tinyfoundry.ops.take import Take

Row = Callable[[Draft, Node], Value | Constant | tuple[Value, ...]]

_BEYOND = 3e38  # what exporters write for no limit at all
_CLAMPS = {kind.limits: kind for kind in Activation}


def _relu(draft: Draft, node: Node) -> Value:
    return _clamped(draft, node, Activation.RELU)


def _clip(draft: Draft, node: Node) -> Value:
    low, high = (_limit(draft, node, *which) for which in ((1, "min", -inf), (2, "max", inf)))
    kind = _CLAMPS.get((low, high))
    if kind is None:
        raise Unsupported(f"to {low:g}..{high:g} (wanted 0..6, 0.. or -1..1)")
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
    second = draft.operand(node, 1)
    if isinstance(second, Value):
        return _batch_matmul(draft, node, draft.value(node), second)
    x, w = draft.value(node), second
    if w.array.ndim != 2 or not x.shape:
        raise Unsupported(f"with {list(w.array.shape)} as input 1 (wanted a constant matrix)")
    # A bias as third input: the Add that followed (see the pass over the file's nodes).
    return _dense(draft, node, x, w, draft.constant(node, 2) if draft.has(node, 2) else None, 1)


def _batch_matmul(draft: Draft, node: Node, first: Value, second: Value) -> Value:
    """Both computed. What lies with its last two axes swapped is read that way and not moved."""
    names, swapped = [], []
    for value in (draft.untangled(first), draft.untangled(second)):
        rank = len(value.full)
        if rank < 2:
            raise Unsupported(f"of {list(first.shape)} and {list(second.shape)} (wanted matrices)")
        rest = tuple(range(rank))
        turned = (*rest[:-2], rank - 1, rank - 2)
        swapped.append(not in_order(value) and same_memory(value.full, value.order, turned))
        names.append(draft.arranged(value, turned if swapped[-1] else rest))
    y = draft.apply(node, "batch_matmul", names, BatchMatMul(*swapped))
    return at_rest(y, draft.type(y).shape)


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


def _reduce_mean(draft: Draft, node: Node) -> Value:
    x, axes = draft.untangled(draft.value(node)), draft.ints(node, 1, "axes")
    rank = len(x.shape)
    if not axes and node.integer("noop_with_empty_axes", 0):
        return x
    axes = axes or tuple(range(rank))
    if not all(-rank <= axis < rank for axis in axes):
        raise Unsupported(f"over axes {axes} of {list(x.shape)}; the file is damaged")
    chosen = tuple(sorted({axis % rank for axis in axes}))
    return windows.mean(draft, node, x, chosen, bool(node.integer("keepdims", 1)))


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
    axes = [axis % rank for axis in draft.ints(node, 3, "axes") or range(rank)] if rank else []
    fill = node.real("value", 0.0)
    if draft.has(node, 2):
        fill = draft.constant(node, 2).real().ravel().sum()
    mode = node.text("mode", "constant")
    if mode != "constant" or fill != 0:
        raise Unsupported(f"with mode {mode[:12]!a} and value {fill:g} (wanted constant 0)")
    if len(amounts) != 2 * len(axes) or min(amounts, default=0) < 0 or len(set(axes)) < len(axes):
        raise Unsupported(f"by {amounts} of {list(x.shape)} (wanted numbers of 0 or more)")
    sides = []
    for part in (amounts[: len(axes)], amounts[len(axes) :]):
        given = dict(zip(axes, part, strict=True))
        sides.append(tuple(given.get(axis, 0) for axis in x.order))
    if not any((*sides[0], *sides[1])):
        return x
    return computed(draft, draft.apply(node, "pad", (x.tensor,), Pad(sides[0], sides[1])), x)


def _same(draft: Draft, node: Node) -> Value | Constant:
    return draft.operand(node, 0)


def _dropout(draft: Draft, node: Node) -> Value | Constant:
    if draft.has(node, 2) and draft.constant(node, 2).array.any():
        raise Unsupported("in training mode (export for inference)")
    return draft.operand(node, 0)


def _take(draft: Draft, node: Node) -> Value:
    """Gather at indices that are computed; a constant table is one of embeddings."""
    table, indices = draft.operand(node, 0), draft.operand(node, 1)
    if isinstance(indices, Constant):
        return _known_only(draft, node)
    if isinstance(table, Constant):
        if table.quant is not None and table.quant.per_channel:
            raise Unsupported("of a table with several scales (quantise it with one)")
        array = table.array if table.quant else table.array.astype(np.float32)
        x = at_rest(draft.add_constant(table.key, array, table.quant), array.shape)
    else:
        x = at_rest(draft.arranged(table, tuple(range(len(table.shape)))), table.shape)
    axis, own = _axis(node, x, 0), draft.type(x.tensor).quant
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


def _shape(draft: Draft, node: Node) -> Constant:
    x = draft.operand(node, 0)
    shape: Shape = x.array.shape if isinstance(x, Constant) else x.shape
    part = shape[node.integer("start", 0) : node.integer("end", len(shape))]
    return Constant(np.array(part, np.int64), node.outputs[0])


def _known_only(_draft: Draft, _node: Node) -> Value:
    raise Unsupported("of what is computed (wanted constants or shapes)")


ROWS: dict[str, Row] = {
    **dict.fromkeys(FOLDS, _known_only),
    "Abs": function("abs"),
    "Add": pairwise("add"),
    "AveragePool": windows.average_pool,
    "BatchNormalization": windows.batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": windows.convolution,
    "ConvTranspose": windows.transposed_convolution,
    "DequantizeLinear": dequantize,
    "Div": divide,
    "Dropout": _dropout,
    "Exp": function("exp"),
    "Flatten": _flatten,
    "Gather": _take,
    "Gemm": _gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "HardSwish": function("hard_swish"),
    "Identity": _same,
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
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": function("logistic"),
    "Softmax": _softmax,
    "Sqrt": function("sqrt"),
    "Squeeze": _squeeze,
    "Sub": pairwise("sub"),
    "Tanh": function("tanh"),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Operator -> its row. Constant has none: its value is known as soon as the file is read."""
