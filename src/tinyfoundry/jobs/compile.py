"""A trained model in, proven C out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tinyfoundry.board import load_board
from tinyfoundry.errors import ModelError, OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.ir.graph import Graph
from tinyfoundry.ir.rewrite import redirect
from tinyfoundry.jobs.assemble import (
    Built,
    Job,
    compile_and_check,
    keep_board,
    prove_and_record,
    write_report,
)
from tinyfoundry.jobs.batches import as_calibration
from tinyfoundry.jobs.calibration import to_quantised
from tinyfoundry.jobs.importing import import_model
from tinyfoundry.jobs.limits import Limits, arena_bytes
from tinyfoundry.jobs.progress import Progress
from tinyfoundry.jobs.samples import sample_inputs
from tinyfoundry.jobs.workspace import Workspace, check_target
from tinyfoundry.passes.post_training import PostTraining
from tinyfoundry.pipeline import Options

FACES = ("int8", "float")


def compile_model(
    model: Any,
    board: str | Path,
    output: str | Path,
    io: str,
    limits: Limits,
    samples: int,
    seed: int,
    progress: Progress,
    calibration: Any = None,
    quantisation: PostTraining | None = None,
    example_input: Any = None,
) -> Built:
    """See ``api.compile``."""
    _check_options(io, samples, seed)
    target = load_board(board)
    check_target(Path(output), calibration if isinstance(calibration, str | Path) else None)
    progress("import", 0, 1)
    graph, orders = import_model(model, example_input)
    progress("import", 1, 1, f"{len(graph.nodes)} ops")
    options: dict[str, Any] = {"samples": samples, "seed": seed, "io": io, **asdict(limits)}
    calibration = as_calibration(calibration, orders)
    if calibration is not None:
        options["calibration"] = str(calibration)
    compiler = Options(float_faces=io == "float", arena_bytes=arena_bytes(limits.ram, target))
    job = Job(target, limits, compiler, options, progress)
    graph, how = to_quantised(graph, calibration, io == "float", seed, job.steps("calibrate"), quantisation)
    if how is not None:
        options.update(how.record())  # with the same choices verify makes the same network
    with Workspace(output, None) as workspace:
        folder = workspace.fresh()
        keep_board(board, folder)
        build = compile_and_check(job, graph, folder)
        *_, report = prove_and_record(job, build, folder, sample_inputs(build.graph, samples, seed))
        write_report(report, folder)
        if calibration is not None:  # it was quantised here
            _leave_tflite(graph, folder / f"{build.name}.tflite")
        return Built(workspace.publish(), report)


def _check_options(io: str, samples: int, seed: int) -> None:
    if io not in FACES:
        raise OptionError(f"--io '{io}': wanted int8 or float")
    if samples < 1:
        raise OptionError(f"--samples {samples}: wanted at least 1")
    if seed < 0:
        raise OptionError(f"--seed {seed}: wanted 0 or more")


def _leave_tflite(graph: Graph, path: Path) -> None:
    """Writes the network as .tflite; what the format cannot express is no reason to fail."""
    with suppress(ModelError):
        path.write_bytes(export(_by_nodes(graph)))


def _by_nodes(graph: Graph) -> Graph:
    """The graph with tensors named as the nodes that write them: a .tflite file has no names of nodes."""
    outputs = {node.name: node.outputs for node in graph.nodes}
    renamed = {
        written[0]: name
        for name, written in outputs.items()
        if len(written) == 1 and name not in graph.types and written[0] not in graph.lasting
    }
    nodes = tuple(
        replace(node, outputs=tuple(renamed.get(name, name) for name in node.outputs))
        for node in redirect(graph.nodes, renamed)
    )
    types = {renamed.get(name, name): type_ for name, type_ in graph.types.items()}
    return replace(graph, nodes=nodes, types=types)
