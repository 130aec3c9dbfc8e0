"""Products of two tensors, element by element, and the relu whose slopes are a tensor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinyfoundry.fixed import Ints, quantize_multiplier, requantize
from tinyfoundry.ir.graph import Array, DType, Type
from tinyfoundry.op import Call
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._binary import Arithmetic, Factors, binary_op, binary_samples
from tinyfoundry.ops._rescale import check_ratio, float_quotient

# Products of differences of int8 values take 17 bits; with these they still fit an int32. Those of int16
# values take 31: there the factor must be below 1.
_LARGEST_FACTOR = 2**14


@dataclass(frozen=True)
class Mul:
    """Attributes: the activation applied to the product."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Prelu:
    """No attributes: the slopes of the negative half are the second input."""


def _product_factor(call: Call) -> float:
    """What a product of stored values is multiplied by, in floats (Prepare of mul.cc, PreluPrepare)."""
    return float_quotient(call.y, *(type_.scale for type_ in call.inputs))


def _mul_factors(call: Call) -> Factors:
    return {"y": quantize_multiplier(_product_factor(call))}


def _product(call: Call, a: Ints, b: Ints) -> Ints:
    return requantize(a * b, *_mul_factors(call)["y"])


def _mul_complaints(call: Call) -> Iterable[str]:
    largest = 1 if call.x.dtype == DType.INT16 else _LARGEST_FACTOR
    if not _product_factor(call) < largest:
        x1, x2 = call.inputs
        yield (
            f"input scales {x1.scale:g} and {x2.scale:g} are too large for output scale {call.y.scale:g}; "
            f"wanted a product of less than {largest} of it"
        )


def _product_scale(x1: Type, x2: Type) -> float:
    """A scale that holds about the range of products."""
    return 64 * x1.scale * x2.scale


MUL = binary_op(
    "mul",
    "product of two tensors, broadcast as numpy does, with fused activation",
    Mul,
    Arithmetic(np.multiply, _product, _mul_factors, _mul_complaints),
    lambda rng: binary_samples(rng, Mul, _product_scale),
)


def _kept_factor(call: Call) -> float:
    """What the values of the positive half are multiplied by (PreluPrepare of activations.cc)."""
    return float_quotient(call.y, call.x.scale)


def _prelu_factors(call: Call) -> Factors:
    return {"x1": quantize_multiplier(_kept_factor(call)), **_mul_factors(call)}


def _prelu(call: Call, x: Ints, slope: Ints) -> Ints:
    return np.where(x >= 0, requantize(x, *_prelu_factors(call)["x1"]), _product(call, x, slope))


def _real_prelu(x: Array, slope: Array) -> Array:
    return np.where(x >= 0, x, x * slope)


def _prelu_complaints(call: Call) -> Iterable[str]:
    yield from check_ratio(_kept_factor(call), call.x)
    yield from _mul_complaints(call)


PRELU = binary_op(
    "prelu",
    "max(x, 0) + slope * min(x, 0), the slopes being a tensor",
    Prelu,
    Arithmetic(_real_prelu, _prelu, _prelu_factors, _prelu_complaints, int16=False),
    lambda rng: binary_samples(
        rng, Prelu, lambda x1, x2: max(x1.scale, _product_scale(x1, x2)), keeps_first=True
    ),
    keeps_first=True,
)
