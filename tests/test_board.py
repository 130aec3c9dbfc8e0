from __future__ import annotations

import re

import pytest

from tinyfoundry.board import all_boards, board_names, load_board, load_core, parse_board, parse_core
from tinyfoundry.errors import OptionError

KIB = 1024

GOOD = """
title = "My board"
chip = "MY1"
core = "cortex-m4"
clock_hz = 100_000_000
[[memory]]
name = "FLASH"
origin = 0x0800_0000
size = 262_144
kind = "flash"
[[memory]]
name = "RAM"
origin = 0x2000_0000
size = 65_536
kind = "ram"
"""

# name: (core, MHz, flash KiB, main RAM KiB, main RAM origin, RAM of all memories KiB), from the data sheets
FACTS = {
    "arduino-nano-33-ble": ("cortex-m4", 64, 1024, 256, 0x2000_0000, 256),
    "esp32-c3-devkitm-1": ("esp32-c3", 160, 4096, 384, 0x3FC8_0000, 392),
    "longan-nano": ("bumblebee", 108, 128, 32, 0x2000_0000, 32),
    "nucleo-f446re": ("cortex-m4", 180, 512, 128, 0x2000_0000, 128),
    "nucleo-h743zi": ("cortex-m7", 480, 2048, 512, 0x2400_0000, 1060),
    "nucleo-l4r5zi": ("cortex-m4", 120, 2048, 640, 0x2000_0000, 640),
    "raspberry-pi-pico": ("cortex-m0plus", 125, 2048, 264, 0x2000_0000, 264),
    "raspberry-pi-pico-2": ("cortex-m33", 150, 4096, 520, 0x2000_0000, 520),
    "stm32f746g-disco": ("cortex-m7", 216, 1024, 320, 0x2000_0000, 336),
}


@pytest.mark.parametrize("name", FACTS)
def test_boards_have_the_sizes_of_their_data_sheets(name):
    core, mhz, flash, ram, origin, all_ram = FACTS[name]
    board = load_board(name)
    assert (board.core.name, board.clock_hz) == (core, mhz * 1_000_000)
    assert (board.flash_bytes, board.ram_bytes) == (flash * KIB, ram * KIB)
    assert board.ram.origin == origin
    assert sum(m.size for m in board.memories if m.kind == "ram") == all_ram * KIB


def test_every_board_is_listed_and_checked():
    assert set(FACTS) <= set(board_names())
    assert [b.name for b in all_boards()] == list(board_names())


def test_contiguous_memories_count_as_one():
    ram = load_board("stm32f746g-disco").ram
    assert (ram.name, ram.end) == ("DTCM+SRAM1+SRAM2", 0x2005_0000)


def test_board_overrides_its_cores_timing():
    assert load_board("nucleo-h743zi").core.timing.cycles["instruction"] == 0.71
    assert load_core("cortex-m7").timing.cycles["instruction"] == 0.78


def test_features_are_what_kernels_ask_for():
    assert set(load_core("cortex-m4").features) == {"dsp", "fpu"}
    assert load_core("cortex-m0plus").features == ()


def test_user_board_from_a_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    board = load_board(path)
    assert (board.name, board.title, board.ram_bytes) == ("mine", "My board", 64 * KIB)
    assert load_board(str(path)) == board


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nucleo-f446", r"board 'nucleo-f446' is unknown; did you mean nucleo-f446re"),
        ("NUCLEO-L4R5", r"did you mean nucleo-l4r5zi"),
        ("esp8266?", r"board 'esp8266\?' is unknown; wanted one of arduino-nano-33-ble, esp32-c3-dev"),
        ("no/such.toml", r"board file no/such.toml cannot be read: .*No such file"),
    ],
)
def test_unknown_board(name, message):
    with pytest.raises(OptionError, match=message):
        load_board(name)


def test_unknown_core():
    with pytest.raises(OptionError, match=r"core 'cortex-m44' is unknown; did you mean cortex-m4"):
        load_core("cortex-m44")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('chip = "MY1"\n', "", "mine.toml: key 'chip' is missing; wanted a string"),
        (
            "clock_hz = 100_000_000",
            'clock_hz = "fast"',
            "key 'clock_hz' is 'fast'; wanted an integer",
        ),
        ("clock_hz = 100_000_000", "clock_hz = true", "mine.toml: key 'clock_hz' is True; wanted an integer"),
        ("clock_hz = 100_000_000", "clock_hz = 0", "mine.toml: clock_hz is 0; wanted a positive number"),
        ('chip = "MY1"', 'chip = "MY1"\nchipp = 1', "mine.toml: key 'chipp' is unknown"),
        ('kind = "flash"', 'kind = "rom"', "mine.toml: memory 'FLASH': kind is 'rom'; wanted flash or ram"),
        ('kind = "flash"', 'kind = "flash"\nwidth = 4', "mine.toml: memory: key 'width' is unknown"),
        ('kind = "flash"', 'kind = "ram"', "mine.toml: no memory of kind flash"),
        ("origin = 0x2000_0000", "origin = 0x0800_1000", "mine.toml: memories FLASH and RAM overlap"),
        (
            "origin = 0x2000_0000",
            "origin = 0xE000_0000",
            "mine.toml: memory 'RAM': .* below the system space",
        ),
        ("size = 65_536", "size = 1000", "mine.toml: memory 'RAM': .* multiples of 1024"),
        ("size = 65_536", "size = 65_536.0", "mine.toml: memory: key 'size' is 65536.0; wanted an integer"),
        ('core = "cortex-m4"', 'core = "z80"', "core 'z80' is unknown"),
        ('title = "My board"', "title = ", "mine.toml: not TOML"),
    ],
)
def test_strict_reading(old, new, message):
    assert old in GOOD
    with pytest.raises(OptionError, match=message):
        parse_board(GOOD.replace(old, new, 1), "mine", "mine.toml")


@pytest.mark.parametrize(("kind", "most"), [("flash", 256 << 20), ("ram", 64 << 20)])
def test_memories_beyond_what_is_simulated(kind, most):
    text = board_of(kind, most)
    assert getattr(parse_board(text, "mine", "mine.toml"), f"{kind}_bytes") == most
    wanted = rf"^mine.toml: {most + 1024:,} bytes of {kind}; wanted at most {most:,}: .*that programs use$"
    with pytest.raises(OptionError, match=wanted):
        parse_board(
            board_of(kind, most) + MEMORY.format("more", 0xC000_0000, 1024, kind), "mine", "mine.toml"
        )


MEMORY = """
[[memory]]
name = "{}"
origin = {}
size = {}
kind = "{}"
"""


def board_of(kind, size):
    """A board whose memory of one kind has this many bytes."""
    other = "ram" if kind == "flash" else "flash"
    head = GOOD[: GOOD.index("[[memory]]")]
    return head + MEMORY.format("a", 0x2000_0000, size, kind) + MEMORY.format("b", 0, 65536, other)


CORE = """
title = "C"
features = ["dsp"]
architecture = "arm"
zig_target = "t"
zig_cpu = "c"
unicorn_model = "U"
unaligned = true
[timing]
name = "n"
kind = "ratio"
source = "s"
error = "e"
[timing.cycles]
instruction = 1
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["dsp"]', '["dsp", 4]', "c.toml: key 'features' holds 4; every entry must be a string"),
        (
            "instruction = 1",
            'instruction = "1"',
            r"timing.cycles: 'instruction' is '1'; wanted a number",
        ),
        (
            "instruction = 1",
            "instruction = -1",
            r"'instruction' is -1; wanted a number from 0 to 1,000,000",
        ),
        *(
            (
                "instruction = 1",
                f"instruction = {value}",
                r"timing.cycles: 'instruction' is .*; wanted a number",
            )
            for value in ("inf", "-inf", "nan", "true", "1000001", "1" + 400 * "0")
        ),
        ("instruction = 1", "instruction = 1" + 5000 * "0", "c.toml: not TOML"),
        (
            'kind = "ratio"',
            'kind = "guess"',
            "c.toml: timing: kind is 'guess'; wanted table, scalar or ratio",
        ),
        ('source = "s"\n', "", "c.toml: timing: key 'source' is missing"),
    ],
)
def test_strict_reading_of_cores(old, new, message):
    assert re.search(re.escape(old), CORE)
    assert parse_core(CORE, "c", "c.toml").features == ("dsp",)
    with pytest.raises(OptionError, match=message):
        parse_core(CORE.replace(old, new, 1), "c", "c.toml")
