"""Int16 activations at their limits: every value of the functions of one, sums beyond 32 bits, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c_libraries import compiled, run_self_test
from graphs import single
from litert import litert_run
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.op import Call, Sample, check_call, get_op
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.batch_matmul import BatchMatMul
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.convert import Quantize
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.elementwise import Add, Relu, Sub
from tinyfoundry.ops.product import Mul
from tinyfoundry.ops.smooth import INT16_OUTPUT, LeakyRelu, Logistic, Tanh
from tinyfoundry.ops.softmax import Softmax
from tinyfoundry.ops.unary import Abs, Exp

EVERY = np.arange(-(2**15), 2**15, dtype=np.int16)


def wide(shape: tuple[int, ...], scale: float, zero_point: int = 0) -> Type:
    return Type(shape, DType.INT16, per_tensor(scale, zero_point))


def graph_of(op: str, attrs: Any, inputs: list[Type], y: Type, constants: dict[int, Array]) -> Graph:
    call = Call(attrs, tuple(inputs), (y,))
    assert check_call(get_op(op), call) == []
    return single(get_op(op), Sample("int16", call, constants))


def assert_exact(graph: Graph, *inputs: Array) -> Array:
    """The graph's output, which must be LiteRT's."""
    (found,), (wanted,) = interpret(graph, inputs), litert_run(export(graph), inputs)
    np.testing.assert_array_equal(found, wanted.reshape(found.shape))
    return found


@pytest.mark.parametrize(
    ("op", "attrs", "output"),
    [
        ("logistic", Logistic(), INT16_OUTPUT),
        ("tanh", Tanh(), INT16_OUTPUT),
        ("exp", Exp(), per_tensor(0.0003)),
        ("abs", Abs(), per_tensor(0.00017)),
        ("leaky_relu", LeakyRelu(0.3), per_tensor(0.00009)),
        ("relu", Relu(Activation.RELU6), per_tensor(0.0002)),
        ("quantize", Quantize(DType.INT16), per_tensor(0.00031)),
    ],
)
@pytest.mark.parametrize("scale", [1e-6, 2**-12, 2**-11, 2.0**-12 * 1.0005, 0.000345, 0.0021])
def test_every_value(op: str, attrs: Any, output: Quantization, scale: float) -> None:
    """All 65536 of them; 2**-12 and what is as good as that are special to logistic and tanh, and 2**-11."""
    x = wide((2**16,), scale)
    assert_exact(graph_of(op, attrs, [x], Type(x.shape, DType.INT16, output), {}), EVERY)


def test_every_value_to_int8_and_back() -> None:
    narrow = Type((2**16,), DType.INT8, per_tensor(0.05, -7))
    assert_exact(graph_of("quantize", Quantize(), [wide((2**16,), 0.0002)], narrow, {}), EVERY)
    bytes_ = replace(narrow, shape=(256,))
    fine = graph_of("quantize", Quantize(DType.INT16), [bytes_], wide((256,), 0.0004), {})
    assert_exact(fine, np.arange(-128, 128, dtype=np.int8))


@pytest.mark.parametrize("factor", [126.9, 1.0, 0.99999, 2.0**-18, 2.0**-31])
def test_sums_beyond_32_bits(factor: float) -> None:
    """2000 products of the largest values: 33 bits, and 47 with the largest bias."""
    x, y = wide((1, 1, 1, 2000), 0.001), wide((1, 1, 1, 4), 0.001 * 0.01 / factor)
    w = Type((4, 1, 1, 2000), DType.INT8, per_tensor(0.01))
    signs = np.array([127, -127, 127, -127], np.int8).reshape(4, 1, 1, 1)
    bias = np.array([0, 0, 2**46, -(2**46)])
    constants = {1: np.broadcast_to(signs, w.shape).copy(), 2: bias}
    graph = graph_of("conv2d", Conv2D(Window()), [x, w, Type((4,), DType.INT64)], y, constants)
    for value in (-(2**15), -1, 1, 2**15 - 1):
        found = assert_exact(graph, np.full(x.shape, value, np.int16))
        if factor == 2.0**-18 and abs(value) > 1:
            assert np.abs(found.ravel()[:2]).tolist() == [abs(value) * 2000 * 127 // 2**18] * 2


@pytest.mark.parametrize("weight", [-128, 127])
def test_c_holds_the_largest_sums(weight: int, tmp_path: Path) -> None:
    """C adds some products in 32 bits before it goes on in 64: never more than fit, says the sanitizer."""
    x, y = wide((1, 1100), 0.001), wide((1, 2), 0.001 * 0.01 * 2**18)
    w = Type((2, 1100), DType.INT8, per_tensor(0.01))
    constants = {1: np.full(w.shape, weight, np.int8), 2: np.array([2**40, -(2**40)])}
    compiled(graph_of("dense", Dense(), [x, w, Type((2,), DType.INT64)], y, constants), tmp_path)
    sanitize = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    assert "0 of 6 golden samples differ" in run_self_test(tmp_path, sanitize)


def test_products_of_matrices_beyond_32_bits() -> None:
    shape = (1, 300)
    y = wide((1, 1), 300 * 2.0**15 * 1e-6)
    graph = graph_of("batch_matmul", BatchMatMul(adj_y=True), [wide(shape, 1e-3), wide(shape, 1e-3)], y, {})
    lowest, highest = (np.full(shape, value, np.int16) for value in (-(2**15), 2**15 - 1))
    assert assert_exact(graph, lowest, lowest).item() == 2**15 - 1
    assert assert_exact(graph, lowest, highest).item() == -(2**15) + 1


@pytest.mark.parametrize(
    ("op", "attrs"), [("add", Add()), ("sub", Sub()), ("mul", Mul()), ("add", Add(Activation.RELU))]
)
@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.01), (1.0, 3e-5, 1.7), (0.001, 0.0007, 0.0005)])
def test_pairs_of_extremes(op: str, attrs: Any, scales: tuple[float, float, float]) -> None:
    """Every pair of the values next to the limits and to zero."""
    values = np.array([-(2**15), -(2**15) + 1, -1, 0, 1, 2**14, 2**15 - 2, 2**15 - 1], np.int16)
    left, right = (axis.ravel() for axis in np.meshgrid(values, values))
    x1, x2, y = (wide((64,), scale) for scale in scales)
    assert_exact(graph_of(op, attrs, [x1, x2], y, {}), left, right)


@pytest.mark.parametrize("scale", [1e-5, 0.0003, 0.01, 2.4])
def test_softmax_of_extremes(scale: float) -> None:
    rows = np.random.default_rng(2).choice(np.array([-(2**15), -1, 0, 1, 2**15 - 1], np.int16), (40, 9))
    x = wide(rows.shape, scale)
    found = assert_exact(
        graph_of("softmax", Softmax(), [x], Type(x.shape, DType.INT16, INT16_OUTPUT), {}), rows
    )
    assert found.min() >= 0


W, W4 = (Type(shape, DType.INT8, per_tensor(1.0)) for shape in ((1, 3), (1, 1, 1, 1)))
BEYOND = "is beyond float32; wanted a smaller input scale"
LONG, SHORT, BYTE = (Type((1,), DType(kind)) for kind in ("int64", "int32", "int8"))


@pytest.mark.parametrize(
    ("op", "attrs", "inputs", "y", "wanted"),
    [
        (
            "dense", None, (wide((1, 3), 1.0), W, BYTE), wide((1, 1), 1.0),
            "bias is int8[1]; wanted int32 or int64",
        ),
        (
            "dense", None, (wide((1, 3), 1.0), W, LONG), wide((1, 1), 1 / 128),
            "input scale times weight scale is 128 times the output's; wanted less than 127",
        ),
        (
            "depthwise_conv2d", None, (wide((1, 1, 1, 1), 1.0), W4, SHORT), wide((1, 1, 1, 1), 1.0),
            "bias is int32[1]; wanted int64, as TensorFlow Lite has it for int16",
        ),
        (
            "add", None, (wide((2,), 1.0), Type((2,), DType.INT8, per_tensor(1.0))), wide((2,), 1.0),
            "input 2 is int8[2] scale 1 zero 0; wanted int16 with one scale and zero point 0 everywhere",
        ),
        (
            "mul", None, (wide((2,), 1.0), wide((2,), 1.0)), wide((2,), 1.0),
            "input scales 1 and 1 are too large for output scale 1; wanted a product of less than 1 of it",
        ),
        (
            "batch_matmul", None, (wide((1, 1), 1.0), wide((1, 1), 1.0)), wide((1, 1), 1 / 200),
            "product of the input scales is 200 times the output's; wanted less than 127",
        ),
        (
            "relu", None, (wide((2,), 1.0),), wide((2,), 2**-15),
            "input scale is 32768 times the output's; wanted less than 2**15: the scales are damaged",
        ),
        (
            "tanh", None, (wide((2,), 6.0),), Type((2,), DType.INT16, INT16_OUTPUT),
            "input scale is 6; wanted less than 5.3",
        ),
        (
            "logistic", None, (wide((2,), 1.0),), wide((2,), 1.0),
            "output is int16[2] scale 1 zero 0; wanted scale 3.05176e-05 zero 0",
        ),
        (
            "exp", None, (wide((2,), 0.01),), wide((2,), 1.0),
            f"input scale 0.01 reaches exp(327.68), which in steps of 1 {BEYOND}",
        ),
        (
            "softmax", None, (wide((2,), 3.0),), Type((2,), DType.INT16, INT16_OUTPUT),
            "beta times input scale is 3; wanted less than 2.5",
        ),
        (
            "softmax", None, (wide((2,), 1.0),), wide((2,), 1 / 256),
            "output is int16[2] scale 0.00390625 zero 0; wanted scale 1/32768 and zero point 0",
        ),
        (
            "quantize", Quantize(DType.INT16), (wide((2,), 1.0),), wide((2,), 1.0, 3),
            "output is int16[2] scale 1 zero 3; wanted zero point 0, as it is int16",
        ),
    ],
)  # fmt: skip
def test_complaints(op: str, attrs: Any, inputs: tuple[Type, ...], y: Type, wanted: str) -> None:
    record = get_op(op)
    found = check_call(record, Call(attrs or record.attributes(), inputs, (y,)))
    assert wanted in found, found
