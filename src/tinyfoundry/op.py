"""What an op must say of itself, and the register of all ops.

An op is one ``Op`` record, made and registered by the file of its family in ``ops/``. Every field without a
default must be given and a misspelt one is refused, both at import, because ``Op`` is a dataclass. ``Call``
is what an op's functions
receive: one use of the op, with its attributes and the types around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.ir.graph import Array, DType, Graph, Node, Quantization, Shape, Type

Literal = int | float | Array | tuple[int, ...]
"""What a kernel receives by name: an int or float becomes a literal in the C text, an array a constant
table, a tuple a short array of int written in place, which the compiler sees through.
"""


@dataclass(frozen=True)
class Port:
    """An input or output of an op. Kernels receive it under this name.

    variadic: stands for any number (>= 1) of tensors; only the last input may be. constant: must be a
    constant (weights).
    """

    name: str
    variadic: bool = False
    constant: bool = False


@dataclass(frozen=True)
class Call:
    """One use of an op: its attributes and the types of its inputs and outputs, in order."""

    attrs: Any
    inputs: tuple[Type, ...]
    outputs: tuple[Type, ...]

    @property
    def x(self) -> Type:
        """Type of the first input."""
        return self.inputs[0]

    @property
    def y(self) -> Type:
        """Type of the first output."""
        return self.outputs[0]


@dataclass(frozen=True)
class Sample:
    """A sample use of an op for the contract tests; ``constants`` gives values for inputs (by position) that
    are constants.
    """

    label: str
    call: Call
    constants: Mapping[int, Array]


@dataclass(frozen=True)
class QuantRule:
    """What an op asks of the quantization around it when a float network becomes int8, or int16
    (``passes.quantise``).

    shared: all its activations, in and out, have one scale and zero point (its kernels move or compare
    bytes). weights: axis of its matrices along which every slice has its own scale. None: no weights.
    matrices: inputs that are weights; bias: the input that is added at the scale of input 0 times the first
    matrix. output: the one quantization that its output may have. None: free, from the range.
    alike: groups of ports, by name, that have one quantization. cells: ports that are int16 with a power of 2
    as the scale and zero point 0: what is summed up over many steps.
    """

    shared: bool = False
    weights: int | None = None
    output: Quantization | None = None
    matrices: tuple[int, ...] = (1,)
    bias: int = 2
    alike: tuple[tuple[str, ...], ...] = ()
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Op:
    """Everything an op means.

    name: as in ``Node.op``. summary: one line for the table of ops.
    attributes: the frozen dataclass of its attributes. inputs, outputs: its ports.
    infer: (attrs, input types) -> (shape, dtype) of each output; raises GraphError where the inputs do not go
    together.
    check: complaints about a call's quantization and dtypes, none when it is legal (shapes are checked
    against ``infer``).
    reference: the meaning: (call, input values) -> output values, in numpy, slow and obvious, int8 and
    float32.
    macs: multiply-accumulates of one call. literals: the named numbers and tables its kernels may ask for
    (quantized calls).
    int8: what it asks of the quantization around it; None for what has no int8 form of its own (quantize).
    int16: the same for int16 activations; None for what has no int16 form.
    samples: sample calls for the contract tests, drawn from a generator: corners first, then random ones.
    updates: pairs (input, output) by position: the output may be written into the bytes of that input when
    both have one shape, because its kernels read every element for the last time before they write it there.
    An output other than the first that updates an input is that input's value after the call: what the
    op carries from one run to the next (see ``carried``).
    view: output 0 is input 0's bytes unchanged: nothing runs, both share their place in memory.
    kernels: the folder of its kernels where it shares them with ops of the same ports and literals; empty for
    a folder of its own name.
    bounds: for inputs (by position) that count something, the lowest and highest value that does so.
    """

    name: str
    summary: str
    attributes: type[Any]
    inputs: tuple[Port, ...]
    infer: Callable[[Any, tuple[Type, ...]], list[tuple[Shape, DType]]]
    check: Callable[[Call], Iterable[str]]
    reference: Callable[[Call, Sequence[Array]], list[Array]]
    macs: Callable[[Call], int]
    literals: Callable[[Call], Mapping[str, Literal]]
    int8: QuantRule | None
    samples: Callable[[np.random.Generator], Iterable[Sample]]
    int16: QuantRule | None = None
    outputs: tuple[Port, ...] = (Port("y"),)
    updates: tuple[tuple[int, int], ...] = ()
    view: bool = False
    kernels: str = ""
    bounds: Callable[[Call], Mapping[int, tuple[int, int]]] | None = None

    @property
    def carried(self) -> tuple[tuple[int, int], ...]:
        """(input, output) of everything that the op may carry from run to run: a memory, and its update."""
        return tuple(pair for pair in self.updates if pair[1])

    @property
    def kernel_folder(self) -> str:
        """Where its kernels are."""
        return self.kernels or self.name


_REGISTER: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Adds ``op`` to the register and returns it; refuses a second op of the name and attributes that are no
    frozen dataclass.
    """
    if op.name in _REGISTER:
        raise GraphError(f"op '{op.name}' is registered twice")
    if not is_dataclass(op.attributes) or not op.attributes.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise GraphError(f"op '{op.name}': its attributes must be a frozen dataclass")
    if any(port.variadic for port in op.inputs[:-1]):
        raise GraphError(f"op '{op.name}': only the last input may be variadic")
    if len({position for position, _ in op.updates}) != len(op.updates):
        raise GraphError(f"op '{op.name}': an input is updated by two outputs")
    _REGISTER[op.name] = op
    return op


def get_op(name: str) -> Op:
    """The op called ``name``; ModelError with close matches when there is none."""
    if name not in _REGISTER:
        near = get_close_matches(name, _REGISTER, n=3)
        raise ModelError(
            f"op '{name}' is unknown; {'did you mean ' + ', '.join(near) if near else 'see tinyfoundry ops'}"
        )
    return _REGISTER[name]


def all_ops() -> tuple[Op, ...]:
    """Every registered op, by name."""
    return tuple(_REGISTER[name] for name in sorted(_REGISTER))


def call_of(graph: Graph, node: Node) -> Call:
    """The use of an op that ``node`` makes in ``graph``."""
    return Call(node.attrs, graph.input_types(node), graph.output_types(node))


def value_limits(graph: Graph, tensor: str) -> tuple[int, int]:
    """Lowest and highest value of an integer tensor that its readers make sense of.

    Those of its element type, or the bounds of the ops that count with it, behind ops that only move it too.
    """
    low, high = graph.types[tensor].dtype.limits
    for node in graph.readers(tensor):
        op = get_op(node.op)
        found = op.bounds(call_of(graph, node)) if op.bounds else {}
        limits = [
            found[position]
            for position, name in enumerate(node.inputs)
            if name == tensor and position in found
        ]
        result = graph.types[node.outputs[0]]
        if not op.bounds and (result.dtype, result.quant) == (graph.types[tensor].dtype, None):
            limits.append(value_limits(graph, node.outputs[0]))
        low, high = max([low, *(each[0] for each in limits)]), min([high, *(each[1] for each in limits)])
    return low, high


def ports_of(op: Op, count: int) -> tuple[Port, ...]:
    """The port of each of ``count`` inputs, the variadic one repeated; GraphError when the count cannot be
    right.
    """
    if not op.inputs or not op.inputs[-1].variadic:
        if count != len(op.inputs):
            raise GraphError(f"op '{op.name}' takes {len(op.inputs)} inputs, not {count}")
        return op.inputs
    if count < len(op.inputs):
        raise GraphError(f"op '{op.name}' takes at least {len(op.inputs)} inputs, not {count}")
    return op.inputs + (op.inputs[-1],) * (count - len(op.inputs))


def check_call(op: Op, call: Call) -> list[str]:
    """Complaints about one use of ``op``: attribute class, number of inputs, shapes and dtypes, then the op's
    own rules.
    """
    if not isinstance(call.attrs, op.attributes):
        return [f"attributes are {type(call.attrs).__name__}, not {op.attributes.__name__}"]
    try:
        ports_of(op, len(call.inputs))
        inferred = op.infer(call.attrs, call.inputs)
    except GraphError as error:
        return [str(error)]
    found = [(type_.shape, type_.dtype) for type_ in call.outputs]
    if found != inferred:
        return [f"output is {_shapes(found)} where its inputs give {_shapes(inferred)}"]
    return list(op.check(call))


def verify_ops(graph: Graph) -> Graph:
    """Returns ``graph`` unchanged when every node obeys its op's rules; GraphError naming the node
    otherwise.
    """
    for node in graph.nodes:
        op = get_op(node.op)
        complaints = check_call(op, call_of(graph, node))
        for port, name in zip(
            ports_of(op, len(node.inputs)) if not complaints else (), node.inputs, strict=False
        ):
            if port.constant and name not in graph.constants:
                complaints.append(f"input '{port.name}' must be a constant")
        if complaints:
            raise GraphError(f"graph '{graph.name}', node '{node.name}' ({node.op}): {complaints[0]}")
    for complaint in _state_complaints(graph):
        raise GraphError(f"graph '{graph.name}': {complaint}")
    return graph


def view_roots(graph: Graph) -> dict[str, str]:
    """The tensor whose bytes each tensor has: itself, or where its chain of views begins, a constant too."""
    roots = {name: name for name in (*graph.constants, *graph.inputs, *graph.states)}
    for node in graph.nodes:
        roots |= {name: name for name in node.outputs}
        if get_op(node.op).view:
            roots[node.outputs[0]] = roots[node.inputs[0]]
    return roots


def _state_complaints(graph: Graph) -> Iterator[str]:
    """A state and its next value are one place in memory: the update must be the state's last use."""
    roots = view_roots(graph) if graph.states else {}
    for name, state in graph.states.items():
        if roots[state.next] != state.next:
            yield f"state '{name}' becomes '{state.next}', a view; wanted the tensor of which it is one"
        for output in graph.outputs:
            if roots[output] == name:
                yield f"output '{output}' is a view of state '{name}', which is '{state.next}' after the run"
        updated = False
        for node in graph.nodes:
            read = [i for i, tensor in enumerate(node.inputs) if roots[tensor] == name]
            if read and updated:
                yield f"node '{node.name}' reads state '{name}' after its update '{state.next}' is written"
            if state.next not in node.outputs:
                continue
            updated, position = True, node.outputs.index(state.next)
            if not {(i, position) for i in read} <= set(get_op(node.op).updates):
                yield (
                    f"node '{node.name}' ({node.op}) reads state '{name}' and writes its update "
                    f"'{state.next}', but cannot work in the same bytes"
                )


def _shapes(found: Sequence[tuple[Shape, DType]]) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for shape, dtype in found)
