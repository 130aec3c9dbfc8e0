"""A .tflite file as plain records, read without trusting a byte of it.

The generated reader follows offsets without checking them. This layer is the only one that calls it: every
access is made under ``_Source.reading``, which turns an offset that leaves the file into a ModelError that
says where; every vector's length is checked before it is used. No work exceeds a bound: at most
``MAX_ITEMS`` tensors and operators, shapes of at most ``MAX_RANK`` axes and ``MAX_ELEMENTS`` elements, and
as many bytes read as ``REUSE`` files of this size hold, so that a small file whose tables point at the same
bytes again and again is refused instead of unfolded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np
import tflite
from flatbuffers.number_types import Int32Flags

from tinyfoundry.errors import ModelError
from tinyfoundry.ir.graph import Array

MAX_FILE_BYTES = 2**29
MAX_ITEMS = 2**14
MAX_RANK = 8
MAX_ELEMENTS = 2**28
REUSE, SPARE_BYTES = 8, 2**20
MIN_SCALE, MAX_SCALE = 1e-30, 1e15

_DAMAGED = "the file is truncated or damaged: fetch or convert it again"
_LOST = (struct.error, TypeError, ValueError, IndexError, OverflowError)
_BUILTIN_CODE_SLOT = 10
_ITEM_BYTES = {"INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "FLOAT32": 4}

_ZERO_POINTS = {"INT8": (-128, 127), "INT16": (-(2**15), 2**15 - 1)}


def _names_of(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if not name.startswith("_")}


_TYPES = _names_of(tflite.TensorType)
_OPERATORS = _names_of(tflite.BuiltinOperator)
_OPTIONS = _names_of(tflite.BuiltinOptions)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file.

    label: how errors name it. type: as in the schema (``INT8``). shape: with 1 on the axes in ``dynamic``,
    whose size the file leaves open. scales, zero_points: as many of each, none when it is not quantized.
    data: the bytes of a constant, None for any other tensor. variable: it keeps its value between runs.
    """

    label: str
    name: str
    type: str
    shape: tuple[int, ...]
    dynamic: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    data: Array | None
    sparse: bool
    variable: bool = False


@dataclass(frozen=True)
class Operator:
    """An operator of the file.

    label: how errors name it. code: as in the schema (``CONV_2D``). inputs: tensors' numbers, -1 for one left
    out. option: (name of the options table, name of a field) -> its value, a tuple for a vector; zero where
    the operator has no options. intermediates: numbers of tensors that say how it quantises what it keeps to
    itself.
    """

    label: str
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    option: Callable[[str, str], Any]
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True)
class Model:
    """The one subgraph of a file."""

    label: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(data: bytes, label: str) -> Model:
    """The records of a .tflite file; label: how errors name the file.

    Raises:
        ModelError: the file is no TensorFlow Lite model, is damaged, or is larger than the bounds.
    """
    source = _Source(data, label)
    if len(data) > MAX_FILE_BYTES:
        source.fail("", f"has {len(data)} bytes; at most {MAX_FILE_BYTES} are read: give a smaller model")
    if data[4:8] != b"TFL3":
        source.fail("", f"bytes 4 to 8 are {data[4:8]!r}, wanted b'TFL3': this is no TensorFlow Lite model")
    with source.reading("model"):
        root = tflite.Model.GetRootAs(data, 0)
        graphs = source.length(root, "Subgraphs", 4)
    if graphs != 1:
        source.fail("", f"has {graphs} subgraphs, wanted 1: convert a model without control flow")
    with source.reading("subgraph 0"):
        graph = root.Subgraphs(0)
        inputs, outputs = source.ints(graph, "Inputs"), source.ints(graph, "Outputs")
        tensor_count = source.items(graph, "Tensors")
        operator_count = source.items(graph, "Operators")
        source.items(root, "Buffers")
        source.items(root, "OperatorCodes")
    tensors = tuple(_tensor(source, root, graph, number) for number in range(tensor_count))
    operators = tuple(
        _operator(source, root, graph, number, tensor_count) for number in range(operator_count)
    )
    for kind, numbers in (("input", inputs), ("output", outputs)):
        _check_numbers(source, f"subgraph 0, {kind}s", numbers, 0, tensor_count)
    return Model(label, tensors, operators, inputs, outputs)


class _Source:
    """The bytes of a file, the name that errors give it, and how many more bytes may be read of it."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data = data
        self.label = label
        self._left = REUSE * len(data) + SPARE_BYTES

    def fail(self, where: str, text: str) -> NoReturn:
        """Raises the ModelError that ``text`` describes."""
        raise ModelError(f"{self.label}{', ' if where else ''}{where}: {text}")

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Turns what the generated reader raises at an offset outside the file into a ModelError."""
        try:
            yield
        except _LOST:
            self.fail(where, f"points outside the file's {len(self.data)} bytes; {_DAMAGED}")

    def length(self, table: Any, field: str, item_bytes: int) -> int:
        """Length of a vector that lies within the file."""
        count = int(getattr(table, f"{field}Length")())
        if count * item_bytes > len(self.data):
            self.fail(place(type(table).__name__.lower(), table), f"{field} has {count} items; {_DAMAGED}")
        self.spend(count * item_bytes)
        return count

    def items(self, table: Any, field: str) -> int:
        """Length of a vector of tables, at most MAX_ITEMS."""
        count = self.length(table, field, 4)
        if count > MAX_ITEMS:
            self.fail("", f"has {count} {field}; at most {MAX_ITEMS} are read: give a smaller model")
        return count

    def ints(self, table: Any, field: str, item_bytes: int = 4) -> tuple[int, ...]:
        """A vector of whole numbers; empty when it is absent."""
        count = self.length(table, field, item_bytes)
        return tuple(int(value) for value in getattr(table, f"{field}AsNumpy")()) if count else ()

    def text(self, value: bytes | None) -> str:
        """A string of the file."""
        self.spend(len(value or b""))
        return (value or b"").decode("utf-8", "replace")

    def spend(self, count: int) -> None:
        """Accounts for ``count`` bytes read."""
        self._left -= count
        if self._left < 0:
            self.fail(
                "", f"its tables use the same bytes again and again, over {REUSE} times its size; {_DAMAGED}"
            )


def place(what: str, table: Any) -> str:
    """``what`` and the byte in the file where its table stands."""
    return f"{what} at byte {table._tab.Pos}"  # noqa: SLF001  the generated classes offer no other way


def _tensor(source: _Source, root: Any, graph: Any, number: int) -> Tensor:
    with source.reading(f"tensor {number}"):
        table = graph.Tensors(number)
        name = source.text(table.Name())
    where = place(f"tensor {number} {name[:60]!r}", table)
    with source.reading(where):
        kind = _TYPES.get(table.Type(), f"type {table.Type()}")
        shape, dynamic = _shape(source, where, table)
        scales, zero_points, axis = _quantization(source, where, table)
        low, high = _ZERO_POINTS.get(kind, (-(2**63), 2**63))
        if not all(low <= zero <= high for zero in zero_points):
            source.fail(where, f"a zero point is outside {low}..{high}; {_DAMAGED}")
        data = _data(source, where, root, table.Buffer())
        sparse, variable = table.Sparsity() is not None, bool(table.IsVariable())
    wanted = prod(shape) * _ITEM_BYTES.get(kind, 0)
    if data is not None and not sparse and kind in _ITEM_BYTES and len(data) != wanted:
        source.fail(where, f"holds {len(data)} bytes where {kind} {list(shape)} takes {wanted}; {_DAMAGED}")
    label = f"{source.label}, {where}"
    return Tensor(label, name, kind, shape, dynamic, scales, zero_points, axis, data, sparse, variable)


def _shape(source: _Source, where: str, table: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape with 1 for every size that the file leaves open, and the axes where it does."""
    sizes, signature = source.ints(table, "Shape"), source.ints(table, "ShapeSignature")
    if len(sizes) > MAX_RANK:
        source.fail(where, f"has {len(sizes)} axes; at most {MAX_RANK} are supported: reshape it")
    if len(signature) != len(sizes):
        signature = sizes
    dynamic = tuple(axis for axis, size in enumerate(signature) if size == -1)
    shape = tuple(1 if axis in dynamic else size for axis, size in enumerate(sizes))
    if any(size < 1 for size in shape) and shape != (0,):  # that is a list of nothing: a scalar's shape
        source.fail(where, f"shape {list(shape)} has a size below 1; {_DAMAGED}")
    if prod(shape) > MAX_ELEMENTS:
        source.fail(
            where, f"shape {list(shape)} has {prod(shape)} elements, at most {MAX_ELEMENTS} are supported"
        )
    return shape, dynamic


def _quantization(source: _Source, where: str, table: Any) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    quant = table.Quantization()
    if quant is None or not source.length(quant, "Scale", 4):
        return (), (), 0
    scales = tuple(float(scale) for scale in quant.ScaleAsNumpy())
    zero_points = source.ints(quant, "ZeroPoint", 8) or (0,) * len(scales)
    if len(zero_points) != len(scales):
        source.fail(where, f"{len(scales)} scales but {len(zero_points)} zero points; {_DAMAGED}")
    bad = [scale for scale in scales if not MIN_SCALE <= scale <= MAX_SCALE]
    if bad:
        source.fail(where, f"scale {bad[0]:g}, wanted {MIN_SCALE:g} to {MAX_SCALE:g}; {_DAMAGED}")
    return scales, zero_points, int(quant.QuantizedDimension()) if len(scales) > 1 else 0


def _data(source: _Source, where: str, root: Any, number: int) -> Array | None:
    """Bytes of a buffer, None for one without any: its tensor is no constant."""
    count = int(root.BuffersLength())
    if not 0 <= number < max(count, 1):
        source.fail(where, f"is in buffer {number} of {count}; {_DAMAGED}")
    if number == 0:
        return None
    buffer = root.Buffers(number)
    if buffer.Offset() > 1:
        source.fail(where, "is stored behind the flatbuffer, which is not supported: convert below 2 GiB")
    if not source.length(buffer, "Data", 1):
        return None
    return np.asarray(buffer.DataAsNumpy(), np.uint8)


def _operator(source: _Source, root: Any, graph: Any, number: int, tensors: int) -> Operator:
    with source.reading(f"operator {number}"):
        table = graph.Operators(number)
        where = place(f"operator {number}", table)
        index, count = int(table.OpcodeIndex()), int(root.OperatorCodesLength())
        if index >= count:
            source.fail(where, f"has operator code {index} of {count}; {_DAMAGED}")
        code = _code(source, root.OperatorCodes(index))
    where = place(f"operator {number} ({code})", table)
    with source.reading(where):
        inputs, outputs = source.ints(table, "Inputs"), source.ints(table, "Outputs")
        intermediates = source.ints(table, "Intermediates")
    _check_numbers(source, f"{where}, inputs", inputs, -1, tensors)
    _check_numbers(source, f"{where}, outputs", outputs, 0, tensors)
    _check_numbers(source, f"{where}, intermediates", intermediates, 0, tensors)

    def option(options: str, field: str) -> Any:
        with source.reading(f"{where}, {options}"):
            return _option(source, where, table, options, field)

    return Operator(f"{source.label}, {where}", code, inputs, outputs, option, intermediates)


def _code(source: _Source, table: Any) -> str:
    """Name of an operator code; for a custom operator the name that its maker gave it."""
    # Old files write the one field, new files both, some the other alone; the larger one holds (schema.fbs).
    # The generated reader overlooks the third case, so the field is read by its place in the schema.
    raw = table._tab  # noqa: SLF001
    offset = raw.Offset(_BUILTIN_CODE_SLOT)
    new = int(raw.Get(Int32Flags, raw.Pos + offset)) if offset else 0
    number = max(int(table.DeprecatedBuiltinCode()), new)
    if number == tflite.BuiltinOperator.CUSTOM:
        return f"CUSTOM {source.text(table.CustomCode())[:60]!r}"
    return _OPERATORS.get(number, f"unknown operator code {number}")


def _option(source: _Source, where: str, table: Any, options: str, field: str) -> Any:
    found = _OPTIONS.get(table.BuiltinOptionsType(), "unknown options")
    union = table.BuiltinOptions()
    if union is None or found == "NONE":
        return 0
    if found != options:
        source.fail(where, f"has {found}, wanted {options}; {_DAMAGED}")
    record = getattr(tflite, options)()
    record.Init(union.Bytes, union.Pos)
    if hasattr(record, f"{field}AsNumpy"):
        return source.ints(record, field)
    return getattr(record, field)()


def _check_numbers(source: _Source, where: str, numbers: tuple[int, ...], low: int, count: int) -> None:
    bad = [number for number in numbers if not low <= number < count]
    if bad:
        source.fail(where, f"name tensor {bad[0]}, there are {count}; {_DAMAGED}")
