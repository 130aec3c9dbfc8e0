"""Bias correction: takes the mean error that rounding left in each output channel out of its bias.

Rounded weights and activations err in one direction more often than in the other, so the mean of a channel
over many inputs moves; with the few weights of a depthwise layer it moves far (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2; here by samples, as in their
appendix D).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinyfoundry.interpret import entering, leaving
from tinyfoundry.ir.graph import Array, DType, Graph, Node, Type
from tinyfoundry.op import Call, call_of, get_op
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.elementwise import Relu
from tinyfoundry.passes.calibrate import Run, in_slices

_LARGEST_BIAS = 2.0**30


def correct_biases(floating: Graph, int8: Graph, sets: Sequence[Array], run: Run) -> Graph:
    """``int8`` with biases by which every channel's mean, before its activation, is that of ``floating``.

    Layer after layer: each is corrected with the inputs that the layers before it, corrected already, give.

    floating: what ``int8`` was quantised from. sets: for each input of the graph, samples [n, *shape] as
    floats. run: shows every activation of a float graph for samples given by their indices 0 .. n - 1.
    """
    wanted = _channel_means(floating, len(sets[0]), run)
    values = {name: list(entering(int8.types[name], x)) for name, x in zip(int8.inputs, sets, strict=True)}
    constants = dict(int8.constants)
    last_reader = {name: node.name for node in int8.nodes for name in node.inputs}
    for node in int8.nodes:
        if node.name in wanted:
            x = values[node.inputs[0]]
            constants[node.inputs[2]] = _corrected(int8, node, constants, x, wanted[node.name])
        values.update(zip(node.outputs, _run_node(int8, node, values, constants, len(sets[0])), strict=True))
        for name in node.inputs:
            if last_reader[name] == node.name:
                values.pop(name, None)
    return replace(int8, constants=constants)


def _is_weighted(node: Node) -> bool:
    """Whether its one matrix and bias give its outputs directly; those of a cell feed gates."""
    rule = get_op(node.op).int8
    return rule is not None and rule.weights is not None and (rule.matrices, rule.bias) == ((1,), 2)


def _channel_means(graph: Graph, count: int, run: Run) -> Mapping[str, Array]:
    """Node -> mean of each output channel before the activation, of every node with weights."""
    bare = _with_bare_outputs(graph)
    tensors = {node.outputs[0]: node.name for node in bare.nodes if _is_weighted(node)}
    sums: dict[str, Array] = {}

    def watch(name: str, value: Array) -> None:
        if name in tensors:
            # A mean over positions for each sample, so that slices of any size add up.
            total = value.reshape(-1, value.shape[-1]).mean(0, np.float64) * len(value)
            sums[tensors[name]] = sums.get(tensors[name], 0.0) + total

    in_slices(run, bare, np.arange(count), watch)
    return {node: total / count for node, total in sums.items()}


def _with_bare_outputs(graph: Graph) -> Graph:
    """The graph with every activation of a node with weights as a node of its own."""
    nodes: list[Node] = []
    types = dict(graph.types)
    for node in graph.nodes:
        activation = getattr(node.attrs, "activation", Activation.NONE)
        if not _is_weighted(node) or activation is Activation.NONE:
            nodes.append(node)
            continue
        bare = f"{node.outputs[0]}_before_activation"
        types[bare] = graph.types[node.outputs[0]]
        attrs = replace(node.attrs, activation=Activation.NONE)
        nodes.append(replace(node, attrs=attrs, outputs=(bare,)))
        nodes.append(Node(f"{node.name}_activation", "relu", (bare,), node.outputs, Relu(activation)))
    return replace(graph, nodes=tuple(nodes), types=types)


def _run_node(
    graph: Graph, node: Node, values: Mapping[str, list[Array]], constants: Mapping[str, Array], count: int
) -> list[list[Array]]:
    """Each output of ``node`` for each sample."""
    op, call = get_op(node.op), call_of(graph, node)
    inputs = [values.get(name) or [constants[name]] * count for name in node.inputs]
    answers = [op.reference(call, each) for each in zip(*inputs, strict=True)]
    return [list(each) for each in zip(*answers, strict=True)]


def _corrected(
    graph: Graph, node: Node, constants: Mapping[str, Array], xs: list[Array], wanted: Array
) -> Array:
    """The bias with which the channels' means over ``xs`` are ``wanted``, in whole units of the bias."""
    x, w, bias = (graph.types[name] for name in node.inputs)
    assert w.quant is not None
    rule = get_op(node.op).int8
    assert rule is not None and rule.weights is not None
    scales = np.asarray(w.quant.scale, np.float64)
    shape = [-1 if axis == rule.weights else 1 for axis in range(len(w.shape))]
    weights = (constants[node.inputs[1]] * scales.reshape(shape)).astype(np.float32)
    unit = x.scale * scales
    b = constants[node.inputs[2]]
    real = [weights, (b * unit).astype(np.float32)]
    types = [Type(type_.shape, DType.FLOAT32) for type_ in (x, w, bias, graph.types[node.outputs[0]])]
    call = Call(replace(node.attrs, activation=Activation.NONE), tuple(types[:3]), (types[3],))
    found = np.zeros(len(wanted))
    for stored in xs:
        value = leaving(x, stored).astype(np.float32)
        (y,) = get_op(node.op).reference(call, [value, *real])
        found += y.reshape(-1, y.shape[-1]).mean(0, np.float64) / len(xs)
    moved = b + np.round((wanted - found) / unit)
    return np.clip(moved, -_LARGEST_BIAS, _LARGEST_BIAS).astype(b.dtype)
