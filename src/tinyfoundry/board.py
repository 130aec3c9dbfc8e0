"""Boards and cores as data: ``boards/*.toml`` and ``cores/*.toml`` read into frozen records.

A board is what a buyer sees (memories, clock, core); a core is what the compiler and the emulator need to
know of the processor (features, compiler flags, instruction timings). Adding either is adding a TOML file;
a user's own board is a path to one. Reading is strict: an unknown key, a missing key or a wrong type is an
OptionError that names file and key.
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinyfoundry.errors import OptionError

KINDS = ("flash", "ram")
_MOST_BYTES = {"flash": 256 << 20, "ram": 64 << 20}


@dataclass(frozen=True)
class Memory:
    """One memory of a chip: ``size`` bytes from address ``origin``.

    Programs read and execute flash; they read and write RAM.
    """

    name: str
    origin: int
    size: int
    kind: str

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.origin + self.size


@dataclass(frozen=True)
class Timing:
    """How instructions become cycles: the parameters of a timing model (see ``simulate.cycles``).

    ``kind`` is ``"table"`` (``cycles`` maps an instruction class to its cycles, by Arm's rules), ``"scalar"``
    (the same for a pipeline that stalls when a result is used at once) or ``"ratio"``
    (``cycles["instruction"]`` is the mean cycles per instruction). ``source`` says where the figures come
    from, ``error`` how far off they may be.
    """

    name: str
    kind: str
    source: str
    error: str
    cycles: Mapping[str, float]


@dataclass(frozen=True)
class Core:
    """A processor core.

    ``features`` are what kernels ask for (``dsp``: ARMv7E-M SIMD, ``fpu``: single-precision unit, ``rv32``:
    RISC-V's many registers).
    ``architecture`` names its instruction set, a module of ``simulate.isa``.
    ``zig_target`` and ``zig_cpu`` are the cross compiler's ``-target`` and ``-mcpu``; ``unicorn_model``
    names the emulator's CPU model; ``unaligned`` says whether single loads and stores may be unaligned
    (never LDM, LDRD or VLDR).
    """

    name: str
    title: str
    features: tuple[str, ...]
    architecture: str
    zig_target: str
    zig_cpu: str
    unicorn_model: str
    unaligned: bool
    timing: Timing


@dataclass(frozen=True)
class Board:
    """A board: its core, the clock its vendor's software runs it at, and every memory of its chip."""

    name: str
    title: str
    chip: str
    core: Core
    clock_hz: int
    memories: tuple[Memory, ...]

    @property
    def flash(self) -> Memory:
        """The largest contiguous flash: where programs go."""
        return _largest(self, "flash")

    @property
    def ram(self) -> Memory:
        """The largest contiguous RAM, which may span several memories: where data and stack go."""
        return _largest(self, "ram")

    @property
    def flash_bytes(self) -> int:
        """Bytes of ``flash``."""
        return self.flash.size

    @property
    def ram_bytes(self) -> int:
        """Bytes of ``ram``."""
        return self.ram.size


def load_board(name: str | Path) -> Board:
    """A board by its name, or by the path of a TOML file (anything that ends in ``.toml``).

    Raises:
        OptionError: no such board or file, or something in the file is missing, unknown or of the wrong type.
    """
    if str(name).endswith(".toml"):
        return _read_user_board(Path(name))
    if name not in (names := board_names()):
        raise OptionError(
            f"board {str(name)!r} is unknown; {_suggest(str(name), names)} "
            "(or give the path of your own .toml)"
        )
    return _board(str(name))


def all_boards() -> tuple[Board, ...]:
    """Every board that comes with tinyfoundry, by name."""
    return tuple(_board(name) for name in board_names())


def board_names() -> tuple[str, ...]:
    """Names of the boards that come with tinyfoundry."""
    return _names("boards")


def load_core(name: str) -> Core:
    """A core by its name; OptionError when there is no such core."""
    if name not in (names := _names("cores")):
        raise OptionError(f"core {name!r} is unknown; {_suggest(name, names)}")
    return _core(name)


@cache
def _names(folder: str) -> tuple[str, ...]:
    found = (files("tinyfoundry") / folder).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in found if f.name.endswith(".toml")))


@cache
def _board(name: str) -> Board:
    return parse_board(
        (files("tinyfoundry") / "boards" / f"{name}.toml").read_text(), name, f"boards/{name}.toml"
    )


@cache
def _core(name: str) -> Core:
    return parse_core(
        (files("tinyfoundry") / "cores" / f"{name}.toml").read_text(), name, f"cores/{name}.toml"
    )


def _read_user_board(path: Path) -> Board:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"board file {path} cannot be read: {error}; wanted a TOML file") from None
    return parse_board(text, path.name.removesuffix(".toml"), str(path))


def parse_core(text: str, name: str, where: str) -> Core:
    """A core from the text of its TOML; ``where`` is the file's name for errors (OptionError)."""
    table = _Table(_toml(text, where), where)
    core = Core(
        name=name,
        title=table.take("title", str),
        features=tuple(table.take_list("features", str)),
        architecture=table.take("architecture", str),
        zig_target=table.take("zig_target", str),
        zig_cpu=table.take("zig_cpu", str),
        unicorn_model=table.take("unicorn_model", str),
        unaligned=table.take("unaligned", bool),
        timing=_timing(table.take("timing", dict), where),
    )
    table.close()
    return core


def parse_board(text: str, name: str, where: str) -> Board:
    """A board from the text of its TOML; ``where`` is the file's name for errors (OptionError)."""
    table = _Table(_toml(text, where), where)
    core = load_core(table.take("core", str))
    if table.has("timing"):  # a board whose memory system changes the core's mean, measured on that board
        core = replace(core, timing=_timing(table.take("timing", dict), where))
    board = Board(
        name=name,
        title=table.take("title", str),
        chip=table.take("chip", str),
        core=core,
        clock_hz=table.take("clock_hz", int),
        memories=tuple(_memory(m, where) for m in table.take_list("memory", dict)),
    )
    table.close()
    _check(board, where)
    return board


def _timing(entries: dict[str, Any], where: str) -> Timing:
    table = _Table(entries, f"{where}: timing")
    cycles = table.take("cycles", dict)
    wrong = [key for key, value in cycles.items() if not _is_cycles(value)]
    if wrong:
        raise OptionError(
            f"{table.where}.cycles: {wrong[0]!r} is {cycles[wrong[0]]!r}; wanted a number from 0 to 1,000,000"
        )
    timing = Timing(
        name=table.take("name", str),
        kind=table.take("kind", str),
        source=table.take("source", str),
        error=table.take("error", str),
        cycles={key: float(value) for key, value in cycles.items()},
    )
    table.close()
    if timing.kind not in {"table", "scalar", "ratio"}:
        raise OptionError(f"{table.where}: kind is {timing.kind!r}; wanted table, scalar or ratio")
    return timing


def _is_cycles(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1_000_000


def _memory(entries: dict[str, Any], where: str) -> Memory:
    table = _Table(entries, f"{where}: memory")
    memory = Memory(
        name=table.take("name", str),
        origin=table.take("origin", int),
        size=table.take("size", int),
        kind=table.take("kind", str),
    )
    table.close()
    if memory.kind not in KINDS:
        raise OptionError(f"{table.where} {memory.name!r}: kind is {memory.kind!r}; wanted flash or ram")
    if memory.origin < 0 or memory.size <= 0 or memory.end > 0xE000_0000:
        raise OptionError(
            f"{table.where} {memory.name!r}: wanted origin and size below the system space 0xE0000000"
        )
    if memory.origin % 1024 or memory.size % 1024:
        raise OptionError(f"{table.where} {memory.name!r}: origin and size must be multiples of 1024")
    return memory


def _check(board: Board, where: str) -> None:
    if board.clock_hz <= 0:
        raise OptionError(f"{where}: clock_hz is {board.clock_hz}; wanted a positive number of Hz")
    missing = [kind for kind in KINDS if all(m.kind != kind for m in board.memories)]
    if missing:
        raise OptionError(f"{where}: no memory of kind {missing[0]}; wanted at least one flash and one ram")
    for kind, most in _MOST_BYTES.items():
        total = sum(memory.size for memory in board.memories if memory.kind == kind)
        if total > most:
            raise OptionError(
                f"{where}: {total:,} bytes of {kind}; wanted at most {most:,}: the simulator holds all "
                "of it, so state the part that programs use"
            )
    ordered = sorted(board.memories, key=lambda m: m.origin)
    for low, high in itertools.pairwise(ordered):
        if low.end > high.origin:
            raise OptionError(f"{where}: memories {low.name} and {high.name} overlap")


def _largest(board: Board, kind: str) -> Memory:
    runs: list[Memory] = []
    for memory in sorted((m for m in board.memories if m.kind == kind), key=lambda m: m.origin):
        if runs and runs[-1].end == memory.origin:
            last = runs.pop()
            runs.append(Memory(f"{last.name}+{memory.name}", last.origin, last.size + memory.size, kind))
        else:
            runs.append(memory)
    return max(runs, key=lambda m: m.size)


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # beside TOMLDecodeError, what Python says of a number of 5,000 digits
        raise OptionError(f"{where}: not TOML: {error}") from None


def _suggest(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"wanted one of {', '.join(names)}"


class _Table:
    """A TOML table read key by key; whatever is left when it is closed is an error."""

    def __init__(self, entries: dict[str, Any], where: str) -> None:
        self._left = dict(entries)
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, kind: type) -> Any:
        if key not in self._left:
            raise OptionError(f"{self.where}: key {key!r} is missing; wanted {_word(kind)}")
        value = self._left.pop(key)
        if type(value) is not kind:  # not isinstance: True is no number
            raise OptionError(f"{self.where}: key {key!r} is {value!r}; wanted {_word(kind)}")
        return value

    def take_list(self, key: str, kind: type) -> list[Any]:
        values = self.take(key, list)
        wrong = [value for value in values if type(value) is not kind]
        if wrong:
            raise OptionError(
                f"{self.where}: key {key!r} holds {wrong[0]!r}; every entry must be {_word(kind)}"
            )
        return list(values)

    def close(self) -> None:
        if self._left:
            raise OptionError(
                f"{self.where}: key {min(self._left)!r} is unknown; take it out or check its spelling"
            )


def _word(kind: type) -> str:
    return {str: "a string", int: "an integer", bool: "true or false", list: "an array", dict: "a table"}[
        kind
    ]
