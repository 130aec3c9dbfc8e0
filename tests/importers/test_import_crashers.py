"""Files that once broke a promise to their readers, found by fuzzing (docs/robustness.md), kept for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hostile import examine, no_file_opened
from tinyfoundry.importers import onnx, tflite

IMPORTERS: dict[str, ModuleType] = {".tflite": tflite, ".onnx": onnx}
CRASHERS = sorted((Path(__file__).parent / "crashers").iterdir())
FUZZ = Path(__file__).resolve().parents[1] / "fuzz" / "fuzz_importers.py"


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.name)
def test_what_broke_a_promise_once_keeps_all(path: Path) -> None:
    examine(IMPORTERS[path.suffix].load, path.read_bytes())


def test_crashers_are_small() -> None:
    assert CRASHERS
    assert all(path.stat().st_size < 4096 for path in CRASHERS)


def test_a_reader_that_opens_another_file_is_found_out() -> None:
    with pytest.raises(AssertionError, match="opened"), no_file_opened():
        FUZZ.read_bytes()


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_campaign_runs_and_finds_nothing(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="the fuzzer is an extra: pip install 'tinyfoundry[fuzz]'")
    command = [sys.executable, str(FUZZ), kind, "--output", str(tmp_path), "-max_total_time=3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    assert " executions in " in done.stdout and ", 0 findings" in done.stdout
    assert list((tmp_path / kind / "corpus").iterdir())
