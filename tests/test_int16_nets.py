"""Networks with int16 activations and int8 weights, from float to the simulated board, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinyfoundry
from c_libraries import compiled, run_self_test
from c_libraries import tinyfoundry as tinyfoundry_command
from graphs import inputs_of
from int16_nets import NETS, attention, ds_cnn, in_16x8, squeeze_excite
from litert import litert_judge, litert_run
from small_nets import random_net
from tinyfoundry.builder import Builder
from tinyfoundry.errors import GraphError, OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Type, per_tensor
from tinyfoundry.ops.reduce import Sum
from tinyfoundry.ops.smooth import HardSwish
from tinyfoundry.passes.calibrate import assumed
from tinyfoundry.passes.faces import stored_faces
from tinyfoundry.passes.observe import Range
from tinyfoundry.passes.quantise import quantise, quantization_of

BOARDS = ("raspberry-pi-pico", "nucleo-f446re", "esp32-c3-devkitm-1")
GRAPHS = [pytest.param(make, id=make.__name__) for make in NETS]


def sets(graph: Graph, count: int) -> list[list[Array]]:
    """``count`` random sets over the whole range of int16, then all lowest, all highest and all zero."""
    return inputs_of(graph, np.random.default_rng(3), count)


@pytest.mark.parametrize("make", GRAPHS)
def test_the_reference_is_litert(make) -> None:
    """50 inputs, each layer judged alone on what the layers before it gave."""
    graph = in_16x8(make())
    judge = litert_judge(graph)
    for inputs in sets(graph, 50):
        for got, want in zip(interpret(graph, inputs), judge(inputs), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("make", GRAPHS)
def test_a_file_comes_back(make) -> None:
    """Written and read again a network gives the same bytes; LiteRT takes the file, and at most a dense layer
    that it rounds otherwise moves its answers.
    """
    graph = in_16x8(make())
    data = export(graph)
    again = load(data)
    for inputs in sets(graph, 5):
        wanted = interpret(graph, inputs)
        assert all(map(np.array_equal, interpret(again, inputs), wanted))
        for got, want in zip(litert_run(data, inputs), wanted, strict=True):
            assert np.abs(got.astype(int) - want).max() <= 24


@pytest.mark.parametrize("make", GRAPHS)
def test_emitted_c_gives_the_bytes_of_the_reference(make, tmp_path: Path) -> None:
    """As a C library under the sanitizers."""
    compiled(in_16x8(make()), tmp_path)
    sanitize = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    assert "0 of 6 golden samples differ" in run_self_test(tmp_path, sanitize)


@pytest.mark.parametrize("seed", [1, 3, 6, 8, 12])
def test_random_networks(seed: int, tmp_path: Path) -> None:
    """Planned, emitted and run under the sanitizers, and layer by layer what LiteRT says."""
    graph = in_16x8(random_net(seed, floats=True))
    judge = litert_judge(graph)
    for inputs in sets(graph, 3):
        assert all(map(np.array_equal, interpret(graph, inputs), judge(inputs)))
    compiled(graph, tmp_path)
    assert "0 of 6 golden" in run_self_test(tmp_path, ("-fsanitize=address,undefined",))


@pytest.mark.parametrize(("make", "board"), list(zip(NETS, (*BOARDS, *BOARDS), strict=False)))
def test_a_file_compiles_and_is_proven_on_a_board(make, board: str, tmp_path: Path) -> None:
    """From a .tflite file to the simulated board, then verified against LiteRT with the file itself."""
    model = tmp_path / "model.tflite"
    model.write_bytes(export(in_16x8(make(), float_faces=True)))
    built = tinyfoundry.compile(model, board=board, output=tmp_path / "out", samples=5)
    assert built.report["exact"]["mismatches"] == 0
    assert built.report["inputs"][0]["dtype"] == "int16"
    result = tinyfoundry.verify(model, tmp_path / "out", samples=8)
    assert result.exact, result.certificate


def test_float_faces_are_verified(tmp_path: Path) -> None:
    """Their extremes stay within what LiteRT has an answer for."""
    model = tmp_path / "model.tflite"
    model.write_bytes(export(in_16x8(ds_cnn(), float_faces=True)))
    built = tinyfoundry.compile(model, board=BOARDS[0], output=tmp_path / "out", samples=4, io="float")
    assert built.report["inputs"][0]["dtype"] == "float32"
    result = tinyfoundry.verify(model, tmp_path / "out", samples=12)
    assert result.exact, result.certificate


def test_compile_quantises_to_16x8(tmp_path: Path) -> None:
    """A float .tflite file, calibrated; finer than int8 by far, and verify makes the same network again."""
    source, values = squeeze_excite(), np.random.default_rng(5).standard_normal((20, 6, 6, 3))
    (tmp_path / "model.tflite").write_bytes(export(source))
    np.save(tmp_path / "x.npy", values.astype(np.float32))
    found = {}
    for activations in ("int8", "int16"):
        built = tinyfoundry.compile(
            tmp_path / "model.tflite", board="raspberry-pi-pico-2", output=tmp_path / activations,
            samples=3, calibration=tmp_path / "x.npy", activations=activations,
        )  # fmt: skip
        assert built.report["outputs"][0]["dtype"] == activations
        found[activations] = tinyfoundry.simulate(tmp_path / activations, values[:1])
    (wanted,) = interpret(source, [values[:1].astype(np.float32)])
    wide, narrow = (np.abs(found[kind] - wanted).max() for kind in ("int16", "int8"))
    assert wide < min(narrow, 0.001)
    assert built.report["options"]["activations"] == "int16"
    result = tinyfoundry.verify(tmp_path / "model.tflite", tmp_path / "int16", samples=4)
    assert result.exact, result.certificate


def test_activations_of_another_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^--activations 'int4': wanted int8 or int16$"):
        tinyfoundry.compile(
            ds_cnn(), board="nucleo-f446re", output=tmp_path / "out", calibration="x.npy", activations="int4"
        )


def test_the_header_says_what_a_face_is_made_of(tmp_path: Path) -> None:
    """The pointers are int8_t * as ever; a macro names the type to cast them to, and they are aligned."""
    build = compiled(in_16x8(squeeze_excite()), tmp_path)
    header = build.files["include/squeeze_excite_16.h"]
    assert (
        "/* What its elements are, to read and write them as "
        "(SQUEEZE_EXCITE_16_INPUT_ELEMENT *)(void *)squeeze_excite_16_input(0). */\n"
        "#define SQUEEZE_EXCITE_16_INPUT_ELEMENT int16_t\n"
    ) in header
    assert "#define SQUEEZE_EXCITE_16_INPUT_BYTES 216\n" in header
    assert "#define SQUEEZE_EXCITE_16_OUTPUT_SCALE 3.0517578125e-05f\n" in header


def test_float_faces_come_off(tmp_path: Path) -> None:
    """As those of int8 networks do."""
    with_faces = in_16x8(ds_cnn(), float_faces=True)
    assert {with_faces.types[name].dtype for name in (*with_faces.inputs, *with_faces.outputs)} == {"float32"}
    bare = stored_faces(with_faces)
    assert {bare.types[name].dtype for name in (*bare.inputs, *bare.outputs)} == {"int16"}
    assert len(bare.nodes) == len(with_faces.nodes) - 2


def test_ops_without_int16_are_named_at_once() -> None:
    b = Builder("mixed")
    x = b.input("x", Type((1, 4, 4, 2), DType.FLOAT32))
    first = b.apply("hard_swish", (x,), HardSwish(), name="bend")
    second = b.apply("sum", (first,), Sum((1, 2)), name="total")
    graph = b.finish(b.apply("relu", (second,)))
    with pytest.raises(
        GraphError,
        match=r"graph 'mixed': no int16 form of bend \(hard_swish\), total \(sum\); quantise to int8",
    ):
        quantise(graph, assumed(graph), activations=DType.INT16)


def test_ranges_become_symmetric() -> None:
    """32767 steps reach the largest magnitude; the zero point is 0, of a constant 0 too."""
    for low, high, scale in ((-1.0, 3.0, 3 / 32767), (-8.0, 0.0, 8 / 32767), (0.0, 0.0, 1 / 32767)):
        quant = quantization_of(Range(low, high), DType.INT16)
        assert quant == per_tensor(scale)


def test_the_command_line_takes_activations(tmp_path: Path) -> None:
    """A float model by the real command; and what it says of an int16 one that is calibrated again."""
    (tmp_path / "float.tflite").write_bytes(export(attention()))
    (tmp_path / "wide.tflite").write_bytes(export(in_16x8(attention())))
    np.save(tmp_path / "x.npy", np.random.default_rng(5).standard_normal((9, 9, 6)).astype(np.float32))
    options = ("-b", "nucleo-f446re", "-o", "out", "--samples", 3, "--calibration", "x.npy")
    done = tinyfoundry_command("compile", "float.tflite", *options, "--activations", "int16", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "batch_matmul_s16" in (tmp_path / "out" / "report.json").read_text()
    done = tinyfoundry_command("compile", "wide.tflite", *options, cwd=tmp_path)
    assert done.returncode == 2
    said = " ".join((done.stdout + done.stderr).split())
    assert "--calibration: model 'wide' is quantised already; leave the option out" in said
