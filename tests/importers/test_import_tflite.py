"""What the importer makes of operators as other makers write them, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from graphs import inputs_of
from litert import litert_run
from small_nets import random_net
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters import _flatbuffer
from tinyfoundry.exporters._flatbuffer import Model, Operator, Option, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Shape, Type, per_tensor

X_QUANT, W_QUANT, Y_QUANT = per_tensor(0.1, 4), per_tensor(0.02), per_tensor(0.3, -9)


def int8(name: str, shape: Shape, quant: Quantization | None = X_QUANT) -> Tensor:
    return Tensor(name, Type(shape, DType.INT8, quant))


def floats(name: str, shape: Shape) -> Tensor:
    return Tensor(name, Type(shape, DType.FLOAT32))


def constant(name: str, value: Array, quant: Quantization | None = None) -> Tensor:
    return Tensor(name, Type(value.shape, DType(str(value.dtype)), quant), value)


def ints(name: str, *values: int) -> Tensor:
    return constant(name, np.array(values, np.int32))


def weights(shape: Shape) -> Tensor:
    return constant("w", np.random.default_rng(3).integers(-127, 128, shape).astype(np.int8), W_QUANT)


def file_of(
    code: str, version: int, options: str, inputs: list[Tensor], output: Tensor, **fields: Option
) -> bytes:
    """A file of one operator; its inputs that are no constants are the graph's."""
    names = tuple(tensor.name for tensor in inputs)
    operator = Operator(code, version, names, (output.name,), options, fields)
    faces = tuple(tensor.name for tensor in inputs if tensor.value is None)
    return to_bytes(Model("main", (*inputs, output), (operator,), faces, (output.name,)))


def check(model: bytes, reference: bool = True) -> Graph:
    """The graph of ``model``, after seeing that it means what LiteRT says."""
    graph = load(model)
    for values in inputs_of(graph, np.random.default_rng(4), 3):
        for want, got in zip(litert_run(model, values, reference), interpret(graph, values), strict=True):
            if want.dtype == np.float32:
                np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
            else:
                np.testing.assert_array_equal(got, want)
    return graph


def ops_of(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("as_floats", [False, True])
def test_round_trip_keeps_the_meaning(seed: int, as_floats: bool) -> None:
    graph = random_net(seed, as_floats)
    again = load(export(graph))
    assert again.inputs == graph.inputs
    for values in inputs_of(graph, np.random.default_rng(seed), 2):
        for want, got in zip(interpret(graph, values), interpret(again, values), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(5))
def test_second_round_trip_changes_nothing(seed: int) -> None:
    once = export(load(export(random_net(seed))))
    assert export(load(once)) == once


def test_fully_connected_flattens_its_input() -> None:
    model = file_of(
        "FULLY_CONNECTED", 4, "FullyConnectedOptions",
        [int8("x", (2, 3, 4)), weights((5, 4))], int8("y", (6, 5), Y_QUANT), FusedActivationFunction=1,
    )  # fmt: skip
    graph = check(model, reference=False)
    assert ops_of(graph) == ["reshape", "dense"]
    assert graph.outputs == ("y",)


def test_fully_connected_keeps_dimensions() -> None:
    model = file_of(
        "FULLY_CONNECTED", 5, "FullyConnectedOptions",
        [int8("x", (2, 3, 4)), weights((5, 4))], int8("y", (2, 3, 5), Y_QUANT),
        FusedActivationFunction=1, KeepNumDims=True,
    )  # fmt: skip
    assert ops_of(check(model, reference=False)) == ["reshape", "dense", "reshape"]


def test_float_fully_connected_without_bias_gets_zeros() -> None:
    w = constant("w", np.random.default_rng(3).standard_normal((5, 8)).astype(np.float32))
    model = file_of(
        "FULLY_CONNECTED", 1, "FullyConnectedOptions", [floats("x", (1, 2, 4)), w], floats("y", (1, 5))
    )
    graph = check(model)
    np.testing.assert_array_equal(graph.constants["y_bias"], np.zeros(5, np.float32))


def test_convolution_with_one_scale_for_all_weights() -> None:
    bias = ints("b", 100, -200)
    model = file_of(
        "CONV_2D", 3, "Conv2DOptions", [int8("x", (1, 7, 6, 3)), weights((2, 3, 3, 3)), bias],
        int8("y", (1, 4, 3, 2), Y_QUANT), Padding=0, StrideH=2, StrideW=2, FusedActivationFunction=3,
    )  # fmt: skip
    graph = check(model)
    assert graph.nodes[0].attrs.window.pad_h == (1, 1)
    assert graph.nodes[0].attrs.window.pad_w == (0, 1)


@pytest.mark.parametrize("shape", [(-1, 6), (4, 6), (2, -1)])
def test_reshape_by_a_constant(shape: tuple[int, int]) -> None:
    wanted = (2, 12) if shape == (2, -1) else (4, 6)
    model = file_of(
        "RESHAPE", 1, "ReshapeOptions", [int8("x", (1, 4, 6)), ints("shape", *shape)], int8("y", wanted)
    )
    assert check(model).types["y"].shape == wanted


def test_reshape_by_its_options() -> None:
    model = file_of(
        "RESHAPE", 1, "ReshapeOptions", [int8("x", (1, 4, 6))], int8("y", (8, 3)), NewShape=(8, -1)
    )
    assert check(model).types["y"].shape == (8, 3)


def test_negative_axes_count_from_the_end() -> None:
    model = file_of(
        "MEAN", 2, "ReducerOptions", [int8("x", (1, 4, 6, 3)), ints("axes", -2, 1)],
        int8("y", (1, 1, 1, 3), Y_QUANT), KeepDims=True,
    )  # fmt: skip
    assert check(model).nodes[0].attrs.axes == (1, 2)
    model = file_of(
        "CONCATENATION", 2, "ConcatenationOptions", [int8("x", (1, 4, 2)), int8("z", (1, 4, 3))],
        int8("y", (1, 4, 5)), Axis=-1,
    )  # fmt: skip
    assert check(model).nodes[0].attrs.axis == 2


def test_a_constant_may_stand_for_an_activation() -> None:
    value = np.arange(-12, 12, dtype=np.int8).reshape(1, 4, 6)
    model = file_of(
        "ADD",
        2,
        "AddOptions",
        [constant("c", value, W_QUANT), int8("x", (1, 4, 6))],
        int8("y", (1, 4, 6), Y_QUANT),
    )
    assert check(model).nodes[0].inputs == ("c", "x")


@pytest.mark.parametrize("code", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_activations_of_their_own(code: str) -> None:
    version = 1 if code == "RELU_N1_TO_1" else 2
    graph = check(file_of(code, version, "", [int8("x", (1, 50))], int8("y", (1, 50), per_tensor(0.05, 2))))
    assert graph.nodes[0].attrs.kind == code.lower()


def test_names_become_different_c_identifiers() -> None:
    x, y = int8("a/b:0", (1, 4)), int8("a.b.0;fused/with", (1, 4))
    graph = check(file_of("RELU", 2, "", [x], y))
    assert graph.inputs == ("a_b_0",)
    assert graph.outputs == ("a_b_0_1",)


def test_graph_is_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "4 my-model.v2.tflite"
    path.write_bytes(export(random_net(1)))
    assert load(path).name == "t4_my_model_v2"
    assert load(str(path)).name == "t4_my_model_v2"
    assert load(path.read_bytes()).name == "model"


def retype(model: bytearray, number: int, kind: int) -> None:
    """Makes a tensor of a file one of another element type."""
    table = tflite.Model.GetRootAs(model, 0).Subgraphs(0).Tensors(number)._tab
    model[table.Pos + table.Offset(6)] = kind


def test_everything_unsupported_is_listed_at_once(tmp_path: Path) -> None:
    x, y, z, out = (int8(name, (1, 4)) for name in "xyzo")
    chain = (
        Operator("SIN", 1, ("x",), ("y",), "", {}),
        Operator("SIN", 1, ("y",), ("z",), "", {}),
        Operator("ADD", 2, ("z", "z"), ("o",), "AddOptions", {"FusedActivationFunction": 4}),
        Operator("CUMSUM", 1, ("z", "half"), ("last",), "CumsumOptions", {}),
    )
    half, last = Tensor("half", Type((1, 4), DType.INT32)), int8("last", (1, 4))
    path = tmp_path / "net.tflite"
    model = bytearray(to_bytes(Model("main", (x, y, z, out, half, last), chain, ("x",), ("last",))))
    retype(model, 4, tflite.TensorType.FLOAT16)
    path.write_bytes(model)
    wanted = (
        r"net\.tflite': not supported: ADD with fused TANH \(1×\), CUMSUM \(1×\), SIN \(2×\), "
        r"FLOAT16 tensors \(1 of 6: convert without float16 weights\); change the model to use only ABS, ADD"
    )
    with pytest.raises(ModelError, match=wanted):
        load(path)


def test_old_uint8_models_are_refused() -> None:
    model = bytearray(file_of("RELU", 2, "", [int8("x", (1, 4))], int8("y", (1, 4))))
    for number in (0, 1):
        retype(model, number, tflite.TensorType.UINT8)
    with pytest.raises(
        ModelError, match=r"UINT8 tensors \(2 of 2: quantized in the old uint8 scheme; convert"
    ):
        load(bytes(model))


def test_an_operator_code_in_the_new_field_alone_is_read() -> None:
    model = bytearray(file_of("RELU", 2, "", [int8("x", (1, 4))], int8("y", (1, 4))))
    table = tflite.Model.GetRootAs(model, 0).OperatorCodes(0)._tab
    model[table.Pos + table.Offset(4)] = 0
    assert ops_of(load(bytes(model))) == ["relu"]


def test_settings_do_not_become_constants_of_the_graph() -> None:
    x, y = int8("x", (1, 4, 6)), int8("y", (4, 6))
    graph = load(file_of("RESHAPE", 1, "ReshapeOptions", [x, ints("shape", 4, 6)], y))
    assert not graph.constants


def test_a_custom_operator_is_called_by_its_name() -> None:
    model = bytearray(file_of("RELU", 2, "", [int8("x", (1, 4))], int8("y", (1, 4))))
    table = tflite.Model.GetRootAs(model, 0).OperatorCodes(0)._tab
    model[table.Pos + table.Offset(10)] = tflite.BuiltinOperator.CUSTOM
    with pytest.raises(ModelError, match=r"not supported: CUSTOM '' \(1×\)"):
        load(bytes(model))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent", None, "absent.tflite': No such file or directory: give the path of a .tflite file"),
        ("empty", b"", r"empty.tflite': bytes 4 to 8 are b'', wanted b'TFL3': this is no TensorFlow"),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08", r"zip.tflite': bytes 4 to 8 are b'\\x14\\x00.*, wanted"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no ordinary file: give the path of a \.tflite file"):
        load(tmp_path)


def test_an_open_batch_size_becomes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """-1 in the shape itself, or beside a shape of five in its signature, as converters write it."""

    def relu(shape: Shape) -> Graph:
        return load(file_of("RELU", 2, "", [int8("x", shape)], int8("y", shape)))

    assert relu((-1, 3)).types["x"].shape == (1, 3)
    assert relu((5, 3)).types["x"].shape == (5, 3)
    table = _flatbuffer._table

    def signed(builder: Any, name: str, **fields: Any) -> int:
        signature = {"ShapeSignature": _flatbuffer._ints(builder, (-1, 3))} if name == "Tensor" else {}
        return table(builder, name, **fields, **signature)

    monkeypatch.setattr(_flatbuffer, "_table", signed)
    graph = relu((5, 3))
    assert [graph.types[name].shape for name in (*graph.inputs, *graph.outputs)] == [(1, 3), (1, 3)]


def test_a_reshape_to_a_scalar_has_a_shape_of_no_numbers() -> None:
    inputs = [int8("x", (1, 1)), constant("shape", np.zeros(0, np.int32))]
    graph = check(file_of("RESHAPE", 1, "ReshapeOptions", inputs, int8("y", ())))
    assert graph.types[graph.outputs[0]].shape == ()
