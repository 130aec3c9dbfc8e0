"""Pictures as SVG text: the memory map over time and the scatter of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from math import ceil, floor, log10
from typing import Any

_WIDTH, _HEIGHT = 1000, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 26, 46
_LETTER = 6.7  # mean width of a letter of the 12-pixel font
_SHADES = 3  # neighbours in the memory map differ in shade
_KIB_FROM = 10 * 1024


@dataclass(frozen=True)
class _Axis:
    """Maps [low, high] to pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low or 1) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Up to ``most`` or so round values inside the range."""
        span = self.high - self.low or 1
        step = 10 ** floor(log10(span / most))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
        first = ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, floor(self.high / step + 1e-9) + 1)]


def shorten(text: str, room: int) -> str:
    """``text`` in at most ``room`` characters: its beginning, an ellipsis, its end."""
    if len(text) <= room:
        return text
    head = max((room - 1) * 2 // 5, 0)
    tail = max(room - 1 - head, 0)
    return f"{text[:head]}…{text[len(text) - tail :]}"


def memory_map(rectangles: Sequence[Mapping[str, Any]], nodes: Sequence[str], arena: int) -> str:
    """The arena over time: steps across, addresses up, one rectangle a tensor.

    rectangles: name, start, end (steps, inclusive), offset, size (bytes), kind (input, output, state,
    activation, scratch).
    nodes: name of the node that runs at each step. arena: size of the arena in bytes.
    """
    steps = max(len(nodes), 1)
    unit, name = (1024, "KiB") if arena >= _KIB_FROM else (1, "bytes")
    x = _Axis(0, steps, _LEFT, _WIDTH - _RIGHT)
    y = _Axis(0, max(arena, 1) / unit, _HEIGHT - _BOTTOM, _TOP)
    shapes = [_rectangle(r, i % _SHADES, nodes, x, y, unit) for i, r in enumerate(rectangles)]
    numbers = [(x.at(s - 0.5), f"{s:,.0f}") for s in _Axis(1, steps, 0, 1).ticks(24) if s == int(s)]
    body = (
        _rows(y, f"address ({name})")
        + _columns(x, numbers, "step (layer number)")
        + "".join(shapes)
        + f'<line class="peak" x1="{x.start}" x2="{x.end}" y1="{_TOP}" y2="{_TOP}"/>'
        + f'<text class="tick" text-anchor="end" x="{x.end}" y="{_TOP - 8}">arena {arena:,} B</text>'
    )
    return _svg(body, "Memory map: tensors in the arena over the steps of one inference")


def _rectangle(
    rectangle: Mapping[str, Any], shade: int, nodes: Sequence[str], x: _Axis, y: _Axis, unit: int
) -> str:
    left, right = x.at(rectangle["start"]), x.at(rectangle["end"] + 1)
    offset, size, name = rectangle["offset"], rectangle["size"], str(rectangle["name"])
    low = y.at(offset / unit)
    high = min(y.at((offset + size) / unit), low - 2)  # seen, however small
    first, last = (nodes[min(rectangle[key], len(nodes) - 1)] if nodes else "" for key in ("start", "end"))
    title = f"{name}: {size:,} B at {offset:,}, from {first} to {last}"
    return (
        f'<g><title>{escape(title)}</title><rect class="{escape(str(rectangle["kind"]))} shade{shade}" '
        f'x="{left + 0.5:.1f}" y="{high:.1f}" rx="1.5" '
        f'width="{max(right - left - 1, 1):.1f}" height="{low - high:.1f}"/>'
        f"{_label(name, (left + right) / 2, (low + high) / 2, right - left, low - high)}</g>"
    )


def _label(name: str, across: float, up: float, width: float, height: float) -> str:
    """The name in the middle of a rectangle where it has room: across, or else upwards."""
    flat, tall = int((width - 10) / _LETTER), int((height - 10) / _LETTER)
    if height > 15 and flat >= min(len(name), 8):
        text = escape(shorten(name, flat))
        return f'<text class="name" text-anchor="middle" x="{across:.1f}" y="{up + 4:.1f}">{text}</text>'
    if width > 15 and tall >= min(len(name), 14):
        turn = f"translate({across + 4:.1f} {up:.1f}) rotate(-90)"
        text = escape(shorten(name, tall))
        return f'<text class="name" text-anchor="middle" transform="{turn}">{text}</text>'
    return ""


def scatter(candidates: Sequence[Mapping[str, Any]]) -> str:
    """A search: SRAM in KiB across, validation accuracy in percent up.

    candidates: accuracy (0..1), sram (bytes), flash (bytes), latency_ms, front, chosen; each becomes a dot
    with its figures as a tooltip. The scale ends 25 points below the best; what is worse stands on its edge.
    """
    points = sorted(candidates, key=lambda c: (c["sram"], c["accuracy"]))
    kib, percent = [c["sram"] / 1024 for c in points], [100 * c["accuracy"] for c in points]
    best = max(percent)
    x = _Axis(0, max(kib) * 1.06, _LEFT, _WIDTH - _RIGHT)
    y = _Axis(max(floor(min(percent)) - 1, best - 25), min(best + 2, 100), _HEIGHT - _BOTTOM, _TOP)
    places = [(x.at(k), y.at(max(p, y.low))) for k, p in zip(kib, percent, strict=True)]
    front = [place for place, c in zip(places, points, strict=True) if c["front"]]
    dots = "".join(_dot(c, *place, worse=y.start) for c, place in zip(points, places, strict=True))
    numbers = [(x.at(v), f"{v:,g}") for v in x.ticks(10)]
    body = _rows(y, "validation accuracy (%)") + _columns(x, numbers, "SRAM (KiB)") + _stairs(front) + dots
    return _svg(body, "Candidates of the search: accuracy over SRAM")


def _stairs(front: Sequence[tuple[float, float]]) -> str:
    """The best accuracy that each amount of SRAM buys, as a line of steps."""
    if not front:
        return ""
    heights = list(accumulate((py for _, py in front), min))  # pixels run downwards
    corners = [f"{front[0][0]:.1f},{heights[0]:.1f}"]
    for (px, _), before, height in zip(front[1:], heights, heights[1:], strict=False):
        corners += [f"{px:.1f},{before:.1f}", f"{px:.1f},{height:.1f}"]
    return f'<polyline class="front" points="{" ".join(corners)}"/>'


def _dot(candidate: Mapping[str, Any], px: float, py: float, worse: float) -> str:
    kind = "chosen" if candidate["chosen"] else "front" if candidate["front"] else "other"
    latency = candidate.get("latency_ms")
    title = (
        f"{100 * candidate['accuracy']:.1f} %, {candidate['sram']:,} B SRAM, {candidate['flash']:,} B flash"
    ) + (f", {latency:.3g} ms" if latency is not None else "")
    radius = {"chosen": 8, "front": 5.5, "other": 4.5}[kind]
    edge = " edge" if py >= worse - 0.05 else ""
    place = f'cx="{px:.1f}" cy="{py:.1f}" r="{radius}"'
    return f'<circle class="{kind}{edge}" {place}><title>{title}</title></circle>'


def _rows(y: _Axis, label: str) -> str:
    lines = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y.at(v):.1f}" y2="{y.at(v):.1f}"/>'
        f'<text class="tick" text-anchor="end" x="{_LEFT - 7}" y="{y.at(v) + 4:.1f}">{v:,g}</text>'
        for v in y.ticks()
    ]
    turn = f"translate(15 {(y.start + y.end) / 2:.0f}) rotate(-90)"
    return "".join(lines) + f'<text class="axis" text-anchor="middle" transform="{turn}">{label}</text>'


def _columns(x: _Axis, numbers: Sequence[tuple[float, str]], label: str) -> str:
    base = _HEIGHT - _BOTTOM
    texts = [
        f'<text class="tick" text-anchor="middle" x="{px:.1f}" y="{base + 18}">{number}</text>'
        for px, number in numbers
    ]
    middle = (x.start + x.end) / 2
    return (
        "".join(texts)
        + f'<text class="axis" text-anchor="middle" x="{middle:.0f}" y="{_HEIGHT - 8}">{label}</text>'
    )


def _svg(body: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )
