"""QuantizeLinear, DequantizeLinear: from pairs of them around float operators to int8 operators.

A quantised file says Q(op(DQ(x), DQ(w), DQ(b))): between Q and the next DQ a tensor is int8, and the operator
computes on reals. Here Q and DQ vanish: the operator's output takes the quantization of the Q that reads it,
and the operator becomes one on integers (TensorFlow Lite's: Jacob et al., 2018), which rounds where the
file's own reading rounds, but by a fixed-point factor and with halves away from zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import INT8, Model, Node
from tinyfoundry.importers._onnx_value import Constant, Unsupported, Value
from tinyfoundry.ir.graph import Array, DType, Quantization, Type

_LEAST, _MOST = 1e-30, 1e15  # scales that float32 arithmetic can be trusted with
_STEPPING_OVER = frozenset({
    "Clip", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool",
    "Pad", "ReduceMax", "Relu", "Reshape", "Slice", "SpaceToDepth", "Squeeze", "Tile", "Transpose",
    "Unsqueeze",
})  # fmt: skip
"""Operators that give the same bytes whether their input is quantized or their output."""

_LARGEST_BIAS = 2.0**31 - 1


@dataclass(frozen=True)
class Layout:
    """Where ONNX's weights have the output channels, where ours have them, and the way from one to other."""

    axis: int
    ours: int
    move: Callable[[Array], Array]


def wanted_quantizations(model: Model) -> dict[str, Quantization]:
    """Tensor -> the quantization that the file gives it: of the first QuantizeLinear that reads it.

    A tensor that only one operator of those that only clamp or move reads gets that operator's.
    """
    wanted: dict[str, Quantization] = {}
    readers: Counter[str] = Counter(name for node in model.nodes for name in node.inputs)
    readers.update(face.name for face in model.outputs)
    stored = {face.name for face in model.inputs if face.dtype == INT8}
    for node in reversed(model.nodes):
        if not node.inputs or not node.outputs:
            continue
        x, y = node.inputs[0], node.outputs[0]
        if node.op == "QuantizeLinear" or (node.op == "DequantizeLinear" and x in stored):
            arrays = [model.constants.get(name) for name in node.inputs[1:3] if name]
            quant = _per_tensor([array for array in arrays if array is not None], node.op)
            if quant is not None:
                wanted[x] = quant
        elif node.op in _STEPPING_OVER and y in wanted and readers[x] == 1:
            wanted[x] = wanted[y]
    return wanted


def _per_tensor(arrays: list[Array], op: str) -> Quantization | None:
    if not arrays or any(array.size != 1 for array in arrays):
        return None
    # Without a zero point Q writes uint8 with zero point 0.
    scale, zero = _fitting(arrays[0]), -128 if op == "QuantizeLinear" else 0
    if len(arrays) > 1 and arrays[1].dtype.kind in "iu":
        zero = int(arrays[1].item()) - (128 if arrays[1].dtype == np.uint8 else 0)
    return Quantization(scale, (zero,)) if scale is not None and -128 <= zero <= 127 else None


def _fitting(scale: Array) -> tuple[float, ...] | None:
    """The scales, when every one is a positive number of a size that makes sense."""
    good = scale.dtype.kind == "f" and bool(np.all((scale > _LEAST) & (scale < _MOST)))
    return tuple(float(s) for s in scale.ravel()) if good else None


def parameters(draft: Draft, node: Node, axis_size: Mapping[int, int]) -> tuple[Quantization, DType]:
    """Scales and zero points of a Q or DQ node, as signed integers, and the integer type it speaks of.

    axis_size: the sizes that the scales may go along, by axis.
    """
    scale = draft.constant(node, 1).array
    zero = draft.constant(node, 2).array if draft.has(node, 2) else np.zeros(scale.size, np.uint8)
    if node.integer("block_size", 0) or scale.ndim > 1 or zero.size != scale.size:
        raise Unsupported("with blocks of scales (wanted one scale a tensor or a channel)")
    scales = _fitting(scale)
    if scales is None:
        raise Unsupported("with scales that are no positive float32 numbers; the file is damaged")
    if zero.dtype not in (np.int8, np.uint8, np.int32):
        raise Unsupported(f"to {zero.dtype} (quantise to int8)")
    points = zero.astype(np.int64).ravel() - (128 if zero.dtype == np.uint8 else 0)
    axis = node.integer("axis", 1)
    axis += len(axis_size) if axis < 0 else 0
    if len(scales) > 1 and axis_size.get(axis) != len(scales):
        raise Unsupported(f"with {len(scales)} scales along axis {axis}, which has another size")
    if len(scales) > 1 and points.any():
        raise Unsupported("with zero points a channel other than 0 (quantise weights symmetrically)")
    dtype = DType.INT32 if zero.dtype == np.int32 else DType.INT8
    return Quantization(scales, tuple(points.tolist()), axis if len(scales) > 1 else 0), dtype


def quantize(draft: Draft, node: Node) -> Value | Constant:
    """QuantizeLinear: nothing where the operator before has computed just that, else one of our quantize."""
    x = draft.operand(node, 0)
    shape = x.array.shape if isinstance(x, Constant) else x.shape
    quant, dtype = parameters(draft, node, dict(enumerate(shape)))
    if dtype != DType.INT8 or (quant.per_channel and isinstance(x, Value)):
        raise Unsupported("of an activation to int32 or by channel (quantise activations to int8)")
    if isinstance(x, Constant):
        return Constant(_stored(x.real(), quant), x.key, quant)
    type_ = draft.type(x.tensor)
    if type_.quant == quant:
        return x
    tensor = draft.add("quantize", (x.tensor,), None, quant, node.outputs[0])
    return Value(tensor, x.full, x.order, x.shape)


def dequantize(draft: Draft, node: Node) -> Value | Constant:
    """DequantizeLinear: the int8 tensor itself, for operators compute on that."""
    x = draft.operand(node, 0)
    shape = x.array.shape if isinstance(x, Constant) else x.shape
    quant, _ = parameters(draft, node, dict(enumerate(shape)))
    if isinstance(x, Constant):
        return _constant(draft, node, x, quant)
    if draft.type(x.tensor).quant != quant:
        raise Unsupported("with another scale or zero point than the tensor was quantized with")
    return x


def _constant(draft: Draft, node: Node, x: Constant, quant: Quantization) -> Constant:
    """A constant that is stored in integers. An absent zero point is 0 of the tensor's own type."""
    if x.quant is not None and x.quant != quant:
        raise Unsupported("with another scale or zero point than the constant was quantized with")
    if x.quant is not None:
        return x
    if x.array.dtype not in (np.int8, np.uint8, np.int32):
        raise Unsupported(f"of a constant of {x.array.dtype} (wanted int8, or int32 for biases)")
    shift = 128 if x.array.dtype == np.uint8 else 0
    if not draft.has(node, 2):
        quant = Quantization(quant.scale, (-shift,) * len(quant.scale), quant.axis)
    array = (x.array.astype(np.int16) - shift).astype(np.int8) if shift else x.array
    return Constant(array, x.key, quant)


def _stored(real: Array, quant: Quantization) -> Array:
    """Stored values of reals, halves to even as QuantizeLinear rounds."""
    shape = [1] * real.ndim
    if quant.per_channel:
        shape[quant.axis] = -1
    scale = np.asarray(quant.scale).reshape(shape if quant.per_channel else ())
    zero = np.asarray(quant.zero_point).reshape(shape if quant.per_channel else ())
    stored: Array = np.clip(np.rint(real / scale) + zero, -128, 127).astype(np.int8)
    return stored


def weighted(
    draft: Draft, node: Node, x: Type, layout: Layout, weights: Constant, bias: Constant | None
) -> tuple[str, str]:
    """Names of the weights and the bias that a layer with input type ``x`` is given; zeros for no bias."""
    units = weights.array.shape[layout.axis]
    if bias is not None and bias.array.size != units:
        raise Unsupported(f"with a bias of {bias.array.size} for {units} outputs; the file is damaged")
    b_key = f"{node.outputs[0]}_bias" if bias is None else bias.key
    if x.quant is None:
        array = weights.array if weights.quant is None else weights.real()
        real = np.zeros(units) if bias is None else bias.real().ravel()
        w = draft.add_constant(weights.key, layout.move(array).astype(np.float32))
        return w, draft.add_constant(b_key, real.astype(np.float32))
    quant = weights.quant
    if quant is None or weights.array.dtype != np.int8:
        raise Unsupported("on int8 with weights that are not (quantise weights to int8 too)")
    if any(quant.zero_point) or (quant.per_channel and quant.axis != layout.axis):
        raise Unsupported("with weights that have a zero point or scales along another axis than the outputs")
    moved = Quantization(quant.scale, quant.zero_point, layout.ours if quant.per_channel else 0)
    w = draft.add_constant(weights.key, layout.move(weights.array), moved)
    return w, draft.add_constant(b_key, _integer_bias(bias, units, x.scale, quant.scale))


def _integer_bias(bias: Constant | None, units: int, x_scale: float, w_scales: tuple[float, ...]) -> Array:
    """The bias in steps of input scale times weight scale, which the file's steps usually are too."""
    if bias is None:
        return np.zeros(units, np.int32)
    steps = x_scale * np.asarray(w_scales)
    own = bias.quant
    integer = bias.array.dtype == np.int32 and own is not None and not any(own.zero_point)
    if integer and own is not None and np.allclose(own.scale, steps, rtol=1e-6, atol=0):
        return bias.array.ravel()
    stored = np.rint(bias.real().ravel() / steps)
    if not (np.abs(stored) <= _LARGEST_BIAS).all():
        raise Unsupported("with a bias beyond 32 bits at the scales of input and weights")
    return stored.astype(np.int32)
