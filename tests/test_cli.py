"""The real command in a process of its own: what it prints, what it leaves, how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from c_libraries import QUANT, small_net, tinyfoundry
from tinyfoundry.board import board_names
from tinyfoundry.builder import Builder
from tinyfoundry.exporters.tflite import export
from tinyfoundry.ir.graph import DType, Type, per_tensor
from tinyfoundry.op import all_ops
from tinyfoundry.ops.softmax import Softmax

BOARD = ("--board", "nucleo-f446re")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.tflite"
    path.write_bytes(export(small_net()))
    return path


@pytest.fixture(scope="module")
def built(model: Path) -> Path:
    output = model.parent / "built"
    done = tinyfoundry("compile", model, *BOARD, "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "0  of 20 inputs differ" in " ".join(done.stdout.split(" "))
    assert done.stdout.endswith(f"report: {output}/report.html\n")
    return output


def refused(done: subprocess.CompletedProcess[str], *wanted: str) -> None:
    """Exit code 2 and one line of error that holds every word of ``wanted``."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stdout + done.stderr
    for word in wanted:
        assert word in done.stderr, done.stderr


def test_compile_leaves_a_whole_build(built: Path) -> None:
    found = sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
    assert found == [
        "CMakeLists.txt", "build.json", "golden/input0.npy", "golden/output0.npy", "golden/self_test.c",
        "include/small.h", "report.html", "report.json", "src/small.c", "src/small_tables.c",
        "src/small_tables.h", "src/tinyfoundry_dsp.h", "src/tinyfoundry_rows.h", "src/tinyfoundry_tile.h",
    ]  # fmt: skip
    assert sorted(path.name for path in built.parent.iterdir()) == ["built", "small.tflite"]


def test_boards_and_ops() -> None:
    boards, ops = tinyfoundry("boards"), tinyfoundry("ops")
    assert (boards.returncode, ops.returncode, boards.stderr + ops.stderr) == (0, 0, "")
    assert all(name in boards.stdout for name in board_names())
    assert all(op.name in ops.stdout for op in all_ops())


def test_off_a_terminal_a_row_is_a_line() -> None:
    """However long its words are: what reads a pipe finds the op in front of all that belongs to it."""
    rows = [line.split() for line in tinyfoundry("ops").stdout.splitlines()]
    assert [row[0] for row in rows if row and row[0].isidentifier()][2:] == [op.name for op in all_ops()]


def test_run_answers_a_line_an_input(built: Path, tmp_path: Path) -> None:
    golden = built / "golden"
    done = tinyfoundry("run", built, "--input", golden / "input0.npy", "-o", tmp_path / "y")
    assert (done.returncode, done.stderr) == (0, "")
    wanted = np.load(golden / "output0.npy").reshape(4, 2)
    np.testing.assert_array_equal(np.load(tmp_path / "y"), wanted)
    names = [line.split() for line in done.stdout.splitlines()]
    assert [int(name) for name, _ in names] == wanted.argmax(1).tolist()
    assert [float(value) for _, value in names] == pytest.approx((wanted.max(1) + 3) * 0.05, rel=1e-3)


def test_profile(built: Path) -> None:
    done = tinyfoundry("profile", built)
    assert (done.returncode, done.stderr) == (0, "")
    for wanted in ("conv2d_tile_dsp_s8", "dense_rows_dsp_s8", "cortex-m4-trm", "of 131,072"):
        assert wanted in done.stdout


@pytest.mark.parametrize("command", ["build", "compile", "run", "profile", "boards", "ops", None])
def test_help_teaches(command: str | None) -> None:
    done = tinyfoundry(*([command] if command else []), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    if command in {"build", "compile", "run", "profile"}:
        assert f"tinyfoundry {command} " in done.stdout.replace("For example", "")
        assert "For example" in done.stdout
    if command is None:
        assert tinyfoundry().stdout == done.stdout
        assert all(word in done.stdout for word in ("build", "compile", "run", "profile", "boards", "ops"))


COMPILE_MISTAKES = [
    (["--board", "nucleo-f446r"], ["board 'nucleo-f446r' is unknown; did you mean nucleo-f446re"]),
    (["--board", "[bold]x"], ["board '[bold]x' is unknown; wanted one of arduino-nano-33-ble"]),
    (["--board", "[/]"], ["board '[/]' is unknown"]),
    (["--board", "a\x1b[2Jb"], ["board 'a\\x1b[2Jb' is unknown"]),
    (["--board", "none.toml"], ["board file none.toml cannot be read: ", "No such file"]),
    ([], ["Missing option '--board'"]),
    ([*BOARD, "--max-ram", "50"], ["needs ", "conv 8 B", "image 16 B", "50 are allowed", "bytes", "missing"]),
    ([*BOARD, "--max-flash", "1K"], ["bytes of flash (code ", "1,024 are allowed"]),
    ([*BOARD, "--latency", "1us"], ["ms on nucleo-f446re, 0.001 ms are allowed"]),
    ([*BOARD, "--max-ram", "lots"], ["--max-ram 'lots': wanted a size such as 64K, 1.5M or 65536"]),
    ([*BOARD, "--max-ram", "0"], ["--max-ram '0': wanted more than nothing"]),
    ([*BOARD, "--latency", "fast"], ["--latency 'fast': wanted a time such as 50ms, 90s or 5m"]),
    ([*BOARD, "--io", "int4"], ["--io 'int4': wanted int8 or float"]),
    ([*BOARD, "--samples", "0"], ["--samples"]),
    ([*BOARD, "--samples", "x"], ["--samples"]),
    ([*BOARD, "--seed", "-1"], ["--seed"]),
    ([*BOARD, "--bogus"], ["No such option", "--bogus", "See 'tinyfoundry --help'."]),
    ([*BOARD, "extra"], ["extra"]),
]


@pytest.mark.parametrize(
    ("options", "wanted"), COMPILE_MISTAKES, ids=[" ".join(o) for o, _ in COMPILE_MISTAKES]
)
def test_mistakes_of_compile(options: list[str], wanted: list[str], model: Path, tmp_path: Path) -> None:
    refused(tinyfoundry("compile", model, "-o", "out", *options, cwd=tmp_path), *wanted)
    assert list(tmp_path.iterdir()) == []


def bad_model(kind: str, folder: Path) -> Path:
    """A file that is no model we can compile."""
    path = folder / "bad.tflite"
    data = export(small_net())
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "text":
        path.write_text("not a model")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "float":
        b = Builder("float")
        x = b.input("x", Type((1, 4), DType.FLOAT32))
        path.write_bytes(export(b.finish(b.apply("softmax", (x,), Softmax()))))
    return path


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "folder", "float", "missing"])
def test_files_that_are_no_model(kind: str, tmp_path: Path) -> None:
    path = bad_model(kind, tmp_path)
    refused(
        tinyfoundry("compile", path, *BOARD, "-o", tmp_path / "out"), "float" if kind == "float" else "bad"
    )
    assert [p.name for p in tmp_path.iterdir()] == ([] if kind == "missing" else ["bad.tflite"])


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (".", "give a folder with a name of its own"),
        ("file", "is a file"),
        ("file/out", "(Not a directory)"),
        ("foreign", "holds 'mine.txt', which is no part of an earlier build; move it away"),
        ("/dev/null/out", "(Not a directory)"),
        ("/proc/out", "cannot write beside it"),
        ("n" * 256, "(File name too long)"),
        ("taken", "taken.partial' is in the way"),
    ],
)
def test_outputs_that_cannot_be(output: str, wanted: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in ("foreign", "taken.partial"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    refused(tinyfoundry("compile", model, *BOARD, "-o", output, cwd=tmp_path), wanted)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["build"], "Missing"),
        (["build", "digits"], "Missing option"),
        (
            ["build", "digits", *BOARD, "-o", "out", "--budget", "soon"],
            "--budget 'soon': wanted a time such as",
        ),
        (["build", "no/such.csv", *BOARD, "-o", "out"], "no/such.csv"),
        (
            ["build", "digits", *BOARD, "-o", "out", "--kind", "video"],
            "--kind 'video': wanted image, audio or",
        ),
        (["run", "nothing", "--input", "x.npy"], "build nothing: report.json cannot be read"),
        (["run", "nothing"], "Missing option '--input'"),
        (["profile", "nothing"], "build nothing: report.json cannot be read (No such file or directory)"),
        (["polish"], "No such command 'polish'"),
    ],
)
def test_mistakes_of_the_others(arguments: list[str], wanted: str, tmp_path: Path) -> None:
    refused(tinyfoundry(*arguments, cwd=tmp_path), wanted)
    assert list(tmp_path.iterdir()) == []


def test_an_output_in_the_data_is_refused_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "damaged.csv").write_text("no class folders here")
    refused(
        tinyfoundry("build", "data", *BOARD, "-o", "data/out", cwd=tmp_path), "is in the data folder 'data'"
    )
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["damaged.csv"]


def test_answers_that_cannot_be_written(built: Path, tmp_path: Path) -> None:
    arguments = ("run", built, "--input", built / "golden/input0.npy", "--output")
    (tmp_path / "file").write_text("mine")
    missing, below = tmp_path / "no" / "y.npy", tmp_path / "file" / "y.npy"
    refused(
        tinyfoundry(*arguments, missing), f"{missing}: No such file or directory; create the folder first"
    )
    refused(tinyfoundry(*arguments, below), f"{below}: Not a directory; create the folder first")
    refused(tinyfoundry(*arguments, tmp_path), f"{tmp_path}: Is a directory; give the name of a file")
    refused(tinyfoundry(*arguments, tmp_path / ("n" * 256)), "File name too long; give a shorter name")
    if os.geteuid():  # root may write everywhere
        (tmp_path / "file").chmod(0o400)
        refused(tinyfoundry(*arguments, tmp_path / "file"), "/file: ", "choose a place that you may write to")
    if Path("/dev/full").exists():
        refused(tinyfoundry(*arguments, "/dev/full"), "/dev/full: No space left on device; free space there")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_place_of_answers_is_checked_before_anything_runs(built: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.npy"
    old.write_text("mine")
    refused(tinyfoundry("run", "nothing", "-i", "x.npy", "-o", tmp_path), "Is a directory")
    for output in (old, tmp_path / "new.npy"):
        refused(tinyfoundry("run", built, "-i", "x.npy", "-o", output), "x.npy")
    assert old.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [old]


def test_class_names_and_paths_are_printed_as_they_are(model: Path, tmp_path: Path) -> None:
    """No markup, no emoji, and bytes that are no text escaped."""
    output = os.fsdecode(bytes(tmp_path) + b"/[bold]:smile:\xff")
    done = tinyfoundry("compile", model, *BOARD, "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("/[bold]:smile:\\udcff/report.html\n")


def test_a_softmax_net_with_a_reserved_name(tmp_path: Path) -> None:
    b = Builder("x")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    graph = b.finish(b.apply("softmax", (x,), Softmax(), per_tensor(1 / 256, -128)))
    (tmp_path / "string.tflite").write_bytes(export(graph))
    done = tinyfoundry("compile", tmp_path / "string.tflite", *BOARD, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/include/string_model.h").is_file()
    assert tinyfoundry("profile", tmp_path / "out").returncode == 0


STARTS = """
import os, runpy, signal, sys
watched = sys.argv.pop(1)
class Watch:  # Ctrl-C when a module begins to be imported
    def find_spec(self, name, path=None, target=None):
        if name == watched:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Watch())
runpy.run_module("tinyfoundry", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", ["tinyfoundry.cli", "numpy", "rich.console", "tinyfoundry.jobs.workspace"])
def test_an_interrupt_while_modules_are_imported(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTS, module, "boards"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_an_interrupt_while_the_interpreter_ends() -> None:
    late = "import atexit, os, signal, sys; atexit.register(os.kill, os.getpid(), signal.SIGINT); "
    run = "sys.argv[1:] = ['boards']; from tinyfoundry.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", late + run], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["boards", "--help", "bogus"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(command: str, closed: str) -> None:
    line = f'"$0" -m tinyfoundry {command} {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == (2 if command == "bogus" else 0)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_reader_that_goes_away() -> None:
    line = '"$0" -m tinyfoundry boards | true'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""


def test_an_interrupted_compile_promises_nothing(model: Path, tmp_path: Path) -> None:
    """It keeps nothing to go on from."""
    command = [
        sys.executable,
        "-m",
        "tinyfoundry",
        "compile",
        str(model),
        *BOARD,
        "-o",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(
        [*command, "--samples", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "out.partial").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    complaint = process.communicate(timeout=60)[1]
    assert (process.returncode, complaint) == (130, "stopped\n")
    assert list(tmp_path.iterdir()) == []


def start_build(output: Path, budget: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tinyfoundry", "build", "digits", *BOARD, "-o", str(output)]
    return subprocess.Popen(
        [*command, "--budget", budget], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Also: what the search had found before is in the report of the rerun."""
    output, diary = tmp_path / "out", tmp_path / "out.partial" / "search.jsonl"
    process = start_build(output, "14s")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not diary.is_file() or diary.read_text().count("\n") < 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, (said, complaint)
    assert complaint == "stopped; the same command goes on where this one was\n"
    assert not output.exists()
    kept = diary.read_text().splitlines()
    assert len(kept) >= 2  # its settings and a candidate; on a slow machine the search has time for one only
    process = start_build(output, "14s")
    said, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    report = json.loads((output / "report.json").read_text())
    schema = Path(__file__).parents[1] / "src/tinyfoundry/report/report.schema.json"
    jsonschema.validate(report, json.loads(schema.read_text()))
    assert report["exact"]["mismatches"] == 0
    assert report["accuracy"]["board"] > 0.5
    found = {(c["sram"], c["flash"], c["instructions"]) for c in report["search"]["candidates"]}
    before = [json.loads(line) for line in kept]
    costs = [line["cost"] for line in before if "cost" in line]
    seen = {(c["sram"], c["flash"], c["instructions"]) for c in costs}
    assert seen
    assert seen <= found
    assert "accuracy" in said
