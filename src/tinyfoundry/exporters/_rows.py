"""The .tflite file that grows while a graph is written, and the table of how each op is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinyfoundry.exporters._flatbuffer import Operator, Option, Tensor
from tinyfoundry.ir.graph import Array, DType, Graph, Node, Shape, Type


class Draft:
    """The file's tensors and operators collected so far; each tensor at its first use."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []

    def tensor(self, name: str) -> str:
        """Adds a tensor of the graph unless it is there; returns its name."""
        if name not in self.tensors:
            self.tensors[name] = Tensor(name, self.graph.types[name], self.graph.constants.get(name))
        return name

    def invent(self, stem: str, type_: Type, value: Array | None = None) -> str:
        """Adds a tensor that the graph does not have; returns its name."""
        name, number = stem, 1
        while name in self.tensors or name in self.graph.types:
            number += 1
            name = f"{stem}_{number}"
        self.tensors[name] = Tensor(name, type_, value)
        return name

    def ints(self, stem: str, values: Array | Shape) -> str:
        """Adds an int32 constant; returns its name."""
        array = np.array(values, np.int32)
        return self.invent(stem, Type(array.shape, DType.INT32), array)

    def add(
        self,
        node: Node,
        code: str,
        versions: tuple[int, int],
        options: str,
        fields: Mapping[str, Option] | None = None,
        inputs: tuple[str, ...] | None = None,
        output: str | None = None,
    ) -> None:
        """Adds an operator of ``node``, by default with its inputs and outputs.

        versions: the operator's version for float and for int8 input. output: an invented tensor that it
        writes, where further operators make of it what the node writes.
        """
        version = versions[0] if self.graph.types[node.inputs[0]].dtype == DType.FLOAT32 else versions[1]
        names = tuple(map(self.tensor, node.inputs)) if inputs is None else inputs
        outputs = tuple(map(self.tensor, node.outputs)) if output is None else (output,)
        self.operators.append(Operator(code, version, names, outputs, options, fields or {}))


Row = Callable[[Draft, Node], None]
ROWS: dict[str, Row] = {}


def row(op: str) -> Callable[[Row], Row]:
    """Makes the function the row of ``op``."""

    def enter(function: Row) -> Row:
        ROWS[op] = function
        return function

    return enter
