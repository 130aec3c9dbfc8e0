"""Post-training quantisation from end to end: equalise, calibrate, quantise, correct the biases.

What is left open is tried, and what brings the answers on the calibration samples nearest to the float ones
is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyfoundry.errors import OptionError
from tinyfoundry.interpret import Session, entering, interpret, leaving
from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.passes.bias_correction import correct_biases
from tinyfoundry.passes.calibrate import Ranges, Run, Watch, answers, histograms, in_slices, spread
from tinyfoundry.passes.equalise import channel_peaks, equalise
from tinyfoundry.passes.observe import Observer
from tinyfoundry.passes.quantise import quantise

RunSets = Callable[[Graph, Sequence[Array], Watch], None]
"""Runs a float graph on samples, one array [n, *shape] for each input, and shows every activation by name."""

# Samples that choices are judged by, and that biases are corrected with. Both average over many values each.
_JUDGED_ON = 48
_CORRECTED_ON = 128
_ACTIVATIONS = {"int8": DType.INT8, "int16": DType.INT16}


@dataclass(frozen=True)
class PostTraining:
    """How a float graph is quantised. None: whatever has the least error on the calibration samples.

    observer: what ranges are made by. equalise: even out channels first (``equalise``). correct_bias: take
    mean errors out of the biases last (``correct_biases``). activations: int8, or int16 for TensorFlow Lite's
    16x8 scheme, whose steps are so fine that ranges clip nothing unless an observer is asked for.
    """

    observer: Observer | None = None
    equalise: bool | None = None
    correct_bias: bool | None = None
    activations: DType = DType.INT8

    def text(self) -> str:
        """What was chosen, in words."""
        parts = [str(self.observer or "any observer")]
        parts += ["equalised"] if self.equalise else []
        parts += ["biases corrected"] if self.correct_bias else []
        return ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """For a report; ``recorded`` reads it."""
        observer = None if self.observer is None else str(self.observer)
        return {
            "observer": observer,
            "equalise": self.equalise,
            "bias_correction": self.correct_bias,
            "activations": str(self.activations),
        }

    @staticmethod
    def recorded(record: Mapping[str, Any]) -> PostTraining:
        """What ``record`` wrote; values that it did not write are left open."""
        name = record.get("observer")
        even, correct = (record.get(key) for key in ("equalise", "bias_correction"))
        return PostTraining(
            Observer(name) if isinstance(name, str) and name in set(Observer) else None,
            even if isinstance(even, bool) else None,
            correct if isinstance(correct, bool) else None,
            DType.INT16 if record.get("activations") == "int16" else DType.INT8,
        )

    def observers(self) -> tuple[Observer, ...]:
        """Those to try."""
        if self.observer is not None:
            return (self.observer,)
        return (Observer.MIN_MAX,) if self.activations is DType.INT16 else tuple(Observer)

    def runs(self) -> int:
        """How often ``post_training`` runs a float graph on all samples; a few smaller runs come on top."""
        return {None: 5, False: 2, True: 3}[self.equalise]


def activations_of(name: str) -> DType:
    """The element type of activations called ``name``.

    Raises:
        OptionError: it is neither int8 nor int16.
    """
    if name not in _ACTIVATIONS:
        raise OptionError(f"--activations '{name}': wanted {' or '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


@dataclass(frozen=True)
class Quantised:
    """graph: int8, or int16. floating: has the same tensors in the same scale. how: what was done."""

    floating: Graph
    graph: Graph
    how: PostTraining


def post_training(
    graph: Graph,
    sets: Sequence[Array],
    options: PostTraining | None = None,
    *,
    run: RunSets | None = None,
    known: Ranges = MappingProxyType({}),
    float_faces: bool = False,
) -> Quantised:
    """The int8 form of a float32 ``graph``, or its 16x8 form.

    sets: calibration samples, for each input an array [n, *shape]. run: how to run float graphs; the default
    is the reference interpreter. known: ranges that are given and not measured.

    Raises:
        OptionError: there are no samples. GraphError: an activation is not finite, or the graph has no such
        form.
    """
    wanted, runner = _for(graph, options or PostTraining()), run or Interpreter()
    found = _candidates(graph, sets, wanted, runner, known, float_faces)
    judge = _Judge(graph, sets, runner)
    best = found[0] if len(found) == 1 else min(found, key=judge.error)
    if wanted.correct_bias is False:
        return best
    few = _spread(sets, _CORRECTED_ON)
    better = correct_biases(best.floating, best.graph, few, _by_index(few, runner))
    corrected = replace(best, graph=better, how=replace(best.how, correct_bias=True))
    keep = wanted.correct_bias or judge.error(corrected) < judge.error(best)
    return corrected if keep else best


class Interpreter:
    """Runs samples by the reference, one at a time. A graph that remembers goes on where its last run ended,
    until another graph is run.
    """

    def __init__(self) -> None:
        self._session: Session | None = None

    def __call__(self, graph: Graph, sets: Sequence[Array], watch: Watch) -> None:
        """See ``RunSets``."""
        if self._session is None or self._session.graph is not graph:
            self._session = Session(graph)
        for inputs in zip(*sets, strict=True):
            pairs = zip(graph.inputs, inputs, strict=True)
            self._session.run([entering(graph.types[name], x) for name, x in pairs], watch)


def _for(graph: Graph, wanted: PostTraining) -> PostTraining:
    """What can be tried: samples of a graph that remembers cannot be judged apart from each other."""
    if not graph.states:
        return wanted
    if wanted.correct_bias:
        raise OptionError(
            f"--bias-correction: model '{graph.name}' has states; wanted one without; leave the option out"
        )
    observer = wanted.observer or Observer.MIN_MAX
    return replace(wanted, observer=observer, equalise=bool(wanted.equalise), correct_bias=False)


def _candidates(
    graph: Graph,
    sets: Sequence[Array],
    wanted: PostTraining,
    run: RunSets,
    known: Ranges,
    float_faces: bool,
) -> list[Quantised]:
    """Every combination of observer and equalisation that ``wanted`` leaves open, biases as they are."""
    found: list[Quantised] = []
    samples, by_index = np.arange(len(sets[0])), _by_index(sets, run)
    for even in (False, True) if wanted.equalise is None else (wanted.equalise,):
        floating = equalise(graph, _peaks(graph, samples, by_index)) if even else graph
        if found and floating is graph:
            break  # there is nothing to equalise
        seen = histograms(floating, samples, by_index)
        for observer in wanted.observers():
            ranges = {**{name: each.range(observer) for name, each in seen.items()}, **known}
            int8 = quantise(floating, ranges, float_faces=float_faces, activations=wanted.activations)
            how = replace(wanted, observer=observer, equalise=even, correct_bias=False)
            found.append(Quantised(floating, int8, how))
    return found


class _Judge:
    """Holds quantised graphs against the float answers for a few of the samples."""

    def __init__(self, graph: Graph, sets: Sequence[Array], run: RunSets) -> None:
        self._sets = _spread(sets, _JUDGED_ON)
        self._run = run
        self._names = answers(graph)

    def error(self, candidate: Quantised) -> float:
        """Squared error of the answers in parts of their power, summed over the answers."""
        # The candidate's own float graph: equalisation may have scaled what feeds a softmax.
        wanted: dict[str, list[Array]] = {name: [] for name in self._names}
        self._run(candidate.floating, self._sets, partial(_keep, wanted))
        found: dict[str, list[Array]] = {name: [] for name in self._names}
        graph = candidate.graph
        for sample in zip(*self._sets, strict=True):
            pairs = zip(graph.inputs, sample, strict=True)
            interpret(graph, [entering(graph.types[name], x) for name, x in pairs], partial(_keep, found))
        return sum(self._relative(graph.types[name], wanted[name], found[name]) for name in self._names)

    @staticmethod
    def _relative(type_: Type, wanted: list[Array], stored: list[Array]) -> float:
        floats = np.concatenate(wanted).astype(np.float64).ravel()
        real = leaving(type_, np.concatenate(stored)).ravel()
        return float(np.square(floats - real).sum() / max(np.square(floats).sum(), 1e-30))


def _keep(held: dict[str, list[Array]], name: str, value: Array) -> None:
    if name in held:
        held[name].append(value)


def _spread(sets: Sequence[Array], most: int) -> list[Array]:
    """At most ``most`` samples, spread evenly."""
    chosen = spread(len(sets[0]), most)
    return [values[chosen] for values in sets]


def _by_index(sets: Sequence[Array], run: RunSets) -> Run:
    """``run`` for samples named by their indices."""
    return lambda graph, indices, watch: run(graph, [values[indices] for values in sets], watch)


def _peaks(graph: Graph, samples: Array, run: Run) -> Mapping[str, Array]:
    """Of every activation, the largest magnitude of each channel."""
    peaks: dict[str, Array] = {}

    def watch(name: str, value: Array) -> None:
        if value.ndim:
            largest = channel_peaks(value)
            peaks[name] = np.maximum(peaks.get(name, largest), largest)

    in_slices(run, graph, samples, watch)
    return peaks
