"""The .tflite file that grows while a graph is written, and the table of how each op is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinyfoundry.exporters._flatbuffer import Operator, Option, Tensor
from tinyfoundry.ir.graph import Array, DType, Graph, Node, Shape, Type

# Version of operators that first takes int16 input, where that is none of the others (op_version.cc).
_INT16_VERSIONS = {
    "ABS": 3, "ADD": 3, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 3, "CONCATENATION": 3, "CONV_2D": 4,
    "DEPTHWISE_CONV_2D": 5, "DEQUANTIZE": 3, "FULLY_CONNECTED": 7, "GATHER": 4, "LOGISTIC": 3, "MAXIMUM": 4,
    "MAX_POOL_2D": 3, "MEAN": 3, "MINIMUM": 4, "MUL": 4, "PAD": 3, "PADV2": 3, "REDUCE_MAX": 3, "RELU": 3,
    "RELU6": 3, "RESIZE_BILINEAR": 4, "RESIZE_NEAREST_NEIGHBOR": 4, "SOFTMAX": 3, "STRIDED_SLICE": 4,
    "SUB": 5, "TANH": 3, "TRANSPOSE": 5,
}  # fmt: skip


# The same with an int32 bias, of which their options tell.
_BIAS_VERSIONS = {"CONV_2D": 8, "FULLY_CONNECTED": 11, "TRANSPOSE_CONV": 5}
_INT32 = 2  # in the schema's TensorType


class Draft:
    """The file's tensors and operators collected so far; each tensor at its first use."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []

    def tensor(self, name: str) -> str:
        """Adds a tensor of the graph unless it is there; returns its name."""
        if name not in self.tensors:
            value, variable = self.graph.constants.get(name), name in self.graph.states
            self.tensors[name] = Tensor(name, self.graph.types[name], value, variable)
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
        dtype = self.graph.types[node.inputs[0]].dtype
        version = versions[0] if dtype == DType.FLOAT32 else versions[1]
        fields = dict(fields or {})
        if dtype == DType.INT16:
            version = max(version, _INT16_VERSIONS.get(code, 1))
        if dtype == DType.INT16 and code in _BIAS_VERSIONS and self._bias_is_int32(node):
            version, fields["QuantizedBiasType"] = _BIAS_VERSIONS[code], _INT32
        names = tuple(map(self.tensor, node.inputs)) if inputs is None else inputs
        outputs = tuple(map(self.tensor, node.outputs)) if output is None else (output,)
        self.operators.append(Operator(code, version, names, outputs, options, fields))

    def _bias_is_int32(self, node: Node) -> bool:
        return self.graph.types[node.inputs[2]].dtype == DType.INT32


Row = Callable[[Draft, Node], None]
ROWS: dict[str, Row] = {}


def row(op: str) -> Callable[[Row], Row]:
    """Makes the function the row of ``op``."""

    def enter(function: Row) -> Row:
        ROWS[op] = function
        return function

    return enter
