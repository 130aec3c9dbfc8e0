"""Rebuilding a graph: what nothing reads goes, what something reads stays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from c_libraries import QUANT, small_net, two_faced_net
from memory_nets import lstm_net
from small_nets import random_net
from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import DType, Node, Type
from tinyfoundry.ir.rewrite import rebuild, redirect
from tinyfoundry.ir.verify import verify


@given(st.integers(0, 10_000))
def test_a_graph_without_dead_nodes_stays(seed: int) -> None:
    net = random_net(seed)
    again = rebuild(net, net.nodes)
    assert (again.nodes, dict(again.types), again.inputs) == (net.nodes, dict(net.types), net.inputs)
    assert again.constants.keys() == net.constants.keys()


@given(st.integers(0, 10_000), st.integers(0, 9))
def test_an_earlier_output_drops_what_comes_after(seed: int, position: int) -> None:
    net = random_net(seed)
    node = net.nodes[position % len(net.nodes)]
    cut = verify(rebuild(net, net.nodes, outputs=node.outputs))
    assert cut.nodes[-1] == node
    named = {name for n in cut.nodes for name in (*n.inputs, *n.outputs)} | set(cut.inputs)
    assert set(cut.types) == named
    assert set(cut.constants) == named & set(net.constants)


def test_an_input_that_nothing_reads_stays_a_face() -> None:
    net = two_faced_net()
    cut = rebuild(net, net.nodes, outputs=("one",))
    assert (cut.inputs, cut.nodes, set(cut.types)) == (("one", "two"), (), {"one", "two"})


def test_further_types_and_constants_are_taken_where_they_are_read() -> None:
    net = small_net()
    zeros = np.zeros(2, np.int32)
    nodes = redirect(net.nodes, {"bias_2": "fresh"})
    types = {"fresh": net.types["bias_2"], "unread": net.types["bias_2"]}
    after = verify(rebuild(net, nodes, types=types, constants={"fresh": zeros, "unread": zeros}))
    assert "fresh" in after.constants
    assert not {"unread", "bias_2"} & set(after.types)


def test_redirect_changes_inputs_alone() -> None:
    node = Node("n", "add", ("a", "b", "a"), ("a2",))
    (changed,) = redirect([node], {"a": "c", "a2": "z"})
    assert changed == Node("n", "add", ("c", "b", "c"), ("a2",))


def test_a_state_keeps_what_it_depends_on_as_long_as_something_reads_it() -> None:
    net = lstm_net(1)
    again = rebuild(net, net.nodes)
    assert again.nodes == net.nodes
    assert dict(again.states) == dict(net.states)
    alone = verify(rebuild(net, net.nodes, outputs=("x",)))
    assert (alone.nodes, dict(alone.states)) == ((), {})


def test_an_update_that_only_a_later_run_reads_stays() -> None:
    """The output is the state of the run before, whose update nothing else reads."""
    b = Builder("delay")
    x, state = b.input("x", Type((1, 2), DType.INT8, QUANT)), b.state("s", Type((1, 2), DType.INT8, QUANT))
    y = b.apply("relu", (state,), quant=QUANT, name="y")
    b.update(state, b.apply("relu", (x,), quant=QUANT, name="kept"))
    net = b.finish(y)
    assert [node.name for node in rebuild(net, net.nodes).nodes] == ["y", "kept"]
