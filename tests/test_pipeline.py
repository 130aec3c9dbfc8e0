"""The compiler's steps together, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c_libraries import QUANT, small_net
from small_nets import random_net
from tinyfoundry.board import load_board
from tinyfoundry.builder import Builder
from tinyfoundry.errors import DoesNotFit, ModelError
from tinyfoundry.ir.graph import DType, Type, per_tensor
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.convert import Dequantize, Quantize
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.ops.indexing import Broadcast
from tinyfoundry.pipeline import Options, compile_graph
from tinyfoundry.plan.validate import validate

BOARD = load_board("raspberry-pi-pico")


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=15)
def test_random_networks_compile(seed: int, float_faces: bool) -> None:
    graph = random_net(seed)
    build = compile_graph(graph, BOARD, Options(float_faces=float_faces))
    validate(build.planned)
    assert build.name == graph.name
    assert [layer.node for layer in build.layers] == [n for n in build.graph.nodes if n.op != "reshape"]
    assert {f"include/{build.name}.h", f"src/{build.name}.c", "CMakeLists.txt"} <= set(build.files)
    faces = {build.graph.types[name].dtype for name in (*build.graph.inputs, *build.graph.outputs)}
    kept = float_faces and graph.types[graph.inputs[0]].dtype == "float32"
    assert faces == ({DType.FLOAT32} if kept else {DType.INT8})


def test_the_same_network_gives_the_same_text() -> None:
    first, second = (compile_graph(random_net(3), BOARD).files for _ in range(2))
    assert first == second


def test_what_no_microcontroller_can_run_is_refused_before_it_costs_memory() -> None:
    b = Builder("net")
    c = b.constant("c", np.array([[7]], np.int8), QUANT)
    x = b.input("x", Type((2**25, 1), DType.INT8, QUANT))
    y = b.apply("broadcast", (c,), Broadcast((2**25, 2)), QUANT)
    with pytest.raises(
        DoesNotFit, match="'net': has 100663296 bytes of activations; at most 67108864 are comp"
    ):
        compile_graph(b.finish(x, y), BOARD)


def test_more_nodes_than_are_compiled_are_refused() -> None:
    b = Builder("net")
    y = b.input("x", Type((1, 4), DType.INT8, QUANT))
    for _ in range(4097):
        y = b.apply("relu", (y,), Relu(), QUANT)
    with pytest.raises(DoesNotFit, match="'net': has 4097 nodes; at most 4096 are compiled: give a smaller"):
        compile_graph(b.finish(y), BOARD)


def test_every_node_without_a_kernel_is_named_at_once() -> None:
    b = Builder("floats")
    x = b.input("x", Type((1, 4), DType.FLOAT32))
    y = b.apply("relu", (x,), Relu(), name="first")
    y = b.apply("add", (y, x), Add(), name="second")
    with pytest.raises(
        ModelError, match=r"first \(relu on float32\[1×4\]\).*second \(add on float32\[1×4\]\)"
    ):
        compile_graph(b.finish(y), BOARD)


def test_an_output_that_is_a_constant_is_refused() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    c = b.constant("c", np.zeros((1, 4), np.int8), QUANT)
    total = b.apply("add", (c, c), Add(), QUANT, "total")
    with pytest.raises(
        ModelError, match="model 'net': output 'total' is a constant; take it out of the outputs"
    ):
        compile_graph(b.finish(b.apply("relu", (x,), Relu(), QUANT), total), BOARD)


def test_a_network_of_views_alone_compiles() -> None:
    """Its input is its output: nothing runs."""
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.FLOAT32))
    q = b.apply("quantize", (x,), Quantize(), QUANT, "q", DType.INT8)
    build = compile_graph(b.finish(b.apply("dequantize", (q,), Dequantize())), BOARD)
    assert (build.layers, build.graph.inputs, build.graph.outputs) == ((), ("q",), ("q",))
    assert build.planned.arena_bytes == 4


def test_the_passes_are_at_work() -> None:
    build = compile_graph(small_net(), BOARD)
    assert [layer.function for layer in build.layers] == ["small_layer_0_conv", "small_layer_1_scores"]
    assert build.planned.lower_bound <= build.planned.arena_bytes == 24


def test_fast_kernels_are_taken_as_far_as_their_scratch_fits() -> None:
    """On a core with faster kernels that need scratch: all of them, none, or those that do most."""
    board = load_board("nucleo-f446re")
    b, rng = Builder("two_layers"), np.random.default_rng(3)
    x = b.input("x", Type((1, 8, 8, 8), DType.INT8, per_tensor(0.1)))
    for name, units in (("wide", 16), ("narrow", 4)):
        channels = b.type_of(x).shape[3]
        w = b.constant("w", rng.integers(-50, 50, (units, 3, 3, channels)).astype(np.int8), per_tensor(0.01))
        bias = b.constant("bias", np.zeros(units, np.int32))
        attrs = Conv2D(Window(pad_h=(1, 1), pad_w=(1, 1)))
        x = b.apply("conv2d", (x, w, bias), attrs, per_tensor(0.5), name)
    graph = b.finish(x)

    def kernels(arena_bytes: int | None) -> tuple[list[bool], int]:
        build = compile_graph(graph, board, Options(arena_bytes=arena_bytes))
        assert build.leaner == sum("dsp" not in layer.kernel.isa for layer in build.layers)
        return ["dsp" in layer.kernel.isa for layer in build.layers], build.planned.arena_bytes

    fast, most = kernels(None)
    lean, least = kernels(0)
    assert (fast, lean) == ([True, True], [False, False])
    assert least < most
    assert kernels(most - 1) == ([True, False], kernels(most - 1)[1])
    assert least < kernels(most - 1)[1] < most
