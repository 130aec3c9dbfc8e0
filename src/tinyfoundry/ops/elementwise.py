"""Sums, differences and the relus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyfoundry.fixed import Ints, quantize_multiplier, requantize
from tinyfoundry.ir.graph import Array, DType, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, quantized_limits, quantized_or_float
from tinyfoundry.ops._binary import Arithmetic, Factors, binary_op, binary_samples, headroom
from tinyfoundry.ops._rescale import check_ratio, float_quotient, rescale_literals, rescaled

# Bits that squared differences shift differences of int8 values left by: the square must fit an int32.
_SQUARE_HEADROOM = 7


@dataclass(frozen=True)
class Add:
    """Attributes: the activation applied to the sum."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Sub:
    """Attributes: the activation applied to the difference."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class SquaredDifference:
    """No attributes."""


@dataclass(frozen=True)
class Relu:
    """Attributes: which relu; ``Activation.NONE`` is not one."""

    kind: Activation = Activation.RELU


def _no_macs(_call: Call) -> int:
    return 0


def _common_scale(call: Call) -> float:
    """Twice the larger input scale: what both inputs are brought to before they are added."""
    return 2 * max(type_.scale for type_ in call.inputs)


def _input_factors(call: Call) -> dict[str, tuple[int, int]]:
    common = _common_scale(call)
    return {f"x{i + 1}": quantize_multiplier(x.scale / common) for i, x in enumerate(call.inputs)}


def _add_factors(call: Call) -> Factors:
    """Multiplier and shift of both inputs and the output (Prepare of add.cc: scales as doubles)."""
    y = quantize_multiplier(_common_scale(call) / (2 ** headroom(call) * call.y.scale))
    return {**_input_factors(call), "y": y}


def _sub_factors(call: Call) -> Factors:
    """Those of addition, the second multiplier negative (Prepare of sub.cc), which rounds ties otherwise."""
    factors = dict(_add_factors(call))
    multiplier, shift = factors["x2"]
    return {**factors, "x2": (-multiplier, shift)}


def _sum(bits: int, factors: Factors, a: Ints, b: Ints) -> Ints:
    left = requantize(a << bits, *factors["x1"])
    return requantize(left + requantize(b << bits, *factors["x2"]), *factors["y"])


def _scale_complaint(call: Call, power: float) -> str:
    x1, x2 = call.inputs
    return (
        f"output scale {call.y.scale:g} is too small for input scales {x1.scale:g} and {x2.scale:g}; "
        f"wanted more than {power:g}"
    )


def _add_complaints(call: Call) -> Iterable[str]:
    most = 2 ** headroom(call)
    if _common_scale(call) >= call.y.scale * most:
        yield _scale_complaint(call, _common_scale(call) / most)


def _sum_samples(rng: np.random.Generator, attributes: type[Add | Sub]) -> Iterable[Sample]:
    yield from binary_samples(rng, attributes, lambda x1, x2: x1.scale + x2.scale)
    tiny, large, y = (Type((64,), DType.INT8, per_tensor(*q)) for q in ((3e-8, -128), (0.7, 127), (0.5, 3)))
    yield Sample("scales_far_apart", Call(attributes(), (tiny, large), (y,)), {})
    even, odd = Type((64,), DType.INT8, per_tensor(0.25, 0)), Type((64,), DType.INT8, per_tensor(0.5, 0))
    yield Sample("ties", Call(attributes(), (even, even), (odd,)), {})


ADD = binary_op(
    "add",
    "sum of two tensors, broadcast as numpy does, with fused activation",
    Add,
    Arithmetic(
        np.add,
        lambda call, a, b: _sum(headroom(call), _add_factors(call), a, b),
        _add_factors,
        _add_complaints,
    ),
    lambda rng: _sum_samples(rng, Add),
)

SUB = binary_op(
    "sub",
    "difference of two tensors, broadcast as numpy does, with fused activation",
    Sub,
    Arithmetic(
        np.subtract,
        lambda call, a, b: _sum(headroom(call), _sub_factors(call), a, b),
        _sub_factors,
        _add_complaints,
    ),
    lambda rng: _sum_samples(rng, Sub),
    kernels="add",
)


def _square_factors(call: Call) -> Factors:
    """Multiplier and shift of both inputs and the output (Prepare of squared_difference.cc)."""
    y = quantize_multiplier(_common_scale(call) ** 2 / (4**_SQUARE_HEADROOM * call.y.scale))
    return {**_input_factors(call), "y": y}


def _squared_difference(call: Call, a: Ints, b: Ints) -> Ints:
    factors = _square_factors(call)
    left = requantize(a << _SQUARE_HEADROOM, *factors["x1"])
    difference = left - requantize(b << _SQUARE_HEADROOM, *factors["x2"])
    return requantize(difference**2, *factors["y"])


def _square_complaints(call: Call) -> Iterable[str]:
    if _common_scale(call) ** 2 >= call.y.scale * 4**_SQUARE_HEADROOM:
        yield _scale_complaint(call, _common_scale(call) ** 2 / 4**_SQUARE_HEADROOM)


def _real_square(x1: Array, x2: Array) -> Array:
    difference: Array = x1 - x2
    return difference * difference


SQUARED_DIFFERENCE = binary_op(
    "squared_difference",
    "square of the difference of two tensors, broadcast as numpy does",
    SquaredDifference,
    Arithmetic(_real_square, _squared_difference, _square_factors, _square_complaints, int16=False),
    lambda rng: binary_samples(rng, SquaredDifference, lambda x1, x2: 128 * (x1.scale + x2.scale) ** 2),
)


def _relu_infer(_attrs: Relu, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    return [(inputs[0].shape, inputs[0].dtype)]


def _relu_check(call: Call) -> Iterable[str]:
    if call.attrs.kind is Activation.NONE:
        yield "kind is none; wanted relu, relu6 or relu_n1_to_1"
    mixed = list(quantized_or_float((("input", call.x), ("output", call.y))))
    yield from mixed
    if call.x.dtype == DType.INT16 and call.attrs.kind is Activation.RELU_N1_TO_1:
        yield "kind is relu_n1_to_1 on int16; wanted relu or relu6"
    if not mixed and call.x.quant is not None:
        yield from check_ratio(_relu_ratio(call), call.x)


def _relu_ratio(call: Call) -> float:
    # ReluPrepare of activations.cc divides the scales as floats; add and quantize divide doubles.
    return float_quotient(call.y, call.x.scale)


def _relu_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    y = values[0] if call.x.quant is None else rescaled(values[0], _relu_ratio(call), call.x, call.y)
    return [activate(y, call.attrs.kind, call.y)]


def _relu_literals(call: Call) -> Mapping[str, Literal]:
    y_min, y_max = quantized_limits(call.attrs.kind, call.y)
    return {**rescale_literals(_relu_ratio(call), call.x, call.y), "y_min": y_min, "y_max": y_max}


def _relu_samples(rng: np.random.Generator) -> Iterable[Sample]:
    for kind in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1):
        for label, ratio in (("same_scale", None), ("finer", 0.3), ("coarser", 7.7), ("far_coarser", 3e4)):
            x = _samples.int8_type(rng, (1, 4, 8, 9))
            y = x
            if ratio is not None:
                y = Type(x.shape, DType.INT8, per_tensor(x.scale * ratio, _samples.pick_zero_point(rng)))
            yield Sample(f"{kind}_{label}", Call(Relu(kind), (x,), (y,)), {})
    x = Type((256,), DType.INT8, per_tensor(6 / 255, -128))
    yield Sample("range_of_relu6", Call(Relu(Activation.RELU6), (x,), (x,)), {})
    one = _samples.int8_type(rng, ())
    yield Sample("scalar", Call(Relu(), (one,), (one,)), {})


RELU = register(
    Op(
        name="relu",
        summary="max(x, 0), its kin that also clamp above, and requantisation where the scales differ",
        attributes=Relu,
        inputs=(Port("x"),),
        infer=_relu_infer,
        check=_relu_check,
        reference=_relu_reference,
        macs=_no_macs,
        literals=_relu_literals,
        int8=QuantRule(),
        int16=QuantRule(),
        samples=_samples.with_int16(
            _relu_samples, lambda s: s.call.attrs.kind is not Activation.RELU_N1_TO_1
        ),
        updates=((0, 0),),
    )
)
