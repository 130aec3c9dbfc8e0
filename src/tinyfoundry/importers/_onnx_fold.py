"""Before the graph is built: layers take up the BatchNormalization or the bias that follows them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tinyfoundry.importers._onnx_file import Model, Node
from tinyfoundry.importers._onnx_value import Budget, Unsupported
from tinyfoundry.importers._onnx_windows import normalization
from tinyfoundry.ir.graph import Array


def hoist_constants(model: Model) -> Model:
    """The model with the values of Constant nodes among its constants."""
    constants, kept = dict(model.constants), []
    for node in model.nodes:
        found = next(iter(node.attributes.values()), None) if node.op == "Constant" else None
        if found is None or isinstance(found, str) or len(node.outputs) != 1:
            kept.append(node)
            continue
        numbers = np.asarray(found)
        narrow = {"f": np.float32, "i": np.int64}
        is_tensor = "value" in node.attributes
        constants[node.outputs[0]] = numbers if is_tensor else numbers.astype(narrow[numbers.dtype.kind])
    return replace(model, nodes=tuple(kept), constants=constants)


_LINEAR = 15.0  # softplus of more is the number itself, in float32


def name_functions(model: Model) -> Model:
    """The model with one operator for what exporters write in several, where it is the same function of one
    number: Where(x > limit, x, Softplus(x)), x * Sigmoid(x), x * HardSigmoid(x).
    """
    by = {node.outputs[0]: node for node in model.nodes if node.outputs}
    nodes = [_softplus(model, node, by) or _swish(node, by) or node for node in model.nodes]
    read = {name for node in nodes for name in node.inputs} | {face.name for face in model.outputs}
    spare = ("Greater", "HardSigmoid", "Sigmoid", "Softplus")
    kept = [node for node in nodes if node.op not in spare or read.intersection(node.outputs)]
    return replace(model, nodes=tuple(kept))


def _softplus(model: Model, node: Node, by: dict[str, Node]) -> Node | None:
    test, plus = (by.get(name) for name in (node.inputs if len(node.inputs) == 3 else ("", "", ""))[::2])
    if node.op != "Where" or test is None or plus is None or len(test.inputs) != 2:
        return None
    limit = model.constants.get(test.inputs[1])
    same = (test.op, plus.op) == ("Greater", "Softplus") and test.inputs[:1] == plus.inputs == node.inputs[
        1:2
    ]
    if not same or limit is None or limit.size != 1 or not limit.item() >= _LINEAR:
        return None
    return replace(plus, outputs=node.outputs)


def _swish(node: Node, by: dict[str, Node]) -> Node | None:
    if node.op != "Mul" or len(node.inputs) != 2:
        return None
    for x, name in (node.inputs, node.inputs[::-1]):
        gate = by.get(name)
        if gate is None or gate.inputs != (x,):
            continue
        if gate.op == "Sigmoid":
            return replace(node, op="Swish", inputs=(x,))
        if gate.op == "HardSigmoid" and _is_torch_s(gate):
            return replace(node, op="HardSwish", inputs=(x,))
    return None


def _is_torch_s(gate: Node) -> bool:
    alpha, beta = (gate.attributes.get(name) for name in ("alpha", "beta"))
    return isinstance(alpha, float) and abs(alpha - 1 / 6) < 1e-6 and beta in (None, 0.5)


def fold_layers(model: Model, budget: Budget) -> Model:
    """The model with BatchNormalization folded into Conv and Gemm, and Add into MatMul; exact in float64.

    Only where nothing else reads the layer, all numbers are constants, and the budget for them allows it.
    """
    readers: Counter[str] = Counter(name for node in model.nodes for name in node.inputs)
    readers.update(face.name for face in model.outputs)
    constants = dict(model.constants)
    layers: dict[str, int] = {}
    nodes: list[Node] = []
    for node in model.nodes:
        place = next((layers[name] for name in node.inputs if name in layers), None)
        merged = None
        if place is not None and node.outputs and readers[nodes[place].outputs[0]] == 1:
            merged = _merged(nodes[place], node, constants, budget)
        if merged is not None and place is not None:
            nodes[place] = merged
            layers[merged.outputs[0]] = place
            continue
        if node.op in ("Conv", "Gemm", "MatMul") and len(node.outputs) == 1:
            layers[node.outputs[0]] = len(nodes)
        nodes.append(node)
    return replace(model, nodes=tuple(nodes), constants=constants)


def _merged(layer: Node, node: Node, constants: dict[str, Array], budget: Budget) -> Node | None:
    try:
        if node.op == "BatchNormalization" and layer.op in ("Conv", "Gemm"):
            return _with_normalization(layer, node, constants, budget)
        if node.op == "Add" and layer.op == "MatMul" and len(layer.inputs) == 2:
            return _with_bias(layer, node, constants)
    except Unsupported:
        pass  # the rows of the two say why
    return None


def _with_bias(layer: Node, add: Node, constants: dict[str, Array]) -> Node | None:
    w = constants.get(layer.inputs[1])
    others = [name for name in add.inputs if name != layer.outputs[0]]
    bias = constants.get(others[0]) if len(others) == 1 else None
    if w is None or bias is None or w.ndim != 2 or bias.shape != w.shape[1:]:
        return None
    return replace(layer, inputs=(*layer.inputs, others[0]), outputs=add.outputs)


def _with_normalization(layer: Node, node: Node, constants: dict[str, Array], budget: Budget) -> Node | None:
    """The layer with every output channel scaled and shifted; rounded to float32 once, at the end."""
    known = [constants.get(name) for name in (*layer.inputs[1:], *node.inputs[1:]) if name]
    arrays = [array for array in known if array is not None]
    if len(arrays) < len(known) or len(node.inputs) != 5 or node.inputs[0] != layer.outputs[0]:
        return None
    if not all(array.dtype == np.float32 and array.size for array in arrays):
        return None
    budget.spend(arrays[0])
    weights = arrays[0].astype(np.float64)
    by_column = layer.op == "Gemm" and not layer.integer("transB", 0)
    if weights.ndim < 2:
        return None
    units = weights.shape[1 if by_column else 0]
    bias = arrays[1].astype(np.float64).ravel() if len(arrays) == 6 else np.zeros(units)
    factor, offset = normalization(node, arrays[-4:])
    if factor.size != units or bias.size not in (1, units):
        return None
    alpha, beta = (layer.real(name, 1.0) for name in ("alpha", "beta"))
    shape = (1, -1) if by_column else (-1, *(1,) * (weights.ndim - 1))
    w, b = f"{node.outputs[0]}_weights", f"{node.outputs[0]}_bias"
    while w in constants or b in constants:
        w, b = f"{w}_", f"{b}_"
    constants[w] = (weights * alpha * factor.reshape(shape)).astype(np.float32)
    constants[b] = (bias * beta * factor + offset).astype(np.float32)
    attributes = {k: v for k, v in layer.attributes.items() if k not in ("alpha", "beta")}
    return replace(layer, inputs=(layer.inputs[0], w, b), outputs=node.outputs[:1], attributes=attributes)
