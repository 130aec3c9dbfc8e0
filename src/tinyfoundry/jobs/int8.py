"""The int8 network of a build: quantised after training, and trained on as int8 where that helps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyfoundry.board import Board
from tinyfoundry.data import Splits
from tinyfoundry.errors import Mismatch
from tinyfoundry.interpret import entering
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.assemble import Job
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.passes.calibrate import Watch
from tinyfoundry.passes.observe import Range
from tinyfoundry.passes.post_training import PostTraining, Quantised, post_training
from tinyfoundry.pipeline import compile_graph
from tinyfoundry.search.recipe import Epoch, Labelled, Recipe
from tinyfoundry.search.train import accuracy, run_fast, tune, tuning
from tinyfoundry.simulate.firmware import build_sources
from tinyfoundry.simulate.host import HostModel

CALIBRATION = 500
TUNING_EPOCHS = 10


def quantised(floating: Graph, splits: Splits, options: PostTraining | None = None) -> Quantised:
    """The int8 network, calibrated on training samples; its input covers all that the front end can give."""
    known = {floating.inputs[0]: Range(*splits.dataset.frontend.range)}
    sets = [splits.train.x[:CALIBRATION, None]]
    return post_training(floating, sets, options, run=_run_fast, known=known)


def tuned(
    floating: Graph,
    first: Quantised,
    splits: Splits,
    recipe: Recipe,
    seed: int,
    job: Job,
) -> Quantised:
    """``first`` after quantisation-aware training by ``recipe`` of the float network that it came from."""
    observer = first.how.observer
    assert observer is not None

    def told(epoch: Epoch) -> None:
        job.progress("tune", epoch.done, epoch.total, f"loss {epoch.loss:.3f}")

    graph, ranges = tune(
        floating,
        Labelled(splits.train.x, splits.train.y),
        recipe,
        calibration=splits.train.x[:CALIBRATION],
        observer=observer,
        known={floating.inputs[0]: Range(*splits.dataset.frontend.range)},
        seed=seed,
        progress=told,
    )
    # The weights have learned these ranges, and the means that their rounding leaves.
    how = PostTraining(observer, equalise=False, correct_bias=False)
    sets = [splits.train.x[:CALIBRATION, None]]
    return post_training(graph, sets, how, run=_run_fast, known=ranges)


def better_int8(
    job: Job, floating: Graph, splits: Splits, recipe: Recipe, seconds: float, seed: int
) -> Graph:
    """The int8 network with the higher validation accuracy: quantised after training, or trained on as int8.

    The second is tried only where the first is worse than the float network, for ``seconds`` at most.
    """
    job.progress("quantise", 0, 1)
    first = quantised(floating, splits)
    validation = Labelled(splits.validation.x, splits.validation.y)
    wanted, before = accuracy(floating, validation), host_accuracy(first.graph, job.board, validation)
    note = f"{first.how.text()}; validation accuracy {100 * before:.1f} %, float {100 * wanted:.1f} %"
    job.progress("quantise", 1, 1, note)
    if before >= wanted:
        return first.graph
    timed = tuning(recipe, TUNING_EPOCHS, seconds)
    second = tuned(floating, first, splits, timed, seed, job)
    after = host_accuracy(second.graph, job.board, validation)
    kept = f"{100 * after:.1f} % after tuning" + ("" if after > before else "; kept as it was before")
    job.progress("tune", 1, 1, f"validation accuracy {kept}")
    return second.graph if after > before else first.graph


def host_accuracy(graph: Graph, board: Board, samples: Labelled) -> float:
    """Share of ``samples`` that the compiled C of an int8 ``graph`` gets right on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = host_outputs(graph, board, entering(graph.types[graph.inputs[0]], samples.x), Path(folder))
    return float(np.mean([int(np.argmax(each)) for each in outputs] == samples.y))


def host_outputs(graph: Graph, board: Board, stored: Array, folder: Path) -> Sequence[Array]:
    """The only output, as stored values, for each of the stored inputs, of C compiled into ``folder``."""
    build = compile_graph(graph, board)
    write_files(build.files, folder)
    host = HostModel(build_sources(folder, build.name))
    found = []
    for sample in stored:
        (output, *_), status = host.run([sample])
        if status:
            raise Mismatch(f"model '{build.name}': the host build returned {status}; wanted 0; report it")
        found.append(output)
    return found


def _run_fast(graph: Graph, sets: Sequence[Array], watch: Watch) -> None:
    run_fast(graph, sets[0][:, 0], watch)
