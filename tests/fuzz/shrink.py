"""Makes a finding small while the same thing goes wrong with it.

    python tests/fuzz/shrink.py out/fuzz/tflite/findings/NAME.bin tests/importers/crashers/NAME.tflite

Parts are taken away through the structure of the file (``mutate_*``) and byte by byte, in seeded order.
"""

from __future__ import annotations

import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from fuzz_importers import place_of

TESTS = Path(__file__).resolve().parents[1]
TRIES = 3000


def main(source: Path, target: Path) -> None:
    """Writes the smallest file found to ``target``."""
    sys.path.insert(0, str(TESTS))
    kind = target.suffix.removeprefix(".")
    load = import_module(f"tinyfoundry.importers.{kind}").load
    mutated = import_module(f"mutate_{kind}").mutated
    best, rng = source.read_bytes(), random.Random(1)
    wanted = _wrong(load, best)
    assert wanted is not None, "nothing goes wrong with this file"
    for _ in range(TRIES):
        start = rng.randrange(len(best))
        cut = best[:start] + best[start + rng.choice((1, 4, 16, 64)) :]
        found = mutated(best, None, rng) if rng.random() < 0.7 else cut
        if found is not None and len(found) < len(best) and _wrong(load, found) == wanted:
            best = found
    target.write_bytes(best)
    sys.stdout.write(f"{len(source.read_bytes())} -> {len(best)} bytes: {wanted}\n")


def _wrong(load: Any, data: bytes) -> str | None:
    """What goes wrong, and where; None when nothing does."""
    examine = import_module("hostile").examine
    try:
        examine(load, data)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return place_of(error)
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
