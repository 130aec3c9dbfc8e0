"""Holds every layer of a network against LiteRT, not only its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinyfoundry.importers.tflite import tensor_numbers
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.litert import FileJudge


def assert_layers_are_litert_s(
    graph: Graph, inputs: Iterable[Sequence[Array]], model: bytes | None = None
) -> None:
    """Every layer of the reference gives LiteRT's bytes.

    model: the .tflite file that the graph was read from, which LiteRT then runs whole; else layer by layer.
    """
    judge = FileJudge(graph, model, {} if model is None else tensor_numbers(model))
    session = Session(graph)
    for values in inputs:
        found: dict[str, Array] = {}
        session.run(values, found.__setitem__)
        judged = judge.run(values)
        for node in graph.nodes:
            for name in node.outputs:
                np.testing.assert_array_equal(found[name], judged[name], f"{node.name} ({node.op})")
