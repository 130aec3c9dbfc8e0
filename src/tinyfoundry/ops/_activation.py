"""Activations that an op applies to its own output ("fused"), as TensorFlow Lite does."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import clamp
from tinyfoundry.ir.graph import Array, DType, Type


class Activation(StrEnum):
    """The clamps that TensorFlow Lite can fuse."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"

    @property
    def limits(self) -> tuple[float, float]:
        """Real range that the activation clamps to."""
        return _LIMITS[self]


_LIMITS = {
    Activation.NONE: (-np.inf, np.inf),
    Activation.RELU: (0.0, np.inf),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}


def quantized_limits(activation: Activation, type_: Type) -> tuple[int, int]:
    """Stored values between which ``activation`` clamps a tensor of ``type_``.

    TensorFlow Lite's CalculateActivationRangeQuantized.
    """
    low, high = type_.dtype.limits
    lower, upper = activation.limits
    scale, zero = np.float32(type_.scale), type_.zero_point
    if np.isfinite(lower):
        low = max(low, zero + _round_half_away(np.float32(lower) / scale))
    if np.isfinite(upper):
        high = min(high, zero + _round_half_away(np.float32(upper) / scale))
    if low > high:
        raise GraphError(f"activation {activation} leaves nothing of {type_}: the scales are damaged")
    return low, high


def activate(y: Array, activation: Activation, type_: Type) -> Array:
    """``y`` clamped by ``activation``, as ``type_``; stored values in and out where that is quantized."""
    if type_.quant is None:
        return np.clip(y, *activation.limits).astype(np.float32)
    return clamp(y, *quantized_limits(activation, type_)).astype(type_.dtype.value)


def int8_or_float(types: Iterable[tuple[str, Type]]) -> Iterable[str]:
    """Complaints unless all the named tensors are per-tensor quantized int8, or all plain float32."""
    kinds = [(name, type_, type_.dtype == "float32" and type_.quant is None) for name, type_ in types]
    floats = [is_float for _, _, is_float in kinds]
    if all(floats):
        return
    for name, type_, _ in kinds:
        if type_.dtype != "int8" or type_.quant is None or type_.quant.per_channel:
            yield f"{name} is {type_}; wanted int8 with one scale, or float32 everywhere"


def quantized_or_float(types: Iterable[tuple[str, Type]]) -> Iterable[str]:
    """As ``int8_or_float``, where all may be int16 with one scale and zero point 0 too."""
    named = list(types)
    if not any(type_.dtype == DType.INT16 for _, type_ in named):
        yield from int8_or_float(named)
        return
    for name, type_ in named:
        quant = type_.quant
        if type_.dtype != DType.INT16 or quant is None or quant.per_channel or any(quant.zero_point):
            yield f"{name} is {type_}; wanted int16 with one scale and zero point 0 everywhere"


def _round_half_away(value: np.float32) -> int:
    """C's roundf; clipped so that tiny scales cannot overflow an int32."""
    magnitude = np.floor(np.abs(np.float64(value)) + 0.5)
    return int(np.copysign(min(magnitude, 2.0**30), value))
