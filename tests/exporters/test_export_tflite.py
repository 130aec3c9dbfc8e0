"""A graph written as .tflite means to LiteRT what it means to us."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tflite

import tinyfoundry
from graphs import inputs_of
from litert import litert_judge, litert_run
from small_nets import random_net
from tinyfoundry.builder import Builder
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Graph, Node, Quantization, Type, per_tensor
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.shape import Concatenation

IMAGE = Type((1, 6, 5, 2), DType.INT8, per_tensor(0.1, 3))


def conv(window: Window) -> Graph:
    rng = np.random.default_rng(5)
    b = Builder("padded")
    x = b.input("x", IMAGE)
    w = b.constant(
        "w", rng.integers(-127, 128, (3, 3, 3, 2)).astype(np.int8), Quantization((0.02,) * 3, (0,) * 3)
    )
    bias = b.constant("b", rng.integers(-500, 500, 3).astype(np.int32))
    return b.finish(b.apply("conv2d", (x, w, bias), Conv2D(window), per_tensor(0.2, -7)))


def operators(model: bytes) -> list[int]:
    root = tflite.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    numbers = [graph.Operators(i).OpcodeIndex() for i in range(graph.OperatorsLength())]
    return [root.OperatorCodes(number).BuiltinCode() for number in numbers]


@pytest.mark.parametrize("seed", range(12))
def test_whole_int8_files_mean_the_same_to_litert(seed: int) -> None:
    """Networks without dense layers, in one file each, bit for bit by LiteRT's reference kernels."""
    graph = random_net(seed, head=False)
    model = export(graph)
    for values in inputs_of(graph, np.random.default_rng(seed), 3):
        for want, got in zip(litert_run(model, values), interpret(graph, values), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(12))
def test_networks_with_dense_layers_mean_the_same_to_litert(seed: int) -> None:
    """Node by node, each by its judge."""
    graph = random_net(seed)
    judge = litert_judge(graph)
    for values in inputs_of(graph, np.random.default_rng(seed), 3):
        for want, got in zip(judge(values), interpret(graph, values), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(12))
def test_float_files_mean_the_same_to_litert(seed: int) -> None:
    graph = random_net(seed, floats=True)
    model = export(graph)
    for values in inputs_of(graph, np.random.default_rng(seed), 3):
        for want, got in zip(litert_run(model, values), interpret(graph, values), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * max(1, np.abs(want).max()))


@pytest.mark.parametrize(
    ("window", "codes"),
    [
        (Window(), [tflite.BuiltinOperator.CONV_2D]),
        (Window((2, 1), (0, 1), (1, 1)), [tflite.BuiltinOperator.CONV_2D]),
        (Window((1, 1), (2, 0), (0, 1)), [tflite.BuiltinOperator.PAD, tflite.BuiltinOperator.CONV_2D]),
    ],
)  # fmt: skip
def test_explicit_padding_becomes_same_valid_or_a_pad(window: Window, codes: list[int]) -> None:
    graph = conv(window)
    model = export(graph)
    assert operators(model) == codes
    for values in inputs_of(graph, np.random.default_rng(1), 2):
        np.testing.assert_array_equal(litert_run(model, values)[0], interpret(graph, values)[0])


def test_constants_are_aligned_to_16_bytes() -> None:
    model = export(random_net(0))
    root = tflite.Model.GetRootAs(model, 0)
    whole = np.frombuffer(model, np.uint8)
    starts = [
        root.Buffers(i).DataAsNumpy().__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        for i in range(1, root.BuffersLength())
    ]
    assert starts and all(start % 16 == 0 for start in starts)


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert export(random_net(3)) == export(random_net(3))


def test_unknown_ops_are_all_named() -> None:
    graph = Graph("g", ("x",), ("z",), (
        Node("y", "swish", ("x",), ("y",)), Node("z", "gelu", ("y",), ("z",)),
    ), dict.fromkeys("xyz", IMAGE))  # fmt: skip
    with pytest.raises(
        ModelError, match=r"'g'.*has no gelu \(1 times\), swish \(1 times\); wanted ops out of abs, add,"
    ):
        export(graph)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.FLOAT32])
@pytest.mark.parametrize("window", [Window((2, 2), (1, 1), (1, 1)), Window((1, 2), (1, 0), (0, 1))])
def test_a_max_pool_with_padding_of_its_own_gets_a_pad(window: Window, dtype: DType) -> None:
    """As torch's ResNets have it; the lowest value is put around the image."""
    b, quant = Builder("g"), IMAGE.quant if dtype == DType.INT8 else None
    x = b.input("x", Type(IMAGE.shape, dtype, quant))
    graph = b.finish(b.apply("max_pool2d", (x,), MaxPool2D((3, 3), window, Activation.RELU), quant, "pool"))
    model = export(graph)
    assert operators(model) == [tflite.BuiltinOperator.PADV2, tflite.BuiltinOperator.MAX_POOL_2D]
    for values in inputs_of(graph, np.random.default_rng(1), 3):
        want = interpret(graph, values)[0]
        np.testing.assert_array_equal(litert_run(model, values)[0], want)
        np.testing.assert_array_equal(interpret(load(model), values)[0], want)


@pytest.mark.parametrize("activation", list(Activation))
def test_an_activation_behind_a_concatenation_is_an_operator_of_its_own(activation: Activation) -> None:
    b = Builder("g")
    xs = [b.input(name, IMAGE) for name in "xy"]
    graph = b.finish(b.apply("concatenation", xs, Concatenation(3, activation), IMAGE.quant))
    model = export(graph)
    assert len(operators(model)) == (1 if activation is Activation.NONE else 2)
    for values in inputs_of(graph, np.random.default_rng(2), 3):
        np.testing.assert_array_equal(litert_run(model, values)[0], interpret(graph, values)[0])


def test_an_average_pool_with_padding_of_its_own_is_refused() -> None:
    b = Builder("g")
    window = Window((1, 1), (1, 0), (0, 0))
    graph = b.finish(
        b.apply("average_pool2d", (b.input("x", IMAGE),), AveragePool2D((2, 2), window), IMAGE.quant, "pool")
    )
    with pytest.raises(
        ModelError, match=r"node 'pool' \(average_pool2d\): average pools in .tflite pad as SAME or VALID"
    ):
        export(graph)


def test_what_build_trained_gives_the_same_bytes_in_litert_as_on_the_board(tmp_path: Path) -> None:
    """Whole, by LiteRT; of dense layers, ties are broken as a microcontroller breaks them."""
    built = tinyfoundry.build("digits", board="nucleo-f446re", output=tmp_path / "out", budget=3.0)
    model = built.folder / "digits.tflite"
    found = tinyfoundry.verify(model, built.folder, samples=60, data="digits")
    assert found.exact
    assert found.certificate["notes"] == []
    assert [row["inputs"] for row in found.certificate["compared"]] == [3, 8, 49, 60]
    assert all(row["mismatches"]["LiteRT"] == 0 for row in found.certificate["compared"])
