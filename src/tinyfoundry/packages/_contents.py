"""What every package is made of: the files of a finished build, its golden samples, its numbers."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyfoundry.errors import InputError
from tinyfoundry.jobs.loaded import Loaded
from tinyfoundry.simulate.firmware import build_sources

Values = npt.NDArray[Any]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True)
class About:
    """What the one who publishes a package says of it. version: MAJOR.MINOR.PATCH; url: None where it has no
    page.
    """

    version: str = "1.0.0"
    author: str = "tinyfoundry"
    url: str | None = None


@dataclass(frozen=True)
class Contents:
    """One build, read.

    header, sources: file name -> text of ``include/NAME.h``, and of what lies in ``src/``.
    inputs, outputs: for each face of the model, its golden values, one row a sample.
    """

    name: str
    about: About
    header: str
    sources: Mapping[str, str]
    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...]
    report: Mapping[str, Any]

    @property
    def samples(self) -> int:
        """How many golden samples there are."""
        return len(self.inputs[0])

    @property
    def compiled(self) -> tuple[str, ...]:
        """The names of the C files of the library."""
        return tuple(name for name in self.sources if name.endswith(".c"))

    @property
    def remembers(self) -> bool:
        """Whether runs of the model leave something to each other, so that it has ``NAME_reset``."""
        return f"void {self.name}_reset(void);" in self.header

    @property
    def sentence(self) -> str:
        """What the package is, in one line without a full stop."""
        return f"Neural network {self.name} as a C library without dynamic memory"

    def library(self, include: str, src: str) -> dict[str, str]:
        """The library's files, its header in folder ``include``, the others in ``src``."""
        files = {f"{include}/{self.name}.h": self.header}
        return files | {f"{src}/{name}": text for name, text in self.sources.items()}


def read_contents(folder: str | Path, about: About) -> Contents:
    """Reads the build in ``folder``.

    Raises:
        InputError: it is no build, or something of it is missing or damaged.
    """
    report = Loaded(folder).report
    build, name = Path(folder), report["model"]
    if _NAME.fullmatch(name) is None:
        raise InputError(
            f"build {build}: report.json names the model {name!r}, no C identifier; build it again"
        )
    found = build_sources(build, name)
    texts = {path.name: _text(path) for path in sorted((build / "src").glob("*.[ch]"))}
    inputs = tuple(_golden(build, "input", i, report) for i in range(found.inputs))
    outputs = tuple(_golden(build, "output", i, report) for i in range(found.outputs))
    counts = {len(values) for values in (*inputs, *outputs)}
    if len(counts) != 1:
        raise InputError(
            f"build {build}: its golden files hold {sorted(counts)} samples, wanted as many each"
        )
    header = _text(build / "include" / f"{name}.h")
    return Contents(name, about, header, texts, inputs, outputs, report)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"file {path}: cannot be read ({error}); build it again") from None


def _golden(build: Path, kind: str, index: int, report: Mapping[str, Any]) -> Values:
    path = build / "golden" / f"{kind}{index}.npy"
    faces = report[f"{kind}s"]
    if index >= len(faces):
        raise InputError(f"build {build}: report.json has no {kind} {index}, the header has; build it again")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"golden file {path}: cannot be read ({error}); build it again") from None
    face, shape = faces[index], getattr(values, "shape", ())
    if not shape or list(shape[1:]) != face["shape"] or str(values.dtype) != face["dtype"] or not len(values):
        raise InputError(
            f"golden file {path}: holds {getattr(values, 'dtype', 'no array')}{list(shape)}, wanted samples "
            f"of {face['dtype']}{face['shape']}; build it again"
        )
    return np.ascontiguousarray(values)
