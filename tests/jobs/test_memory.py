"""Jobs on networks that remember: compiled, verified, exported, run; a fault is found where it shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinyfoundry
from c_libraries import run_self_test, small_net
from c_libraries import tinyfoundry as command
from memory_nets import lstm_net, running_sum, svdf_net
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Graph

NETS = {"lstm": lambda: lstm_net(1), "svdf": lambda: svdf_net(5)}


def made(graph: Graph, folder: Path) -> tuple[Path, Path]:
    """A model's file, and its build."""
    path = folder / f"{graph.name}.tflite"
    path.write_bytes(export(graph))
    tinyfoundry.compile(path, board="nucleo-f446re", output=folder / "out", samples=9)
    return path, folder / "out"


@pytest.mark.parametrize("net", NETS)
def test_a_file_is_compiled_verified_and_run(net: str, tmp_path: Path) -> None:
    graph = NETS[net]()
    model, build = made(graph, tmp_path)
    report = json.loads((build / "report.json").read_text())
    assert report["plan"]["states"] == sum(graph.types[name].bytes for name in graph.states)
    kept = [r for r in report["plan"]["rectangles"] if r["kind"] == "state"]
    last = len(report["plan"]["steps"]) - 1
    assert {(r["name"], r["start"], r["end"]) for r in kept} == {(name, 0, last) for name in graph.states}
    run_self_test(build)
    found = tinyfoundry.verify(model, build, samples=60)
    assert found.exact
    assert all(set(row["mismatches"].values()) == {0} for row in found.certificate["compared"])
    assert found.certificate["notes"] == []


def test_load_run_and_reset(tmp_path: Path) -> None:
    graph = lstm_net(1)
    _, build = made(graph, tmp_path)
    rng, session, loaded = np.random.default_rng(4), Session(graph), tinyfoundry.load(build)
    inputs = [rng.integers(-128, 128, (1, 3, 5)).astype(np.int8) for _ in range(5)]
    for _ in range(2):
        for x in inputs:
            np.testing.assert_array_equal(loaded.run([x])[0], session.run([x])[0])
        session.reset()
        loaded.reset()
    profiled = loaded.profiled()["instructions"]
    assert profiled == loaded.profiled()["instructions"], "profiling leaves something behind"


def test_a_network_without_states_may_be_reset(tmp_path: Path) -> None:
    _, build = made(small_net(), tmp_path)
    loaded, x = tinyfoundry.load(build), np.zeros((1, 4, 4, 1), np.int8)
    loaded.reset()
    first = loaded.run([x])[0]
    loaded.reset()
    np.testing.assert_array_equal(loaded.run([x])[0], first)


def test_a_fault_that_shows_after_some_runs_is_traced_to_its_layer(tmp_path: Path) -> None:
    """Weights over time of the oldest frame: it takes nine runs until they meet anything but zero."""
    graph = svdf_net(5)
    model, build = made(graph, tmp_path)
    tables = build / "src/spotter_5_tables.c"
    w_time = graph.constants[graph.nodes[1].inputs[2]].reshape(-1)
    old, text = f"{{\n    {w_time[0]}, {w_time[1]},", tables.read_text()
    assert text.count(old) == 1
    tables.write_text(text.replace(old, f"{{\n    {-w_time[0]}, {w_time[1]},"))
    done = command("verify", model, build, "--samples", 60)
    assert (done.returncode, done.stderr) == (1, "")
    certificate = json.loads((build / "certificate.json").read_text())
    found = {d["executor"]: d for d in certificate["differences"]}
    assert set(found) == {"host", "board"}
    for difference in found.values():
        kind, number = difference["input"].split()
        assert (difference["layer"], difference["op"]) == ("svdf_1", "svdf")
        assert int(number) >= 1, kind


def test_initial_values_that_are_not_zero(tmp_path: Path) -> None:
    graph = running_sum()
    tinyfoundry.compile(graph, board="raspberry-pi-pico", output=tmp_path / "out", samples=30)
    run_self_test(tmp_path / "out")
    header = (tmp_path / "out/include/running_sum.h").read_text()
    assert "#define RUNNING_SUM_STATE_BYTES 5\n" in header


@pytest.mark.parametrize("ecosystem", ["cmake", "arduino"])
def test_self_tests_of_packages_forget_first(ecosystem: str, tmp_path: Path) -> None:
    _, build = made(lstm_net(1), tmp_path)
    package = tinyfoundry.export(build, ecosystem, tmp_path / "package")
    texts = [path.read_text() for path in Path(package).rglob("*") if path.suffix in (".c", ".ino", ".cpp")]
    testing = [text for text in texts if "golden samples differ" in text]
    assert testing
    assert all("    lstm_1_reset();\n" in text for text in testing)


def test_reset_in_c(tmp_path: Path) -> None:
    """From another state on, and in the middle of a stream."""
    _, build = made(lstm_net(1), tmp_path)
    (tmp_path / "main.c").write_text(
        '#include <string.h>\n#include "lstm_1.h"\n'
        "int main(void)\n{\n    int8_t first[LSTM_1_OUTPUT_BYTES];\n"
        "    for (int run = 0; run < 12; ++run) {\n"
        "        if (run % 4 == 0) {\n            lstm_1_reset();\n        }\n"
        "        memset(lstm_1_input(0), 40, LSTM_1_INPUT_BYTES);\n        lstm_1_run();\n"
        "        if (run == 0) {\n            memcpy(first, lstm_1_output(0), sizeof first);\n        }\n"
        "        if ((memcmp(first, lstm_1_output(0), sizeof first) == 0) != (run % 4 == 0)) {\n"
        "            return 1 + run;\n        }\n    }\n    return 0;\n}\n"
    )
    sources = sorted(str(path) for path in (build / "src").glob("*.c"))
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{build / 'include'}"]
    subprocess.run(["cc", *flags, *sources, "main.c", "-o", "main"], cwd=tmp_path, check=True, timeout=120)
    assert subprocess.run([tmp_path / "main"], check=False, timeout=20).returncode == 0
