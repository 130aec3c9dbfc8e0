"""The second half of every job: from a graph to a folder with C, golden samples and a report, all of it
proven.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyfoundry.board import Board
from tinyfoundry.emit.project import self_test
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.limits import Limits, require
from tinyfoundry.jobs.measure import Measured, as_values, measure, write_files, zeros
from tinyfoundry.jobs.progress import Progress
from tinyfoundry.jobs.prove import Proof, prove
from tinyfoundry.jobs.record import record
from tinyfoundry.jobs.workspace import replace_file
from tinyfoundry.pipeline import Build, Options, compile_graph
from tinyfoundry.report.page import page

GOLDEN = 4
INTERPRETED = 20


@dataclass(frozen=True)
class Built:
    """A finished build: its folder, and the contents of its ``report.json``."""

    folder: Path
    report: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What every step of a job needs to know. options: what the user chose, for the report."""

    board: Board
    limits: Limits
    compiler: Options
    options: Mapping[str, Any]
    progress: Progress

    def steps(self, stage: str) -> Callable[[int, int], None]:
        """A callback for parts that know nothing of stages."""
        return lambda done, total: self.progress(stage, done, total)


def compile_and_check(job: Job, graph: Graph, folder: Path) -> Build:
    """Compiles into ``folder``, runs one inference, and refuses what the limits do not allow before longer
    runs begin.
    """
    job.progress("compile", 0, 1)
    build = compile_graph(graph, job.board, job.compiler)
    write_files(build.files, folder)
    require(measure(build, folder, [zeros(build)]), job.limits.on(job.board))
    slower = f", {build.leaner} of them slower to fit the RAM" if build.leaner else ""
    job.progress(
        "compile", 1, 1, f"{len(build.layers)} layers{slower}, arena {build.planned.arena_bytes:,} B"
    )
    return build


def prove_and_record(
    job: Job, build: Build, folder: Path, inputs: Sequence[Sequence[Array]]
) -> tuple[Measured, Proof, dict[str, Any]]:
    """Runs ``inputs`` on the simulated board, the host and the reference; writes golden samples; gives what
    board and host answered, and the report.
    """
    measured = measure(build, folder, inputs, job.steps("simulate"))
    require(measured, job.limits.on(job.board))
    proof = prove(measured, folder, inputs, INTERPRETED, job.steps("prove"))
    _write_golden(build, folder, inputs[:GOLDEN], measured)
    return measured, proof, record(measured, proof, job.limits, job.options)


def keep_board(board: str | Path, folder: Path) -> None:
    """Copies a user's own board into the build, which can then be run wherever it is taken."""
    if str(board).endswith(".toml"):
        shutil.copyfile(board, folder / Path(board).name)


def write_report(
    report: Mapping[str, Any], folder: Path, certificate: Mapping[str, Any] | None = None
) -> None:
    """``report.json`` and ``report.html``; the page shows the certificate where there is one."""
    replace_file(folder / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    replace_file(folder / "report.html", page(report, certificate))


def _write_golden(build: Build, folder: Path, inputs: Sequence[Sequence[Array]], measured: Measured) -> None:
    golden = folder / "golden"
    golden.mkdir()
    outputs = [
        [
            as_values(raw, build.graph.types[name].shape, build.graph.types[name].dtype.value)
            for raw, name in zip(raws, build.graph.outputs, strict=True)
        ]
        for raws in measured.outputs[: len(inputs)]
    ]
    text = self_test(build.name, inputs, outputs, remembers=bool(build.graph.states))
    (golden / "self_test.c").write_text(text, encoding="utf-8")
    for kind, samples in (("input", inputs), ("output", outputs)):
        for index in range(len(samples[0])):
            np.save(golden / f"{kind}{index}.npy", np.stack([sample[index] for sample in samples]))
