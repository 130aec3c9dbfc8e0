"""Post-training quantisation: a float graph and the ranges of its activations -> the int8 or 16x8 graph.

TensorFlow Lite's int8 scheme: activations asymmetric with one scale, weights symmetric in [-127, 127] with a
scale an output channel, biases int32 at input scale × weight scale
(https://ai.google.dev/edge/litert/models/quantization_spec). Its 16x8 scheme: activations int16, symmetric,
zero point 0; weights the same, biases int64. What an op asks of the quantization around it is the op's own
``int8`` or ``int16`` rule; the code knows no op by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.interpret import entering
from tinyfoundry.ir.graph import Array, DType, Graph, Node, Quantization, Type, per_tensor
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.ir.verify import verify
from tinyfoundry.op import QuantRule, get_op, ports_of, verify_ops
from tinyfoundry.passes.calibrate import Ranges
from tinyfoundry.passes.faces import with_float_faces
from tinyfoundry.passes.observe import Range

# A range narrower than this is noise around a constant; a scale below it would leave float32's normal
# numbers.
_NARROWEST = 1e-6
# A channel whose weights are this much smaller than the largest channel's is dead: its scale stops there.
_DEAD = 2.0**-16
_LARGEST_BIAS = 2.0**30
# Cells reach at least so far: gates see numbers of this size. And at most to 64, which is 2**-9 a step.
_CELL_BITS = (3, 6)


def quantise(
    graph: Graph, ranges: Ranges, *, float_faces: bool = False, activations: DType = DType.INT8
) -> Graph:
    """The int8 graph of a float32 ``graph``, or the 16x8 graph where activations are to be int16.

    ranges: of every activation (``calibrate``); the range of an output whose quantization is fixed is not
    needed. float_faces: keep float32 inputs and outputs, with a quantize and a dequantize node between;
    otherwise the graph's inputs and outputs are stored values and their types say with which scale and zero
    point.

    Raises:
        GraphError: the graph is not float32 throughout (but for indices, which stay whole numbers), nodes'
        ops have no rule, or a range is missing.
    """
    _check(graph, activations)
    stored, rescaled = _activation_types(graph, ranges, activations)
    types = {**stored, **{name: graph.types[name] for name in graph.types if _counts(graph, name)}}
    constants = {name: value for name, value in graph.constants.items() if _counts(graph, name)}
    for node in graph.nodes:
        for name, type_, value in _constants_of(graph, node, stored, activations):
            if types.get(name, type_) != type_:
                raise GraphError(
                    f"{_place(graph, node)}: constant '{name}' is needed with two quantizations; copy it"
                )
            types[name], constants[name] = type_, value
    states = {
        name: replace(state, initial=entering(types[name], state.initial))
        for name, state in graph.states.items()
    }
    quantised = _apart(replace(graph, types=types, constants=constants, states=states), rescaled, activations)
    quantised = verify_ops(verify(quantised))
    return verify_ops(verify(with_float_faces(quantised))) if float_faces else quantised


def quantization_of(range_: Range, dtype: DType = DType.INT8) -> Quantization:
    """The quantization that covers ``range_`` and holds 0 exactly (Jacob et al., 2018, section 3).

    In int16 its zero point is 0, and the largest magnitude is 32767 steps.
    """
    low, high = min(range_.low, 0.0), max(range_.high, 0.0)
    if dtype == DType.INT16:
        magnitude = max(-low, high)
        return per_tensor((magnitude if magnitude >= _NARROWEST else 1.0) / dtype.limits[1])
    if high - low < _NARROWEST:
        high = low + 1.0  # any scale holds a constant 0; this one is no extreme for the ops around it
    scale = float(np.float32((high - low) / 255))
    return per_tensor(scale, int(np.clip(np.round(-128 - low / scale), -128, 127)))


def cell_quantization_of(range_: Range) -> Quantization:
    """The int16 quantization, with a power of 2 as its scale, of what is summed up over a sequence.

    Of these sums only those of the last step are seen in calibration, so there is room for twice as much.
    """
    reach = 2 * max(-range_.low, range_.high, 1.0)
    return per_tensor(2.0 ** (float(np.clip(np.ceil(np.log2(reach)), *_CELL_BITS)) - 15))


def _check(graph: Graph, activations: DType) -> None:
    for name, type_ in graph.types.items():
        if type_.dtype != "float32" and not _counts(graph, name):
            raise GraphError(
                f"quantise: graph '{graph.name}', tensor '{name}' is {type_}; wanted float32 throughout"
            )
    without = [node for node in graph.nodes if _rule_of(node, activations) is None]
    if without and activations == DType.INT8:
        op = without[0].op
        raise GraphError(f"{_place(graph, without[0])}: op '{op}' has no int8 form; take it out first")
    if without:
        listed = ", ".join(f"{node.name} ({node.op})" for node in without)
        raise GraphError(
            f"quantise: graph '{graph.name}': no int16 form of {listed}; quantise to int8, or take them out"
        )


def _counts(graph: Graph, name: str) -> bool:
    """Whether a tensor holds whole numbers: indices, which have no quantization."""
    return graph.types[name].dtype in (DType.INT32, DType.INT64)


def _rule_of(node: Node, activations: DType) -> QuantRule | None:
    op = get_op(node.op)
    return op.int16 if activations == DType.INT16 else op.int8


def _rule(node: Node, activations: DType) -> QuantRule:
    rule = _rule_of(node, activations)
    assert rule is not None  # _check refused the others
    return rule


def _place(graph: Graph, node: Node) -> str:
    return f"quantise: graph '{graph.name}', node '{node.name}'"


def _weight_names(node: Node) -> tuple[str, ...]:
    """The inputs of a node that its op wants constant: weights and biases."""
    ports = ports_of(get_op(node.op), len(node.inputs))
    return tuple(name for port, name in zip(ports, node.inputs, strict=True) if port.constant)


def _activation_types(
    graph: Graph, ranges: Ranges, dtype: DType
) -> tuple[dict[str, Type], dict[str, Quantization]]:
    """Quantized types of all tensors but weights and biases, and what fixed tensors are to be rescaled to.

    Tensors that must share get the range that holds all of theirs. A tensor whose op fixes its quantization
    (a softmax gives nothing above 1) gives it to those that it shares with, where their ranges fit into it;
    else it keeps its own to itself, and is rescaled for those that share.
    """
    groups, cells = _groups(graph, dtype), set[str]()
    fixed: dict[str, Quantization] = {}
    for node in graph.nodes:
        rule = _rule(node, dtype)
        if rule.output is not None:
            fixed[node.outputs[0]] = rule.output
        cells |= {groups[name] for name in _at_ports(node, rule.cells)}
    hulls: dict[str, Range] = {}
    for name, group in groups.items():
        if name not in fixed:
            own = _range_of(graph, name, ranges)
            hull = hulls.get(group, own)
            hulls[group] = Range(min(own.low, hull.low), max(own.high, hull.high))
    quants = {
        group: cell_quantization_of(hull) if group in cells else quantization_of(hull, dtype)
        for group, hull in hulls.items()
    }
    for group in {groups[name] for name in fixed}:
        wanted = {quant for name, quant in fixed.items() if groups[name] == group}
        if group not in hulls or (len(wanted) == 1 and _fits(hulls[group], min(wanted, key=str), dtype)):
            quants[group] = min(wanted, key=str)
    rescaled = {name: quants[groups[name]] for name, own in fixed.items() if quants[groups[name]] != own}
    dtypes = {group: DType.INT16 if group in cells else dtype for group in quants}
    types = {
        name: Type(graph.types[name].shape, dtypes[group], fixed.get(name, quants[group]))
        for name, group in groups.items()
    }
    return types, rescaled


def _fits(range_: Range, quant: Quantization, dtype: DType) -> bool:
    """Whether a quantization holds a range, but for a step at its ends."""
    (scale,), (zero,), (low, high) = quant.scale, quant.zero_point, dtype.limits
    return (low - 1 - zero) * scale <= range_.low and range_.high <= (high + 1 - zero) * scale


def _apart(graph: Graph, rescaled: Mapping[str, Quantization], dtype: DType) -> Graph:
    """Puts a quantize behind each tensor of ``rescaled``, for the nodes whose tensors must be alike."""
    names = {name: f"{name}_rescaled" for name in rescaled}
    nodes: list[Node] = []
    types = dict(graph.types)
    for node in graph.nodes:
        reads = names if _rule(node, dtype).shared else {}
        nodes.append(replace(node, inputs=tuple(reads.get(name, name) for name in node.inputs)))
        for name in node.outputs:
            if name in names:
                types[names[name]] = replace(types[name], quant=rescaled[name])
                attrs = get_op("quantize").attributes(dtype)
                nodes.append(Node(names[name], "quantize", (name,), (names[name],), attrs))
    return rebuild(graph, nodes, types=types)


def _at_ports(node: Node, ports: Iterable[str]) -> list[str]:
    """The tensors that ``node`` has at these ports of its op."""
    op = get_op(node.op)
    names = zip((*op.inputs, *op.outputs), (*node.inputs, *node.outputs), strict=False)
    at = {port.name: name for port, name in names}
    return [at[port] for port in ports]


def _groups(graph: Graph, dtype: DType) -> dict[str, str]:
    """Every tensor that is no weight or bias -> the first tensor of its group; a group shares one
    quantization.
    """
    parent: dict[str, str] = {name: name for name in graph.inputs if not _counts(graph, name)}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for node in graph.nodes:
        weights = _weight_names(node)
        held = [name for name in node.inputs if name not in weights and not _counts(graph, name)]
        if not held:  # it moves indices
            continue
        for name in (*held, *node.outputs):
            root(name)
        rule = _rule(node, dtype)
        alike = [_at_ports(node, ports) for ports in rule.alike]
        if rule.shared:
            alike.append([*held, *node.outputs])
        for first, *others in alike:
            for name in others:
                parent[root(name)] = root(first)
    for name, state in graph.states.items():
        parent[root(name)] = root(state.next)
    return {name: root(name) for name in parent}


def _range_of(graph: Graph, name: str, ranges: Ranges) -> Range:
    if name in graph.constants:
        return Range(float(graph.constants[name].min()), float(graph.constants[name].max()))
    if name not in ranges:
        raise GraphError(
            f"quantise: graph '{graph.name}': no range for tensor '{name}'; calibrate this graph first"
        )
    return ranges[name]


def _constants_of(
    graph: Graph, node: Node, activations: Mapping[str, Type], dtype: DType
) -> Iterable[tuple[str, Type, Array]]:
    """Name, type and stored value of each constant that ``node`` reads."""
    rule, wide = _rule(node, dtype), DType.INT64 if dtype == DType.INT16 else DType.INT32
    if rule.weights is not None:
        x, b = activations[node.inputs[0]], node.inputs[rule.bias]
        bias = graph.constants[b]
        for w in (node.inputs[position] for position in rule.matrices):
            weights, first = graph.constants[w], w == node.inputs[rule.matrices[0]]
            scales = weight_scales(weights, bias if first else 0 * bias, rule.weights, x.scale)
            quant = Quantization(tuple(scales), (0,) * len(scales), rule.weights)
            shape = [-1 if i == rule.weights else 1 for i in range(weights.ndim)]
            stored = np.clip(np.round(weights / np.reshape(quant.scale, shape)), -127, 127).astype(np.int8)
            yield w, Type(weights.shape, DType.INT8, quant), stored
            if first:
                steps = x.scale * np.reshape(quant.scale, (-1, *[1] * (bias.ndim - 1)))
                yield b, Type(bias.shape, wide), np.round(bias / steps).astype(wide.value)
    for name in node.inputs:
        if name in graph.constants and name in activations:
            yield name, activations[name], entering(activations[name], graph.constants[name])


def weight_scales(weights: Array, bias: Array, axis: int, x_scale: float) -> Array:
    """Scale of each slice of ``weights`` along ``axis``: its largest magnitude / 127.

    Dead channels would get scales next to 0 and biases beyond int32; both limits raise such a scale.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights.astype(np.float64)).max(axis=others) / 127
    least = _DEAD * (largest.max() or 1.0)
    biases = np.abs(bias.astype(np.float64)).reshape(len(bias), -1).max(axis=1)
    for_bias = biases / (x_scale * _LARGEST_BIAS)
    scales: Array = np.maximum(np.maximum(largest, least), for_bias)
    return scales
