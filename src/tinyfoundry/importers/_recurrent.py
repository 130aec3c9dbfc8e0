"""Rows of .tflite operators that remember: their variable tensors become states of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinyfoundry.importers._draft import Draft, fail, has
from tinyfoundry.importers._flat import Operator
from tinyfoundry.importers._rows import Option, row
from tinyfoundry.ir.graph import Array, Quantization
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.lstm import GATES, Lstm
from tinyfoundry.ops.svdf import Svdf

_NONE, _RELU, _TANH = 0, 1, 4
_HIDDEN = 4  # of the intermediates, what h is quantized with
_LSTM_EXTRAS = {
    range(9, 12): "with peepholes",
    range(16, 18): "with a projection",
    range(20, 24): "with layer normalisation",
}


def _lstm_variants(op: Operator, option: Option) -> Iterator[str]:
    if not has(op, 1):
        yield "with its input gate coupled to the forget gate"
    for positions, text in _LSTM_EXTRAS.items():
        if any(has(op, position) for position in positions):
            yield text
    if option("TimeMajor"):
        yield "with time as its first axis"
    if option("FusedActivationFunction") != _TANH:
        yield f"with fused activation {option('FusedActivationFunction')} (wanted {_TANH}, TANH)"
    if option("DiagonalRecurrentTensors"):
        yield "with diagonal recurrent weights"


@row("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions", variants=_lstm_variants)
def _lstm(draft: Draft, op: Operator, option: Option) -> str:
    x = draft.operand(op, 0)
    type_, y = draft.type(x), draft.quant(op)
    wx, wh = (_stacked(draft, op, range(first, first + 4)) for first in (1, 5))
    b = _stacked(draft, op, range(12, 16))
    shape = (type_.shape[0] if type_.shape else 0, draft.type(b).shape[-1])
    h, c = (draft.memory(op, position, shape) for position in (18, 19))
    if y is not None and len(op.intermediates) > _HIDDEN:
        inner = draft.quant_of(op.intermediates[_HIDDEN])
        if inner is not None and inner != draft.type(h).quant:
            fail(op, f"its intermediate {_HIDDEN} has another scale than its state; convert the model again")
    quants = (y, draft.type(h).quant, draft.type(c).quant)
    outputs = draft.apply_all(op, "lstm", (x, wx, wh, b, h, c), Lstm(float(option("CellClip"))), quants)
    for state, update in zip((h, c), outputs[1:], strict=True):
        draft.builder.update(state, update)
    return outputs[0]


def _stacked(draft: Draft, op: Operator, positions: Sequence[int]) -> str:
    """The constants of the four gates as one, with a scale for each gate."""
    found = [draft.values(op, position) for position in positions]
    values, quants = [value for value, _ in found], [quant for _, quant in found]
    different = [
        value for value in values if value.shape != values[0].shape or value.dtype != values[0].dtype
    ]
    if different:
        text = f"{different[0].dtype}{list(different[0].shape)} and {values[0].dtype}{list(values[0].shape)}"
        fail(op, f"inputs {positions[0]} to {positions[-1]}, one a gate, are {text}; the file is damaged")
    return draft.builder.constant(f"{draft.name(op)}_{positions[0]}", np.stack(values), _joined(op, quants))


def _joined(op: Operator, quants: Sequence[Quantization | None]) -> Quantization | None:
    if quants[0] is None:
        return None
    scales: list[float] = []
    for gate, quant in zip(GATES, quants, strict=True):
        if quant is None or quant.per_channel or any(quant.zero_point):
            fail(
                op, f"weights of the {gate} gate: wanted one scale and zero point 0, as the other gates have"
            )
        scales.append(quant.scale[0])
    return Quantization(tuple(scales), (0,) * len(scales))


def _svdf_variants(_op: Operator, option: Option) -> Iterator[str]:
    if option("FusedActivationFunction") not in (_NONE, _RELU):
        yield f"with fused activation {option('FusedActivationFunction')} (wanted NONE or RELU)"


@row("SVDF", "SVDFOptions", variants=_svdf_variants)
def _svdf(draft: Draft, op: Operator, option: Option) -> str:
    x, w_feature, w_time = (draft.operand(op, position) for position in range(3))
    rank, y = option("Rank"), draft.quant(op)
    (filters, memory) = (*draft.type(w_time).shape, 0, 0)[:2]
    if rank < 1 or filters % rank:
        fail(op, f"rank {rank} of {filters} filters, wanted a divisor; the file is damaged")
    b = draft.operand(op, 3) if has(op, 3) else _zeros(draft, op, filters // rank, y)
    shape = draft.type(x).shape
    state = draft.memory(op, 4, (shape[0] if shape else 0, filters * memory))
    # The runtime's int8 kernels limit to int8 alone: RELU is what a zero point of -128 makes of that.
    relu = option("FusedActivationFunction") == _RELU and (y is None or y.zero_point == (-128,))
    attributes = Svdf(rank, Activation.RELU if relu else Activation.NONE)
    quants = (y, draft.type(state).quant)
    outputs = draft.apply_all(op, "svdf", (x, w_feature, w_time, b, state), attributes, quants)
    draft.builder.update(state, outputs[1])
    return outputs[0]


def _zeros(draft: Draft, op: Operator, units: int, quant: Quantization | None) -> str:
    zeros: Array = np.zeros(units, np.float32 if quant is None else np.int32)
    return draft.builder.constant(f"{draft.name(op)}_bias", zeros)
