"""A build held against its model by host, board and LiteRT: what passes, what is caught, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyfoundry
from c_libraries import QUANT, small_net, two_faced_net
from c_libraries import tinyfoundry as command
from tinyfoundry.builder import Builder
from tinyfoundry.errors import DataError, InputError, OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load, tensor_numbers
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Graph, Type, per_tensor
from tinyfoundry.jobs.litert import FileJudge, litert_version
from tinyfoundry.jobs.probes import probes
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.elementwise import Add

TABLES = "src/small_tables.c"
AGREED = {"host": 0, "board": 0, "LiteRT": 0}


def made(graph: Graph, folder: Path) -> tuple[Path, Path]:
    """A model's file, and its build."""
    path = folder / f"{graph.name}.tflite"
    path.write_bytes(export(graph))
    tinyfoundry.compile(path, board="raspberry-pi-pico", output=folder / "out", samples=1)
    return path, folder / "out"


def tamper(build: Path, old: str, new: str, file: str = TABLES) -> None:
    path = build / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def branches() -> Graph:
    """Two dense layers of one input, a third behind the second, and the sum of both branches."""
    b, rng = Builder("branches"), np.random.default_rng(4)

    def dense(x: str, name: str) -> str:
        w = b.constant(f"{name}_w", rng.integers(-50, 50, (4, 4)).astype(np.int8), per_tensor(0.02))
        bias = b.constant(f"{name}_b", rng.integers(-40, 40, 4).astype(np.int32))
        return b.apply("dense", (x, w, bias), Dense(), QUANT, name)

    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    one, two = dense(x, "one"), dense(x, "two")
    return b.finish(b.apply("add", (one, dense(two, "three")), Add(), QUANT, "both"))


@pytest.mark.parametrize("name", ["kws_ref_model", "ad01_int8"])
def test_a_shared_model_agrees(name: str, shared_models: dict[str, Path], tmp_path: Path) -> None:
    """The second is dense layers one behind the other, whose ties LiteRT breaks otherwise."""
    tinyfoundry.compile(shared_models[name], board="nucleo-l4r5zi", output=tmp_path / "out", samples=1)
    found = tinyfoundry.verify(shared_models[name], tmp_path / "out", samples=12)
    assert found.exact
    assert [(row["kind"], row["inputs"]) for row in found.certificate["compared"]] == [
        ("extremes", 3), ("edges", 2), ("random", 7),
    ]  # fmt: skip
    assert all(row["mismatches"] == AGREED for row in found.certificate["compared"])
    assert all(row["bytes"] >= 12 * row["inputs"] for row in found.certificate["compared"])
    assert (found.certificate["notes"], found.certificate["build"]["changed"]) == ([], [])
    first = (tmp_path / "out/certificate.json").read_text()
    assert json.loads(first) == found.certificate
    tinyfoundry.verify(shared_models[name], tmp_path / "out", samples=12)
    assert (tmp_path / "out/certificate.json").read_text() == first


def test_ties_of_dense_layers_are_put_right_and_counted(tmp_path: Path) -> None:
    model, build = made(branches(), tmp_path)
    found = tinyfoundry.verify(model, build, samples=100)
    assert found.exact
    assert found.certificate["corrected"]["dense"] > 0
    done = command("verify", model, build, "--samples", 100)
    assert (done.returncode, done.stderr) == (0, "")
    assert "LiteRT*" in done.stdout
    assert "LiteRT's dense layers: " in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "layer", "op"),
    [
        ("{\n    1, -2\n}", "{\n    1, 900\n}", "scores", "dense"),
        ("{\n    -70, 7\n}", "{\n    2000, 7\n}", "conv", "conv2d"),
    ],
)
def test_a_tampered_table_is_caught(old: str, new: str, layer: str, op: str, tmp_path: Path) -> None:
    model, build = made(small_net(), tmp_path)
    tamper(build, old, new)
    done = command("verify", model, build, "--samples", 8)
    assert (done.returncode, done.stderr) == (1, "")
    for who in ("host C", "simulated board"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{who}, inputs"))
        assert f"first at layer '{layer}' ({op}), tensor '{layer}', index [0, " in line
        assert "the reference gives" in line
    assert f"files that are not what the model gives: {TABLES}" in done.stdout
    certificate = json.loads((build / "certificate.json").read_text())
    assert not certificate["exact"]
    assert [found["executor"] for found in certificate["differences"]] == ["host", "board"]
    assert all(row["mismatches"]["LiteRT"] == 0 for row in certificate["compared"])
    for found in certificate["differences"]:
        assert found["found"] != found["reference"]


@pytest.mark.parametrize("layer", ["one", "two", "three"])
def test_the_layer_is_found_on_every_branch(layer: str, tmp_path: Path) -> None:
    graph = branches()
    model, build = made(graph, tmp_path)
    bias = ", ".join(map(str, graph.constants[f"{layer}_b"]))
    tamper(build, f"{{\n    {bias}\n}}", "{\n    900, -900, 900, -900\n}", "src/branches_tables.c")
    found = tinyfoundry.verify(model, build, samples=4)
    assert [(d["executor"], d["layer"]) for d in found.certificate["differences"]] == [
        ("host", layer), ("board", layer),
    ]  # fmt: skip


def test_the_layer_is_found_where_channels_were_taken_out(tmp_path: Path) -> None:
    """The tensors of the build have fewer channels than the model's there."""
    b, rng = Builder("slim"), np.random.default_rng(4)
    alive = rng.integers(-50, 50, (12, 4)).astype(np.int8)
    alive[::2] = 0
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    for name, weights in (("wide", alive), ("narrow", rng.integers(-50, 50, (4, 12)).astype(np.int8))):
        w = b.constant(f"{name}_w", weights, per_tensor(0.02))
        bias = b.constant(f"{name}_b", rng.integers(-40, 40, len(weights)).astype(np.int32))
        x = b.apply("dense", (x, w, bias), Dense(), QUANT, name)
    model, build = made(b.finish(x), tmp_path)
    report = json.loads((build / "report.json").read_text())
    assert [layer["macs"] for layer in report["layers"]] == [8 * 4, 4 * 8]
    tables = (build / "src/slim_tables.c").read_text()
    numbers = re.search(r"slim_table_wide_b_live\[8\] = \{\n    (.*)\n\}", tables)
    assert numbers
    tamper(build, numbers[1], ", ".join(["900"] * 8), "src/slim_tables.c")
    found = tinyfoundry.verify(model, build, samples=4)
    assert [(d["executor"], d["layer"]) for d in found.certificate["differences"]] == [
        ("host", "wide"), ("board", "wide"),
    ]  # fmt: skip


def test_code_that_cannot_be_stopped_between_layers(tmp_path: Path) -> None:
    """It is still caught; only the layer stays unnamed."""
    model, build = made(small_net(), tmp_path)
    tamper(build, "{\n    1, -2\n}", "{\n    1, 900\n}")
    for layer in ("small_layer_0_conv", "small_layer_1_scores"):
        tamper(build, f"    {layer}();\n", f"    {layer}(); /* mine */\n", "src/small.c")
    done = command("verify", model, build, "--samples", 4)
    assert (done.returncode, done.stderr) == (1, "")
    assert "host C, inputs 'extremes 0': output 'scores' differs; no layer can be named" in done.stdout
    assert f"files that are not what the model gives: src/small.c, {TABLES}" in done.stdout


def test_the_judge_sees_another_weight_in_the_file() -> None:
    """The graph says one thing, the file another: a convolution's bias, then a dense layer's weight."""
    graph, values = small_net(), [np.full((1, 4, 4, 1), 9, np.int8)]
    for name, change, layer in (("bias", 3000, "conv"), ("weights", 90, "scores")):
        constants = {**graph.constants, name: np.full_like(graph.constants[name], change)}
        model = export(Graph(graph.name, graph.inputs, graph.outputs, graph.nodes, graph.types, constants))
        judged = FileJudge(graph, model, tensor_numbers(model)).run(values)
        wanted: dict[str, np.ndarray] = {}
        interpret(graph, values, wanted.__setitem__)
        differing = [key for key, value in wanted.items() if not np.array_equal(value, judged[key])]
        assert differing[0] == layer


def test_a_file_with_float_faces(tmp_path: Path) -> None:
    b = Builder("faced")
    x = b.input("x", Type((1, 3), DType.FLOAT32))
    x = b.apply("quantize", (x,), None, QUANT, "stored", DType.INT8)
    x = b.apply("add", (x, x), Add(), per_tensor(0.1, 4), "twice")
    model, build = made(b.finish(b.apply("dequantize", (x,), None, None, "real")), tmp_path)
    found = tinyfoundry.verify(model, build, samples=20)
    assert found.exact
    assert found.certificate["compared"][0]["bytes"] == 9
    assert found.certificate["notes"] == []
    assert load(model).types["x"].dtype == "float32"


def test_two_inputs_and_three_outputs(tmp_path: Path) -> None:
    model, build = made(two_faced_net(), tmp_path)
    found = tinyfoundry.verify(model, build, samples=9)
    assert found.exact
    assert sum(row["bytes"] for row in found.certificate["compared"]) == 9 * 9


def test_real_inputs(tmp_path: Path) -> None:
    graph = small_net()
    stored = np.random.default_rng(1).integers(-128, 128, (5, 4, 4, 1)).astype(np.int8)
    np.save(tmp_path / "stored.npy", stored)
    np.save(tmp_path / "real.npy", (stored.astype(np.float64) + 3) * 0.05)
    for name in ("stored", "real"):
        given = probes(graph, 3, 0, tmp_path / f"{name}.npy")
        assert list(given) == ["extremes", "data"]
        np.testing.assert_array_equal([x[0] for (x,) in given["data"]], stored[[0, 2, 4]])
    model, build = made(graph, tmp_path)
    found = tinyfoundry.verify(model, build, samples=5, data=tmp_path / "stored.npy")
    assert (found.exact, found.certificate["compared"][-1]["kind"]) == (True, "data")
    np.save(tmp_path / "wrong.npy", np.zeros((2, 7)))
    with pytest.raises(DataError, match=r"^--data .*wrong.npy, image: shape \[2, 7\]; wanted one or several"):
        tinyfoundry.verify(model, build, data=tmp_path / "wrong.npy")


def test_edges_hold_the_ends_of_the_range() -> None:
    sets = probes(small_net(), 83, 0, None)
    assert {kind: len(inputs) for kind, inputs in sets.items()} == {"extremes": 3, "edges": 10, "random": 70}
    assert sets["edges"][0][0].ravel()[:4].tolist() == [-128, 127, -128, 127]
    assert sets["edges"][1][0].ravel()[:4].tolist() == [127, -128, 127, -128]
    values = {int(v) for edge in sets["edges"][2:] for v in edge[0].ravel()}
    assert values == {-128, -127, -4, -3, -2, 126, 127}


def test_another_model_is_refused(tmp_path: Path) -> None:
    _, build = made(small_net(), tmp_path)
    other = tmp_path / "other.tflite"
    other.write_bytes(export(branches()))
    done = command("verify", other, build)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert (
        "was not made from other.tflite by this version: its report has 2 layers, the model 4" in done.stderr
    )
    assert not (build / "certificate.json").exists()


def test_mistakes(tmp_path: Path) -> None:
    model, build = made(small_net(), tmp_path)
    with pytest.raises(InputError, match=r"report\.json cannot be read"):
        tinyfoundry.verify(model, tmp_path / "none")
    with pytest.raises(OptionError, match=r"^--samples 0 --seed 0: wanted at least 1 and 0$"):
        tinyfoundry.verify(model, build, samples=0)
    done = command("verify", tmp_path / "none.tflite", build)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_without_litert(tmp_path: Path) -> None:
    model, build = made(small_net(), tmp_path)
    code = (
        "import sys; sys.modules['ai_edge_litert'] = None\nfrom tinyfoundry import cli\n"
        f"sys.argv[1:] = ['verify', {str(model)!r}, {str(build)!r}, '--samples', '6']\ncli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "LiteRT did not judge: ai-edge-litert is absent; pip install 'tinyfoundry[litert]'" in done.stdout
    certificate = json.loads((build / "certificate.json").read_text())
    assert certificate["versions"]["ai-edge-litert"] is None
    assert certificate["compared"][0]["mismatches"] == {"host": 0, "board": 0}


def test_a_float_model_is_quantised_as_the_build_was(tmp_path: Path) -> None:
    b, rng = Builder("floating"), np.random.default_rng(2)
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    w = b.constant("w", rng.standard_normal((4, 6)).astype(np.float32))
    x = b.apply("dense", (x, w, b.constant("b", np.zeros(4, np.float32))), Dense(), None, "y")
    model = tmp_path / "floating.tflite"
    model.write_bytes(export(b.finish(x)))
    np.save(tmp_path / "x.npy", rng.standard_normal((20, 6)).astype(np.float32))
    tinyfoundry.compile(
        model, board="nucleo-f446re", output=tmp_path / "out", samples=1, calibration=tmp_path / "x.npy"
    )
    found = tinyfoundry.verify(model, tmp_path / "out", samples=30, data=tmp_path / "x.npy")
    assert found.exact
    assert found.certificate["notes"] == [
        "LiteRT judged layer by layer: the model is no int8 or int16 .tflite file"
    ]
    assert "LiteRT" in found.certificate["compared"][0]["mismatches"]


def test_the_report_shows_the_certificate(tmp_path: Path) -> None:
    """Before and after, when all agrees and when not; a build with a certificate can be replaced."""
    model, build = made(small_net(), tmp_path)
    before = (build / "report.html").read_text()
    assert "Held against its model" not in before
    tinyfoundry.verify(model, build, samples=20)
    report, shown = tinyfoundry.load(build).report, (build / "report.html").read_text()
    assert report["certificate"] == "certificate.json"
    assert "held against its model: every byte agrees" in shown
    assert '<td class="text">extremes</td><td>3</td><td>6</td>' in shown
    assert f"ai-edge-litert {litert_version()}" in shown
    assert not [path.name for path in build.iterdir() if path.name.endswith(".new")]
    tamper(build, "{\n    1, -2\n}", "{\n    1, 900\n}")
    assert not tinyfoundry.verify(model, build, samples=8).exact
    shown = (build / "report.html").read_text()
    assert "held against its model: bytes differ" in shown
    assert "first at layer &#39;scores&#39; (dense)" in shown
    assert f"files that are not what the model gives: {TABLES}" in shown
    tinyfoundry.compile(model, board="raspberry-pi-pico", output=build, samples=1)
    assert tinyfoundry.load(build).report["certificate"] is None
    assert not (build / "certificate.json").exists()
