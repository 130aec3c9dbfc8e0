"""Corners of functions of one value: float32, the table, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from graphs import single
from litert import litert_run
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Quantization, Type, per_tensor
from tinyfoundry.kernel import kernels_of
from tinyfoundry.op import Call, Op, Sample, all_ops, check_call
from tinyfoundry.ops.smooth import (
    HARD_SWISH,
    LEAKY_RELU,
    LOGISTIC,
    TANH,
    HardSwish,
    LeakyRelu,
    Logistic,
    Tanh,
)
from tinyfoundry.ops.unary import ABS, EXP, RSQRT, SQRT, Abs, Exp, Rsqrt, Sqrt

OPS = [op for op in all_ops() if op.kernels == "lookup"]
EVERY = np.arange(-128, 128, dtype=np.int8)
UNSIGNED = frozenset({"sqrt", "rsqrt"})


def call_of(op: Op, x: Quantization, y: Quantization, attrs: object = None) -> Call:
    types = (Type((256,), DType.INT8, quant) for quant in (x, y))
    x_type, y_type = types
    return Call(attrs or op.attributes(), (x_type,), (y_type,))


def output_of(op: Op, free: Quantization) -> Quantization:
    assert op.int8 is not None
    return op.int8.output or free


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_random_scales_equal_litert(op: Op) -> None:
    """Every value at random scales and zero points; square roots where no value is negative."""
    rng = np.random.default_rng(8)
    for _ in range(60):
        zero = -128 if op.name in UNSIGNED else int(rng.integers(-128, 128))
        x = per_tensor(float(np.exp(rng.uniform(-8, 2))), zero)
        free = per_tensor(x.scale[0] * float(np.exp(rng.uniform(-3, 3))), int(rng.integers(-128, 128)))
        call = call_of(op, x, output_of(op, free))
        assert check_call(op, call) == []
        graph = single(op, Sample("random", call, {}))
        np.testing.assert_array_equal(interpret(graph, [EVERY])[0], litert_run(export(graph), [EVERY])[0])


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_float_is_close_to_litert(op: Op) -> None:
    """Where there is a result. Not always equal: the last bit of exp and tanh is the machine's."""
    type_ = Type((400,), DType.FLOAT32)
    graph = single(op, Sample("float", Call(op.attributes(), (type_,), (type_,)), {}))
    x = np.linspace(-9, 9, 400, dtype=np.float32)
    [found], [wanted] = interpret(graph, [x]), litert_run(export(graph), [x])
    exists = ~np.isnan(wanted)
    lost = 5e-8 if op.name == "curve" else 0  # LiteRT's gelu rounds every step to float32
    np.testing.assert_allclose(found[exists], wanted[exists], rtol=3e-7, atol=lost)
    assert exists.sum() >= 200
    assert found.dtype == np.float32


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_int8_is_near_the_real_function(op: Op) -> None:
    """Within a step of the output; the roots of 0 and of negative values apart."""
    x = per_tensor(0.02, -128 if op.name in UNSIGNED else 10)
    call = call_of(op, x, output_of(op, per_tensor(0.05, -60)))
    real = (np.arange(-128, 128, dtype=np.float32) - np.float32(x.zero_point[0])) * np.float32(0.02)
    inside = slice(1, None) if op.name in UNSIGNED else slice(None)
    [found] = op.reference(call, [EVERY])
    kind = Type((256,), DType.FLOAT32)
    with np.errstate(divide="ignore"):
        [wanted] = op.reference(Call(call.attrs, (kind,), (kind,)), [real])
    steps = np.clip(wanted / call.y.scale + call.y.zero_point, -128, 127)
    assert np.abs(found - steps)[inside].max() <= 1.2


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_all_share_one_kernel_and_its_table(op: Op) -> None:
    assert [kernel.name for kernel in kernels_of(op.name) if kernel.types["x"] == "int8"] == ["lookup_s8"]
    call = call_of(op, per_tensor(0.05, -128), output_of(op, per_tensor(0.1, 3)))
    [wanted] = op.reference(call, [EVERY])
    literals = op.literals(call)
    assert set(literals) == {"table", "elements"}
    np.testing.assert_array_equal(literals["table"], wanted)


@pytest.mark.parametrize(("op", "at_nothing"), [(SQRT, 3), (RSQRT, 127)], ids=["sqrt", "rsqrt"])
def test_roots_of_negative_values_are_those_of_nothing(op: Op, at_nothing: int) -> None:
    """LiteRT stops there; a microcontroller goes on."""
    [found] = op.reference(call_of(op, per_tensor(0.05, 10), per_tensor(0.1, 3)), [EVERY])
    assert set(found[: 10 + 129].tolist()) == {at_nothing}
    assert found[10 + 129] != at_nothing or op is SQRT


def test_what_overflows_saturates() -> None:
    [found] = EXP.reference(call_of(EXP, per_tensor(5.0, 0), per_tensor(1e-3, -128)), [EVERY])
    assert found[128:].tolist() == [127] * 128
    assert found[:100].tolist() == [-128] * 100


@pytest.mark.parametrize(
    ("op", "attrs", "x", "y", "complaint"),
    [
        (
            LOGISTIC,
            Logistic(),
            (0.1, 0),
            (1 / 128, -128),
            "zero -128; wanted scale 0.00390625 zero -128",
        ),
        (TANH, Tanh(), (0.1, 0), (1 / 128, 1), "zero 1; wanted scale 0.0078125 zero 0"),
        (
            HARD_SWISH,
            HardSwish(),
            (25.6, 0),
            (0.1, 0),
            "is 256 times the output's; wanted less than 128",
        ),
        (HARD_SWISH, HardSwish(), (800.0, 0), (800.0, 0), "input scale is 800; wanted less than 768"),
        (LEAKY_RELU, LeakyRelu(-0.1), (0.1, 0), (0.1, 0), "alpha is -0.1; wanted a finite number >= 0"),
        (
            LEAKY_RELU,
            LeakyRelu(float("nan")),
            (0.1, 0),
            (0.1, 0),
            "alpha is nan; wanted a finite",
        ),
        (
            LEAKY_RELU,
            LeakyRelu(1e7),
            (1.0, 0),
            (1.0, 0),
            "is 1e+07 times the output's; wanted less than 2**22",
        ),
        (ABS, Abs(), (1e7, 0), (1.0, 0), "is 1e+07 times the output's; wanted less than 2**22"),
        (
            RSQRT,
            Rsqrt(),
            (1.0, 0),
            (1e5, 0),
            "scale 1 and output scale 100000 are too large",
        ),
    ],
)
def test_complaints(
    op: Op, attrs: object, x: tuple[float, int], y: tuple[float, int], complaint: str
) -> None:
    [found] = check_call(op, call_of(op, per_tensor(*x), per_tensor(*y), attrs))
    assert complaint in found


def test_mixed_types_are_refused() -> None:
    mixed = Call(Exp(), (Type((2,), DType.FLOAT32),), (Type((2,), DType.INT8, per_tensor(0.1)),))
    assert check_call(EXP, mixed)
    assert check_call(SQRT, Call(Sqrt(), mixed.inputs, mixed.inputs)) == []
