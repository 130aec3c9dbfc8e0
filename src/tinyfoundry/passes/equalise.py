"""Cross-layer equalisation: what one layer makes larger the next makes smaller, channel by channel.

A channel whose values are much smaller than its neighbours' uses few of the 255 steps of their common scale.
Between two layers with nothing but a relu between them its scale is free: dividing a row of weights and its
bias by s and multiplying the next layer's column by s leaves the float function as it is (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinyfoundry.ir.graph import Array, Graph, Node
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.reduce import Mean
from tinyfoundry.ops.shape import Pad, Reshape

Peaks = Mapping[str, Array]
"""Largest magnitude of each channel of activations, seen over samples."""

_ROUNDS = 20
_SETTLED = 1e-3
_LIMIT = 1e4
# A channel counts as never clamped when its peak, seen over samples, stays this far below the clamp.
_HEADROOM = 1.25


@dataclass(frozen=True)
class _Pair:
    """Two weighted layers; ``between`` is what the first writes."""

    first: Node
    second: Node
    between: str

    @property
    def clamp(self) -> float:
        """Largest value that the first layer's activation lets pass."""
        return float(self.first.attrs.activation.limits[1])


def equalise(graph: Graph, peaks: Peaks | None = None) -> Graph:
    """A float ``graph`` of the same function whose channels are more alike.

    Pairs of convolution, depthwise and dense layers are taken, the second the only reader of the first, with
    none but pools, means, zero pads and reshapes that keep channels between. Behind no activation or a relu
    this is exact. A relu6 commutes only where its upper clamp does nothing: without ``peaks`` such pairs stay
    as they are; with them, channels whose peak is well below 6 are scaled, and stay below it. That is exact
    for values up to 1.25 times the peaks; larger ones may be clamped differently.

    peaks: of the outputs of the first layers. With them the channels of the *activations* are evened out
    against the next layer's weights, which is what int8 with a scale per weight channel gains from; without
    them, as in the paper, the first layer's weights are.
    """
    constants = {name: value.astype(np.float64) for name, value in graph.constants.items()}
    seen = None if peaks is None else {name: peak.astype(np.float64) for name, peak in peaks.items()}
    pairs = [pair for pair in _pairs(graph) if np.isinf(pair.clamp) or seen is not None]
    if not pairs:
        return graph
    for _ in range(_ROUNDS):
        factors = [_scale(pair, constants, seen) for pair in pairs]
        if all(np.abs(np.log(factor)).max() < _SETTLED for factor in factors):
            break
    changed = {name: value.astype(graph.constants[name].dtype) for name, value in constants.items()}
    return replace(graph, constants=changed)


def channel_peaks(value: Array) -> Array:
    """Largest magnitude of each channel (the last axis)."""
    peaks: Array = np.abs(value).reshape(-1, value.shape[-1]).max(0)
    return peaks


def _scale(pair: _Pair, constants: dict[str, Array], peaks: dict[str, Array] | None) -> Array:
    """Divides the first layer's channels by the factors that it returns, and multiplies the second's."""
    factor = _factor(pair, constants, peaks)
    _, w1, b1 = pair.first.inputs
    w2 = pair.second.inputs[1]
    # Output channels come first, save in depthwise weights (1 h w O).
    last = isinstance(pair.first.attrs, DepthwiseConv2D)
    constants[w1] = constants[w1] / (factor if last else _in_front(factor, constants[w1].ndim))
    constants[b1] = constants[b1] / factor
    constants[w2] = constants[w2] * np.repeat(factor, constants[w2].shape[-1] // len(factor))
    if peaks is not None:
        peaks[pair.between] = peaks[pair.between] / factor
    return factor


def _factor(pair: _Pair, constants: Mapping[str, Array], peaks: Mapping[str, Array] | None) -> Array:
    """sqrt(r1 r2) / r2, equation 11 of the paper; 1 where a channel is dead or must stay."""
    weights = constants[pair.first.inputs[1]]
    axis = weights.ndim - 1 if isinstance(pair.first.attrs, DepthwiseConv2D) else 0
    ahead = _largest(weights, axis) if peaks is None else np.asarray(peaks[pair.between], np.float64)
    behind = _needs(pair.second, constants[pair.second.inputs[1]], len(ahead), peaks is not None)
    alive = (ahead > 0) & (behind > 0)
    factor = np.ones(len(ahead))
    factor[alive] = np.clip(np.sqrt(ahead[alive] / behind[alive]), 1 / _LIMIT, _LIMIT)
    if np.isfinite(pair.clamp) and peaks is not None:
        reach = peaks[pair.between] * _HEADROOM / pair.clamp
        factor = np.where(reach < 1, np.maximum(factor, reach), 1.0)
    return factor


def _needs(node: Node, weights: Array, channels: int, own_scales: bool) -> Array:
    """How large the weights are that ``node`` reads each of its input channels with.

    own_scales: in parts of the largest of the same output channel, which int8 scales by itself.
    """
    if isinstance(node.attrs, DepthwiseConv2D):
        largest = _largest(weights, weights.ndim - 1).reshape(channels, -1).max(1)
        return np.asarray(largest > 0, np.float64) if own_scales else largest
    if own_scales:
        rows = _largest(weights, 0)
        weights = weights / _in_front(np.where(rows > 0, rows, 1.0), weights.ndim)
    return _largest(weights, weights.ndim - 1)


def _largest(weights: Array, axis: int) -> Array:
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest: Array = np.abs(weights).max(axis=others)
    return largest


def _in_front(factor: Array, rank: int) -> Array:
    return factor.reshape(-1, *(1,) * (rank - 1))


def _pairs(graph: Graph) -> Iterator[_Pair]:
    for node in graph.nodes:
        if not _weighted(graph, node) or node.attrs.activation is Activation.RELU_N1_TO_1:
            continue
        second = _reader(graph, node.outputs[0])
        if second is not None and _weighted(graph, second):
            yield _Pair(node, second, node.outputs[0])


def _weighted(graph: Graph, node: Node) -> bool:
    """Whether ``node`` has weights of its own that can be scaled."""
    if not isinstance(node.attrs, Conv2D | DepthwiseConv2D | Dense):
        return False
    return all(name in graph.constants and len(graph.readers(name)) == 1 for name in node.inputs[1:])


def _reader(graph: Graph, tensor: str) -> Node | None:
    """The one node that reads ``tensor``, looking through what treats every channel alike."""
    while tensor not in graph.lasting:
        readers = graph.readers(tensor)
        if len(readers) != 1 or readers[0].inputs.count(tensor) != 1:
            return None
        if not _keeps_channels(graph, readers[0]):
            return readers[0]
        tensor = readers[0].outputs[0]
    return None


def _keeps_channels(graph: Graph, node: Node) -> bool:
    """Whether ``node`` scales with each channel of its input, and leaves channels where they are."""
    before, after = graph.types[node.inputs[0]].shape, graph.types[node.outputs[0]].shape
    match node.attrs:
        case MaxPool2D() | AveragePool2D():
            return node.attrs.activation is Activation.NONE
        case Mean():
            return len(before) - 1 not in {axis % len(before) for axis in node.attrs.axes}
        case Pad():
            return node.attrs.value == 0.0 and not node.attrs.before[-1] and not node.attrs.after[-1]
        case Reshape():
            return before[-1] == after[-1]
        case _:
            return False
