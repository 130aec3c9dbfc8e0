"""LiteRT, the runtime whose meaning tinyfoundry promises, as the judge of ``verify`` and of the tests.

``litert_run`` runs a .tflite file. Its reference kernels are the meaning of every op but dense: there they
round once, in floating point, where TensorFlow Lite Micro and CMSIS-NN round twice. Its default kernels
round dense layers twice, but break the ties of the second rounding upward where the microcontrollers'
libraries break them away from zero; so a dense layer that gives negative values can differ by one in the
few that are ties. In int16 both round dense layers once, in floating point: there a convolution over one
pixel judges. Its reference kernel for sums takes int8 tensors for uint8 ones, so it is given such.
``litert_judge`` knows this: it runs a graph node by node, each by its judge, the ties of dense layers put
right. What an op carries from run to run is a variable of LiteRT's, written before the node runs.
``FileJudge`` runs a whole file as it is, and uses judges of single nodes only for such layers and for
what their corrections reach.

Package ai-edge-litert is the extra ``litert``; nothing here but ``litert_version`` works without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import leaving
from tinyfoundry.ir.graph import Array, DType, Graph, Node, State, Type, per_tensor
from tinyfoundry.op import get_op
from tinyfoundry.ops._activation import quantized_limits
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D

Arrays = list[Array]


def litert_version() -> str | None:
    """Version of ai-edge-litert; None where it is not installed."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401, PLC0415 - an optional extra
    except ImportError:
        return None
    return version("ai-edge-litert")


def litert_run(model: bytes, inputs: Sequence[Array], reference: bool = True) -> Arrays:
    """Outputs of ``model`` in the file's order; reference: its reference kernels, else its default ones."""
    return _invoke(litert_interpreter(model, reference), inputs)


def litert_judge(graph: Graph) -> Callable[[Sequence[Array]], Arrays]:
    """A function from inputs to the outputs that ``graph`` must give, bit for bit where it is int8.

    It is to be called with one set of inputs after the other: it keeps the graph's states between calls.
    """
    singles = [NodeJudge(graph, node) for node in graph.nodes]
    states = {name: state.initial for name, state in graph.states.items()}

    def judge(inputs: Sequence[Array]) -> Arrays:
        values = {**graph.constants, **states}
        values.update(zip(graph.inputs, inputs, strict=True))
        for one in singles:
            values.update(one.run(values))
        states.update({name: values[state.next] for name, state in graph.states.items()})
        return [values[name] for name in graph.outputs]

    return judge


class NodeJudge:
    """What LiteRT gives for one node of ``graph``, its known errors put right.

    Raises:
        ModelError: at the first run, when a .tflite file cannot express the node.
    """

    def __init__(self, graph: Graph, node: Node) -> None:
        self._graph = alone(graph, node)
        dense, dtype = node.op == "dense", graph.types[node.inputs[0]].dtype
        self._dense = dense and dtype != DType.INT16
        self._convolution = as_convolution(self._graph) if dense and dtype == DType.INT16 else None

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. values: at least the node's inputs, by name."""
        one = self._graph
        given = [values[name] for name in one.inputs]
        for name, number in self._variables.items():
            self._interpreter.set_tensor(number, values[name])
        if self._convolution is not None:
            shape = self._convolution.types[self._convolution.inputs[0]].shape
            (result,) = _invoke(self._interpreter, [given[0].reshape(shape)])
            return {one.outputs[0]: result.reshape(one.types[one.outputs[0]].shape)}
        results = unsigned(one, _invoke(self._interpreter, unsigned(one, given)))
        if self._dense and given[0].dtype == np.int8:
            results = [_ties_away_from_zero(one, given[0], results[0])]
        after = {
            one.states[name].next: self._interpreter.get_tensor(number)
            for name, number in self._variables.items()
        }
        return {**dict(zip(one.outputs, results, strict=True)), **after}

    @cached_property
    def _variables(self) -> dict[str, int]:
        """Number in the interpreter of each variable, by its name in the graph."""
        if not self._graph.states:
            return {}
        numbers = {detail["name"]: detail["index"] for detail in self._interpreter.get_tensor_details()}
        return {name: numbers[name] for name in self._graph.states}

    @cached_property
    def _interpreter(self) -> Any:
        judged = self._convolution or as_unsigned(self._graph)
        return litert_interpreter(export(judged), not self._dense)


class FileJudge:
    """Every tensor of ``graph`` as LiteRT computes it from the model's own file.

    model: the .tflite file that ``graph`` was read from; None where it came from elsewhere, and every node is
    then judged alone. numbers: of the file's tensors, by their names in the graph. The whole file runs with
    the reference kernels; a layer that they compute otherwise than microcontrollers do (dense and int8 sum)
    is judged alone, on the same values, and so is what reads a value that this changed. corrected: how many
    values of which op were changed so far. Runs follow each other: states are kept until ``reset``.
    """

    def __init__(self, graph: Graph, model: bytes | None, numbers: Mapping[str, int]) -> None:
        known = numbers if model is not None else {}
        # After a run a variable of the file holds what the graph calls its update.
        updates = {state.next: known[name] for name, state in graph.states.items() if name in known}
        self._graph, self._numbers = graph, {**known, **updates}
        self._whole = None if model is None else litert_interpreter(model, reference=True, keep_all=True)
        self._singles = {node.name: NodeJudge(graph, node) for node in graph.nodes}
        self.corrected: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets what earlier runs left."""
        self._states = {name: state.initial for name, state in self._graph.states.items()}
        self._changed: set[str] = set()
        if self._whole is not None:
            self._whole.reset_all_variables()

    def run(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """Value of every activation, by name."""
        graph, found = self._graph, self._of_the_file(inputs)
        values = {**graph.constants, **self._states}
        values.update(zip(graph.inputs, inputs, strict=True))
        changed = set(self._changed)
        for node in graph.nodes:
            theirs = {name: found[name] for name in node.outputs if name in found}
            known = len(theirs) == len(node.outputs)
            special = graph.types[node.inputs[0]].dtype in _MISJUDGED.get(node.op, ())
            if known and not special and not changed & set(node.inputs):
                values.update(theirs)
                continue
            ours = self._singles[node.name].run(values)
            if known and node.op == "dense" and not changed & set(node.inputs):
                ours = {name: self._tied(node, value, theirs[name]) for name, value in ours.items()}
            values.update(ours)
            changed |= {n for n, v in ours.items() if n not in theirs or not np.array_equal(v, theirs[n])}
        self._states = {name: values[state.next] for name, state in graph.states.items()}
        self._changed = {name for name, state in graph.states.items() if state.next in changed}
        return values

    def _of_the_file(self, inputs: Sequence[Array]) -> dict[str, Array]:
        if self._whole is None:
            return {}
        details = self._whole.get_input_details()
        types = [self._graph.types[name] for name in self._graph.inputs]
        for detail, value, type_ in zip(details, inputs, types, strict=True):
            # The graph may take the stored values behind a float face of the file.
            taken = value if value.dtype == detail["dtype"] else leaving(type_, value)
            self._whole.set_tensor(detail["index"], taken.astype(detail["dtype"]))
        self._whole.invoke()
        named = ((name, self._numbers.get(name)) for node in self._graph.nodes for name in node.outputs)
        return {name: self._whole.get_tensor(number) for name, number in named if number is not None}

    def _tied(self, node: Node, ours: Array, theirs: Array) -> Array:
        """``ours`` when it differs by roundings alone; the file's own answer when it differs by more."""
        away = np.abs(ours.astype(int) - theirs.astype(int)).reshape(-1)
        if away.max(initial=0) > 1:
            return theirs
        if away.any():
            self.corrected[node.op] = self.corrected.get(node.op, 0) + int(away.sum())
        return ours


_MISJUDGED = {"dense": (DType.INT8, DType.INT16), "sum": (DType.INT8,)}
"""Ops of which LiteRT's reference kernels give other values than are meant, and for which element types."""


def litert_interpreter(model: bytes, reference: bool, keep_all: bool = False) -> Any:
    """An ``Interpreter`` ready to run; keep_all: every intermediate tensor can be read afterwards."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415 - an optional extra

    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=keep_all,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


def as_unsigned(graph: Graph) -> Graph:
    """``graph`` where its node is an int8 sum with zero points of uint8 tensors, otherwise as it is.

    LiteRT's reference kernel reads and writes the bytes of int8 sums as if they were uint8: with the bytes of
    ``unsigned`` and zero points 128 higher it computes what is meant, and saturates where it should.
    """
    if not _is_int8_sum(graph):
        return graph
    types = {
        name: replace(t, quant=per_tensor(t.scale, t.zero_point + 128)) for name, t in graph.types.items()
    }
    return replace(graph, types=types)


def as_convolution(graph: Graph) -> Graph:
    """The dense layer of ``graph`` as a convolution over images of one pixel, with the same multipliers.

    With one scale for all weights dense multiplies input and weight scale in float32, a convolution in
    float64: the product is given to the weights, and the input, whose scale nothing else reads, gets 1.
    """
    (node,) = graph.nodes
    x, w, b, y = (graph.types[name] for name in (*node.inputs, *node.outputs))
    assert w.quant is not None
    x_scale, w_quant = x.scale, w.quant
    if not w.quant.per_channel:
        x_scale, w_quant = 1.0, per_tensor(float(np.float32(x.scale) * np.float32(w.scale)))
    types = {
        "x": Type((x.shape[0], 1, 1, x.shape[1]), x.dtype, per_tensor(x_scale, x.zero_point)),
        "w": Type((w.shape[0], 1, 1, w.shape[1]), w.dtype, w_quant),
        "b": b,
        "y": Type((y.shape[0], 1, 1, y.shape[1]), y.dtype, y.quant),
    }
    weights, bias = (graph.constants[name] for name in node.inputs[1:])
    constants = {"w": weights.reshape(types["w"].shape), "b": bias}
    conv = Node("conv", "conv2d", ("x", "w", "b"), ("y",), Conv2D(Window(), node.attrs.activation))
    return Graph(graph.name, ("x",), ("y",), (conv,), types, constants)


def unsigned(graph: Graph, values: Sequence[Array]) -> Arrays:
    """The bytes that stand for int8 ``values`` in ``as_unsigned(graph)``, and back."""
    return [value ^ np.int8(-128) for value in values] if _is_int8_sum(graph) else list(values)


def _is_int8_sum(graph: Graph) -> bool:
    return graph.nodes[0].op == "sum" and graph.types[graph.inputs[0]].dtype == "int8"


def _invoke(interpreter: Any, inputs: Sequence[Array]) -> Arrays:
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def alone(graph: Graph, node: Node) -> Graph:
    """The graph of one node of ``graph``; whatever the node may carry from run to run is its state."""
    names = dict.fromkeys((*node.inputs, *node.outputs))
    types = {name: graph.types[name] for name in names}
    states = {
        node.inputs[i]: State(node.outputs[o], _zeros(types[node.inputs[i]]))
        for i, o in get_op(node.op).carried
    }
    constants = {
        name: graph.constants[name] for name in names if name in graph.constants and name not in states
    }
    inputs = tuple(
        name for name in dict.fromkeys(node.inputs) if name not in constants and name not in states
    )
    updates = {state.next for state in states.values()}
    outputs = tuple(name for name in node.outputs if name not in updates)
    return Graph(graph.name, inputs, outputs, (node,), types, constants, states)


def _zeros(type_: Type) -> Array:
    return np.full(type_.shape, 0 if type_.quant is None else type_.zero_point, type_.dtype.value)


def _ties_away_from_zero(graph: Graph, x: Array, y: Array) -> Array:
    """``y`` of a dense layer, with the negative ties of its second rounding broken away from zero."""
    node = graph.nodes[0]
    x_type, w_type, _ = graph.input_types(node)
    y_type = graph.types[node.outputs[0]]
    w, b = graph.constants[node.inputs[1]], graph.constants[node.inputs[2]]
    assert w_type.quant is not None
    sums = (x.astype(np.int64) - x_type.zero_point) @ w.T.astype(np.int64) + b
    low, high = quantized_limits(node.attrs.activation, y_type)
    out = y.copy()
    for row, unit in np.ndindex(*y.shape):
        scales = w_type.quant.scale
        product = float(np.float32(x_type.scale) * np.float32(scales[0]))
        if len(scales) > 1:
            product = x_type.scale * scales[unit]
        fraction, shift = math.frexp(product / y_type.scale)
        # The first rounding: to nearest, ties upward. Exact, in Python's whole numbers.
        first = (int(sums[row, unit]) * math.floor(fraction * 2**31 + 0.5) + 2**30) >> 31
        half = 2 ** (-shift - 1) if shift < 0 else 0
        if shift < 0 and first < 0 and first % (2 * half) == half:
            out[row, unit] = min(max((first + half) // (2 * half) - 1 + y_type.zero_point, low), high)
    return out
