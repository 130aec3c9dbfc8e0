"""Moves an explicit pad of rows and columns into the padding of the convolution that alone reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tinyfoundry.ir.graph import Graph, Node
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.shape import Pad


def absorb_pad(graph: Graph) -> Graph:
    """Exact: a convolution's own padding contributes zero, and so does the zero point (or 0.0) that pad
    writes.
    """
    nodes = list(graph.nodes)
    for index, node in enumerate(nodes):
        producer = (
            graph.producer(node.inputs[0]) if isinstance(node.attrs, Conv2D | DepthwiseConv2D) else None
        )
        if producer is not None and _absorbable(graph, producer, node):
            nodes[index] = _absorbed(producer, node)
    return rebuild(graph, nodes)


def _absorbable(graph: Graph, pad: Node, conv: Node) -> bool:
    if not isinstance(pad.attrs, Pad) or len(pad.attrs.before) != 4 or pad.outputs[0] in graph.lasting:
        return False
    if pad.attrs.value != 0.0:
        return False
    around = zip(pad.attrs.before, pad.attrs.after, strict=True)
    batch, _, _, channels = (before + after for before, after in around)
    if batch or channels or len(graph.readers(pad.outputs[0])) != 1:
        return False
    # A window never starts wholly inside padding: Window refuses it, and the kernels count on it.
    window, kernel = _absorbed(pad, conv).attrs.window, graph.types[conv.inputs[1]].shape[1:3]
    extent = window.extent(kernel)
    return bool(max(window.pad_h) < extent[0] and max(window.pad_w) < extent[1])


def _absorbed(pad: Node, conv: Node) -> Node:
    attrs = cast(Conv2D | DepthwiseConv2D, conv.attrs)
    window, (before, after) = attrs.window, (pad.attrs.before, pad.attrs.after)
    wider = replace(
        window,
        pad_h=(window.pad_h[0] + before[1], window.pad_h[1] + after[1]),
        pad_w=(window.pad_w[0] + before[2], window.pad_w[1] + after[2]),
    )
    return replace(conv, inputs=(pad.inputs[0], *conv.inputs[1:]), attrs=replace(attrs, window=wider))
