"""Weights and terms for tiles of 4 pixels x 2 output channels (kernels/common/tinyfoundry_tile.h).

A word of weights holds output channels n0 and n1 for two inputs k0 and k1 of a window, each half being
256 * n1 + n0: one multiply-accumulate of halves then gives 256 * sum1 + sum0, another one, of the low bytes,
sum0. That is exact while every sum stays within 23 bits, which ``tile_exact`` proves from the weights.
"""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Literal
from tinyfoundry.prepared.register import Use, prepared
from tinyfoundry.prepared.rescale import folded_bias, largest_sums, rescaling, shifts_fit

_LARGEST_SUM = 2**23


@prepared
def tile_pairs(use: Use) -> Literal:
    """Words of weights of one pair of output channels."""
    return len(_order(use))


def _weights(use: Use) -> Array:
    """int32 [out_c / 2, tile_pairs]: see the module; an odd last channel is paired with zeros."""
    weights = _rows(use)
    if len(weights) % 2:
        weights = np.vstack([weights, np.zeros_like(weights[:1])])
    order = _order(use)
    padded = np.hstack([weights, np.zeros_like(weights[:, :1])])  # index -1 is a zero
    halves = padded[0::2][:, order] + 256 * padded[1::2][:, order]
    words: Array = (halves[..., 0] & 0xFFFF) | ((halves[..., 1] & 0xFFFF) << 16)
    signed: Array = words.astype(np.uint32).view(np.int32)
    return signed


def _terms(use: Use) -> Array:
    """int32 [out_c / 2, 8]: 256 * bias1 + bias0, bias0, then rounding term, multiplier and right shift of
    both channels.

    The biases hold what the input's zero point adds to a sum; the rounding term is half a step of the result
    and the output's zero point, both before the shift.
    """
    bias, terms = _bias(use), np.stack(rescaling(use, _largest(use)), axis=1)
    if len(bias) % 2:
        bias, terms = np.append(bias, 0), np.vstack([terms, terms[:1]])
    both = bias[0::2] + 256 * bias[1::2]
    table: Array = np.hstack([both[:, None], bias[0::2, None], terms[0::2], terms[1::2]]).astype(np.int32)
    return table


@prepared
def tile_stream(use: Use) -> Literal:
    """int32 [out_c / 2, tile_pairs + 8]: biases, weights, the other terms, as they are used."""
    words, terms = _weights(use), _terms(use)
    return np.hstack([terms[:, :2], words, terms[:, 2:]])


@prepared
def rows_pairs(use: Use) -> Literal:
    """Words of inputs of a dense layer, filled up with zeros to a multiple of 4."""
    return -(-len(_order(use)) // 4) * 4


@prepared
def rows_weights(use: Use) -> Literal:
    """int32 [out_c / 8, rows_pairs, 4]: the words of ``tile_stream``, four pairs of channels together."""
    words = _weights(use)
    padding = -len(words) % 4, use.number("rows_pairs") - words.shape[1]
    padded = np.pad(words, ((0, padding[0]), (0, padding[1])))
    return np.ascontiguousarray(padded.reshape(-1, 4, padded.shape[1]).transpose(0, 2, 1))


@prepared
def rows_terms(use: Use) -> Literal:
    """The terms, filled up with zeros to a multiple of four pairs of channels."""
    terms = _terms(use)
    return np.pad(terms, ((0, -len(terms) % 4), (0, 0)))


@prepared
def tile_exact(use: Use) -> Literal:
    """1 where tiles give every byte of the reference, else 0."""
    largest = _largest(use)
    return int(largest.max() < _LARGEST_SUM and _rows(use).min() > -128 and shifts_fit(use, largest))


def _rows(use: Use) -> Array:
    """Weights [out_c, inputs of a window], int64."""
    weights = use.constants["w"]
    return weights.reshape(len(weights), -1).astype(np.int64)


def _bias(use: Use) -> Array:
    return folded_bias(use, _rows(use).sum(axis=1))


def _largest(use: Use) -> Array:
    """What the sums of each channel stay within."""
    return largest_sums(use, _rows(use))


def _order(use: Use) -> Array:
    """[tile_pairs, 2]: which inputs of the window, row after row, share a word; -1 where there is none.

    As the kernel widens them: inputs 4i, 4i + 2 and 4i + 1, 4i + 3 of each row of the window; of a rest of 3
    the first and third share a word, of 2 both.
    """
    shape = use.constants["w"].shape
    rows, length = (1, shape[1]) if len(shape) == 2 else (shape[1], shape[2] * shape[3])
    rest = {0: [], 1: [(0, -1)], 2: [(0, 1)], 3: [(0, 2), (1, -1)]}
    row = [(i + a, i + a + 2) for i in range(0, length - 3, 4) for a in (0, 1)]
    end = length - length % 4
    row += [(end + a, end + b if b >= 0 else -1) for a, b in rest[length % 4]]
    words = [[k if k < 0 else k + r * length for k in pair] for r in range(rows) for pair in row]
    return np.array(words)
