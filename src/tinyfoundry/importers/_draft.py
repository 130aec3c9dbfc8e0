"""The graph that grows while a .tflite file is read, and what each tensor of the file is called in it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NoReturn

import numpy as np

from tinyfoundry.builder import Builder, identifier
from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.importers._findings import obey
from tinyfoundry.importers._flat import MAX_ELEMENTS, Model, Operator, Tensor
from tinyfoundry.ir.graph import Array, DType, Quantization, Type

DTYPES = {
    "INT8": DType.INT8, "INT16": DType.INT16, "INT32": DType.INT32, "INT64": DType.INT64,
    "FLOAT32": DType.FLOAT32,
}  # fmt: skip
_QUANTIZED = ("INT8", "INT16")
_MOST_BIAS = 2**46  # in magnitude, so that sums with it stay below the 2**47 that 64-bit sums are made for
_NAME_LENGTH = 60  # C99 promises that 63 characters of a name count
_FEW = 16  # numbers in a constant that is read as a list: two for each axis


class Draft:
    """Collects nodes in a builder; tensors of the file are known by number, those of the graph by name."""

    def __init__(self, model: Model, name: str) -> None:
        self.builder = Builder(name)
        self._model = model
        self._names = unique_names(model.tensors)
        self._known: dict[int, str] = {}
        self._zeros: dict[tuple[int, DType], str] = {}
        self._lost: set[int] = set()

    def input(self, number: int) -> None:
        """Adds an input of the graph; one of a type that is not supported is lost."""
        tensor = self._model.tensors[number]
        if tensor.type not in DTYPES:
            self._lost.add(number)
            return
        if tensor.data is not None or number in self._known:
            found = "a constant too" if tensor.data is not None else "named twice"
            raise ModelError(f"{tensor.label}: an input of the graph, but {found}; the file is damaged")
        self._known[number] = self.builder.input(self._names[number], _activation_type(tensor))

    def assume(self, op: Operator) -> None:
        """Takes the file's word for what ``op``, which cannot be translated, writes.

        What follows is translated then, for the sake of what there is to say of it; the graph is not to be
        finished. A tensor of which the file does not say enough is lost, and with it whatever reads it.
        """
        for number in op.outputs:
            if number in self._known:
                continue
            try:
                type_ = _activation_type(self._model.tensors[number])
                self._known[number] = self.builder.input(f"{self._names[number]}_as_told", type_)
            except (GraphError, ModelError, KeyError):
                self._lost.add(number)

    def can_read(self, op: Operator) -> bool:
        """Whether nothing around ``op`` is lost or of a type that is not supported."""
        tensors = [self._model.tensors[number] for number in (*op.inputs, *op.outputs) if number >= 0]
        sound = all(tensor.type in DTYPES and not tensor.sparse for tensor in tensors)
        return sound and self._lost.isdisjoint(op.inputs)

    def unwritten(self, op: Operator) -> None:
        """Returns when nothing has written what ``op`` is to write; ModelError otherwise."""
        seen: set[int] = set()
        for number in op.outputs:
            target = self._model.tensors[number]
            if number in self._known or number in seen or target.data is not None:
                fail(op, f"output {target.name[:60]!r} has a value already; the file is damaged")
            seen.add(number)

    def read(self, number: int, reader: str) -> str:
        """Our name of a tensor that ``reader`` reads; a constant is added at its first use."""
        tensor = self._model.tensors[number]
        if tensor.variable:
            raise ModelError(
                f"{tensor.label}: read by {reader}, but it is the memory of another operator, which keeps it "
                "to itself; read that operator's output"
            )
        if number not in self._known:
            if tensor.data is None or tensor.type not in DTYPES:
                raise ModelError(
                    f"{tensor.label}: read by {reader} before anything wrote it; the file is damaged"
                )
            self._known[number] = self.builder.constant(self._names[number], _value(tensor), _quant(tensor))
        return self._known[number]

    def memory(self, op: Operator, position: int, shape: tuple[int, ...]) -> str:
        """The state behind an input that an operator keeps between runs; ``Builder.update`` must follow.

        shape: what the operator wants; in the file the tensor may have other axes of as many elements.
        """
        if not has(op, position):
            fail(op, f"input {position}, its memory, is missing; the file is damaged")
        number = op.inputs[position]
        tensor = self._model.tensors[number]
        label = f"input {position} {tensor.name[:60]!r}"
        if number in self._known:
            fail(op, f"{label}, its memory, is another operator's too; wanted one for each")
        if not tensor.variable or tensor.data is not None:
            fail(op, f"{label} is not variable; wanted a memory that is kept between runs")
        if prod(tensor.shape) != prod(shape):
            fail(op, f"{label} is {list(tensor.shape)}, wanted {list(shape)}; the file is damaged")
        type_ = Type(shape, DTYPES[tensor.type], _activation_type(tensor).quant)
        self._known[number] = self.builder.state(self._names[number], type_)
        return self._known[number]

    def values(self, op: Operator, position: int) -> tuple[Array, Quantization | None]:
        """A constant input of an operator, and its quantization; no constant is added."""
        if not self.is_constant(op, position):
            fail(op, f"input {position} is no constant, wanted one: convert with constant weights")
        tensor = self._model.tensors[op.inputs[position]]
        return _value(tensor), _quant(tensor)

    def quant_of(self, number: int) -> Quantization | None:
        """Quantization of a tensor of the file, by its number."""
        return _quant(self._model.tensors[number])

    def operand(self, op: Operator, position: int) -> str:
        """Our name of an operator's input."""
        if not has(op, position):
            fail(op, f"input {position} is missing; the file is damaged")
        return self.read(op.inputs[position], op.code)

    def operands(self, op: Operator, count: int, settings: int = 0) -> list[str]:
        """Our names of an operator's first ``count`` inputs; ``settings`` more, for ``ints``, must follow."""
        if len(op.inputs) != count + settings:
            fail(op, f"has {len(op.inputs)} inputs, wanted {count + settings}; the file is damaged")
        return [self.operand(op, position) for position in range(count)]

    def weighted(
        self,
        op: Operator,
        out_axis: int,
        rank: int,
        places: tuple[int, int, int] = (0, 1, 2),
        narrow: bool = False,
    ) -> tuple[str, str, str]:
        """Input, weights and bias; zeros for a missing bias, as many as the weights have on ``out_axis``.

        places: where among the operator's inputs the three are. narrow: whether the bias of int16 inputs that
        is missing would be int32.
        """
        x, w, most = self.operand(op, places[0]), self.operand(op, places[1]), max(places) + 1
        shape = self.type(w).shape
        if len(shape) != rank:
            fail(op, f"weights {list(shape)}, wanted {rank} axes; the file is damaged")
        if len(op.inputs) > most:
            fail(op, f"has {len(op.inputs)} inputs, wanted at most {most}; the file is damaged")
        if has(op, places[2]):
            return x, w, self._bias(op, places[2])
        dtype = DType.FLOAT32 if self.type(x).dtype == DType.FLOAT32 else DType.INT32
        if self.type(x).dtype == DType.INT16 and not narrow:
            dtype = DType.INT64
        return x, w, self._zero_bias(op, shape[out_axis], dtype)

    def _bias(self, op: Operator, position: int) -> str:
        name = self.operand(op, position)
        value = self.builder.value_of(name)
        if value is not None and value.dtype == np.int64 and (abs(value.astype(float)) > _MOST_BIAS).any():
            fail(op, f"input {position}, its bias, exceeds 2**46 in magnitude; the file is damaged")
        return name

    def _zero_bias(self, op: Operator, size: int, dtype: DType) -> str:
        """A constant of zeros, the same for all that want this many: no file gets more than it can hold."""
        if (size, dtype) not in self._zeros:
            name = f"{self.name(op)}_bias"
            self._zeros[size, dtype] = self.builder.constant(name, np.zeros(size, dtype.value))
        return self._zeros[size, dtype]

    def type(self, name: str) -> Type:
        """Type of a tensor of the graph."""
        return self.builder.type_of(name)

    def image(self, op: Operator, name: str) -> tuple[int, int]:
        """Height and width of an input that must be N H W C."""
        shape = self.type(name).shape
        if len(shape) != 4:
            fail(op, f"input {list(shape)}, wanted 4 axes, N H W C; the file is damaged")
        return shape[1], shape[2]

    def is_constant(self, op: Operator, position: int) -> bool:
        """Whether an operator has this input and it is a constant."""
        return has(op, position) and self._model.tensors[op.inputs[position]].data is not None

    def ints(self, op: Operator, position: int, most: int = _FEW) -> tuple[int, ...]:
        """Values of a constant input of at most ``most`` whole numbers, row by row; no constant is added."""
        tensor = self._model.tensors[op.inputs[position]] if has(op, position) else None
        if tensor is None or tensor.data is None or tensor.type not in ("INT32", "INT64"):
            fail(op, f"input {position} is no int32 constant, wanted one: convert with fixed shapes")
        if prod(tensor.shape) > most:
            text = f"has {prod(tensor.shape)} numbers, wanted at most {most}; the file is damaged"
            fail(op, f"input {position} {text}")
        return tuple(int(number) for number in _value(tensor).ravel())

    def shape_of(self, op: Operator, position: int) -> tuple[int, ...]:
        """Shape of an operator's input as the file has it."""
        return self._model.tensors[op.inputs[position]].shape

    def target(self, op: Operator, output: int = 0) -> Tensor:
        """The tensor of the file that an operator writes as its ``output``-th."""
        return self._model.tensors[_written(op, output)]

    def name(self, op: Operator, output: int = 0) -> str:
        """Our name of what an operator writes."""
        return self._names[_written(op, output)]

    def apply(
        self, op: Operator, name: str, inputs: Sequence[str], attrs: Any = None, output: int = 0
    ) -> str:
        """Adds the node that stands for an operator; it writes the operator's ``output``-th output."""
        type_ = _activation_type(self.target(op, output))
        written = self.builder.apply(name, inputs, attrs, type_.quant, self.name(op, output))
        return obey(self.builder, name, inputs, attrs, written)

    def apply_all(
        self,
        op: Operator,
        name: str,
        inputs: Sequence[str],
        attrs: Any,
        quants: Sequence[Quantization | None],
    ) -> tuple[str, ...]:
        """Adds the node that stands for an operator whose op has further outputs, which the file does not."""
        return self.builder.apply_all(name, inputs, attrs, quants, self.name(op))

    def constant(self, op: Operator, value: Array) -> str:
        """Adds a constant that is known beforehand to be what an operator writes."""
        return self.builder.constant(self.name(op), value)

    def between(
        self,
        op: Operator,
        suffix: str,
        name: str,
        inputs: Sequence[str],
        attrs: Any,
        quant: Quantization | None,
    ) -> str:
        """Adds a node that the file does not have, named after the operator's output and ``suffix``."""
        written = self.builder.apply(name, inputs, attrs, quant, f"{self.name(op)}_{suffix}")
        return obey(self.builder, name, inputs, attrs, written)

    def target_type(self, op: Operator) -> Type:
        """Type that the file gives an operator's output."""
        return _activation_type(self.target(op))

    def quant(self, op: Operator) -> Quantization | None:
        """Quantization of an operator's output."""
        return self.target_type(op).quant

    def write(self, op: Operator, names: Sequence[str]) -> None:
        """Takes note of what ``op`` has written; ModelError when the file says something else of it."""
        if len(op.outputs) != len(names):
            fail(op, f"has {len(op.outputs)} outputs, wanted {len(names)}; the file is damaged")
        for output, name in enumerate(names):
            self._write(op, output, name)

    def _write(self, op: Operator, output: int, name: str) -> None:
        number, target, found = op.outputs[output], self.target(op, output), self.type(name)
        label = f"output {target.name[:60]!r}"
        sizes = [1 if axis in target.dynamic else size for axis, size in enumerate(found.shape)]
        if tuple(sizes) != target.shape or found.dtype != DTYPES[target.type]:
            fail(
                op,
                f"{label} is {target.type} {list(target.shape)} where its inputs give {found.dtype} "
                f"{list(found.shape)}; the file is damaged",
            )
        if found.elements > MAX_ELEMENTS:
            fail(op, f"{label} has {found.elements} elements, at most {MAX_ELEMENTS} are supported")
        self._known[number] = name


def fail(op: Operator, text: str) -> NoReturn:
    """Raises a ModelError about an operator."""
    raise ModelError(f"{op.label}: {text}")


def _written(op: Operator, output: int) -> int:
    if output >= len(op.outputs):
        fail(op, f"has {len(op.outputs)} outputs, wanted {output + 1}; the file is damaged")
    return op.outputs[output]


def has(op: Operator, position: int) -> bool:
    """Whether an operator has an input at ``position``, which -1 leaves out."""
    return position < len(op.inputs) and op.inputs[position] >= 0


def _activation_type(tensor: Tensor) -> Type:
    if len(tensor.scales) > 1 and tensor.type in _QUANTIZED:
        raise ModelError(f"{tensor.label}: has {len(tensor.scales)} scales; wanted one, as it is no constant")
    return Type(tensor.shape, DTYPES[tensor.type], _quant(tensor))


def _quant(tensor: Tensor) -> Quantization | None:
    """Quantization of int8 and int16 tensors; a bias has none of its own, and scales beside floats mean
    nothing.
    """
    if tensor.type not in _QUANTIZED or not tensor.scales:
        return None
    return Quantization(tensor.scales, tensor.zero_points, tensor.axis)


def _value(tensor: Tensor) -> Array:
    assert tensor.data is not None
    dtype = np.dtype(DTYPES[tensor.type].value)
    # A copy: the file's bytes need not be aligned, and would be kept alive.
    return tensor.data.copy().view(dtype.newbyteorder("<")).astype(dtype).reshape(tensor.shape)


def unique_names(tensors: Sequence[Tensor]) -> list[str]:
    """C identifiers for the tensors: the first of several fused names, cut where C stops to tell names apart.

    Activations come before constants, so that of two with one name the one that is a layer keeps it.
    """
    names: dict[str, int] = {}
    for number in sorted(range(len(tensors)), key=lambda i: tensors[i].data is not None):
        name = identifier(tensors[number].name.split(";")[0])[:_NAME_LENGTH]
        if name in names:
            name = f"{name}_{number}"
        while name in names:
            name += "_"
        names[name] = number
    return sorted(names, key=names.__getitem__)
