"""Every file that the tests here read holds the table of operators (docs/coverage.md) to the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tinyfoundry.importers import _rows as tflite_rows
from tinyfoundry.importers import onnx, tflite
from tinyfoundry.op import all_ops

OPS = [op.name for op in all_ops()]
FROM_LAYOUT = frozenset({"reshape", "transpose"})  # what any ONNX operator may leave where bytes must move


def held(convert: Callable[..., Any], code: str, allowed: frozenset[str]) -> Callable[..., Any]:
    """``convert``, which must add no node of an op that the table does not name."""

    def checked(draft: Any, *others: Any) -> Any:
        before = len(draft.builder._nodes)
        result = convert(draft, *others)
        written = {node.op for node in draft.builder._nodes[before:]}
        if not written <= allowed:
            pytest.fail(f"operator {code} became {sorted(written)}; its table says {sorted(allowed)}")
        return result

    return checked


TFLITE = {
    code: replace(tflite_rows.ROWS[code], convert=held(tflite_rows.ROWS[code].convert, code, said))
    for code, said in tflite.operators(OPS).items()
}
ONNX = {
    code: held(onnx.ROWS[code], code, said | FROM_LAYOUT)
    for code, said in onnx.operators(OPS).items()
    if code in onnx.ROWS
}


@pytest.fixture(autouse=True)
def rows_write_what_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the checked rows in place of the importers' own."""
    for code, row in TFLITE.items():
        monkeypatch.setitem(tflite_rows.ROWS, code, row)
    for code, convert in ONNX.items():
        monkeypatch.setitem(onnx.ROWS, code, convert)
