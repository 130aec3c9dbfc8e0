"""``report.html``: the report as one self-contained page, without scripts and without anything from a
network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from tinyfoundry.report.svg import memory_map, scatter, shorten
from tinyfoundry.report.verification import NAMES, remarks

_NAME = 34  # characters of a layer's name in the table; the whole of it is its tooltip


def page(report: Mapping[str, Any], certificate: Mapping[str, Any] | None = None) -> str:
    """HTML of a report (the contents of ``report.json``; ``report.schema.json`` says what they are).

    certificate: the contents of ``certificate.json``, where the build was held against its model.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": _count, "percent": _percent, "short": _short, "shorten": shorten}
    environment.filters["json"] = lambda value: json.dumps(value, indent=1, ensure_ascii=False)
    template = environment.from_string(
        (files("tinyfoundry.report") / "report.html.j2").read_text(encoding="utf-8")
    )
    plan, search = report["plan"], report["search"]
    trained = [c for c in search["candidates"] if c["accuracy"] is not None] if search else []
    return template.render(
        r=report,
        memory=_drawn(memory_map(plan["rectangles"], plan["steps"], report["ram"]["arena"])),
        pareto=_drawn(scatter(trained)) if trained else None,
        trained=len(trained),
        layers=_layers(report),
        kinds=list(dict.fromkeys(rectangle["kind"] for rectangle in plan["rectangles"])),
        confusion=_shares(report["confusion"]) if report["confusion"] else None,
        name_length=_NAME,
        certificate=certificate,
        remarks=remarks(certificate) if certificate else [],
        executors=NAMES,
    )


def _drawn(svg: str) -> Markup:
    """Marks our own SVG, whose texts are escaped already, as not to be escaped again."""
    return Markup(svg)  # noqa: S704 - every text in it went through html.escape


def _layers(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers, each with its number in the memory map and its share (0..1) of the time of all."""
    steps = {name: number for number, name in enumerate(report["plan"]["steps"], 1)}
    key = "cycles" if report["cycles"] is not None else "instructions"
    times = [layer[key] or 0 for layer in report["layers"]]
    whole, longest = sum(times) or 1, max(times, default=0) or 1
    return [
        {**layer, "number": steps.get(layer["name"]), "share": time / whole, "bar": time / longest}
        for layer, time in zip(report["layers"], times, strict=True)
    ]


def _shares(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the confusion matrix: class name, (count, share of the row) of each predicted class, and the
    share that is right, None for a class without samples.
    """
    rows = []
    for index, (name, counts) in enumerate(zip(confusion["classes"], confusion["counts"], strict=True)):
        total = sum(counts)
        cells = [(count, count / (total or 1)) for count in counts]
        rows.append({"name": name, "cells": cells, "recall": counts[index] / total if total else None})
    return rows


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}"
