"""What ops of one tensor share that are a function of each element: in int8 a table of all 256 results.

The table is computed here, at compile time, from the exact arithmetic of the runtime; kernels only read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyfoundry.fixed import Ints
from tinyfoundry.ir.graph import Array, DType, Quantization, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import Activation, activate, int8_or_float, quantized_or_float

Real = Callable[[Any, Array], Array]
Stored = Callable[[Call, Ints], Ints]

# Results are limited to this before they become integers: no zero point brings more back into int8.
_BEYOND = 512.0


@dataclass(frozen=True)
class Wide:
    """How an int16 value becomes another: a table of all results would be too large.

    stored: (call, stored values) -> stored results, not yet limited. literals: what its kernels may ask for,
    beside ``elements``. complaints, output: as those of ``Function``.
    """

    stored: Stored
    literals: Callable[[Call], Mapping[str, Literal]]
    complaints: Callable[[Call], Iterable[str]] = lambda _call: ()
    output: Quantization | None = None


@dataclass(frozen=True)
class Function:
    """How a value becomes another.

    real: the function of the attributes and float32 values. stored: (call, stored values) -> stored results,
    not yet limited to int8; by default ``real`` of the real values, rounded. complaints: about attributes and
    scales of int8 calls. output: the one quantization that int8 outputs may have. int16: the same for int16
    values, if there is such a function of them.
    """

    real: Real
    stored: Stored | None = None
    complaints: Callable[[Call], Iterable[str]] = lambda _call: ()
    output: Quantization | None = None
    int16: Wide | None = None

    def reference(self, call: Call, values: Sequence[Array]) -> list[Array]:
        """The op's reference."""
        (x,) = values
        if call.x.quant is None:
            y = self.real(call.attrs, x)
        elif call.x.dtype == DType.INT16 and self.int16 is not None:
            y = self.int16.stored(call, x.astype(np.int64))
        elif self.stored is not None:
            y = self.stored(call, x.astype(np.int64))
        else:
            y = rounded(call, x.astype(np.int64), lambda reals: self.real(call.attrs, reals))
        return [activate(y, Activation.NONE, call.y)]

    def check(self, call: Call) -> Iterable[str]:
        """The op's check."""
        allowed = int8_or_float if self.int16 is None else quantized_or_float
        mixed = list(allowed((("input", call.x), ("output", call.y))))
        yield from mixed
        if mixed or call.y.quant is None:
            return
        meant = self.int16 if self.int16 is not None and call.x.dtype == DType.INT16 else self
        if meant.output is not None and call.y.quant != meant.output:
            (scale,), (zero,) = meant.output.scale, meant.output.zero_point
            yield f"output is {call.y}; wanted scale {scale:g} zero {zero}"
        yield from meant.complaints(call)

    def literals(self, call: Call) -> Mapping[str, Literal]:
        """What its kernels may ask for: the results of -128 to 127 (int8), how many elements there are."""
        if call.x.dtype == DType.INT16 and self.int16 is not None:
            return {**self.int16.literals(call), "elements": call.y.elements}
        [table] = self.reference(call, [np.arange(-128, 128, dtype=np.int8)])
        return {"table": table, "elements": call.y.elements}


def lookup_op(
    name: str,
    summary: str,
    attributes: type[Any],
    function: Function,
    samples: Callable[[np.random.Generator], Iterable[Sample]],
) -> Op:
    """Registers the op, which runs on the kernels that all such ops share."""
    return register(
        Op(
            name=name,
            summary=summary,
            attributes=attributes,
            inputs=(Port("x"),),
            infer=_infer,
            check=function.check,
            reference=function.reference,
            macs=lambda _call: 0,
            literals=function.literals,
            int8=QuantRule(output=function.output),
            int16=None if function.int16 is None else QuantRule(output=function.int16.output),
            samples=samples,
            updates=((0, 0),),
            kernels="lookup",
        )
    )


def _infer(_attrs: Any, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    return [(inputs[0].shape, inputs[0].dtype)]


def rounded(call: Call, x: Ints, function: Callable[[Array], Array]) -> Ints:
    """Results of a function of the real values in steps of the output, halves rounded away from 0.

    All in float32, the quotient a product with the inverse scale (LUTPopulateInt8 of internal/common.h).
    """
    with np.errstate(all="ignore"):  # what overflows is limited
        result = within_reach(function(real_values(call, x)) * (np.float32(1) / np.float32(call.y.scale)))
    return np.copysign(np.floor(np.abs(result) + 0.5), result).astype(np.int64) + call.y.zero_point


def real_values(call: Call, x: Ints) -> Array:
    """The float32 values that stored inputs stand for."""
    values: Array = np.float32(call.x.scale) * (x - call.x.zero_point).astype(np.float32)
    return values


def within_reach(steps: Array) -> Array:
    """Numbers of steps of the output, as doubles, limited to what int8 tells apart; 0 for what is none."""
    limited: Array = np.nan_to_num(np.clip(steps, -_BEYOND, _BEYOND).astype(np.float64), nan=0.0)
    return limited


def lookup_samples(
    rng: np.random.Generator,
    attributes: Sequence[Any],
    output: Quantization | None = None,
    x_zero_point: int | None = None,
) -> Iterator[Sample]:
    """Samples for each of some attributes: fine, middling and coarse input scales, equal and other outputs.

    output: the only quantization of outputs; x_zero_point: the only zero point of inputs.
    """
    for number, attrs in enumerate(attributes):
        for label, scale, ratio in (
            ("fine", 0.004, 2.3),
            ("middle", 0.047, 1.0),
            ("coarse", 0.31, 0.6),
            ("coarser", 2.7, 0.1),
        ):
            zero = _samples.pick_zero_point(rng) if x_zero_point is None else x_zero_point
            x = Type((1, 3, 9, 11), DType.INT8, per_tensor(scale * float(rng.uniform(0.7, 1.4)), zero))
            free = per_tensor(x.scale * ratio, _samples.pick_zero_point(rng))
            y = Type(x.shape, DType.INT8, output or (x.quant if ratio == 1.0 else free))
            yield Sample(f"{label}_{number}", Call(attrs, (x,), (y,)), {})
    one = _samples.int8_type(rng, (), x_zero_point)
    y = Type((), DType.INT8, output or one.quant)
    yield Sample("scalar", Call(attributes[0], (one,), (y,)), {})


def int16_samples(
    samples: _samples.Samples,
    output: Quantization | None = None,
    suits: Callable[[Sample], bool] = lambda _sample: True,
) -> _samples.Samples:
    """``samples`` in int8, then in int16 with other input scales; output: the only quantization there; suits:
    as in ``with_int16``.
    """

    def both(rng: np.random.Generator) -> Iterable[Sample]:
        for sample in _samples.with_int16(samples, suits)(rng):
            y = sample.call.y
            fixed = output is not None and y.dtype == DType.INT16
            yield replace(
                sample, call=replace(sample.call, outputs=(replace(y, quant=output) if fixed else y,))
            )

    return both
