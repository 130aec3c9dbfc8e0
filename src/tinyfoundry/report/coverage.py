"""What tinyfoundry covers, told by its registers: every op, and every operator of other formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from tinyfoundry import ops  # noqa: F401 - importing it registers every op
from tinyfoundry.board import all_boards
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters import tflite as tflite_exporter
from tinyfoundry.importers import onnx, tflite
from tinyfoundry.ir.graph import DType, Type
from tinyfoundry.kernel import Kernel, kernels_of
from tinyfoundry.op import Op, Sample, all_ops, check_call


@dataclass(frozen=True)
class Covered:
    """One op.

    tflite, onnx: the operators that can become it. exported: whether it can be written as .tflite.
    compiled: element types of its first input that it has C for. interpreted: those that only the numpy
    reference computes. kernels: its C; none for a view, whose output is its input's bytes.
    """

    op: Op
    tflite: tuple[str, ...]
    onnx: tuple[str, ...]
    exported: bool
    compiled: tuple[DType, ...]
    interpreted: tuple[DType, ...]
    kernels: tuple[Kernel, ...]


def coverage() -> tuple[Covered, ...]:
    """Every op of the register."""
    found, written = operators(), tflite_exporter.expressible()
    return tuple(_covered(op, found, op.name in written) for op in all_ops())


def operators() -> dict[str, dict[str, tuple[str, ...]]]:
    """Format -> operator -> our ops that it can become; none for what leaves no op behind."""
    names = [op.name for op in all_ops()]
    formats = {"TFLite": tflite.operators(names), "ONNX": onnx.operators(names)}
    return {
        format_: {operator: tuple(sorted(found)) for operator, found in table.items()}
        for format_, table in formats.items()
    }


def operator(name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Format -> (operator, our ops that it can become) of those called ``name`` in whatever case.

    Raises:
        ModelError: no format has a supported operator of this name; says which have similar ones.
    """
    tables = operators()
    plain = {one: name_ for table in tables.values() for name_ in table for one in [_plain(name_)]}
    if _plain(name) not in plain:
        near = [plain[one] for one in get_close_matches(_plain(name), plain, n=3)]
        advice = (
            f"did you mean {', '.join(near)}" if near else "tinyfoundry ops --markdown lists all that are"
        )
        raise ModelError(f"operator '{name}' of TFLite or ONNX is not supported; {advice}")
    return {
        format_: (own, found)
        for format_, table in tables.items()
        for own, found in table.items()
        if _plain(own) == _plain(name)
    }


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _covered(op: Op, found: Mapping[str, Mapping[str, tuple[str, ...]]], exported: bool) -> Covered:
    from_tflite, from_onnx = (
        tuple(one for one, into in found[format_].items() if op.name in into)
        for format_ in ("TFLite", "ONNX")
    )
    kernels = () if op.view else kernels_of(op.name)
    samples = list(op.samples(np.random.default_rng(0)))
    compiled = {sample.call.x.dtype for sample in samples if op.view or _has_kernel(op, sample, kernels)}
    others = {DType.FLOAT32} if any(_has_float_twin(op, sample) for sample in samples) else set()
    types = [tuple(dtype for dtype in DType if dtype in some) for some in (compiled, others - compiled)]
    return Covered(op, from_tflite, from_onnx, exported, types[0], types[1], kernels)


def _has_kernel(op: Op, sample: Sample, kernels: tuple[Kernel, ...]) -> bool:
    literals = op.literals(sample.call)
    features = {feature for board in all_boards() for feature in board.core.features}
    return any(kernel.accepts(sample.call, literals, features) for kernel in kernels)


def _has_float_twin(op: Op, sample: Sample) -> bool:
    """Whether the call is legal with float32 for its quantized types and for its biases."""
    call = sample.call
    inputs = [
        _as_float(type_) if type_.quant or number in sample.constants else type_
        for number, type_ in enumerate(call.inputs)
    ]
    outputs = [_as_float(type_) if type_.quant else type_ for type_ in call.outputs]
    twin = replace(call, inputs=tuple(inputs), outputs=tuple(outputs))
    return twin != call and not check_call(op, twin)


def _as_float(type_: Type) -> Type:
    return Type(type_.shape, DType.FLOAT32)


def page() -> str:
    """The tables of ops and of operators as a page in Markdown: ``docs/coverage.md``."""
    rows = "\n".join(_row(covered) for covered in coverage())
    tables = "".join(_operators(format_, table) for format_, table in operators().items())
    return f"""{_HEAD}
| op | what it is | from TFLite | from ONNX | to .tflite | in C | reference only | kernels |
|---|---|---|---|---|---|---|---|
{rows}
{tables}"""


_HEAD = """# What is covered

`make docs` writes this page from the registers of ops, kernels, importers and the exporter
(`tinyfoundry ops --markdown`), and a test holds it against them. `tinyfoundry ops` prints the first table;
`tinyfoundry ops FULLY_CONNECTED` tells what becomes of one operator.

## Ops

*in C*: element types of the first input that compiled networks may have. *reference only*: types that the
numpy reference computes besides; a float32 network is quantised before it is compiled. *kernels*: its C; in
brackets what it needs of a core. No op has a gradient yet. An ONNX operator leaves a reshape or a transpose
besides where bytes must move.
"""


def _row(covered: Covered) -> str:
    names = ", ".join(map(kernel_text, covered.kernels)) or "a view: none"
    cells = (
        f"`{covered.op.name}`", covered.op.summary, _list(covered.tflite), _list(covered.onnx),
        "yes" if covered.exported else "no", _list(covered.compiled), _list(covered.interpreted), names,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _operators(format_: str, table: Mapping[str, tuple[str, ...]]) -> str:
    rows = "\n".join(f"| `{operator}` | {becomes(found)} |" for operator, found in table.items())
    return f"""
## {format_} operators

| operator | becomes |
|---|---|
{rows}
"""


def becomes(found: tuple[str, ...]) -> str:
    """Our ops that an operator can become, in words."""
    return ", ".join(found) or "nothing that runs: known beforehand, or another view of the same values"


def kernel_text(kernel: Kernel) -> str:
    """Name of a kernel, and what it needs of a core."""
    return f"{kernel.name} ({', '.join(sorted(kernel.isa))})" if kernel.isa else kernel.name


def _list(items: Iterable[str]) -> str:
    return ", ".join(items) or "–"
