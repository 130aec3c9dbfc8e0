"""Quantize and dequantize: between float32 and stored values, and from one quantization to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyfoundry.fixed import clamp
from tinyfoundry.ir.graph import Array, DType, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._rescale import check_ratio, rescale_literals, rescaled

_STORED = (DType.INT8, DType.INT16)


@dataclass(frozen=True)
class Quantize:
    """Attributes: the type of the output, int8 or int16."""

    dtype: DType = DType.INT8


@dataclass(frozen=True)
class Dequantize:
    """No attributes."""


def _no_macs(_call: Call) -> int:
    return 0


def _quantized(name: str, type_: Type) -> Iterable[str]:
    if type_.dtype not in _STORED or type_.quant is None or type_.quant.per_channel:
        yield f"{name} is {type_}; wanted int8 or int16 with one scale"
    elif type_.dtype == DType.INT16 and type_.zero_point:
        yield f"{name} is {type_}; wanted zero point 0, as it is int16"


def _plain(name: str, type_: Type) -> Iterable[str]:
    if type_.dtype != DType.FLOAT32 or type_.quant is not None:
        yield f"{name} is {type_}; wanted float32"


def _quantize_infer(attrs: Quantize, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    return [(inputs[0].shape, attrs.dtype)]


def _quantize_check(call: Call) -> Iterable[str]:
    from_float = call.x.dtype == DType.FLOAT32
    faces = [*(_plain if from_float else _quantized)("input", call.x), *_quantized("output", call.y)]
    yield from faces
    if not faces and not from_float:
        yield from check_ratio(call.x.scale / call.y.scale, call.x)


def _quantize_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    """Stored values are x / scale, halves rounded away from zero, plus the zero point, limited to the type.

    The quotient is a float32, as in AffineQuantize (quantize.h). Infinities and what is too large saturate,
    and NaN becomes the zero point, as TensorFlow Lite Micro has it on Arm; elsewhere it leaves them open.
    """
    if call.x.dtype == DType.FLOAT32:
        with np.errstate(over="ignore"):
            # Limited before they become integers: no zero point brings more back into the type.
            beyond = np.float32(4 * -call.y.dtype.limits[0])
            quotient = np.clip(values[0] / np.float32(call.y.scale), -beyond, beyond)
        real = np.nan_to_num(quotient, nan=0.0).astype(np.float64)
        y = (np.sign(real) * np.floor(np.abs(real) + 0.5)).astype(np.int64) + call.y.zero_point
    else:
        y = rescaled(values[0], call.x.scale / call.y.scale, call.x, call.y)
    return [clamp(y, *call.y.dtype.limits).astype(call.y.dtype.value)]


def _quantize_literals(call: Call) -> Mapping[str, Literal]:
    if call.x.dtype == DType.FLOAT32:
        return {"elements": call.y.elements, "scale": call.y.scale, "y_zero_point": call.y.zero_point}
    return rescale_literals(call.x.scale / call.y.scale, call.x, call.y)


def _quantize_samples(rng: np.random.Generator) -> Iterable[Sample]:
    for label, shape in (("float_vector", (300,)), ("float_image", (1, 7, 6, 3)), ("float_scalar", ())):
        x = Type(shape, DType.FLOAT32)
        yield Sample(label, Call(Quantize(), (x,), (_samples.int8_type(rng, shape),)), {})
    halves = Type((200,), DType.INT8, per_tensor(0.5, -1))
    yield Sample("float_halves", Call(Quantize(), (Type((200,), DType.FLOAT32),), (halves,)), {})
    for label, ratio in (
        ("same_scale", 1.0),
        ("finer", 0.21),
        ("coarser", 9.3),
        ("double", 2.0),
        ("half", 0.5),
    ):
        x = _samples.int8_type(rng, (1, 6, 5, 7))
        y = Type(x.shape, DType.INT8, per_tensor(x.scale * ratio, _samples.pick_zero_point(rng)))
        yield Sample(label, Call(Quantize(), (x,), (y,)), {})


def _quantize_int16_samples(rng: np.random.Generator) -> Iterable[Sample]:
    """Those of int8, again to int16, and from int8 to int16 and back."""
    yield from _quantize_samples(rng)
    for sample in _quantize_samples(rng):
        x, y = sample.call.x, sample.call.y
        # LiteRT leaves open what a quotient beyond int32 becomes; the samples' inputs go to 1e6.
        fine = Type(y.shape, DType.INT16, per_tensor(max(y.scale / 256, 0.001)))
        yield Sample(f"{sample.label}_to_int16", Call(Quantize(DType.INT16), (x,), (fine,)), {})
        if x.dtype == DType.INT8:
            wide = _samples.int16_type(x)
            yield Sample(f"int16_{sample.label}", Call(Quantize(DType.INT16), (wide,), (fine,)), {})
            yield Sample(f"{sample.label}_to_int8", Call(Quantize(), (wide,), (y,)), {})


QUANTIZE = register(
    Op(
        name="quantize",
        summary="float32 to int8 or int16, or these to another scale and zero point",
        attributes=Quantize,
        inputs=(Port("x"),),
        infer=_quantize_infer,
        check=_quantize_check,
        reference=_quantize_reference,
        macs=_no_macs,
        literals=_quantize_literals,
        int8=None,
        samples=_quantize_int16_samples,
        updates=((0, 0),),
    )
)


def _dequantize_infer(_attrs: Dequantize, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    return [(inputs[0].shape, DType.FLOAT32)]


def _dequantize_check(call: Call) -> Iterable[str]:
    yield from _quantized("input", call.x)
    yield from _plain("output", call.y)


def _dequantize_reference(call: Call, values: Sequence[Array]) -> list[Array]:
    # A difference has at most 16 bits, a scale 24: a float32 multiply rounds the exact product once.
    centred = (values[0].astype(np.int32) - call.x.zero_point).astype(np.float32)
    return [centred * np.float32(call.x.scale)]


def _dequantize_literals(call: Call) -> Mapping[str, Literal]:
    return {"elements": call.y.elements, "scale": call.x.scale, "x_zero_point": call.x.zero_point}


def _dequantize_samples(rng: np.random.Generator) -> Iterable[Sample]:
    for label, shape, zero_point in (
        ("lowest_zero_point", (256,), -128),
        ("highest_zero_point", (256,), 127),
        ("image", (1, 7, 6, 3), None),
        ("scalar", (), None),
    ):
        x = _samples.int8_type(rng, shape, zero_point)
        for type_ in (x, _samples.int16_type(x)):
            kind = "" if type_ is x else "int16_"
            yield Sample(f"{kind}{label}", Call(Dequantize(), (type_,), (Type(shape, DType.FLOAT32),)), {})


DEQUANTIZE = register(
    Op(
        name="dequantize",
        summary="int8 or int16 to float32",
        attributes=Dequantize,
        inputs=(Port("x"),),
        infer=_dequantize_infer,
        check=_dequantize_check,
        reference=_dequantize_reference,
        macs=_no_macs,
        literals=_dequantize_literals,
        int8=None,
        samples=_dequantize_samples,
    )
)
