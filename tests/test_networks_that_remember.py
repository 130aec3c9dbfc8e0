"""Networks that remember earlier runs, from the reference to the simulated board, without a reset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphs import random_input
from litert import litert_interpreter
from memory_nets import as_floats, lstm_net, running_sum, svdf_net
from tinyfoundry.board import load_board
from tinyfoundry.exporters.tflite import export
from tinyfoundry.fixed import stored_values
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.litert import litert_judge
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.passes.calibrate import calibrate
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.pipeline import compile_graph
from tinyfoundry.simulate.firmware import build_sources, flash
from tinyfoundry.simulate.host import HostModel, run_sanitized
from tinyfoundry.simulate.simulation import Simulation

BOARDS = ("nucleo-f446re", "raspberry-pi-pico", "esp32-c3-devkitm-1")  # M4, M0+, RV32
RUNS = 60
NETS: dict[str, Callable[[], Graph]] = {
    "lstm": lambda: lstm_net(1),
    "lstm_one_step": lambda: lstm_net(2, steps=1, features=13, units=9),
    "lstm_odd": lambda: lstm_net(3, steps=5, features=1, units=3),
    "lstm_wide": lambda: lstm_net(4, steps=2, features=17, units=24),
    "svdf": lambda: svdf_net(5),
    "svdf_odd": lambda: svdf_net(6, features=3, units=5, memory=4),
    "svdf_short": lambda: svdf_net(7, features=8, units=2, memory=2),
    "running_sum": running_sum,
}


def stream(graph: Graph, runs: int = RUNS) -> list[list[Array]]:
    rng = np.random.default_rng(len(graph.name))
    return [[random_input(rng, graph.types[name]) for name in graph.inputs] for _ in range(runs)]


def meaning(graph: Graph, inputs: Sequence[Sequence[Array]]) -> list[list[bytes]]:
    session = Session(graph)
    return [[value.tobytes() for value in session.run(values)] for values in inputs]


def raw(outputs: Sequence[Array | bytes]) -> list[bytes]:
    return [value if isinstance(value, bytes) else value.tobytes() for value in outputs]


def in_litert(graph: Graph, inputs: Sequence[Sequence[Array]]) -> list[list[bytes]]:
    """LiteRT on the whole file, its default kernels: they round dense layers twice, but for ties."""
    interpreter = litert_interpreter(export(graph), reference=False)
    (face,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for (value,) in inputs:
        interpreter.set_tensor(face["index"], value)
        interpreter.invoke()
        found.append([interpreter.get_tensor(answer["index"]).tobytes()])
    return found


@pytest.mark.parametrize("net", [name for name in NETS if name != "running_sum"])
def test_a_stream_gives_what_litert_gives(net: str) -> None:
    graph = NETS[net]()
    inputs = stream(graph)
    memory = graph if len(graph.nodes) == 1 else up_to_memory(graph)
    assert in_litert(memory, inputs) == meaning(memory, inputs)
    judge = litert_judge(graph)
    assert [raw(judge(values)) for values in inputs] == meaning(graph, inputs)
    assert len(set(map(tuple, meaning(graph, [inputs[0]] * RUNS)))) > 1, "it does not remember"


def up_to_memory(graph: Graph) -> Graph:
    """The part of a network up to its last op that remembers: all of it is LiteRT's, byte for byte."""
    last = max(i for i, node in enumerate(graph.nodes) if len(node.outputs) > 1)
    nodes = graph.nodes[: last + 1]
    named = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    return Graph(
        graph.name, graph.inputs, nodes[-1].outputs[:1], nodes,
        {name: type_ for name, type_ in graph.types.items() if name in named},
        {name: value for name, value in graph.constants.items() if name in named}, graph.states,
    )  # fmt: skip


@pytest.mark.parametrize("net", [name for name in NETS if name != "running_sum"])
def test_a_file_of_ours_is_read_back_the_same(net: str) -> None:
    graph = NETS[net]()
    inputs = stream(graph)
    again = load(export(graph))
    assert list(again.states) == list(graph.states)
    assert meaning(again, inputs) == meaning(graph, inputs)


@pytest.mark.parametrize("net", NETS)
def test_a_stream_is_the_same_in_c_on_host_and_boards(net: str, tmp_path: Path) -> None:
    graph = NETS[net]()
    inputs = stream(graph)
    wanted = meaning(graph, inputs)
    for name in BOARDS:
        board, folder = load_board(name), tmp_path / name
        build = compile_graph(graph, board)
        write_files(build.files, folder)
        simulation = Simulation(flash(folder, build.name, board))
        for round_ in ("from power on", "after a reset"):
            found = [raw(simulation.run(values).outputs) for values in inputs]
            assert found == wanted, f"{name}, {round_}"
            simulation.reset()
    sources = build_sources(folder, build.name)
    assert [list(outputs) for outputs in run_sanitized(sources, inputs)] == wanted
    host = HostModel(sources)
    for _ in range(2):
        assert [raw(host.run(values)[0]) for values in inputs] == wanted
        host.reset()


def test_a_second_stream_differs_without_a_reset(tmp_path: Path) -> None:
    graph = lstm_net(1)
    build = compile_graph(graph, load_board(BOARDS[0]))
    write_files(build.files, tmp_path)
    host, inputs = HostModel(build_sources(tmp_path, build.name)), stream(graph, 3)
    first = [raw(host.run(values)[0]) for values in inputs]
    assert [raw(host.run(values)[0]) for values in inputs] != first


def test_the_header_says_that_it_remembers_and_only_then() -> None:
    build = compile_graph(lstm_net(1), load_board(BOARDS[0]))
    header = build.files["include/lstm_1.h"]
    assert "#define LSTM_1_STATE_BYTES 21\n" in header
    assert "void lstm_1_reset(void);" in header


def calm(graph: Graph) -> Graph:
    """With smaller weights of gates: random ones as large as int8 allows make a small error a large one."""
    quieter = {
        name: value * np.float32(0.2) for name, value in graph.constants.items() if name in ("wx", "wh")
    }
    return replace(graph, constants={**graph.constants, **quieter})


@pytest.mark.parametrize("net", ["lstm", "lstm_odd", "svdf", "svdf_odd"])
def test_float_streams_are_those_of_litert(net: str) -> None:
    graph = calm(as_floats(NETS[net]()))
    inputs = [[value / np.float32(3)] for [value] in stream(graph)]
    session, theirs = Session(graph), in_litert(graph, inputs)
    for values, [wanted] in zip(inputs, theirs, strict=True):
        found = session.run(values)[0].reshape(-1)
        np.testing.assert_allclose(found, np.frombuffer(wanted, np.float32), atol=1e-5)


@pytest.mark.parametrize("floats", [False, True])
def test_a_float_stream_is_quantised_with_its_states(floats: bool) -> None:
    """The answers of 40 runs one after the other, of a network whose weights were int8 once."""
    graph = calm(as_floats(lstm_net(1)))
    inputs = [[value / np.float32(3)] for [value] in stream(graph)]
    samples = np.concatenate([value for [value] in inputs])
    int8 = quantise(graph, calibrate(graph, samples), float_faces=floats)
    assert {name: (t.dtype.value, t.zero_point) for name, t in int8.types.items() if name in int8.states} == {
        "h": ("int8", int8.types["memory"].zero_point), "c": ("int16", 0),
    }  # fmt: skip
    x, y = int8.types["x"], int8.types["answer"]
    one, two, worst = Session(graph), Session(int8), 0.0
    for [value] in inputs[:40]:
        given = value if floats else stored_values(value, x.scale, x.zero_point, -128, 127).astype(np.int8)
        (wanted,), (found,) = one.run([value]), two.run([given])
        real = found if floats else (found.astype(float) - y.zero_point) * y.scale
        worst = max(worst, float(np.abs(real - wanted).max()))
    assert worst < 0.05, worst
