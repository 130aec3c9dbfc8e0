from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs import random_input, single
from memory_nets import lstm_net
from random_networks import QUANT, networks, remembering, scratches
from tinyfoundry.builder import Builder
from tinyfoundry.errors import GraphError, OptionError
from tinyfoundry.interpret import Session, interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Type, per_tensor
from tinyfoundry.ir.planned import Planned
from tinyfoundry.ir.verify import verify
from tinyfoundry.op import call_of, get_op, verify_ops
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.ops.shape import Concatenation, Reshape
from tinyfoundry.plan.planner import PlanOptions, plan
from tinyfoundry.plan.validate import validate

WEIGHTS = per_tensor(0.05)
PLAIN = PlanOptions(in_place=False, reorder=False, search=False)
ALL_OPTIONS = [PlanOptions(*s, alignment=a) for *s, a in product(*[(False, True)] * 3, (1, 4, 16))]


def execute(planned: Planned, inputs: list[Array], rng: np.random.Generator) -> list[Array]:
    """Runs a plan on real bytes: nothing but the arena and the constants carries values from node to node."""
    (outputs,) = execute_all(planned, [inputs], rng)
    return outputs


def execute_all(
    planned: Planned, stream: list[list[Array]], rng: np.random.Generator
) -> Iterator[list[Array]]:
    """One run after the other; between them all bytes of the arena but those of states become random ones."""
    graph, memory = planned.graph, _Memory(planned)
    kept = {name: state.initial for name, state in graph.states.items()}
    for inputs in stream:
        memory.arena[:] = rng.integers(0, 256, planned.arena_bytes)
        for name, value in (*kept.items(), *zip(graph.inputs, inputs, strict=True)):
            memory.write(name, value)
        for node in graph.nodes:
            if get_op(node.op).view:
                continue
            if node.name in planned.scratch:
                offset, size = planned.scratch_offsets[node.name], planned.scratch[node.name]
                memory.arena[offset : offset + size] = rng.integers(0, 256, size)
            values = [memory.fetch(name) for name in node.inputs]
            results = get_op(node.op).reference(call_of(graph, node), values)
            for name, value in zip(node.outputs, results, strict=True):
                memory.write(name, value)
        kept = {name: memory.fetch(name) for name in graph.states}
        yield [memory.fetch(name) for name in graph.outputs]


class _Memory:
    """The arena of a plan, and how its tensors lie in it."""

    def __init__(self, planned: Planned) -> None:
        self.planned, self.graph = planned, planned.graph
        self.arena = np.zeros(planned.arena_bytes, np.uint8)

    def bytes_of(self, name: str) -> slice:
        offset = self.planned.offsets[name]
        return slice(offset, offset + self.graph.types[name].bytes)

    def write(self, name: str, value: Array) -> None:
        self.arena[self.bytes_of(name)] = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)

    def fetch(self, name: str) -> Array:
        source = name if name in self.planned.offsets else constant_behind(self.graph, name)
        type_ = self.graph.types[name]
        if source in self.graph.constants:
            return self.graph.constants[source].reshape(type_.shape)
        return self.arena[self.bytes_of(source)].copy().view(type_.dtype.value).reshape(type_.shape)


def constant_behind(graph: Graph, name: str) -> str:
    producer = graph.producer(name)
    return name if producer is None else constant_behind(graph, producer.inputs[0])


@given(st.data(), networks(), st.sampled_from(ALL_OPTIONS))
def test_every_plan_is_sound_and_within_its_bounds(data: st.DataObject, graph: Graph, options: PlanOptions):
    scratch = data.draw(scratches(graph))
    planned = plan(graph, scratch, options)
    validate(planned)
    verify_ops(verify(planned.graph))
    assert planned.lower_bound <= planned.arena_bytes
    assert planned.arena_bytes % options.alignment == 0
    assert all(offset % options.alignment == 0 for offset in planned.offsets.values())
    assert sorted(n.name for n in planned.graph.nodes) == sorted(n.name for n in graph.nodes)
    if not options.reorder:
        assert planned.graph == graph


@given(st.data(), networks(), st.sampled_from(ALL_OPTIONS))
def test_a_plan_run_on_bytes_means_what_the_graph_means(
    data: st.DataObject, graph: Graph, options: PlanOptions
):
    rng = np.random.default_rng(len(graph.nodes))
    inputs = [random_input(rng, graph.types[name]) for name in graph.inputs]
    found = execute(plan(graph, data.draw(scratches(graph)), options), inputs, rng)
    for a, b in zip(found, interpret(graph, inputs), strict=True):
        np.testing.assert_array_equal(a, b)


@given(st.data(), remembering(), st.sampled_from(ALL_OPTIONS))
def test_states_survive_whatever_else_wants_their_bytes(
    data: st.DataObject, graph: Graph, options: PlanOptions
):
    """Three runs on bytes; what a state's bytes hold after one is what the next begins with."""
    planned = plan(graph, data.draw(scratches(graph)), options)
    validate(planned)
    verify_ops(verify(planned.graph))
    assert planned.lower_bound <= planned.arena_bytes
    rng, session = np.random.default_rng(len(graph.nodes)), Session(graph)
    stream = [[random_input(rng, graph.types[name]) for name in graph.inputs] for _ in range(3)]
    for inputs, found in zip(stream, execute_all(planned, stream, rng), strict=True):
        for a, b in zip(found, session.run(inputs), strict=True):
            np.testing.assert_array_equal(a, b)


@given(remembering())
def test_no_trick_makes_a_remembering_arena_larger(graph: Graph):
    sizes = {o: plan(graph, {}, o).arena_bytes for o in (PLAIN, PlanOptions())}
    assert sizes[PlanOptions()] <= sizes[PLAIN]
    assert sizes[PlanOptions()] >= sum(graph.types[name].bytes for name in graph.states)


@given(networks())
def test_no_trick_makes_the_arena_larger(graph: Graph):
    sizes = {
        options: plan(graph, {}, options).arena_bytes for options in ALL_OPTIONS if options.alignment == 4
    }
    assert max(sizes.values()) == sizes[PLAIN]
    assert min(sizes.values()) == sizes[PlanOptions()]


def int8(*shape: int) -> Type:
    return Type(shape, DType.INT8, QUANT)


def chain(*widths: int, alignment: int = 4, in_place: bool = True) -> Planned:
    """Relus and concatenations with itself, to get to each width: a hand-sized network."""
    b = Builder("chain")
    x = b.input("x", int8(1, widths[0]))
    for before, after in pairwise(widths):
        if before == after:
            x = b.apply("relu", (x,), Relu(), QUANT)
        else:
            x = b.apply("concatenation", (x,) * (after // before), Concatenation(axis=1), QUANT)
    planned = plan(b.finish(x), {}, PlanOptions(in_place=in_place, alignment=alignment))
    validate(planned)
    return planned


def test_a_chain_needs_its_two_largest_neighbours():
    assert chain(8, 16, 48, 96).arena_bytes == 48 + 96


def test_sizes_are_rounded_up_to_the_alignment():
    assert chain(3, 9, alignment=1).arena_bytes == 12
    assert chain(3, 9, alignment=8).arena_bytes == 8 + 16


def test_elementwise_layers_run_in_place_down_to_the_input():
    planned = chain(40, 40, 40, 40)
    assert planned.arena_bytes == planned.lower_bound == 40
    assert chain(40, 40, 40, 40, in_place=False).arena_bytes == 80


def test_an_input_that_is_read_again_is_not_overwritten():
    b = Builder("skip")
    x = b.input("x", int8(1, 16))
    y = b.apply("relu", (x,), Relu(), QUANT, "y")
    planned = plan(b.finish(b.apply("add", (x, y), Add(), QUANT, "z")))
    validate(planned)
    assert planned.offsets["y"] != planned.offsets["x"]
    assert planned.arena_bytes == 32


def test_an_output_of_the_graph_is_not_overwritten():
    b = Builder("kept")
    x = b.input("x", int8(1, 16))
    y = b.apply("relu", (x,), Relu(), QUANT, "y")
    z = b.apply("relu", (y,), Relu(), QUANT, "z")
    planned = plan(b.finish(y, z))
    validate(planned)
    assert planned.offsets["y"] == planned.offsets["x"]
    assert planned.offsets["z"] != planned.offsets["y"]


def test_a_view_of_an_input_protects_it_as_long_as_it_is_read():
    b = Builder("seen")
    x = b.input("x", int8(1, 16))
    view = b.apply("reshape", (x,), Reshape((16, 1)), QUANT, "view")
    y = b.apply("relu", (x,), Relu(), QUANT, "y")
    z = b.apply("relu", (view,), Relu(), QUANT, "z")
    planned = plan(b.finish(y, z), {}, PlanOptions(reorder=False))
    validate(planned)
    assert planned.offsets["view"] == planned.offsets["x"] == planned.offsets["z"] != planned.offsets["y"]


def test_a_sum_overwrites_the_operand_of_its_own_shape_only():
    b = Builder("broadcast")
    x, bias = b.input("x", int8(4, 4)), b.input("bias", int8(1, 4))
    planned = plan(b.finish(b.apply("add", (bias, x), Add(), QUANT, "y")))
    validate(planned)
    assert planned.offsets["y"] == planned.offsets["x"]
    assert planned.arena_bytes == 20


def test_a_sum_of_a_tensor_and_a_view_of_it_in_another_shape_is_not_in_place():
    b = Builder("twisted")
    x = b.input("x", int8(1, 4, 1))
    view = b.apply("reshape", (x,), Reshape((4, 1, 1)), QUANT)
    planned = plan(b.finish(b.apply("add", (x, view), Add(), QUANT, "y")))
    validate(planned)
    assert planned.arena_bytes == 4 + 16


def test_an_input_viewed_straight_to_an_output_takes_its_bytes_once():
    b = Builder("through")
    x = b.input("x", int8(2, 8))
    first = b.apply("reshape", (x,), Reshape((16,)), QUANT, "first")
    planned = plan(b.finish(x, b.apply("reshape", (first,), Reshape((4, 4)), QUANT, "second")))
    validate(planned)
    assert planned.offsets == {"x": 0, "first": 0, "second": 0}
    assert planned.arena_bytes == planned.lower_bound == 16


def test_a_view_of_a_constant_takes_no_arena():
    b = Builder("weights")
    x = b.input("x", int8(4, 4))
    c = b.constant("c", np.ones(16, np.int8), QUANT)
    view = b.apply("reshape", (c,), Reshape((4, 4)), QUANT, "view")
    planned = plan(b.finish(b.apply("add", (view, x), Add(), QUANT, "y")))
    validate(planned)
    assert planned.offsets == {"x": 0, "y": 0}
    assert planned.arena_bytes == 16


def test_a_graph_without_nodes_holds_its_inputs():
    b = Builder("empty")
    planned = plan(b.finish(b.input("x", int8(1, 6)), b.input("y", int8(1, 5))))
    validate(planned)
    assert planned.arena_bytes == planned.lower_bound == 16


def test_scratch_lives_during_its_step_only():
    b = Builder("scratch")
    x = b.input("x", int8(1, 16))
    y = b.apply("concatenation", (x, x), Concatenation(axis=1), QUANT, "y")
    z = b.apply("concatenation", (y, y), Concatenation(axis=1), QUANT, "z")
    planned = plan(b.finish(z), {"y": 40, "z": 0})
    validate(planned)
    assert planned.scratch == {"y": 40}
    # 16 + 32 + 40 at the first step, 32 + 64 at the second: the scratch is covered by z.
    assert planned.arena_bytes == planned.lower_bound == 96


def test_branches_are_reordered_to_free_the_large_tensor_early():
    b = Builder("branches")
    x = b.input("x", int8(1, 8))
    wide = [b.apply("concatenation", (x,) * 8, Concatenation(axis=1), QUANT, f"wide{i}") for i in range(2)]
    c = [b.constant(f"w{i}", np.ones((4, 64), np.int8), WEIGHTS) for i in range(2)]
    zero = b.constant("zero", np.zeros(4, np.int32))
    small = [
        b.apply("dense", (w, k, zero), None, QUANT, f"small{i}")
        for i, (w, k) in enumerate(zip(wide, c, strict=True))
    ]
    graph = b.finish(b.apply("add", small, Add(), QUANT, "y"))
    given_order = plan(graph, {}, PlanOptions(reorder=False))
    planned = plan(graph)
    validate(planned)
    # In the order given both wide tensors live at once: 8 + 64 + 64; in the best one 8 + 64 + 4.
    assert given_order.arena_bytes == 136
    assert planned.arena_bytes == 76
    assert [n.name for n in planned.graph.nodes] == ["wide0", "small0", "wide1", "small1", "y"]


def test_scratch_of_an_unknown_node_or_of_negative_size_is_refused():
    graph = chain(8, 8).graph
    with pytest.raises(
        GraphError, match=r"plan of 'chain': scratch for 'conv', but the graph has no such node"
    ):
        plan(graph, {"conv": 8})
    with pytest.raises(GraphError, match=r"node 'relu_0' asks for -1 bytes of scratch, wanted >= 0"):
        plan(graph, {"relu_0": -1})


@pytest.mark.parametrize("alignment", [0, -4, 6])
def test_an_alignment_that_is_no_power_of_two_is_refused(alignment: int):
    with pytest.raises(OptionError, match=rf"alignment is {alignment}; wanted a power of two"):
        PlanOptions(alignment=alignment)


def test_a_hundred_nodes_take_no_noticeable_time():
    b = Builder("large")
    tensors = [b.input("x", int8(1, 64))]
    rng = np.random.default_rng(5)
    for _ in range(100):
        a, c = tensors[-1], tensors[max(0, len(tensors) - int(rng.integers(2, 9)))]
        if rng.random() < 0.5 or b.type_of(a).elements > 2000:
            k = b.constant("k", np.ones((int(rng.integers(1, 400)), b.type_of(a).shape[1]), np.int8), WEIGHTS)
            bias = b.constant("bias", np.zeros(b.type_of(k).shape[0], np.int32))
            tensors.append(b.apply("dense", (a, k, bias), None, QUANT))
        else:
            tensors.append(b.apply("concatenation", (a, c), Concatenation(axis=1), QUANT))
    graph = b.finish(tensors[-1])
    begin = process_time()
    validate(plan(graph))
    # About 50 ms on a desktop; the limit leaves room for slow machines, not for an exponential search.
    assert process_time() - begin < 2


def test_every_output_may_overwrite_the_input_that_it_updates():
    """What an LSTM is given as h and c, when nobody needs it later, becomes h_next and c_next."""
    op = get_op("lstm")
    sample = next(s for s in op.samples(np.random.default_rng(7)) if s.label == "steps")
    planned = plan(single(op, sample))
    validate(planned)
    assert planned.offsets["y1"] == planned.offsets["x4"]
    assert planned.offsets["y2"] == planned.offsets["x5"]
    apart = plan(single(op, sample), {}, PLAIN)
    assert apart.arena_bytes > planned.arena_bytes


def test_a_state_costs_its_bytes_once_at_every_step():
    planned = plan(lstm_net(1, steps=4, features=40, units=8))
    states = {name: planned.offsets[name] for name in planned.graph.states}
    assert {planned.offsets[s.next] for s in planned.graph.states.values()} == set(states.values())
    assert planned.state_bytes == 8 + 16
    assert planned.arena_bytes == planned.lower_bound == 160 + 32 + 24
