"""The larger and the smaller of two tensors, element by element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tinyfoundry.op import Call, Op, QuantRule, Sample
from tinyfoundry.ops._binary import Arithmetic, Factors, binary_op, binary_samples


@dataclass(frozen=True)
class Maximum:
    """No attributes."""


@dataclass(frozen=True)
class Minimum:
    """No attributes."""


def _no_factors(_call: Call) -> Factors:
    return {}


def _complaints(call: Call) -> Iterable[str]:
    x1, x2 = call.inputs
    if not x1.quant == x2.quant == call.y.quant:
        yield f"inputs {x1} and {x2}, output {call.y}; wanted one scale and zero point for all"


def _samples_of(rng: np.random.Generator, attributes: type[Maximum | Minimum]) -> Iterable[Sample]:
    """LiteRT compares stored values, which means something where all have one quantization."""
    for sample in binary_samples(rng, attributes, lambda x1, _x2: x1.scale):
        (x1, x2), (y,) = sample.call.inputs, sample.call.outputs
        call = Call(sample.call.attrs, (x1, replace(x2, quant=x1.quant)), (replace(y, quant=x1.quant),))
        yield replace(sample, call=call)


def _extreme(name: str, summary: str, attributes: type[Maximum | Minimum], function: np.ufunc) -> Op:
    return binary_op(
        name,
        f"{summary} of two tensors, broadcast as numpy does",
        attributes,
        Arithmetic(function, lambda _call, a, b: function(a, b), _no_factors, _complaints),
        lambda rng: _samples_of(rng, attributes),
        int8=QuantRule(shared=True),
    )


MAXIMUM = _extreme("maximum", "the larger", Maximum, np.maximum)
MINIMUM = _extreme("minimum", "the smaller", Minimum, np.minimum)
