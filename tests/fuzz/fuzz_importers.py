"""Fuzzes an importer, and the compiler behind it, with atheris (libFuzzer): coverage decides what is kept.

    python tests/fuzz/fuzz_importers.py tflite
    python tests/fuzz/fuzz_importers.py onnx -max_total_time=60 -seed=7

It starts from small models made here (``fuzz_seeds``), changes them byte by byte and by their structure
(``mutate_*``), and holds every file against ``hostile.examine``. A file that breaks a promise is kept in
``out/fuzz/FORMAT/findings``, one for each place in the code, and the campaign goes on; a crash, a hang or
too much memory ends the process, and another one takes over. Arguments in one dash are libFuzzer's.
Exit status: 0 when nothing was found, 1 otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import resource
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
DEFAULTS = {
    "max_total_time": 600, "seed": 1, "max_len": 2**14, "timeout": 20, "rss_limit_mb": 2048,
    "print_final_stats": 1, "verbosity": 1,
}  # fmt: skip
ADDRESS_SPACE = 2**32  # bytes: an allocation beyond it is a MemoryError, and so a finding
OWN = 0.25  # of all changes are libFuzzer's own, of bytes
INSTRUMENTED = ("tinyfoundry.importers", "tinyfoundry.builder", "tinyfoundry.op", "tinyfoundry.ir")


def main() -> int:
    """Runs campaigns until the time is over, and prints the figures of all of them together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("format", choices=("tflite", "onnx"))
    parser.add_argument("--output", type=Path, default=Path("out/fuzz"), help="folder of corpus and findings")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments, rest = parser.parse_known_args()
    options = DEFAULTS | dict(item.lstrip("-").split("=", 1) for item in rest)
    folder = arguments.output / arguments.format
    if arguments.child:
        return _fuzz(arguments.format, folder, options)
    return _campaign(arguments.format, folder, options)


def _campaign(kind: str, folder: Path, options: dict[str, Any]) -> int:
    for name in ("corpus", "findings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    start, left, log = time.monotonic(), int(options["max_total_time"]), folder / "log.txt"
    end, executions, seed = start + left, 0, int(options["seed"])
    log.write_bytes(b"")
    with log.open("ab") as file:
        while left > 0:
            changed = options | {"max_total_time": left, "seed": seed}
            command = [sys.executable, __file__, kind, "--child", "--output", str(folder.parent)]
            command += [f"-{name}={value}" for name, value in changed.items()]
            subprocess.run(command, stdout=file, stderr=file, check=False)
            left, seed, before = int(end - time.monotonic()), seed + 1, executions
            executions = _figure(log, r"stat::number_of_executed_units: +(\d+)", sum)
            if executions == before:
                sys.exit(f"the fuzzer does not start; {log} says why")
    findings = sorted(path.name for path in (folder / "findings").iterdir() if path.suffix != ".txt")
    edges, features = (_figure(log, f"{word}: ([0-9]+)", max) for word in ("cov", "ft"))
    sys.stdout.write(
        f"{kind}: {executions} executions in {time.monotonic() - start:.0f} s, seed {options['seed']}, "
        f"{edges} edges, {features} features, {len(list((folder / 'corpus').iterdir()))} files kept, "
        f"{len(findings)} findings\n"
    )
    sys.stdout.writelines(f"  {folder / 'findings' / name}\n" for name in findings)
    return 1 if findings else 0


def _figure(log: Path, pattern: str, combine: Callable[[list[int]], int]) -> int:
    found = re.findall(pattern, log.read_text("utf-8", "replace"))
    return combine([int(number) for number in found]) if found else 0


def _fuzz(kind: str, folder: Path, options: dict[str, Any]) -> int:
    """One process of libFuzzer; does not return."""
    import atheris

    sys.path.insert(0, str(TESTS))
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        load = import_module(f"tinyfoundry.importers.{kind}").load
    examine = import_module("hostile").examine
    mutated = import_module(f"mutate_{kind}").mutated
    corpus, seeds = folder / "corpus", folder / "seeds"
    seeds.mkdir(exist_ok=True)
    for data in getattr(import_module("fuzz_seeds"), f"{kind}_seeds")():
        (seeds / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        examine(load, data)  # what is imported late is imported now
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    def one(data: bytes) -> None:
        try:
            examine(load, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            _keep(folder / "findings", data, error)

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        found = None if rng.random() < OWN else mutated(data, None, rng)
        return found if found is not None and len(found) <= most else atheris.Mutate(data, most)

    def cross(data: bytes, other: bytes, most: int, seed: int) -> bytes:
        found = mutated(data, other, random.Random(seed))
        return found if found is not None and len(found) <= most else data

    arguments = [f"-{name}={value}" for name, value in options.items()]
    arguments += [f"-artifact_prefix={folder / 'findings'}{os.sep}", str(corpus), str(seeds)]
    atheris.Setup([__file__, *arguments], one, custom_mutator=change, custom_crossover=cross)
    atheris.Fuzz()
    return 0


def place_of(error: BaseException) -> str:
    """What went wrong first, and where in the code."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "tinyfoundry" in frame.filename] or frames
    words = "-".join(re.findall(r"[A-Za-z]+", str(error))[:4])
    return f"{type(error).__name__}-{Path(ours[-1].filename).stem}.{ours[-1].name}-{words}"


def _keep(folder: Path, data: bytes, error: Exception) -> None:
    """Writes a finding, unless one of the same place that is no larger is kept already."""
    path = folder / f"{place_of(error)[:120]}.bin"
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
