"""Calibration and post-training quantisation of float graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litert import litert_run
from tinyfoundry.builder import Builder
from tinyfoundry.errors import GraphError, OptionError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Type, per_tensor
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.op import all_ops
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.curve import Curve
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.ops.indexing import Broadcast, Gather, StridedSlice
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.reduce import Mean, ReduceMax, Sum
from tinyfoundry.ops.resize import Resize
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape, Transpose
from tinyfoundry.ops.take import Take
from tinyfoundry.ops.transpose_conv import TransposeConv
from tinyfoundry.passes.calibrate import assumed, calibrate
from tinyfoundry.passes.faces import stored_faces
from tinyfoundry.passes.observe import Range
from tinyfoundry.passes.quantise import quantise, quantization_of, weight_scales

SAME = Window((1, 1), (1, 1), (1, 1))


def every_op(rng: np.random.Generator) -> Graph:
    """A float graph with every op that can be quantised."""
    b = Builder("every_op")

    def constant(name: str, *shape: int) -> str:
        return b.constant(name, rng.standard_normal(shape).astype(np.float32) * np.float32(0.4))

    x = b.input("x", Type((1, 8, 8, 3), DType.FLOAT32))
    x = b.apply("pad", (x,), Pad((0, 1, 1, 0), (0, 1, 1, 0)), name="pad")
    x = b.apply(
        "conv2d",
        (x, constant("w1", 4, 3, 3, 3), constant("b1", 4)),
        Conv2D(Window(), Activation.RELU6),
        name="conv",
    )
    y = b.apply(
        "depthwise_conv2d",
        (x, constant("w2", 1, 3, 3, 4), constant("b2", 4)),
        DepthwiseConv2D(SAME),
        name="depthwise",
    )
    halves = [
        b.apply("max_pool2d", (x,), MaxPool2D((2, 2), Window((2, 2))), name="max"),
        b.apply("average_pool2d", (y,), AveragePool2D((2, 2), Window((2, 2))), name="average"),
    ]
    y = b.apply("concatenation", halves, Concatenation(3, Activation.NONE), name="both")
    y = b.apply("add", (y, constant("offset", 1, 1, 1, 8)), Add(), name="sum")
    y = b.apply("relu", (y,), Relu(Activation.RELU), name="positive")
    for op in ("sub", "maximum", "minimum", "prelu", "squared_difference"):
        y = b.apply(op, (y, constant(f"{op}_by", 8)), name=op)
    for op in ("abs", "sqrt", "exp", "rsqrt", "leaky_relu", "hard_swish", "tanh"):
        y = b.apply(op, (y,), name=op)
    y = b.apply("mul", (y, b.apply("logistic", (y,), name="gate")), name="gated")
    y = b.apply("transpose", (y,), Transpose((0, 2, 1, 3)), name="turned")
    y = picked(b, y)
    back = TransposeConv(b.type_of(y).shape[1:3], Window((1, 1), (1, 1), (1, 1)))
    y = b.apply("transpose_conv", (y, constant("w4", 8, 3, 3, 8), constant("b4", 8)), back, name="spread")
    y = b.apply("batch_matmul", (y, constant("mixed_by", 1, 1, 8, 8)), name="mixed")
    y = b.apply("curve", (y,), Curve("gelu"), name="curved")
    y = b.apply("mean", (y,), Mean((1, 2), keep_dims=True), name="mean")
    y = b.apply("reshape", (y,), Reshape((1, 8)), name="flat")
    # Behind what LiteRT judges: its reference kernel for int8 sums is wrong.
    y = b.apply("sum", (y,), Sum((0,), keep_dims=True), name="total")
    y = remembered(b, y, constant)
    y = b.apply("dense", (y, constant("w3", 5, 8), constant("b3", 5)), Dense(), name="logits")
    return b.finish(b.apply("softmax", (y,), name="probabilities"))


def remembered(b: Builder, x: str, constant: Callable[..., str]) -> str:
    """Eight numbers as a sequence of two steps through an LSTM that starts with zeros."""
    x = b.apply("reshape", (x,), Reshape((1, 2, 4)), name="steps")
    weights = [constant("wx", 4, 4, 4), constant("wh", 4, 4, 4), constant("gates", 4, 4)]
    starts = [b.constant(name, np.zeros((1, 4), np.float32)) for name in ("h", "c")]
    y, *_ = b.apply_all("lstm", (x, *weights, *starts), name="memory")
    return b.apply("reshape", (y,), Reshape((1, 8)), name="remembered")


def picked(b: Builder, x: str) -> str:
    """``x`` through every op that picks or repeats elements; its shape stays."""
    shape = b.type_of(x).shape
    x = b.apply("resize_nearest", (x,), Resize((8, 8)), name="large")
    x = b.apply("resize_bilinear", (x,), Resize(shape[1:3]), name="small")
    backwards = StridedSlice((0, shape[1] - 1, 0, 0), shape, (1, -1, 1, 1))
    x = b.apply("strided_slice", (x,), backwards, name="mirrored")
    x = b.apply("gather", (x,), Gather(3, (1, 0, 2, 3, 5, 4, 6, 7)), name="swapped")
    places = b.constant("places", np.arange(shape[2], dtype=np.int32)[::-1])
    x = b.apply("take", (x, places), Take(2), name="taken")
    x = b.apply("reduce_max", (x,), ReduceMax((0,)), name="largest")
    return b.apply("broadcast", (x,), Broadcast(shape), name="repeated")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return every_op(np.random.default_rng(0))


@pytest.fixture(scope="module")
def samples() -> Array:
    return np.random.default_rng(1).standard_normal((40, 8, 8, 3)).astype(np.float32)


def stored(x: Array, type_: Type) -> Array:
    return np.clip(np.round(x / type_.scale) + type_.zero_point, -128, 127).astype(np.int8)


def test_every_activation_is_seen(graph: Graph, samples: Array) -> None:
    ranges = calibrate(graph, samples)
    assert set(ranges) == set(graph.activations())
    assert ranges["x"] == (samples.min(), samples.max())
    assert ranges["conv"].low == 0.0
    assert 0 < ranges["conv"].high <= 6.0
    assert ranges["positive"].low == 0.0


def test_ranges_hold_zero_and_the_worst_of_all_samples() -> None:
    b = Builder("shifted")
    x = b.input("x", Type((1, 2), DType.FLOAT32))
    graph = b.finish(b.apply("relu", (x,), name="y"))
    ranges = calibrate(graph, np.array([[2.0, 3.0], [1.0, 5.0]], np.float32))
    assert ranges == {"x": (0.0, 5.0), "y": (0.0, 5.0)}


def test_calibration_refuses_no_samples_and_no_numbers(graph: Graph, samples: Array) -> None:
    with pytest.raises(
        OptionError, match="calibration of graph 'every_op': found no samples; wanted at least one"
    ):
        calibrate(graph, samples[:0])
    with pytest.raises(
        GraphError, match="calibration of graph 'every_op': tensor 'x' holds a NaN or an infinity"
    ):
        calibrate(graph, np.full_like(samples[:1], np.nan))


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_a_quantization_covers_its_range_and_holds_zero(a: float, b: float) -> None:
    quant = quantization_of(Range(min(a, b), max(a, b)))
    (scale,), (zero,) = quant.scale, quant.zero_point
    assert -128 <= zero <= 127
    low, high = (-128 - zero) * scale, (127 - zero) * scale
    assert low - 0.51 * scale <= min(a, b, 0.0)
    assert max(a, b, 0.0) <= high + 0.51 * scale


def test_a_constant_tensor_gets_a_usable_quantization() -> None:
    quant = quantization_of(Range(0.0, 0.0))
    assert quant.scale[0] > 1e-9
    assert quant.zero_point == (-128,)


def test_int8_is_close_to_float(graph: Graph, samples: Array) -> None:
    int8 = quantise(graph, calibrate(graph, samples))
    for sample in samples[:10]:
        (expected,) = interpret(graph, [sample[None]])
        (found,) = interpret(int8, [stored(sample[None], int8.types["x"])])
        assert np.abs((found.astype(float) + 128) / 256 - expected).max() < 0.03


def test_every_op_of_the_table_is_in_the_test_graph(graph: Graph) -> None:
    assert {node.op for node in graph.nodes} == {op.name for op in all_ops() if op.int8 is not None}


def test_quantisation_around_every_op_is_as_its_kernels_want(graph: Graph, samples: Array) -> None:
    types = quantise(graph, calibrate(graph, samples)).types
    cells = {"memory_c_next"}
    assert {types[name].dtype.value for name in cells} == {"int16"}
    assert {types[name].dtype.value for name in {*graph.activations()} - cells} == {"int8"}
    assert types["c"] == types["memory_c_next"] == Type((1, 4), DType.INT16, per_tensor(2.0**-12))
    for group in (
        ("x", "pad"),
        ("conv", "max", "average", "both", "depthwise"),
        ("sub", "maximum", "minimum"),
        ("gated", "turned", "large", "small", "mirrored", "swapped", "largest", "repeated"),
        ("mean", "flat"),
        ("total", "steps"),
        ("memory", "memory_h_next", "h", "remembered"),
    ):
        assert len({types[name].quant for name in group}) == 1, group
    assert types["sum"].quant != types["both"].quant
    assert (types["tanh"].scale, types["tanh"].zero_point) == (1 / 128, 0)
    assert (types["gate"].scale, types["gate"].zero_point) == (1 / 256, -128)
    assert (types["probabilities"].scale, types["probabilities"].zero_point) == (1 / 256, -128)
    for name, axis, count in (("w1", 0, 4), ("w2", 3, 4), ("w3", 0, 5), ("wx", 0, 4), ("wh", 0, 4)):
        quant = types[name].quant
        assert quant is not None
        assert (quant.axis, len(quant.scale), set(quant.zero_point)) == (axis, count, {0})
    assert {types[name].dtype.value for name in ("b1", "b2", "b3", "gates")} == {"int32"}
    assert types["offset"].dtype == DType.INT8


def test_weights_use_the_whole_symmetric_range(graph: Graph, samples: Array) -> None:
    int8 = quantise(graph, calibrate(graph, samples))
    for name, axes in (("w1", (1, 2, 3)), ("w2", (0, 1, 2)), ("w3", (1,))):
        stored_weights = int8.constants[name].astype(int)
        assert (np.abs(stored_weights).max(axes) == 127).all()
        shape = [-1 if i not in axes else 1 for i in range(stored_weights.ndim)]
        quant = int8.types[name].quant
        assert quant is not None
        steps = np.array(quant.scale).reshape(shape)
        assert np.abs(stored_weights * steps - graph.constants[name]).max() <= 0.51 * steps.max()


def test_litert_agrees_bit_for_bit(graph: Graph, samples: Array) -> None:
    int8 = quantise(graph, calibrate(graph, samples))
    # Up to the sum: LiteRT's reference kernels for that and the dense layer are wrong or round once, and a
    # file cannot say that an LSTM starts anew in every run.
    body = rebuild(int8, int8.nodes, outputs=("flat",))
    model = export(body)
    for sample in samples[:10]:
        x = stored(sample[None], int8.types["x"])
        assert np.array_equal(litert_run(model, [x])[0], interpret(body, [x])[0])


def conv_graph(w: Array, b: Array) -> Graph:
    builder = Builder("one_conv")
    x = builder.input("x", Type((1, 4, 4, w.shape[3]), DType.FLOAT32))
    inputs = (x, builder.constant("w", w.astype(np.float32)), builder.constant("b", b.astype(np.float32)))
    return builder.finish(builder.apply("conv2d", inputs, name="y"))


def test_dead_channels_keep_their_bias() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 1, 1, 3))
    w[1] = 0.0
    w[2] = 1e-20
    b = np.array([0.1, 2.0, -1.5, 0.0])
    graph = conv_graph(w, b)
    x = rng.standard_normal((1, 4, 4, 3)).astype(np.float32)
    int8 = quantise(graph, calibrate(graph, x))
    (y,) = interpret(int8, [stored(x, int8.types["x"])])
    real = (y.astype(float) - int8.types["y"].zero_point) * int8.types["y"].scale
    assert np.abs(real - interpret(graph, [x])[0]).max() < 2.5 * int8.types["y"].scale


def test_a_layer_of_zeros_can_be_quantised() -> None:
    graph = conv_graph(np.zeros((2, 1, 1, 3)), np.zeros(2))
    x = np.zeros((1, 4, 4, 3), np.float32)
    int8 = quantise(graph, calibrate(graph, x))
    (y,) = interpret(int8, [stored(x, int8.types["x"])])
    assert (y == int8.types["y"].zero_point).all()


@given(st.floats(1e-30, 1e30), st.floats(0, 1e30), st.floats(1e-9, 1e3))
def test_biases_always_fit_int32(weight: float, bias: float, x_scale: float) -> None:
    w, b = np.array([[weight], [1.0]]), np.array([bias, 0.0])
    scales = weight_scales(w, b, 0, x_scale)
    assert np.abs(np.round(b / (x_scale * scales))).max() < 2**31
    assert np.abs(w[:, 0] / scales).max() <= 127.001


def test_float_faces_keep_float_inputs_and_outputs(graph: Graph, samples: Array) -> None:
    ranges = calibrate(graph, samples)
    int8, faced = quantise(graph, ranges), quantise(graph, ranges, float_faces=True)
    assert faced.nodes[0].op == "quantize"
    assert faced.nodes[-1].op == "dequantize"
    (found,) = interpret(faced, [samples[:1]])
    (expected,) = interpret(int8, [stored(samples[:1], int8.types["x"])])
    assert np.array_equal(found, (expected.astype(np.float32) + 128) / 256)
    bare = stored_faces(faced)
    assert [node.op for node in bare.nodes] == [node.op for node in int8.nodes]
    assert bare.types[bare.inputs[0]] == int8.types["x"]


def test_assumed_ranges_are_enough_for_size_and_speed(graph: Graph, samples: Array) -> None:
    guessed, measured = quantise(graph, assumed(graph)), quantise(graph, calibrate(graph, samples))
    assert guessed.nodes == measured.nodes
    assert {n: (t.shape, t.dtype) for n, t in guessed.types.items()} == {
        n: (t.shape, t.dtype) for n, t in measured.types.items()
    }


def test_what_cannot_be_quantised_is_refused(graph: Graph, samples: Array) -> None:
    ranges = calibrate(graph, samples)
    with pytest.raises(
        GraphError, match=r"quantise: graph 'every_op', tensor 'x' is int8.*; wanted float32 throughout"
    ):
        quantise(quantise(graph, ranges), ranges)
    with pytest.raises(
        GraphError, match="graph 'every_op': no range for tensor 'pad'; calibrate this graph first"
    ):
        quantise(graph, {"x": Range(-1, 1)})
    foreign = replace(graph, nodes=(replace(graph.nodes[0], op="quantize"), *graph.nodes[1:]))
    with pytest.raises(GraphError, match="node 'pad': op 'quantize' has no int8 form"):
        quantise(foreign, ranges)


@pytest.mark.parametrize("activations", [DType.INT8, DType.INT16])
def test_a_fixed_range_does_not_clip_what_it_is_joined_with(activations: DType) -> None:
    """A gate of 0..1, a tanh of -1..1 and a branch that reaches 6 lie in one tensor, and none is cut."""
    b, rng = Builder("joined"), np.random.default_rng(0)
    x = b.input("x", Type((1, 6), DType.FLOAT32))
    gate, turn = b.apply("logistic", (x,), name="gate"), b.apply("tanh", (x,), name="turn")
    relu = b.apply("relu", (x,), Relu(Activation.RELU6), name="relu")
    joined = b.apply("concatenation", (gate, turn, relu), Concatenation(1), name="joined")
    graph = b.finish(joined, gate)
    samples = rng.uniform(-8, 8, (50, 6)).astype(np.float32)
    quantised = quantise(graph, calibrate(graph, samples), float_faces=True, activations=activations)
    assert [node.op for node in quantised.nodes].count("quantize") == 3  # of the input, the gate and the turn
    step = 8 / (255 if activations is DType.INT8 else 32767)
    for sample in samples:
        wanted, found = interpret(graph, [sample[None]]), interpret(quantised, [sample[None]])
        assert np.abs(wanted[0] - found[0]).max() <= 2 * step
        assert np.abs(wanted[1] - found[1]).max() <= 2 * step


def test_a_fixed_range_is_shared_where_it_holds_the_others() -> None:
    """Nothing is rescaled when what is behind a softmax only moves its values."""
    b = Builder("moved")
    x = b.input("x", Type((1, 4), DType.FLOAT32))
    answer = b.apply("reshape", (b.apply("softmax", (x,), name="p"),), Reshape((2, 2)), name="square")
    graph = b.finish(answer)
    samples = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    quantised = quantise(graph, calibrate(graph, samples))
    assert [node.op for node in quantised.nodes] == ["softmax", "reshape"]
    assert quantised.types["square"].scale == quantised.types["p"].scale == 1 / 256
