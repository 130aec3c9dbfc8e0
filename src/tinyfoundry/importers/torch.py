"""Reads a torch module or an exported program: ``torch.export``, then torch's own writer of ONNX, then ours.

So there is one table of operators for both, and torch itself takes its modules apart. Nothing is written to
disk. Packages torch, onnx and onnxscript are asked for when this is used, not before.
"""

from __future__ import annotations

import ast
import copy
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyfoundry.builder import identifier
from tinyfoundry.errors import ModelError, OptionError, ToolError
from tinyfoundry.importers.onnx import Orders, convert
from tinyfoundry.ir.graph import Graph

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram
    from torch.nn import Module

    TorchModel = Module | ExportedProgram
    Example = Tensor | tuple[Tensor, ...]

_OPSET = 20  # the first that has Gelu; the rows were tried with what torch writes for it
_SCOPES = "pkg.torch.onnx.name_scopes"
_UNKNOWN = re.compile(r"No ONNX function found for <OpOverload\(op='(\w+)\.(\w+)', overload='(\w+)'")
_NEEDED = ("torch", "onnx", "onnxscript")


def load(model: Any, example: Any = None) -> tuple[Graph, Orders]:
    """The graph of an ``nn.Module`` or ``torch.export.ExportedProgram``, and how the axes of its inputs lie.

    example: what the module is called with, a tensor or several; their first axis is the batch, of which one
    is kept. The module itself stays as it is: a copy in float32 is set to inference.

    Raises:
        ToolError: a package is missing. OptionError: this is no module, or it came without an example.
        ModelError: torch cannot export it, or it uses something that is not supported.
    """
    _require()
    import torch  # noqa: PLC0415 - an extra

    if isinstance(model, torch.export.ExportedProgram):
        return _converted(model, "program", "exported program")
    if not isinstance(model, torch.nn.Module):
        raise OptionError(
            f"model: found a {type(model).__name__}; wanted a path, a Graph, an nn.Module or an "
            "ExportedProgram"
        )
    name = type(model).__name__
    if example is None:
        raise OptionError(f"module '{name}': example_input is missing; give what the module is called with")
    inputs = tuple(example) if isinstance(example, tuple | list) else (example,)
    if not all(isinstance(one, torch.Tensor) for one in inputs):
        found = ", ".join(type(one).__name__ for one in inputs)
        raise OptionError(f"example_input: found {found}; wanted a tensor or a tuple of tensors")
    batch = tuple(one.detach()[:1].cpu() if one.dim() else one.detach().cpu() for one in inputs)
    batch = tuple(one.float() if one.is_floating_point() else one for one in batch)

    def export() -> Any:
        module = copy.deepcopy(model).to("cpu", torch.float32)
        if any(part.training for part in module.modules()):
            module.eval()  # what torch has exported before, and quantised, refuses this call
        return torch.export.export(module, batch)

    return _converted(_tried(export, f"module '{name}'"), identifier(name), f"module '{name}'")


def load_file(path: Path) -> Graph:
    """The graph of a .pt2 file, which ``torch.export.save`` wrote. Only for files from people you trust:
    torch may run code that such a file holds.
    """
    _require()
    import torch  # noqa: PLC0415 - an extra

    label = repr(str(path))
    if not path.is_file():
        raise ModelError(f"{label}: no such file: give the path of a .pt2 file")
    program = _tried(lambda: torch.export.load(path), label)
    return _converted(program, identifier(path.stem), label)[0]


def _require() -> None:
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise ToolError(
            f"package {' and '.join(missing)} is missing, which torch models need: "
            "pip install 'tinyfoundry[torch]'"
        )


def _converted(program: Any, name: str, label: str) -> tuple[Graph, Orders]:
    proto = _written(program, label).model_proto
    _name_by_module(proto.graph)
    return convert(proto.SerializeToString(), label, name)


def _written(program: Any, label: str) -> Any:
    """The program as ONNX. What torch has no way to write is put aside one by one, until all is known."""
    import torch  # noqa: PLC0415 - an extra

    unknown: dict[Any, Callable[..., Any]] = {}
    while True:
        try:
            with _quiet():
                written = torch.onnx.export(
                    program,
                    dynamo=True,
                    opset_version=_OPSET,
                    verbose=False,
                    custom_translation_table=unknown,
                )
        except Exception as error:
            found = _UNKNOWN.search(str(error))
            target: Any = torch.ops
            for name in found.groups() if found else ():
                target = getattr(target, name)
            if not found or target in unknown:
                raise ModelError(f"{label}: {_told(error)}") from error
            unknown[target] = lambda first, *_rest, **_named: first
            continue
        if not unknown:
            return written
        names = ", ".join(str(target) for target in unknown)
        raise ModelError(f"{label}: torch cannot write {names} as ONNX: replace it by what ONNX has")


def _name_by_module(graph: Any) -> None:
    """Names nodes, and what they write, by the modules they come from; faces keep their names."""
    kept = {face.name for face in (*graph.input, *graph.output)} | {
        tensor.name for tensor in graph.initializer
    }
    names: Counter[str] = Counter(kept)
    renamed: dict[str, str] = {}
    for node in graph.node:
        scopes = [_scopes(item.value) for item in node.metadata_props if item.key == _SCOPES]
        path = ".".join(part for part in (scopes[0] if scopes else []) if part)
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if not path:
            continue
        node.name = path
        for index, output in enumerate(node.output):
            if output and output not in kept:
                names[path] += 1
                renamed[output] = path if names[path] == 1 else f"{path}/{names[path]}"
                node.output[index] = renamed[output]
    del graph.value_info[:]


def _scopes(text: str) -> list[str]:
    """The path of a node's module; of what the outermost module itself does, the function."""
    try:
        found = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return []
    parts = [part for part in found if isinstance(part, str)]
    return parts[-2:-1] if len(parts) > 1 and parts[-2] else parts[-1:]


def _tried(step: Callable[[], Any], label: str) -> Any:
    """The result of a step of torch's; its failures, of very many classes, become one line."""
    try:
        with _quiet():
            return step()
    except Exception as error:
        raise ModelError(f"{label}: {_told(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings, log lines and listings; what matters of them comes as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _told(error: BaseException) -> str:
    """What went wrong and what to do, from an exception of torch's."""
    text = str(error)
    if "data-dependent" in text or "data dependent" in text:
        what = "what it computes depends on the values of its inputs (if, loops or shapes made of tensors)"
        return f"cannot be exported: {what}: take that out of forward"
    plain = re.sub(r"\x1b\[[\d;]*m", "", text.rpartition("## Exception summary")[2])
    reason = " ".join(plain.split())[:240]
    return f"cannot be exported: {type(error).__name__}: {reason}: try torch.export.export on it"
