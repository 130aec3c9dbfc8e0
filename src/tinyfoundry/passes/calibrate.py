"""Calibration: between which real values every activation of a float graph moves, seen over samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from tinyfoundry.errors import GraphError, OptionError
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Array, Graph

Watch = Callable[[str, Array], None]
Run = Callable[[Graph, Array, Watch], None]
"""Runs a float graph on samples [n, ...] and shows every activation, by name, in slices of any batch size."""

_SLICE = 64


class Range(NamedTuple):
    """Smallest and largest real value that a tensor's int8 values must reach; 0 is always between them."""

    low: float
    high: float


Ranges = Mapping[str, Range]


def calibrate(graph: Graph, samples: Array, run: Run | None = None) -> Ranges:
    """The range of every activation of a float ``graph``, inputs included, over ``samples`` [n, H, W, C]
    float32.

    A range reaches from the smallest to the largest value seen. Where activations are clamped to 0..6,
    tighter ranges of least squared error were no better (measured over 18 networks: 0.1 % of accuracy worse).

    run: how to run the graph; the default is the reference interpreter, one sample at a time. A graph that
    remembers sees them one after the other.

    Raises:
        OptionError: there are no samples. GraphError: an activation is not finite.
    """
    if not len(samples):
        raise OptionError(f"calibration of graph '{graph.name}': found no samples; wanted at least one")
    runner = run or _interpreted
    seen: dict[str, Range] = {}

    def widen(name: str, value: Array) -> None:
        low, high = float(value.min()), float(value.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise GraphError(
                f"calibration of graph '{graph.name}': tensor '{name}' holds a NaN or an infinity"
            )
        before = seen.get(name, Range(0.0, 0.0))
        seen[name] = Range(min(low, before.low), max(high, before.high))

    for start in range(0, len(samples), _SLICE):
        runner(graph, samples[start : start + _SLICE], widen)
    return seen


def assumed(graph: Graph, low: float = -6.0, high: float = 6.0) -> Ranges:
    """The same range for every activation: enough where size and speed are wanted and outputs are not."""
    return {name: Range(low, high) for name in graph.activations()}


def _interpreted(graph: Graph, samples: Array, watch: Watch) -> None:
    session = Session(graph)
    for i in range(len(samples)):
        session.run([np.ascontiguousarray(samples[i : i + 1], np.float32)], watch)
