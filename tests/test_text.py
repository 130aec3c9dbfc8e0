"""Networks that read words: whole numbers as inputs, embeddings, and indices that there is no word for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinyfoundry
from litert import litert_run
from onnx_nets import judge
from tinyfoundry.builder import Builder
from tinyfoundry.errors import DataError, GraphError, InputError, ModelError
from tinyfoundry.exporters._flatbuffer import Model, Operator, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers import onnx, tflite
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Graph, Type, per_tensor
from tinyfoundry.jobs.probes import probes
from tinyfoundry.op import value_limits
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.reduce import Mean
from tinyfoundry.ops.shape import Reshape
from tinyfoundry.ops.take import Take

WORDS, LENGTH, WIDTH, CLASSES = 40, 12, 8, 3


def classifier() -> Graph:
    """Float: a vector for each word, their mean, a dense layer."""
    b, rng = Builder("text"), np.random.default_rng(0)
    words = b.input("words", Type((1, LENGTH), DType.INT32))
    table = b.constant("table", rng.standard_normal((WORDS, WIDTH)).astype(np.float32))
    y = b.apply("take", (table, words), Take(), name="vectors")
    y = b.apply("mean", (y,), Mean((1,), keep_dims=False), name="sentence")
    weights = b.constant("w", rng.standard_normal((CLASSES, WIDTH)).astype(np.float32))
    bias = b.constant("b", rng.standard_normal(CLASSES).astype(np.float32))
    return b.finish(b.apply("softmax", (b.apply("dense", (y, weights, bias), Dense(), name="scores"),)))


def sentences(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, WORDS, (count, 1, LENGTH)).astype(np.int32)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The model's file, float, and its build for the simulated board."""
    folder = tmp_path_factory.mktemp("text")
    model, data = folder / "text.tflite", folder / "words.npy"
    model.write_bytes(export(classifier()))
    np.save(data, sentences(60))
    out = folder / "out"
    tinyfoundry.compile(model, board="raspberry-pi-pico", output=out, samples=12, calibration=data)
    return model, out


def test_the_faces_of_a_network_that_reads_words(built: tuple[Path, Path]) -> None:
    header = (built[1] / "include/text.h").read_text()
    assert "/* words: int32[1x12] */\n#define TEXT_INPUT_BYTES 48\n" in header
    report = tinyfoundry.load(built[1]).report
    assert report["exact"]["mismatches"] == 0
    assert (report["inputs"][0]["dtype"], report["inputs"][0]["scale"]) == ("int32", None)
    golden = np.load(built[1] / "golden/input0.npy")
    assert golden.dtype == np.int32
    assert (golden.min(), golden.max()) == (0, WORDS - 1)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-I"]
    sources = [*map(str, (built[1] / "src").glob("*.c")), str(built[1] / "golden/self_test.c")]
    program = built[1].parent / "self_test"
    subprocess.run(["cc", *flags, str(built[1] / "include"), *sources, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout == "text: 0 of 4 golden samples differ\n"


def test_litert_agrees_on_real_and_made_up_words(built: tuple[Path, Path]) -> None:
    found = tinyfoundry.verify(*built, samples=50, data=built[0].parent / "words.npy")
    assert found.exact
    assert sum(row["inputs"] for row in found.certificate["compared"]) == 100
    assert all(
        row["mismatches"] == {"host": 0, "board": 0, "LiteRT": 0} for row in found.certificate["compared"]
    )


def test_the_quantised_network_lies_beside_the_c(built: tuple[Path, Path]) -> None:
    """As .tflite, which LiteRT runs whole."""
    found = tinyfoundry.verify(built[1] / "text.tflite", built[1], samples=20)
    assert found.exact
    assert found.certificate["notes"] == []


def test_its_answers_are_near_the_float_models(built: tuple[Path, Path]) -> None:
    for words in sentences(5):
        (want,) = litert_run(export(classifier()), [words])
        np.testing.assert_allclose(tinyfoundry.simulate(built[1], words.tolist()[0]), want, atol=0.1)


def test_indices_beyond_the_table_take_the_nearest_word(built: tuple[Path, Path]) -> None:
    """On the board too: nothing outside the table is read. Negative ones count from the end."""
    loaded = tinyfoundry.load(built[1])
    beyond = np.array([[WORDS, 2**31 - 1, -1, -WORDS, -WORDS - 1, -(2**31), 0, 1, 2, 3, 4, 5]], np.int32)
    meant = np.array([[WORDS - 1, WORDS - 1, WORDS - 1, 0, 0, 0, 0, 1, 2, 3, 4, 5]], np.int32)
    np.testing.assert_array_equal(loaded.run([beyond])[0], loaded.run([meant])[0])
    (found,) = interpret(classifier(), [beyond])
    np.testing.assert_array_equal(found, interpret(classifier(), [meant])[0])


def test_a_package_tells_what_its_input_takes(built: tuple[Path, Path], tmp_path: Path) -> None:
    package = tinyfoundry.export(built[1], "cmake", tmp_path / "package")
    program = (package / "examples/inference/inference.c").read_text()
    assert "/* Here your own values go, of type int32_t. */" in program
    assert "sensor" not in program


def test_what_is_no_index_is_refused(built: tuple[Path, Path]) -> None:
    loaded = tinyfoundry.load(built[1])
    wanted = "input 'words': wanted whole numbers that int32 can hold, as indices are"
    for values in (np.full((1, LENGTH), 0.5), np.full((1, LENGTH), 2**40)):
        with pytest.raises(InputError, match=wanted):
            loaded.run([values])
    loaded.run([np.full((1, LENGTH), 2.0)])


@pytest.mark.parametrize("value", [0.5, WORDS, -1])
def test_data_that_are_no_words_are_refused(value: float, built: tuple[Path, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((3, LENGTH), value))
    with pytest.raises(DataError, match=rf"x.npy, words: holds {value:g}; wanted whole numbers from 0 to 39"):
        tinyfoundry.verify(*built, samples=5, data=tmp_path / "x.npy")


def test_inputs_are_made_up_within_the_table() -> None:
    """Through ops that only move indices, too, and within the smallest of several tables."""
    b, quant = Builder("two"), per_tensor(0.1, 3)
    words = b.input("words", Type((4,), DType.INT32))
    tables = [b.constant(f"t{n}", np.zeros((n, 2), np.int8), quant) for n in (9, 5)]
    turned = b.apply("reshape", (words,), Reshape((2, 2)))
    graph = b.finish(
        *(b.apply("take", (t, w), Take(), quant) for t, w in zip(tables, (words, turned), strict=True))
    )
    assert value_limits(graph, "words") == (0, 4)
    values = np.array([v for sets in probes(graph, 40, 0, None).values() for v in sets])
    assert set(values.ravel().tolist()) == {0, 1, 2, 3, 4}


def gather(code: str, options: str, value: Type, **fields: int) -> bytes:
    """A .tflite file that picks slices of an int8 table with computed int32 indices."""
    table = Tensor(
        "t", Type((6, 2), DType.INT8, per_tensor(0.1, 3)), np.arange(12, dtype=np.int8).reshape(6, 2)
    )
    words, y = Tensor("words", Type((4,), DType.INT32)), Tensor("y", value)
    inputs = ("words", "t") if code == "EMBEDDING_LOOKUP" else ("t", "words")
    operator = Operator(code, 1 if code == "EMBEDDING_LOOKUP" else 2, inputs, ("y",), options, fields)
    return to_bytes(Model("main", (table, words, y), (operator,), ("words",), ("y",)))


@pytest.mark.parametrize(("code", "options"), [("GATHER", "GatherOptions"), ("EMBEDDING_LOOKUP", "")])
def test_tflite_operators(code: str, options: str) -> None:
    model = gather(code, options, Type((4, 2), DType.INT8, per_tensor(0.1, 3)))
    graph, words = tflite.load(model), np.array([5, 0, 3, 3], np.int32)
    assert [node.op for node in graph.nodes] == ["take"]
    np.testing.assert_array_equal(interpret(graph, [words])[0], litert_run(model, [words])[0])


def test_an_embedding_that_is_dequantised_on_the_way_is_refused() -> None:
    with pytest.raises(ModelError, match=r"makes FLOAT32 of a table of int8: convert without dynamic-range"):
        tflite.load(gather("EMBEDDING_LOOKUP", "", Type((4, 2), DType.FLOAT32)))


def onnx_text(dtype: int, axis: int = 0) -> bytes:
    rng = np.random.default_rng(2)
    table, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((WORDS, WIDTH), (WIDTH, CLASSES)))
    nodes = [
        helper.make_node("Gather", ["table", "words"], ["vectors"], axis=axis),
        helper.make_node("ReduceMean", ["vectors"], ["sentence"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["sentence", "w"], ["scores"]),
    ]
    faces = [helper.make_tensor_value_info("words", dtype, ["batch", LENGTH])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)]
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(w, "w")]
    graph = helper.make_graph(nodes, "text", faces, outputs, weights)
    opset = [helper.make_opsetid("", 13)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


@pytest.mark.parametrize("dtype", [TensorProto.INT32, TensorProto.INT64])
def test_an_onnx_text_classifier(dtype: int, tmp_path: Path) -> None:
    """As torch exports an embedding, int64 words; negative indices count from the end there."""
    model = onnx_text(dtype)
    graph = onnx.load(model)
    assert {node.op for node in graph.nodes} == {"take", "mean", "dense"}
    words = sentences(3)[0].astype(graph.types["words"].dtype.value)
    words[0, :3] = (-1, -WORDS, -2)
    (want,) = judge(model)([words])
    word = "int64_t word;" if dtype == TensorProto.INT64 else "int32_t word;"
    np.testing.assert_allclose(interpret(graph, [words])[0], want, rtol=1e-5, atol=1e-5)
    (tmp_path / "m.onnx").write_bytes(model)
    np.save(tmp_path / "words.npy", sentences(30))
    built = tinyfoundry.compile(
        tmp_path / "m.onnx", board="nucleo-f446re", output=tmp_path / "out", samples=5,
        calibration=tmp_path / "words.npy",
    )  # fmt: skip
    assert built.report["inputs"][0]["dtype"] == graph.types["words"].dtype
    assert word in (built.folder / "src/m.c").read_text()  # the arena lies as its largest elements must
    np.testing.assert_allclose(tinyfoundry.simulate(built.folder, words), want, atol=0.1)
    limits, loaded = graph.types["words"].dtype.limits, tinyfoundry.load(built.folder)
    beyond, meant = words.copy(), words.copy()
    beyond[0, 4:8], meant[0, 4:8] = (*limits, WORDS, -WORDS - 1), (0, WORDS - 1, WORDS - 1, 0)
    np.testing.assert_array_equal(loaded.run([beyond])[0], loaded.run([meant])[0])


def test_float_faces_keep_words_whole(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx_text(TensorProto.INT32))
    np.save(tmp_path / "words.npy", sentences(10))
    built = tinyfoundry.compile(
        tmp_path / "m.onnx", board="nucleo-f446re", output=tmp_path / "out", samples=3, io="float",
        calibration=tmp_path / "words.npy",
    )  # fmt: skip
    faces = [face["dtype"] for face in (*built.report["inputs"], *built.report["outputs"])]
    assert faces == ["int32", "float32"]


def test_wrong_axes_and_indices_are_refused() -> None:
    b = Builder("net")
    x = b.input("x", Type((2, 3), DType.INT8, per_tensor(0.1)))
    with pytest.raises(GraphError, match=r"axis 2 of \(2, 3\); wanted 0 to 1"):
        b.apply("take", (x, b.input("i", Type((1,), DType.INT32))), Take(2))
    y = b.apply("take", (x, x), Take(), per_tensor(0.1))
    with pytest.raises(GraphError, match=r"indices are int8\[2×3\] scale 0.1 zero 0; wanted int32 or int64"):
        b.finish(y)
