"""Imports point down: the floors of the package, read from the source with ``ast``.

A room is a module or package directly under ``tinyfoundry``. A module may import its own room, a room of a
lower floor, and a room listed before its own on the same floor, except on ``STRANGERS``, whose rooms never
import each other. Heavy packages stay in their rooms, and what an extra installs is imported only inside
the function that needs it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "fixed"),
    ("ir",),
    ("op", "ops", "builder", "interpret"),
    ("board", "kernel", "kernels", "prepared"),
    ("importers", "exporters", "passes", "autodiff", "plan", "emit"),
    ("pipeline",),
    ("simulate",),
    ("data", "search", "learn", "fleet"),
    ("report", "jobs", "packages", "api"),
    ("console", "cli", "__main__"),
)
STRANGERS = 4
"""The floor whose rooms meet only through the records of ``ir``."""

HEAVY: dict[str, frozenset[str]] = {
    "torch": frozenset({"search", "learn", "importers", "fleet"}),
    "sklearn": frozenset({"data", "search", "learn"}),
    "scipy": frozenset({"data", "search", "learn"}),
    "PIL": frozenset({"data"}),
    "ai_edge_litert": frozenset({"jobs"}),
    "onnx": frozenset({"importers"}),
    "google": frozenset({"importers"}),
    "flatbuffers": frozenset({"importers", "exporters"}),
    "tflite": frozenset({"importers", "exporters"}),
    "unicorn": frozenset({"simulate"}),
    "capstone": frozenset({"simulate"}),
    "elftools": frozenset({"simulate"}),
    "jinja2": frozenset({"report"}),
    "markupsafe": frozenset({"report"}),
    "typer": frozenset({"cli"}),
}
"""Package -> the rooms that may import it."""

LIGHT = frozenset({"numpy", "rich", "ziglang"})
"""Third-party packages that any room may import. Everything else third-party is undeclared."""

OPTIONAL = frozenset({"torch", "sklearn", "scipy", "PIL", "ai_edge_litert", "onnx", "google"})
"""What the compiler alone runs without: never imported when a module is loaded ..."""

LOADS_OPTIONAL: dict[str, frozenset[str]] = {
    "tinyfoundry.search.fit": frozenset({"torch"}),
    "tinyfoundry.search.rounding": frozenset({"torch"}),
    "tinyfoundry.search.twin": frozenset({"torch"}),
}
"""... but for these modules, each with the packages it loads. They are the one kind of our own modules that a
function may import, for nobody else can import them at the head."""

NEW_MODULES = 60
"""How many modules ``import tinyfoundry`` may load; ``dataclasses`` and ``pathlib`` alone bring about 50."""


@dataclass(frozen=True)
class Import:
    """One import: ``target`` is the dotted name asked for, ``where`` is path:line of the statement."""

    module: str
    target: str
    where: str
    late: bool
    typing_only: bool


Check = Callable[[list[Import]], list[str]]


def sources(folder: Path) -> dict[str, Path]:
    """Dotted module name -> file, for every module of the package under ``folder``."""
    names: dict[str, Path] = {}
    for path in sorted((folder / "tinyfoundry").rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def targets(node: ast.AST, package: str) -> list[str]:
    """Dotted names that one node asks for; ``from a import b`` asks for ``a.b``, be it a module or a name."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=base, names=names, level=level):
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            return [".".join([*above, *([base] if base else []), alias.name]) for alias in names]
        case ast.Call(
            func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]
        ):
            return [name] if called in {"import_module", "__import__"} else []
    return []


def scan(
    body: ast.AST, late: bool = False, typing_only: bool = False
) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Every node below ``body`` with whether a function or an ``if TYPE_CHECKING`` holds it."""
    for node in ast.iter_child_nodes(body):
        yield node, late, typing_only
        inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guarded = typing_only or (
            isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        )
        yield from scan(node, inside, guarded)


def imports_of(folder: Path) -> list[Import]:
    """Every import in the package under ``folder``."""
    found = []
    for module, path in sources(folder).items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node, late, typing_only in scan(ast.parse(path.read_text("utf-8"), str(path))):
            for target in targets(node, package):
                where = f"{path.relative_to(folder)}:{getattr(node, 'lineno', 1)}"
                found.append(Import(module, target, where, late, typing_only))
    return found


def room(module: str) -> str:
    """The room of a dotted name of ours; the package itself is the room ``""``."""
    return [*module.split("."), ""][1]


def is_ours(name: str) -> bool:
    return name.partition(".")[0] == "tinyfoundry"


def place(name: str) -> tuple[int, int] | None:
    """(floor, position on it) of a room; None where the table does not know it."""
    return next(((i, rooms.index(name)) for i, rooms in enumerate(FLOORS) if name in rooms), None)


def may_import(own: str, other: str) -> bool:
    """Whether room ``own`` may import room ``other``; both are in the table."""
    here, there = place(own), place(other)
    assert here is not None
    assert there is not None
    if own == other or there[0] < here[0]:
        return True
    return there[0] == here[0] != STRANGERS and there[1] < here[1]


def upward(imports: list[Import]) -> list[str]:
    """Imports of a room that lies above, beside or outside the table."""
    found = []
    for one in imports:
        if not is_ours(one.target) or one.module == "tinyfoundry":  # the face re-exports, lazily: see late()
            continue
        own, other = room(one.module), room(one.target)
        if one.target == "tinyfoundry.__version__":
            continue
        if place(own) is None:
            found.append(f"{one.where}: room '{own}' is not in the table of floors")
        elif place(other) is None:
            found.append(f"{one.where}: imports {one.target}, which is in no room of the table")
        elif not may_import(own, other):
            found.append(f"{one.where}: {own} imports {other}, which is not below it")
    return found


def late(imports: list[Import]) -> list[str]:
    """Imports of our own modules inside functions, but for the face and ``LOADS_OPTIONAL``."""
    return [
        f"{one.where}: {one.target} is imported inside a function"
        for one in imports
        if one.late
        and is_ours(one.target)
        and one.module != "tinyfoundry"
        and not {one.target, one.target.rpartition(".")[0]} & set(LOADS_OPTIONAL)
    ]


def misplaced(imports: list[Import]) -> list[str]:
    """Third-party packages outside their rooms, or known to no table."""
    found = []
    for one in imports:
        package = one.target.split(".")[0]
        if is_ours(one.target) or package in LIGHT or package in sys.stdlib_module_names:
            continue
        if package not in HEAVY:
            found.append(f"{one.where}: {package} is neither a dependency nor in a table")
        elif room(one.module) not in HEAVY[package]:
            found.append(
                f"{one.where}: {package} belongs in {', '.join(sorted(HEAVY[package])) or 'tests only'}"
            )
    return found


def eager(imports: list[Import]) -> list[str]:
    """Optional packages that are imported when their module is loaded."""
    found = []
    for one in imports:
        package = one.target.split(".")[0]
        if one.late or one.typing_only:
            continue
        if package in OPTIONAL and package not in LOADS_OPTIONAL.get(one.module, frozenset()):
            found.append(f"{one.where}: {package} is optional: import it inside the function that needs it")
    return found


def cycles(imports: list[Import], modules: set[str]) -> list[str]:
    """Each import cycle once, as ``a -> b -> a``; an import of a name counts as one of its module."""
    edges: dict[str, set[str]] = {name: set() for name in modules}
    for one in imports:
        target = one.target if one.target in modules else one.target.rpartition(".")[0]
        if target in modules and target != one.module and "tinyfoundry" not in {target, one.module}:
            edges[one.module].add(target)
    found: dict[frozenset[str], str] = {}
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            loop = path[path.index(name) :]
            found.setdefault(frozenset(loop), " -> ".join([*loop, name]))
        elif name not in done:
            for target in sorted(edges[name]):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(modules):
        visit(name, [])
    return sorted(found.values())


def cyclic(imports: list[Import]) -> list[str]:
    return cycles(imports, {one.module for one in imports} | set(sources(SOURCE)))


CHECKS: tuple[Check, ...] = (upward, late, misplaced, eager, cyclic)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_package_obeys(check: Check) -> None:
    imports = imports_of(SOURCE)
    assert imports, f"no imports found under {SOURCE}"
    found = check(imports)
    assert not found, "\n" + "\n".join(found)


OFFENDERS: tuple[tuple[Check, str, str, str], ...] = (
    (upward, "ir/graph.py", "from tinyfoundry.plan import pack", "ir imports plan"),
    (upward, "plan/pack.py", "from tinyfoundry.passes.fuse import x", "plan imports passes"),
    (upward, "emit/c.py", "from ..plan import pack", "emit imports plan"),
    (upward, "op.py", "import tinyfoundry.ops.conv2d", "op imports ops"),
    (upward, "op.py", "from tinyfoundry import api", "op imports api"),
    (upward, "op.py", "from tinyfoundry import build", "imports tinyfoundry.build, which is in no room"),
    (upward, "shed/tool.py", "from tinyfoundry.op import Op", "room 'shed' is not in the table"),
    (late, "cli.py", "def f():\n    from tinyfoundry.api import build", "imported inside a function"),
    (misplaced, "op.py", "def f():\n    import torch", "torch belongs in"),
    (misplaced, "emit/c.py", "from jinja2 import Template", "jinja2 belongs in report"),
    (misplaced, "op.py", "import requests", "neither a dependency"),
    (
        misplaced,
        "op.py",
        "from importlib import import_module\nimport_module('torch.nn')",
        "torch belongs in",
    ),
    (eager, "search/train.py", "import torch.nn as nn", "torch is optional"),
    (
        eager,
        "data/image.py",
        "try:\n    from PIL import Image\nexcept ImportError:\n    pass",
        "PIL is optional",
    ),
    (cyclic, "ir/a.py", "from tinyfoundry.ir import b", "ir.a -> tinyfoundry.ir.b -> tinyfoundry.ir.a"),
)


@pytest.mark.parametrize(
    ("check", "file", "text", "finding"), OFFENDERS, ids=[f"{row[0].__name__}-{row[1]}" for row in OFFENDERS]
)
def test_each_check_finds_an_offender(
    check: Check, file: str, text: str, finding: str, tmp_path: Path
) -> None:
    path = tmp_path / "tinyfoundry" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (tmp_path / "tinyfoundry/ir").mkdir(exist_ok=True)
    (tmp_path / "tinyfoundry/ir/b.py").write_text("from tinyfoundry.ir.a import y\n")
    found = check(imports_of(tmp_path))
    assert any(line.startswith(f"tinyfoundry/{file}:") or "->" in line for line in found), found
    assert finding in "\n".join(found)


def test_a_lawful_module_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tinyfoundry/search/train.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "from typing import TYPE_CHECKING\nimport numpy as np\nfrom tinyfoundry.data import load\n"
        "from tinyfoundry.pipeline import compile\nfrom . import space\nif TYPE_CHECKING:\n    import torch\n"
        "def f():\n    import torch\n"
    )
    assert [line for check in CHECKS for line in check(imports_of(tmp_path))] == []


def python(code: str) -> str:
    """What a fresh interpreter that finds the package prints."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_is_light() -> None:
    new = python(
        "before = set(sys.modules)\nimport tinyfoundry\nprint(*sorted(set(sys.modules) - before))"
    ).split()
    assert "tinyfoundry" in new
    heavy = {name.split(".")[0] for name in new} & (set(HEAVY) | LIGHT)
    assert not heavy, f"import tinyfoundry loads {sorted(heavy)}"
    assert len(new) <= NEW_MODULES, f"import tinyfoundry loads {len(new)} modules: {' '.join(new)}"


def test_every_module_loads_without_the_optional_packages() -> None:
    modules = [name for name in sources(SOURCE) if name not in LOADS_OPTIONAL and room(name) != "__main__"]
    failed = python(
        f"for name in {sorted(OPTIONAL)!r}: sys.modules[name] = None\n"
        f"from importlib import import_module\nfor name in {modules!r}:\n"
        "    try: import_module(name)\n"
        "    except ImportError as error: print(f'{name}: {error}')"
    )
    assert not failed, "\n" + failed


def test_an_optional_package_can_be_hidden() -> None:
    with pytest.raises(AssertionError, match="import of numpy halted"):
        python("sys.modules['numpy'] = None\nimport tinyfoundry.fixed")
