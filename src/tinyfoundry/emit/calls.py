"""The functions of a network's layers: each calls its kernel with literal sizes, for which C specialises it.

Layers that call a kernel with the same sizes share one such specialisation, which gets their tensors and
tables as pointers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tinyfoundry.builder import identifier
from tinyfoundry.emit.literals import banner, c_type, comment, number, table
from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, Node
from tinyfoundry.ir.planned import Planned
from tinyfoundry.kernel import Kernel
from tinyfoundry.op import Literal, get_op, ports_of
from tinyfoundry.prepared import literals_of


@dataclass(frozen=True)
class Layer:
    """One call in ``NAME_run``: the node, its kernel, and the name of its C function."""

    node: Node
    kernel: Kernel
    function: str


@dataclass(frozen=True)
class _Argument:
    """What a kernel gets for one parameter, as C. address: it says where something is, not what it is."""

    text: str
    address: bool


class Tables:
    """The constant tables that calls refer to; equal ones are written once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_content: dict[tuple[str, bytes], str] = {}
        self._values: dict[str, Array] = {}

    def symbol(self, label: str, values: Array) -> str:
        """The C name of a table with these values."""
        key = (str(values.dtype), values.tobytes())
        if key not in self._by_content:
            # "_table_" sets them apart from our own symbols, NAME_run and the like.
            unique = f"{self._name}_table_{identifier(label)}"
            while unique in self._values:
                unique += "_"
            self._by_content[key] = unique
            self._values[unique] = values
        return self._by_content[key]

    def header(self) -> str:
        """Declarations of all tables."""
        guard = f"{self._name.upper()}_TABLES_H"
        lines = [f"extern const {c_type(str(v.dtype))} {s}[{v.size}];" for s, v in self._values.items()]
        declarations = "\n".join(lines)
        return (
            f"{banner(self._name)}#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n"
            f"{declarations}\n\n#endif\n"
        )

    def code(self) -> str:
        """Definitions of all tables."""
        body = "\n".join(table(symbol, values) for symbol, values in self._values.items())
        return f'{banner(self._name)}#include "{self._name}_tables.h"\n\n{body}'


def layer_functions(planned: Planned, layers: tuple[Layer, ...], tables: Tables) -> str:
    """The functions of all layers, and before them those that several of them share."""
    calls = [(layer, _arguments(planned, layer, tables)) for layer in layers]
    uses = Counter(_sizes(layer, arguments) for layer, arguments in calls)
    repeated = [sizes for sizes, count in uses.items() if count > 1]
    shared = {sizes: f"{planned.graph.name}_shared_{i}" for i, sizes in enumerate(repeated)}
    written: set[str] = set()
    texts = []
    for layer, arguments in calls:
        function = shared.get(_sizes(layer, arguments))
        if function is not None and function not in written:
            written.add(function)
            texts.append(_shared(function, layer.kernel, arguments))
        texts.append(_layer(planned, layer, arguments, function))
    return "\n".join(texts)


def _sizes(layer: Layer, arguments: tuple[_Argument, ...]) -> tuple[str, ...]:
    """The kernel and everything that it gets but addresses: calls that are alike in this can share."""
    return (layer.kernel.name, *(one.text for one in arguments if not one.address))


def _shared(function: str, kernel: Kernel, arguments: tuple[_Argument, ...]) -> str:
    pairs = list(zip(kernel.declarations, kernel.parameters, arguments, strict=True))
    received = ",\n    ".join(declaration for declaration, _, one in pairs if one.address)
    passed = ",\n        ".join(name if one.address else one.text for _, name, one in pairs)
    return f"TF_LAYER void {function}(\n    {received})\n{{\n    {kernel.name}(\n        {passed});\n}}\n"


def _layer(planned: Planned, layer: Layer, arguments: tuple[_Argument, ...], shared: str | None) -> str:
    node, graph = layer.node, planned.graph
    kinds = ", ".join(str(graph.types[t]) for t in (node.inputs[0], node.outputs[0]))
    title = f"/* {comment(f'{node.op}: {kinds}')} */"
    joined = ",\n        ".join(one.text for one in arguments if one.address or shared is None)
    call = f"{shared or layer.kernel.name}(\n        {joined});"
    return f"{title}\nTF_LAYER void {layer.function}(void)\n{{\n    {call}\n}}\n"


def _arguments(planned: Planned, layer: Layer, tables: Tables) -> tuple[_Argument, ...]:
    node, graph = layer.node, planned.graph
    op = get_op(node.op)
    literals = literals_of(graph, node)
    ports = ports_of(op, len(node.inputs))
    arguments = []
    for parameter in layer.kernel.parameters:
        address = parameter not in literals or isinstance(literals[parameter], np.ndarray)
        tensors = [t for p, t in zip(ports, node.inputs, strict=True) if p.name == parameter]
        outputs = [t for p, t in zip(op.outputs, node.outputs, strict=True) if p.name == parameter]
        if parameter == "scratch":
            text = f"{graph.name}_arena.bytes + {planned.scratch_offsets.get(node.name, 0)}"
        elif tensors and op.inputs[-1].variadic and parameter == op.inputs[-1].name:
            items = ", ".join(_input(planned, tensor, tables) for tensor in tensors)
            text = f"(const {c_type(graph.types[tensors[0]].dtype)} *const[]){{{items}}}"
        elif tensors:
            text = _input(planned, tensors[0], tables)
        elif outputs:
            text = _arena(planned, outputs[0], const=False)
        elif parameter in literals:
            text = _literal(node, parameter, literals[parameter], tables)
        else:
            raise GraphError(
                f"kernel {layer.kernel.name}: '{parameter}' is no port or literal of op {op.name}"
            )
        arguments.append(_Argument(text, address))
    return tuple(arguments)


def _literal(node: Node, parameter: str, value: Literal, tables: Tables) -> str:
    if isinstance(value, int | float):
        return f"/* {parameter} */ {number(value)}"
    if isinstance(value, tuple):
        return f"/* {parameter} */ (const int[]){{{', '.join(map(number, value))}}}"
    return tables.symbol(f"{node.name}_{parameter}", value)


def _input(planned: Planned, tensor: str, tables: Tables) -> str:
    value = planned.graph.constants.get(tensor)
    return _arena(planned, tensor, const=True) if value is None else tables.symbol(tensor, value)


def _arena(planned: Planned, tensor: str, *, const: bool) -> str:
    address = f"{planned.graph.name}_arena.bytes + {planned.offsets[tensor]}"
    dtype = planned.graph.types[tensor].dtype
    if dtype == "int8":
        return address
    qualifier = "const " if const else ""
    return f"({qualifier}{c_type(dtype)} *)({qualifier}void *)({address})"
