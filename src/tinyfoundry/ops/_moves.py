"""What ops that move elements and compute nothing have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinyfoundry.ir.graph import DType, Shape, Type
from tinyfoundry.op import Call, Sample
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import quantized_or_float


def no_macs(_call: Call) -> int:
    """Nothing is multiplied."""
    return 0


def check_moved(call: Call) -> Iterable[str]:
    """Complaints unless the call is int8 or int16 with one quantization throughout, float32, or plain
    integers.

    Plain integers are shapes, which are computed before the network runs: no kernel moves them.
    """
    kinds = {(type_.dtype, type_.quant) for type_ in (*call.inputs, call.y)}
    if kinds in ({(DType.INT32, None)}, {(DType.INT64, None)}):
        return
    numbered = ((f"input {i}", type_) for i, type_ in enumerate(call.inputs, start=1))
    yield from quantized_or_float((*numbered, ("output", call.y)))
    for type_ in call.inputs:
        if type_.quant != call.y.quant:
            yield f"output is {call.y}; wanted the quantization of the input, {type_}"


def moved(rng: np.random.Generator, label: str, attrs: Any, shape: Shape, y_shape: Shape) -> Sample:
    """A sample of an op with one input, both sides of one random quantization."""
    x = _samples.int8_type(rng, shape)
    return Sample(label, Call(attrs, (x,), (Type(y_shape, x.dtype, x.quant),)), {})
