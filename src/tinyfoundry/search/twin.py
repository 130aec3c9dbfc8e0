"""The torch twin of a float graph: the same layers with trainable weights, for training and for fast float
runs.

``Twin(graph)`` runs the graph node by node from a table with one torch function an op. While it trains, every
convolution is followed by a batch normalisation, before its activation (Ioffe and Szegedy, 2015);
``Twin.graph()`` folds them into the weights, so the graph it gives has the same nodes as the one it came from
and computes what the twin computes.

Tensors of rank 4 are N, C, H, W inside (torch's order, channels last in memory) and N, H, W, C outside. The
batch is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tinyfoundry.errors import ModelError
from tinyfoundry.ir.graph import Array, Graph, Node, Type
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window

Watch = Callable[[str, Tensor], None]
Alter = Callable[[str, Tensor], Tensor]
Run = Callable[["Twin", Node, list[Tensor]], Tensor]

_EPSILON = 1e-3
_CONVOLUTIONS = frozenset({"conv2d", "depthwise_conv2d"})
# Ops whose weights have the axis last that torch has first.
_INPUTS_LAST = frozenset({"depthwise_conv2d", "transpose_conv"})
# Where torch keeps the axes N, H, W, C of a tensor of rank 4.
_TORCH_AXIS = (0, 2, 3, 1)


class Twin(nn.Module):
    """Runs a float graph in torch.

    ``forward`` takes [n, H, W, C] and gives the graph's only output, or the logits where its last node is a
    softmax.

    normalise: put the batch normalisations in; without them the twin trains the graph's own weights.

    Raises:
        ModelError: the graph is quantized, has several inputs or outputs, or an op that torch's table lacks.
    """

    def __init__(self, graph: Graph, *, normalise: bool = True) -> None:
        super().__init__()
        _check(graph)
        self.source = graph
        self.nodes = graph.nodes[:-1] if graph.nodes[-1].op == "softmax" else graph.nodes
        weights = {name: node.op for node in graph.nodes for name in node.inputs if name in graph.constants}
        values = {name: _to_torch(op, graph.constants[name]) for name, op in weights.items()}
        self.weights = nn.ParameterDict({name: nn.Parameter(value) for name, value in values.items()})
        norms = {
            node.name: graph.types[node.outputs[0]].shape[-1]
            for node in self.nodes
            if normalise and node.op in _CONVOLUTIONS
        }
        self.norms = nn.ModuleDict({name: _fresh_norm(channels) for name, channels in norms.items()})

    def forward(self, x: Tensor, watch: Watch | None = None, alter: Alter | None = None) -> Tensor:
        """Output for ``x``; ``watch`` is called with the name and value (NHWC) of every activation, the input
        included. ``alter`` replaces every constant and activation, in torch's layout, before it is read.
        """
        changed = alter or _unchanged
        values: dict[str, Tensor] = {name: changed(name, value) for name, value in self.weights.items()}
        values[self.source.inputs[0]] = changed(self.source.inputs[0], _inside(x))
        if watch:
            watch(self.source.inputs[0], x)
        for node in self.nodes:
            y = _TABLE[node.op](self, node, [values[name] for name in node.inputs])
            y = values[node.outputs[0]] = changed(node.outputs[0], y)
            if watch:
                watch(node.outputs[0], _outside(y))
        return _outside(values[self.nodes[-1].outputs[0]])

    def type_of(self, tensor: str) -> Type:
        """Type of a tensor of the graph (batch 1)."""
        return self.source.types[tensor]

    def graph(self) -> Graph:
        """The graph with the present weights, batch normalisations folded in."""
        constants = dict(self.source.constants)
        with torch.no_grad():
            for node in self.nodes:
                constants.update(self._constants_of(node))
        return replace(self.source, constants=constants)

    def _constants_of(self, node: Node) -> Iterator[tuple[str, Array]]:
        held = [name for name in node.inputs if name in self.weights]
        values = [self.weights[name].double() for name in held]
        if node.name in self.norms:
            norm = self.norms[node.name]
            assert (
                isinstance(norm, nn.BatchNorm2d)
                and norm.running_mean is not None
                and norm.running_var is not None
            )
            w, b = values
            gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
            values = [w * gain[:, None, None, None], (b - norm.running_mean) * gain + norm.bias]
        for name, value in zip(held, values, strict=True):
            yield name, _from_torch(node.op, value)


def _check(graph: Graph) -> None:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or not graph.nodes:
        raise ModelError(
            f"graph '{graph.name}': found {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "wanted one of each to train it"
        )
    shared = [name for name in graph.constants if len(graph.readers(name)) > 1]
    if shared:
        raise ModelError(
            f"graph '{graph.name}': found constant '{shared[0]}' with several readers; wanted one each"
        )
    for node in graph.nodes:
        kind = graph.types[node.outputs[0]]
        if kind.dtype != "float32":
            raise ModelError(
                f"graph '{graph.name}', node '{node.name}': found {kind}; wanted float32; train it first"
            )
        if node.op not in _TABLE and node is not graph.nodes[-1]:
            raise ModelError(
                f"graph '{graph.name}', node '{node.name}': found op '{node.op}'; wanted one of "
                f"{', '.join(sorted(_TABLE))}; replace it"
            )


def _unchanged(_name: str, value: Tensor) -> Tensor:
    return value


def _fresh_norm(channels: int) -> nn.BatchNorm2d:
    """A batch normalisation that, before training, leaves its input as it is."""
    norm = nn.BatchNorm2d(channels, eps=_EPSILON)
    nn.init.constant_(norm.weight, float(np.sqrt(1 + _EPSILON)))
    return norm


def _to_torch(op: str, value: Array) -> Tensor:
    """A constant in torch's layout: convolution weights O I h w (the depthwise kernel is 1 h w O here, O 1 h
    w there), of a transposed convolution I O h w.
    """
    tensor = torch.tensor(np.asarray(value, np.float32))
    if op == "conv2d" and tensor.ndim == 4:
        return tensor.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    if op in _INPUTS_LAST and tensor.ndim == 4:
        return tensor.permute(3, 0, 1, 2).contiguous()
    return _inside(tensor)


def _from_torch(op: str, value: Tensor) -> Array:
    value = value.permute(1, 2, 3, 0) if op in _INPUTS_LAST and value.ndim == 4 else _outside(value)
    return np.ascontiguousarray(value.float().numpy())


def _inside(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _outside(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def _axis(axis: int, rank: int) -> int:
    """Torch's place for an axis of the graph."""
    return _TORCH_AXIS[axis % rank] if rank == 4 else axis % rank


def _activate(x: Tensor, activation: Activation) -> Tensor:
    if activation == Activation.NONE:
        return x
    # Not clamp: its gradient takes several times as long.
    return functional.relu(x) if activation == Activation.RELU else functional.hardtanh(x, *activation.limits)


def _convolution(twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    x, w, b = inputs
    window: Window = node.attrs.window
    groups = x.shape[1] if node.op == "depthwise_conv2d" else 1
    padding = window.pad_h[0], window.pad_w[0]
    if padding != (window.pad_h[1], window.pad_w[1]):  # torch's own padding is the same on both sides
        x, padding = _padded(x, window, 0.0), (0, 0)
    y = functional.conv2d(x, w, b, window.stride, padding, window.dilation, groups)
    if node.name in twin.norms:
        y = twin.norms[node.name](y)
    return _activate(y, node.attrs.activation)


def _padded(x: Tensor, window: Window, fill: float) -> Tensor:
    return functional.pad(x, (*window.pad_w, *window.pad_h), value=fill)


def _transpose_conv(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    x, w, b = inputs
    window, (height, width) = node.attrs.window, node.attrs.size
    full = functional.conv_transpose2d(x, w, None, window.stride)
    top, left = window.pad_h[0], window.pad_w[0]
    # Negative padding cuts off.
    edges = (-left, left + width - full.shape[3], -top, top + height - full.shape[2])
    y = functional.pad(full, edges) + b[:, None, None]
    return _activate(y, node.attrs.activation)


def _batch_matmul(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    x1, x2 = map(_outside, inputs)
    return _inside((x1.mT if node.attrs.adj_x else x1) @ (x2.mT if node.attrs.adj_y else x2))


def _dense(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    return _activate(functional.linear(*inputs), node.attrs.activation)


def _pairs(function: Callable[[Tensor, Tensor], Tensor]) -> Run:
    def run(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
        # Numpy's broadcasting aligns trailing axes, which are not torch's trailing axes inside.
        y = _inside(function(_outside(inputs[0]), _outside(inputs[1])))
        return _activate(y, getattr(node.attrs, "activation", Activation.NONE))

    return run


def _each(function: Callable[[Tensor], Tensor]) -> Run:
    return lambda _twin, _node, inputs: function(inputs[0])


def _leaky_relu(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    return functional.leaky_relu(inputs[0], node.attrs.alpha)


def _relu(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    return _activate(inputs[0], node.attrs.kind)


def _max_pool(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    x = _padded(inputs[0], node.attrs.window, -float("inf"))
    return _activate(
        functional.max_pool2d(x, node.attrs.kernel, node.attrs.window.stride), node.attrs.activation
    )


def _average_pool(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    # The mean is over the pixels that exist: padding counts neither in the sum nor in the divisor.
    kernel, window = node.attrs.kernel, node.attrs.window
    share = functional.avg_pool2d(
        _padded(torch.ones_like(inputs[0][:1, :1]), window, 0.0), kernel, window.stride
    )
    y = functional.avg_pool2d(_padded(inputs[0], window, 0.0), kernel, window.stride) / share
    return _activate(y, node.attrs.activation)


def _mean(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    x = _outside(inputs[0])
    return _inside(x.mean(tuple(axis % x.ndim for axis in node.attrs.axes), keepdim=node.attrs.keep_dims))


def _pad(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    pairs = list(zip(node.attrs.before, node.attrs.after, strict=True))
    flat = [size for pair in reversed(pairs) for size in pair]
    return _inside(functional.pad(_outside(inputs[0]), flat))


def _reshape(twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    x = _outside(inputs[0])
    # The graph's batch is 1; whatever the batch here, the other axes keep the graph's sizes.
    return _inside(x.reshape(x.shape[0], *twin.type_of(node.outputs[0]).shape[1:]))


def _transpose(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    return _inside(_outside(inputs[0]).permute(node.attrs.permutation))


def _concatenation(_twin: Twin, node: Node, inputs: list[Tensor]) -> Tensor:
    y = torch.cat(inputs, _axis(node.attrs.axis, inputs[0].ndim))
    return _activate(y, node.attrs.activation)


_TABLE: dict[str, Run] = {
    "conv2d": _convolution,
    "depthwise_conv2d": _convolution,
    "transpose_conv": _transpose_conv,
    "batch_matmul": _batch_matmul,
    "dense": _dense,
    "add": _pairs(torch.add),
    "sub": _pairs(torch.sub),
    "mul": _pairs(torch.mul),
    "maximum": _pairs(torch.maximum),
    "minimum": _pairs(torch.minimum),
    "squared_difference": _pairs(lambda x1, x2: (x1 - x2).square()),
    "prelu": _pairs(lambda x, slope: torch.where(x >= 0, x, x * slope)),
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "hard_swish": _each(functional.hardswish),
    "logistic": _each(torch.sigmoid),
    "tanh": _each(torch.tanh),
    "abs": _each(torch.abs),
    "exp": _each(torch.exp),
    "sqrt": _each(torch.sqrt),
    "rsqrt": _each(torch.rsqrt),
    "max_pool2d": _max_pool,
    "average_pool2d": _average_pool,
    "mean": _mean,
    "pad": _pad,
    "reshape": _reshape,
    "transpose": _transpose,
    "concatenation": _concatenation,
}
