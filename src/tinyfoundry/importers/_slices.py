"""What a strided slice of TensorFlow picks: begins, ends and strides with five masks, as plain numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Shape
from tinyfoundry.ops.indexing import StridedSlice


@dataclass(frozen=True)
class Slicing:
    """A strided slice as a file has it; entry i of begin, end and stride goes with bit i of the masks.

    begin_mask, end_mask: from the first, to the last element. ellipsis_mask: the entry stands for all axes
    that the others leave. new_axis_mask: the entry is a new axis of size 1. shrink_axis_mask: the entry picks
    one element, and the axis goes. offset: ends count from the begins.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    stride: tuple[int, ...]
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


def resolve(slicing: Slicing, shape: Shape) -> tuple[StridedSlice, Shape]:
    """The slice of a tensor of ``shape``, and the shape of the result with axes added and taken away.

    Raises:
        GraphError: the entries do not fit the shape, or pick nothing.
    """
    if not len(slicing.begin) == len(slicing.end) == len(slicing.stride):
        raise GraphError(f"{slicing}; wanted as many begins, ends and strides")
    runs: list[tuple[int, int, int]] = []
    result: list[int] = []
    for entry in _entries(slicing, len(shape)):
        if entry is not None and slicing.new_axis_mask >> entry & 1:
            result.append(1)
            continue
        if len(runs) == len(shape):
            raise GraphError(f"{slicing} has entries for more axes than {shape}")
        size = shape[len(runs)]
        run = (0, size, 1) if entry is None else _run(slicing, entry, size)
        runs.append(run)
        if entry is None or not slicing.shrink_axis_mask >> entry & 1:
            result.append(run[1])
    begin, sizes, stride = zip(*runs, strict=True) if runs else ((), (), ())
    return StridedSlice(begin, sizes, stride), tuple(result)


def _entries(slicing: Slicing, rank: int) -> Iterator[int | None]:
    """The entry for each axis of input or output in turn; None where an axis is taken whole."""
    count = len(slicing.begin)
    new = sum(slicing.new_axis_mask >> entry & 1 for entry in range(count))
    ellipsis = next((entry for entry in range(count) if slicing.ellipsis_mask >> entry & 1), None)
    whole = rank - (count - new) + (ellipsis is not None)
    for entry in range(count):
        if entry == ellipsis:
            yield from (None for _ in range(whole))
        else:
            yield entry
    if ellipsis is None:
        yield from (None for _ in range(whole))


def _run(slicing: Slicing, entry: int, size: int) -> tuple[int, int, int]:
    """Begin, number of elements and stride along an axis of ``size`` elements."""
    begin, end, stride = slicing.begin[entry], slicing.end[entry], slicing.stride[entry]
    if stride == 0:
        raise GraphError("a stride is 0; the file is damaged")
    low, high = (0, size) if stride > 0 else (-1, size - 1)
    end += begin if slicing.offset else 0
    if slicing.offset and not slicing.end_mask >> entry & 1 and not -1 <= end <= size:
        # The runtime does not clamp it, and reads outside of its tensor.
        raise GraphError(f"a slice of {size} elements ends {end - begin} from {begin}; the file is damaged")
    first = min(max(begin + size if begin < 0 else begin, low), high)
    if slicing.begin_mask >> entry & 1:
        first = low if stride > 0 else high
    if slicing.shrink_axis_mask >> entry & 1:
        return first, 1, 1
    last = min(max(end + size if end < 0 else end, low), high)
    if slicing.end_mask >> entry & 1:
        last = high if stride > 0 else low
    count = -(-(last - first) // stride)
    if count < 1:
        raise GraphError(
            f"a slice from {begin} to {end} in steps of {stride} picks nothing of {size} elements"
        )
    return first, count, stride
