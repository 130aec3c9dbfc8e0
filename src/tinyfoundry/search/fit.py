"""The training loop. This file and ``twin.py`` are the ones that import torch; ``train.py`` is their face."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.passes.calibrate import Ranges
from tinyfoundry.search.augment import augment
from tinyfoundry.search.recipe import Epoch, Float32, Labelled, Recipe
from tinyfoundry.search.rounding import Measure, Rounding
from tinyfoundry.search.twin import Twin

_SLICE = 512
_WARM_UP = 0.1
# Ranges that still move would undo what the weights learn of them.
_FROZEN_FROM = 0.5


def fit(
    graph: Graph,
    samples: Labelled,
    recipe: Recipe,
    seed: int,
    threads: int,
    checkpoint: Path | None,
    progress: Callable[[Epoch], None] | None,
) -> Graph:
    """See ``train.train``."""
    with _threads(threads):
        run = _Run(graph, samples, recipe, seed)
        if checkpoint is not None and checkpoint.exists() and not run.load(checkpoint):
            run = _Run(graph, samples, recipe, seed)  # of a damaged state a part may have been taken up
        while run.part() < 1:
            epoch = run.epoch()
            if checkpoint is not None:
                run.save(checkpoint)
            if progress:
                progress(epoch)
        run.twin.eval()
        return run.twin.graph()


def tune(
    graph: Graph,
    samples: Labelled,
    recipe: Recipe,
    measure: Measure,
    seed: int,
    threads: int,
    progress: Callable[[Epoch], None] | None,
) -> tuple[Graph, Ranges]:
    """See ``train.tune``."""
    with _threads(threads):
        rounding = Rounding(graph, measure, run_fast)
        run = _Run(graph, samples, recipe, seed, rounding)
        while run.part() < 1:
            if 0 < run.part() < _FROZEN_FROM:
                rounding.refresh(run.twin.graph())
            epoch = run.epoch()
            if progress:
                progress(epoch)
        return run.twin.graph(), rounding.ranges


def predict(graph: Graph, x: Float32, threads: int) -> Float32:
    """See ``train.predict``."""
    with _threads(threads), torch.no_grad():
        twin = Twin(graph).eval()
        slices = [twin(torch.from_numpy(x[i : i + _SLICE])) for i in range(0, len(x), _SLICE)]
    logits: Float32 = torch.cat(slices).numpy()
    return logits


def run_fast(graph: Graph, x: Array, watch: Callable[[str, Array], None]) -> None:
    """See ``train.run_fast``. A softmax at the end is left out: its range is fixed."""
    with torch.no_grad():
        Twin(graph).eval()(
            torch.from_numpy(np.asarray(x, np.float32)), lambda name, y: watch(name, y.numpy())
        )


class _Run:
    """One training: the twin, its optimiser, and how many epochs are done."""

    def __init__(
        self,
        graph: Graph,
        samples: Labelled,
        recipe: Recipe,
        seed: int,
        rounding: Rounding | None = None,
    ) -> None:
        """rounding: trains the graph's own weights as int8 will see them, without batch normalisations."""
        self.samples, self.recipe, self.seed = samples, recipe, seed
        self.rounding = rounding
        self.key = _key(graph, samples, recipe, seed)
        self.twin = Twin(graph, normalise=rounding is None)
        self.done, self.seconds = 0, 0.0
        self.weight = _class_weights(samples.y, graph.types[graph.outputs[0]].shape[-1], recipe.balance)
        # Decay pulls kernels, not offsets or the gains of normalisations (Goyal et al., 2017, section 5.3).
        kernels = [p for p in self.twin.parameters() if p.ndim > 1]
        others = [p for p in self.twin.parameters() if p.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, foreach=True)

    def part(self, more_epochs: float = 0.0, more_seconds: float = 0.0) -> float:
        """How much of the training is done: 1 at the end of the epochs or of the seconds, whichever comes
        first.
        """
        by_epochs = (self.done + more_epochs) / self.recipe.epochs
        if self.recipe.seconds is None:
            return by_epochs
        return max(by_epochs, (self.seconds + more_seconds) / self.recipe.seconds)

    def epoch(self) -> Epoch:
        """Trains on every sample once, or on as many as there is time for."""
        started = time.perf_counter()
        # A generator of its own for every epoch: an interrupted training goes on with the very same numbers.
        rng = np.random.default_rng((self.seed, self.done))
        self.twin.train()
        order = rng.permutation(len(self.samples))
        steps = max(1, len(order) // self.recipe.batch)
        x = torch.from_numpy(augment(self.samples.x[order], self.recipe, rng))
        y = torch.from_numpy(self.samples.y[order])
        losses: list[float] = []
        for step, (xs, ys) in enumerate(zip(x.tensor_split(steps), y.tensor_split(steps), strict=True)):
            part = self.part(step / steps, time.perf_counter() - started)
            if part >= 1 and losses:
                break
            self._set_rate(min(part, 1.0))
            losses.append(self._step(xs, ys))
        self.done += 1
        self.seconds += time.perf_counter() - started
        part = min(self.part(), 1.0)
        return Epoch(
            self.done, round(self.done / part), float(np.mean(losses)), self.seconds * (1 / part - 1)
        )

    def _step(self, x: Tensor, y: Tensor) -> float:
        logits = self.twin(x, alter=self.rounding)
        loss = functional.cross_entropy(logits, y, self.weight, label_smoothing=self.recipe.smoothing)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _set_rate(self, part: float) -> None:
        rising = min(1.0, part / _WARM_UP + 0.02)
        falling = 0.5 * (1 + math.cos(math.pi * max(0.0, part - _WARM_UP) / (1 - _WARM_UP)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * rising * falling

    def save(self, path: Path) -> None:
        """Writes the state aside, then renames it, so that a checkpoint is never half written."""
        aside = path.with_name(path.name + ".partial")
        state = {
            "key": self.key, "done": self.done, "seconds": self.seconds,
            "twin": self.twin.state_dict(), "optimiser": self.optimiser.state_dict(),
        }  # fmt: skip
        torch.save(state, aside)
        aside.replace(path)

    def load(self, path: Path) -> bool:
        """Takes up the state in ``path``; False when the file is damaged or of another training."""
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
            if state["key"] != self.key:
                return False
            self.twin.load_state_dict(state["twin"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done, self.seconds = state["done"], state["seconds"]
        except Exception:  # noqa: BLE001 - what torch's reader raises depends on the byte that is wrong
            return False
        return True


def _class_weights(y: Array, classes: int, balance: float) -> Tensor:
    """A weight for each class; over the samples their mean is 1. Classes without samples get 0."""
    counts = np.bincount(y, minlength=classes).astype(np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -balance, 0.0)
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)


def _key(graph: Graph, samples: Labelled, recipe: Recipe, seed: int) -> str:
    digest = hashlib.sha256(
        repr((graph.nodes, sorted(graph.types.items()), replace(recipe, seconds=None), seed)).encode()
    )
    for array in (samples.x, samples.y, *(graph.constants[name] for name in sorted(graph.constants))):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
