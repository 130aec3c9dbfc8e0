"""Takes out channels that nothing needs: those that hold a constant, and those that no weight looks at.

A channel whose weights are all zero holds what its bias becomes, wherever in the image. A convolution or
dense layer that reads it adds a constant for it, which goes into the bias; a depthwise layer makes another
constant channel of it. Padding is the exception: it holds the zero point, so at the border of a padded
window only a channel that is constantly the zero point looks like a constant. What a layer computes for the
channels that stay is the same to the last bit.

Two walks over the graph find them. Forward: which channels of a tensor are known to be constant. Backward:
which channels all readers can do without, known or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinyfoundry.ir.graph import Array, Graph, Node, Quantization, Type
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.op import Call, call_of
from tinyfoundry.ops._activation import activate
from tinyfoundry.ops._window import rescale_channels
from tinyfoundry.ops.shape import Reshape

_MIXING = ("conv2d", "dense")
_CHANNELWISE = ("depthwise_conv2d", "average_pool2d", "max_pool2d", "reshape")
_GRANULE = 4  # kernels like channels in fours
_LARGEST_BIAS = 2**31 - 1


@dataclass(frozen=True)
class _Known:
    """Which channels of a tensor are constant, and their stored values (0 where not)."""

    mask: Array
    value: Array


@dataclass(frozen=True)
class _Channels:
    """Of a tensor: which channels are needed, and which stay: those and a few blank ones, to be a multiple
    of four.
    """

    needed: Array
    kept: Array


def dead_channels(graph: Graph) -> Graph:
    """The graph with fewer channels where that changes no output, bit for bit; int8 networks only."""
    known: dict[str, _Known] = {}
    for node in graph.nodes:
        if _takes_part(graph, node):
            known[node.outputs[0]] = _known_output(graph, node, known)
    channels = _channels(graph, known)
    if all(tensor.needed.all() for tensor in channels.values()):
        return graph
    narrowing = _Narrowing(graph, channels)
    nodes = [_narrowed(graph, node, known, channels, narrowing) for node in graph.nodes]
    return rebuild(graph, nodes, types=narrowing.types, constants=narrowing.constants)


def _takes_part(graph: Graph, node: Node) -> bool:
    x, y = graph.types[node.inputs[0]], graph.types[node.outputs[0]]
    if y.quant is None or not y.shape or x.quant is None:
        return False
    if node.op in _MIXING:
        return True
    return node.op in _CHANNELWISE and x.shape[-1:] == y.shape[-1:]


def _weights(graph: Graph, node: Node) -> Array:
    """[out, taps, in] of a mixing layer, [taps, channels] of a depthwise one; int64."""
    w = graph.constants[node.inputs[1]].astype(np.int64)
    if node.op == "depthwise_conv2d":
        return w.reshape(-1, w.shape[-1])
    return w.reshape(len(w), -1, w.shape[-1])


def _folding(graph: Graph, node: Node, known: Mapping[str, _Known]) -> tuple[Array, Array]:
    """Which input channels of a layer with weights are one constant in every window, and how far from the
    zero point they are (0 elsewhere).
    """
    x = graph.types[node.inputs[0]]
    found = known.get(node.inputs[0])
    if found is None:
        return np.zeros(x.shape[-1], bool), np.zeros(x.shape[-1], np.int64)
    offset = np.where(found.mask, found.value - x.zero_point, 0)
    window = getattr(node.attrs, "window", None)
    padded = window is not None and any((*window.pad_h, *window.pad_w))
    mask = found.mask & (offset == 0) if padded else found.mask
    return mask, np.where(mask, offset, 0)


def _known_output(graph: Graph, node: Node, known: Mapping[str, _Known]) -> _Known:
    call = call_of(graph, node)
    if node.op in _MIXING:
        mask, offset = _folding(graph, node, known)
        w = _weights(graph, node)
        constant = np.asarray(~w[:, :, ~mask].any(axis=(1, 2)))
        return _stored(call, constant, graph.constants[node.inputs[2]] + w.sum(axis=1) @ offset)
    if node.op == "depthwise_conv2d":
        mask, offset = _folding(graph, node, known)
        w = _weights(graph, node)
        return _stored(call, mask | ~w.any(axis=0), graph.constants[node.inputs[2]] + w.sum(axis=0) * offset)
    channels = call.y.shape[-1]
    found = known.get(node.inputs[0], _Known(np.zeros(channels, bool), np.zeros(channels, np.int64)))
    if node.op == "reshape":
        return found
    return replace(found, value=activate(found.value, call.attrs.activation, call.y).astype(np.int64))


def _stored(call: Call, mask: Array, acc: Array) -> _Known:
    """Constant channels of a layer with these sums."""
    values = activate(rescale_channels(np.where(mask, acc, 0), call), call.attrs.activation, call.y)
    return _Known(mask, np.where(mask, values, 0).astype(np.int64))


def _channels(graph: Graph, known: Mapping[str, _Known]) -> dict[str, _Channels]:
    """For every activation: which of its channels stay."""
    spare: dict[str, Array] = {}
    for name in reversed(list(graph.activations())):
        spare[name] = _spare(graph, name, known, spare)
    every = {name: np.ones(graph.types[name].shape[-1:], bool) for name in graph.activations()}
    found = {name: _Channels(mask, mask) for name, mask in every.items()}
    for node in graph.nodes:
        if not _takes_part(graph, node):
            continue
        name = node.outputs[0]
        found[name] = _filled(~spare[name]) if node.op in _MIXING else found[node.inputs[0]]
    return found


def _spare(graph: Graph, name: str, known: Mapping[str, _Known], spare: Mapping[str, Array]) -> Array:
    """The channels of a tensor that all its readers can do without."""
    channels = graph.types[name].shape[-1:]
    free = np.ones(channels, bool) if name not in graph.lasting else np.zeros(channels, bool)
    for node in graph.readers(name):
        if not _takes_part(graph, node) or node.inputs.index(name) != 0:
            return np.zeros(channels, bool)
        if node.op in _CHANNELWISE:
            free &= spare[node.outputs[0]]
            continue
        mask, offset = _folding(graph, node, known)
        w, bias = _weights(graph, node), graph.constants[node.inputs[2]].astype(np.int64)
        if (np.abs(bias) + np.abs(w.sum(axis=1)) @ np.abs(offset)).max() > _LARGEST_BIAS:
            mask = np.zeros_like(mask)
        free &= mask | ~w.any(axis=(0, 1))
    return free


def _filled(needed: Array) -> _Channels:
    kept = needed.copy()
    count = int(needed.sum())
    wanted = min(len(needed), -(-max(count, 1) // _GRANULE) * _GRANULE)
    kept[np.flatnonzero(~needed)[: wanted - count]] = True
    return _Channels(needed, kept)


class _Narrowing:
    """Collects the constants and types of a graph whose tensors lose channels."""

    def __init__(self, graph: Graph, channels: Mapping[str, _Channels]) -> None:
        self.types = dict(graph.types)
        self.constants = dict(graph.constants)
        for name, found in channels.items():
            if found.kept.shape:
                shape = (*graph.types[name].shape[:-1], int(found.kept.sum()))
                self.types[name] = replace(graph.types[name], shape=shape)

    def constant(self, name: str, value: Array, quant: Quantization | None) -> str:
        """Adds a constant named after ``name``, which other nodes may go on reading."""
        unique = f"{name}_live"
        while unique in self.types:
            unique += "_"
        self.types[unique] = Type(value.shape, self.types[name].dtype, quant)
        self.constants[unique] = np.ascontiguousarray(value)
        return unique


def _narrowed(
    graph: Graph,
    node: Node,
    known: Mapping[str, _Known],
    channels: Mapping[str, _Channels],
    narrowing: _Narrowing,
) -> Node:
    x, y = node.inputs[0], node.outputs[0]
    if not _takes_part(graph, node) or (channels[x].needed.all() and channels[y].needed.all()):
        return node
    if node.op == "reshape":
        return replace(node, attrs=Reshape(narrowing.types[y].shape))
    if node.op not in ("depthwise_conv2d", *_MIXING):
        return node
    w, b = graph.constants[node.inputs[1]], graph.constants[node.inputs[2]]
    out, into = channels[y], channels[x]
    if node.op == "depthwise_conv2d":
        weights, bias = (w * out.needed)[..., out.kept], b
    else:
        offset = np.where(into.needed, 0, _folding(graph, node, known)[1])
        bias = b + _weights(graph, node).sum(axis=1) @ offset
        needed = out.needed.reshape(-1, *[1] * (w.ndim - 1))
        weights = (w * needed * into.needed)[out.kept][..., into.kept]
    names = (
        narrowing.constant(node.inputs[1], weights, _scales(graph.types[node.inputs[1]].quant, out)),
        narrowing.constant(node.inputs[2], np.where(out.needed, bias, 0)[out.kept].astype(b.dtype), None),
    )
    return replace(node, inputs=(x, *names))


def _scales(quant: Quantization | None, out: _Channels) -> Quantization | None:
    """Those of the channels that stay; a blank one gets a needed one's, for its own may be extreme."""
    if quant is None or not quant.per_channel:
        return quant
    scales = np.asarray(quant.scale)
    usual = scales[out.needed][0] if out.needed.any() else scales[0]
    kept = np.where(out.needed, scales, usual)[out.kept]
    return Quantization(tuple(kept), (0,) * len(kept), quant.axis if len(kept) > 1 else 0)
