"""Holds a finished build against its model: host C, simulated board, LiteRT and the numpy reference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tinyfoundry.errors import InputError, ModelError, OptionError
from tinyfoundry.importers.tflite import tensor_numbers
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.jobs.assemble import write_report
from tinyfoundry.jobs.batches import GIVEN
from tinyfoundry.jobs.calibration import is_quantised, to_quantised
from tinyfoundry.jobs.importing import load_model
from tinyfoundry.jobs.limits import arena_bytes
from tinyfoundry.jobs.litert import FileJudge, litert_version
from tinyfoundry.jobs.loaded import Loaded
from tinyfoundry.jobs.measure import Raw
from tinyfoundry.jobs.probes import Sets, probes
from tinyfoundry.jobs.progress import Progress
from tinyfoundry.jobs.record import faces
from tinyfoundry.jobs.trace import first_differing_layer, on_board, on_host, value_after
from tinyfoundry.jobs.workspace import adopt, replace_file
from tinyfoundry.passes.faces import stored_faces
from tinyfoundry.passes.post_training import PostTraining
from tinyfoundry.pipeline import Build, Options, compile_graph
from tinyfoundry.simulate.firmware import build_sources
from tinyfoundry.simulate.host import HostModel
from tinyfoundry.simulate.toolchain import zig_version

CERTIFICATE = "certificate.json"
HOST, BOARD, LITERT = "host", "board", "LiteRT"

Values = Mapping[str, Array]


@dataclass(frozen=True)
class Verification:
    """exact: everything agreed. certificate: what ``certificate.json`` in the build holds."""

    exact: bool
    certificate: Mapping[str, Any]


@dataclass(frozen=True)
class _Pair:
    """The model read again, and the build it is held against. graph: before the passes, with the build's
    faces.
    """

    path: Path
    graph: Graph
    build: Build
    loaded: Loaded

    @property
    def folder(self) -> Path:
        return self.loaded.folder


def verify_build(
    model: str | Path,
    folder: str | Path,
    samples: int,
    data: str | Path | None,
    seed: int,
    progress: Progress,
) -> Verification:
    """See ``api.verify``."""
    if samples < 1 or seed < 0:
        raise OptionError(f"--samples {samples} --seed {seed}: wanted at least 1 and 0")
    pair = _pair(Path(model), Loaded(folder), progress)
    sets = probes(pair.build.graph, samples, seed, data)
    judge, note = _judge(pair, next(iter(sets.values()))[0])
    comparison = _Comparison(pair, judge)
    rows, total = [], sum(map(len, sets.values()))
    for kind, inputs in sets.items():
        rows.append(comparison.row(kind, inputs))
        progress("verify", sum(row["inputs"] for row in rows), total)
    record = {
        "format": 1,
        "exact": not comparison.differences,
        "model": {"file": pair.path.name, "sha256": _digest([pair.path])},
        "build": _described(pair),
        "options": {"samples": samples, "seed": seed, "data": None if data is None else str(data)},
        "compared": rows,
        "corrected": {} if judge is None else judge.corrected,
        "differences": list(comparison.differences.values()),
        "notes": [note] if note else [],
        "versions": {
            "tinyfoundry": version("tinyfoundry"), "toolchain": zig_version(), "numpy": version("numpy"),
            "ai-edge-litert": litert_version(),
        },
    }  # fmt: skip
    _keep(record, pair.loaded)
    return Verification(bool(record["exact"]), record)


def _keep(certificate: Mapping[str, Any], loaded: Loaded) -> None:
    """Puts the certificate into the build, and into its report."""
    replace_file(loaded.folder / CERTIFICATE, json.dumps(certificate, indent=1, allow_nan=False) + "\n")
    adopt(loaded.folder, CERTIFICATE)
    write_report({**loaded.report, "certificate": CERTIFICATE}, loaded.folder, certificate)


def _pair(path: Path, loaded: Loaded, progress: Progress) -> _Pair:
    """InputError unless ``path`` compiles to a network with the faces and layers of the build."""
    report = loaded.report
    found = report.get("options")
    options: dict[str, Any] = found if isinstance(found, dict) else {}
    float_faces = options.get("io") == "float"
    if options.get("calibration") == GIVEN:
        raise InputError(
            f"build {loaded.folder}: was calibrated with data {GIVEN}, which are gone; compile it with "
            "the samples in an .npy, and verify that build"
        )
    seed = options.get("seed")
    graph = load_model(path)
    if not is_quantised(graph):
        steps, how = partial(progress, "calibrate"), PostTraining.recorded(options)
        number = seed if isinstance(seed, int) else 0
        graph, _ = to_quantised(graph, options.get("calibration"), float_faces, number, steps, how)
    graph = replace(graph if float_faces else stored_faces(graph), name=str(report["model"]))
    ram = options.get("ram")
    arena = arena_bytes(ram if isinstance(ram, int) else None, loaded.board)
    build = compile_graph(graph, loaded.board, Options(float_faces=float_faces, arena_bytes=arena))
    layers = [(layer.node.name, layer.node.op) for layer in build.layers]
    theirs = [(layer.get("name"), layer.get("op")) for layer in report["layers"]]
    same = build.name == report["model"] and layers == theirs
    for key, names in (("inputs", build.graph.inputs), ("outputs", build.graph.outputs)):
        same = same and faces(build.graph, names) == report[key]
    if not same:
        raise InputError(
            f"build {loaded.folder}: was not made from {path.name} by this version: its report has "
            f"{len(theirs)} layers, the model {len(layers)}, or their names, ops or faces differ; give "
            "its own model, or compile it again"
        )
    return _Pair(path, graph, build, loaded)


def _judge(pair: _Pair, first: Sequence[Array]) -> tuple[FileJudge | None, str]:
    """LiteRT, and what there is to say of it; tried on one set of inputs."""
    if litert_version() is None:
        return None, "LiteRT did not judge: ai-edge-litert is absent; pip install 'tinyfoundry[litert]'"
    data = pair.path.read_bytes()
    own = data[4:8] == b"TFL3" and is_quantised(load_model(pair.path))
    try:
        judge = FileJudge(pair.graph, data if own else None, tensor_numbers(data) if own else {})
        judge.run(first)
    except (ModelError, RuntimeError, ValueError) as error:
        return None, f"LiteRT did not judge: {' '.join(str(error).split())[:300]}"
    judge.corrected.clear()
    return judge, "" if own else "LiteRT judged layer by layer: the model is no int8 or int16 .tflite file"


class _Comparison:
    """Runs every executor on the same inputs. differences: the first of each executor, traced to a layer."""

    def __init__(self, pair: _Pair, judge: FileJudge | None) -> None:
        self._pair = pair
        self._judge = judge
        self._session = Session(pair.graph)
        # What the run in question depends on: all inputs since a reset where the network remembers.
        self._history: list[Sequence[Array]] = []
        self._host = HostModel(build_sources(pair.folder, pair.build.name))
        self.differences: dict[str, dict[str, Any]] = {}

    def row(self, kind: str, inputs: Sets) -> dict[str, Any]:
        """Inputs and bytes of one kind, and how many of the bytes each executor gives otherwise.

        A network that remembers starts each kind anew and sees its inputs one after the other.
        """
        self._forget()
        wrong = dict.fromkeys((HOST, BOARD, *([LITERT] if self._judge else [])), 0)
        size = 0
        for index, values in enumerate(inputs):
            self._history = [*(self._history if self._pair.graph.states else ()), values]
            reference = _observed(self._session, values)
            size += sum(reference[name].nbytes for name in self._pair.graph.outputs)
            for who, count in self._one(f"{kind} {index}", values, reference).items():
                wrong[who] += count
        return {"kind": kind, "inputs": len(inputs), "bytes": size, "mismatches": wrong}

    def _forget(self) -> None:
        self._history = []
        self._session.reset()
        self._host.reset()
        self._pair.loaded.reset()
        if self._judge:
            self._judge.reset()

    def _one(self, where: str, inputs: Sequence[Array], reference: Values) -> dict[str, int]:
        """Bytes that differ, by executor; a first difference is traced."""
        names, answers = self._pair.graph.outputs, {}
        answers[HOST] = self._answer(HOST, *self._host.run(list(inputs)))
        result = self._pair.loaded.simulation.run(list(inputs))
        answers[BOARD] = self._answer(BOARD, result.outputs, result.status)
        judged = self._judge.run(inputs) if self._judge else {}
        if judged:
            answers[LITERT] = [_raw(judged[name]) for name in names]
        wrong = {}
        for who, raws in answers.items():
            counts = [int((a != _raw(reference[n])).sum()) for a, n in zip(raws, names, strict=True)]
            wrong[who] = sum(counts)
            if wrong[who] and who not in self.differences:
                output = names[int(np.flatnonzero(counts)[0])]
                at = (
                    _first_judged(self._pair.graph, reference, judged)
                    if who == LITERT
                    else self._traced(who, output)
                )
                self.differences[who] = {"executor": who, "input": where, "output": output, **at}
        return wrong

    def _answer(self, who: str, raws: Sequence[Raw], status: int) -> Sequence[Raw]:
        if status:
            name = self._pair.build.name
            raise InputError(
                f"build {self._pair.folder}: {name}_run returned {status} on the {who}, wanted 0"
            )
        return raws

    def _traced(self, who: str, output: str) -> dict[str, Any]:
        build, folder = self._pair.build, self._pair.folder
        session = Session(build.graph)  # as compiled: some tensors have fewer channels than in the model
        reference = [_observed(session, values) for values in self._history][-1]
        run = on_board(build, self._history) if who == BOARD else on_host(build, self._history)
        try:
            layer = first_differing_layer(build, folder, run, reference, output)
        except InputError:  # the C was changed so much that it cannot be stopped between layers
            layer = None
        if layer is None:
            return {"layer": None, "op": None}
        node = build.layers[layer].node
        found = {name: value_after(build, folder, layer, run, name) for name in node.outputs}
        return _placed(node.name, node.op, reference, found)


def _observed(session: Session, inputs: Sequence[Array]) -> Values:
    """The reference's value of every activation."""
    values: dict[str, Array] = {}
    session.run(inputs, values.__setitem__)
    return values


def _first_judged(graph: Graph, reference: Values, judged: Values) -> dict[str, Any]:
    for node in graph.nodes:
        if any(not np.array_equal(reference[name], judged[name]) for name in node.outputs):
            return _placed(node.name, node.op, reference, {name: judged[name] for name in node.outputs})
    return {"layer": None, "op": None}


def _placed(layer: str, op: str, reference: Values, found: Values) -> dict[str, Any]:
    """The first element of a layer's outputs that differs, with both values, and how many do."""
    name = next(n for n, value in found.items() if not np.array_equal(value, reference[n]))
    unequal = found[name] != reference[name]
    index = tuple(int(axis) for axis in np.argwhere(unequal)[0])
    return {
        "layer": layer, "op": op, "tensor": name, "index": list(index), "found": found[name][index].item(),
        "reference": reference[name][index].item(), "elements": int(unequal.sum()),
    }  # fmt: skip


def _raw(value: Array) -> Raw:
    return np.ascontiguousarray(value).reshape(-1).view(np.int8)


def _described(pair: _Pair) -> dict[str, Any]:
    """The build; changed: its C files that are not what MODEL gives."""
    files = sorted(path for part in ("include", "src") for path in (pair.folder / part).rglob("*.[ch]"))
    wanted = pair.build.files
    named = {path.relative_to(pair.folder).as_posix(): path for path in files}
    texts = {name: path.read_text(encoding="utf-8", errors="replace") for name, path in named.items()}
    changed = [name for name, text in texts.items() if text != wanted.get(name)]
    return {
        "model": pair.build.name, "board": pair.loaded.board.name,
        "sha256": _digest(files, pair.folder), "changed": changed,
    }  # fmt: skip


def _digest(files: Sequence[Path], base: Path | None = None) -> str:
    """SHA-256 of a file; with ``base``, of several and of their names below it."""
    total = hashlib.sha256()
    for path in files:
        if base is not None:
            total.update(f"{path.relative_to(base).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest() if base else path.read_bytes())
    return total.hexdigest()
