"""Everything that is wrong with a file, or not supported, is said at once."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from tflite import Model as Schema
from tflite import TensorType

from hostile import refusal_by
from onnx_nets import Net
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters._flatbuffer import Model, Operator, Tensor, to_bytes
from tinyfoundry.importers import onnx, tflite
from tinyfoundry.ir.graph import DType, Shape, Type, per_tensor

QUANT = per_tensor(0.1)
IMAGE = (1, 6, 9, 8)


def int8(name: str, shape: Shape) -> Tensor:
    return Tensor(name, Type(shape, DType.INT8, QUANT))


def ints(name: str, *values: int) -> Tensor:
    return Tensor(name, Type((len(values),), DType.INT32), np.array(values, np.int32))


def pool(x: str, y: str, **options: int) -> Operator:
    fields = {"FilterHeight": 1, "FilterWidth": 1, "StrideH": 1, "StrideW": 1} | options
    return Operator("MAX_POOL_2D", 2, (x,), (y,), "Pool2DOptions", fields)


IMAGES = tuple(int8(name, (1, 4, 4, 1)) for name in "abcdef")
WEIGHTS = Tensor("w", Type((2, 4), DType.INT8, QUANT), np.ones((2, 4), np.int8))


def written(
    *operators: Operator, tensors: tuple[Tensor, ...] = (), outputs: tuple[str, ...] = ("d",)
) -> bytes:
    return to_bytes(Model("main", (*IMAGES, *tensors), operators, ("a",), outputs))


def test_options_of_tflite_operators_are_listed_together() -> None:
    """Each operator is looked at with what the file says of the tensors before it."""
    said = refusal_by(tflite.load, written(
        pool("a", "b", StrideW=2000),
        Operator("GATHER", 1, ("b", "i"), ("c",), "GatherOptions", {"BatchDims": 1}),
        pool("c", "d", Padding=7),
        Operator("FULLY_CONNECTED", 1, ("d", "w"), ("y",), "FullyConnectedOptions", {"WeightsFormat": 1}),
        tensors=(ints("i", 0), WEIGHTS, int8("y", (4, 2))), outputs=("y",),
    )) or ""  # fmt: skip
    assert said.startswith("model, operator 0 (MAX_POOL_2D) at byte ")
    for text in (
        "stride (1, 2000), kernel (1, 1), dilation (1, 1): reaches over more than 1024 rows or columns",
        "; operator 1 (GATHER) at byte ",
        ": has 1 batch dimensions, wanted 0: gather without them; operator 2 (MAX_POOL_2D) at byte ",
        ": padding is 7, wanted 0 (SAME) or 1 (VALID); the file is damaged; operator 3 (FULLY_CONNECTED) at",
        ": weights are in format 1, wanted 0: convert without shuffled weights",
    ):
        assert text in said, said


def as_float16(data: bytes, *names: str) -> bytes:
    """A file whose tensors of these names, not of the default type, are float16: our writer knows none."""
    changed, subgraph = bytearray(data), Schema.GetRootAs(data).Subgraphs(0)
    for number in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(number)
        if tensor.Name().decode() in names:
            table = tensor._tab
            changed[table.Pos + table.Offset(6)] = TensorType.FLOAT16
    return bytes(changed)


def test_operators_types_and_options_are_listed_together() -> None:
    half = Tensor("h", Type((1, 4), DType.INT16))
    model = written(
        Operator("SIN", 1, ("a",), ("b",), "", {}),
        pool("b", "c", StrideW=2000),
        Operator("RELU", 1, ("h",), ("h2",), "", {}),
        pool("c", "d"),
        tensors=(half, Tensor("h2", half.type)),
    )  # fmt: skip
    said = refusal_by(tflite.load, as_float16(model, "h", "h2")) or ""
    assert "model: not supported: SIN (1×), FLOAT16 tensors (2 of 6: " in said
    assert "); operator 1 (MAX_POOL_2D) at byte" in said
    assert "RELU) at" not in said
    assert said.count("operator ") == 1


def test_rules_of_ops_are_said_with_the_operator_and_its_place() -> None:
    """The op knows them, not the importer; and still both operators are named."""
    other = Tensor("o", Type((1, 4, 4, 1), DType.INT8, per_tensor(0.2)))
    relu = [
        Operator("MAX_POOL_2D", 2, ("a",), (y,), "Pool2DOptions", pool("a", y).fields) for y in ("o", "o2")
    ]
    model = written(*relu, tensors=(other, Tensor("o2", other.type)), outputs=("o", "o2"))
    wanted = r"operator 0 \(MAX_POOL_2D\) at byte \d+: output is .*; operator 1 \(MAX_POOL_2D\) at byte \d+: "
    with pytest.raises(ModelError, match=wanted):
        tflite.load(model)


def test_a_long_list_of_operators_is_cut() -> None:
    pools = [pool("a", f"y{i}", StrideW=2000) for i in range(20)]
    outputs = tuple(f"y{i}" for i in range(20))
    model = written(*pools, tensors=tuple(int8(y, (1, 4, 4, 1)) for y in outputs), outputs=outputs)
    with pytest.raises(ModelError, match=r"operator 11 \(MAX_POOL_2D\) .* supported; and 8 more$"):
        tflite.load(model)


def with_shapes(net: Net, **shapes: Shape) -> bytes:
    """The file with the shapes of tensors inside, as exporters write them."""
    import onnx as package

    model = package.load_from_string(net.bytes())
    for name, shape in shapes.items():
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return model.SerializeToString()


def hidden_pool() -> Net:
    net = Net(IMAGE)
    net.add("Asinh"), net.add("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), net.add("Acosh")
    net.add("Pow", net.last, net.constant([2.0, 3.0]))
    return net


def test_onnx_nodes_behind_unsupported_ones_are_listed_where_the_file_tells_shapes() -> None:
    said = refusal_by(onnx.load, with_shapes(hidden_pool(), asinh0a=IMAGE, acosh2a=(1, 6, 7, 6))) or ""
    for text in (
        "Acosh (1×), Asinh (1×)",
        "MaxPool 'maxpool1a' with dilation (2, 2)",
        "Pow 'pow3a' by several",
    ):
        assert text in said, said
    blind = refusal_by(onnx.load, hidden_pool().bytes()) or ""
    assert "Acosh (1×), Asinh (1×); change" in blind


def test_told_shapes_never_stand_in_for_what_can_be_computed() -> None:
    """A second output is not supported; the shape that the file tells of its reader changes nothing."""
    net = Net(IMAGE)
    net.add("MaxPool", outputs=2, kernel_shape=[2, 2])
    net.add("Relu", net.nodes[-1].output[1])
    with pytest.raises(ModelError, match="which needs a second output of an operator"):
        onnx.load(with_shapes(net, relu1a=(1, 6, 8, 7)))
