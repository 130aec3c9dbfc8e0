"""Filters over features and time of a low rank (Nakkiran et al., 2015): a keyword spotter's layer.

Each of units * rank filters projects the input to one number, remembers the last ``memory`` of these, and
weighs them; a unit's output is the sum of its filters' plus a bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import clamp, quantize_multiplier, requantize, wrap32
from tinyfoundry.ir.graph import Array, DType, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, int8_or_float, quantized_limits
from tinyfoundry.ops._gates import INT16_MAX, INT16_MIN
from tinyfoundry.ops._window import product


@dataclass(frozen=True)
class Svdf:
    """Attributes: filters a unit, and the activation applied to the output."""

    rank: int = 1
    activation: Activation = Activation.NONE


def _infer(attrs: Svdf, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x, w_feature, w_time, b, state = inputs
    n, k = x.shape if len(x.shape) == 2 else (0, 0)
    filters, memory = w_time.shape if len(w_time.shape) == 2 else (0, 0)
    wanted = ((filters, k), (filters, memory), (filters // max(attrs.rank, 1),), (n, filters * memory))
    found = tuple(type_.shape for type_ in inputs[1:])
    if attrs.rank < 1 or found != wanted or not n or filters % attrs.rank:
        raise GraphError(
            f"input {x.shape}, weights {w_feature.shape} and {w_time.shape}, bias {b.shape}, state "
            f"{state.shape}, rank {attrs.rank}; wanted (N, K), (U * rank, K), (U * rank, M), (U,), "
            "(N, U * rank * M)"
        )
    return [((n, filters // attrs.rank), x.dtype), (state.shape, state.dtype)]


def _check(call: Call) -> Iterable[str]:
    x, w_feature, w_time, b, state = call.inputs
    mixed = list(int8_or_float((("input", x), ("output", call.y))))
    yield from mixed
    if mixed:
        return
    if call.outputs[1] != state:
        yield f"state is {state} before and {call.outputs[1]} after; wanted one type"
    if x.quant is None:
        if {w_feature.dtype, w_time.dtype, b.dtype, state.dtype} != {DType.FLOAT32}:
            yield f"weights are {w_feature}, {w_time}, bias {b}, state {state}; wanted float32 throughout"
        return
    for name, type_, dtype in (
        ("w_feature", w_feature, "int8"), ("w_time", w_time, "int16"), ("state", state, "int16"),
    ):  # fmt: skip
        if type_.dtype != dtype or type_.quant is None or type_.quant.per_channel or type_.zero_point:
            yield f"{name} is {type_}; wanted {dtype} with one scale and zero point 0"
            return
    if b.dtype != "int32":
        yield f"bias is {b}; wanted int32"
    for what, factor, limit in zip(("state", "output"), _factors(call), (2.0**22, 0.5), strict=True):
        if not factor < limit:
            yield f"sums have {factor:g} times the scale of the {what}: the scales are damaged"


def _factors(call: Call) -> tuple[float, float]:
    """From sums of products to the state, and from those of weighted states to the output, in float32."""
    x, w_feature, w_time, _, state = (np.float32(t.scale if t.quant else 1) for t in call.inputs)
    with np.errstate(over="ignore"):
        return float(x * w_feature / state), float(state * w_time / np.float32(call.y.scale))


def _reference(call: Call, values: Sequence[Array]) -> list[Array]:
    x, w_feature, w_time, b, state = values
    n, (filters, memory) = x.shape[0], w_time.shape
    if call.x.quant is None:
        feature = product(x, w_feature.T)
    else:
        sums = product(x.astype(np.int64) - call.x.zero_point, w_feature.T)
        scaled = requantize(sums, *quantize_multiplier(_factors(call)[0]))
        feature = clamp(scaled, INT16_MIN, INT16_MAX).astype(np.int16)
    older = state.reshape(n, filters, memory)[:, :, 1:]
    after = np.concatenate([older, feature[:, :, None]], axis=2)
    exact = np.float32 if call.x.quant is None else np.int64
    weighed = (after.astype(exact) * w_time.astype(exact)).reshape(n, b.size, -1).sum(axis=2) + b
    if call.x.quant is not None:
        # The runtime's sum is an int32, which wraps.
        weighed = requantize(wrap32(weighed), *quantize_multiplier(_factors(call)[1])) + call.y.zero_point
    return [activate(weighed, call.attrs.activation, call.y), after.reshape(state.shape).astype(state.dtype)]


def _macs(call: Call) -> int:
    (filters, memory), (n, k) = call.inputs[2].shape, call.x.shape
    return n * filters * (k + memory)


def _literals(call: Call) -> Mapping[str, Literal]:
    (feature_multiplier, feature_shift), (y_multiplier, y_shift) = map(quantize_multiplier, _factors(call))
    y_min, y_max = quantized_limits(call.attrs.activation, call.y)
    return {
        "batch": call.x.shape[0],
        "in_c": call.x.shape[1],
        "units": call.y.shape[1],
        "rank": call.attrs.rank,
        "memory": call.inputs[2].shape[1],
        "x_zero_point": call.x.zero_point,
        "feature_multiplier": feature_multiplier,
        "feature_shift": feature_shift,
        "y_zero_point": call.y.zero_point,
        "y_multiplier": y_multiplier,
        "y_shift": y_shift,
        "y_min": y_min,
        "y_max": y_max,
    }


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    for label, (n, k), units, rank, memory, activation in _cases(rng):
        zero = -128 if activation is Activation.RELU else _samples.pick_zero_point(rng)
        x = _samples.int8_type(rng, (n, k))
        w_feature = Type((units * rank, k), DType.INT8, per_tensor(float(rng.uniform(0.001, 0.02))))
        w_time = Type((units * rank, memory), DType.INT16, per_tensor(float(rng.uniform(1e-6, 1e-4))))
        state_scale = x.scale * w_feature.scale * 5500 * k**0.5 / 8000
        state = Type((n, units * rank * memory), DType.INT16, per_tensor(state_scale))
        y_scale = state_scale * w_time.scale * 2.0**28 * (rank * memory) ** 0.5 / 60
        y = Type((n, units), DType.INT8, per_tensor(y_scale, zero))
        constants = {
            1: _samples.random_weights(rng, w_feature.shape),
            2: rng.integers(-32767, 32768, w_time.shape).astype(np.int16),
            3: rng.integers(-(2**24), 2**24, units).astype(np.int32),
        }
        if label == "started":
            constants[4] = rng.integers(-32768, 32768, state.shape).astype(np.int16)
        types = (x, w_feature, w_time, Type((units,), DType.INT32), state)
        yield Sample(label, Call(Svdf(rank, activation), types, (y, state)), constants)


def _cases(rng: np.random.Generator) -> Iterator[tuple[str, Shape, int, int, int, Activation]]:
    """(label, input shape, units, rank, memory, activation)."""
    yield "one_by_one", (1, 1), 1, 1, 1, Activation.NONE
    yield "relu", (1, 10), 4, 1, 8, Activation.RELU
    yield "rank_2", (1, 13), 5, 2, 7, Activation.NONE
    yield "batch_of_2", (2, 6), 3, 2, 5, Activation.RELU
    yield "started", (1, 5), 3, 1, 4, Activation.NONE
    for i in range(4):
        k, units, rank, memory = (int(rng.integers(1, limit)) for limit in (40, 12, 4, 16))
        yield f"random_{i}", (1, k), units, rank, memory, Activation.RELU if i % 2 else Activation.NONE


SVDF = register(
    Op(
        name="svdf",
        summary="rank-restricted filters over the last inputs; its state is carried on",
        attributes=Svdf,
        inputs=(
            Port("x"),
            *(Port(name, constant=True) for name in ("w_feature", "w_time", "b")),
            Port("state"),
        ),
        outputs=(Port("y"), Port("state_next")),
        infer=_infer,
        check=_check,
        reference=_reference,
        macs=_macs,
        literals=_literals,
        int8=None,
        samples=_samples_of,
        updates=((4, 1),),
    )
)
