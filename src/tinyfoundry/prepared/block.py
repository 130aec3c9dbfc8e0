"""What kernels that work on blocks of pixels and channels ask for."""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.op import Literal
from tinyfoundry.prepared.register import Use, prepared
from tinyfoundry.prepared.rescale import folded_bias, largest_sums


@prepared
def block_bias(use: Use) -> Literal:
    """int32 [out_c]: the bias with what the input's zero point adds to a sum."""
    return folded_bias(use, _rows(use).sum(axis=1)).astype(np.int32)


@prepared
def block_exact(use: Use) -> Literal:
    """1 where no sum that begins with ``block_bias`` can leave 32 bits, else 0."""
    return int(largest_sums(use, _rows(use)).max() < 2**31)


def _rows(use: Use) -> Array:
    weights = use.constants["w"].astype(np.int64)
    return weights.reshape(len(weights), -1)
