"""Builds graphs one op at a time; the op infers every output's shape and element type.

b = Builder("tiny")
x = b.input("x", Type((1, 8, 8, 1), DType.FLOAT32))
w, bias = b.constant("w", weights), b.constant("b", zeros)
y = b.apply("conv2d", (x, w, bias), Conv2D(activation=Activation.RELU))
graph = b.finish(y)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, DType, Graph, Node, Quantization, State, Type
from tinyfoundry.ir.verify import verify
from tinyfoundry.op import get_op, verify_ops


class Builder:
    """Collects inputs, constants and nodes; ``finish`` gives the verified graph."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inputs: list[str] = []
        self._nodes: list[Node] = []
        self._types: dict[str, Type] = {}
        self._constants: dict[str, Array] = {}
        self._states: dict[str, State] = {}

    def input(self, name: str, type_: Type) -> str:
        """Adds an input of the graph; returns its name."""
        self._inputs.append(self._new(name, type_))
        return name

    def constant(self, name: str, value: Array, quant: Quantization | None = None) -> str:
        """Adds a constant; returns its name, made unique by a number where it is taken."""
        unique = self._unique(name)
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        self._constants[unique] = array
        return self._new(unique, Type(array.shape, DType(str(array.dtype)), quant))

    def state(self, name: str, type_: Type, initial: Array | None = None) -> str:
        """Adds a state, by default zero before the first run (the zero point where it has one); returns its
        name. ``update`` must follow.
        """
        zero = 0 if type_.quant is None else type_.zero_point
        start = np.full(type_.shape, zero, type_.dtype.value) if initial is None else initial
        self._states[name] = State("", start)
        return self._new(name, type_)

    def update(self, state: str, tensor: str) -> None:
        """Makes ``tensor`` the value of ``state`` in the next run; GraphError when it has another."""
        before = self._states[state]
        if before.next:
            raise GraphError(
                f"graph '{self._name}': state '{state}' has two updates, '{before.next}' and '{tensor}'"
            )
        self._states[state] = State(tensor, before.initial)

    def apply(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Any = None,
        quant: Quantization | None = None,
        name: str | None = None,
        dtype: DType | None = None,
    ) -> str:
        """Adds a node with one output; returns the output's name, which is also the node's.

        attrs: the op's attributes; its defaults when None. quant: quantization of the output. dtype:
        overrides the inferred element type where the op leaves a choice (quantize).
        """
        unique = self._unique(name or f"{op}_{len(self._nodes)}")
        (output,) = self._added(op, inputs, attrs, (quant,), (unique,), dtype)
        return output

    def apply_all(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Any = None,
        quants: Sequence[Quantization | None] = (),
        name: str | None = None,
    ) -> tuple[str, ...]:
        """Adds a node with several outputs; returns their names: the node's, then with the ports' appended.

        quants: quantization of each output, none by default.
        """
        ports = get_op(op).outputs
        unique = self._unique(name or f"{op}_{len(self._nodes)}")
        names = (unique, *(self._unique(f"{unique}_{port.name}") for port in ports[1:]))
        return self._added(op, inputs, attrs, tuple(quants) or (None,) * len(ports), names, None)

    def _added(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Any,
        quants: Sequence[Quantization | None],
        names: tuple[str, ...],
        dtype: DType | None,
    ) -> tuple[str, ...]:
        record = get_op(op)
        attributes = record.attributes() if attrs is None else attrs
        inferred = record.infer(attributes, tuple(self._types[i] for i in inputs))
        if len(inferred) != len(names):
            raise GraphError(f"op '{op}' has {len(inferred)} outputs; Builder.apply adds nodes with one")
        self._nodes.append(Node(names[0], op, tuple(inputs), names, attributes))
        for name, (shape, inferred_dtype), quant in zip(names, inferred, quants, strict=True):
            self._new(name, Type(shape, dtype or inferred_dtype, quant))
        return names

    def type_of(self, tensor: str) -> Type:
        """Type of a tensor added so far."""
        return self._types[tensor]

    def value_of(self, tensor: str) -> Array | None:
        """Value of a constant added so far; None for anything else."""
        return self._constants.get(tensor)

    def finish(self, *outputs: str) -> Graph:
        """The graph with these outputs, verified; GraphError where a rule is broken."""
        graph = Graph(
            self._name, tuple(self._inputs), outputs, tuple(self._nodes), self._types, self._constants,
            self._states,
        )  # fmt: skip
        return verify_ops(verify(graph))

    def _new(self, name: str, type_: Type) -> str:
        if name in self._types:
            raise GraphError(f"graph '{self._name}': tensor '{name}' exists already")
        self._types[name] = type_
        return name

    def _unique(self, name: str) -> str:
        stem = identifier(name)
        candidate, number = stem, 1
        while candidate in self._types:
            number += 1
            candidate = f"{stem}_{number}"
        return candidate


def identifier(name: str) -> str:
    """``name`` as a C identifier: other characters become underscores, an empty or numeric start gets a
    ``t``.
    """
    text = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return text if text and not text[0].isdigit() else f"t{text}"
