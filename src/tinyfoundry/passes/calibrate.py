"""Calibration: between which real values every activation of a float graph moves, seen over samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinyfoundry.errors import GraphError, OptionError
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.op import get_op
from tinyfoundry.passes.observe import Histogram, Observer, Range

Watch = Callable[[str, Array], None]
Run = Callable[[Graph, Array, Watch], None]
"""Runs a float graph on samples [n, ...] and shows every activation, by name, in slices of any batch size."""

_SLICE = 64

Ranges = Mapping[str, Range]


def calibrate(
    graph: Graph, samples: Array, run: Run | None = None, observer: Observer = Observer.MIN_MAX
) -> Ranges:
    """The range of every activation of a float ``graph``, inputs included, over ``samples`` [n, H, W, C]
    float32.

    run: how to run the graph; the default is the reference interpreter, one sample at a time. A graph that
    remembers sees them one after the other. observer: what makes a range of the values seen.

    Raises:
        OptionError: there are no samples. GraphError: an activation is not finite.
    """
    runner = run or _interpreted
    seen = _extremes(graph, samples, runner)
    if observer is Observer.MIN_MAX:
        return seen
    return {name: each.range(observer) for name, each in _counted(graph, samples, runner, seen).items()}


def histograms(graph: Graph, samples: Array, run: Run) -> Mapping[str, Histogram]:
    """What every observer makes its ranges of, by two runs over the samples; see ``calibrate``."""
    return _counted(graph, samples, run, _extremes(graph, samples, run))


def _extremes(graph: Graph, samples: Array, run: Run) -> Ranges:
    if not len(samples):
        raise OptionError(f"calibration of graph '{graph.name}': found no samples; wanted at least one")
    seen: dict[str, Range] = {}

    def widen(name: str, value: Array) -> None:
        low, high = float(value.min()), float(value.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise GraphError(
                f"calibration of graph '{graph.name}': tensor '{name}' holds a NaN or an infinity"
            )
        before = seen.get(name, Range(0.0, 0.0))
        seen[name] = Range(min(low, before.low), max(high, before.high))

    in_slices(run, graph, samples, widen)
    return seen


def _counted(graph: Graph, samples: Array, run: Run, seen: Ranges) -> Mapping[str, Histogram]:
    """A histogram of every activation. What the answer is read from stays uncounted, so that its whole range
    is kept: clipped answers would tie.
    """
    found = {name: Histogram(range_) for name, range_ in seen.items()}
    whole = {*graph.outputs, *answers(graph)}

    def count(name: str, value: Array) -> None:
        if name not in whole:
            found[name].add(value)

    in_slices(run, graph, samples, count)
    return found


def in_slices(run: Run, graph: Graph, samples: Array, watch: Watch) -> None:
    """Runs ``samples`` a few at a time, which bounds the memory that the activations take."""
    for start in range(0, len(samples), _SLICE):
        run(graph, samples[start : start + _SLICE], watch)


def spread(count: int, most: int) -> Array:
    """Indices of at most ``most`` of ``count`` samples, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def answers(graph: Graph) -> tuple[str, ...]:
    """The tensors that answers are read from: the outputs, or what those of fixed quantization (a softmax)
    are made from.
    """
    found = []
    for name in graph.outputs:
        writer = graph.producer(name)
        rule = None if writer is None else get_op(writer.op).int8
        fixed = writer is not None and rule is not None and rule.output is not None
        found.append(writer.inputs[0] if writer is not None and fixed else name)
    return tuple(found)


def assumed(graph: Graph, low: float = -6.0, high: float = 6.0) -> Ranges:
    """The same range for every activation: enough where size and speed are wanted and outputs are not."""
    return {name: Range(low, high) for name in graph.activations()}


def _interpreted(graph: Graph, samples: Array, watch: Watch) -> None:
    session = Session(graph)
    for i in range(len(samples)):
        session.run([np.ascontiguousarray(samples[i : i + 1], np.float32)], watch)
