"""Tables for the terminal: what they show, and that names in them are text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from c_libraries import small_net
from tinyfoundry import api
from tinyfoundry.board import all_boards
from tinyfoundry.op import all_ops
from tinyfoundry.report import table
from tinyfoundry.report.coverage import coverage


def shown(what: object, width: int = 200) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output: Path = tmp_path_factory.mktemp("b") / "small"
    return dict(api.compile(small_net(), board="nucleo-f446re", output=output, samples=2).report)


def test_boards_fit_a_narrow_terminal() -> None:
    text = shown(table.boards(all_boards()), 80)
    for board in all_boards():
        assert board.name in text
        assert board.chip in text
    assert "…" not in text


def test_ops_and_their_kernels() -> None:
    text = shown(table.ops(coverage()), 320)
    assert all(op.name in text for op in all_ops())
    assert all(code in text for code in ("CONV_2D", "ReduceMean", "lookup_s8"))
    assert "none: its output is its input's bytes" in text


def test_totals_and_layers(report: dict[str, Any]) -> None:
    text = shown(table.totals(report)) + shown(table.layers(report))
    kernel = "conv2d_tile_dsp_s8"
    for wanted in ("small on ST NUCLEO-F446RE", "of 131,072: arena 124", "exact, one inference", kernel):
        assert wanted in text
    outside = report["outside"]["instructions"]
    assert re.search(rf"between the layers +{outside:,} ", text)
    assert "of 2 inputs differ from the host build and the numpy reference" in text
    with_accuracy = {**report, "accuracy": {"float": 1.0, "int8": 0.975, "board": None, "samples": 1234}}
    assert "100.0 % / 97.5 % / –" in shown(table.totals(with_accuracy))


def test_names_are_no_markup_and_move_no_cursor(report: dict[str, object]) -> None:
    evil = {**report, "model": "[bold]x[/] :smile: \x1b[2J\u202e"}
    text = shown(table.totals(evil))
    assert "[bold]x[/] :smile: \\x1b[2J\\u202e" in text
    assert "\x1b" not in text
    assert table.plain("größe ×").plain == "größe ×"
