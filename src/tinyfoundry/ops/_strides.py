"""Shapes and steps of tensors as the literals of kernels with four nested loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinyfoundry.ir.graph import Shape
from tinyfoundry.op import Literal


def strides(shape: Shape) -> Shape:
    """Elements between neighbours along each dimension of a dense array, the last one running fastest."""
    steps = [1]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * size)
    return tuple(reversed(steps[: len(shape)]))


def broadcast_strides(shape: Shape, onto: Shape) -> Shape:
    """``strides`` of ``shape`` when it is broadcast onto the shape ``onto``: 0 along what is repeated."""
    own = tuple(
        0 if size == 1 and wanted != 1 else step
        for size, wanted, step in zip(shape, onto[len(onto) - len(shape) :], strides(shape), strict=True)
    )
    return (0,) * (len(onto) - len(shape)) + own


def four(name: str, values: Sequence[int], missing: int) -> dict[str, Literal]:
    """``{name}_0`` to ``{name}_3``: values of up to four dimensions, ``missing`` for absent leading ones."""
    padded = (missing,) * (4 - len(values)) + tuple(values)
    return {f"{name}_{i}": value for i, value in enumerate(padded)}


def copy_literals(sizes: Sequence[int], steps: Sequence[int]) -> dict[str, Literal]:
    """``size_0`` to ``size_3``, ``x_step_0`` to ``x_step_3`` and ``x_start``: the loops of ``copy_sN.c``."""
    counts, strides = merged(sizes, steps)
    return {"x_start": 0, **four("size", counts, 1), **four("x_step", strides, 0)}


def at_most_four_loops(sizes: Sequence[int], steps: Sequence[int]) -> Iterable[str]:
    """A complaint when copying takes more nested loops than the kernels have."""
    count = len(merged(sizes, steps)[0])
    if count > 4:
        yield f"moving {tuple(sizes)} takes {count} nested loops; wanted at most 4"


def at_most_four(shape: Shape) -> Iterable[str]:
    """A complaint when there are more dimensions than the kernels have loops."""
    if len(shape) > 4:
        yield f"{len(shape)} dimensions {shape}; wanted at most 4"


def merged(sizes: Sequence[int], *steps: Sequence[int]) -> tuple[Shape, ...]:
    """``sizes`` and ``steps`` with as few dimensions as walk the same elements in the same order.

    Dimensions of size 1 go, and neighbours become one where every tensor runs through both in even steps.
    Padded in front to four dimensions, of size 1 and step 0; more than four where that does not suffice.
    """
    kept: list[tuple[int, ...]] = []
    for size, *own in zip(sizes, *steps, strict=True):
        if size == 1:
            continue
        if kept and all(outer == size * inner for outer, inner in zip(kept[-1][1:], own, strict=True)):
            kept[-1] = (kept[-1][0] * size, *own)
        else:
            kept.append((size, *own))
    missing = [(1,) + (0,) * len(steps)] * (4 - len(kept))
    return tuple(zip(*missing, *kept, strict=True))
