"""Damaged files at the other doors: boards, reports of builds, data sets. Read, or refused in one line."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyfoundry
from c_libraries import small_net
from tinyfoundry.board import all_boards, parse_board
from tinyfoundry.data.load import load as load_data
from tinyfoundry.errors import DataError, InputError, OptionError, TinyfoundryError
from tinyfoundry.exporters.tflite import export

BOARDS = Path(tinyfoundry.__file__).parent / "boards"
WORDS = (
    "",
    "-1",
    "0",
    "1e999",
    "nan",
    "true",
    '"x"',
    "[]",
    "{}",
    "\\u0000",
    "\\n",
    "2147483648",
    "\n",
    "[[memory]]",
    "ü",
)


def one_line(error: TinyfoundryError) -> None:
    assert "\n" not in str(error) and str(error).isprintable(), str(error)


def changed_text(text: str, rng: random.Random) -> str:
    """Words put in, taken out, or put in the place of others."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(text) + 1)
        end = min(start + rng.choice((0, 0, 1, 3, 12)), len(text))
        text = text[:start] + rng.choice((*WORDS, chr(rng.randrange(1, 0x250)))) + text[end:]
    return text


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, or the end cut off."""
    found = bytearray(data if rng.random() < 0.8 else data[: rng.randrange(len(data) + 1)])
    for _ in range(rng.choice((1, 1, 2, 5, 20)) if found else 0):
        found[rng.randrange(len(found))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(found)


@given(st.sampled_from(sorted(board.name for board in all_boards())), st.integers(0, 2**32))
@settings(max_examples=150)
def test_boards(name: str, seed: int) -> None:
    text = changed_text((BOARDS / f"{name}.toml").read_text("utf-8"), random.Random(seed))
    try:
        parse_board(text, name, "mine.toml")
    except OptionError as error:
        one_line(error)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    model = folder / "small.tflite"
    model.write_bytes(export(small_net()))
    tinyfoundry.compile(model, board="nucleo-f446re", output=folder / "out", samples=2)
    return folder / "out"


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inside for place in ((value, key), *places(item))]


OTHERS = (
    None,
    -1,
    0,
    1,
    2**31,
    1e308,
    float("nan"),
    True,
    "",
    "x",
    "../../etc/passwd",
    "a\nb",
    [],
    {},
    [None],
)


def test_reports_of_builds(build: Path, tmp_path: Path) -> None:
    """A report may be anything: reading the build says what is wrong with it, and so does running it."""
    sound, rng = json.loads((build / "report.json").read_text("utf-8")), random.Random(4)
    folder = tmp_path / "copy"
    shutil.copytree(build, folder)
    refused = 0
    for _ in range(400):
        report = json.loads(json.dumps(sound))
        for _ in range(rng.choice((1, 1, 3))):
            container, key = rng.choice(places(report))
            if rng.random() < 0.2:
                del container[key]
            else:
                container[key] = rng.choice(OTHERS)
        (folder / "report.json").write_text(json.dumps(report), "utf-8")
        try:
            loaded = tinyfoundry.load(folder)
        except (InputError, OptionError) as error:
            refused += 1
            one_line(error)
            continue
        assert loaded.report.keys() >= {"model", "inputs", "outputs"}
    assert refused > 100


def npz_of(folder: Path) -> Path:
    path = folder / "data.npz"
    rng = np.random.default_rng(0)
    np.savez(
        path, x=rng.integers(0, 255, (8, 12, 12, 1)).astype(np.uint8), y=np.arange(8) % 2, group=np.arange(8)
    )
    return path


def csv_of(folder: Path) -> Path:
    path = folder / "data.csv"
    rows = [f"{'wave' if i % 2 else 'still'},{i},{i / 2},-{i}" for i in range(8)]
    path.write_text("\n".join(("label,acc_t0,acc_t1,acc_t2", *rows)), "utf-8")
    return path


def wav_of(folder: Path) -> Path:
    sound = np.arange(400, dtype="<i2").tobytes()
    fields = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", len(sound))
    for name in ("one", "two"):
        for number in range(3):
            path = folder / name / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(sound)) + b"WAVE" + fields + sound)
    return folder / "one" / "0.wav"


@pytest.mark.parametrize("make", [npz_of, csv_of, wav_of], ids=lambda make: make.__name__)
def test_data_sets(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path, rng = make(tmp_path), random.Random(5)
    whole, source = path.read_bytes(), tmp_path if make is wav_of else path
    load_data(source)
    refused = 0
    for _ in range(150):
        # Samples are most of a file; its head is where it can be wrong.
        head = rng.choice((len(whole), 64))
        path.write_bytes(changed_bytes(whole[:head], rng) + whole[head:])
        try:
            load_data(source)
        except (DataError, OptionError) as error:
            refused += 1
            one_line(error)
    assert refused > 20
