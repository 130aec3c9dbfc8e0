"""The records every part of tinyfoundry speaks in: tensors' types, nodes, and the graph of a network.

    Graph   = name, inputs, outputs, nodes in execution order, the type of every tensor, the value of every
    constant, and what it remembers from run to run (states)
    Node    = op(attributes) applied to named tensors
    Type    = shape × dtype × quantization (absent for float tensors and raw integers)

All records are frozen; a pass is a function Graph -> Graph. A tensor is known by its name and is written
once: it is an input of the graph, a constant, a state, or the output of exactly one node that stands before
every reader. Layouts are
TensorFlow Lite's: activations N H W C, convolution weights O H W I, depthwise weights 1 H W O, dense weights
O I.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class DType(StrEnum):
    """Element type of a tensor; the value is numpy's name for it."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"

    @property
    def bytes(self) -> int:
        """Size of one element in bytes."""
        return int(np.dtype(self.value).itemsize)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value of an integer type."""
        info = np.iinfo(self.value)
        return int(info.min), int(info.max)


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine map ``real = scale * (stored - zero_point)`` (TensorFlow Lite quantization specification).

    scale: one positive number a tensor, or one a slice along ``axis``; kept at float32 precision, as the file
    format does.
    zero_point: as many as scales; all zero when there is more than one scale (per-channel weights are
    symmetric).
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(float(np.float32(s)) for s in self.scale))
        object.__setattr__(self, "zero_point", tuple(int(z) for z in self.zero_point))

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return len(self.scale) > 1


def per_tensor(scale: float, zero_point: int = 0) -> Quantization:
    """Quantization with one scale and one zero point."""
    return Quantization((scale,), (zero_point,))


@dataclass(frozen=True, slots=True)
class Type:
    """Shape, element type and quantization of a tensor. ``shape`` has no unknown sizes; a scalar has shape
    ``()``.
    """

    shape: Shape
    dtype: DType
    quant: Quantization | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes, without padding."""
        return self.elements * self.dtype.bytes

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantized type."""
        assert self.quant is not None and not self.quant.per_channel
        return self.quant.scale[0]

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantized type."""
        assert self.quant is not None and not self.quant.per_channel
        return self.quant.zero_point[0]

    def __str__(self) -> str:
        text = f"{self.dtype}[{'×'.join(map(str, self.shape))}]"
        if self.quant is None:
            return text
        if self.quant.per_channel:
            return f"{text} per-channel({len(self.quant.scale)}, axis {self.quant.axis})"
        return f"{text} scale {self.scale:.6g} zero {self.zero_point}"


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an op.

    name: unique in the graph, a C identifier. op: name in the op register. attrs: the op's own frozen
    dataclass.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Any = None


@dataclass(frozen=True, slots=True)
class State:
    """A tensor that keeps its value from one run to the next. Nodes read it as they read an input.

    next: the tensor, written by a node, whose value it has in the following run. initial: its value in the
    first run.
    """

    next: str
    initial: Array


@dataclass(frozen=True)
class Graph:
    """A network: nodes in execution order over named tensors. See the module's docstring for the rules."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, Type]
    constants: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    states: Mapping[str, State] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", MappingProxyType(dict(self.states)))
        object.__setattr__(self, "types", MappingProxyType(dict(self.types)))
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    def input_types(self, node: Node) -> tuple[Type, ...]:
        """Types of a node's inputs, in order."""
        return tuple(self.types[name] for name in node.inputs)

    def output_types(self, node: Node) -> tuple[Type, ...]:
        """Types of a node's outputs, in order."""
        return tuple(self.types[name] for name in node.outputs)

    def producer(self, tensor: str) -> Node | None:
        """The node that writes ``tensor``; None for an input of the graph, a state or a constant."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def readers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read ``tensor``, in execution order."""
        return tuple(node for node in self.nodes if tensor in node.inputs)

    @property
    def lasting(self) -> tuple[str, ...]:
        """Tensors that are read after the run: outputs, and the updates of states."""
        return (*self.outputs, *(state.next for state in self.states.values()))

    def activations(self) -> Iterator[str]:
        """Names of all tensors that are not constants: inputs, states, then in the order they are written."""
        yield from self.inputs
        yield from self.states
        for node in self.nodes:
            yield from node.outputs
