"""A report as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tinyfoundry.board import Board
from tinyfoundry.report.coverage import Covered, kernel_text


def plain(text: str, style: str = "") -> Text:
    """``text`` as it is: no markup in it, and nothing that would move a terminal's cursor."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text("".join(shown), style=style)


def totals(report: Mapping[str, Any]) -> Table:
    """The figures that a person compares, one a row."""
    table = _table(f"{report['model']} on {report['board']['title']}", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    accuracy, ram, flash = report.get("accuracy"), report["ram"], report["flash"]
    if accuracy:
        figures = " / ".join(_percent(accuracy[kind]) for kind in ("float", "int8", "board"))
        table.add_row(
            "accuracy", figures, f"float / int8 / on the board, {accuracy['samples']:,} test samples"
        )
    parts = f"arena {_count(ram['arena'])}, stack {_count(ram['stack'])}, static {_count(ram['static'])}"
    table.add_row("SRAM", f"{_count(ram['total'])} B", f"of {_count(ram['limit'])}: {parts}")
    parts = f"code {_count(flash['code'])}, weights {_count(flash['weights'])}"
    table.add_row("flash", f"{_count(flash['total'])} B", f"of {_count(flash['limit'])}: {parts}")
    table.add_row("MACs", _count(report["macs"]), "")
    table.add_row("instructions", _count(report["instructions"]), "exact, one inference")
    table.add_row(
        "cycles", _count(report["cycles"]), plain(f"{report['timing']['model']}: {report['timing']['error']}")
    )
    latency = report["latency_ms"]
    clock = f"at {report['board']['clock_hz'] / 1e6:g} MHz"
    table.add_row("latency", "–" if latency is None else f"{latency:.3g} ms", clock)
    exact = report["exact"]
    against = f"of {exact['inputs']:,} inputs differ from {' and '.join(exact['against'])}"
    table.add_row("exactness", str(exact["mismatches"]), against)
    return table


def errors(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row a layer (the fields of ``jobs.errors.LayerError``): its errors in dB, and what causes them."""
    table = _table("errors of int8 against float")
    for column in ("layer", "op"):
        table.add_column(column, overflow="fold")
    for column in ("own dB", "with all before dB"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for row in rows:
        table.add_row(
            plain(row["name"]), row["op"], f"{row['own']:.1f}", f"{row['total']:.1f}", plain(row["why"])
        )
    return table


def layers(report: Mapping[str, Any]) -> Table:
    """One row a layer, in the order they run, and one for the code between them."""
    table = _table(f"{report['model']}: layers")
    for column in ("layer", "op", "kernel"):
        table.add_column(column, overflow="fold")
    for column in ("MACs", "instructions", "per MAC", "cycles", "live bytes"):
        table.add_column(column, justify="right")
    for layer in report["layers"]:
        per_mac = (
            f"{layer['instructions'] / layer['macs']:.2f}" if layer["macs"] and layer["instructions"] else ""
        )
        figures = (_count(layer["macs"]), _count(layer["instructions"]), per_mac, _count(layer["cycles"]))
        words = (plain(layer[key]) for key in ("name", "op", "kernel"))
        table.add_row(*words, *figures, _count(layer["live_bytes"]))
    between = report["outside"]
    instructions, cycles = _count(between["instructions"]), _count(between["cycles"])
    table.add_row("between the layers", "", "", "", instructions, "", cycles, "")
    return table


def boards(every: Sequence[Board]) -> Table:
    """One row a board."""
    table = _table("boards")
    table.add_column("name", no_wrap=True)
    table.add_column("chip", overflow="fold")
    table.add_column("core", overflow="fold")
    for column in ("clock", "RAM", "flash"):
        table.add_column(column, justify="right", no_wrap=True)
    for b in every:
        sizes = (f"{b.clock_hz / 1e6:g} MHz", f"{b.ram_bytes // 1024} KiB", f"{b.flash_bytes // 1024} KiB")
        table.add_row(plain(b.name), plain(b.chip), plain(b.core.title), *sizes)
    return table


def ops(covered: Sequence[Covered]) -> Table:
    """One row an op: what it is, which operators become it, and which kernels compute it."""
    table = _table("ops")
    table.add_column("op", no_wrap=True)
    for column in ("what it is", "from TFLite", "from ONNX", "to .tflite", "in C", "kernels"):
        table.add_column(column, overflow="fold")
    for one in covered:
        names = ", ".join(map(kernel_text, one.kernels))
        sources = (", ".join(one.tflite), ", ".join(one.onnx), "yes" if one.exported else "no")
        types = ", ".join(one.compiled)
        table.add_row(
            one.op.name, one.op.summary, *sources, types, names or "none: its output is its input's bytes"
        )
    return table


def _table(title: str, *, show_header: bool = True) -> Table:
    return Table(
        title=plain(title, "table.title"),
        title_justify="left",
        show_header=show_header,
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
