"""Finds the C kernels, reads what each says of itself, and picks one for a call.

A kernel is one file ``kernels/<op>/<name>.c`` with one function ``static inline void <name>(...)``. The
comment at its head is TOML:

    op = "conv2d"                                     the op it computes, or the ``Op.kernels`` of several
    types = { x = "int8", y = "int8" }                element types of ports it is made for
    summary = "..."                                   one line for people
    isa = ["dsp"]                                     core features it needs; none by default: portable C
    when = "kernel_h == 1 and in_c % 4 == 0"          condition over the op's literals; always by default
    scratch = "2 * in_c * kernel_h"                   bytes of scratch over the op's literals; 0 by default

The function's parameters are matched by name: a port of the op (a pointer to the tensor; a variadic port is
an array of pointers), ``scratch``, or one of the op's literals: a number, a table, or a short
``const int *``. A kernel asks for what it needs, so the op's file never changes for it.

A file ``<name>_sN.c`` is one text for several element types: it is read once for each of ``_FORMS``, as the
kernels ``<name>_s8``, ``<name>_s16`` and, where it reads a bias, ``<name>_s16_b32``. In it ``element``,
``bias`` and ``sum`` (in C ``element_t``, ``bias_t``, ``sum_t``), ``ELEMENT_MIN`` and ``ELEMENT_MAX`` stand
for the types and limits of the form; ``sum`` holds any sum of products, ``tf_requantize_sum`` is how
TensorFlow Lite brings one to another scale, and other names in ``_sN`` end in ``_s8`` or ``_s16``.
"""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.op import Call, Literal, Op, all_ops, get_op, ports_of

_HEAD = re.compile(r"\A/\*\n(.*?)\n\*/\n", re.DOTALL)
_SIGNATURE = re.compile(r"static inline void (\w+)\(([^)]*)\)\s*\{")
_INCLUDE = re.compile(r"^#include\s+(\S+)", re.MULTILINE)
_KEYS = {"op", "types", "summary", "isa", "when", "scratch"}

_SEVERAL = "_sN"
_FORMS: Mapping[str, Mapping[str, str]] = {
    "_s8": {"element": "int8", "bias": "int32", "sum": "int32"},
    "_s16": {"element": "int16", "bias": "int64", "sum": "int64"},
    "_s16_b32": {"element": "int16", "bias": "int32", "sum": "int64"},
}


@dataclass(frozen=True)
class Kernel:
    """One C kernel: its head, its parameters in order (names, and as declared), its text without the head."""

    name: str
    op: str
    summary: str
    types: Mapping[str, str]
    isa: frozenset[str]
    when: str
    scratch: str
    parameters: tuple[str, ...]
    declarations: tuple[str, ...]
    text: str

    def accepts(self, call: Call, literals: Mapping[str, Literal], features: Collection[str]) -> bool:
        """Whether it may run ``call`` on a core with these features."""
        if not self.isa <= set(features) or not _types_match(self.types, _users(self.op)[0], call):
            return False
        return bool(evaluate(self.when, literals)) if self.when else True

    def scratch_bytes(self, literals: Mapping[str, Literal]) -> int:
        """Bytes of scratch it needs for a call with these literals."""
        return int(evaluate(self.scratch, literals)) if self.scratch else 0


def choose(
    call: Call, op: Op, literals: Mapping[str, Literal], features: Collection[str], *, lean: bool = False
) -> Kernel:
    """The most specialised kernel for a call: most core features, then one with a condition.

    lean: only among those that need the least scratch.

    Raises:
        ModelError: no kernel accepts the call. GraphError: two kernels are equally specialised.
    """
    fitting = [k for k in kernels_of(op.name) if k.accepts(call, literals, features)]
    if not fitting:
        kinds = ", ".join(str(type_) for type_ in (*call.inputs, *call.outputs))
        raise ModelError(
            f"no kernel computes {op.name} on {kinds}; see 'tinyfoundry ops' for what is supported"
        )
    if lean:
        scratch = [k.scratch_bytes(literals) for k in fitting]
        fitting = [k for k, size in zip(fitting, scratch, strict=True) if size == min(scratch)]
    rank = [(len(k.isa), bool(k.when)) for k in fitting]
    best = [k for k, r in zip(fitting, rank, strict=True) if r == max(rank)]
    if len(best) > 1:
        raise GraphError(f"kernels {best[0].name} and {best[1].name} are equally specialised for {op.name}")
    return best[0]


@cache
def all_kernels() -> tuple[Kernel, ...]:
    """Every kernel, by op and name."""
    root = files("tinyfoundry") / "kernels"
    folders = sorted((f for f in root.iterdir() if f.is_dir() and f.name != "common"), key=lambda f: f.name)
    return tuple(kernel for folder in folders for file in _c_files(folder) for kernel in _read(folder, file))


@cache
def kernels_of(op: str) -> tuple[Kernel, ...]:
    """The kernels of one op, its own and shared ones."""
    folders = {op, get_op(op).kernel_folder}
    return tuple(kernel for kernel in all_kernels() if kernel.op in folders)


@cache
def _users(folder: str) -> tuple[Op, ...]:
    """The ops whose kernels are in ``folder``: the one of that name, and those that say they share them."""
    users = tuple(op for op in all_ops() if op.kernel_folder == folder)
    return users or (get_op(folder),)


@cache
def common_headers() -> Mapping[str, str]:
    """Name and text of every header that kernels may include."""
    folder = files("tinyfoundry") / "kernels" / "common"
    return {file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".h")}


def _c_files(folder: Traversable) -> list[Traversable]:
    return sorted((f for f in folder.iterdir() if f.name.endswith(".c")), key=lambda f: f.name)


def _read(folder: Traversable, file: Traversable) -> list[Kernel]:
    text = file.read_text()
    # The emitter carries these along and no others.
    foreign = set(_INCLUDE.findall(text)) - {"<stdint.h>", *(f'"{header}"' for header in common_headers())}
    if foreign:
        raise GraphError(
            f"kernel {folder.name}/{file.name}: includes {min(foreign)}; wanted <stdint.h> or a common header"
        )
    name = file.name.removesuffix(".c")
    if not name.endswith(_SEVERAL):
        return [parse(text, folder.name, name)]
    biased = re.search(r"\bbias_t\b", text) is not None
    forms = [form for form in _FORMS if biased or form != "_s16_b32"]
    stem = name.removesuffix(_SEVERAL)
    return [parse(_written_for(text, stem, form), folder.name, f"{stem}{form}") for form in forms]


def _written_for(text: str, stem: str, form: str) -> str:
    """The text of ``stem_sN`` for one form of ``_FORMS``."""
    types = _FORMS[form]
    limits = types["element"].upper()
    words = {
        f"{stem}{_SEVERAL}": f"{stem}{form}",
        "ELEMENT_MIN": f"{limits}_MIN",
        "ELEMENT_MAX": f"{limits}_MAX",
    }
    words["tf_requantize_sum"] = f"tf_requantize{'64' if types['bias'] == 'int64' else ''}"
    words |= {f"{kind}_t": f"{type_}_t" for kind, type_ in types.items()}
    for word, meaning in words.items():
        text = re.sub(rf"\b{word}\b", meaning, text)
    text = re.sub(rf"(\w){_SEVERAL}\b", rf"\1{'_s8' if types['element'] == 'int8' else '_s16'}", text)
    return re.sub(r'"(element|bias|sum)"', lambda match: f'"{types[match[1]]}"', text)


def parse(text: str, folder: str, name: str) -> Kernel:
    """Reads a kernel file; GraphError naming it when its head or its function is not as the module's
    docstring says.
    """
    where = f"kernel {folder}/{name}.c"
    head = _HEAD.match(text)
    if head is None:
        raise GraphError(f"{where}: does not begin with a comment of TOML")
    try:
        said = tomllib.loads(head[1])
    except tomllib.TOMLDecodeError as error:
        raise GraphError(f"{where}: head is not TOML ({error})") from None
    if set(said) - _KEYS or not {"op", "types", "summary"} <= set(said):
        raise GraphError(
            f"{where}: head has keys {sorted(said)}; wanted op, types, summary and perhaps {sorted(_KEYS)}"
        )
    functions = _SIGNATURE.findall(text)
    if [f for f, _ in functions if f == name] != [name]:
        raise GraphError(f"{where}: wanted one function 'static inline void {name}(...)'")
    ports = [{port.name for port in (*op.inputs, *op.outputs)} for op in _users(said["op"])]
    if said["op"] != folder or any(set(said["types"]) - names for names in ports):
        raise GraphError(f"{where}: op and types must name the op of its folder and that op's ports")
    declarations = tuple(" ".join(one.split()) for one in dict(functions)[name].split(","))
    return Kernel(
        name=name,
        op=folder,
        summary=said["summary"],
        types=said["types"],
        isa=frozenset(said.get("isa", ())),
        when=said.get("when", ""),
        scratch=said.get("scratch", ""),
        parameters=tuple(_parameter(p) for p in declarations),
        declarations=declarations,
        text=text[head.end() :],
    )


def _parameter(declaration: str) -> str:
    return str(re.findall(r"\w+", declaration.split("[", maxsplit=1)[0])[-1])


def _types_match(types: Mapping[str, str], op: Op, call: Call) -> bool:
    ports = (*ports_of(op, len(call.inputs)), *op.outputs)
    tensors = (*call.inputs, *call.outputs)
    return all(types.get(port.name, t.dtype) == t.dtype for port, t in zip(ports, tensors, strict=True))


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Not: operator.not_,
    ast.USub: operator.neg,
}  # fmt: skip


def evaluate(expression: str, names: Mapping[str, Literal]) -> Any:
    """Value of an arithmetic or Boolean expression over ``names``: + - * // % comparisons, and, or, not,
    integers.

    Raises:
        GraphError: anything else in the expression, or an unknown name.
    """
    try:
        return _value(ast.parse(expression, mode="eval").body, names)
    except (KeyError, SyntaxError, ZeroDivisionError, ValueError) as error:
        raise GraphError(f"expression '{expression}': {error}; names are {sorted(names)}") from None


def _value(node: ast.AST, names: Mapping[str, Literal]) -> Any:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, names))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(v, names) for v in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_value(v, names) for v in values)
        case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(o) in _OPERATORS for o in ops):
            values = [_value(v, names) for v in (left, *rights)]
            return all(_OPERATORS[type(o)](a, b) for o, a, b in zip(ops, values, values[1:], strict=False))
    raise ValueError(f"{type(node).__name__} is not allowed")
