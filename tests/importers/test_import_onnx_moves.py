"""ONNX's operators that pick, repeat, resize, reduce, normalise and bend: onnxruntime judges each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from onnx_nets import Net, assert_means_the_same, imported
from tinyfoundry.errors import ModelError
from tinyfoundry.importers.onnx import load
from tinyfoundry.ir.graph import Graph

IMAGE = (1, 6, 9, 8)
Build = Callable[[Net], None]


def ints(net: Net, *values: int) -> str:
    return net.constant(values, np.int64)


def transposes(graph: Graph) -> int:
    return Counter(node.op for node in graph.nodes)["transpose"]


def sliced(net: Net) -> None:
    (
        net.conv(6, 6, 3),
        net.add("Slice", net.last, ints(net, 1, -1), ints(net, 99, -99), ints(net, 2, 3), ints(net, 3, -2)),
    )
    net.conv(4, 6, 1)


def parted(net: Net) -> None:
    net.conv(7, 6, 3)
    a = net.add("Split", net.last, ints(net, 2, 5), outputs=2, axis=1)
    b = net.nodes[-1].output[1]
    net.last = b
    net.add("Add", net.conv(2, 5, 1), a)


def parted_evenly(net: Net) -> None:
    net.conv(8, 6, 3), net.add("Split", outputs=2, axis=1)
    net.add("Mul", net.last, net.add("Sigmoid", net.nodes[-1].output[1]))


def one_row(net: Net) -> None:
    (
        net.conv(4, 6, 3),
        net.add("Gather", net.last, net.constant(-2, np.int64), axis=2),
        net.add("Flatten"),
        net.gemm(3, 32),
    )


def some_channels(net: Net) -> None:
    net.conv(5, 6, 3), net.add("Gather", net.last, ints(net, 4, 0, 0, -2), axis=1), net.conv(3, 4, 1)


def repeated(net: Net) -> None:
    net.conv(4, 6, 3), net.add("Tile", net.last, ints(net, 1, 2, 1, 3)), net.conv(2, 8, 3)


def expanded(net: Net) -> None:
    (
        net.conv(4, 6, 3),
        net.add("GlobalMaxPool"),
        net.add("Expand", net.last, ints(net, 1, 1, 3, 2)),
        net.conv(2, 4, 1),
    )


def shuffled_pixels(net: Net) -> None:
    net.conv(12, 6, 3), net.add("DepthToSpace", blocksize=2), net.conv(2, 3, 3)


def mirrored(net: Net) -> None:
    net.conv(4, 6, 3)
    for mode in ("reflect", "edge", "wrap"):
        net.add("Pad", net.last, ints(net, 0, 0, 1, 2, 0, 0, 2, 1), mode=mode)
    net.add("Pad", net.last, ints(net, 0, 0, 1, 0, 0, 0, 0, 1), net.constant(0.7))


def divided(net: Net) -> None:
    x = net.conv(4, 6, 3)
    (
        net.add("Div", x, net.add("Add", net.add("Abs"), net.constant(1.0))),
        net.add("Div", net.constant(2.0), net.add("Exp")),
    )


def reductions(net: Net) -> None:
    x = net.conv(5, 6, 3)
    parts = [
        net.add(f"Reduce{kind}", x, axes=[1], keepdims=1) for kind in ("L1", "L2", "Max", "Mean", "SumSquare")
    ]
    net.add("Concat", *parts, net.add("ReduceSum", x, ints(net, 1)), axis=1), net.conv(2, 6, 1)


def layer_norm(net: Net) -> None:
    (
        net.conv(5, 6, 3),
        net.add("LayerNormalization", net.last, net.random(5, 9, 8), net.random(5, 9, 8), axis=1),
    )
    net.add("LayerNormalization", net.last, net.random(8), axis=-1, epsilon=0.1), net.conv(2, 5, 1)


def instance_norm(net: Net) -> None:
    (
        net.conv(5, 6, 3),
        net.add("InstanceNormalization", net.last, net.random(5), net.random(5)),
        net.conv(2, 5, 1),
    )


def group_norm_of_torch(net: Net) -> None:
    """As torch writes it: groups joined with pixels, which do not lie side by side here."""
    net.conv(6, 6, 3), net.add("Reshape", net.last, ints(net, 0, 2, -1))
    net.add("InstanceNormalization", net.last, net.constant([1.0, 1.0]), net.constant([0.0, 0.0]))
    (
        net.add("Reshape", net.last, ints(net, 1, 6, 9, 8)),
        net.add("Mul", net.last, net.random(6, 1, 1)),
        net.conv(2, 6, 1),
    )


def constant_factor(net: Net) -> None:
    net.add("MatMul", net.random(6, 4, 9), "x"), net.add("MatMul", net.last, net.random(6, 8, 3))


def softplus_of_torch(net: Net) -> None:
    x = net.conv(5, 6, 3)
    net.add("Where", net.add("Greater", x, net.constant(20.0)), x, net.add("Softplus", x)), net.conv(2, 5, 1)


def swishes(net: Net) -> None:
    """Written in two operators each."""
    x = net.conv(5, 6, 3)
    y = net.add("Mul", x, net.add("Sigmoid", x))
    net.add("Mul", net.add("HardSigmoid", y, alpha=1 / 6, beta=0.5), y), net.conv(2, 5, 1)


def test_what_is_one_function_becomes_one_layer() -> None:
    net = Net(IMAGE)
    swishes(net)
    assert [node.op for node in imported(net).nodes] == ["conv2d", "curve", "hard_swish", "conv2d"]


def joined_and_split_axes(net: Net) -> None:
    """Rows and columns lie side by side: what joins or splits only them, or channels, moves nothing."""
    net.conv(6, 6, 3), net.add("Reshape", net.last, ints(net, 1, 2, 3, 72)), net.add("Relu")
    (
        net.add("Reshape", net.last, ints(net, 1, 6, 3, 3, 8)),
        net.add("ReduceMean", axes=[3], keepdims=0),
        net.conv(2, 6, 1),
    )


STAY = [
    sliced,
    parted,
    parted_evenly,
    one_row,
    some_channels,
    repeated,
    expanded,
    mirrored,
    divided,
    reductions,
    layer_norm,
    instance_norm,
    group_norm_of_torch,
    softplus_of_torch,
    joined_and_split_axes,
]


@pytest.mark.parametrize("build", [*STAY, shuffled_pixels, constant_factor], ids=lambda build: build.__name__)
def test_operators(build: Build) -> None:
    net = Net(IMAGE, opset=17)
    build(net)
    graph = imported(net, turned="" if build is constant_factor else "inputs, outputs")
    assert transposes(graph) == (build is shuffled_pixels)  # what is moved of pixels must move


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_space_and_depth(mode: str) -> None:
    net = Net((1, 12, 4, 6))
    net.add("SpaceToDepth", net.add("DepthToSpace", blocksize=2, mode=mode), blocksize=4)
    assert transposes(imported(net, shape=(1, 12, 4, 6))) == (2 if mode == "DCR" else 3)


def test_pixel_unshuffle_of_torch_moves_twice() -> None:
    """One move in five loops is more than a transpose has."""
    net = Net((1, 3, 4, 6))
    (
        net.conv(3, 3, 1),
        net.add("Reshape", net.last, ints(net, 1, 3, 2, 2, 3, 2)),
        net.add("Transpose", perm=[0, 1, 3, 5, 2, 4]),
    )
    net.add("Reshape", net.last, ints(net, 1, 12, 2, 3)), net.conv(2, 12, 1)
    assert transposes(imported(net, shape=(1, 3, 4, 6))) == 2


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(opset: int) -> None:
    net = Net(IMAGE, opset=opset)
    size = 2 if opset == 18 else 6
    (
        net.conv(6, 6, 3),
        net.add("GroupNormalization", net.last, net.random(size), net.random(size), num_groups=2),
    )
    assert transposes(imported(net)) == 0


@pytest.mark.parametrize("keep", [0, 1])
def test_arg_max(keep: int) -> None:
    from onnx import TensorProto

    net = Net(IMAGE)
    net.add("ArgMax", net.conv(5, 6, 3), axis=1, keepdims=keep)
    model = net.proto(dtype=TensorProto.INT64).SerializeToString()
    graph = load(model)
    assert_means_the_same(graph, model, [IMAGE], "inputs, outputs" if keep else "inputs")
    assert transposes(graph) == 0


FUNCTIONS = {
    "Celu": {"alpha": 0.6},
    "Elu": {"alpha": 1.3},
    "Erf": {},
    "Gelu": {"approximate": "tanh"},
    "HardSigmoid": {"alpha": 0.3},
    "Mish": {},
    "Neg": {},
    "Reciprocal": {},
    "Selu": {},
    "Sign": {},
    "Sin": {},
    "Softplus": {},
    "Softsign": {},
    "Log": {},
    "ThresholdedRelu": {"alpha": 0.4},
    "Cos": {},
    "Floor": {},
    "Ceil": {},
    "Round": {},
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions_of_one_number(op: str) -> None:
    net = Net((1, 50), opset=20)
    if op in ("Log", "Reciprocal"):
        net.add("Add", net.add("Abs"), net.constant(0.2))
    net.add(op, **FUNCTIONS[op])
    assert [node.op for node in imported(net, shape=(1, 50), turned="").nodes][-1] == "curve"


def test_limits_and_powers() -> None:
    net = Net((1, 50))
    (
        net.add("Clip", net.last, net.constant(-0.4), net.constant(1.7)),
        net.add("Pow", net.last, net.constant(3.0)),
    )
    assert [node.op for node in imported(net, shape=(1, 50), turned="").nodes] == ["curve", "curve"]


NEAREST = [
    ("asymmetric", "floor", (18, 16)),
    ("asymmetric", "floor", (5, 11)),
    ("half_pixel", "round_prefer_floor", (18, 16)),
    ("half_pixel", "round_prefer_ceil", (13, 5)),
    ("asymmetric", "ceil", (12, 12)),
    ("align_corners", "round_prefer_floor", (17, 15)),
    ("pytorch_half_pixel", "floor", (1, 20)),
]


@pytest.mark.parametrize(("mapping", "rounding", "size"), NEAREST)
def test_nearest_resizes_by_sizes(mapping: str, rounding: str, size: tuple[int, int]) -> None:
    net = Net(IMAGE)
    settings = {"mode": "nearest", "coordinate_transformation_mode": mapping, "nearest_mode": rounding}
    net.conv(3, 6, 1), net.add("Resize", net.last, "", "", ints(net, 1, 3, *size), **settings)
    assert transposes(imported(net)) == 0


@pytest.mark.parametrize("mapping", ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"])
@pytest.mark.parametrize("factors", [(2.0, 2.0), (3.0, 0.5)])
def test_linear_resizes_by_factors(mapping: str, factors: tuple[float, float]) -> None:
    net = Net(IMAGE)
    settings = {"mode": "linear", "coordinate_transformation_mode": mapping}
    net.conv(3, 6, 1), net.add("Resize", net.last, "", net.constant([1.0, 1.0, *factors]), **settings)
    assert Counter(node.op for node in imported(net).nodes) == {"conv2d": 1, "resize_bilinear": 1}


@pytest.mark.parametrize("opset", [9, 10])
def test_older_resizes(opset: int) -> None:
    net = Net(IMAGE, opset=opset)
    op = "Upsample" if opset == 9 else "Resize"
    net.conv(3, 6, 1), net.add(op, net.last, net.constant([1.0, 1.0, 2.0, 3.0]), mode="nearest")
    imported(net)


def cubic(net: Net) -> None:
    net.add("Resize", net.last, "", net.constant([1.0, 1.0, 2.0, 2.0]), mode="cubic")


def uneven(net: Net) -> None:
    net.add("Resize", net.last, "", net.constant([1.0, 1.0, 1.3, 2.0]), mode="linear")


def resized_channels(net: Net) -> None:
    net.add("Resize", net.last, "", net.constant([1.0, 2.0, 1.0, 2.0]))


def empty(net: Net) -> None:
    net.add("Slice", net.last, ints(net, 4), ints(net, 4), ints(net, 2))


def beyond(net: Net) -> None:
    net.add("Gather", net.last, ints(net, 0, 9), axis=2)


def chosen_at_run_time(net: Net) -> None:
    net.add("Where", net.add("Greater", "x", net.constant(0.0)), "x", net.add("Neg", "x"))


def by_zero(net: Net) -> None:
    net.add("Div", "x", net.constant(0.0))


def far_reflection(net: Net) -> None:
    net.add("Pad", net.last, ints(net, 0, 0, 9, 0, 0, 0, 0, 0), mode="reflect")


FAULTS: dict[Build, str] = {
    cubic: r"with mode 'cubic' and 'half_pixel' \(wanted nearest, or linear with align_corners",
    uneven: r"from \(9, 8\) to \(11, 16\) by factors",
    resized_channels: "wanted another height or width",
    empty: r"Slice 'slice0a' that picks nothing of \[1, 6, 9, 8\]",
    beyond: "Gather 'gather0a' at index 9 of 9 elements; the file is damaged",
    chosen_at_run_time: r"Greater 'greater0a' of what is computed \(wanted constants or shapes\)",
    by_zero: "Div 'div0a' by zero",
    far_reflection: r"by \(9, 0\) of 9 elements in mode reflect",
}


@pytest.mark.parametrize("build", FAULTS, ids=lambda build: build.__name__)
def test_what_is_refused(build: Build) -> None:
    net = Net(IMAGE)
    build(net)
    with pytest.raises(ModelError, match=FAULTS[build]):
        load(net.bytes())
