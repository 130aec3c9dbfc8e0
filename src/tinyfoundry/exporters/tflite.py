"""Writes a graph as a .tflite file: one row of ``_rows.ROWS`` an op. A new op is one function under ``@row``.

Semantics: TensorFlow Lite schema version 3 and its int8 quantization specification. Explicit padding becomes
SAME or VALID; where it is neither, a PAD operator is put before the convolution or max pool, and a SLICE
behind the transposed convolution. A bias gets the scale that it has by definition, input scale times weight
scale, because the runtime checks it.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from tinyfoundry.errors import ModelError
from tinyfoundry.exporters import _moves, _recurrent  # noqa: F401 - importing them enters their rows
from tinyfoundry.exporters._flatbuffer import Model, Option, Tensor, to_bytes
from tinyfoundry.exporters._rows import ROWS as _ROWS
from tinyfoundry.exporters._rows import Draft
from tinyfoundry.exporters._rows import row as _row
from tinyfoundry.ir.graph import Graph, Node, Quantization, Type
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Pair, Window, same_padding

_ACTIVATIONS = {
    Activation.NONE: 0,
    Activation.RELU: 1,
    Activation.RELU_N1_TO_1: 2,
    Activation.RELU6: 3,
}
_SAME, _VALID = 0, 1


def export(graph: Graph) -> bytes:
    """The bytes of a .tflite file that means the same as ``graph``.

    Raises:
        ModelError: the graph holds ops or padding that the format cannot express; names them all.
    """
    unknown = Counter(node.op for node in graph.nodes if node.op not in _ROWS)
    if unknown:
        listed = ", ".join(f"{op} ({count} times)" for op, count in sorted(unknown.items()))
        raise ModelError(
            f"graph '{graph.name}': cannot be written as .tflite, which has no {listed}; "
            f"wanted ops out of {', '.join(sorted(_ROWS))}"
        )
    _refuse_read_updates(graph)
    draft = Draft(graph)
    for name in graph.inputs:
        draft.tensor(name)
    for node in graph.nodes:
        _ROWS[node.op](draft, node)
    for name in graph.outputs:
        draft.tensor(name)
    tensors, operators = tuple(draft.tensors.values()), tuple(draft.operators)
    return to_bytes(Model(graph.name, tensors, operators, graph.inputs, graph.outputs))


def _refuse_read_updates(graph: Graph) -> None:
    """A state's update has no tensor of its own in a file: it is the variable, after the run."""
    updates = {state.next: name for name, state in graph.states.items()}
    read = {name for node in graph.nodes for name in node.inputs} | set(graph.outputs)
    for update in sorted(read & set(updates)):
        raise ModelError(
            f"graph '{graph.name}': '{update}', the update of state '{updates[update]}', is read or an "
            "output, which .tflite cannot express; wanted it kept for the next run alone"
        )


def expressible() -> frozenset[str]:
    """Names of the ops that can be written."""
    return frozenset(_ROWS)


@_row("conv2d")
def _conv2d(draft: Draft, node: Node) -> None:
    kernel = _size(draft, node.inputs[1])
    x, fields = _padded(draft, node, kernel)
    draft.add(node, "CONV_2D", (1, 3), "Conv2DOptions", fields, (x, *_parameters(draft, node)))


@_row("depthwise_conv2d")
def _depthwise(draft: Draft, node: Node) -> None:
    kernel = _size(draft, node.inputs[1])
    x, fields = _padded(draft, node, kernel)
    channels = draft.graph.types[node.inputs[0]].shape[3]
    multiplier = draft.graph.types[node.inputs[1]].shape[3] // channels
    fields = {**fields, "DepthMultiplier": multiplier}
    inputs = (x, *_parameters(draft, node))
    draft.add(node, "DEPTHWISE_CONV_2D", (2, 3), "DepthwiseConv2DOptions", fields, inputs)


@_row("transpose_conv")
def _transpose_conv(draft: Draft, node: Node) -> None:
    attrs, y = node.attrs, draft.graph.types[node.outputs[0]]
    padding, whole, output = _padding(y, attrs.window, _size(draft, node.inputs[1])), y.shape, None
    if padding is None:
        # Without padding the output has all that the padding cuts off; a slice cuts it off then.
        cut = attrs.window.pad_h, attrs.window.pad_w
        padding = _VALID
        whole = (y.shape[0], attrs.size[0] + sum(cut[0]), attrs.size[1] + sum(cut[1]), y.shape[3])
        output = draft.invent(f"{node.name}_whole", Type(whole, y.dtype, y.quant))
    weights, bias = _parameters(draft, node)
    inputs = (draft.ints(f"{node.name}_shape", whole), weights, draft.tensor(node.inputs[0]), bias)
    version = 3 if attrs.activation is Activation.NONE else 4
    fields = {**_window_fields(attrs.window, padding), **_fused(node)}
    draft.add(node, "TRANSPOSE_CONV", (version, version), "TransposeConvOptions", fields, inputs, output)
    if output is not None:
        begin = (0, attrs.window.pad_h[0], attrs.window.pad_w[0], 0)
        numbers = (draft.ints(f"{node.name}_begin", begin), draft.ints(f"{node.name}_size", y.shape))
        draft.add(node, "SLICE", (1, 2), "SliceOptions", inputs=(output, *numbers))


@_row("batch_matmul")
def _batch_matmul(draft: Draft, node: Node) -> None:
    fields = {"AdjX": node.attrs.adj_x, "AdjY": node.attrs.adj_y}
    draft.add(node, "BATCH_MATMUL", (1, 2), "BatchMatMulOptions", fields)


@_row("dense")
def _dense(draft: Draft, node: Node) -> None:
    inputs = (draft.tensor(node.inputs[0]), *_parameters(draft, node))
    draft.add(node, "FULLY_CONNECTED", (1, 4), "FullyConnectedOptions", _fused(node), inputs)


@_row("add")
@_row("mul")
@_row("sub")
def _arithmetic(draft: Draft, node: Node) -> None:
    fields = dict(_fused(node))
    if node.op != "mul":
        fields["PotScaleInt16"] = False  # else int16 scales that are powers of 2 are computed otherwise
    draft.add(node, node.op.upper(), (1, 2), f"{node.op.title()}Options", fields)


@_row("leaky_relu")
def _leaky_relu(draft: Draft, node: Node) -> None:
    draft.add(node, "LEAKY_RELU", (1, 2), "LeakyReluOptions", {"Alpha": float(node.attrs.alpha)})


@_row("curve")
def _curve(draft: Draft, node: Node) -> None:
    """The few of these functions that the format has."""
    function = node.attrs.function
    if function in ("gelu", "gelu_tanh"):
        draft.add(node, "GELU", (1, 2), "GeluOptions", {"Approximate": function == "gelu_tanh"})
    elif function == "log":
        draft.add(node, "LOG", (1, 2), "")
    else:
        raise ModelError(f"node '{node.name}' ({node.op}): .tflite has no operator for {function}")


_INT8_VERSION_1 = frozenset({"hard_swish", "prelu", "sqrt"})


@_row("abs")
@_row("exp")
@_row("hard_swish")
@_row("logistic")
@_row("maximum")
@_row("minimum")
@_row("prelu")
@_row("rsqrt")
@_row("sqrt")
@_row("squared_difference")
@_row("tanh")
def _plain(draft: Draft, node: Node) -> None:
    """Operators named after our ops, whose options say nothing."""
    draft.add(node, node.op.upper(), (1, 1 if node.op in _INT8_VERSION_1 else 2), "")


@_row("relu")
def _relu(draft: Draft, node: Node) -> None:
    _clamp(draft, node, node.attrs.kind, draft.tensor(node.inputs[0]))


def _clamp(draft: Draft, node: Node, kind: Activation, x: str) -> None:
    versions = 1, 1 if kind is Activation.RELU_N1_TO_1 else 2
    draft.add(node, kind.value.upper(), versions, "", inputs=(x,))


@_row("average_pool2d")
def _average_pool(draft: Draft, node: Node) -> None:
    draft.add(node, "AVERAGE_POOL_2D", (1, 2), "Pool2DOptions", _pool_fields(draft, node))


@_row("max_pool2d")
def _max_pool(draft: Draft, node: Node) -> None:
    window, kernel = node.attrs.window, node.attrs.kernel
    x = draft.graph.types[node.inputs[0]]
    if _padding(x, window, kernel) is not None or window.dilation != (1, 1):
        draft.add(node, "MAX_POOL_2D", (1, 2), "Pool2DOptions", _pool_fields(draft, node))
        return
    # The lowest value there is never exceeds one of the image.
    lowest = x.dtype.limits[0] if x.quant is not None else np.finfo(np.float32).min
    fill = draft.invent(
        f"{node.name}_lowest", Type((1,), x.dtype, x.quant), np.array([lowest], x.dtype.value)
    )
    inputs = (_pad_before(draft, node, x, window, fill),)
    fields = {**_window_fields(window, _VALID), **_pool_size(kernel), **_fused(node)}
    draft.add(node, "MAX_POOL_2D", (1, 2), "Pool2DOptions", fields, inputs)


@_row("reshape")
def _reshape(draft: Draft, node: Node) -> None:
    shape = draft.graph.types[node.outputs[0]].shape
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_shape", shape))
    draft.add(node, "RESHAPE", (1, 1), "ReshapeOptions", {"NewShape": shape}, inputs)


@_row("concatenation")
def _concatenation(draft: Draft, node: Node) -> None:
    fields, activation = {"Axis": node.attrs.axis}, node.attrs.activation
    if activation is Activation.NONE:
        draft.add(node, "CONCATENATION", (1, 2), "ConcatenationOptions", fields)
        return
    # The schema has a fused activation here too, but the runtime refuses it.
    joined = draft.invent(f"{node.name}_joined", draft.graph.types[node.outputs[0]])
    draft.add(node, "CONCATENATION", (1, 2), "ConcatenationOptions", fields, output=joined)
    _clamp(draft, node, activation, joined)


@_row("softmax")
def _softmax(draft: Draft, node: Node) -> None:
    draft.add(node, "SOFTMAX", (1, 2), "SoftmaxOptions", {"Beta": float(node.attrs.beta)})


@_row("quantize")
def _quantize(draft: Draft, node: Node) -> None:
    draft.add(node, "QUANTIZE", (1, 2), "QuantizeOptions")


@_row("dequantize")
def _dequantize(draft: Draft, node: Node) -> None:
    draft.add(node, "DEQUANTIZE", (1, 2), "DequantizeOptions")


def _fused(node: Node) -> dict[str, Option]:
    return {"FusedActivationFunction": _ACTIVATIONS[node.attrs.activation]}


def _size(draft: Draft, weights: str) -> Pair:
    """Kernel height and width."""
    shape = draft.graph.types[weights].shape
    return shape[1], shape[2]


def _parameters(draft: Draft, node: Node) -> tuple[str, str]:
    """Weights and bias of a node; in a quantized graph the bias gets its scale."""
    x, w, b = (draft.graph.types[name] for name in node.inputs)
    weights = draft.tensor(node.inputs[1])
    if x.quant is None or w.quant is None:
        return weights, draft.tensor(node.inputs[2])
    scales = tuple(x.scale * scale for scale in w.quant.scale)
    quant = Quantization(scales, (0,) * len(scales), 0)
    value = draft.graph.constants[node.inputs[2]]
    type_, known = Type(b.shape, b.dtype, quant), draft.tensors.get(node.inputs[2])
    if known is None:
        draft.tensors[node.inputs[2]] = known = Tensor(node.inputs[2], type_, value)
    # Layers may share a bias, but not its scale.
    return weights, known.name if known.type == type_ else draft.invent(f"{node.name}_bias", type_, value)


def _padding(x: Type, window: Window, kernel: Pair) -> int | None:
    """SAME or VALID when that is what the window's explicit padding amounts to; None when it is neither."""
    given = window.pad_h, window.pad_w
    if given == ((0, 0), (0, 0)):
        return _VALID
    same = [same_padding(x.shape[1 + i], kernel[i], window.stride[i], window.dilation[i]) for i in (0, 1)]
    return _SAME if given == tuple(same) else None


def _window_fields(window: Window, padding: int) -> dict[str, Option]:
    return {"Padding": padding, "StrideW": window.stride[1], "StrideH": window.stride[0]}


def _padded(draft: Draft, node: Node, kernel: Pair) -> tuple[str, dict[str, Option]]:
    """Input and options of a convolution, a PAD operator put before it where its padding needs one."""
    window: Window = node.attrs.window
    x = draft.tensor(node.inputs[0])
    type_ = draft.graph.types[x]
    padding = _padding(type_, window, kernel)
    if padding is None:
        x, padding = _pad_before(draft, node, type_, window), _VALID
    dilation: dict[str, Option] = {
        "DilationHFactor": window.dilation[0],
        "DilationWFactor": window.dilation[1],
    }
    return x, {**_window_fields(window, padding), **_fused(node), **dilation}


def _pad_before(draft: Draft, node: Node, x: Type, window: Window, fill: str | None = None) -> str:
    """The input of ``node`` with the padding of ``window`` around it; fill: the constant of what it holds."""
    amounts = ((0, 0), window.pad_h, window.pad_w, (0, 0))
    shape = tuple(size + sum(pair) for size, pair in zip(x.shape, amounts, strict=True))
    padded = draft.invent(f"{node.name}_padded", Type(shape, x.dtype, x.quant))
    inputs = (draft.tensor(node.inputs[0]), draft.ints(f"{node.name}_amounts", np.array(amounts)))
    if fill is None:
        draft.add(node, "PAD", (1, 2), "PadOptions", inputs=inputs, output=padded)
    else:
        draft.add(node, "PADV2", (1, 2), "PadV2Options", inputs=(*inputs, fill), output=padded)
    return padded


def _pool_fields(draft: Draft, node: Node) -> dict[str, Option]:
    window, kernel = node.attrs.window, node.attrs.kernel
    padding = _padding(draft.graph.types[node.inputs[0]], window, kernel)
    if padding is None or window.dilation != (1, 1):
        raise ModelError(
            f"node '{node.name}' ({node.op}): average pools in .tflite pad as SAME or VALID, and no pool has "
            f"dilation; found padding {window.pad_h}, {window.pad_w} and dilation {window.dilation}"
        )
    return {**_window_fields(window, padding), **_pool_size(kernel), **_fused(node)}


def _pool_size(kernel: Pair) -> dict[str, Option]:
    return {"FilterWidth": kernel[1], "FilterHeight": kernel[0]}
