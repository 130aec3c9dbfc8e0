"""Rows of ops that remember: their states are variables of the file, which the runtime carries on."""

from __future__ import annotations

import numpy as np

from tinyfoundry.errors import ModelError
from tinyfoundry.exporters._flatbuffer import Operator
from tinyfoundry.exporters._rows import Draft, row
from tinyfoundry.ir.graph import DType, Node, Quantization, Type, per_tensor
from tinyfoundry.op import get_op
from tinyfoundry.ops._activation import Activation

_RELU, _TANH = 1, 4


@row("lstm")
def _lstm(draft: Draft, node: Node) -> None:
    x, wx, wh, _, h, c = node.inputs
    _check_states(draft, node)
    input_weights, recurrent_weights = (_matrices(draft, node, name) for name in (wx, wh))
    inputs = (
        draft.tensor(x), *input_weights, *recurrent_weights, "", "", "", *_biases(draft, node), "", "",
        draft.tensor(h), draft.tensor(c), "", "", "", "",
    )  # fmt: skip
    fields = {"FusedActivationFunction": _TANH, "CellClip": float(node.attrs.cell_clip)}
    inner: tuple[str, ...] = ()
    if draft.graph.types[x].quant is not None:
        plain, hidden = Type((0,), DType.FLOAT32), Type((0,), DType.INT8, draft.graph.types[h].quant)
        inner = tuple(draft.invent(f"{node.name}_inner", plain) for _ in range(4))
        inner += (draft.invent(f"{node.name}_hidden", hidden),)
    code, options = "UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions"
    outputs = (draft.tensor(node.outputs[0]),)
    draft.operators.append(Operator(code, 1, inputs, outputs, options, fields, inner))


def _matrices(draft: Draft, node: Node, name: str) -> tuple[str, ...]:
    """The four gates' matrices of weights, each with its own scale."""
    type_, value = draft.graph.types[name], draft.graph.constants[name]
    quants: list[Quantization | None] = [None] * 4
    if type_.quant is not None:
        quants = [per_tensor(scale) for scale in type_.quant.scale * (4 // len(type_.quant.scale))]
    return tuple(
        draft.invent(f"{node.name}_{name}_{k}", Type(value.shape[1:], type_.dtype, quants[k]), value[k])
        for k in range(4)
    )


def _biases(draft: Draft, node: Node) -> tuple[str, ...]:
    x, wx, _, b, _, _ = (draft.graph.types[name] for name in node.inputs)
    value = draft.graph.constants[node.inputs[3]]
    quants: list[Quantization | None] = [None] * 4
    if x.quant is not None and wx.quant is not None:
        quants = [per_tensor(x.scale * scale) for scale in wx.quant.scale * (4 // len(wx.quant.scale))]
    return tuple(
        draft.invent(f"{node.name}_bias_{k}", Type(value.shape[1:], b.dtype, quants[k]), value[k])
        for k in range(4)
    )


@row("svdf")
def _svdf(draft: Draft, node: Node) -> None:
    x, w_feature, w_time, b, state = node.inputs
    _check_states(draft, node)
    types, kind, bias = draft.graph.types, node.attrs.activation, draft.tensor(b)
    quantized = types[x].quant is not None
    if quantized:
        quant = per_tensor(types[state].scale * types[w_time].scale)
        bias = draft.invent(
            f"{node.name}_bias", Type(types[b].shape, DType.INT32, quant), draft.graph.constants[b]
        )
    known = kind is Activation.RELU and (not quantized or types[node.outputs[0]].zero_point == -128)
    if not known and kind is not Activation.NONE:
        raise ModelError(f"node '{node.name}' (svdf): .tflite has no {kind} there; wanted none or relu")
    # The runtime's int8 kernel wants RELU, and limits to int8 alone.
    fused = _RELU if quantized or known else 0
    inputs = (*map(draft.tensor, (x, w_feature, w_time)), bias, draft.tensor(state))
    outputs = (draft.tensor(node.outputs[0]),)
    fields = {"Rank": node.attrs.rank, "FusedActivationFunction": fused}
    draft.operators.append(Operator("SVDF", 3 if quantized else 1, inputs, outputs, "SVDFOptions", fields))


def _check_states(draft: Draft, node: Node) -> None:
    """ModelError unless what the node carries are states that begin as the runtime begins them."""
    for position, output in get_op(node.op).carried:
        name, graph = node.inputs[position], draft.graph
        state, type_ = graph.states.get(name), graph.types[name]
        zero = 0 if type_.quant is None else type_.zero_point
        if state is None or state.next != node.outputs[output] or np.any(state.initial != zero):
            raise ModelError(
                f"node '{node.name}' ({node.op}): '{name}' is not carried from run to run from zeros on, "
                "which is all that .tflite can express; wanted a state"
            )
