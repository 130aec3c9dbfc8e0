"""Corners of quantize and dequantize: halves, saturation, what is not a number."""

from __future__ import annotations

import numpy as np
import pytest

from graphs import single
from litert import litert_run
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Quantization, Type, per_tensor
from tinyfoundry.op import Call, Sample, check_call
from tinyfoundry.ops.convert import DEQUANTIZE, QUANTIZE, Dequantize, Quantize


def int8(elements: int, scale: float, zero_point: int = 0) -> Type:
    return Type((elements,), DType.INT8, per_tensor(scale, zero_point))


def f32(elements: int) -> Type:
    return Type((elements,), DType.FLOAT32)


def quantized(values: list[float], scale: float = 1.0, zero_point: int = 0) -> list[int]:
    call = Call(Quantize(), (f32(len(values)),), (int8(len(values), scale, zero_point),))
    return QUANTIZE.reference(call, [np.array(values, np.float32)])[0].tolist()


def test_halves_are_rounded_away_from_zero() -> None:
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    assert quantized([0.5, 1.5, 2.5, -0.5, -1.5, below, -below]) == [1, 2, 3, -1, -2, 0, 0]


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_too_large_saturates_and_nan_becomes_the_zero_point(zero_point: int) -> None:
    found = quantized([3e38, -3e38, np.inf, -np.inf, np.nan, 5e9, -5e9], 1e-3, zero_point)
    assert found == [127, -128, 127, -128, zero_point, 127, -128]


@pytest.mark.parametrize("scale", [0.003921569, 0.1, 0.7, 3.0])
def test_values_beside_halves_equal_litert(scale: float) -> None:
    """Division is done in float32: which side of a half a quotient falls on depends on it."""
    steps = (np.arange(-300, 300) + 0.5).astype(np.float32) * np.float32(scale)
    x = np.concatenate([np.nextafter(steps, np.float32(-1e9)), steps, np.nextafter(steps, np.float32(1e9))])
    call = Call(Quantize(), (f32(len(x)),), (int8(len(x), scale, -3),))
    graph = single(QUANTIZE, Sample("halves", call, {}))
    np.testing.assert_array_equal(interpret(graph, [x])[0], litert_run(export(graph), [x])[0])


def test_every_value_requantises_as_in_litert() -> None:
    rng, x = np.random.default_rng(9), np.arange(-128, 128).astype(np.int8)
    for _ in range(100):
        scales, zeros = np.exp(rng.uniform(-8, 2, 2)), rng.integers(-128, 128, 2)
        types = [int8(256, float(scale), int(zero)) for scale, zero in zip(scales, zeros, strict=True)]
        graph = single(QUANTIZE, Sample("requantise", Call(Quantize(), (types[0],), (types[1],)), {}))
        np.testing.assert_array_equal(interpret(graph, [x])[0], litert_run(export(graph), [x])[0])


def test_quantize_undoes_dequantize() -> None:
    x, type_ = np.arange(-128, 128).astype(np.int8), int8(256, 0.037, 11)
    [real] = DEQUANTIZE.reference(Call(Dequantize(), (type_,), (f32(256),)), [x])
    [again] = QUANTIZE.reference(Call(Quantize(), (f32(256),), (type_,)), [real])
    assert real.dtype == np.float32
    np.testing.assert_array_equal(again, x)


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        (Type((2,), DType.INT16), int8(2, 0.1), "input is int16[2]; wanted int8 or int16 with one scale"),
        (f32(2), Type((2,), DType.INT8), "output is int8[2]; wanted int8 or int16 with one scale"),
        (f32(2), Type((2,), DType.INT8, Quantization((0.1, 0.2), (0, 0))), "output is int8[2] per-channel(2"),
        (int8(2, 1.0), int8(2, 1e-7), "input scale is 1e+07 times the output's; wanted less than 2**22"),
    ],
)
def test_quantize_complaints(x: Type, y: Type, complaint: str) -> None:
    [found] = check_call(QUANTIZE, Call(Quantize(), (x,), (y,)))
    assert found.startswith(complaint)


def test_dequantize_complaints() -> None:
    [found] = check_call(DEQUANTIZE, Call(Dequantize(), (f32(2),), (f32(2),)))
    assert found == "input is float32[2]; wanted int8 or int16 with one scale"
