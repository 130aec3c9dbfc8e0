"""`tinyfoundry build --max-ram 64K --max-flash 256K --latency 250ms` on real data, two boards each.

    python benchmarks/datasets.py [--budget 300] [--seed 0] [NAME ...]

Sets: digits (scikit-learn's), fsdd (spoken digits as an .npz of log-mel features), wavs (300 of the clips as
WAV files in class folders), images (fashion pictures in class folders), gestures (accelerometer windows as
CSV).
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import tinyfoundry
from results import shared, write

LIMITS = tinyfoundry.Limits(ram=64 * 1024, flash=256 * 1024, latency_ms=250.0)
BOARDS = ("nucleo-f446re", "raspberry-pi-pico")
HEADER = (
    "data",
    "board",
    "test samples",
    "accuracy float / int8 / board %",
    *("arena", "stack", "static", "code", "weights", "instructions", "cycles", "ms"),
    "mismatches",
    "candidates",
)


def tinydata(name: str, *only: str) -> dict[str, Any]:
    """A packed data set of the shared folder; all its arrays, or those named."""
    path = shared() / "data" / "tinydata.py"
    spec = importlib.util.spec_from_file_location("tinydata", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(shared() / "data" / f"{name}.npz", only or None)


def digits(_folder: Path) -> str:
    """scikit-learn's bundled set."""
    return "digits"


def fsdd(folder: Path) -> str:
    """Spoken digits as an ordinary .npz."""
    arrays = tinydata("fsdd_digits")
    keys = ("X_train", "y_train", "X_test", "y_test")
    np.savez(folder / "fsdd.npz", **{key: arrays[key] for key in keys})
    return str(folder / "fsdd.npz")


def wavs(folder: Path) -> str:
    """Spoken digits as WAV files in class folders."""
    arrays = tinydata("fsdd_digits")
    for i, (samples, label) in enumerate(zip(arrays["wav_test"], arrays["y_test"], strict=True)):
        target = folder / "wavs" / str(label)
        target.mkdir(parents=True, exist_ok=True)
        with wave.open(str(target / f"{i}.wav"), "wb") as clip:
            clip.setparams((1, 2, 8000, 0, "NONE", ""))
            clip.writeframes(samples.astype("<i2").tobytes())
    return str(folder / "wavs")


def images(folder: Path, per_class: int = 150) -> str:
    """Fashion pictures as PNG files in class folders, with the official test part."""
    arrays = tinydata("fashion_15k")
    for part in ("train", "test"):
        x, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        for label in np.unique(y):
            target = folder / "images" / part / f"class{label}"
            target.mkdir(parents=True)
            for i, picture in enumerate(x[y == label][: per_class if part == "train" else 40]):
                Image.fromarray(picture).save(target / f"{i}.png")
    return str(folder / "images")


def gestures(folder: Path) -> str:
    """Accelerometer windows as a CSV, a row a window, with the official parts."""
    arrays = tinydata("wand_gestures")
    names = arrays["meta"]["classes"]
    with (folder / "gestures.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        length, channels = arrays["X_train"].shape[1:]
        writer.writerow(["label", "split", *(f"ch{c}_t{t}" for t in range(length) for c in range(channels))])
        for part, key in (("train", "train"), ("validation", "valid"), ("test", "test")):
            for x, y in zip(arrays[f"X_{key}"], arrays[f"y_{key}"], strict=True):
                writer.writerow([names[int(y)], part, *x.reshape(-1).tolist()])
    return str(folder / "gestures.csv")


SETS: dict[str, Callable[[Path], str]] = {
    "digits": digits, "fsdd": fsdd, "wavs": wavs, "images": images, "gestures": gestures,
}  # fmt: skip


def row(name: str, board: str, budget: float, seed: int) -> list[str]:
    """One build's figures."""
    with tempfile.TemporaryDirectory() as folder:
        data = SETS[name](Path(folder))
        out = Path(folder) / "out"
        built = tinyfoundry.build(data, board=board, output=out, budget=budget, limits=LIMITS, seed=seed)
    r = built.report
    accuracy, ram, flash, exact = r["accuracy"], r["ram"], r["flash"], r["exact"]
    percents = [f"{100 * accuracy[kind]:.1f}" for kind in ("float", "int8", "board")]
    sizes = [ram["arena"], ram["stack"], ram["static"], flash["code"], flash["weights"], r["instructions"]]
    return [
        name,
        board,
        f"{accuracy['samples']:,}",
        " / ".join(percents),
        *(f"{size:,}" for size in sizes),
        f"{r['cycles']:,}",
        f"{r['latency_ms']:.2f}",
        f"{exact['mismatches']} of {exact['inputs']}",
        str(len(r["search"]["candidates"])),
    ]


def main() -> None:
    """Builds every set for every board and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="NAME")
    parser.add_argument("--budget", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [row(name, board, options.budget, options.seed) for name in options.sets for board in BOARDS]
    command = f"python benchmarks/datasets.py --budget {options.budget:g} --seed {options.seed}"
    write("datasets", command, HEADER, rows)


if __name__ == "__main__":
    main()
