"""The steps of a build from data that are not their rooms' own: what is counted of the answers."""

from __future__ import annotations

import numpy as np

from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import DType, Type, per_tensor
from tinyfoundry.jobs.build import scored, stored_inputs


def answered(*classes: int) -> list[list[np.ndarray]]:
    """Answers of a network of three classes."""
    return [[np.where(np.arange(3) == each, 90, -100).astype(np.int8)] for each in classes]


def test_host_and_board_are_scored_each_by_its_own_answers() -> None:
    labels = np.array([0, 1, 2, 2])
    found = scored({"int8": answered(0, 1, 2, 2), "board": answered(0, 2, 2, 0)}, labels, ["a", "b", "c"])
    assert found["accuracy"] == {"int8": 1.0, "board": 0.5, "samples": 4}
    assert found["confusion"] == {"classes": ["a", "b", "c"], "counts": [[1, 0, 0], [0, 0, 1], [1, 0, 1]]}


def test_samples_are_stored_as_every_real_input_is() -> None:
    """In double precision: float32 takes this value for a half, and would round it to -56."""
    b, quant = Builder("net"), per_tensor(0.0026362359058, 3)
    graph = b.finish(b.apply("relu", (b.input("x", Type((1, 2), DType.INT8, quant)),), None, quant))
    ((stored,),) = stored_inputs(graph, np.array([[-0.14631109, 9.0]], np.float32))
    assert stored.dtype == np.int8
    assert stored.tolist() == [[-55 + 3, 127]]
