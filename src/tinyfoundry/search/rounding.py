"""Fake quantisation: what int8 makes of the weights and activations of a twin while it trains.

The types are those that ``passes.quantise`` would give, so the scheme has one definition: symmetric weights
with a scale a channel, one scale and zero point an activation, shared where an op wants it. Gradients pass
rounding unchanged and stop where a value is clipped (the straight-through estimator; Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.passes.calibrate import Ranges, Watch, calibrate
from tinyfoundry.passes.observe import Observer
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.search.recipe import Float32

RunFast = Callable[[Graph, Array, Watch], None]

_SMALLEST = 1e-8


@dataclass(frozen=True)
class Measure:
    """How ranges are found. x: samples (n, H, W, C). known: ranges that are given and not measured."""

    x: Float32
    observer: Observer
    known: Ranges


class Rounding:
    """Call it with a tensor of the graph by name, and its value in torch's layout: the value that int8 can
    hold.
    """

    def __init__(self, graph: Graph, measure: Measure, run: RunFast) -> None:
        self._measure, self._run = measure, run
        self._channels = _channel_axes(graph)
        self.ranges: Ranges = {}
        self._types: Mapping[str, Type] = {}
        self.refresh(graph)

    def refresh(self, graph: Graph) -> None:
        """Measures the ranges anew, with the weights of ``graph``."""
        seen = calibrate(graph, self._measure.x, self._run, self._measure.observer)
        self.ranges = {**seen, **self._measure.known}
        self._types = quantise(graph, self.ranges).types

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """``value`` of tensor ``name`` as int8 holds it."""
        type_ = self._types[name]
        if type_.dtype != DType.INT8 or type_.quant is None:
            return value  # a bias is an int32: its steps are far finer than an activation's
        if name in self._channels:
            return _by_channel(value, self._channels[name])
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(
            value, type_.scale, type_.zero_point, *type_.dtype.limits
        )
        return rounded


def _channel_axes(graph: Graph) -> Mapping[str, int]:
    """Constants with a scale a channel -> where torch keeps that axis: first, save in a transposed
    convolution.
    """
    return {
        node.inputs[1]: 1 if node.op == "transpose_conv" else 0
        for node in graph.nodes
        if node.op in {"conv2d", "depthwise_conv2d", "dense", "transpose_conv"}
    }


def _by_channel(weights: Tensor, axis: int) -> Tensor:
    """Weights rounded with the scales that they have now."""
    others = [i for i in range(weights.ndim) if i != axis]
    scales = (weights.detach().abs().amax(others) / 127).clamp(min=_SMALLEST)
    zeros = torch.zeros(len(scales), dtype=torch.int32)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(weights, scales, zeros, axis, -127, 127)
    return rounded
