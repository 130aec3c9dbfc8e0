"""What a network may cost, and the words of the refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from c_libraries import compiled, small_net
from tinyfoundry.board import load_board
from tinyfoundry.errors import DoesNotFit, OptionError
from tinyfoundry.jobs.limits import Limits, narrowed, require
from tinyfoundry.jobs.measure import Measured, measure, zeros
from tinyfoundry.search.cost import Bounds

BOARD = load_board("raspberry-pi-pico")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("small")
    build = compiled(small_net(), folder, BOARD)
    return measure(build, folder, [zeros(build)])


def test_the_board_is_the_outermost_limit() -> None:
    assert Limits().on(BOARD) == Bounds(264 << 10, 2 << 20, None)
    assert Limits(ram=1 << 30, flash=1 << 30, latency_ms=2.0).on(BOARD) == Bounds(264 << 10, 2 << 20, 2.0)
    assert Limits(ram=100, flash=200).on(BOARD) == Bounds(100, 200, None)


def test_what_just_fits_passes(measured: Measured) -> None:
    cost = measured.cost
    require(measured, Bounds(cost.sram, cost.flash, cost.latency_ms))


def test_too_much_sram_names_the_tensors_and_the_bytes(measured: Measured) -> None:
    ram = measured.ram
    text = (
        rf"^model 'small' needs {ram.total:,} bytes of SRAM \(arena {ram.arena:,}, stack {ram.stack:,}, "
        rf"static {ram.static:,}\), {ram.total - 3:,} are allowed, 3 are missing; the peak is at layer "
        r"'conv' \(conv2d\): image 16 B, conv 8 B; make these smaller, or raise the limit$"
    )
    with pytest.raises(DoesNotFit, match=text):
        require(measured, Bounds(ram.total - 3, 1 << 20, None))


def test_too_much_flash(measured: Measured) -> None:
    flash = measured.firmware.flash
    text = (
        rf"^model 'small' needs {flash.total:,} bytes of flash \(code {flash.code:,}, "
        rf"weights {flash.weights:,}\), 1,000 are allowed, {flash.total - 1000:,} are missing; "
        "use fewer channels or layers, or raise"
    )
    with pytest.raises(DoesNotFit, match=text):
        require(measured, Bounds(1 << 20, 1000, None))


def test_too_slow(measured: Measured) -> None:
    text = (
        r"^model 'small' takes [\d.e-]+ ms on raspberry-pi-pico, 1e-05 ms are allowed, [\d.e-]+ ms are "
        "too many; use a smaller input"
    )
    with pytest.raises(DoesNotFit, match=text):
        require(measured, Bounds(1 << 20, 1 << 20, 1e-5))


def test_a_little_too_slow_shows_by_how_much(measured: Measured) -> None:
    took = measured.cost.latency_ms
    assert took is not None
    with pytest.raises(DoesNotFit) as caught:
        require(measured, Bounds(1 << 20, 1 << 20, took * 0.9995))
    assert f"takes {took:.6g} ms" in str(caught.value)
    assert f"{took * 0.9995:.6g} ms are allowed, {took * 0.0005:.3g} ms are too many" in str(caught.value)
    assert f"{took:.6g}" != f"{took * 0.9995:.6g}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ram": -5}, r"^limit ram -5: wanted a number above 0$"),
        ({"flash": 0}, "^limit flash 0: wanted"),
        ({"latency_ms": float("nan")}, "^limit latency_ms nan: wanted"),
        ({"latency_ms": float("inf")}, "^limit latency_ms inf: wanted"),
    ],
)
def test_limits_that_are_no_sizes_and_times(options: dict[str, float], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Limits(**options)  # type: ignore[arg-type]


def test_candidates_keep_a_margin_in_flash_and_time() -> None:
    assert narrowed(Bounds(1000, 2000, 2.0)) == Bounds(1000, 1940, pytest.approx(1.94))
    assert narrowed(Bounds(1000, 2000)) == Bounds(1000, 1940)


def test_an_arena_larger_than_the_ram_is_refused_before_the_compiler_runs(
    measured: Measured, tmp_path: Path
) -> None:
    ram = replace(BOARD.ram, size=16, name="RAM")
    tiny = replace(BOARD, name="tiny", memories=(BOARD.flash, ram))
    with pytest.raises(
        DoesNotFit, match=r"the RAM of tiny: it needs 24 bytes, 16 are available, 8 are missing"
    ):
        measure(replace(measured.build, board=tiny), tmp_path, [])
