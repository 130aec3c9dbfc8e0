"""A finished build, read back: run it on the simulated board, profile it."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyfoundry.board import Board, load_board
from tinyfoundry.errors import InputError
from tinyfoundry.fixed import stored_values
from tinyfoundry.jobs.record import counted
from tinyfoundry.report.check import faults
from tinyfoundry.simulate.firmware import face_macro, flash
from tinyfoundry.simulate.simulation import Simulation

Values = npt.NDArray[Any]


class Loaded:
    """The build in ``folder``. report: the contents of its ``report.json``.

    Raises:
        InputError: the folder is no build, or its report cannot be read.
    """

    def __init__(self, folder: str | Path, board: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.report: dict[str, Any] = _read_report(self.folder)
        self.board: Board = load_board(board or self._own_board())
        _check_faces(self.folder, self.report)
        self._simulation: Simulation | None = None

    def run(self, inputs: Sequence[Values]) -> list[Values]:
        """Outputs of one inference on the simulated board.

        inputs: one array per input, without or with the leading 1 of its shape; of its own element type
        (stored int8 values), or real values, which are quantised as the header says.

        Raises:
            InputError: number, shape or values of the inputs are wrong.
        """
        wanted = self.report["inputs"]
        if len(inputs) != len(wanted):
            raise InputError(f"build {self.folder}: {len(inputs)} inputs given, wanted {len(wanted)}")
        stored = [_stored(face, value) for face, value in zip(wanted, inputs, strict=True)]
        result = self.simulation.run(stored)
        outputs = zip(self.report["outputs"], result.outputs, strict=True)
        return [raw.view(face["dtype"]).reshape(face["shape"]) for face, raw in outputs]

    def reset(self) -> None:
        """Makes a network that remembers earlier runs forget them; nothing happens with any other."""
        self.simulation.reset()

    def _own_board(self) -> str | Path:
        """The board of the report: the user's own, which a build carries with it, or one of ours."""
        name = str(self.report["board"]["name"])
        kept = self.folder / Path(f"{name}.toml").name
        return kept if kept.is_file() else name

    @property
    def simulation(self) -> Simulation:
        """The simulated board with this build's firmware on it, booted on first use."""
        if self._simulation is None:
            firmware = flash(self.folder, self.report["model"], self.board)
            if any(layer.index >= len(self.report["layers"]) for layer in firmware.layers):
                raise InputError(
                    f"build {self.folder}: report.json has {len(self.report['layers'])} layers, "
                    "its C has more; build it again"
                )
            self._simulation = Simulation(firmware)
        return self._simulation

    def named(self, answer: Values) -> str:
        """One answer (the first output) as a line: its largest value, by class name where the build knows
        them.
        """
        real = dequantised(self.report["outputs"][0], answer).reshape(-1)
        best = int(np.argmax(real))
        classes = (self.report["confusion"] or {"classes": []})["classes"]
        name = classes[best] if best < len(classes) else str(best)
        return f"{name}  {real[best]:.4g}"

    def batch(self, path: Path) -> list[Values]:
        """The samples in an .npy file: one input, or several along a leading axis.

        Raises:
            InputError: the file cannot be read, or the model's input shape does not go into it.
        """
        if len(self.report["inputs"]) != 1:
            raise InputError(
                f"build {self.folder}: it has several inputs; use tinyfoundry.load(...).run from Python"
            )
        values, face = _read_npy(path), self.report["inputs"][0]
        shape = tuple(face["shape"])
        if values.size == np.prod(shape):
            return [values.reshape(shape)]
        if values.ndim >= 1 and len(values) and values.size == len(values) * np.prod(shape):
            return list(values.reshape(len(values), *shape))
        raise InputError(
            f"input {path}: shape {list(values.shape)}; wanted {list(shape)}, or several of them"
        )

    def profiled(self) -> dict[str, Any]:
        """The report with instructions and cycles counted anew by one inference on zeros."""
        zeros = [np.full(f["shape"], f["zero_point"] or 0, f["dtype"]) for f in self.report["inputs"]]
        self.reset()
        self.run(zeros)
        self.reset()
        return {**self.report, **counted(self.simulation.profile(), self.report["layers"])}


def dequantised(face: dict[str, Any], stored: Values) -> Values:
    """Real values of a face's stored ones."""
    if face["scale"] is None:
        return stored
    real: Values = (stored.astype(np.float64) - face["zero_point"]) * face["scale"]
    return real


def _stored(face: dict[str, Any], value: Values) -> Values:
    array, dtype = np.asarray(value), np.dtype(face["dtype"])
    if array.size != np.prod(face["shape"]):
        raise InputError(f"input '{face['name']}': shape {list(array.shape)}; wanted {face['shape']}")
    if array.dtype.kind not in "iuf":
        raise InputError(f"input '{face['name']}': elements are {array.dtype}; wanted numbers")
    if not np.isfinite(array).all():
        raise InputError(f"input '{face['name']}': holds a NaN or an infinity; wanted finite numbers")
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if face["scale"] is None:
        return _unquantised(face, array, dtype)
    limits = np.iinfo(dtype)
    stored = stored_values(array, face["scale"], face["zero_point"], limits.min, limits.max)
    return np.ascontiguousarray(stored, dtype)


def _unquantised(face: dict[str, Any], array: Values, dtype: np.dtype[Any]) -> Values:
    """Numbers that have no scale: reals, or indices, which must be whole and fit their type."""
    with np.errstate(invalid="ignore"):
        value = np.ascontiguousarray(array, dtype)
    if dtype.kind == "i" and not np.array_equal(value, array):
        raise InputError(
            f"input '{face['name']}': wanted whole numbers that {dtype} can hold, as indices are"
        )
    return value


def _read_report(folder: Path) -> dict[str, Any]:
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"build {folder}: report.json cannot be read ({reason}); wanted what build or compile wrote"
        ) from None
    damaged = faults(report)
    if damaged:
        raise InputError(
            f"build {folder}: report.json has no or a damaged {', '.join(damaged[:6])}; build it again"
        )
    return dict(report)


def _check_faces(folder: Path, report: Mapping[str, Any]) -> None:
    """InputError unless the faces of the report are those of the header."""
    path = folder / "include" / f"{report['model']}.h"
    header = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for kind in ("input", "output"):
        for index, face in enumerate(report[f"{kind}s"]):
            size = math.prod(face["shape"]) * np.dtype(face["dtype"]).itemsize
            macro = face_macro(report["model"], kind.upper(), index)
            if not re.search(rf"^#define {macro} {size}\s*$", header, re.MULTILINE) or not _is_sound(face):
                raise InputError(
                    f"build {folder}: {kind}s[{index}] of report.json is not that of include/"
                    f"{report['model']}.h; build it again"
                )


def _is_sound(face: Mapping[str, Any]) -> bool:
    scale, zero, dtype = face["scale"], face["zero_point"], np.dtype(face["dtype"])
    if scale is None or zero is None:
        return scale is zero
    return dtype.kind == "i" and bool(np.iinfo(dtype).min <= zero <= np.iinfo(dtype).max)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _read_npy(path: Path) -> Values:
    try:
        with path.open("rb") as file:
            values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, RecursionError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"input {path}: cannot be read as .npy ({reason}); write it with numpy.save"
        ) from None
    if not isinstance(values, np.ndarray):
        raise InputError(f"input {path}: is an .npz; wanted an .npy with one array")
    return values
