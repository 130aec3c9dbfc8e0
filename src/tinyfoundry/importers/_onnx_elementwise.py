"""Rows of ONNX's element-wise operators: pairs of tensors, broadcast as in numpy; functions of one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_value import Constant, Unsupported, Value, channels_last
from tinyfoundry.ir.graph import Quantization
from tinyfoundry.ops.curve import Curve
from tinyfoundry.ops.smooth import LeakyRelu

Row = Callable[[Draft, Node], Value]


def pairwise(op: str) -> Row:
    """The row of an operator on two tensors, of which one may be a constant."""

    def row(draft: Draft, node: Node) -> Value:
        if len(node.inputs) != 2:
            raise Unsupported(f"with {len(node.inputs)} inputs (wanted 2)")
        first, second = (draft.operand(node, position) for position in (0, 1))
        if isinstance(first, Constant) and isinstance(second, Constant):
            raise Unsupported("of two constants (fold it when you export)")
        if isinstance(second, Constant):
            assert isinstance(first, Value)
            x, other = _with_constant(draft, first, second)
            return computed(draft, draft.apply(node, op, (x.tensor, other)), x)
        if isinstance(first, Constant):
            x, other = _with_constant(draft, second, first)
            return computed(draft, draft.apply(node, op, (other, x.tensor)), x)
        if not (first.shape == second.shape and first.full == second.full and first.order == second.order):
            first, second = _aligned(draft, first, second)
        return computed(draft, draft.apply(node, op, (first.tensor, second.tensor)), first)

    return row


def function(op: str) -> Row:
    """The row of an operator on each element by itself."""
    return lambda draft, node: _mapped(draft, node, op, None)


def leaky_relu(draft: Draft, node: Node) -> Value:
    """LeakyRelu, whose slope is an attribute."""
    return _mapped(draft, node, "leaky_relu", LeakyRelu(alpha=node.real("alpha", 0.01)))


def divide(draft: Draft, node: Node) -> Value:
    """Div by a constant is Mul by its reciprocal; by what is computed, of floats, Mul by a reciprocal too."""
    by = draft.operand(node, 1)
    if isinstance(by, Value):
        return _divided(draft, node, by)
    x = draft.value(node)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1.0 / by.real()
    if not np.isfinite(inverse).all():
        raise Unsupported("by zero")
    other = Constant(inverse, by.key)
    if draft.type(x.tensor).quant is not None:
        if inverse.size != 1:
            raise Unsupported("on int8 by several numbers (wanted one)")
        # One number is a stored 127 or -127 with a scale of its own.
        quant = Quantization((abs(inverse.item()) / 127,), (0,))
        other = Constant((127 * np.sign(inverse)).astype(np.int8), by.key, quant)
    x, tensor = _with_constant(draft, x, other)
    return computed(draft, draft.apply(node, "mul", (x.tensor, tensor)), x)


def _divided(draft: Draft, node: Node, by: Value) -> Value:
    if draft.type(by.tensor).quant is not None:
        raise Unsupported("on int8 by what is computed (wanted a constant)")
    key = f"{node.outputs[0]}_inverse"
    inverse = draft.add("curve", (by.tensor,), Curve("reciprocal"), None, key)
    draft.known[key] = replace(by, tensor=inverse)
    product = replace(node, inputs=(node.inputs[0], key))
    return pairwise("mul")(draft, product)


def power(draft: Draft, node: Node) -> Value:
    """Pow by one constant; the exponents 2, 1 and 0.5 have ops of their own."""
    exponent = draft.constant(node, 1)
    if exponent.array.size != 1:
        raise Unsupported("by several exponents (wanted one)")
    number = exponent.real().item()
    if number == 2.0:
        x = draft.value(node)
        return computed(draft, draft.apply(node, "mul", (x.tensor, x.tensor)), x)
    if number == 0.5:
        return _mapped(draft, node, "sqrt", None)
    if number == 1.0:
        return draft.value(node)
    return _mapped(draft, node, "curve", Curve("power", number))


def curve(name: str, **numbers: float) -> Row:
    """The row of a function of one number; numbers: its attributes in ONNX and what they are by default."""

    def row(draft: Draft, node: Node) -> Value:
        given = [node.real(attribute, default) for attribute, default in numbers.items()]
        return _mapped(draft, node, "curve", Curve(name, *given))

    return row


def gelu(draft: Draft, node: Node) -> Value:
    """Gelu, exact or by a hyperbolic tangent."""
    tanh = node.text("approximate", "none") == "tanh"
    return _mapped(draft, node, "curve", Curve("gelu_tanh" if tanh else "gelu"))


def clamped(draft: Draft, node: Node, low: float, high: float) -> Value:
    """Clip to limits that no relu has."""
    return _mapped(draft, node, "curve", Curve("clamp", low, high))


CURVES: dict[str, Row] = {
    "Ceil": curve("ceil"),
    "Celu": curve("celu", alpha=1.0),
    "Cos": curve("cos"),
    "Elu": curve("elu", alpha=1.0),
    "Erf": curve("erf"),
    "Floor": curve("floor"),
    "Gelu": gelu,
    "HardSigmoid": curve("hard_sigmoid", alpha=0.2, beta=0.5),
    "Log": curve("log"),
    "Mish": curve("mish"),
    "Neg": curve("neg"),
    "Reciprocal": curve("reciprocal"),
    "Round": curve("round"),
    "Selu": curve("selu", alpha=1.6732632423543772, gamma=1.0507009873554805),
    "Sign": curve("sign"),
    "Sin": curve("sin"),
    "Softplus": curve("softplus"),
    "Softsign": curve("softsign"),
    "Swish": curve("silu", alpha=1.0),
    "ThresholdedRelu": curve("thresholded_relu", alpha=1.0),
}
"""Operators that are a function of each number by itself and have no op of their own."""


def _mapped(draft: Draft, node: Node, op: str, attrs: Any) -> Value:
    x = draft.value(node)
    return replace(x, tensor=draft.apply(node, op, (x.tensor,), attrs))


def _aligned(draft: Draft, a: Value, b: Value) -> tuple[Value, Value]:
    """Both with as many axes and in one order: the larger one's, or of equals the one with channels last."""
    rank = max(len(a.shape), len(b.shape))
    a, b = (draft.untangled(draft.reshaped(v, (1,) * (rank - len(v.shape)) + v.shape)) for v in (a, b))
    order = max(a, b, key=lambda v: (prod(v.full), v.order == channels_last(rank))).order
    return tuple(  # type: ignore[return-value]
        Value(draft.arranged(v, order), v.full, order, v.shape) for v in (a, b)
    )


def _with_constant(draft: Draft, x: Value, constant: Constant) -> tuple[Value, str]:
    """``x`` and the constant's tensor, the constant's axes lying as those of ``x`` do."""
    array, size = constant.array, constant.array.size
    rank = max(len(x.shape), array.ndim)
    x = draft.reshaped(x, (1,) * (rank - len(x.shape)) + x.shape)
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if size == 1:
        array = array.reshape((1,) * len(x.full))
    elif not x.plain and x.shape[0] == x.full[0] and size == prod(x.shape[1:]):
        array = array.reshape(1, *x.full[1:])
    else:
        x = draft.untangled(x)
    type_, quant = draft.type(x.tensor), constant.quant
    if type_.quant is None:
        array = (array if quant is None else constant.real().reshape(array.shape)).astype(np.float32)
        quant = None
    elif quant is None or quant.per_channel or array.dtype != np.int8:
        raise Unsupported("on int8 with a constant that is not (quantise it too, with one scale)")
    return x, draft.add_constant(constant.key, array.transpose(x.order), quant)


def computed(draft: Draft, tensor: str, like: Value) -> Value:
    """A tensor that lies as ``like`` does; broadcasting may have made it larger."""
    stored = draft.type(tensor).shape
    if stored == like.stored:
        return replace(like, tensor=tensor)
    full = tuple(stored[like.order.index(axis)] for axis in range(len(stored)))
    return Value(tensor, full, like.order, full)
