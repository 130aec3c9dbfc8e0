"""Every model of the shared folder on nucleo-l4r5zi: size, speed, and exactness on 50 inputs and more each.

    python benchmarks/models.py

Made inputs alone would hardly move the networks of two classes: they give few different answers to noise. So
pictures of CIFAR-10 are added, enlarged, and features of spoken words; ad01 has no real inputs here.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from datasets import tinydata
from proof import HEADER as PROVEN
from proof import prove
from results import ROOT, shared, write
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load

sys.path.append(str(ROOT / "tests"))  # the reader of backbones is one for benchmarks and tests

from backbones import load_backbone

TRAINED = ("kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "mcunet_vww1")
BOARD = "nucleo-l4r5zi"
REAL = 25
HEADER = (
    *("model", "MACs", "instructions", "per MAC", "cycles", "ms"),
    *("arena", "lower bound", "RAM", "code", "weights"),
    *PROVEN,
)


def models(folder: Path) -> Iterator[Path]:
    """Trained models, architectures with random weights, and ImageNet backbones, these written as .tflite."""
    source = shared() / "models"
    yield from (source / f"{name}.tflite" for name in TRAINED)
    yield from sorted((source / "zoo").glob("*.tflite"))
    for path in sorted((source / "backbones").glob("*.npz")):
        target = folder / f"{path.stem}.tflite"
        target.write_bytes(export(load_backbone(path)))
        yield target


@cache
def pictures() -> npt.NDArray[Any]:
    """Of CIFAR-10, 32 × 32 × 3 bytes each."""
    return tinydata("cifar10_full", "X_test")["X_test"][:REAL]


def real_inputs(model: Path, folder: Path) -> Path | None:
    """An .npy of stored values that the network can make something of; None where there are none."""
    graph = load(model)
    shape = graph.types[graph.inputs[0]].shape
    if shape == (1, 49, 10, 1):
        values = tinydata("kws01_dev500", "mfcc")["mfcc"][:REAL, ..., None]
    elif shape[-1] == 3:
        size = shape[2], shape[1]
        large = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in pictures()]
        values = (np.stack(large).astype(np.int16) - 128).astype(np.int8)
    else:
        return None
    np.save(folder / "real.npy", values)
    return folder / "real.npy"


def row(model: Path) -> list[str]:
    """One model's figures."""
    with tempfile.TemporaryDirectory() as folder:
        proof = prove(model, BOARD, data=real_inputs(model, Path(folder)))
    r = proof.report
    plan, ram, flash = r["plan"], r["ram"], r["flash"]
    sizes = (ram["arena"], plan["lower_bound"], ram["total"], flash["code"], flash["weights"])
    return [
        model.stem,
        f"{r['macs']:,}",
        f"{r['instructions']:,}",
        f"{r['instructions'] / r['macs']:.2f}",
        f"{r['cycles']:,}",
        f"{r['latency_ms']:.1f}",
        *(f"{size:,}" for size in sizes),
        *proof.cells,
    ]


def main() -> None:
    """Measures every model and writes the table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(model) for model in models(Path(folder))]
    write("models", "python benchmarks/models.py", HEADER, rows)


if __name__ == "__main__":
    main()
