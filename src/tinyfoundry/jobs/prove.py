"""Holds three executions of one network against each other: simulated board, host build, numpy reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyfoundry.errors import Mismatch
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.measure import Measured, Raw
from tinyfoundry.simulate.firmware import build_sources
from tinyfoundry.simulate.host import HostModel


@dataclass(frozen=True)
class Proof:
    """inputs: how many input sets were compared. mismatches: how many of them gave different bytes.

    against: what the board's outputs were compared with. host: raw bytes of each output of each input set, as
    the host build gave them.
    """

    inputs: int
    mismatches: int
    against: tuple[str, ...]
    host: tuple[tuple[Raw, ...], ...]


def prove(
    measured: Measured,
    folder: Path,
    inputs: Sequence[Sequence[Array]],
    interpreted: int,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Compares what the board answered with the host build, and for the first ``interpreted`` inputs with the
    reference. Inputs follow each other: what the network remembers is carried on, from a first run.

    Raises:
        Mismatch: how many inputs differ, and the first output and byte that do, with both values.
    """
    graph = measured.build.graph
    host, meaning = HostModel(build_sources(folder, graph.name)), Session(graph)
    complaints, answered = [], []
    for index, values in enumerate(inputs):
        answers, status = host.run(list(values))
        if status:
            raise Mismatch(f"model '{graph.name}': the host build returned {status}, the board 0; report it")
        answered.append(answers)
        others = {"the host build": answers}
        if index < interpreted:
            others["the numpy reference"] = _meaning(meaning, values)
        differing = [_difference(graph, measured.outputs[index], raw, what) for what, raw in others.items()]
        complaints += [f"input {index}, {text}" for text in differing if text][:1]
        if progress:
            progress(index + 1, len(inputs))
    if complaints:
        raise Mismatch(
            f"model '{graph.name}': {len(complaints)} of {len(inputs)} inputs differ; {complaints[0]}; "
            "report it"
        )
    reference = "the numpy reference" + ("" if interpreted >= len(inputs) else f" (first {interpreted})")
    return Proof(len(inputs), len(complaints), ("the host build", reference), tuple(answered))


def _meaning(session: Session, values: Sequence[Array]) -> tuple[Raw, ...]:
    return tuple(np.ascontiguousarray(v).reshape(-1).view(np.int8) for v in session.run(values))


def _difference(graph: Graph, board: Sequence[Raw], other: Sequence[Raw], what: str) -> str | None:
    for name, a, b in zip(graph.outputs, board, other, strict=True):
        if not np.array_equal(a, b):
            where = int(np.argmax(a != b))
            return f"output '{name}', byte {where}: the board gives {a[where]}, {what} {b[where]}"
    return None
