"""What a tensor of an .onnx file is while its graph is translated: a tensor of ours and how it lies, or a
constant.

ONNX puts channels first, the IR last. Nothing is moved for that: a ``Value`` remembers in which order the
axes lie, ONNX's Transpose changes that memory only, and each operator asks for the order it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tinyfoundry.ir.graph import Array, Quantization, Shape

REUSE, SPARE_BYTES = 8, 2**20


class Unsupported(Exception):
    """What cannot be translated; its text goes into the one list that the user gets."""


class Budget:
    """How many bytes of constants may still be made of a file: some times its own, and a few beyond.

    One array may serve many nodes, of which each gets a copy that lies as it needs it.
    """

    def __init__(self, file_bytes: int) -> None:
        self._left = REUSE * file_bytes + SPARE_BYTES

    def spend(self, array: Array) -> None:
        """Accounts for an array; Unsupported when it is too much."""
        self._left -= array.nbytes
        if self._left < 0:
            raise Unsupported(f"with constants of more than {REUSE} times the file's bytes in all")


@dataclass(frozen=True)
class Value:
    """A tensor of our graph.

    tensor: its name. full: its sizes in ONNX's order of axes. order: for each axis of the stored tensor the
    axis of ``full`` that it is. shape: ONNX's shape; not ``full`` once a Reshape has split or joined axes
    that do not lie in ONNX's order.
    """

    tensor: str
    full: Shape
    order: tuple[int, ...]
    shape: Shape

    @property
    def plain(self) -> bool:
        """Whether every stored axis is one of ONNX's."""
        return self.shape == self.full

    @property
    def stored(self) -> Shape:
        """Shape of the tensor."""
        return tuple(self.full[axis] for axis in self.order)


@dataclass(frozen=True)
class Constant:
    """Numbers known now, in ONNX's layout. quant: what turns stored integers into reals; None for plain ones.

    axis counts as ONNX does. key: name in the file, for messages and names.
    """

    array: Array
    key: str
    quant: Quantization | None = None

    def real(self) -> Array:
        """The values in float64; what is quantized is scaled."""
        values = self.array.astype(np.float64)
        if self.quant is None:
            return values
        shape = [1] * values.ndim
        if self.quant.per_channel:
            shape[self.quant.axis] = -1
        scale, zero = (np.asarray(numbers) for numbers in (self.quant.scale, self.quant.zero_point))
        result: Array = (values - zero.reshape(shape if self.quant.per_channel else ())) * (
            scale.reshape(shape if self.quant.per_channel else ())
        )
        return result


def at_rest(tensor: str, shape: Shape) -> Value:
    """A value that lies as ONNX has it."""
    return Value(tensor, shape, tuple(range(len(shape))), shape)


def channels_last(rank: int) -> tuple[int, ...]:
    """The order N H W C of ONNX's N C H W, for any number of spatial axes."""
    return (0, *range(2, rank), 1)


def same_memory(full: Shape, order: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two orders of axes put every element in the same place: axes of one element do not count."""
    return [a for a in order if full[a] > 1] == [a for a in other if full[a] > 1]


def in_order(value: Value) -> bool:
    """Whether the elements lie in ONNX's order."""
    return same_memory(value.full, value.order, range(len(value.full)))


def renamed_axes(value: Value, shape: Shape) -> tuple[int, ...] | None:
    """Order of the axes after a reshape that only adds or drops axes of one element; None for others."""
    old = [axis for axis, size in enumerate(value.full) if size > 1]
    new = [axis for axis, size in enumerate(shape) if size > 1]
    if not value.plain or [value.full[a] for a in old] != [shape[a] for a in new]:
        return None
    places = dict(zip(old, new, strict=True))
    return (
        *(axis for axis, size in enumerate(shape) if size == 1),
        *(places[axis] for axis in value.order if axis in places),
    )


def fewest_axes(sizes: Shape, permutation: Sequence[int]) -> tuple[Shape, tuple[int, ...]]:
    """The same permutation of a tensor of ``sizes`` on fewer axes: neighbours that stay so count as one."""
    runs: list[list[int]] = []
    for axis in (axis for axis in permutation if sizes[axis] > 1):
        # What lies between two axes of a run has one element.
        if runs and runs[-1][-1] < axis and all(sizes[a] == 1 for a in range(runs[-1][-1] + 1, axis)):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    before = sorted(runs)
    return tuple(prod(sizes[axis] for axis in run) for run in before), tuple(
        before.index(run) for run in runs
    )


def columns(value: Value) -> Array:
    """Of a value joined to rows [N, K]: for each stored column the column of ONNX's that it is."""
    inner = value.full[1:]
    moved = np.arange(prod(inner)).reshape(inner).transpose([axis - 1 for axis in value.order[1:]])
    return moved.ravel()
