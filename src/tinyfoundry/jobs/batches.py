"""Inputs that are given in Python: batches of tensors or arrays, as a DataLoader of torch yields them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyfoundry.errors import DataError
from tinyfoundry.ir.graph import Array, Graph, Shape

Fit = Callable[[str, Array, Shape], Array]


@dataclass(frozen=True)
class Batches:
    """source: batches, each a tensor or array, a pair of inputs and labels, several inputs, or a dict of
    them. orders: by input of the graph, for each stored axis the axis of what the model is called with; empty
    where inputs are told by their shapes.
    """

    source: Iterable[Any]
    orders: Mapping[str, Shape] = field(default_factory=dict)

    def __str__(self) -> str:
        return GIVEN


def as_calibration(given: Any, orders: Mapping[str, Shape]) -> str | Path | Batches | None:
    """What a user calibrates with: a path as it is, batches with how the inputs of the graph lie in them."""
    return given if isinstance(given, str | Path | None) else Batches(given, orders)


GIVEN = "given in Python"
"""What a report says of them."""


def gathered(batches: Batches, graph: Graph, most: int, fit: Fit) -> list[Array]:
    """For each input of ``graph`` an array [n, *shape] of the first samples, n at most ``most``.

    fit: (where, values, shape) -> values as [n, *shape], refused with a DataError where they cannot be.
    """
    parts: list[list[Array]] = [[] for _ in graph.inputs]
    count = 0
    for number, batch in enumerate(batches.source):
        where = f"calibration, batch {number}"
        arrays = _inputs_of(batch, graph.inputs, where)
        fitted = []
        for name, array in zip(graph.inputs, arrays, strict=True):
            shape, place = graph.types[name].shape, f"{where}, {name}"
            fitted.append(fit(place, _turned(place, array, shape, batches.orders.get(name)), shape))
        if len({len(array) for array in fitted}) > 1:
            raise DataError(
                f"{where}: {[len(array) for array in fitted]} samples; wanted as many for each input"
            )
        for one, array in zip(parts, fitted, strict=True):
            one.append(array[: most - count])
        count += len(fitted[0])
        if count >= most:
            break
    if not count:
        raise DataError("calibration: found no batches; wanted at least one (a used-up iterator gives none)")
    return [np.concatenate(one) for one in parts]


def _inputs_of(batch: Any, names: Sequence[str], where: str) -> list[Array]:
    if isinstance(batch, tuple | list) and batch and isinstance(batch[0], tuple | list | Mapping):
        batch = batch[0]  # (inputs, labels)
    if isinstance(batch, Mapping):
        absent = [name for name in names if name not in batch]
        if absent:
            raise DataError(f"{where}: has no {', '.join(absent)}, only {', '.join(map(str, batch))}")
        return [_array(batch[name]) for name in names]
    given = batch if isinstance(batch, tuple | list) else [batch]
    if len(given) < len(names):
        raise DataError(
            f"{where}: {len(given)} arrays for the inputs {', '.join(names)}; wanted one for each"
        )
    return [_array(value) for value in given[: len(names)]]


def _array(value: Any) -> Array:
    """Of a tensor of torch's its values; of anything else what numpy makes of it."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())


def _turned(where: str, values: Array, stored: Shape, order: Shape | None) -> Array:
    """Values [n, …] as the model is called with, their axes as the graph stores them."""
    if order is None:
        return values
    full = tuple(stored[order.index(axis)] for axis in range(len(stored)))
    if values.shape == full[1:]:
        values = values[None]
    if values.shape[1:] != full[1:] or len(values) % full[0]:
        raise DataError(f"{where}: shape {list(values.shape)}; wanted one or several inputs of {list(full)}")
    return values.reshape(-1, *full).transpose(0, *(1 + axis for axis in order))
