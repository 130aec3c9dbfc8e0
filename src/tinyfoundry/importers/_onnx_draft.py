"""The graph that grows while an .onnx file is translated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from tinyfoundry.builder import Builder, identifier
from tinyfoundry.importers._findings import obey
from tinyfoundry.importers._onnx_file import MAX_ELEMENTS, Node
from tinyfoundry.importers._onnx_value import (
    Budget,
    Constant,
    Unsupported,
    Value,
    at_rest,
    fewest_axes,
    in_order,
    in_two,
    parts_of,
    reshaped_axes,
    same_memory,
)
from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type
from tinyfoundry.op import get_op
from tinyfoundry.ops.shape import Reshape, Transpose

_NAME_LENGTH = 56  # C99 promises that 63 characters of a name count; the rest is for a number
_MOST_AXES = 4  # of a transpose
_MOST_PARTS = 6  # of a transpose that may be made of two


class Draft:
    """Collects nodes in a builder. ``known`` holds what the tensors of the file have become.

    wanted: the quantization that the file gives to what a node computes, by the tensor's name in the file.
    budget: of constants.
    """

    def __init__(self, name: str, opset: int, wanted: Mapping[str, Quantization], budget: Budget) -> None:
        self.builder = Builder(name)
        self.opset = opset
        self.budget = budget
        self.wanted = wanted
        self.known: dict[str, Value | Constant | None] = {}
        self._names: Counter[str] = Counter()
        self._arranged: dict[tuple[str, Shape, tuple[int, ...]], str] = {}
        self._viewed: dict[str, str] = {}

    def input(self, name: str, shape: Shape, order: tuple[int, ...], dtype: DType) -> None:
        """Adds an input of the graph, stored in ``order``."""
        stored, quant = tuple(shape[axis] for axis in order), self.wanted.get(name)
        type_ = Type(stored, dtype, quant if dtype == DType.INT8 else None)
        self.known[name] = Value(self.builder.input(self.name(name), type_), shape, order, shape)

    def name(self, wanted: str) -> str:
        """A C identifier made of a name in the file, the same never twice."""
        stem = identifier(wanted)[:_NAME_LENGTH].rstrip("_")
        name = stem
        while self._names[name]:
            self._names[stem] += 1
            name = f"{stem}_{self._names[stem]}"
        self._names[name] = 1
        return name

    def type(self, tensor: str) -> Type:
        """Type of a tensor of the graph."""
        return self.builder.type_of(tensor)

    def has(self, node: Node, position: int) -> bool:
        """Whether a node has this input; an empty name leaves it out."""
        return position < len(node.inputs) and node.inputs[position] != ""

    def operand(self, node: Node, position: int) -> Value | Constant:
        """Input of a node, constant or not."""
        if not self.has(node, position):
            raise Unsupported(f"without input {position}")
        found = self.known[node.inputs[position]]
        assert found is not None  # nodes behind what could not be translated are not translated
        return found

    def value(self, node: Node, position: int = 0) -> Value:
        """Input of a node that must not be a constant."""
        found = self.operand(node, position)
        if isinstance(found, Constant):
            raise Unsupported(f"on a constant as input {position} (wanted an activation)")
        return found

    def constant(self, node: Node, position: int) -> Constant:
        """Input of a node that must be a constant."""
        found = self.operand(node, position)
        if isinstance(found, Value):
            raise Unsupported(f"with an input {position} that is computed (wanted a constant)")
        return found

    def ints(self, node: Node, position: int, attribute: str) -> tuple[int, ...] | None:
        """A list of whole numbers: an input in newer operator sets, an attribute in older ones."""
        if not self.has(node, position):
            return node.integers(attribute)
        array = self.constant(node, position).array
        if array.dtype.kind != "i" or array.size > 16:
            raise Unsupported(
                f"with {array.dtype}{list(array.shape)} as input {position} (wanted few integers)"
            )
        return tuple(int(number) for number in array.ravel())

    def add_constant(self, key: str, array: Array, quant: Quantization | None = None) -> str:
        """Adds a constant of the graph."""
        self.budget.spend(array)
        return self.builder.constant(self.name(key), array, quant)

    def quant_of(self, node: Node, op: str, tensors: Sequence[str]) -> Quantization | None:
        """Quantization of a node's output: the file's, or what the op fixes or takes over from its input."""
        x = self.type(tensors[0])
        rule = get_op(op).int8
        if x.quant is None or rule is None:
            return None
        if rule.shared:
            return x.quant
        quant = rule.output or self.wanted.get(node.outputs[0])
        if quant is None:
            raise Unsupported("on int8 with an output that is not quantized (quantise every operator)")
        return quant

    def apply(self, node: Node, op: str, tensors: Sequence[str], attrs: Any = None) -> str:
        """Adds the node that stands for one of the file; its tensor gets the name of the node's output."""
        quant = self.quant_of(node, op, tensors)
        mixed = {self.type(t).dtype for t in tensors if self.builder.value_of(t) is None}
        if len(mixed) > 1:
            raise Unsupported("on int8 and float32 at once (quantise every operator)")
        return self.add(op, tensors, attrs, quant, node.outputs[0])

    def add(self, op: str, tensors: Sequence[str], attrs: Any, quant: Quantization | None, key: str) -> str:
        """Adds a node named after ``key``."""
        dtype = DType.INT8 if op == "quantize" else None
        name = self.builder.apply(op, tensors, attrs, quant, self.name(key), dtype)
        if self.type(name).elements > MAX_ELEMENTS:
            raise Unsupported(f"with {self.type(name).elements} elements (at most {MAX_ELEMENTS})")
        return obey(self.builder, op, tensors, attrs, name)

    def add_all(self, op: str, tensors: Sequence[str], attrs: Any, key: str) -> tuple[str, ...]:
        """Adds a float node with several outputs, named after ``key``."""
        names = self.builder.apply_all(op, tensors, attrs, (), self.name(key))
        largest = max(self.type(name).elements for name in names)
        if largest > MAX_ELEMENTS:
            raise Unsupported(f"with {largest} elements (at most {MAX_ELEMENTS})")
        return names

    def view(self, tensor: str, shape: Shape) -> str:
        """A tensor's bytes under another shape."""
        tensor = self._viewed.get(tensor, tensor)  # a view of a view is one of what that is a view of
        if self.type(tensor).shape == shape:
            return tensor
        name = self._moved(tensor, "reshape", Reshape(shape), shape, ())
        self._viewed[name] = tensor
        return name

    def arranged(self, value: Value, order: tuple[int, ...]) -> str:
        """The tensor with its axes stored in ``order``; a transpose only where elements really move."""
        found = None if value.plain else parts_of(value, value.shape)
        if found is not None:
            parts, runs = found
            parts = replace(parts, tensor=self.view(parts.tensor, parts.stored))
            moved = self.arranged(parts, tuple(part for axis in order for part in runs[axis]))
            return self.view(moved, tuple(value.shape[axis] for axis in order))
        value = self.untangled(value)
        if value.order == order:
            return value.tensor
        target = tuple(value.full[axis] for axis in order)
        if same_memory(value.full, value.order, order):
            return self.view(value.tensor, target)
        permutation = tuple(value.order.index(axis) for axis in order)
        if len(target) <= _MOST_AXES:
            return self._moved(value.tensor, "transpose", Transpose(permutation), target, permutation)
        return self.view(self._transposed(value.tensor, value.stored, permutation), target)

    def _transposed(self, tensor: str, sizes: Shape, permutation: tuple[int, ...]) -> str:
        """On as few axes as will do; two moves where one would take more loops than our transpose has."""
        sizes, permutation = fewest_axes(sizes, permutation)
        few = len(sizes) <= _MOST_AXES or len(sizes) > _MOST_PARTS
        first = None if few else in_two(sizes, permutation, _MOST_AXES)
        if first is None:
            target = tuple(sizes[axis] for axis in permutation)
            return self._moved(
                self.view(tensor, sizes), "transpose", Transpose(permutation), target, permutation
            )
        tensor = self._transposed(tensor, sizes, first)
        rest = tuple(first.index(axis) for axis in permutation)
        return self._transposed(tensor, tuple(sizes[axis] for axis in first), rest)

    def untangled(self, value: Value) -> Value:
        """The value with one stored axis for each of ONNX's."""
        if value.plain:
            return value
        rest = tuple(range(len(value.full)))
        tensor = self.arranged(replace(value, shape=value.full), rest)
        return at_rest(self.view(tensor, value.shape), value.shape)

    def reshaped(self, value: Value, shape: Shape) -> Value:
        """The value under another shape of ONNX's. Elements that lie in another order stay where they are."""
        if prod(shape) != prod(value.shape) or min(shape, default=1) < 1:
            raise Unsupported(f"from {list(value.shape)} to {list(shape)}, which has other elements")
        if shape == value.shape:
            return value
        if in_order(value):
            return at_rest(self.view(value.tensor, shape), shape)
        if shape == value.full:
            return replace(value, shape=shape)
        order = reshaped_axes(value, shape)
        if order is None:
            return replace(value, shape=shape)
        return Value(self.view(value.tensor, tuple(shape[a] for a in order)), shape, order, shape)

    def _moved(self, tensor: str, op: str, attrs: Any, shape: Shape, permutation: tuple[int, ...]) -> str:
        key = (tensor, shape, permutation)
        if key not in self._arranged:
            type_ = self.type(tensor)
            self._arranged[key] = self.add(op, (tensor,), attrs, type_.quant, f"{tensor}_{op}")
        return self._arranged[key]
