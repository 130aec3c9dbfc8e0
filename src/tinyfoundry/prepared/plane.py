"""Terms for depthwise windows over planes (kernels/common/tinyfoundry_plane.h and tinyfoundry_line.h)."""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Literal
from tinyfoundry.prepared.register import Use, prepared
from tinyfoundry.prepared.rescale import folded_bias, largest_sums, rescaling, shifts_fit

_MOST_BYTES = 4096
"""Scratch that the planes of four channels take, unless a single pair of rows needs more."""
_LARGEST_SUM = 2**22


@prepared
def plane_line(use: Use) -> Literal:
    """Bytes of a row of a plane, padding included: a multiple of 4."""
    stride, kernel = use.number("stride_w"), use.number("kernel_w")
    # A row of the input may reach past the last window.
    widest = max(stride * use.number("out_w") + kernel - 1, use.number("pad_left") + use.number("in_w"))
    return -(-widest // 4) * 4


@prepared
def plane_rows(use: Use) -> Literal:
    """Output rows of a strip: even, and for windows of 3, done in pairs of rows, no single row is left."""
    height, line, kernel = use.number("out_h"), use.number("plane_line"), use.number("kernel_h")
    stride = use.number("stride_h")
    most = max(2, (_MOST_BYTES // (4 * line) - kernel + stride) // stride) // 2 * 2
    whole = height + height % 2
    fitting = [rows for rows in range(2, min(most, whole) + 1, 2) if height % rows != 1]
    return max(fitting, default=2)


@prepared
def plane_terms(use: Use) -> Literal:
    """int32 [channels, 8], see the header."""
    weights = 2 * _weights(use)
    first, middle, last = weights[:, :, 0], weights[:, :, 1], weights[:, :, 2]
    rounding, multiplier, right = rescaling(use, _largest(use))
    words = [
        *(_halves(first[:, row], last[:, row]) for row in range(3)),
        _halves(middle[:, 0], middle[:, 1]),
        _halves(right, middle[:, 2]),
        2 * folded_bias(use, _weights(use).sum(axis=(1, 2))),
        rounding,
        multiplier,
    ]
    return np.stack([word.astype(np.int64) for word in words], axis=1).astype(np.uint32).view(np.int32)


@prepared
def line_terms(use: Use) -> Literal:
    """int32 [channels, 4 + rows * words]: see the header."""
    weights = 2 * _weights(use)
    size = weights.shape[2]
    pairs = [(0, 2), (1, 3), (4, 4)] if size == 5 else [(0, 2), (1, 3), (4, 6), (5, 5)]
    words = [
        _halves(weights[:, row, low], weights[:, row, high] * (high != low))
        for row in range(size)
        for low, high in pairs
    ]
    bias = 2 * folded_bias(use, _weights(use).sum(axis=(1, 2)))
    table = np.stack(
        [word.astype(np.int64) for word in (bias, *words, *rescaling(use, _largest(use)))], axis=1
    )
    return table.astype(np.uint32).view(np.int32)


@prepared
def plane_exact(use: Use) -> Literal:
    """1 where planes give every byte of the reference, else 0."""
    largest = _largest(use)
    alone = use.number("kernel_h") == 3 and use.number("out_h") % use.number("plane_rows") == 1
    return int(largest.max() < _LARGEST_SUM and shifts_fit(use, largest) and not alone)


def _largest(use: Use) -> Array:
    """What the sums of each channel stay within."""
    weights = _weights(use)
    return largest_sums(use, weights.reshape(len(weights), -1))


def _weights(use: Use) -> Array:
    """[channels, rows, columns], int64."""
    weights: Array = use.constants["w"][0].transpose(2, 0, 1).astype(np.int64)
    return weights


def _halves(low: Array, high: Array) -> Array:
    words: Array = (low & 0xFFFF) | ((high & 0xFFFF) << 16)
    return words
