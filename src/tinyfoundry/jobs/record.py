"""Puts what was measured into the one record that ``report.json`` holds and the pages draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from tinyfoundry.board import Board
from tinyfoundry.ir.graph import Graph, Type
from tinyfoundry.jobs.limits import Limits
from tinyfoundry.jobs.measure import Measured
from tinyfoundry.jobs.prove import Proof
from tinyfoundry.op import call_of, get_op
from tinyfoundry.plan.explain import live_bytes, rectangles
from tinyfoundry.simulate.simulation import Profile
from tinyfoundry.simulate.toolchain import zig_version

FORMAT = 1


def record(measured: Measured, proof: Proof, limits: Limits, options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about one compiled network; ``build`` adds ``accuracy``, ``confusion``, ``search`` and
    ``data``, ``verify`` the name of its ``certificate``.
    """
    build, board = measured.build, measured.build.board
    bounds, timing, ram, flash = limits.on(board), board.core.timing, measured.ram, measured.firmware.flash
    return {
        "format": FORMAT,
        "tinyfoundry": version("tinyfoundry"),
        "model": build.name,
        "board": _board(board),
        "core": board.core.title,
        "toolchain": f"{zig_version()}, -{measured.firmware.optimize}",
        "macs": measured.macs,
        **counted(measured.profile, _layers(measured)),
        "timing": {"model": timing.name, "source": timing.source, "error": timing.error},
        "ram": {
            "arena": ram.arena, "stack": ram.stack, "static": ram.static, "total": ram.total,
            "limit": bounds.sram,
        },
        "flash": {
            "code": flash.code, "weights": flash.weights, "total": flash.total, "limit": bounds.flash,
        },
        "inputs": faces(build.graph, build.graph.inputs),
        "outputs": faces(build.graph, build.graph.outputs),
        "exact": {"inputs": proof.inputs, "mismatches": proof.mismatches, "against": list(proof.against)},
        "plan": _plan(measured),
        "certificate": None, "accuracy": None, "confusion": None, "search": None, "data": None,
        "options": dict(options),
    }  # fmt: skip


def counted(profile: Profile, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys of a report that come from counting one inference; ``layers`` with their own counts added.

    By number: a layer that the compiler finds to do nothing is no function any more, and costs nothing.
    """
    costs = {cost.index: (cost.instructions, cost.cycles) for cost in profile.layers}
    pairs = [costs.get(index, (0, 0)) for index in range(len(layers))]
    return {
        "instructions": profile.instructions,
        "cycles": profile.cycles,
        "latency_ms": profile.latency_ms,
        "outside": {"instructions": profile.outside.instructions, "cycles": profile.outside.cycles},
        "layers": [
            {**layer, "instructions": instructions, "cycles": cycles}
            for layer, (instructions, cycles) in zip(layers, pairs, strict=True)
        ],
    }


def faces(graph: Graph, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Name, type and quantization of inputs or outputs."""
    return [{"name": name, **_face(graph.types[name])} for name in names]


def _face(type_: Type) -> dict[str, Any]:
    return {
        "dtype": str(type_.dtype),
        "shape": list(type_.shape),
        "scale": None if type_.quant is None else type_.scale,
        "zero_point": None if type_.quant is None else type_.zero_point,
    }


def _board(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "title": board.title,
        "chip": board.chip,
        "clock_hz": board.clock_hz,
        "ram": board.ram_bytes,
        "flash": board.flash_bytes,
    }


def _layers(measured: Measured) -> list[dict[str, Any]]:
    build, live = measured.build, live_bytes(measured.build.planned)
    return [
        {
            "name": layer.node.name,
            "op": layer.node.op,
            "kernel": layer.kernel.name,
            "macs": get_op(layer.node.op).macs(call_of(build.graph, layer.node)),
            "live_bytes": live[layer.node.name],
        }
        for layer in build.layers
    ]


def _plan(measured: Measured) -> dict[str, Any]:
    planned = measured.build.planned
    return {
        "peak": planned.arena_bytes,
        "lower_bound": planned.lower_bound,
        "states": planned.state_bytes,
        "steps": [node.name for node in planned.graph.nodes],
        "rectangles": [
            {
                "name": r.label,
                "start": r.start,
                "end": r.end,
                "offset": r.offset,
                "size": r.size,
                "kind": r.kind,
            }
            for r in rectangles(planned)
        ],
    }
