"""Which of our ops a row of an importer can write, read from the row's own code: no list can go stale.

A row names the ops that it writes, in its own text or in that of the functions of its room that it calls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

_ROOM = __name__.rpartition(".")[0]


def emitted(row: Any, ops: Collection[str]) -> frozenset[str]:
    """Those of ``ops`` that the function ``row`` names, or a function of the importers that it calls."""
    found: set[str] = set()
    todo, seen = [row], set()
    while todo:
        function = todo.pop()
        if not isinstance(function, FunctionType) or function in seen:
            continue
        if not function.__module__.startswith(_ROOM):
            continue
        seen.add(function)
        mentioned = list(_mentioned(function))
        found.update(one for one in mentioned if isinstance(one, str) and one in ops)
        todo += [one for one in mentioned if isinstance(one, FunctionType)]
    return frozenset(found)


def _mentioned(function: FunctionType) -> Iterator[Any]:
    """Constants and names' values in a function's code; functions of modules that it names likewise."""
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    codes: list[CodeType] = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        yield from code.co_consts
        values = [function.__globals__.get(name) for name in code.co_names]
        yield from values
        for module in values:
            if isinstance(module, ModuleType):
                yield from (vars(module).get(name) for name in code.co_names)
