"""Transposed convolution: its sums, against LiteRT at any window, without a bias, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from floats import assert_floats_equal_litert
from graphs import inputs_of, single
from litert import litert_run
from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.exporters._flatbuffer import Model, Operator, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Quantization, Type, per_tensor
from tinyfoundry.op import Call, Sample, check_call
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._samples import same
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.transpose_conv import TRANSPOSE_CONV, TransposeConv


def int32(name: str, values: tuple[int, ...]) -> Tensor:
    array = np.array(values, np.int32)
    return Tensor(name, Type(array.shape, DType.INT32), array)


def file_without_bias(shape: tuple[int, ...] | None, padding: int = 0, stride: int = 2) -> bytes:
    """Doubles 3×2 pixels with kernels of 4×3; shape: of the output, as it says; None: an input gives it."""
    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, (2, 4, 3, 5)).astype(np.int8)
    wanted = Tensor("shape", Type((4,), DType.INT32)) if shape is None else int32("shape", shape)
    quant = Quantization((0.01, 0.03), (0, 0), 0)
    x = Tensor("x", Type((1, 3, 2, 5), DType.INT8, per_tensor(0.05, -9)))
    w = Tensor("w", Type(weights.shape, DType.INT8, quant), weights)
    y = Tensor("y", Type((1, 6, 4, 2), DType.INT8, per_tensor(0.3, 5)))
    fields = {"Padding": padding, "StrideH": stride, "StrideW": stride}
    operator = Operator("TRANSPOSE_CONV", 2, ("shape", "w", "x"), ("y",), "TransposeConvOptions", fields)
    faces = ("x",) if shape is not None else ("x", "shape")
    return to_bytes(Model("main", (wanted, w, x, y), (operator,), faces, ("y",)))


def test_floats_equal_litert() -> None:
    assert_floats_equal_litert(TRANSPOSE_CONV)


def test_random_calls_equal_litert() -> None:
    """The samples of forty more seeds, read again from the file that LiteRT ran."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for sample in TRANSPOSE_CONV.samples(rng):
            graph = single(TRANSPOSE_CONV, sample)
            model = export(graph)
            values = inputs_of(graph, rng, 1)[0]
            [want], [got] = litert_run(model, values), interpret(load(model), values)
            np.testing.assert_array_equal(got, want, f"{seed}: {sample.label}")


def test_without_a_bias() -> None:
    model = file_without_bias((1, 6, 4, 2))
    graph = load(model)
    assert not graph.constants[graph.nodes[0].inputs[2]].any()
    for values in inputs_of(graph, np.random.default_rng(0), 5):
        np.testing.assert_array_equal(interpret(graph, values)[0], litert_run(model, values)[0])


def test_a_computed_shape_is_taken_from_the_output() -> None:
    assert load(file_without_bias(None)).nodes[0].attrs.size == (6, 4)


def sums(x: Array, w: Array, attrs: TransposeConv) -> list[int]:
    """The output of a float call with one channel and no bias, row by row."""
    types = [Type(value.shape, DType.FLOAT32) for value in (x, w)]
    types.append(Type((1,), DType.FLOAT32))
    [(shape, dtype)] = TRANSPOSE_CONV.infer(attrs, tuple(types))
    call = Call(attrs, tuple(types), (Type(shape, dtype),))
    [y] = TRANSPOSE_CONV.reference(call, [x, w, np.zeros(1, np.float32)])
    return [int(value) for value in y.ravel()]


def test_kernels_overlap_and_leave_gaps() -> None:
    """Pixels 1 and 10 with the kernel 1 2 3: at stride 2 one sum overlaps, at stride 4 one place is empty."""
    x = np.array([1, 10], np.float32).reshape(1, 1, 2, 1)
    w = np.array([1, 2, 3], np.float32).reshape(1, 1, 3, 1)
    assert sums(x, w, TransposeConv((1, 5), Window((1, 2)))) == [1, 2, 13, 20, 30]
    assert sums(x, w, TransposeConv((1, 7), Window((1, 4)))) == [1, 2, 3, 0, 10, 20, 30]
    assert sums(x, w, TransposeConv((1, 4), same((1, 4), (1, 3), (1, 2)))) == [1, 2, 13, 20]
    assert sums(x, w, TransposeConv((1, 6), Window((1, 2)))) == [1, 2, 13, 20, 30, 0]


def test_a_size_that_does_not_lead_back_is_refused() -> None:
    types = tuple(Type(shape, DType.FLOAT32) for shape in ((1, 3, 3, 2), (4, 3, 3, 2), (4,)))
    with pytest.raises(GraphError, match=r"^an output of 9×9 belongs to an input of 4×4; found 3×3$"):
        TRANSPOSE_CONV.infer(TransposeConv((9, 9), Window((2, 2))), types)
    with pytest.raises(GraphError, match=r"wanted NHWC, OHWI with the same C"):
        TRANSPOSE_CONV.infer(TransposeConv((7, 7)), (types[0], types[1], types[0]))


def test_dilation_is_refused() -> None:
    attrs = TransposeConv((5, 5), Window(dilation=(2, 2)))
    types = tuple(Type(shape, DType.FLOAT32) for shape in ((1, 1, 1, 2), (4, 3, 3, 2), (4,)))
    call = Call(attrs, types, (Type((1, 5, 5, 4), DType.FLOAT32),))
    assert check_call(TRANSPOSE_CONV, call) == ["dilation is (2, 2); wanted (1, 1)"]


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU6])
@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((5, 5), Window((2, 2), (1, 0), (1, 0))),
        ((6, 4), Window((2, 2), (1, 0), (0, 2))),
        ((4, 7), Window((3, 3), (2, 1), (0, 1))),
        ((4, 4), Window((2, 2), (0, 1), (1, 1))),
    ],
)
def test_padding_that_is_neither_same_nor_valid_is_cut_off_by_a_slice(
    size: tuple[int, int], window: Window, activation: Activation
) -> None:
    """As torch's ConvTranspose2d with padding and output_padding."""
    rng, shape = np.random.default_rng(6), (4, 3, 3, 2)
    x = Type((1, *window.output_size(size, (3, 3)), 2), DType.INT8, per_tensor(0.1, -7))
    w = Type(shape, DType.INT8, Quantization((0.02, 0.01, 0.03, 0.02), (0,) * 4, 0))
    y = Type((1, *size, 4), DType.INT8, per_tensor(0.4, 9))
    attrs = TransposeConv(size, window, activation)
    constants = {
        1: rng.integers(-127, 128, shape).astype(np.int8),
        2: rng.integers(-900, 900, 4).astype(np.int32),
    }
    call = Call(attrs, (x, w, Type((4,), DType.INT32)), (y,))
    assert check_call(TRANSPOSE_CONV, call) == []
    graph = single(TRANSPOSE_CONV, Sample("uneven", call, constants))
    model = export(graph)
    again = load(model)
    assert [node.op for node in again.nodes] == ["transpose_conv", "strided_slice"]
    for values in inputs_of(graph, rng, 3):
        want = interpret(graph, values)[0]
        np.testing.assert_array_equal(litert_run(model, values)[0], want)
        np.testing.assert_array_equal(interpret(again, values)[0], want)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (file_without_bias((1, 7, 4, 2)), "an output of 7×4 belongs to an input of 4×2; found 3×2"),
        (file_without_bias((1, 6, -4, 2)), "output .1, 6, -4, 2., wanted 4 positive sizes"),
        (file_without_bias((6, 4)), "output .6, 4., wanted 4 positive sizes, N H W C"),
        (file_without_bias((1, 6, 4, 2), padding=1), "belongs to an input of 2×1; found 3×2"),
        (file_without_bias((1, 6, 4, 2), padding=2), "padding is 2, wanted 0 .SAME. or 1 .VALID."),
        (file_without_bias((1, 6, 4, 2), stride=0), "one is below 1; the file is damaged"),
    ],
)
def test_damaged_files(model: bytes, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        load(model)
