"""What ops of two tensors share that treat each pair of elements by itself, broadcast as numpy does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import Ints
from tinyfoundry.ir.graph import Array, DType, Shape, Type, per_tensor
from tinyfoundry.op import Call, Literal, Op, Port, QuantRule, Sample, register
from tinyfoundry.ops import _samples
from tinyfoundry.ops._activation import (
    Activation,
    activate,
    int8_or_float,
    quantized_limits,
    quantized_or_float,
)
from tinyfoundry.ops._strides import broadcast_strides, merged

Factors = Mapping[str, tuple[int, int]]
ScaleOf = Callable[[Type, Type], float]

SHAPES: tuple[tuple[str, Shape, Shape], ...] = (
    ("one_element", (1,), (1,)),
    ("image", (1, 5, 4, 3), (1, 5, 4, 3)),
    ("five_dimensions", (2, 1, 3, 2, 2), (2, 1, 3, 2, 2)),
    ("scalar_right", (1, 3, 4, 5), ()),
    ("one_left", (1, 1, 1, 1), (1, 3, 4, 5)),
    ("per_channel", (2, 3, 2, 7), (7,)),
    ("per_row", (2, 3, 1, 1), (2, 3, 4, 5)),
    ("inner_two", (4, 3, 2), (3, 1)),
    ("both_repeat", (4, 1, 3, 1), (5, 1, 6)),
    ("plane", (6, 5), (1, 5)),
    ("excite", (1, 4, 3, 6), (1, 1, 1, 6)),
)


@dataclass(frozen=True)
class Arithmetic:
    """How two values become one.

    real: in float32. stored: from a call and int8 values less their zero points, the output's value less its
    own. factors: the multipliers and shifts that this takes, by name, for the kernels. complaints: about
    scales that ``stored`` cannot work with. int16: whether it works with int16 values too.
    """

    real: Callable[[Array, Array], Array]
    stored: Callable[[Call, Ints, Ints], Ints]
    factors: Callable[[Call], Factors]
    complaints: Callable[[Call], Iterable[str]]
    int16: bool = True

    def reference(self, call: Call, values: Sequence[Array]) -> list[Array]:
        """The op's reference."""
        if call.x.quant is None:
            return [activate(self.real(*values), _activation(call), call.y)]
        pairs = zip(values, call.inputs, strict=True)
        centred = [value.astype(np.int64) - type_.zero_point for value, type_ in pairs]
        y = self.stored(call, *centred) + call.y.zero_point
        return [activate(y, _activation(call), call.y)]

    def check(self, call: Call) -> Iterable[str]:
        """The op's check."""
        mixed = list(_types(call, self.int16))
        yield from mixed
        if not mixed and call.y.quant is not None:
            yield from self.complaints(call)


def binary_op(
    name: str,
    summary: str,
    attributes: type[Any],
    arithmetic: Arithmetic,
    samples: Callable[[np.random.Generator], Iterable[Sample]],
    *,
    int8: QuantRule | None = None,
    kernels: str = "",
    keeps_first: bool = False,
) -> Op:
    """Registers the op. keeps_first: only the second input may be repeated. kernels: as in ``Op``.

    Its kernels may ask for ``size``, ``x1_step`` and ``x2_step`` (see ``tinyfoundry_pairs.h``), the zero
    points, the limits ``y_min`` and ``y_max``, and a multiplier and shift for each of the factors.
    """
    return register(
        Op(
            name=name,
            summary=summary,
            attributes=attributes,
            inputs=(Port("x1"), Port("x2")),
            infer=_infer_kept if keeps_first else _infer,
            check=arithmetic.check,
            reference=arithmetic.reference,
            macs=lambda _call: 0,
            literals=lambda call: _literals(call, arithmetic.factors(call)),
            int8=int8 or QuantRule(),
            int16=(int8 or QuantRule()) if arithmetic.int16 else None,
            samples=_samples.with_int16(samples) if arithmetic.int16 else samples,
            # A repeated input has another shape than the output, and the planner leaves it alone.
            updates=((0, 0), (1, 0)),
            kernels=kernels,
        )
    )


def _activation(call: Call) -> Activation:
    return getattr(call.attrs, "activation", Activation.NONE)


def _infer(_attrs: Any, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x1, x2 = inputs
    try:
        return [(np.broadcast_shapes(x1.shape, x2.shape), x1.dtype)]
    except ValueError:
        raise GraphError(
            f"inputs {x1.shape} and {x2.shape}; wanted equal sizes, or 1 where they differ"
        ) from None


def _infer_kept(attrs: Any, inputs: tuple[Type, ...]) -> list[tuple[Shape, DType]]:
    x1, x2 = inputs
    [(shape, dtype)] = _infer(attrs, inputs)
    if shape != x1.shape:
        raise GraphError(f"inputs {x1.shape} and {x2.shape}; wanted a second that repeats to the first's")
    return [(shape, dtype)]


def _walk(call: Call) -> tuple[Shape, ...]:
    """The output's sizes and both inputs' steps, in as few dimensions as will do."""
    return merged(call.y.shape, *(broadcast_strides(x.shape, call.y.shape) for x in call.inputs))


def headroom(call: Call) -> int:
    """Bits that sums shift differences to the zero points left by: 9 + 20 bits, and 16 + 15, and the sum of
    two after it was halved, fit an int32 (Prepare of add.cc).
    """
    return 15 if call.x.dtype == DType.INT16 else 20


def _types(call: Call, int16: bool) -> Iterable[str]:
    x1, x2 = call.inputs
    allowed = quantized_or_float if int16 else int8_or_float
    yield from allowed((("input 1", x1), ("input 2", x2), ("output", call.y)))
    loops = len(_walk(call)[0])
    if loops > 4:
        yield f"inputs {x1.shape} and {x2.shape} repeat in {loops} dimensions by turns; wanted at most 4"


def _literals(call: Call, factors: Factors) -> Mapping[str, Literal]:
    x1, x2 = call.inputs
    size, x1_step, x2_step = _walk(call)
    y_min, y_max = quantized_limits(_activation(call), call.y)
    literals: dict[str, Literal] = {
        "same_shape": int(x1.shape == x2.shape),
        "elements": call.y.elements,
        "size": size,
        "x1_step": x1_step,
        "x2_step": x2_step,
        "x1_zero_point": x1.zero_point,
        "x2_zero_point": x2.zero_point,
        "y_zero_point": call.y.zero_point,
        "y_min": y_min,
        "y_max": y_max,
        "headroom": headroom(call),
    }
    for name, (multiplier, shift) in factors.items():
        literals |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
    return literals


def shape_cases(rng: np.random.Generator, *, keeps_first: bool = False) -> Iterator[tuple[str, Shape, Shape]]:
    """(label, shapes of both inputs): the corners of broadcasting, then random ones; as in ``binary_op``."""
    for label, left, right in SHAPES:
        if not keeps_first or np.broadcast_shapes(left, right) == left:
            yield label, left, right
    for i in range(4):
        shape = tuple(int(size) for size in rng.integers(1, 7, 4))
        kept = tuple(int(size) for size in np.where(rng.random(4) < 0.5, shape, 1))
        yield f"random_{i}", shape, kept if i % 2 else shape


def binary_sample(
    rng: np.random.Generator, label: str, attrs: Any, shapes: tuple[Shape, Shape], scale_of: ScaleOf
) -> Sample:
    """A sample, its output scale by ``scale_of`` from its inputs' types; per-channel terms are constant."""
    x1, x2 = (_samples.int8_type(rng, shape) for shape in shapes)
    scale = scale_of(x1, x2) * float(rng.uniform(0.5, 1.2))
    y = Type(np.broadcast_shapes(*shapes), DType.INT8, per_tensor(scale, _samples.pick_zero_point(rng)))
    constants = {1: rng.integers(-128, 128, shapes[1]).astype(np.int8)} if label == "per_channel" else {}
    return Sample(label, Call(attrs, (x1, x2), (y,)), constants)


def binary_samples(
    rng: np.random.Generator, attributes: type[Any], scale_of: ScaleOf, *, keeps_first: bool = False
) -> Iterator[Sample]:
    """Samples of every shape, and of results that saturate and vanish."""

    def attrs() -> Any:
        fused = "activation" in attributes.__dataclass_fields__
        return attributes(_samples.pick_activation(rng)) if fused else attributes()

    for label, left, right in shape_cases(rng, keeps_first=keeps_first):
        yield binary_sample(rng, label, attrs(), (left, right), scale_of)
    for label, share in (("results_saturate", 0.1), ("results_vanish", 1000.0)):

        def shrunk(x1: Type, x2: Type, share: float = share) -> float:
            return share * scale_of(x1, x2)

        yield binary_sample(rng, label, attrs(), ((40,), (40,)), shrunk)
