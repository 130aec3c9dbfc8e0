"""Float models are quantised with the user's inputs, compiled, and proven on the simulated board."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_nets import NETS, Net, channels_last, judge, quantised
from small_nets import random_net
from tinyfoundry import api
from tinyfoundry.builder import Builder
from tinyfoundry.errors import DataError, ModelError, OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Graph, Type
from tinyfoundry.jobs.calibration import calibration_inputs, to_quantised
from tinyfoundry.jobs.importing import load_model

SHAPES = {
    "mobilenet": (1, 3, 24, 24), "resnet": (1, 3, 16, 16), "ds_cnn": (1, 1, 49, 10), "autoencoder": (1, 64),
}  # fmt: skip
BOARD = "nucleo-f446re"


def inputs(name: str, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *SHAPES[name][1:])).astype(np.float32)


def converted(graph: Graph, calibration: str | Path | None) -> Graph:
    return to_quantised(graph, calibration, float_faces=False, seed=0, progress=lambda _done, _total: None)[0]


@pytest.mark.parametrize("name", NETS)
def test_a_float_onnx_model_on_the_simulated_board(name: str, tmp_path: Path) -> None:
    """Bit-exact against the reference, and near to the float model's answers."""
    model, data = tmp_path / f"{name}.onnx", tmp_path / "x.npy"
    model.write_bytes(NETS[name]())
    np.save(data, inputs(name, 40, 1))
    built = api.compile(model, board=BOARD, output=tmp_path / "out", samples=8, calibration=data)
    assert built.report["exact"]["mismatches"] == 0
    assert built.report["exact"]["inputs"] == 8
    assert not [layer for layer in built.report["layers"] if layer["op"] == "transpose"]
    run, worst = judge(model.read_bytes()), 0.0
    for x in inputs(name, 3, 2):
        want = run([x[None]])[0]
        got = api.simulate(built.folder, channels_last(x[None]))
        worst = max(worst, np.abs(got.ravel() - want.ravel()).max() / np.abs(want).max())
    assert worst < 0.2


@pytest.mark.parametrize("name", ["resnet", "autoencoder"])
def test_the_quantised_network_as_tflite_is_the_build(name: str, tmp_path: Path) -> None:
    """LiteRT runs the file whole and gives the board's bytes; what it compiles to is the build's own C."""
    model, data = tmp_path / f"{name}.onnx", tmp_path / "x.npy"
    model.write_bytes(NETS[name]())
    np.save(data, inputs(name, 10, 1))
    api.compile(model, board=BOARD, output=tmp_path / "out", samples=1, calibration=data)
    found = api.verify(tmp_path / "out" / f"{name}.tflite", tmp_path / "out", samples=10)
    assert found.exact
    assert (found.certificate["notes"], found.certificate["build"]["changed"]) == ([], [])


@pytest.mark.parametrize("name", ["mobilenet", "autoencoder"])
def test_an_int8_onnx_model_on_the_simulated_board(name: str, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(quantised(NETS[name](), tmp_path, SHAPES[name]))
    built = api.compile(model, board=BOARD, output=tmp_path / "out", samples=8)
    assert built.report["exact"]["mismatches"] == 0
    graph = load_model(model)
    x = channels_last(inputs(name, 1, 3))
    np.testing.assert_allclose(
        api.simulate(built.folder, x).ravel(), interpret(graph, [x])[0].ravel(), atol=1e-6
    )


def test_a_float_tflite_model_by_the_command(tmp_path: Path) -> None:
    graph = random_net(4, floats=True)
    model, data = tmp_path / "net.tflite", tmp_path / "x.npz"
    model.write_bytes(export(graph))
    shape = graph.types[graph.inputs[0]].shape
    np.savez(data, image=np.random.default_rng(0).standard_normal((20, *shape)).astype(np.float32))
    command = [
        sys.executable,
        "-m",
        "tinyfoundry",
        "compile",
        str(model),
        "-b",
        BOARD,
        "-o",
        f"{tmp_path}/out",
    ]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "model 'net' is float32, wanted int8: give --calibration DATA" in refused.stderr
    assert not (tmp_path / "out").exists()
    done = subprocess.run([*command, "--calibration", str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert api.load(tmp_path / "out").report["exact"]["mismatches"] == 0


def test_choices_are_taken_reported_and_made_again_by_verify(tmp_path: Path) -> None:
    graph = random_net(4, floats=True)
    model, data = tmp_path / "net.tflite", tmp_path / "x.npy"
    model.write_bytes(export(graph))
    shape = graph.types[graph.inputs[0]].shape[1:]
    np.save(data, np.random.default_rng(0).standard_normal((20, *shape)).astype(np.float32))
    chosen = {"observer": "percentile", "equalise": True, "bias_correction": True}
    built = api.compile(
        model, board=BOARD, output=tmp_path / "out", samples=4, calibration=data,
        observer="percentile", equalise=True, bias_correction=True,
    )  # fmt: skip
    assert built.report["exact"]["mismatches"] == 0
    assert {key: built.report["options"][key] for key in chosen} == chosen
    assert api.verify(model, built.folder, samples=4).exact
    left_open = api.compile(model, board=BOARD, output=tmp_path / "open", samples=4, calibration=data)
    assert left_open.report["options"]["observer"] in {"min-max", "percentile", "mse"}
    assert api.verify(model, left_open.folder, samples=4).exact


def test_float_faces_stay_float(tmp_path: Path) -> None:
    model, data = tmp_path / "m.onnx", tmp_path / "x.npy"
    model.write_bytes(NETS["autoencoder"]())
    np.save(data, inputs("autoencoder", 10, 1))
    built = api.compile(model, board=BOARD, output=tmp_path / "out", samples=4, io="float", calibration=data)
    assert built.report["inputs"][0]["dtype"] == "float32"
    assert built.report["exact"]["mismatches"] == 0


def test_a_data_set_calibrates(tmp_path: Path) -> None:
    """The bundled digits, normalised as the search would feed them."""
    net = Net((1, 1, 8, 8))
    net.conv(4, 1, 3), net.add("Relu"), net.add("Flatten"), net.gemm(10, 256)
    model = tmp_path / "digits.onnx"
    model.write_bytes(net.bytes())
    graph = load_model(model)
    (x,) = calibration_inputs("digits", graph, 0)
    assert x.shape == (500, 1, 8, 8, 1)
    quantised_graph = converted(graph, "digits")
    type_ = quantised_graph.types[quantised_graph.inputs[0]]
    assert type_.scale == pytest.approx((x.max() - x.min()) / 255, rel=1e-5)


def graph_of(*shapes: tuple[int, ...]) -> Graph:
    b = Builder("net")
    names = [b.input(f"x{i}", Type(shape, DType.FLOAT32)) for i, shape in enumerate(shapes)]
    return b.finish(*(b.apply("relu", (name,)) for name in names))


@pytest.mark.parametrize(
    ("given", "shape", "count"),
    [
        ((7, 4, 5, 3), (1, 4, 5, 3), 7), ((7, 1, 4, 5, 3), (1, 4, 5, 3), 7), ((4, 5, 3), (1, 4, 5, 3), 1),
        ((7, 3, 4, 5), (1, 4, 5, 3), 7), ((3, 4, 5), (1, 4, 5, 3), 1), ((9, 20, 1, 3), (1, 20, 3), 9),
        ((640,), (1, 640), 1), ((2, 640, 1, 1), (1, 640), 2), ((8, 2, 6), (2, 6), 8),
        ((6, 4, 4), (1, 4, 4, 1), 6),
    ],
)  # fmt: skip
def test_arrays_are_taken_as_they_lie(
    given: tuple[int, ...], shape: tuple[int, ...], count: int, tmp_path: Path
) -> None:
    values = np.arange(np.prod(given), dtype=np.float32).reshape(given)
    np.save(tmp_path / "x.npy", values)
    (found,) = calibration_inputs(tmp_path / "x.npy", graph_of(shape), 0)
    assert found.shape == (count, *shape)
    first = given[-3:] == (3, 4, 5) and shape == (1, 4, 5, 3)
    want = np.moveaxis(values, -3, -1) if first else values
    np.testing.assert_array_equal(found.ravel(), want.ravel())


def test_several_inputs_by_name(tmp_path: Path) -> None:
    graph, path = graph_of((1, 3), (1, 2, 2, 1)), tmp_path / "x.npz"
    np.savez(path, x1=np.ones((5, 2, 2, 1)), x0=np.zeros((5, 3)))
    found = calibration_inputs(path, graph, 0)
    assert [array.shape for array in found] == [(5, 1, 3), (5, 1, 2, 2, 1)]
    assert found[1].all()
    result = converted(graph, path)
    assert {result.types[name].dtype for name in result.inputs} == {DType.INT8}
    np.savez(path, x1=np.ones((5, 2, 2, 1)), x0=np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"\[4, 5\] samples for the inputs; wanted as many for each"):
        calibration_inputs(path, graph, 0)
    np.savez(path, a=np.ones(3))
    with pytest.raises(DataError, match="1 arrays for the inputs x0, x1; wanted one for each"):
        calibration_inputs(path, graph, 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((4, 5)), r"shape \[4, 5\]; wanted one or several inputs of \[1, 3\]"),
        (np.full((4, 3), np.nan), "holds a NaN or an infinity"),
        (np.array(["a"]), "wanted numbers"),
        (np.zeros((0, 3)), "wanted numbers, at least one sample"),
    ],
)
def test_unfit_arrays_are_refused(values: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match=said):
        calibration_inputs(tmp_path / "x.npy", graph_of((1, 3)), 0)


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes(b"no array")
        with pytest.raises(DataError, match=r"cannot be read .*; write it with numpy.save or numpy.savez"):
            calibration_inputs(tmp_path / name, graph_of((1, 3)), 0)
    with pytest.raises(DataError, match="nothing there"):
        calibration_inputs(tmp_path / "absent.npy", graph_of((1, 3)), 0)


def test_an_int8_model_needs_none() -> None:
    graph = random_net(1)
    assert converted(graph, None) is graph
    with pytest.raises(OptionError, match=r"model 'net_1' is quantised already; leave the option out"):
        converted(graph, "digits")


def test_the_importer_follows_content_before_name(tmp_path: Path) -> None:
    graph = random_net(0)
    (tmp_path / "odd.bin").write_bytes(export(graph))
    assert load_model(tmp_path / "odd.bin").name == "odd"
    (tmp_path / "net.ONNX").write_bytes(NETS["autoencoder"]())
    assert load_model(tmp_path / "net.ONNX").name == "net"
    (tmp_path / "net.h5").write_bytes(b"abc")
    with pytest.raises(ModelError, match=r"no .tflite and no .onnx model by its name or content"):
        load_model(tmp_path / "net.h5")
    with pytest.raises(ModelError, match="No such file"):
        load_model(tmp_path / "absent.onnx")


def test_an_output_in_the_calibration_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(
        OptionError, match=r"is in the data folder '.*data', where .*; give a folder elsewhere"
    ):
        api.compile(
            tmp_path / "m.onnx", board=BOARD, output=tmp_path / "data/out", calibration=tmp_path / "data"
        )
