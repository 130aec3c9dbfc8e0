"""Long short-term memory over a sequence (Hochreiter and Schmidhuber, 1997, with forget gates).

In every step, with gates i, f, g, o out of W x + R h + b:
    c = sigmoid(f) * c + sigmoid(i) * tanh(g),  h = sigmoid(o) * tanh(c),  and the output is h.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import Ints, clamp, quantize_multiplier, requantize, rounding_divide_by_pot
from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import int8_or_float
from tinyfoundry.ops._gates import INT16_MAX, INT16_MIN, logistic, tanh
from tinyfoundry.ops._window import product

GATES = ("input", "forget", "cell", "output")
_FINEST, _COARSEST = 2.0**-15, 2.0**-9  # scales of the int16 cell
_FINEST_OUTPUT = 2.0**-20


@dataclass(frozen=True)
class Lstm:
    """Attributes: the magnitude that cells are limited to after every step; 0 for no limit."""

    cell_clip: float = 0.0


def _infer(_attrs: Lstm, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, wx, wh, b, h, c = inputs
    n, t, k = x.shape if len(x.shape) == 3 else (0, 0, 0)
    units = b.shape[1] if len(b.shape) == 2 else 0
    wanted = ((4, units, k), (4, units, units), (4, units), (n, units), (n, units))
    if tuple(type_.shape for type_ in inputs[1:]) != wanted or not n:
        raise GraphError(
            f"input {x.shape}, weights {wx.shape} and {wh.shape}, bias {b.shape}, states {h.shape} and "
            f"{c.shape}; wanted (N, T, K), (4, H, K), (4, H, H), (4, H), (N, H), (N, H)"
        )
    return [((n, t, units), x.dtype), ((n, units), h.dtype), ((n, units), c.dtype)]


def _check(call: Call) -> Iterable[str]:
    x, wx, wh, b, h, c = call.inputs
    y, h_next, c_next = call.outputs
    faces = (("input", x), ("output", y), ("h", h), ("h_next", h_next))
    mixed = list(int8_or_float(faces))
    yield from mixed
    if mixed:
        return
    if h_next != h or c_next != c or y.quant != h.quant:
        yield f"output {y}, states {h} to {h_next}, {c} to {c_next}; wanted one quantization of y and h"
    if x.quant is None:
        if {wx.dtype, wh.dtype, b.dtype, c.dtype} != {DType.FLOAT32}:
            yield f"weights are {wx} and {wh}, bias {b}, cell {c}; wanted float32 as the input is"
        return
    for name, w in (("wx", wx), ("wh", wh)):
        if w.dtype != "int8" or w.quant is None or any(w.quant.zero_point) or w.quant.axis:
            yield f"{name} is {w}; wanted int8 with zero point 0 and at most a scale for each gate"
            return
    if b.dtype != "int32":
        yield f"bias is {b}; wanted int32"
    if c.dtype != "int16" or c.quant is None or c.quant.per_channel or not _is_cell(c):
        yield f"cell is {c}; wanted int16 with zero point 0 and a scale of 2**-15, 2**-14, ... or 2**-9"
        return
    yield from _factor_complaints(call)


def _is_cell(c: Type) -> bool:
    return c.zero_point == 0 and _FINEST <= c.scale <= _COARSEST and log2(c.scale).is_integer()


def _factor_complaints(call: Call) -> Iterable[str]:
    """Where a sum, brought to Q3.12, could leave int32."""
    largest = [type_.shape[2] * 255 * 127 for type_ in call.inputs[1:3]]
    for factors, most in zip((_factors(call, 1), _factors(call, 2)), largest, strict=True):
        if not max(factors) * most < 2**30:
            yield f"weights times input have a scale of {max(factors) / 4096:g}: the scales are damaged"
    if not call.y.scale >= _FINEST_OUTPUT:
        yield f"output scale is {call.y.scale:g}; wanted at least {_FINEST_OUTPUT:g}: the scales are damaged"


def _factors(call: Call, weights: int) -> list[float]:
    """Of each gate: from sums of products to Q3.12, in float32 as the runtime does."""
    w, source = call.inputs[weights], call.x if weights == 1 else call.y
    assert w.quant is not None
    with np.errstate(over="ignore"):
        products = [np.float32(scale) * np.float32(source.scale) for scale in w.quant.scale]
    return [float(p) * 4096 for p in products] * (4 // len(products))


def _requantisers(call: Call, weights: int) -> tuple[Array, Array]:
    pairs = np.array([quantize_multiplier(factor) for factor in _factors(call, weights)], np.int32)
    return pairs[:, 0], pairs[:, 1]


def _output_factor(call: Call) -> float:
    """From products in Q0.30 to the output, in float32 as the runtime does."""
    return float(np.float32(2.0**-15) / np.float32(call.y.scale) * np.float32(2.0**-15))


def _cell_limits(call: Call) -> tuple[int, int]:
    steps = float(np.float32(call.attrs.cell_clip) / np.float32(call.inputs[5].scale))
    most = int(min(steps, float(INT16_MAX)))
    return (-most, most) if most > 0 else (INT16_MIN, INT16_MAX)


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, wx, wh, b, h, c = values
    step = _float_step if call.x.quant is None else _int8_step
    rows = []
    for t in range(x.shape[1]):
        h, c = step(call, x[:, t], wx, wh, b, h, c)
        rows.append(h)
    return [np.stack(rows, axis=1), h, c]


def _float_step(
    call: Call, x: Array, wx: Array, wh: Array, b: Array, h: Array, c: Array
) -> tuple[Array, Array]:
    i, f, g, o = (product(x, wx[k].T) + product(h, wh[k].T) + b[k] for k in range(4))
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    if call.attrs.cell_clip > 0:
        c = np.clip(c, -call.attrs.cell_clip, call.attrs.cell_clip)
    return (_sigmoid(o) * np.tanh(c)).astype(np.float32), c.astype(np.float32)


def _sigmoid(x: Array) -> Array:
    halves: Array = 0.5 + 0.5 * np.tanh(x / 2)
    return halves


def _int8_step(
    call: Call, x: Array, wx: Array, wh: Array, b: Array, h: Array, c: Array
) -> tuple[Array, Array]:
    """One step as lstm_eval.cc of TensorFlow Lite computes it (EvalInteger8x8_16)."""
    i, f, g, o = _gate_sums(call, x, wx, wh, b, h)
    cell_bits = int(log2(call.inputs[5].scale)) + 15
    kept = rounding_divide_by_pot(logistic(f) * c, 15)
    added = rounding_divide_by_pot(logistic(i) * tanh(g, 3), 15 + cell_bits)
    cell = clamp(clamp(kept + added, INT16_MIN, INT16_MAX), *_cell_limits(call))
    shown = logistic(o) * tanh(cell, cell_bits)
    y = requantize(shown, *quantize_multiplier(_output_factor(call))) + call.y.zero_point
    return clamp(y, -128, 127).astype(np.int8), cell.astype(np.int16)


def _gate_sums(call: Call, x: Array, wx: Array, wh: Array, b: Array, h: Array) -> Iterator[Ints]:
    """What each gate sees, in Q3.12: the input's part limited to int16, then with what h adds."""
    of_x, of_h = (zip(*_requantisers(call, weights), strict=True) for weights in (1, 2))
    centred, before = x.astype(np.int64) - call.x.zero_point, h.astype(np.int64) - call.y.zero_point
    for k, (x_factor, h_factor) in enumerate(zip(of_x, of_h, strict=True)):
        total = clamp(requantize(product(centred, wx[k].T) + b[k], *x_factor), INT16_MIN, INT16_MAX)
        total = total + requantize(product(before, wh[k].T), *h_factor)
        yield clamp(total, INT16_MIN, INT16_MAX)


def _macs(call: Call) -> int:
    return call.y.elements * 4 * (call.x.shape[2] + call.y.shape[2])


def _literals(call: Call) -> Mapping[str, Literal]:
    (x_multiplier, x_shift), (h_multiplier, h_shift) = (_requantisers(call, w) for w in (1, 2))
    y_multiplier, y_shift = quantize_multiplier(_output_factor(call))
    cell_min, cell_max = _cell_limits(call)
    return {
        "batch": call.x.shape[0],
        "steps": call.x.shape[1],
        "in_c": call.x.shape[2],
        "units": call.y.shape[2],
        "x_multiplier": x_multiplier,
        "x_shift": x_shift.astype(np.int8),
        "h_multiplier": h_multiplier,
        "h_shift": h_shift.astype(np.int8),
        "y_multiplier": y_multiplier,
        "y_shift": y_shift,
        "x_zero_point": call.x.zero_point,
        "h_zero_point": call.y.zero_point,
        "cell_integer_bits": int(log2(call.inputs[5].scale)) + 15,
        "cell_min": cell_min,
        "cell_max": cell_max,
    }


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    for label, shape, units, cell_bits, clip, started in _cases(rng):
        x = Type(shape, DType.INT8, per_tensor(float(rng.uniform(0.01, 0.1)), _samples.pick_zero_point(rng)))
        y_scale = float(rng.choice((1 / 128, rng.uniform(0.002, 0.01))))
        h_quant = per_tensor(y_scale, int(rng.integers(-20, 20)))
        c = Type((shape[0], units), DType.INT16, per_tensor(2.0 ** (cell_bits - 15)))
        # A sum of products of centred bytes is of the order of 74 * 74 * sqrt(n); gates saturate at 8.
        ranges = ((shape[2], x.scale), (units, y_scale))
        scales = [
            [float(g) * 3 / (5500 * s * n**0.5) for g in np.exp(rng.uniform(-1, 1, 4))] for n, s in ranges
        ]
        wx, wh = (
            Type((4, units, n), DType.INT8, Quantization(tuple(per_gate), (0,) * 4))
            for (n, _), per_gate in zip(ranges, scales, strict=True)
        )
        b, h = Type((4, units), DType.INT32), Type((shape[0], units), DType.INT8, h_quant)
        y = Type((*shape[:2], units), DType.INT8, h_quant)
        constants = {i: _samples.random_weights(rng, w.shape) for i, w in ((1, wx), (2, wh))}
        constants[3] = rng.integers(-9000, 9000, b.shape).astype(np.int32)
        if started:
            constants[4] = rng.integers(-128, 128, h.shape).astype(np.int8)
            constants[5] = rng.integers(-32768, 32768, c.shape).astype(np.int16)
        yield Sample(label, Call(Lstm(clip), (x, wx, wh, b, h, c), (y, h, c)), constants)


def _cases(rng: np.random.Generator) -> Iterator[tuple[str, Shape, int, int, float, bool]]:
    """(label, input shape, units, integer bits of the cell, clip, whether the states are constants)."""
    yield "one_by_one", (1, 1, 1), 1, 3, 0.0, False
    yield "one_step", (1, 1, 13), 7, 3, 10.0, False
    yield "steps", (1, 9, 5), 6, 3, 0.0, False
    yield "started", (1, 4, 3), 5, 4, 0.0, True
    yield "batch_of_2", (2, 3, 4), 3, 2, 0.0, False
    yield "clipped", (1, 5, 6), 9, 4, 2.5, False
    for cell_bits in range(7):
        yield f"cell_{cell_bits}", (1, 3, 8), 11, cell_bits, 0.0, False
    for i in range(4):
        t, k, units = (int(rng.integers(1, limit)) for limit in (7, 30, 25))
        yield f"random_{i}", (1, t, k), units, int(rng.integers(2, 6)), float(rng.choice((0.0, 10.0))), i == 3


LSTM = register(
    Op(
        name="lstm",
        summary="long short-term memory over a sequence; h and c are carried on",
        attributes=Lstm,
        inputs=(
            Port("x"),
            *(Port(name, constant=True) for name in ("wx", "wh", "b")),
            Port("h"),
            Port("c"),
        ),
        outputs=(Port("y"), Port("h_next"), Port("c_next")),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=_literals,
        int8=QuantRule(
            weights=0, matrices=(1, 2), bias=3, alike=(("y", "h", "h_next"), ("c", "c_next")),
            cells=("c", "c_next"),
        ),
        samples=_samples_of,
        updates=((4, 1), (5, 2)),
    )
)  # fmt: skip
