"""From a model file of any kind to a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyfoundry.errors import ModelError, OptionError
from tinyfoundry.importers import onnx, tflite, torch
from tinyfoundry.ir.graph import Graph, Shape

_IMPORTERS = {".tflite": tflite.load, ".onnx": onnx.load, ".pt2": torch.load_file}
_TFLITE_MAGIC = b"TFL3"


def import_model(model: Any, example: Any = None) -> tuple[Graph, Mapping[str, Shape]]:
    """The graph of a file, a ``Graph``, a torch module or an exported program. For what came from torch also
    how its inputs lie: by name, for each axis the one of the module's input that it is; empty for others.
    """
    if isinstance(model, str | Path | Graph) and example is not None:
        raise OptionError("example_input: is for torch modules alone; leave it out")
    if isinstance(model, Graph):
        return model, {}
    return (load_model(model), {}) if isinstance(model, str | Path) else torch.load(model, example)


def load_model(path: str | Path) -> Graph:
    """The graph of a .tflite, .onnx or .pt2 file. What marks the file as .tflite counts more than its name.

    Raises:
        ModelError: neither the file's content nor its name says what it is, or its importer refuses it.
    """
    path = Path(path)
    ending = ".tflite" if _is_tflite(path) else path.suffix.lower()
    if ending not in _IMPORTERS:
        raise ModelError(
            f"{str(path)!r}: no .tflite and no .onnx model by its name or content: "
            "give one of them, or a .pt2"
        )
    return _IMPORTERS[ending](path)


def _is_tflite(path: Path) -> bool:
    """Whether an ordinary file has the identifier of a .tflite file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(8)[4:] == _TFLITE_MAGIC
    except (OSError, ValueError):
        return False  # its importer says why
