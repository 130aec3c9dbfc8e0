"""The error table: how far each layer of an int8 network is from its float form, and why where that shows.

Errors are signal-to-quantisation-noise ratios in dB: 10 log10 of the power of the float values over that of
the difference. 20 dB is a tenth of the amplitude; every bit is worth 6 dB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tinyfoundry.errors import OptionError
from tinyfoundry.interpret import entering, interpret, leaving
from tinyfoundry.ir.graph import Array, Graph, Node, Type
from tinyfoundry.jobs.batches import as_calibration
from tinyfoundry.jobs.calibration import is_quantised, quantised_model
from tinyfoundry.jobs.importing import import_model
from tinyfoundry.jobs.progress import Progress
from tinyfoundry.op import call_of, get_op
from tinyfoundry.passes.calibrate import spread
from tinyfoundry.passes.observe import middle
from tinyfoundry.passes.post_training import PostTraining, Quantised

SAMPLES = 32
"""Samples that a table is made of at most; its figures are means over every element of every one."""

# A channel that reaches this many times as far as the median one costs the others three bits.
_UNEQUAL = 8.0
_FEW_STEPS = 64
_CLIPPED = 0.01
_UNCOMMON = 0.001


@dataclass(frozen=True)
class LayerError:
    """One layer. total: SQNR in dB of its int8 output against float, errors of all layers before it included.

    own: the same with its inputs taken from the float network and rounded: what this layer alone does. why:
    what its numbers show, in words; empty where they show nothing out of the ordinary.
    """

    name: str
    op: str
    total: float
    own: float
    why: str


@dataclass
class _Tally:
    """Sums over samples for one layer's output."""

    signal: float = 0.0
    noise: float = 0.0
    own_noise: float = 0.0
    clipped: int = 0
    steps: Array = field(default_factory=lambda: np.zeros(256, np.int64))
    peaks: Array = field(default_factory=lambda: np.zeros(1))

    def add(self, wanted: Array, total: Array, own: Array, type_: Type) -> None:
        """One sample: float values and both int8 forms of them."""
        self.signal += float(np.square(wanted, dtype=np.float64).sum())
        self.noise += float(np.square(wanted - leaving(type_, total), dtype=np.float64).sum())
        self.own_noise += float(np.square(wanted - leaving(type_, own), dtype=np.float64).sum())
        ideal = np.round(wanted / type_.scale) + type_.zero_point
        low, high = type_.dtype.limits
        self.clipped += int(((ideal < low) | (ideal > high)).sum())
        share = (entering(type_, wanted).astype(np.int64) - low) * 256 // (high - low + 1)
        self.steps += np.bincount(share.ravel(), minlength=256)
        channels = np.abs(wanted).reshape(-1, wanted.shape[-1] if wanted.ndim else 1).max(0)
        self.peaks = np.maximum(self.peaks, channels)


def layer_errors(quantised: Quantised, sets: Sequence[Array]) -> tuple[LayerError, ...]:
    """A row for each int8 layer, the one with the largest error of its own first.

    sets: for each input samples [n, *shape] as floats; ``SAMPLES`` of them are used, spread evenly.

    Raises:
        OptionError: there are no samples.
    """
    floating, int8 = quantised.floating, quantised.graph
    if not len(sets[0]):
        raise OptionError(f"errors of graph '{int8.name}': found no samples; wanted at least one")
    layers = [node for node in int8.nodes if _is_layer(floating, int8, node)]
    tallies = {node.name: _Tally() for node in layers}
    for index in spread(len(sets[0]), SAMPLES):
        pairs = zip(floating.inputs, sets, strict=True)
        inputs = [entering(floating.types[name], values[index]) for name, values in pairs]
        for node, sample in _compared(floating, int8, layers, inputs):
            tallies[node.name].add(*sample, int8.types[node.outputs[0]])
    rows = [_row(quantised, node, tallies[node.name]) for node in layers]
    return tuple(sorted(rows, key=lambda row: row.own))


def model_errors(
    model: Any, calibration: Any, how: PostTraining, seed: int, progress: Progress, example_input: Any = None
) -> tuple[LayerError, ...]:
    """See ``api.errors``."""
    progress("import", 0, 1)
    graph, orders = import_model(model, example_input)
    progress("import", 1, 1, f"{len(graph.nodes)} ops")
    if is_quantised(graph):
        raise OptionError(f"errors of model '{graph.name}': it is quantised already; give its float32 form")

    data = as_calibration(calibration, orders)
    if data is None:
        raise OptionError(f"errors of model '{graph.name}': no calibration data; give some inputs of it")
    quantised, sets = quantised_model(graph, data, seed, partial(progress, "calibrate"), how)
    progress("calibrate", 1, 1, quantised.how.text())
    return layer_errors(quantised, sets)


def _is_layer(floating: Graph, int8: Graph, node: Node) -> bool:
    """Whether the layer computes something, on int8, that the float graph has too."""
    output = node.outputs[0]
    return int8.types[output].quant is not None and output in floating.types and not get_op(node.op).view


def _compared(
    floating: Graph, int8: Graph, layers: Sequence[Node], inputs: Sequence[Array]
) -> Iterator[tuple[Node, tuple[Array, Array, Array]]]:
    """For one sample, of each layer the float output, the int8 one, and the int8 one from float inputs."""
    wanted: dict[str, Array] = {}
    found: dict[str, Array] = {}
    interpret(floating, inputs, wanted.__setitem__)
    stored = [entering(int8.types[name], x) for name, x in zip(int8.inputs, inputs, strict=True)]
    interpret(int8, stored, found.__setitem__)
    for node in layers:
        own = [_rounded(int8, name, wanted, found) for name in node.inputs]
        (alone, *_) = get_op(node.op).reference(call_of(int8, node), own)
        yield node, (wanted[node.outputs[0]], found[node.outputs[0]], alone)


def _rounded(int8: Graph, name: str, wanted: Mapping[str, Array], found: Mapping[str, Array]) -> Array:
    if name in int8.constants:
        return int8.constants[name]
    return entering(int8.types[name], wanted[name]) if name in wanted else found[name]


def _row(quantised: Quantised, node: Node, tally: _Tally) -> LayerError:
    total, own = _decibels(tally.signal, tally.noise), _decibels(tally.signal, tally.own_noise)
    return LayerError(node.name, node.op, total, own, _why(quantised, node, tally))


def _decibels(signal: float, noise: float) -> float:
    """Ratio of two powers; 999 where there is no noise."""
    return 999.0 if noise <= 0 else 10 * float(np.log10(max(signal, 1e-30) / noise))


def _why(quantised: Quantised, node: Node, tally: _Tally) -> str:
    """The first of the known causes that the numbers show."""
    rule = get_op(node.op).int8
    if rule is not None and rule.output is not None:
        return ""  # its range is part of what the op means
    weights = _unequal_weights(quantised.floating, node)
    if weights:
        return weights
    clipped = tally.clipped / tally.steps.sum()
    if clipped > _CLIPPED:
        return f"its range clips {100 * clipped:.1f} % of its values; calibrate on samples like these"
    median = float(np.median(tally.peaks))
    worst = int(np.argmax(tally.peaks))
    if len(tally.peaks) > 2 and median > 0 and tally.peaks[worst] > _UNEQUAL * median:
        return (
            f"channel {worst} reaches {tally.peaks[worst]:.3g}, the median channel {median:.3g}: the others "
            "share few steps; try --equalise"
        )
    return _wide_range(quantised, node, tally)


def _wide_range(quantised: Quantised, node: Node, tally: _Tally) -> str:
    """Says where few of the int8 steps are in use, and for what reason."""
    used = np.flatnonzero(tally.steps)
    first, last = middle(tally.steps, _UNCOMMON)
    common = last - first + 1
    if common >= _FEW_STEPS or len(used) < 2:
        return ""
    reached = int(used[-1] - used[0]) + 1
    if reached < 2 * _FEW_STEPS:
        partner = _shares_with(quantised.graph, node)
        cause = f"it shares the scale of '{partner}'" if partner else "its range was set for larger values"
        return f"uses {reached} of 256 steps: {cause}"
    return f"outliers set its range: 99.9 % of its values lie in {common} of 256 steps; try --observer mse"


def _shares_with(graph: Graph, node: Node) -> str | None:
    """A tensor beside the layer whose quantization the op makes it share."""
    rule = get_op(node.op).int8
    if rule is not None and rule.shared:
        return next((name for name in node.inputs if name not in graph.constants), None)
    for reader in graph.readers(node.outputs[0]):
        rule = get_op(reader.op).int8
        if rule is not None and rule.shared:
            return next((name for name in reader.inputs if name != node.outputs[0]), reader.outputs[0])
    return None


def _unequal_weights(graph: Graph, node: Node) -> str:
    """Says where one input channel's weights are so large that the others of their rows round coarsely."""
    rule = get_op(node.op).int8
    if rule is None or rule.weights != 0 or node.inputs[1] not in graph.constants:
        return ""
    weights = np.abs(graph.constants[node.inputs[1]].astype(np.float64))
    columns = weights.reshape(-1, weights.shape[-1]).max(0)
    worst, median = int(np.argmax(columns)), float(np.median(columns))
    if len(columns) < 3 or not 0 < median * 2 * _UNEQUAL < columns[worst]:
        return ""
    return (
        f"weights of input channel {worst} are {columns[worst] / median:.0f} times the median channel's: the "
        "others round coarsely; try --equalise"
    )
