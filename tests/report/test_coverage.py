"""The tables of ops and operators, and the page made of them. What importing really gives is held against the
table wherever a test of the importers reads a file: tests/importers/conftest.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tflite

from graphs import single
from litert import LITERT_CURVES
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers import tflite as tflite_importer
from tinyfoundry.ir.graph import DType
from tinyfoundry.jobs.litert import alone
from tinyfoundry.op import Op, all_ops
from tinyfoundry.report.coverage import coverage, operator, operators, page

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
CODES = {number: name for name, number in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}


def codes_of(model: bytes) -> Counter[str]:
    """Operators of a .tflite file."""
    root = tflite.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    indices = [graph.Operators(i).OpcodeIndex() for i in range(graph.OperatorsLength())]
    return Counter(CODES[root.OperatorCodes(index).BuiltinCode()] for index in indices)


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in all_ops()])
def test_what_the_exporter_writes_becomes_what_the_table_says(op: Op) -> None:
    """Read again, every sample of an op has no op that its operators are not said to become."""
    table = operators()["TFLite"]
    for sample in op.samples(np.random.default_rng(7)):
        if op.name == "curve" and sample.call.attrs.function not in LITERT_CURVES:
            continue
        graph = single(op, sample)
        model = export(alone(graph, graph.nodes[0]))
        said = {name for code in codes_of(model) for name in table[code]}
        found = {node.op for node in tflite_importer.load(model).nodes}
        assert found <= said, sample.label
        assert op.name in said


def test_operators_and_what_becomes_of_them() -> None:
    """Of a row's own, of one that several share, of a helper, of a closure, of another module; of nothing."""
    tables = operators()
    assert tables["TFLite"]["CONV_2D"] == ("conv2d",)
    assert tables["TFLite"]["SUB"] == ("sub",)
    assert tables["TFLite"]["UNPACK"] == ("reshape", "strided_slice")
    assert tables["TFLite"]["SHAPE"] == ()
    assert tables["ONNX"]["Sigmoid"] == ("logistic",)
    assert tables["ONNX"]["ReduceMean"] == ("mean",)
    assert tables["ONNX"]["MaxPool"] == ("max_pool2d",)


def test_every_op_is_reached_by_a_format_and_has_types() -> None:
    for covered in coverage():
        assert covered.tflite or covered.onnx, covered.op.name
        assert covered.compiled, covered.op.name
        assert bool(covered.kernels) != covered.op.view
    found = {covered.op.name: covered for covered in coverage()}
    assert found["conv2d"].compiled[0] == DType.INT8
    assert found["conv2d"].interpreted == (DType.FLOAT32,)
    assert DType.FLOAT32 in found["quantize"].compiled
    assert found["dequantize"].interpreted == ()


def test_one_operator_by_whatever_case() -> None:
    assert operator("add") == {"TFLite": ("ADD", ("add",)), "ONNX": ("Add", ("add",))}
    assert operator("leakyrelu")["TFLite"] == ("LEAKY_RELU", ("leaky_relu",))
    with pytest.raises(
        ModelError, match=r"operator 'CONV_3D' of TFLite or ONNX is not supported; did you mean"
    ):
        operator("CONV_3D")
    with pytest.raises(ModelError, match="tinyfoundry ops --markdown lists all that are"):
        operator("zzz")


def test_the_page_is_what_the_registers_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "docs/coverage.md is stale: run make docs"


def test_the_page_says_no_gradients_while_there_are_none() -> None:
    """Once ``Op`` has them, the table gets a column."""
    assert ("No op has a gradient yet" in page()) != ("gradient" in {field.name for field in fields(Op)})
