"""What of TensorFlow Lite's 16x8 scheme is read, and what is refused."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from hostile import refusal_by
from int16_nets import NETS, in_16x8
from litert import litert_run
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters._flatbuffer import Model, Operator, Option, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Quantization, Type, per_tensor

CONV = {"Padding": 1, "StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}


def wide(name: str, shape: tuple[int, ...], scale: float = 0.001, zero_point: int = 0) -> Tensor:
    return Tensor(name, Type(shape, DType.INT16, per_tensor(scale, zero_point)))


def added(scale: float, *, pot_scale_int16: bool, zero_point: int = 0, code: str = "ADD") -> bytes:
    """Two inputs, added into steps twice as large."""
    tensors = (wide("x", (4,), scale), wide("y", (4,), scale, zero_point), wide("z", (4,), 2 * scale))
    fields: dict[str, Option] = {"PotScaleInt16": pot_scale_int16}
    op = Operator(code, 3, ("x", "y"), ("z",), f"{code.title()}Options", fields)
    return to_bytes(Model("sums", tensors, (op,), ("x", "y"), ("z",)))


def weighted(code: str, bias: Array | None, fields: dict[str, Option]) -> bytes:
    """One operator with a row of weights of 3, and perhaps a bias."""
    x, y = ((1, 1, 1, 3), (1, 1, 1, 2)) if code == "CONV_2D" else ((1, 3), (1, 2))
    w = np.array([[5, -7, 90], [100, 1, -3]], np.int8).reshape(2, *x[1:])
    tensors = [
        wide("x", x),
        Tensor("w", Type(w.shape, DType.INT8, Quantization((0.01, 0.02), (0, 0), 0)), w),
        wide("y", y, 0.002),
    ]
    names = ("x", "w")
    if bias is not None:
        tensors.append(Tensor("b", Type((2,), DType(str(bias.dtype)), None), bias))
        names = ("x", "w", "b")
    options = "Conv2DOptions" if code == "CONV_2D" else "FullyConnectedOptions"
    op = Operator(code, 8, names, ("y",), options, fields)
    return to_bytes(Model("net", tuple(tensors), (op,), ("x",), ("y",)))


@pytest.mark.parametrize("code", ["ADD", "SUB"])
def test_sums_of_the_old_way_are_refused(code: str) -> None:
    """Where a file asks for it and all scales are powers of 2, LiteRT shifts; else it makes no difference."""
    for scale, option in ((2**-10, False), (0.001, False), (0.001, True)):
        model = added(scale, pot_scale_int16=option, code=code)
        inputs = [np.array([1, -7, 32767, -32768], np.int16), np.array([3, 900, 32767, -32768], np.int16)]
        np.testing.assert_array_equal(interpret(load(model), inputs)[0], litert_run(model, inputs)[0])
    with pytest.raises(
        ModelError,
        match=rf"^model, operator 0 \({code}\) at byte \d+: int16 with scales that are powers of 2 and the "
        "option pot_scale_int16, which is not supported; convert again with that option false$",
    ):
        load(added(2**-10, pot_scale_int16=True, code=code))


def test_zero_points_are_zero() -> None:
    with pytest.raises(
        ModelError,
        match=r"input 2 is int16.* zero 5; wanted int16 with one scale and zero point 0 everywhere",
    ):
        load(added(0.001, pot_scale_int16=False, zero_point=5))


@pytest.mark.parametrize("bias", [np.array([70, -3]), np.array([70, -3], np.int32)], ids=["int64", "int32"])
@pytest.mark.parametrize("code", ["CONV_2D", "FULLY_CONNECTED"])
def test_biases_have_64_or_32_bits(code: str, bias: Array) -> None:
    graph = load(weighted(code, bias, CONV if code == "CONV_2D" else {}))
    (node,) = graph.nodes
    assert graph.types[node.inputs[2]].dtype == bias.dtype


@pytest.mark.parametrize(("option", "dtype"), [(0, "int64"), (4, "int64"), (2, "int32")])
def test_a_missing_bias_is_as_wide_as_the_operator_says(option: int, dtype: str) -> None:
    """TensorType 2 is int32, 4 is int64; what says nothing sums in 64 bits."""
    graph = load(weighted("FULLY_CONNECTED", None, {"QuantizedBiasType": option}))
    (node,) = graph.nodes
    assert graph.types[node.inputs[2]].dtype == dtype
    assert not graph.constants[node.inputs[2]].any()


def test_a_bias_beyond_all_sums_is_refused() -> None:
    assert load(weighted("CONV_2D", np.array([2**46, -(2**46)]), CONV)).nodes
    for value in (2**46 + 2**20, -(2**63), 2**63 - 1):
        with pytest.raises(
            ModelError, match=r"\(CONV_2D\) .*: input 2, its bias, exceeds 2\*\*46 in magnitude; the file is"
        ):
            load(weighted("CONV_2D", np.array([0, value]), CONV))


def test_activations_have_one_scale() -> None:
    two = Type((1, 2), DType.INT16, Quantization((0.1, 0.2), (0, 0), 1))
    tensors = (Tensor("x", two), wide("y", (1, 2)))
    op = Operator("RELU", 3, ("x",), ("y",), "", {})
    with pytest.raises(ModelError, match=r"tensor 0 'x' .*: has 2 scales; wanted one, as it is no constant"):
        load(to_bytes(Model("net", tensors, (op,), ("x",), ("y",))))


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("HARD_SWISH", "input is int16.*; wanted int8 with one scale, or float32 everywhere"),
        ("RELU_N1_TO_1", "kind is relu_n1_to_1 on int16; wanted relu or relu6"),
    ],
)
def test_operators_without_int16_say_so(code: str, wanted: str) -> None:
    op = Operator(code, 1, ("x",), ("y",), "", {})
    model = to_bytes(Model("net", (wide("x", (1, 2)), wide("y", (1, 2))), (op,), ("x",), ("y",)))
    with pytest.raises(ModelError, match=wanted):
        load(model)


def test_mutated_files_are_read_or_refused() -> None:
    """A few changed bytes or words of five whole networks: never more than one line, never a surprise."""
    rng = random.Random(4)
    models = [export(in_16x8(make())) for make in NETS]
    said = [refusal_by(load, mutated(rng.choice(models), rng)) for _ in range(500)]
    assert 50 < sum(text is not None for text in said) < 450


def mutated(model: bytes, rng: random.Random) -> bytes:
    """A copy with a flipped bit, a random byte, or a telling word."""
    data = bytearray(model)
    place = rng.randrange(len(data) - 4)
    match rng.randrange(3):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            data[place] = rng.randrange(256)
        case _:
            place &= ~3
            data[place : place + 4] = struct.pack("<I", rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1)))
    return bytes(data)
