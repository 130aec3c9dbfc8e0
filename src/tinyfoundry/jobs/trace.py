"""Finds the layer of a build at which its C begins to differ from the reference.

The build's own C is compiled anew, stopped after one of its layers and with its whole arena as the output.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyfoundry.errors import InputError
from tinyfoundry.ir.graph import Array
from tinyfoundry.jobs.measure import Raw
from tinyfoundry.pipeline import Build
from tinyfoundry.simulate.firmware import build_sources, flash
from tinyfoundry.simulate.host import HostModel
from tinyfoundry.simulate.simulation import Simulation

Inputs = Sequence[Sequence[Array]]
"""Sets of inputs, one after the other: those of the run in question are the last."""


@dataclass(frozen=True)
class Run:
    """From a folder with C to the raw bytes of its one output in the last of ``count`` runs."""

    count: int
    last: Callable[[Path], Raw]


def first_differing_layer(
    build: Build, folder: Path, run: Run, wanted: Mapping[str, Array], output: str
) -> int | None:
    """Index of a layer whose result differs although everything that it reads agrees.

    build: as planned and emitted now; folder: the build to judge. run: on the inputs that ``wanted``, the
    reference's value of every activation, belongs to. output: one that differs. None when a stopped run does
    not show the difference. Halves the range of layers until two neighbours remain.
    """
    seen: dict[int, bool] = {}

    def differs(layer: int) -> bool:
        if layer not in seen:
            seen[layer] = _differs(build, layer, _stopped(build, folder, layer, run), wanted)
        return seen[layer]

    found: int | None = None
    suspects = [layer for layer in [_layer_behind(build, output)] if layer is not None and differs(layer)]
    while suspects:
        low, found = -1, suspects[0]
        while found - low > 1:
            middle = (low + found) // 2
            low, found = (low, middle) if differs(middle) else (middle, found)
        behind = (_layer_behind(build, name) for name in build.layers[found].node.inputs)
        suspects = [layer for layer in behind if layer is not None and differs(layer)]
    return found


def value_after(build: Build, folder: Path, layer: int, run: Run, tensor: str) -> Array:
    """What the build's C holds for ``tensor`` right after ``layer``."""
    return _tensor(build, _stopped(build, folder, layer, run), tensor)


def on_board(build: Build, inputs: Inputs) -> Run:
    """Runs C on the simulated board, once for each set of inputs; the last run is stopped."""

    def run(folder: Path) -> Raw:
        simulation = Simulation(flash(folder, build.name, build.board), check_alignment=False)
        return [simulation.run(list(values)).outputs[0] for values in inputs][-1]

    return Run(len(inputs), run)


def on_host(build: Build, inputs: Inputs) -> Run:
    """The same on this machine."""

    def run(folder: Path) -> Raw:
        host = HostModel(build_sources(folder, build.name))
        return [host.run(list(values))[0][0] for values in inputs][-1]

    return Run(len(inputs), run)


def _stopped(build: Build, folder: Path, layer: int, run: Run) -> Raw:
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work)
        for part in ("include", "src"):
            shutil.copytree(folder / part, copy / part)
        name = build.name
        upper = re.escape(name.upper())
        _edit(copy / f"include/{name}.h", rf"(#define {upper}_OUTPUT_COUNT) \d+", r"\1 1")
        _edit(
            copy / f"include/{name}.h",
            rf"(#define {upper}_OUTPUT_BYTES) .*",
            rf"\1 {build.planned.arena_bytes}",
        )
        code, call = copy / f"src/{name}.c", re.escape(build.layers[layer].function)
        stop = rf"    {name}_busy = 0;\n    return 0;\n"
        if run.count > 1:  # the runs before are whole: they leave something to this one
            stop = rf"    static int runs;\n    if (++runs == {run.count}) {{\n{stop}    }}\n"
        _edit(code, rf"^    {call}\(\);\n", rf"\g<0>{stop}")
        _edit(
            code,
            rf"^int8_t \*{re.escape(name)}_output\(int index\)\n\{{\n",
            rf"\g<0>    if (index >= 0) {{\n        return {name}_arena.bytes;\n    }}\n",
        )
        return run.last(copy)


def _edit(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, text, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise InputError(f"{path.name} of the build was changed by hand; compile the model again")
    path.write_text(changed, encoding="utf-8")


def _differs(build: Build, layer: int, arena: Raw, wanted: Mapping[str, Array]) -> bool:
    names = build.layers[layer].node.outputs
    return any(not np.array_equal(_tensor(build, arena, name), wanted[name]) for name in names)


def _tensor(build: Build, arena: Raw, name: str) -> Array:
    type_, start = build.graph.types[name], build.planned.offsets[name]
    return arena[start : start + type_.bytes].view(type_.dtype.value).reshape(type_.shape)


def _layer_behind(build: Build, tensor: str) -> int | None:
    """The layer that computes a tensor, through views; None for an input or a constant."""
    layers = {layer.node.name: index for index, layer in enumerate(build.layers)}
    node = build.graph.producer(tensor)
    while node is not None and node.name not in layers:
        node = build.graph.producer(node.inputs[0])
    return None if node is None else layers[node.name]
