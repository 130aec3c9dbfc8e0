"""Small networks that remember: a streaming LSTM, a keyword spotter of SVDF layers, in int8 or float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.lstm import Lstm
from tinyfoundry.ops.shape import Reshape
from tinyfoundry.ops.svdf import Svdf


def lstm_net(seed: int, steps: int = 3, features: int = 5, units: int = 7, batch: int = 1) -> Graph:
    """int8: an LSTM over ``steps`` whose states are carried on, then a dense layer and a softmax."""
    rng = np.random.default_rng(seed)
    b = Builder(f"lstm_{seed}")
    x = b.input(
        "x", Type((batch, steps, features), DType.INT8, per_tensor(0.05, int(rng.integers(-128, 128))))
    )
    hidden, cell = (
        per_tensor(1 / 120, int(rng.integers(-9, 9))),
        per_tensor(2.0 ** int(rng.integers(-13, -9))),
    )
    h = b.state("h", Type((batch, units), DType.INT8, hidden))
    c = b.state("c", Type((batch, units), DType.INT16, cell))
    weights = []
    for name, size, scale in (("wx", features, 0.05), ("wh", units, 1 / 120)):
        scales = tuple(float(s) * 3 / (5500 * scale * size**0.5) for s in np.exp(rng.uniform(-1, 1, 4)))
        value = rng.integers(-127, 128, (4, units, size)).astype(np.int8)
        weights.append(b.constant(name, value, Quantization(scales, (0,) * 4)))
    bias = b.constant("bias", rng.integers(-5000, 5000, (4, units)).astype(np.int32))
    quants = (hidden, hidden, cell)
    y, h_next, c_next = b.apply_all("lstm", (x, *weights, bias, h, c), Lstm(10.0), quants, "memory")
    b.update(h, h_next)
    b.update(c, c_next)
    flat = b.apply("reshape", (y,), Reshape((batch, steps * units)), hidden)
    return b.finish(_answer(b, rng, flat, 4))


def svdf_net(seed: int, features: int = 13, units: int = 6, memory: int = 9) -> Graph:
    """int8: two SVDF layers, a dense layer and a softmax: a streaming keyword spotter of one frame a run."""
    rng = np.random.default_rng(seed)
    b = Builder(f"spotter_{seed}")
    x = b.input("x", Type((1, features), DType.INT8, per_tensor(0.07, int(rng.integers(-128, 128)))))
    for rank in (2, 1):
        x = _svdf(b, rng, x, units, rank, memory)
    return b.finish(_answer(b, rng, x, 4))


def _svdf(b: Builder, rng: np.random.Generator, x: str, units: int, rank: int, memory: int) -> str:
    type_, filters = b.type_of(x), units * rank
    state_quant = per_tensor(type_.scale * 0.01 * 5500 * type_.shape[1] ** 0.5 / 8000)
    time_quant, zero = per_tensor(3e-5), -128 if rank == 1 else int(rng.integers(-50, 50))
    y_scale = state_quant.scale[0] * 3e-5 * 8000 * 19000 * (rank * memory) ** 0.5 / 60
    state = b.state(f"memory_{rank}", Type((1, filters * memory), DType.INT16, state_quant))
    w_feature = rng.integers(-127, 128, (filters, type_.shape[1])).astype(np.int8)
    w_time = rng.integers(-32767, 32768, (filters, memory)).astype(np.int16)
    inputs = (
        x,
        b.constant("w_feature", w_feature, per_tensor(0.01)),
        b.constant("w_time", w_time, time_quant),
        b.constant("bias", rng.integers(-(2**20), 2**20, units).astype(np.int32)),
        state,
    )
    attributes = Svdf(rank, Activation.RELU if zero == -128 else Activation.NONE)
    y, after = b.apply_all(
        "svdf", inputs, attributes, (per_tensor(y_scale, zero), state_quant), f"svdf_{rank}"
    )
    b.update(state, after)
    return y


def _answer(b: Builder, rng: np.random.Generator, x: str, classes: int) -> str:
    type_ = b.type_of(x)
    w = b.constant("w", rng.integers(-127, 128, (classes, type_.shape[1])).astype(np.int8), per_tensor(0.01))
    bias = b.constant("b", rng.integers(-500, 500, classes).astype(np.int32))
    quant = per_tensor(type_.scale * 0.01 * 5500 * type_.shape[1] ** 0.5 / 40, int(rng.integers(-50, 50)))
    logits = b.apply("dense", (x, w, bias), Dense(), quant, "logits")
    return b.apply("softmax", (logits,), quant=per_tensor(1 / 256, -128), name="answer")


def running_sum(size: int = 5) -> Graph:
    """int8: the sum of all inputs so far, from 3 upwards, and twice what it was before; no recurrent op."""
    b, quant = Builder("running_sum"), per_tensor(0.1, 0)
    x = b.input("x", Type((1, size), DType.INT8, quant))
    start = np.arange(3, 3 + size, dtype=np.int8).reshape(1, size)
    total = b.state("total", Type((1, size), DType.INT8, quant), start)
    doubled = b.apply("add", (total, total), quant=quant, name="doubled")
    summed = b.apply("add", (total, x), quant=quant, name="summed")
    b.update(total, summed)
    return b.finish(summed, doubled)


def as_floats(graph: Graph) -> Graph:
    """The float32 network that one of these int8 networks stands for."""
    scales = {name: type_.quant for name, type_ in graph.types.items()}
    for node in graph.nodes:
        of = {"lstm": (3, 0, 1), "svdf": (3, 4, 2), "dense": (2, 0, 1)}.get(node.op)
        if of is not None:
            bias, x, w = (node.inputs[position] for position in of)
            quant = graph.types[w].quant
            assert quant is not None
            steps = tuple(graph.types[x].scale * scale for scale in quant.scale)
            scales[bias] = Quantization(steps, (0,) * len(steps))

    def real(name: str, value: Array) -> Array:
        quant, shape = scales[name], (-1, *[1] * (value.ndim - 1))
        if quant is None:
            return value
        axes = shape if quant.per_channel else ()
        step, zero = (np.reshape(part, axes) for part in (quant.scale, quant.zero_point))
        return ((value.astype(np.float64) - zero) * step).astype(np.float32)

    return replace(
        graph,
        types={name: Type(type_.shape, DType.FLOAT32) for name, type_ in graph.types.items()},
        constants={name: real(name, value) for name, value in graph.constants.items()},
        states={
            name: replace(state, initial=real(name, state.initial)) for name, state in graph.states.items()
        },
    )
