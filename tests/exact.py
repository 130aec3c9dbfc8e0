"""Holds the C of a network, built for this machine, against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyfoundry.board import load_board
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.pipeline import compile_graph
from tinyfoundry.simulate.firmware import build_sources
from tinyfoundry.simulate.host import HostModel


def real_outputs(graph: Graph, sets: Sequence[Sequence[Array]], folder: Path) -> list[list[Array]]:
    """What an int8 network answers to sets of real inputs, as reals; its C gives every byte of it."""
    build = compile_graph(graph, load_board("nucleo-f446re"))
    write_files(build.files, folder)
    host, faces = HostModel(build_sources(folder, build.name)), build.graph
    ins, outs = ([faces.types[name] for name in names] for names in (faces.inputs, faces.outputs))
    found = []
    for reals in sets:
        stored = [
            np.clip(np.rint(x / t.scale) + t.zero_point, *t.dtype.limits).astype(np.int8)
            for x, t in zip(reals, ins, strict=True)
        ]
        raws, status = host.run(stored)
        meant = interpret(faces, stored)
        assert status == 0
        for raw, value in zip(raws, meant, strict=True):
            np.testing.assert_array_equal(raw, value.ravel())
        found.append([(y.astype(float) - t.zero_point) * t.scale for y, t in zip(meant, outs, strict=True)])
    return found
