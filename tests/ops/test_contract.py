"""What every op and every kernel must keep. A new op's tests exist as soon as it is registered."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphs import inputs_of, single
from litert import LITERT_CURVES, NodeJudge, as_convolution, as_unsigned, litert_run, unsigned
from tinyfoundry.board import Board, all_boards, load_board
from tinyfoundry.emit.c import emit_c
from tinyfoundry.emit.project import self_test
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.ir.verify import verify
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.kernel import Kernel, all_kernels, kernels_of, parse
from tinyfoundry.op import Op, Sample, all_ops, check_call, verify_ops
from tinyfoundry.pipeline import plan_graph
from tinyfoundry.plan.planner import PlanOptions
from tinyfoundry.plan.validate import validate
from tinyfoundry.prepared import literals_of, literals_of_call
from tinyfoundry.simulate.firmware import flash
from tinyfoundry.simulate.simulation import Simulation

OPS = [pytest.param(op, id=op.name) for op in all_ops()]
RANDOM_INPUTS = 5
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def samples_of(op: Op) -> list[Sample]:
    return list(op.samples(np.random.default_rng(7)))


def meanings(graph: Graph) -> tuple[list[list[Array]], list[list[Array]]]:
    inputs = inputs_of(graph, np.random.default_rng(11), RANDOM_INPUTS)
    return inputs, [interpret(graph, values) for values in inputs]


def boards_of(kernel: Kernel) -> list[str]:
    """Boards to run a kernel on: of portable C one for each instruction set, else one of each core that has
    what it needs.
    """
    if not kernel.isa:
        return ["raspberry-pi-pico", "nucleo-f446re", "esp32-c3-devkitm-1"]  # Armv6-M, Armv7E-M, RV32IMC
    able = [board for board in all_boards() if kernel.isa <= set(board.core.features)]
    return list({board.core.name: board.name for board in able}.values())


@pytest.mark.parametrize("op", OPS)
def test_samples_are_legal_calls(op: Op) -> None:
    """An op's own samples obey its rules, have different names, and there are several."""
    samples = samples_of(op)
    assert len({sample.label for sample in samples}) == len(samples) >= 3
    for sample in samples:
        assert check_call(op, sample.call) == [], sample.label
        verify_ops(verify(single(op, sample)))


@pytest.mark.parametrize("op", OPS)
def test_reference_gives_what_its_types_say(op: Op) -> None:
    """A reference's results have the call's shapes and element types, and equal inputs give equal results."""
    for sample in samples_of(op):
        graph = single(op, sample)
        inputs, outputs = meanings(graph)
        for values in outputs:
            types = [graph.types[name] for name in graph.outputs]
            assert [(v.shape, str(v.dtype)) for v in values] == [(t.shape, t.dtype) for t in types], (
                sample.label
            )
        again = interpret(graph, inputs[0])
        assert all(np.array_equal(a, b) for a, b in zip(again, outputs[0], strict=True)), sample.label
        assert op.macs(sample.call) >= 0


@pytest.mark.parametrize("op", OPS)
def test_reference_equals_litert(op: Op) -> None:
    """Every sample gives the bytes of LiteRT's reference kernels.

    LiteRT's own dense kernels round otherwise than a microcontroller's; one pixel's convolution judges them.
    """
    for sample in samples_of(op):
        if op.name == "curve" and sample.call.attrs.function not in LITERT_CURVES:
            continue  # LiteRT has none; tests/ops/test_curve.py holds each against another library
        graph = single(op, sample)
        if op.carried:
            assert_equal_to_node_judge(graph, f"{op.name}: {sample.label}")
            continue
        judged = as_convolution(graph) if op.name == "dense" else as_unsigned(graph)
        model = export(judged)
        for values, wanted in zip(*meanings(graph), strict=True):
            shaped = [v.reshape(judged.types[n].shape) for v, n in zip(values, judged.inputs, strict=True)]
            results = unsigned(graph, litert_run(model, unsigned(graph, shaped)))
            for got, want in zip(results, wanted, strict=True):
                np.testing.assert_array_equal(got.reshape(want.shape), want, f"{op.name}: {sample.label}")


def assert_equal_to_node_judge(graph: Graph, label: str) -> None:
    """An op that carries something on: LiteRT keeps that to itself, so it is written there first."""
    judge = NodeJudge(graph, graph.nodes[0])
    for values, wanted in zip(*meanings(graph), strict=True):
        got = judge.run({**graph.constants, **dict(zip(graph.inputs, values, strict=True))})
        for name, want in zip(graph.outputs, wanted, strict=True):
            np.testing.assert_array_equal(got[name], want, f"{label}, {name}")


@pytest.mark.parametrize("op", [p for p in OPS if not p.values[0].view])
def test_every_kernel_equals_the_reference_under_sanitizers(op: Op, tmp_path: Path) -> None:
    """Each kernel, on each sample it accepts, as emitted C with address and undefined-behaviour checks."""
    tests = []
    for sample in samples_of(op):
        graph = single(op, sample)
        literals = literals_of(graph, graph.nodes[0])
        for kernel in kernels_of(op.name):
            # Kernels for an instruction set compile everywhere: there are twins in C for what they use.
            if kernel.accepts(sample.call, literals, kernel.isa):
                tests.append(write_self_test(graph, kernel, tmp_path))
    assert tests, f"no kernel of {op.name} accepts any of its samples"
    main = "".join(f"int {t}_main(void);\n" for t in tests)
    main += "int main(void)\n{\n    return " + " + ".join(f"{t}_main()" for t in tests) + ";\n}\n"
    (tmp_path / "main.c").write_text(main)
    program = build(tmp_path, tests)
    result = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    assert result.stdout.count(" golden samples differ") == len(tests)


def write_self_test(graph: Graph, kernel: Kernel, folder: Path) -> str:
    """Writes the C of ``graph`` with this kernel and its self-test; returns the name of both."""
    name = f"{graph.name}_{kernel.name}"
    renamed = Graph(name, graph.inputs, graph.outputs, graph.nodes, graph.types, graph.constants)
    kernels = {graph.nodes[0].name: kernel}
    planned = plan_graph(renamed, kernels)
    validate(planned)
    files = {**emit_c(planned, kernels), f"{name}_test.c": self_test(name, *meanings(renamed))}
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text.replace("int main(void)", f"int {name}_main(void)"))
    return name


def build(folder: Path, tests: list[str]) -> Path:
    """One sanitised program of all self-tests, warnings being errors."""
    sources = [str(path) for path in [*folder.glob("src/*.c"), *folder.glob("*.c")]]
    declare = [f"-include{folder / 'declare.h'}"]
    (folder / "declare.h").write_text("".join(f"int {t}_main(void);\n" for t in tests))
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{folder / 'include'}", *SANITIZE, *declare]
    result = subprocess.run(
        ["cc", *flags, *sources, "-o", str(folder / "program")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder / "program"


def accepted(kernel: Kernel) -> list[tuple[Op, Sample]]:
    """Every sample that a kernel accepts, of every op that uses it."""
    return [
        (op, sample)
        for op in all_ops()
        if kernel.op in (op.name, op.kernel_folder) and not op.view
        for sample in samples_of(op)
        if kernel.accepts(sample.call, literals_of_call(op, sample.call, sample.constants), kernel.isa)
    ]


def side_by_side(name: str, graphs: list[Graph]) -> Graph:
    """One graph of many that have nothing to do with each other: node i is that of graph i."""

    def renamed(i: int, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"n{i}_{tensor}" for tensor in names)

    numbered = list(enumerate(graphs))
    nodes = [
        replace(g.nodes[0], name=f"n{i}", inputs=renamed(i, g.nodes[0].inputs),
                outputs=renamed(i, g.nodes[0].outputs))
        for i, g in numbered
    ]  # fmt: skip
    return Graph(
        name,
        tuple(tensor for i, g in numbered for tensor in renamed(i, g.inputs)),
        tuple(tensor for i, g in numbered for tensor in renamed(i, g.outputs)),
        tuple(nodes),
        {f"n{i}_{tensor}": type_ for i, g in numbered for tensor, type_ in g.types.items()},
        {f"n{i}_{tensor}": value for i, g in numbered for tensor, value in g.constants.items()},
    )


def differing_on_board(kernel: Kernel, board: Board, folder: Path) -> set[str]:
    """Labels of the samples that come out otherwise than by the reference on a simulated board."""
    calls = accepted(kernel)
    graph = side_by_side(kernel.name, [single(op, sample) for op, sample in calls])
    kernels = {node.name: kernel for node in graph.nodes}
    planned = plan_graph(graph, kernels, PlanOptions(reorder=False))
    validate(planned)
    write_files(emit_c(planned, kernels), folder)
    simulation = Simulation(flash(folder, graph.name, board))
    owners = [label for op, sample in calls for label in [f"{op.name} {sample.label}"] * len(op.outputs)]
    differing = set()
    for values, wanted in zip(*meanings(graph), strict=True):
        result = simulation.run(values)
        assert result.status == 0
        raw = zip(owners, result.outputs, wanted, strict=True)
        differing |= {label for label, got, want in raw if got.tobytes() != want.tobytes()}
    return differing


@pytest.mark.parametrize(
    ("kernel", "board"),
    [pytest.param(k, board, id=f"{k.name}-{board}") for k in all_kernels() for board in boards_of(k)],
)
def test_every_kernel_equals_the_reference_on_a_simulated_board(
    kernel: Kernel, board: str, tmp_path: Path
) -> None:
    """Each kernel on each sample it accepts, cross-compiled, on a core that has the features it asks for."""
    assert differing_on_board(kernel, load_board(board), tmp_path) == set()


def test_an_isa_kernel_joins_the_simulated_boards(tmp_path: Path) -> None:
    """The one of docs/add-a-kernel.md is run on a board of every core that has the DSP extension; a mistake
    in it is found.
    """
    page = (Path(__file__).parents[2] / "docs" / "add-a-kernel.md").read_text("utf-8")
    blocks = re.findall(r"^```c\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (text,) = (block for block in blocks if "void dense_dsp_s8(" in block)
    kernel = parse(text, "dense", "dense_dsp_s8")
    boards = [load_board(name) for name in boards_of(kernel)]
    assert {board.core.name for board in boards} == {"cortex-m4", "cortex-m7", "cortex-m33"}
    for board in boards:
        assert differing_on_board(kernel, board, tmp_path / board.name) == set()
    wrong = replace(kernel, text=kernel.text.replace("x_odd = xv >> 8", "x_odd = xv >> 9"))
    assert "dense scale_a_channel" in differing_on_board(wrong, boards[0], tmp_path / "wrong")


def test_every_kernel_is_reached_by_a_sample() -> None:
    """A kernel that no sample of its op exercises would be untested, and so would one for no board."""
    assert [kernel.name for kernel in all_kernels() if not (accepted(kernel) and boards_of(kernel))] == []


def test_every_op_has_a_portable_kernel_or_is_a_view() -> None:
    """Generic C comes first: no core is half supported."""
    without = {op.name for op in all_ops() if all(kernel.isa for kernel in kernels_of(op.name))}
    assert without == {op.name for op in all_ops() if op.view}


@pytest.mark.parametrize("op", OPS)
def test_a_wrong_call_is_refused(op: Op) -> None:
    """A call with the wrong output shape or with foreign attributes gives a complaint."""
    sample = samples_of(op)[0]
    call, y = sample.call, sample.call.y
    bigger = type(y)((*y.shape[:-1], y.shape[-1] + 1), y.dtype, y.quant)
    assert check_call(op, type(call)(call.attrs, call.inputs, (bigger, *call.outputs[1:])))
    assert check_call(op, type(call)(object(), call.inputs, call.outputs))
    assert check_call(op, type(call)(call.attrs, (), call.outputs))
