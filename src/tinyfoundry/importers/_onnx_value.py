"""What a tensor of an .onnx file is while its graph is translated: a tensor of ours and how it lies, or a
constant.

ONNX puts channels first, the IR last. Nothing is moved for that: a ``Value`` remembers in which order the
axes lie, ONNX's Transpose changes that memory only, and each operator asks for the order it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, permutations
from math import prod
from operator import mul

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


def refined(first: Shape, second: Shape) -> tuple[Shape, list[Shape], list[Shape]] | None:
    """The fewest axes that two shapes of as many elements both join, and the run of them that each axis of
    the first and of the second shape is; None where the two cut the elements at places that cannot go
    together. Axes of one element are runs of none.
    """
    cuts = sorted({cut for shape in (first, second) for cut in accumulate(shape, mul)} - {1})
    sizes = []
    for cut, before in zip(cuts, (1, *cuts), strict=False):
        if cut % before:
            return None
        sizes.append(cut // before)
    return tuple(sizes), _runs(first, sizes), _runs(second, sizes)


def _runs(shape: Shape, sizes: Sequence[int]) -> list[Shape]:
    runs, part = [], 0
    for size in shape:
        start, joined = part, 1
        while joined < size:
            joined *= sizes[part]
            part += 1
        runs.append(tuple(range(start, part)))
    return runs


def parts_of(value: Value, shape: Shape) -> tuple[Value, list[Shape]] | None:
    """The same tensor on the axes that its own shape and ``shape`` both join, and those of each axis of
    ``shape``; None where there are no such axes.
    """
    found = refined(value.full, shape)
    if found is None:
        return None
    sizes, own, wanted = found
    return Value(value.tensor, sizes, tuple(part for a in value.order for part in own[a]), sizes), wanted


def reshaped_axes(value: Value, shape: Shape) -> tuple[int, ...] | None:
    """Order of the axes after a reshape to ``shape`` that leaves all elements where they are: it only splits
    axes, joins neighbours, or adds and drops axes of one element. None for others.
    """
    found = parts_of(value, shape)
    if found is None:
        return None
    order, runs = found[0].order, {run[0]: (axis, run) for axis, run in enumerate(found[1]) if run}
    axes = [axis for axis, run in enumerate(found[1]) if not run]
    at = 0
    while at < len(order):
        axis, run = runs.get(order[at], (0, ()))
        if not run or order[at : at + len(run)] != run:
            return None
        axes.append(axis)
        at += len(run)
    return tuple(axes)


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


def in_two(sizes: Shape, permutation: tuple[int, ...], most: int) -> tuple[int, ...] | None:
    """A permutation to begin with, so that neither it nor the rest that is then left of ``permutation`` needs
    more than ``most`` axes.
    """
    axes = range(len(sizes))
    for first in permutations(axes):
        rest = [first.index(axis) for axis in permutation]
        stages = ((sizes, first), (tuple(sizes[axis] for axis in first), rest))
        if all(len(fewest_axes(*stage)[0]) <= most for stage in stages):
            return first
    return None


def columns(value: Value) -> Array:
    """Of a value joined to rows [N, K]: for each stored column the column of ONNX's that it is."""
    inner = value.full[1:]
    moved = np.arange(prod(inner)).reshape(inner).transpose([axis - 1 for axis in value.order[1:]])
    return moved.ravel()
