"""The table of .tflite operators that can be read: one row an operator, one function under ``@row``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tinyfoundry.importers._draft import Draft
from tinyfoundry.importers._flat import Operator

Option = Callable[[str], Any]
Convert = Callable[[Draft, Operator, Option], str | tuple[str, ...]]
Variants = Callable[[Operator, Option], Iterable[str]]


@dataclass(frozen=True)
class Row:
    """How an operator is translated.

    options: its table in the schema, empty for none. fused: whether that names an activation to apply.
    variants: what is not supported of the operator, in words that follow its name.

    convert: (draft, operator, reader of an option by its name in the schema) -> our name of the output, or of
    each of several.
    """

    options: str
    fused: bool
    convert: Convert
    variants: Variants


ROWS: dict[str, Row] = {}


def _none(_op: Operator, _option: Option) -> Iterable[str]:
    return ()


def row(
    code: str, options: str, fused: bool = False, variants: Variants = _none
) -> Callable[[Convert], Convert]:
    """Makes the function the row of operator ``code``."""

    def enter(convert: Convert) -> Convert:
        ROWS[code] = Row(options, fused, convert, variants)
        return convert

    return enter
