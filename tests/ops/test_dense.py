"""Dense layers: exact against LiteRT's convolution, and what is known of its own dense kernels.

A microcontroller's dense layer (TensorFlow Lite Micro, CMSIS-NN) rounds twice, as its convolutions do.
LiteRT's reference kernel rounds once. Its optimised kernel rounds twice, but takes halves of the second
rounding upwards, not away from zero. So the exact judge is LiteRT's reference convolution over one pixel.
"""

from __future__ import annotations

import numpy as np
import pytest

from floats import assert_floats_equal_litert
from graphs import inputs_of, single
from litert import as_convolution, litert_run
from tinyfoundry.errors import GraphError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.fixed import quantize_multiplier, requantize
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.op import Call, Sample, check_call
from tinyfoundry.ops.dense import DENSE, Dense


def only_bias(scales: tuple[float, float, float], bias: Array) -> Graph:
    """A dense layer with weights of zero: output o is bias[o] requantised. scales: input, weights, output."""
    x, w, y = scales
    types = (
        Type((1, 1), DType.INT8, per_tensor(x)),
        Type((len(bias), 1), DType.INT8, per_tensor(w)),
        Type((len(bias),), DType.INT32),
    )
    call = Call(Dense(), types, (Type((1, len(bias)), DType.INT8, per_tensor(y)),))
    constants = {1: np.zeros((len(bias), 1), np.int8), 2: bias.astype(np.int32)}
    return single(DENSE, Sample("only_bias", call, constants))


@pytest.mark.parametrize("seed", range(6))
def test_equals_litert_convolution_over_one_pixel(seed: int) -> None:
    """Every sample gives the bytes of LiteRT's reference convolution, which rounds as microcontrollers do."""
    for sample in DENSE.samples(np.random.default_rng(seed)):
        graph = single(DENSE, sample)
        model = export(as_convolution(graph))
        for (x,) in inputs_of(graph, np.random.default_rng(seed), 3):
            (want,) = litert_run(model, [x[:, None, None, :]])
            (got,) = interpret(graph, [x])
            np.testing.assert_array_equal(got, want[:, 0, 0, :], err_msg=sample.label)


def test_halves_of_the_second_rounding_go_away_from_zero() -> None:
    """At factor 1/16 a sum of -8 is -0.5: -1 here as on a microcontroller, 0 in LiteRT's optimised kernel."""
    graph = only_bias((0.25, 0.25, 1.0), np.array([-24, -9, -8, -7, 7, 8, 9, 24]))
    x = [np.zeros((1, 1), np.int8)]
    assert interpret(graph, x)[0].ravel().tolist() == [-2, -1, -1, 0, 1, 1, 1, 2]
    assert litert_run(export(as_convolution(graph)), [x[0].reshape(1, 1, 1, 1)])[0].ravel().tolist() == [
        -2, -1, -1, 0, 1, 1, 1, 2
    ]  # fmt: skip
    optimised = litert_run(export(graph), x, reference=False)[0].ravel()
    differs = optimised != interpret(graph, x)[0].ravel()
    assert not differs[3:].any(), "LiteRT may differ only on negative halves"


def test_one_scale_for_all_weights_is_multiplied_in_float32() -> None:
    """Where float32 and float64 products of the scales give other bytes, LiteRT's dense kernel has ours."""
    scales = (0.3137254, 0.0078431, 3000.0)
    x_scale, w_scale, y_scale = (float(np.float32(scale)) for scale in scales)
    factor = x_scale * w_scale / y_scale
    # Positive sums beside the halves: the last bits of the multiplier decide, and LiteRT rounds as we do.
    bias = np.round((np.arange(1, 120) + 0.5) / factor)
    graph = only_bias(scales, bias)
    x = [np.zeros((1, 1), np.int8)]
    (got,) = interpret(graph, x)
    (want,) = litert_run(export(graph), x, reference=False)
    np.testing.assert_array_equal(got, want)
    in_float64 = requantize(bias, *quantize_multiplier(factor))
    assert (in_float64 != got.ravel()).any(), "these scales do not tell the two products apart"


def test_float_equals_litert() -> None:
    """Float32 samples agree with LiteRT's reference kernel."""
    assert_floats_equal_litert(DENSE)


def test_macs() -> None:
    """Multiply-accumulates: rows times inputs times outputs."""
    types = tuple(Type(shape, DType.FLOAT32) for shape in ((3, 10), (4, 10), (4,)))
    assert DENSE.macs(Call(Dense(), types, (Type((3, 4), DType.FLOAT32),))) == 120


@pytest.mark.parametrize(
    "shapes", [((1, 3), (2, 4), (2,)), ((1, 4), (2, 4), (3,)), ((1, 2, 2), (2, 4), (2,))]
)
def test_inputs_that_do_not_go_together(shapes: tuple[tuple[int, ...], ...]) -> None:
    """Rows, weights and bias of other sizes are refused with the shapes found and wanted."""
    with pytest.raises(GraphError, match=r"wanted \(N, K\), \(O, K\) with the same K, \(O,\)"):
        DENSE.infer(Dense(), tuple(Type(shape, DType.FLOAT32) for shape in shapes))


def test_asymmetric_weights_are_refused() -> None:
    """Weights have zero point 0."""
    x = Type((1, 2), DType.INT8, per_tensor(0.1))
    w = Type((2, 2), DType.INT8, Quantization((0.1,), (3,)))
    (complaint,) = check_call(DENSE, Call(Dense(), (x, w, Type((2,), DType.INT32)), (x,)))
    assert complaint.endswith("wanted int8 with zero point 0")
