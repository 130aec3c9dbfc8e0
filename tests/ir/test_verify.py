"""The rules of the IR: each broken one is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c_libraries import QUANT, small_net
from small_nets import random_net
from tinyfoundry.builder import Builder
from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import DType, Graph, Node, Quantization, State, Type, per_tensor
from tinyfoundry.ir.verify import verify
from tinyfoundry.ops.shape import Reshape, Transpose

X = Type((1, 2), DType.INT8, QUANT)


def graph(**changes: Any) -> Graph:
    """Two relus in a row, with some fields replaced."""
    nodes = (Node("a", "relu", ("x",), ("a",)), Node("b", "relu", ("a",), ("b",)))
    whole = Graph("net", ("x",), ("b",), nodes, {"x": X, "a": X, "b": X})
    return replace(whole, **changes)


def test_a_good_graph_is_returned() -> None:
    good = graph()
    assert verify(good) is good


@given(st.integers(0, 10_000), st.booleans())
def test_random_networks_are_good(seed: int, floats: bool) -> None:
    verify(random_net(seed, floats=floats))


def node(index: int, **changes: Any) -> dict[str, Any]:
    nodes = list(graph().nodes)
    nodes[index] = replace(nodes[index], **changes)
    return {"nodes": tuple(nodes)}


def typed(name: str, type_: Type) -> dict[str, Any]:
    return {"types": {**graph().types, name: type_}}


def constant(type_: Type, value: np.ndarray) -> dict[str, Any]:
    return {"types": {**graph().types, "c": type_}, "constants": {"c": value}}


CHANNELS = Quantization((0.1, 0.2), (0, 0), 1)
BROKEN = [
    ({"name": "a-b"}, "its name is not a C identifier"),
    ({"name": "grö"}, "its name is not a C identifier"),
    (node(0, name="1a"), "node name '1a' is not a C identifier"),
    (node(1, name="a"), "two nodes are called 'a'"),
    ({"inputs": ("x", "x")}, "input 'x' is also a constant or named twice"),
    (node(0, inputs=("b",)), "node 'a' reads 'b' before anything writes it"),
    (node(1, outputs=("a",)), "tensor 'a' is written twice, the second time by node 'b'"),
    ({"outputs": ("y",)}, "output 'y' is never written"),
    ({"types": {"x": X, "a": X}}, "tensor 'b' has no type"),
    (typed("z", X), "type of unknown tensor 'z'"),
    (typed("x", replace(X, shape=(1, 0))), "a size is below 1"),
    (typed("x", replace(X, quant=Quantization((0.1,), (0, 0)))), "1 scales but 2 zero points"),
    (typed("x", replace(X, quant=per_tensor(0.0))), "a scale is not a positive finite number"),
    (typed("x", replace(X, quant=per_tensor(float("nan")))), "a scale is not a positive finite number"),
    (typed("x", replace(X, quant=per_tensor(1.0, 128))), "a zero point is outside -128..127"),
    (typed("x", replace(X, quant=replace(CHANNELS, axis=2))), "2 scales do not match axis 2"),
    (typed("x", replace(X, quant=replace(CHANNELS, axis=0))), "2 scales do not match axis 0"),
    (typed("x", replace(X, quant=replace(CHANNELS, zero_point=(0, 1)))), "per-channel zero points must be 0"),
    (constant(X, np.zeros((2, 1), np.int8)), r"constant 'c' is int8\[2, 1\], its type says int8\[1×2\]"),
    (constant(X, np.zeros((1, 2), np.int16)), r"constant 'c' is int16\[1, 2\]"),
    (
        constant(Type((1,), DType.FLOAT32), np.array([np.inf], np.float32)),
        "constant 'c' holds a NaN or an infinity",
    ),
]


@pytest.mark.parametrize(("changes", "complaint"), BROKEN, ids=[c[:40] for _, c in BROKEN])
def test_broken_rules(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(GraphError, match=f"graph '.*': .*{complaint}"):
        verify(graph(**changes))


def test_the_records_cannot_be_changed() -> None:
    net = small_net()
    with pytest.raises(TypeError):
        net.types["x"] = X  # type: ignore[index]
    with pytest.raises(AttributeError):
        net.name = "other"  # type: ignore[misc]


def remembering(**changes: Any) -> Graph:
    """A state that becomes what a relu of it gives, with some fields of it replaced."""
    state = replace(State("b", np.zeros((1, 2), np.int8)), **changes)
    nodes = (Node("a", "relu", ("x",), ("a",)), Node("b", "relu", ("s",), ("b",)))
    return Graph("net", ("x",), ("a",), nodes, {"x": X, "a": X, "b": X, "s": X}, {}, {"s": state})


def test_a_good_graph_with_a_state_is_returned() -> None:
    good = remembering()
    assert verify(good) is good
    assert list(good.activations()) == ["x", "s", "a", "b"]
    assert good.lasting == ("a", "b")


STATE_FAULTS = [
    ({"next": "x"}, "state 's' becomes 'x', which no node writes"),
    ({"next": "c"}, "state 's' becomes 'c', which no node writes"),
    (
        {"initial": np.zeros((1, 3), np.int8)},
        "initial value of state 's' is int8[1, 3], its type says int8[1×2]",
    ),
    (
        {"initial": np.zeros((1, 2), np.int16)},
        "initial value of state 's' is int16[1, 2], its type says int8",
    ),
]


@pytest.mark.parametrize(("changes", "message"), STATE_FAULTS)
def test_a_broken_state_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=re.escape(f"graph 'net': {message}")):
        verify(remembering(**changes))


def test_states_and_the_rest_of_a_graph() -> None:
    good = remembering()
    state, wider = good.states["s"], Type((1, 2), DType.INT8, per_tensor(0.5))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"types": {**good.types, "b": wider}}, f"state 's' ({X}) becomes 'b' ({wider}); wanted one type"),
        ({"inputs": ("x", "s")}, "state 's' is also an input or a constant"),
        ({"outputs": ("s",)}, "state 's' is an output; wanted a tensor that a node writes, such as 'b'"),
        (
            {"states": {"s": state, "t": state}, "types": {**good.types, "t": X}},
            "states 's' and 't' become the same tensor 'b'",
        ),
    ]
    for changes, message in cases:
        with pytest.raises(GraphError, match=re.escape(f"graph 'net': {message}")):
            verify(replace(good, **changes))


def built(steps: Callable[[Builder, str, str], str], *, update: str = "after") -> Graph:
    """A network of an input and a state; ``steps`` give the output and write the state's update."""
    b = Builder("net")
    x, s = b.input("x", X), b.state("s", X)
    y = steps(b, x, s)
    b.update(s, update)
    return b.finish(y)


def test_a_state_may_not_be_read_after_its_update() -> None:
    def late(b: Builder, x: str, s: str) -> str:
        b.apply("relu", (x,), quant=QUANT, name="after")
        view = b.apply("reshape", (s,), Reshape((2,)), QUANT, "view")
        return b.apply("relu", (view,), quant=QUANT, name="late")

    with pytest.raises(GraphError, match="node 'view' reads state 's' after its update 'after' is written"):
        built(late)


def test_an_update_must_work_in_the_bytes_of_the_state() -> None:
    def turned(b: Builder, _x: str, s: str) -> str:
        return b.apply("transpose", (s,), Transpose((0, 1)), QUANT, "after")

    message = (
        r"node 'after' .transpose. reads state 's' and writes its update 'after', but cannot work in the same"
    )
    with pytest.raises(GraphError, match=message):
        built(turned)


def test_views_are_neither_updates_nor_outputs_of_states() -> None:
    def viewed(b: Builder, x: str, s: str) -> str:
        y = b.apply("relu", (x,), quant=QUANT, name="y")
        b.apply("reshape", (y,), Reshape((1, 2)), QUANT, "after")
        return y

    with pytest.raises(GraphError, match="state 's' becomes 'after', a view; wanted the tensor of which"):
        built(viewed)

    def shown(b: Builder, x: str, s: str) -> str:
        b.apply("relu", (x,), quant=QUANT, name="after")
        return b.apply("reshape", (s,), Reshape((2,)), QUANT, "shown")

    with pytest.raises(GraphError, match="output 'shown' is a view of state 's', which is 'after' after"):
        built(shown)


def test_a_second_update_is_refused_at_once() -> None:
    b = Builder("net")
    b.state("s", X)
    b.update("s", "one")
    with pytest.raises(GraphError, match="state 's' has two updates, 'one' and 'two'"):
        b.update("s", "two")
