"""Compiles a model and holds host C, simulated board and LiteRT against the numpy reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinyfoundry

HEADER = ("inputs made + real", "bytes of output", "mismatches host / board / LiteRT")
EXECUTORS = ("host", "board", "LiteRT")


@dataclass(frozen=True)
class Proof:
    """report: of the build. certificate: of ``verify``, over inputs that were not the build's own."""

    report: Mapping[str, Any]
    certificate: Mapping[str, Any]

    @property
    def cells(self) -> list[str]:
        """What ``HEADER`` names; "-" for an executor that did not run."""
        rows = self.certificate["compared"]
        real = sum(row["inputs"] for row in rows if row["kind"] == "data")
        made = sum(row["inputs"] for row in rows) - real
        size = sum(row["bytes"] for row in rows)
        ran = [who for who in EXECUTORS if all(who in row["mismatches"] for row in rows)]
        wrong = [str(sum(row["mismatches"][who] for row in rows)) if who in ran else "-" for who in EXECUTORS]
        return [f"{made} + {real}", f"{size:,}", " / ".join(wrong)]


def prove(
    model: Path,
    board: str,
    io: str = "int8",
    calibration: Path | None = None,
    data: Path | None = None,
    samples: int = 50,
) -> Proof:
    """Compiles ``model`` for ``board`` and verifies the build on ``samples`` inputs.

    data: an .npy of real inputs; at most ``samples`` of them are taken besides.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        built = tinyfoundry.compile(model, board=board, output=out, io=io, samples=4, calibration=calibration)
        found = tinyfoundry.verify(model, built.folder, samples=samples, seed=1, data=data)
        return Proof(built.report, found.certificate)
