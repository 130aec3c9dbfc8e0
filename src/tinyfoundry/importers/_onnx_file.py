"""Reads an .onnx file into plain records, whatever its bytes, and nothing but that one file.

Format: ``onnx.proto`` of the ONNX specification, ModelProto with one GraphProto. What is damaged raises a
ModelError; what is sound but not supported (external data, element types, unknown sizes) is noted in
``Model.unsupported``, so that the importer can list it beside everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinyfoundry.errors import ModelError, ToolError
from tinyfoundry.importers._onnx_value import Unsupported
from tinyfoundry.importers._protobuf import check_wire
from tinyfoundry.ir.graph import Array, Shape

MAX_FILE_BYTES = 2**28
MAX_NODES = 2**14
MAX_RANK = 8
MAX_ELEMENTS = 2**28
OPSETS = range(7, 29)
"""Versions of the default operator set whose operators the table of rows was read against."""

FLOAT, UINT8, INT8, INT32, INT64, BOOL, DOUBLE = 1, 2, 3, 6, 7, 9, 11
_NUMPY = {
    FLOAT: np.float32, UINT8: np.uint8, INT8: np.int8, INT32: np.int32, INT64: np.int64, BOOL: np.bool_,
    DOUBLE: np.float64,
}  # fmt: skip
_OTHERS = {4: "uint16", 5: "int16", 10: "float16", 16: "bfloat16", 21: "uint4", 22: "int4"}
_FIELDS = {FLOAT: "float_data", INT64: "int64_data", DOUBLE: "double_data"}  # others: int32_data
_SCALARS = {1: "f", 2: "i", 6: "floats", 7: "ints"}  # AttributeProto.AttributeType -> field
_TEXT, _TENSOR, _TEXTS = 3, 4, 8
_EXTERNAL = 1  # TensorProto.DataLocation


@dataclass(frozen=True)
class Face:
    """An input or output of the graph. dtype: TensorProto.DataType. shape: unknown batch sizes are 1."""

    name: str
    dtype: int
    shape: Shape


@dataclass(frozen=True)
class Node:
    """One use of an operator; operators of other domains than ONNX's own are called ``domain.Name``."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.op} {shown(self.name or (self.outputs or ('',))[0])}"

    def integer(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        return int(self._typed(name, default, int))

    def real(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        return float(self._typed(name, default, int | float))

    def text(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        return str(self._typed(name, default, str))

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of whole numbers; None where it is absent."""
        found = self._typed(name, (), tuple)
        if not all(isinstance(number, int) for number in found):
            raise Unsupported(f"with {name} that are no whole numbers; the file is damaged")
        return tuple(found) if name in self.attributes else None

    def _typed(self, name: str, default: Any, kind: Any) -> Any:
        found = self.attributes.get(name, default)
        if not isinstance(found, kind):
            raise Unsupported(f"with an attribute {name} of the wrong type; the file is damaged")
        return found


@dataclass(frozen=True)
class Model:
    """What a file holds.

    file_bytes: its size. told: float tensors inside of which the file says the shape. unsupported: findings
    for the importer's list.
    """

    label: str
    file_bytes: int
    opset: int
    inputs: tuple[Face, ...]
    outputs: tuple[Face, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    told: Mapping[str, Shape]
    unsupported: tuple[str, ...] = field(default=())


def shown(name: str) -> str:
    """A name of the file as messages show it."""
    return ascii(name[:60])


def type_name(dtype: int) -> str:
    """Name of a TensorProto.DataType."""
    return _OTHERS.get(dtype, np.dtype(_NUMPY[dtype]).name if dtype in _NUMPY else f"number {dtype}")


def read(data: bytes, label: str) -> Model:
    """The records of a file's bytes; ``label`` names it in messages.

    Raises:
        ModelError: the bytes are no ONNX model, or a damaged one. ToolError: package ``onnx`` is missing.
    """
    try:
        import onnx  # noqa: PLC0415
        from google.protobuf.message import DecodeError  # noqa: PLC0415
    except ImportError as error:
        raise ToolError(
            f"{label}: found no Python package onnx; wanted it to read .onnx files; "
            "run: pip install 'tinyfoundry[onnx]'"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(
            f"{label}: has {len(data)} bytes; at most {MAX_FILE_BYTES} are read: give a smaller model"
        )
    check_wire(data, onnx.ModelProto.DESCRIPTOR, label)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{label}: is no ONNX model (protobuf cannot be decoded): give an .onnx file") from (
            error
        )
    return _Reader(label, len(data)).model(proto)


class _Reader:
    """Turns messages of protobuf into records, collecting what is not supported."""

    def __init__(self, label: str, file_bytes: int) -> None:
        self.label = label
        self.file_bytes = file_bytes
        self.external: list[str] = []
        self.unsupported: dict[str, None] = {}

    def model(self, proto: Any) -> Model:
        graph = proto.graph
        if not graph.node or not graph.output:
            self.fail("has no graph with nodes and outputs; give an .onnx model, not weights alone")
        if len(graph.node) > MAX_NODES:
            self.fail(f"has {len(graph.node)} nodes; at most {MAX_NODES} are read: give a smaller model")
        opset = self.opset(proto)
        if graph.sparse_initializer:
            self.unsupported["sparse weights (export with dense ones)"] = None
        constants = {_text(tensor.name): self.array(tensor) for tensor in graph.initializer}
        inputs = [self.face(item, "input") for item in graph.input if _text(item.name) not in constants]
        outputs = [self.face(item, "output") for item in graph.output]
        nodes = [self.node(node) for node in graph.node]
        told = {_text(item.name): shape for item in graph.value_info if (shape := _told(item))}
        if self.external:
            self.unsupported[
                f"weights in other files ({len(self.external)} tensors, first {shown(self.external[0])}; "
                "only the given file is read: save it as one file, in torch with external_data=False)"
            ] = None
        return Model(
            self.label, self.file_bytes, opset, tuple(inputs), tuple(outputs), tuple(nodes), constants, told,
            tuple(self.unsupported),
        )  # fmt: skip

    def fail(self, text: str) -> None:
        raise ModelError(f"{self.label}: {text}")

    def opset(self, proto: Any) -> int:
        versions = [item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")]
        if not versions:
            self.fail("imports no operator set of ONNX; the file is damaged")
        if versions[0] not in OPSETS:
            self.unsupported[
                f"operator set {versions[0]} (export with {OPSETS.start} to {OPSETS.stop - 1})"
            ] = None
        return int(versions[0])

    def face(self, item: Any, what: str) -> Face:
        """An output's shape is not read: it follows from the inputs'."""
        name, tensor = _text(item.name), item.type.tensor_type
        kind = f"{what} {shown(name)}"
        if item.type.WhichOneof("value") != "tensor_type":
            self.unsupported[f"{kind} that is no tensor"] = None
            return Face(name, FLOAT, (1,))
        dims = list(tensor.shape.dim)
        if what == "output":
            return Face(name, tensor.elem_type, ())
        if not tensor.HasField("shape"):
            self.unsupported[f"{kind} without a shape (export with fixed sizes)"] = None
        if len(dims) > MAX_RANK:
            self.fail(f"{kind} has {len(dims)} axes, at most {MAX_RANK} are supported")
        sizes = [self.size(kind, axis, dim) for axis, dim in enumerate(dims)]
        if prod(sizes) > MAX_ELEMENTS:
            self.fail(f"{kind} has {prod(sizes)} elements, at most {MAX_ELEMENTS} are supported")
        return Face(name, tensor.elem_type, tuple(sizes))

    def size(self, kind: str, axis: int, dim: Any) -> int:
        if dim.WhichOneof("value") == "dim_value" and (dim.dim_value > 0 or axis > 0):
            if not 0 < dim.dim_value <= MAX_ELEMENTS:
                self.fail(f"{kind} has size {dim.dim_value} on axis {axis}; the file is damaged")
            return int(dim.dim_value)
        if axis > 0:
            name = shown(_text(dim.dim_param)) if dim.dim_param else "of no name"
            self.unsupported[f"{kind} with the unknown size {name} on axis {axis} (only axis 0 may be)"] = (
                None
            )
        return 1

    def node(self, proto: Any) -> Node:
        domain, op = _text(proto.domain), _text(proto.op_type)
        op = op if domain in ("", "ai.onnx") else f"{domain}.{op}"
        attributes = {_text(item.name): value for item in proto.attribute for value in self.attribute(item)}
        inputs, outputs = (tuple(map(_text, names)) for names in (proto.input, proto.output))
        return Node(_word(op), _text(proto.name), inputs, outputs, attributes)

    def attribute(self, item: Any) -> Iterator[Any]:
        """The value of an attribute; nothing for types that no supported operator has (graphs, ...)."""
        if item.type in _SCALARS:
            value = getattr(item, _SCALARS[item.type])
            yield value if isinstance(value, int | float) else tuple(value)
        elif item.type == _TEXT:
            yield item.s.decode("utf-8", "replace")
        elif item.type == _TEXTS:
            yield tuple(text.decode("utf-8", "replace") for text in item.strings)
        elif item.type == _TENSOR:
            yield self.array(item.t)

    def array(self, tensor: Any) -> Array:
        """Value of a tensor; an array of no elements stands for one that cannot be had."""
        place = f"tensor {shown(_text(tensor.name))}"
        if tensor.data_location == _EXTERNAL or tensor.external_data:
            self.external.append(_text(tensor.name))
            return np.zeros(0, np.float32)
        if tensor.data_type not in _NUMPY:
            self.unsupported[
                f"tensors of element type {type_name(tensor.data_type)} (use float32 or int8)"
            ] = None
            return np.zeros(0, np.float32)
        dtype, shape = np.dtype(_NUMPY[tensor.data_type]), tuple(tensor.dims)
        if len(shape) > MAX_RANK or min(shape, default=1) < 0:
            self.fail(f"{place} has the shape {list(shape)[:9]}; the file is damaged")
        if tensor.raw_data:
            found = len(tensor.raw_data) / dtype.itemsize
        else:
            found = len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")))
        if found != prod(shape):
            self.fail(f"{place} holds {found:g} numbers, wanted {prod(shape)}; the file is damaged")
        if tensor.raw_data:
            return np.frombuffer(tensor.raw_data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        values = np.array(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")))
        return values.astype(dtype).reshape(shape)


def _told(item: Any) -> Shape:
    """The shape that the file tells of a float tensor inside; empty where it tells none."""
    tensor = item.type.tensor_type
    sizes = tuple(
        1 if axis == 0 and dim.dim_param else dim.dim_value for axis, dim in enumerate(tensor.shape.dim)
    )
    sound = 0 < len(sizes) <= MAX_RANK and min(sizes) > 0 and prod(sizes) <= MAX_ELEMENTS
    return sizes if sound and tensor.elem_type == FLOAT else ()


def _text(name: str | bytes) -> str:
    """A string of the file; protobuf hands over as bytes what is no UTF-8."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _word(op: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "?" for c in op[:60]) or "?"
