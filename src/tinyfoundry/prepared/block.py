"""What kernels that work on blocks of pixels and channels ask for."""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Literal
from tinyfoundry.prepared.register import Use, prepared
from tinyfoundry.prepared.rescale import folded_bias


@prepared
def block_bias(use: Use) -> Literal:
    """int32 [out_c]: the bias with what the input's zero point adds to a sum."""
    return _bias(use).astype(np.int32)


@prepared
def block_exact(use: Use) -> Literal:
    """1 where no sum that begins with ``block_bias`` can leave 32 bits, else 0."""
    weights = np.abs(_rows(use)).sum(axis=1)
    return int((np.abs(_bias(use)) + 128 * weights).max() < 2**31)


def _rows(use: Use) -> Array:
    weights = use.constants["w"].astype(np.int64)
    return weights.reshape(len(weights), -1)


def _bias(use: Use) -> Array:
    return folded_bias(use, _rows(use).sum(axis=1))
