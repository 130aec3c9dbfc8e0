"""A data set in, proven firmware out: load, search, train, quantise, compile, simulate, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tinyfoundry.board import Board, load_board
from tinyfoundry.data import Dataset, Splits, load, split
from tinyfoundry.data import Options as DataOptions
from tinyfoundry.errors import OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import entering
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.assemble import (
    Built,
    Job,
    compile_and_check,
    keep_board,
    prove_and_record,
    write_report,
)
from tinyfoundry.jobs.int8 import better_int8
from tinyfoundry.jobs.limits import Limits, arena_bytes
from tinyfoundry.jobs.measure import Raw
from tinyfoundry.jobs.progress import Progress
from tinyfoundry.jobs.search import Found, search
from tinyfoundry.jobs.workspace import Workspace, check_target
from tinyfoundry.pipeline import Options
from tinyfoundry.search.recipe import Epoch, Labelled, Recipe, recipe_for
from tinyfoundry.search.train import accuracy, train

SEARCH_SHARE, TRAIN_SHARE, TUNE_SHARE = 0.55, 0.30, 0.05
"""Shares of the budget; the rest is for quantising, compiling and the test set on the simulated board."""


@dataclass(frozen=True)
class Request:
    """What the user asked for. budget: seconds for search and training together."""

    data: str
    board: Board
    budget: float
    limits: Limits
    seed: int
    kind: str | None

    def options(self) -> dict[str, Any]:
        """For the report, and to know a resumable run by."""
        return {
            "data": self.data,
            "budget_s": self.budget,
            "seed": self.seed,
            "kind": self.kind,
            **asdict(self.limits),
        }


def build_from_data(
    data: str | Path,
    board: str | Path,
    output: str | Path,
    budget: float,
    limits: Limits,
    seed: int,
    kind: str | None,
    progress: Progress,
) -> Built:
    """See ``api.build``."""
    if not budget > 0:
        raise OptionError(f"--budget {budget:g}: wanted seconds above 0")
    if seed < 0:
        raise OptionError(f"--seed {seed}: wanted 0 or more")
    request = Request(str(data), load_board(board), budget, limits, seed, kind)
    check_target(Path(output), data)
    dataset = load(data, seed=seed, options=_data_options(kind), progress=lambda d, t: progress("load", d, t))
    splits = split(dataset)
    shape = "×".join(map(str, dataset.input_shape))
    progress("load", 1, 1, f"{len(dataset.y):,} samples of {shape}, {len(dataset.classes)} classes")
    key = {**request.options(), "board": asdict(request.board), "fingerprint": dataset.fingerprint}
    compiler = Options(arena_bytes=arena_bytes(limits.ram, request.board))
    job = Job(request.board, limits, compiler, request.options(), progress)
    with Workspace(output, {**key, "tinyfoundry": version("tinyfoundry")}) as workspace:
        found = search(job, request.seed, SEARCH_SHARE * budget, splits, workspace)
        recipe = recipe_for(dataset.kind, dataset.input_shape, len(splits.train), epochs=200)
        floating = _train(job, request, found, splits, recipe, workspace.folder)
        graph = better_int8(job, floating, splits, recipe, TUNE_SHARE * budget, request.seed)
        folder = workspace.fresh()
        keep_board(board, folder)
        report = {**_proven(job, floating, graph, splits, folder), "search": found.record()}
        write_report(report, folder)
        return Built(workspace.publish(), report)


def _data_options(kind: str | None) -> DataOptions:
    if kind not in {None, "image", "audio", "series"}:
        raise OptionError(f"--kind '{kind}': wanted image, audio or series")
    return DataOptions(kind=kind)  # type: ignore[arg-type]  # checked just above


def _train(job: Job, request: Request, found: Found, splits: Splits, recipe: Recipe, folder: Path) -> Graph:
    """The winner, trained at length on the training part."""
    timed = replace(recipe, seconds=TRAIN_SHARE * request.budget)

    def told(epoch: Epoch) -> None:
        job.progress("train", epoch.done, epoch.total, f"loss {epoch.loss:.3f}")

    samples = Labelled(splits.train.x, splits.train.y)
    graph = train(
        found.network, samples, timed, seed=request.seed, checkpoint=folder / "train.pt", progress=told
    )
    score = accuracy(graph, Labelled(splits.validation.x, splits.validation.y))
    job.progress("train", 1, 1, f"validation accuracy {100 * score:.1f} %")
    return graph


def _proven(job: Job, floating: Graph, graph: Graph, splits: Splits, folder: Path) -> dict[str, Any]:
    """Compiles the int8 ``graph`` into ``folder``, runs the test part on the board; the report without the
    search.
    """
    test = splits.test
    build = compile_and_check(job, graph, folder)
    measured, proof, report = prove_and_record(job, build, folder, stored_inputs(build.graph, test.x))
    (folder / f"{build.name}.tflite").write_bytes(export(graph))
    answers = {"int8": proof.host, "board": measured.outputs}
    scores = scored(answers, test.y, splits.dataset.classes)
    scores["accuracy"] = {"float": accuracy(floating, Labelled(test.x, test.y)), **scores["accuracy"]}
    return {**report, **scores, "data": _described(splits.dataset, build.graph)}


def stored_inputs(graph: Graph, x: Array) -> list[list[Array]]:
    """Real samples as the sets of stored inputs that a user of the firmware would write."""
    return [[sample[None]] for sample in entering(graph.types[graph.inputs[0]], x)]


def scored(
    answers: Mapping[str, Sequence[Sequence[Raw]]], labels: Array, classes: Sequence[str]
) -> dict[str, Any]:
    """Accuracies on the test part, and the confusion matrix of the board.

    answers: raw bytes of each output of each sample: "int8" of the int8 network on the host, "board" of the
    firmware. labels: the right class of each sample.
    """
    picked = {where: np.array([np.argmax(outputs[0]) for outputs in each]) for where, each in answers.items()}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (labels, picked["board"]), 1)
    right = {where: float(np.mean(each == labels)) for where, each in picked.items()}
    return {
        "accuracy": {**right, "samples": len(labels)},
        "confusion": {"classes": list(classes), "counts": counts.tolist()},
    }


def _described(dataset: Dataset, graph: Graph) -> dict[str, Any]:
    """Where the data came from and how a recording becomes the network's input.

    input: the stored value is round(gain * raw + offset), a pair for every channel or one for all.
    """
    parts = np.bincount(dataset.part, minlength=3).tolist()
    face = graph.types[graph.inputs[0]]
    gain, offset = dataset.frontend.affine(face.scale, face.zero_point)
    return {
        "source": dataset.where, "kind": dataset.kind, "classes": list(dataset.classes),
        "samples": dict(zip(("train", "validation", "test"), parts, strict=True)),
        "front_end": dataset.frontend.text(), "parameters": dataset.frontend.record(),
        "input": {"gain": gain.tolist(), "offset": offset.tolist()}, "fingerprint": dataset.fingerprint,
    }  # fmt: skip
