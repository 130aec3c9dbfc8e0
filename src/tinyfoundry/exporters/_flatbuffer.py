"""A TensorFlow Lite model as plain records, and those records as the bytes of a .tflite file (schema 3).

Operators and their options are named as in the schema (``CONV_2D``, ``Conv2DOptions``, ``StrideW``): the
writer finds the generated functions by these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyfoundry.ir.graph import Array, DType, Quantization, Type

Option = int | float | bool | tuple[int, ...]

_TENSOR_TYPES = {
    DType.INT8: tflite.TensorType.INT8,
    DType.INT16: tflite.TensorType.INT16,
    DType.INT32: tflite.TensorType.INT32,
    DType.INT64: tflite.TensorType.INT64,
    DType.FLOAT32: tflite.TensorType.FLOAT32,
}
_ALIGNMENT = 16  # bytes: the runtime maps constants in place and its vector kernels want them aligned


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file; ``value`` is given for constants. variable: it keeps its value between runs."""

    name: str
    type: Type
    value: Array | None = None
    variable: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator of the file: code and version, its tensors ("" for an input left out), its options table
    ("" for none) and fields. intermediates: tensors that only say how it quantises what it keeps to itself.
    """

    code: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: str
    fields: Mapping[str, Option]
    intermediates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model of one subgraph, operators in execution order."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def to_bytes(model: Model) -> bytes:
    """The file's bytes."""
    builder = flatbuffers.Builder(1024)
    numbers = {"": -1, **{tensor.name: i for i, tensor in enumerate(model.tensors)}}
    codes = sorted({(op.code, op.version) for op in model.operators})
    # A table is written after everything it points to, so the file grows from its leaves.
    constants = [tensor.value for tensor in model.tensors if tensor.value is not None]
    buffers = [_table(builder, "Buffer"), *(_buffer(builder, value) for value in constants)]
    numbers_of_buffers = _buffer_numbers(model.tensors)
    tensors = [_tensor(builder, *pair) for pair in zip(model.tensors, numbers_of_buffers, strict=True)]
    operators = [_operator(builder, op, numbers, codes) for op in model.operators]
    subgraph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, tensors),
        Inputs=_ints(builder, [numbers[name] for name in model.inputs]),
        Outputs=_ints(builder, [numbers[name] for name in model.outputs]),
        Operators=_offsets(builder, operators),
        Name=builder.CreateString(model.name),
    )
    root = _table(
        builder,
        "Model",
        Version=3,
        OperatorCodes=_offsets(builder, [_operator_code(builder, *code) for code in codes]),
        Subgraphs=_offsets(builder, [subgraph]),
        Description=builder.CreateString("tinyfoundry"),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(root, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer_numbers(tensors: Sequence[Tensor]) -> list[int]:
    """Buffer of each tensor: constants have their own, in order, all others the empty buffer 0."""
    so_far = accumulate(int(tensor.value is not None) for tensor in tensors)
    return [0 if tensor.value is None else count for tensor, count in zip(tensors, so_far, strict=True)]


def _buffer(builder: Any, value: Array) -> int:
    raw = np.ascontiguousarray(value, np.dtype(value.dtype).newbyteorder("<")).tobytes()
    builder.Prep(_ALIGNMENT, len(raw))
    return _table(builder, "Buffer", Data=builder.CreateByteVector(raw))


def _tensor(builder: Any, tensor: Tensor, buffer: int) -> int:
    quant = tensor.type.quant
    extra = {} if quant is None else {"Quantization": _quantization(builder, quant)}
    return _table(
        builder,
        "Tensor",
        Shape=_ints(builder, tensor.type.shape),
        Type=_TENSOR_TYPES[tensor.type.dtype],
        Buffer=buffer,
        Name=builder.CreateString(tensor.name),
        HasRank=True,
        IsVariable=tensor.variable,
        **extra,
    )


def _quantization(builder: Any, quant: Quantization) -> int:
    return _table(
        builder,
        "QuantizationParameters",
        Scale=builder.CreateNumpyVector(np.array(quant.scale, np.float32)),
        ZeroPoint=builder.CreateNumpyVector(np.array(quant.zero_point, np.int64)),
        QuantizedDimension=quant.axis if quant.per_channel else 0,
    )


def _operator(
    builder: Any, op: Operator, numbers: Mapping[str, int], codes: Sequence[tuple[str, int]]
) -> int:
    fields = {
        name: _ints(builder, value) if isinstance(value, tuple) else value
        for name, value in op.fields.items()
    }
    inner = {}
    if op.intermediates:
        inner = {"Intermediates": _ints(builder, [numbers[name] for name in op.intermediates])}
    options = {}
    if op.options:
        options = {
            "BuiltinOptionsType": getattr(tflite.BuiltinOptions, op.options),
            "BuiltinOptions": _table(builder, op.options, **fields),
        }
    return _table(
        builder,
        "Operator",
        OpcodeIndex=codes.index((op.code, op.version)),
        Inputs=_ints(builder, [numbers[name] for name in op.inputs]),
        Outputs=_ints(builder, [numbers[name] for name in op.outputs]),
        **inner,
        **options,
    )


def _operator_code(builder: Any, code: str, version: int) -> int:
    number = getattr(tflite.BuiltinOperator, code)
    return _table(
        builder,
        "OperatorCode",
        DeprecatedBuiltinCode=min(number, 127),
        BuiltinCode=number,
        Version=version,
    )


def _table(builder: Any, name: str, **fields: Any) -> int:
    """Writes one table of the schema; returns its offset."""
    start: Callable[[Any], None] = getattr(tflite, f"{name}Start")
    end: Callable[[Any], int] = getattr(tflite, f"{name}End")
    start(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, value)
    return end(builder)


def _ints(builder: Any, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
