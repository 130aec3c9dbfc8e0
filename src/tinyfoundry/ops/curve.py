"""Functions of one number that have no op of their own: gelu, erf, softplus, a clamp to any limits, ...

In int8 each is a table of 256 results, so one op serves them all: its attributes say which function it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import erf, erfc, inf, isnan, sqrt

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Call, Sample
from tinyfoundry.ops._lookup import Function, lookup_op, lookup_samples


@dataclass(frozen=True)
class Curve:
    """Attributes: the function's name in ``CURVES``, and the two numbers that some functions take."""

    function: str = "gelu"
    a: float = 0.0
    b: float = 0.0


Real = Callable[[Array, float, float], Array]

_erf, _erfc = np.vectorize(erf, otypes=[float]), np.vectorize(erfc, otypes=[float])


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, 0.0)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


CURVES: dict[str, Real] = {
    "ceil": lambda x, _a, _b: np.ceil(x),
    "celu": lambda x, a, _b: np.maximum(x, 0) + np.minimum(0, a * np.expm1(np.minimum(x, 0) / a)),
    "clamp": np.clip,
    "cos": lambda x, _a, _b: np.cos(x),
    "elu": lambda x, a, _b: _elu(x, a),
    "erf": lambda x, _a, _b: _erf(x),
    "floor": lambda x, _a, _b: np.floor(x),
    "gelu": lambda x, _a, _b: 0.5 * x * _erfc(-x * sqrt(0.5)),
    "gelu_tanh": lambda x, _a, _b: 0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "log": lambda x, _a, _b: np.log(x),
    "mish": lambda x, _a, _b: x * np.tanh(_softplus(x)),
    "neg": lambda x, _a, _b: -x,
    "power": lambda x, a, _b: np.power(x, a),
    "reciprocal": lambda x, _a, _b: 1 / x,
    "round": lambda x, _a, _b: np.rint(x),
    "selu": lambda x, a, b: b * _elu(x, a),
    "sign": lambda x, _a, _b: np.sign(x),
    "silu": lambda x, a, _b: x / (1 + np.exp(-a * x)),
    "sin": lambda x, _a, _b: np.sin(x),
    "softplus": lambda x, _a, _b: _softplus(x),
    "softsign": lambda x, _a, _b: x / (1 + np.abs(x)),
    "thresholded_relu": lambda x, a, _b: np.where(x > a, x, 0),
}
"""Name -> the function of float64 values and ``Curve``'s two numbers.

clamp: to a..b. celu, elu: a is alpha. hard_sigmoid: max(0, min(1, a * x + b)). power: x to the power a.
round: halves to even. selu: b times elu. silu: x times the logistic of a * x. thresholded_relu: 0 up to a.
gelu_tanh: the approximation of gelu by a hyperbolic tangent (Hendrycks and Gimpel, 2016).
"""


def _curve(attrs: Curve, x: Array) -> Array:
    with np.errstate(all="ignore"):  # what overflows or is none is the infinity or NaN of the formula
        y: Array = CURVES[attrs.function](x.astype(np.float64), attrs.a, attrs.b).astype(np.float32)
    return y


def _complaints(call: Call) -> Iterable[str]:
    attrs: Curve = call.attrs
    if attrs.function not in CURVES:
        yield f"function is '{attrs.function}'; wanted one of {', '.join(CURVES)}"
    elif isnan(attrs.a) or isnan(attrs.b):
        yield f"numbers are {attrs.a:g} and {attrs.b:g}; wanted no NaN"


EXAMPLES = {
    "celu": (0.5, 0.0), "clamp": (-0.7, inf), "elu": (1.0, 0.0), "hard_sigmoid": (1 / 6, 0.5),
    "power": (3.0, 0.0), "selu": (1.6732632, 1.0507009), "silu": (1.0, 0.0), "thresholded_relu": (0.3, 0.0),
}  # fmt: skip
"""Numbers of the functions that take any, for samples and tests."""


def _samples_of(rng: np.random.Generator) -> Iterable[Sample]:
    """All scales for two functions, one for each of the others: they share what surrounds the function."""
    every = [Curve(name, *EXAMPLES.get(name, ())) for name in ("gelu", "clamp")]
    yield from lookup_samples(rng, every)
    for name in sorted(CURVES.keys() - {"gelu", "clamp"}):
        coarse = list(lookup_samples(rng, [Curve(name, *EXAMPLES.get(name, ()))]))[2]
        yield Sample(name, coarse.call, {})


CURVE = lookup_op(
    "curve", f"one of {', '.join(CURVES)}", Curve, Function(_curve, complaints=_complaints), _samples_of
)
