"""What torch does for this project: train, predict, run fast. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType

import numpy as np

from tinyfoundry.errors import DataError, ToolError
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.passes.calibrate import Ranges
from tinyfoundry.passes.observe import Observer
from tinyfoundry.search.recipe import Epoch, Float32, Labelled, Recipe


def train(
    graph: Graph,
    samples: Labelled,
    recipe: Recipe,
    *,
    seed: int = 0,
    threads: int = 1,
    checkpoint: Path | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Graph:
    """``graph`` (float32, one input [1, H, W, C], one output [1, classes]) with trained weights.

    threads: of torch. On two cores that other programs use too, two threads took up to ten times as long as
    one. checkpoint: file rewritten after every epoch; a rerun of the same training goes on from it, and gives
    the same weights as one without a break. A checkpoint that is damaged or of another training (graph,
    recipe, samples, seed) is started over.

    Raises:
        DataError: samples do not go with the graph, or hold a NaN or an infinity. ToolError: torch is not
        installed. ModelError: the graph cannot be trained (see ``Twin``).
    """
    check_samples(graph, samples)
    trained: Graph = _torch().fit(graph, samples, recipe, seed, threads, checkpoint, progress)
    return trained


def tune(
    graph: Graph,
    samples: Labelled,
    recipe: Recipe,
    *,
    calibration: Float32,
    observer: Observer = Observer.MSE,
    known: Ranges = MappingProxyType({}),
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[Graph, Ranges]:
    """Quantisation-aware training: a *trained* ``graph`` trained on with its weights and activations rounded
    as int8 will round them; the new float graph, and the ranges to quantise it with.

    Batch normalisations are folded already, so they act with their running statistics. The ranges are
    measured on ``calibration`` (n, H, W, C) by ``observer`` at the start of each epoch and frozen half-way;
    those in ``known`` are given. recipe: its rate should be a small part of the first training's, see
    ``tuning``.

    Raises:
        as ``train``.
    """
    check_samples(graph, samples)
    fit = _torch()
    measure = fit.Measure(calibration, observer, known)
    tuned: tuple[Graph, Ranges] = fit.tune(graph, samples, recipe, measure, seed, threads, progress)
    return tuned


def tuning(recipe: Recipe, epochs: int, seconds: float | None = None) -> Recipe:
    """The recipe for ``tune`` after a training by ``recipe``: a twentieth of its rate."""
    return replace(recipe, epochs=epochs, seconds=seconds, rate=recipe.rate / 20)


def predict(graph: Graph, x: Float32, threads: int = 1) -> Float32:
    """Outputs (N, classes) of a float graph for many samples; logits where it ends in a softmax. By torch, so
    fast.
    """
    logits: Float32 = _torch().predict(graph, x, threads)
    return logits


def accuracy(graph: Graph, samples: Labelled, threads: int = 1) -> float:
    """Share of ``samples`` for which a float graph's largest output is the right class."""
    check_samples(graph, samples)
    return float(np.mean(predict(graph, samples.x, threads).argmax(1) == samples.y))


def run_fast(graph: Graph, x: Array, watch: Callable[[str, Array], None]) -> None:
    """Shows ``watch`` every activation of a float graph, in NHWC with the batch of ``x``: fast runs for
    ``calibrate``.
    """
    _torch().run_fast(graph, x, watch)


def check_samples(graph: Graph, samples: Labelled) -> None:
    """Refuses samples that do not go with ``graph``.

    Raises:
        DataError: says which of shape, number, classes or values is wrong.
    """
    wanted, classes = graph.types[graph.inputs[0]].shape[1:], graph.types[graph.outputs[0]].shape[-1]
    where = f"samples for graph '{graph.name}'"
    if samples.x.shape[1:] != wanted:
        raise DataError(f"{where}: found shape {samples.x.shape[1:]}; wanted {wanted}; reshape the data")
    if len(samples.x) != len(samples.y) or not len(samples.y):
        raise DataError(
            f"{where}: found {len(samples.x)} samples and {len(samples.y)} labels; wanted as many, above 0"
        )
    low, high = int(samples.y.min()), int(samples.y.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{where}: found labels {low} to {high}; wanted 0 to {classes - 1}; number the classes from 0"
        )
    if not np.isfinite(samples.x).all():
        raise DataError(f"{where}: found a NaN or an infinity; wanted finite numbers; clean the data")


def _torch() -> ModuleType:
    try:
        from tinyfoundry.search import fit  # noqa: PLC0415 - torch is optional and slow to import
    except ImportError as error:
        raise ToolError(
            "training: found no Python package torch; wanted it; run: pip install 'tinyfoundry[train]'"
        ) from error
    return fit
