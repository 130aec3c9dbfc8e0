"""Runs what the .tflite importer takes of a campaign's corpus, here and by LiteRT, and compares the outputs.

    python tests/fuzz/compare_litert.py out/fuzz/tflite/corpus

LiteRT is no judge of hostile files: it may refuse what we take, and may crash. So it runs in a process of its
own, which is started again behind a file that ends it. Exit status: 1 when outputs differ, else 0.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
EQUAL, DIFFERENT, CRASH = "equal", "DIFFERENT", "LiteRT crashes"
FINITE = 1e30  # floats beyond it are no numbers to compare


def main(folder: Path) -> int:
    """Prints how many files met which fate."""
    fates: Counter[str] = Counter()
    left = sorted(folder.iterdir())
    while left:
        command = [sys.executable, __file__, "--child", *map(str, left)]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        fate = [line.split("\t")[0] for line in lines]
        if len(fate) < len(left):
            fate.append(CRASH)
        fates.update(fate)
        for path, what in zip(left, fate, strict=False):
            if what in (DIFFERENT, CRASH):
                sys.stdout.write(f"  {path}: {what}\n")
        left = left[len(fate) :]
    sys.stdout.write(", ".join(f"{count} {fate}" for fate, count in fates.most_common()) + "\n")
    return 1 if fates[DIFFERENT] else 0


def _child(paths: list[str]) -> None:
    sys.path.insert(0, str(TESTS))
    for path in paths:
        sys.stdout.write(f"{_fate(Path(path).read_bytes())}\t{path}\n")
        sys.stdout.flush()


def _fate(model: bytes) -> str:
    from graphs import inputs_of
    from hostile import is_small
    from tinyfoundry.errors import ModelError
    from tinyfoundry.importers.tflite import load, tensor_numbers
    from tinyfoundry.interpret import interpret
    from tinyfoundry.jobs.litert import FileJudge

    try:
        graph = load(model)
    except ModelError:
        return "refused"
    if not is_small(graph):
        return "not small"
    try:
        judge = FileJudge(graph, model, tensor_numbers(model))
        pairs = []
        for values in inputs_of(graph, np.random.default_rng(0), 2):
            found = judge.run(values)
            with np.errstate(all="ignore"):
                pairs += zip(interpret(graph, values), [found[name] for name in graph.outputs], strict=True)
    except (ModelError, RuntimeError, ValueError):
        return "LiteRT refuses"
    return EQUAL if all(_equal(ours, theirs) for ours, theirs in pairs) else DIFFERENT


def _equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    if ours.shape != theirs.shape or ours.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    known = (np.abs(ours) < FINITE) & (np.abs(theirs) < FINITE)
    return bool(np.allclose(ours[known], theirs[known], rtol=1e-4, atol=1e-4))


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        _child(sys.argv[2:])
    else:
        sys.exit(main(Path(sys.argv[1])))
