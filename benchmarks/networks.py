"""Every network of tests/zoo.py on nucleo-f446re: size, speed, and exactness on 50 inputs each.

python benchmarks/networks.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from proof import HEADER as PROVEN
from proof import prove
from results import ROOT, write

sys.path.append(str(ROOT / "tests"))

import zoo

BOARD = "nucleo-f446re"
HEADER = ("network", "from", "ops", "MACs", "instructions", "arena", "flash", *PROVEN)


def row(name: str) -> list[str]:
    """One network's figures."""
    with tempfile.TemporaryDirectory() as folder:
        files = zoo.write(name, Path(folder))
        proof = prove(files.model, BOARD, files.io, files.calibration)
        ops = sorted({node.op for node in zoo.graph_of(files).nodes})
    r = proof.report
    numbers = (r["macs"], r["instructions"], r["ram"]["arena"], r["flash"]["total"])
    return [name, files.model.suffix, ", ".join(ops), *(f"{number:,}" for number in numbers), *proof.cells]


if __name__ == "__main__":
    write("networks", "python benchmarks/networks.py", HEADER, [row(name) for name in zoo.NETS])
