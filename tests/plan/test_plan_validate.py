from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from random_networks import QUANT, networks, remembering, scratches
from tinyfoundry.builder import Builder
from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import DType, Graph, Type
from tinyfoundry.ir.planned import Planned
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape
from tinyfoundry.plan.explain import Rect, rectangles
from tinyfoundry.plan.planner import PlanOptions, plan
from tinyfoundry.plan.validate import validate


def int8(*shape: int) -> Type:
    return Type(shape, DType.INT8, QUANT)


def moved(planned: Planned, name: str, offset: int) -> Planned:
    """The plan with an activation and the views of it elsewhere, in an arena that is large enough."""
    names = {name}
    for node in planned.graph.nodes:
        if node.op == "reshape" and node.inputs[0] in names:
            names.add(node.outputs[0])
    offsets = dict(planned.offsets) | dict.fromkeys(names, offset)
    return replace(planned, offsets=offsets, arena_bytes=planned.arena_bytes + offset + 4096)


def collisions(planned: Planned) -> list[tuple[Rect, Rect]]:
    """(a, b): b is written while the bytes of a are still needed by a later step."""
    tensors = [(r.start - (r.kind == "input"), r) for r in rectangles(planned) if r.kind != "scratch"]
    return [(a, b) for s, a in tensors for t, b in tensors if a is not b and s <= t < a.end]


@given(st.data(), networks(), st.booleans())
def test_a_good_plan_with_one_tensor_moved_onto_a_live_one_is_refused(
    data: st.DataObject, graph: Graph, in_place: bool
):
    planned = plan(graph, {}, PlanOptions(in_place=in_place))
    validate(planned)
    pairs = collisions(planned)
    assume(pairs)
    a, b = data.draw(st.sampled_from(pairs))
    onto = data.draw(st.sampled_from([a.offset, a.offset + (a.size - 1) // 4 * 4]))
    with pytest.raises(GraphError, match="plan of 'random': "):
        validate(moved(planned, b.name, onto))


@given(st.data(), networks())
def test_scratch_moved_onto_anything_its_node_touches_is_refused(data: st.DataObject, graph: Graph):
    planned = plan(graph, {name: size + 1 for name, size in data.draw(scratches(graph)).items()})
    validate(planned)
    assume(planned.scratch)
    name = data.draw(st.sampled_from(sorted(planned.scratch)))
    node = next(n for n in graph.nodes if n.name == name)
    touched = [t for t in (*node.inputs, *node.outputs) if t in planned.offsets]
    onto = planned.offsets[data.draw(st.sampled_from(touched))]
    scratch_offsets = dict(planned.scratch_offsets) | {name: onto}
    with pytest.raises(GraphError, match="plan of 'random': "):
        validate(replace(planned, scratch_offsets=scratch_offsets, arena_bytes=planned.arena_bytes + 99))


def diamond() -> Planned:
    """x (16 bytes) -> padded (24) -> y (24), y plus padded -> z (24)."""
    b = Builder("diamond")
    x = b.input("x", int8(4, 4))
    padded = b.apply("pad", (x,), Pad((1, 0), (1, 0)), QUANT, "padded")
    y = b.apply("relu", (padded,), Relu(), QUANT, "y")
    graph = b.finish(b.apply("add", (y, padded), Add(), QUANT, "z"))
    return Planned(graph, {"x": 24, "padded": 0, "y": 24, "z": 24}, {"padded": 8}, {"padded": 40}, 48, 48)


def test_the_plan_that_the_tests_below_spoil_is_good():
    validate(diamond())


def refused(text: str, offsets: dict[str, int], **changes: object) -> None:
    good = diamond()
    with pytest.raises(GraphError, match=f"plan of 'diamond': {text}.*; this is a bug of the planner"):
        validate(replace(good, offsets=dict(good.offsets) | offsets, **changes))


def test_an_overwritten_tensor_is_refused_naming_who_holds_its_bytes():
    b = Builder("twins")
    x = b.input("x", int8(4, 4))
    twins = [b.apply("pad", (x,), Pad((1, 0), (1, 0)), QUANT, name) for name in ("castor", "pollux")]
    graph = b.finish(b.apply("add", twins, Add(), QUANT, "z"))
    validate(Planned(graph, {"x": 48, "castor": 0, "pollux": 24, "z": 0}, {}, {}, 64, 64))
    with pytest.raises(GraphError, match="when 'z' reads, 4 of the 24 bytes of 'castor' hold 'pollux'"):
        validate(Planned(graph, {"x": 48, "castor": 0, "pollux": 20, "z": 20}, {}, {}, 64, 64))


def test_an_output_that_covers_its_input_without_leave_is_refused():
    refused(r"output 'padded' of 'padded' may not overwrite its input 'x'", {"padded": 20}, arena_bytes=99)


def test_an_output_that_covers_its_input_in_part_is_refused():
    refused(r"output 'z' of 'z' may not overwrite its input 'y'", {"z": 28}, arena_bytes=99)


def test_an_input_overwritten_in_place_but_read_later_is_refused():
    refused(r"when 'z' reads, 24 of the 24 bytes of 'padded' hold 'y'", {"y": 0})


def test_scratch_on_an_input_or_an_output_is_refused():
    refused(r"when 'padded' reads, 4 of the 16 bytes of 'x' hold scratch", {}, scratch_offsets={"padded": 36})
    refused(r"an output of 'padded' overlaps its scratch", {}, scratch_offsets={"padded": 16})


def test_bytes_outside_the_arena_are_refused():
    refused(r"'x' lies at -4\.\.12, outside the arena of 48 bytes", {"x": -4})
    refused(r"'z' lies at 28\.\.52, outside the arena of 48 bytes", {"z": 28})
    refused(r"scratch of 'padded' lies at 44\.\.52, outside", {}, scratch_offsets={"padded": 44})


def test_an_arena_below_the_bound_is_refused():
    refused(r"arena of 48 bytes is below the bound 50", {}, lower_bound=50)


def test_misaligned_scratch_is_refused():
    refused(
        r"scratch of 'padded' lies at 42, which is no multiple of 4",
        {},
        scratch_offsets={"padded": 42},
        arena_bytes=99,
    )


def test_missing_and_surplus_places_are_refused():
    refused(r"offsets given or missing unduly for \['w'\]", {"w": 0})
    refused(r"scratch, its offsets and the nodes do not go together", {}, scratch_offsets={})
    refused(
        r"scratch, its offsets and the nodes do not go together",
        {},
        scratch={"q": 1},
        scratch_offsets={"q": 0},
    )
    good = diamond()
    with pytest.raises(GraphError, match=r"offsets given or missing unduly for \['z'\]"):
        validate(replace(good, offsets={k: v for k, v in good.offsets.items() if k != "z"}))


def test_misaligned_floats_are_refused():
    b = Builder("floats")
    graph = b.finish(b.input("x", Type((2,), DType.FLOAT32)))
    with pytest.raises(GraphError, match="'x' lies at 2, which is no multiple of 4"):
        validate(Planned(graph, {"x": 2}, {}, {}, 16, 8))


def test_inputs_that_overlap_are_refused_even_when_one_is_never_read():
    b = Builder("inputs")
    graph = b.finish(b.input("x", int8(4)), b.input("y", int8(4)))
    with pytest.raises(
        GraphError, match="when the graph's inputs are written, 2 of the 4 bytes of 'x' hold 'y'"
    ):
        validate(Planned(graph, {"x": 0, "y": 2}, {}, {}, 8, 8))


def test_an_output_that_does_not_survive_the_run_is_refused():
    b = Builder("early")
    x = b.input("x", int8(4))
    y = b.apply("relu", (x,), Relu(), QUANT, "y")
    z = b.apply("relu", (y,), Relu(), QUANT, "z")
    with pytest.raises(GraphError, match="when the last node has run, 4 of the 4 bytes of 'y' hold 'z'"):
        validate(Planned(b.finish(y, z), {"x": 0, "y": 0, "z": 0}, {}, {}, 4, 4))


def test_a_view_away_from_its_source_is_refused():
    b = Builder("view")
    x = b.input("x", int8(4))
    graph = b.finish(b.apply("reshape", (x,), Reshape((2, 2)), QUANT, "v"))
    validate(Planned(graph, {"x": 0, "v": 0}, {}, {}, 8, 4))
    with pytest.raises(GraphError, match="'v' is a view of 'x' but is at 4, not 0"):
        validate(Planned(graph, {"x": 0, "v": 4}, {}, {}, 8, 4))


def test_a_sum_may_not_overwrite_the_operand_it_broadcasts():
    b = Builder("broadcast")
    x, bias = b.input("x", int8(4, 4)), b.input("bias", int8(1, 4))
    graph = b.finish(b.apply("add", (x, bias), Add(), QUANT, "y"))
    validate(Planned(graph, {"x": 0, "bias": 16, "y": 0}, {}, {}, 20, 20))
    with pytest.raises(GraphError, match="output 'y' of 'y' may not overwrite its input 'bias'"):
        validate(Planned(graph, {"x": 0, "bias": 16, "y": 16}, {}, {}, 32, 20))


def test_concatenation_in_place_is_refused_though_the_sizes_agree():
    b = Builder("joined")
    x = b.input("x", int8(1, 4))
    graph = b.finish(b.apply("concatenation", (x,), Concatenation(axis=1), QUANT, "y"))
    with pytest.raises(GraphError, match="output 'y' of 'y' may not overwrite its input 'x'"):
        validate(Planned(graph, {"x": 0, "y": 0}, {}, {}, 4, 4))


def test_a_view_of_a_constant_must_not_have_a_place():
    b = Builder("flash")
    c = b.constant("c", np.ones(4, np.int8), QUANT)
    graph = b.finish(b.apply("reshape", (c,), Reshape((2, 2)), QUANT, "v"))
    validate(Planned(graph, {}, {}, {}, 0, 0))
    with pytest.raises(GraphError, match=r"offsets given or missing unduly for \['v'\]"):
        validate(Planned(graph, {"v": 0}, {}, {}, 4, 0))


@given(remembering())
def test_a_state_that_something_else_overwrites_is_refused(graph: Graph):
    planned = plan(graph)
    validate(planned)
    state = next(iter(graph.states))
    update = graph.states[state].next
    others = [
        node.outputs[0]
        for node in planned.graph.nodes
        if node.op != "reshape" and node.outputs[0] not in {s.next for s in graph.states.values()}
    ]
    assume(others)
    with pytest.raises(GraphError, match="plan of 'random': "):
        validate(moved(planned, others[0], planned.offsets[state]))
    with pytest.raises(GraphError, match=f"'{update}' is the update of '{state}' but lies elsewhere"):
        validate(moved(planned, update, planned.arena_bytes))


def test_bytes_of_a_state_are_nobody_elses_even_when_nothing_would_read_them() -> None:
    """The state is updated last and never read before: only its own rule protects its bytes meanwhile."""
    b = Builder("kept")
    x, state = b.input("x", int8(1, 16)), b.state("state", int8(1, 16))
    y = b.apply("pad", (x,), Pad((0, 1), (0, 1)), QUANT, "y")
    b.update(state, b.apply("relu", (x,), Relu(), QUANT, "after"))
    planned = plan(b.finish(y))
    with pytest.raises(GraphError, match="plan of 'kept': output 'y' of 'y' overwrites state 'state'"):
        validate(moved(planned, "y", planned.offsets["state"] + 8))
    inside = replace(planned, scratch={"y": 8}, scratch_offsets={"y": planned.offsets["state"]})
    with pytest.raises(GraphError, match="plan of 'kept': scratch of 'y' overwrites state 'state'"):
        validate(inside)
