"""Sums and differences of two int8 tensors as one affine function, proved exact over all pairs of bytes.

TensorFlow Lite brings both inputs to a common scale, adds, and rescales, rounding three times. For almost all
scales there are A, B, C and S such that

    (C + (A * x1 >> 8) + (B * x2 >> 8)) >> S

gives the same byte for each of the 65,536 pairs, clamped to int8: C must lie in an interval for each pair,
and the intersection of them all is found by looking. Where it is empty for every A and B tried, there is no
such function and the exact rescalings are made at run time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Call, Literal, get_op
from tinyfoundry.ops._activation import quantized_limits
from tinyfoundry.prepared.register import Use, prepared

_BYTES = np.arange(-128, 128, dtype=np.int64)
_TRIES = 3
_LARGEST_SUM = 2**31 - 1


class _Affine(NamedTuple):
    a: int
    b: int
    c: int
    shift: int


@prepared
def affine_exact(use: Use) -> Literal:
    """1 where one affine function is the whole op, else 0."""
    return int(_found(use) is not None)


@prepared
def affine_a(use: Use) -> Literal:
    """A."""
    return _of(use).a


@prepared
def affine_b(use: Use) -> Literal:
    """B."""
    return _of(use).b


@prepared
def affine_c(use: Use) -> Literal:
    """C."""
    return _of(use).c


@prepared
def affine_shift(use: Use) -> Literal:
    """S."""
    return _of(use).shift


def _of(use: Use) -> _Affine:
    found = _found(use)
    assert found is not None  # a kernel asks under the condition affine_exact
    return found


def _found(use: Use) -> _Affine | None:
    square = tuple(replace(type_, shape=(256, 256)) for type_ in (*use.call.inputs, use.call.y))
    return _search(use.op.name, use.call.attrs, square)


@lru_cache(maxsize=256)
def _search(op: str, attrs: Any, types: tuple[Any, ...]) -> _Affine | None:
    x1, x2, y = types
    left, right = np.broadcast_to(_BYTES[:, None], (256, 256)), np.broadcast_to(_BYTES, (256, 256))
    call = Call(attrs, (x1, x2), (y,))
    (target,) = get_op(op).reference(call, [left.astype(np.int8), right.astype(np.int8)])
    sign = -1 if op == "sub" else 1
    gains = x1.scale / y.scale, sign * x2.scale / y.scale
    limits = quantized_limits(attrs.activation, y)
    for a, b, shift in _factors(gains):
        c = _offset(a, b, shift, target.astype(np.int64), limits)
        if c is not None:
            return _Affine(a, b, c, shift)
    return None


def _factors(gains: tuple[float, float]) -> Iterator[tuple[int, int, int]]:
    """Candidates (A, B, S), the most precise first."""
    # Both terms and the offset, which is of their size, must fit 31 bits, and so must A and B.
    reach = 128 * (abs(gains[0]) + abs(gains[1])) + 256
    shift = min(int(np.floor(31 - np.log2(reach))), int(np.floor(22.9 - np.log2(max(map(abs, gains))))))
    for s in range(shift, max(shift - _TRIES, 0), -1):
        a, b = (round(gain * 2.0 ** (8 + s)) for gain in gains)
        yield a, b, s
        yield from ((a + i, b + j, s) for i, j in product(range(-2, 3), repeat=2) if i or j)


def _offset(a: int, b: int, shift: int, target: Array, limits: tuple[int, int]) -> int | None:
    """A C with which A, B and S hit every target, clamped to the limits; None where there is none."""
    sums = (a * _BYTES >> 8)[:, None] + (b * _BYTES >> 8)[None, :]
    low = np.where(target > limits[0], (target << shift) - sums, -_LARGEST_SUM).max()
    high = np.where(target < limits[1], ((target + 1) << shift) - 1 - sums, _LARGEST_SUM).min()
    c = int(max(low, min(high, (int(low) + int(high)) // 2)))
    if not low <= c <= high or np.abs(sums).max() + abs(c) > _LARGEST_SUM:
        return None
    return c
