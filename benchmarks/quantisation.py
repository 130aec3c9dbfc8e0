"""int8 against float on a MobileNetV2-like network, CIFAR-10's 10,000 test images, by the compiled C.

    python benchmarks/quantisation.py [--epochs 36] [--minutes 38] [--tune 3] [--seed 0] [--threads 1]

Trains the float network first, once: it is kept in build/quantisation, and so is an interrupted training.
Every int8 network is measured on the host build of its C, two also on the simulated board, 200 images. The
second network is the first with relu in place of relu6 and its channels made unequal: each is
scaled by up to 16 and back between two layers, which leaves the float function as it is.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cifar import RECIPE, floating, samples, unequal
from results import ROOT, write
from tinyfoundry.board import load_board
from tinyfoundry.data import Splits
from tinyfoundry.interpret import entering
from tinyfoundry.ir.graph import Graph
from tinyfoundry.jobs.int8 import CALIBRATION, host_accuracy, quantised
from tinyfoundry.jobs.measure import measure, write_files
from tinyfoundry.jobs.prove import prove
from tinyfoundry.passes.calibrate import Ranges
from tinyfoundry.passes.observe import Observer, Range
from tinyfoundry.passes.post_training import PostTraining
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.pipeline import compile_graph
from tinyfoundry.search.recipe import Epoch, Labelled
from tinyfoundry.search.train import accuracy, tune, tuning

CACHE = ROOT / "build" / "quantisation"
BOARD = load_board("nucleo-h743zi")
ON_BOARD = 200
HEADER = ("network", "ranges", "plain", "+ equalised", "+ biases corrected", "+ both", "on the board")
WAYS = ((False, False), (True, False), (False, True), (True, True))


def told(stage: str) -> Callable[[Epoch], None]:
    """Prints a line an epoch."""
    return lambda epoch: print(
        f"{stage}: epoch {epoch.done} of {epoch.total}, loss {epoch.loss:.3f}, "
        f"{epoch.seconds_left / 60:.0f} min left",
        flush=True,
    )


def trained_on(graph: Graph, splits: Splits, options: argparse.Namespace) -> tuple[Graph, Ranges]:
    """The float network after quantisation-aware training, and its ranges; kept in the cache."""
    path = CACHE / f"tuned-{options.epochs}-{options.minutes:g}-{options.tune}-{options.seed}.npz"
    if not path.exists():
        known = {graph.inputs[0]: Range(*splits.dataset.frontend.range)}
        new, ranges = tune(
            graph,
            Labelled(splits.train.x, splits.train.y),
            tuning(RECIPE, options.tune),
            calibration=splits.train.x[:CALIBRATION],
            observer=Observer.MSE,
            known=known,
            seed=options.seed,
            threads=options.threads,
            progress=told("tune"),
        )
        np.savez(path, **new.constants, **{f"range {name}": np.array(each) for name, each in ranges.items()})
    with np.load(path) as held:
        ranges = {key[6:]: Range(*held[key].tolist()) for key in held if key.startswith("range ")}
        return replace(graph, constants={name: held[name] for name in graph.constants}), ranges


def on_board(graph: Graph, test: Labelled) -> str:
    """Accuracy and mismatches of the first test images on the simulated board."""
    stored = entering(graph.types[graph.inputs[0]], test.x[:ON_BOARD])
    inputs = [[sample[None]] for sample in stored]
    build = compile_graph(graph, BOARD)
    with tempfile.TemporaryDirectory() as name:
        write_files(build.files, Path(name))
        measured = measure(build, Path(name), inputs)
        proof = prove(measured, Path(name), inputs, 20)
    picked = np.array([int(np.argmax(outputs[0])) for outputs in measured.outputs])
    right = float(np.mean(picked == test.y[:ON_BOARD]))
    return f"{100 * right:.1f} % of {ON_BOARD}, {proof.mismatches} mismatches"


def percent(right: float) -> str:
    """An accuracy, with the two decimals that 10,000 images give."""
    return f"{100 * right:.2f}"


def rows(
    name: str, graph: Graph, splits: Splits, test: Labelled, observers: Iterable[Observer]
) -> Iterator[list[str]]:
    """Float, and each observer in every way."""
    yield [name, "float", percent(accuracy(graph, test)), "", "", "", ""]
    for observer in observers:
        found = []
        for even, correct in WAYS:
            int8 = quantised(graph, splits, PostTraining(observer, even, correct)).graph
            found.append(percent(host_accuracy(int8, BOARD, test)))
            print(f"{name}, {observer}, equalised {even}, corrected {correct}: {found[-1]} %", flush=True)
        yield [name, str(observer), *found, ""]


def single(name: str, label: str, int8: Graph, test: Labelled) -> list[str]:
    """One int8 network, on the simulated board too."""
    right = percent(host_accuracy(int8, BOARD, test))
    print(f"{name}, {label}: {right} %", flush=True)
    return [name, label, right, "", "", "", on_board(int8, test)]


def main() -> None:
    """Trains what is not there yet, quantises in every way, and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--minutes", type=float, default=38, help="most time for the float training")
    parser.add_argument("--tune", type=int, default=3, help="epochs of quantisation-aware training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    splits = samples(CACHE)
    test = Labelled(splits.test.x, splits.test.y)
    graph = floating(splits, CACHE, options, told("train"))
    table = list(rows("relu6", graph, splits, test, Observer))
    chosen = quantised(graph, splits)
    table.append(single("relu6", f"left open: {chosen.how.text()}", chosen.graph, test))
    int8 = quantise(*trained_on(graph, splits, options))
    table.append(single("relu6", "trained on as int8", int8, test))
    network = unequal(graph, options.seed)
    table += rows("relu, unequal channels", network, splits, test, [Observer.MSE])
    command = (
        f"python benchmarks/quantisation.py --epochs {options.epochs} --minutes {options.minutes:g} "
        f"--tune {options.tune} --seed {options.seed} --threads {options.threads}"
    )
    write("quantisation", command, HEADER, table)


if __name__ == "__main__":
    main()
