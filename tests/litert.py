"""LiteRT as the judge in tests: the very judge that ``tinyfoundry verify`` asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinyfoundry.importers.tflite import tensor_numbers
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.litert import (
    FileJudge,
    as_unsigned,
    litert_interpreter,
    litert_judge,
    litert_run,
    unsigned,
)

__all__ = [
    "as_unsigned",
    "assert_layers_are_litert_s",
    "litert_interpreter",
    "litert_judge",
    "litert_run",
    "unsigned",
]


def assert_layers_are_litert_s(
    graph: Graph, inputs: Iterable[Sequence[Array]], model: bytes | None = None
) -> None:
    """Every layer of the reference gives LiteRT's bytes.

    model: the .tflite file that the graph was read from, which LiteRT then runs whole; else layer by layer.
    """
    judge = FileJudge(graph, model, {} if model is None else tensor_numbers(model))
    for values in inputs:
        found: dict[str, Array] = {}
        interpret(graph, values, found.__setitem__)
        for name, judged in judge.run(values).items():
            np.testing.assert_array_equal(found.get(name, judged), judged, name)
