"""Reads a .tflite file into a graph: one row of ``_rows.ROWS`` an operator, one function under ``@row``.

Semantics: TensorFlow Lite schema version 3, its int8 quantization specification and its 16x8 scheme. SAME and
VALID become explicit padding, a missing bias becomes zeros, an unknown (batch) size becomes 1. What an
operator means is the op's own business; here it is only translated, and what the ops and the file cannot
agree on is a ModelError.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path

from tflite import TensorType

from tinyfoundry.builder import identifier
from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.importers import _moves, _recurrent  # noqa: F401 - importing them enters their rows
from tinyfoundry.importers._draft import DTYPES, Draft, fail, has, unique_names
from tinyfoundry.importers._emitted import emitted
from tinyfoundry.importers._findings import refusal
from tinyfoundry.importers._flat import MAX_FILE_BYTES, Model, Operator, read
from tinyfoundry.importers._rows import ROWS as _ROWS
from tinyfoundry.importers._rows import Option
from tinyfoundry.importers._rows import Row as _Row
from tinyfoundry.importers._rows import row as _row
from tinyfoundry.importers._source import bytes_of
from tinyfoundry.ir.graph import DType, Graph, Shape
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.op import get_op
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Pair, Window, same_padding
from tinyfoundry.ops.batch_matmul import BatchMatMul
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.convert import Quantize
from tinyfoundry.ops.curve import Curve
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add, Relu, Sub
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.product import Mul
from tinyfoundry.ops.shape import Concatenation, Reshape
from tinyfoundry.ops.smooth import LeakyRelu
from tinyfoundry.ops.softmax import Softmax
from tinyfoundry.ops.transpose_conv import TransposeConv

_NEARLY = 1e-3  # how near to a whole number TensorFlow Lite takes a logarithm for one
_MAX_WINDOW = 1024  # rows and columns that a window may cover: far more than any network's
_SURPRISES = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_UNFORESEEN = "cannot be translated for a reason that nobody foresaw"
_FUSIBLE = frozenset(kind.value for kind in Activation)
_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
_ADVICE = {
    "UINT8": "quantized in the old uint8 scheme; convert the model again with int8",
    "FLOAT16": "convert without float16 weights",
}


def load(source: str | os.PathLike[str] | bytes) -> Graph:
    """The graph of a .tflite model, named after its file (``model`` for bytes).

    source: path of the file, or its bytes.

    Raises:
        ModelError: the file cannot be read, is damaged, or asks for something that is not supported.
    """
    if isinstance(source, bytes):
        return _convert(read(source, "model"), "model")
    path = Path(source)
    label = repr(str(path))
    return _convert(
        read(bytes_of(path, label, MAX_FILE_BYTES, "a .tflite file"), label), identifier(path.stem)
    )


def tensor_numbers(data: bytes) -> dict[str, int]:
    """Number in the file of every tensor, by the name it has in the graph."""
    return {name: number for number, name in enumerate(unique_names(read(data, "model").tensors))}


def operators(ops: Collection[str]) -> dict[str, frozenset[str]]:
    """Every operator that can be read, and which of ``ops`` it can become."""
    # Rows that several operators share write the op of the operator's own name.
    own = {code: {code.lower()} & set(ops) for code in _ROWS}
    return {code: emitted(row.convert, ops) | own[code] for code, row in sorted(_ROWS.items())}


def _convert(model: Model, name: str) -> Graph:
    draft = Draft(model, name)
    for number in model.inputs:
        draft.input(number)
    findings = [*_unsupported_operators(model), *_unsupported_tensors(model)]
    errors = [error for op in model.operators for error in _translated(draft, op)]
    if findings or errors:
        advice = f"change the model to use only {', '.join(sorted(_ROWS))} on int8, int16 or float32"
        raise refusal(model.label, findings, errors, advice)
    outputs = [draft.read(number, "the graph's outputs") for number in model.outputs]
    with _complaints(model.label):
        graph = draft.builder.finish(*outputs)
    # Parts of a split that nobody reads, and shapes that were computed for a reshape, end here.
    return rebuild(graph, graph.nodes)


def _translated(draft: Draft, op: Operator) -> Iterator[ModelError]:
    """Adds what stands for an operator; gives the error, where it is not one of the findings."""
    row = _ROWS.get(op.code)
    if row is None or _unfused(op, row) or not draft.can_read(op):
        draft.assume(op)
        return
    try:
        with _complaints(op.label):
            draft.unwritten(op)
            written = row.convert(draft, op, partial(op.option, row.options))
            draft.write(op, (written,) if isinstance(written, str) else written)
    except ModelError as error:
        draft.assume(op)
        yield error


@contextmanager
def _complaints(label: str) -> Iterator[None]:
    """Turns what builder and ops complain of into a ModelError about the file."""
    try:
        yield
    except GraphError as error:
        raise ModelError(f"{label}: {error}") from error
    except _SURPRISES as error:
        # No damaged file known gets here; should one, its user is not to see a traceback.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"{label}: {_UNFORESEEN} ({what}): report it, with the file") from error


def _unsupported_operators(model: Model) -> Iterator[str]:
    codes: Counter[str] = Counter()
    for op in model.operators:
        row = _ROWS.get(op.code)
        if row is None:
            codes[op.code] += 1
        elif text := _unfused(op, row):
            codes[f"{op.code} with fused {text.upper()}"] += 1
        else:
            for text in row.variants(op, partial(op.option, row.options)):
                codes[f"{op.code} {text}"] += 1
    yield from (f"{code} ({count}×)" for code, count in sorted(codes.items()))


def _unsupported_tensors(model: Model) -> Iterator[str]:
    used = {number for op in model.operators for number in (*op.inputs, *op.outputs)}
    tensors = [model.tensors[number] for number in sorted((used | set(model.inputs)) - {-1})]
    types = Counter(tensor.type for tensor in tensors if tensor.type not in DTYPES)
    for kind, count in sorted(types.items()):
        advice = _ADVICE.get(kind, "use int8, int16 or float32")
        yield f"{kind} tensors ({count} of {len(tensors)}: {advice})"
    sparse = sum(tensor.sparse for tensor in tensors)
    if sparse:
        yield f"sparse tensors ({sparse} of {len(tensors)}: convert with dense weights)"


def _unfused(op: Operator, row: _Row) -> str:
    """Name of an activation that an operator applies to its output but no op of ours can; empty for none."""
    number = op.option(row.options, "FusedActivationFunction") if row.fused else 0
    name = _ACTIVATIONS[number].lower() if 0 <= number < len(_ACTIVATIONS) else f"activation {number}"
    return "" if name in _FUSIBLE else name


@_row("CONV_2D", "Conv2DOptions", fused=True)
def _conv2d(draft: Draft, op: Operator, option: Option) -> str:
    x, w, b = draft.weighted(op, out_axis=0, rank=4)
    kernel = draft.image(op, w)
    window = _window(op, option, draft.image(op, x), kernel, _dilation(option))
    return draft.apply(op, "conv2d", (x, w, b), Conv2D(window, _activation(option)))


@_row("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", fused=True)
def _depthwise(draft: Draft, op: Operator, option: Option) -> str:
    # The depth multiplier is not read: the runtime too takes it from the shapes.
    x, w, b = draft.weighted(op, out_axis=3, rank=4)
    kernel = draft.image(op, w)
    window = _window(op, option, draft.image(op, x), kernel, _dilation(option))
    return draft.apply(op, "depthwise_conv2d", (x, w, b), DepthwiseConv2D(window, _activation(option)))


@_row("TRANSPOSE_CONV", "TransposeConvOptions", fused=True)
def _transpose_conv(draft: Draft, op: Operator, option: Option) -> str:
    x, w, b = draft.weighted(op, out_axis=0, rank=4, places=(2, 1, 3), narrow=_narrow(option))
    # A shape that the model computes is, with a batch of one, what the file says of the result.
    shape = draft.ints(op, 0) if draft.is_constant(op, 0) else draft.target(op).shape
    if len(shape) != 4 or min(shape) < 1:
        fail(op, f"output {list(shape)}, wanted 4 positive sizes, N H W C; the file is damaged")
    size = shape[1], shape[2]
    window = _window(op, option, size, draft.image(op, w))
    return draft.apply(op, "transpose_conv", (x, w, b), TransposeConv(size, window, _activation(option)))


@_row("BATCH_MATMUL", "BatchMatMulOptions")
def _batch_matmul(draft: Draft, op: Operator, option: Option) -> str:
    attributes = BatchMatMul(bool(option("AdjX")), bool(option("AdjY")))
    return draft.apply(op, "batch_matmul", draft.operands(op, 2), attributes)


@_row("FULLY_CONNECTED", "FullyConnectedOptions", fused=True)
def _dense(draft: Draft, op: Operator, option: Option) -> str:
    x, w, b = draft.weighted(op, out_axis=0, rank=2, narrow=_narrow(option))
    if option("WeightsFormat") != 0:
        fail(
            op, f"weights are in format {option('WeightsFormat')}, wanted 0: convert without shuffled weights"
        )
    found, (units, inputs) = draft.type(x), draft.type(w).shape
    if found.elements % inputs:
        fail(op, f"input {list(found.shape)} does not divide into rows of {inputs}; the file is damaged")
    rows = found.elements // inputs
    if found.shape != (rows, inputs):
        x = draft.between(op, "rows", "reshape", (x,), Reshape((rows, inputs)), found.quant)
    kept = (*found.shape[:-1], units) if option("KeepNumDims") else (rows, units)
    if kept == (rows, units):
        return draft.apply(op, "dense", (x, w, b), Dense(_activation(option)))
    quant = draft.quant(op)
    y = draft.between(op, "dense", "dense", (x, w, b), Dense(_activation(option)), quant)
    return draft.apply(op, "reshape", (y,), Reshape(kept))


@_row("GELU", "GeluOptions")
def _gelu(draft: Draft, op: Operator, option: Option) -> str:
    curve = Curve("gelu_tanh" if option("Approximate") else "gelu")
    return draft.apply(op, "curve", draft.operands(op, 1), curve)


@_row("LOG", "")
def _log(draft: Draft, op: Operator, _option: Option) -> str:
    return draft.apply(op, "curve", draft.operands(op, 1), Curve("log"))


@_row("ADD", "AddOptions", fused=True)
@_row("MUL", "MulOptions", fused=True)
@_row("SUB", "SubOptions", fused=True)
def _arithmetic(draft: Draft, op: Operator, option: Option) -> str:
    if op.code != "MUL" and option("PotScaleInt16"):
        _refuse_powers_of_two(draft, op)
    attributes = {"ADD": Add, "MUL": Mul, "SUB": Sub}[op.code](_activation(option))
    return draft.apply(op, op.code.lower(), draft.operands(op, 2), attributes)


def _refuse_powers_of_two(draft: Draft, op: Operator) -> None:
    """Int16 sums of which all scales are powers of 2 are shifted, in another arithmetic, unless told not."""
    tensors = [*(draft.type(name) for name in draft.operands(op, 2)), draft.target_type(op)]
    if tensors[0].dtype != DType.INT16 or any(type_.quant is None for type_ in tensors):
        return
    powers = [math.log2(type_.scale) for type_ in tensors]
    if all(abs(power - round(power)) < _NEARLY for power in powers):
        fail(
            op,
            "int16 with scales that are powers of 2 and the option pot_scale_int16, which is not supported; "
            "convert again with that option false",
        )


@_row("AVERAGE_POOL_2D", "Pool2DOptions", fused=True)
def _average_pool(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1)
    kernel = option("FilterHeight"), option("FilterWidth")
    window = _window(op, option, draft.image(op, x), kernel)
    return draft.apply(op, "average_pool2d", (x,), AveragePool2D(kernel, window, _activation(option)))


@_row("MAX_POOL_2D", "Pool2DOptions", fused=True)
def _max_pool(draft: Draft, op: Operator, option: Option) -> str:
    (x,) = draft.operands(op, 1)
    kernel = option("FilterHeight"), option("FilterWidth")
    window = _window(op, option, draft.image(op, x), kernel)
    return draft.apply(op, "max_pool2d", (x,), MaxPool2D(kernel, window, _activation(option)))


@_row("RESHAPE", "ReshapeOptions")
def _reshape(draft: Draft, op: Operator, option: Option) -> str:
    x = draft.operand(op, 0)
    elements = draft.type(x).elements
    if draft.is_constant(op, 1):
        wanted = _filled(draft.ints(op, 1), elements)
    elif not has(op, 1) and option("NewShape"):
        wanted = _filled(option("NewShape"), elements)
    else:  # the shape is computed, or given by no one: the file's own record of the result holds
        wanted = draft.target(op).shape
    return draft.apply(op, "reshape", (x,), Reshape(wanted))


@_row("CONCATENATION", "ConcatenationOptions", fused=True)
def _concatenation(draft: Draft, op: Operator, option: Option) -> str:
    inputs = draft.operands(op, max(len(op.inputs), 1))
    axis = option("Axis")
    if axis < 0:
        axis += len(draft.type(inputs[0]).shape)
    return draft.apply(op, "concatenation", inputs, Concatenation(axis, _activation(option)))


@_row("SOFTMAX", "SoftmaxOptions")
def _softmax(draft: Draft, op: Operator, option: Option) -> str:
    return draft.apply(op, "softmax", draft.operands(op, 1), Softmax(float(option("Beta"))))


@_row("RELU", "")
def _relu(draft: Draft, op: Operator, _option: Option) -> str:
    return draft.apply(op, "relu", draft.operands(op, 1), Relu(Activation.RELU))


@_row("RELU6", "")
def _relu6(draft: Draft, op: Operator, _option: Option) -> str:
    return draft.apply(op, "relu", draft.operands(op, 1), Relu(Activation.RELU6))


@_row("RELU_N1_TO_1", "")
def _relu_n1_to_1(draft: Draft, op: Operator, _option: Option) -> str:
    return draft.apply(op, "relu", draft.operands(op, 1), Relu(Activation.RELU_N1_TO_1))


@_row("LEAKY_RELU", "LeakyReluOptions")
def _leaky_relu(draft: Draft, op: Operator, option: Option) -> str:
    return draft.apply(op, "leaky_relu", draft.operands(op, 1), LeakyRelu(float(option("Alpha"))))


@_row("ABS", "")
@_row("EXP", "")
@_row("HARD_SWISH", "")
@_row("LOGISTIC", "")
@_row("MAXIMUM", "")
@_row("MINIMUM", "")
@_row("PRELU", "")
@_row("RSQRT", "")
@_row("SQRT", "")
@_row("SQUARED_DIFFERENCE", "")
@_row("TANH", "")
def _plain(draft: Draft, op: Operator, _option: Option) -> str:
    """Operators without options that our ops are named after."""
    name = op.code.lower()
    return draft.apply(op, name, draft.operands(op, len(get_op(name).inputs)))


@_row("QUANTIZE", "QuantizeOptions")
def _quantize(draft: Draft, op: Operator, _option: Option) -> str:
    return draft.apply(op, "quantize", draft.operands(op, 1), Quantize(draft.target_type(op).dtype))


@_row("DEQUANTIZE", "DequantizeOptions")
def _dequantize(draft: Draft, op: Operator, _option: Option) -> str:
    return draft.apply(op, "dequantize", draft.operands(op, 1))


def _narrow(option: Option) -> bool:
    """Whether an operator on int16 sums in 32 bits, which matters where it has no bias to tell."""
    return bool(option("QuantizedBiasType") == TensorType.INT32)


def _activation(option: Option) -> Activation:
    return Activation(_ACTIVATIONS[option("FusedActivationFunction")].lower())


def _dilation(option: Option) -> Pair:
    return option("DilationHFactor"), option("DilationWFactor")


def _window(op: Operator, option: Option, size: Pair, kernel: Pair, dilation: Pair = (1, 1)) -> Window:
    """The window with the padding that SAME or VALID amount to over an input of ``size``."""
    stride = option("StrideH"), option("StrideW")
    text = f"stride {stride}, kernel {kernel}, dilation {dilation}"
    if min(*stride, *kernel, *dilation) < 1:
        fail(op, f"{text}: one is below 1; the file is damaged")
    if max(*Window(dilation=dilation).extent(kernel), *stride) > _MAX_WINDOW:
        fail(op, f"{text}: reaches over more than {_MAX_WINDOW} rows or columns, the most supported")
    padding = option("Padding")
    if padding not in (0, 1):
        fail(op, f"padding is {padding}, wanted 0 (SAME) or 1 (VALID); the file is damaged")
    if padding == 1:
        return Window(stride, dilation=dilation)
    pads = [same_padding(size[i], kernel[i], stride[i], dilation[i]) for i in (0, 1)]
    return Window(stride, pads[0], pads[1], dilation)


def _filled(shape: tuple[int, ...], elements: int) -> Shape:
    """``shape`` with its one -1 replaced by what ``elements`` leave for it."""
    rest = prod(size for size in shape if size != -1)
    if shape.count(-1) != 1 or rest < 1:
        return shape
    return tuple(elements // rest if size == -1 else size for size in shape)
