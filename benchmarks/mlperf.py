"""Accuracy of MLPerf Tiny's networks on their data: LiteRT, host C and simulated board on the same inputs.

    python benchmarks/mlperf.py [--board 2000]

All inputs go through LiteRT's default kernels, without delegates, and the C on this machine; the first
``--board`` of them also through the simulated board and LiteRT's reference kernels, which round as
microcontrollers do (dense layers put right, see docs/exactness.md). "mismatches" are inputs for which a byte
of the output differs from the C on this machine.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import tinyfoundry
from datasets import tinydata
from results import shared, write
from tinyfoundry.importers.tflite import load, tensor_numbers
from tinyfoundry.jobs.litert import FileJudge, litert_interpreter
from tinyfoundry.simulate.firmware import build_sources
from tinyfoundry.simulate.host import HostModel

Values = npt.NDArray[Any]
BOARD = "nucleo-l4r5zi"
HEADER = (
    *("network", "data", "inputs", "accuracy LiteRT default / host C %", "inputs on the board"),
    *("accuracy LiteRT default / LiteRT reference / board %", "mismatches LiteRT reference / board"),
    "target %",
)


class Task(NamedTuple):
    """A network, what it is fed (stored int8 values, one input a row), the right classes, MLPerf's target."""

    model: str
    data: str
    inputs: Values
    labels: Values
    target: float


def keywords() -> Task:
    """Half of the benchmark's clips, as the features that it hands to the network."""
    arrays = tinydata("kws01_dev500", "mfcc", "y")
    mfcc = arrays["mfcc"].reshape(-1, 1, 49, 10, 1)
    return Task("kws_ref_model", "500 of the 1,000 clips of kws01, MFCC", mfcc, arrays["y"], 90.0)


def images() -> Task:
    """The test part of CIFAR-10; the input's scale is 1, its zero point -128."""
    arrays = tinydata("cifar10_full", "X_test", "y_test")
    pictures = (arrays["X_test"].astype(np.int16) - 128).astype(np.int8)[:, None]
    return Task("pretrainedResnet_quant", "CIFAR-10, all of its test part", pictures, arrays["y_test"], 85.0)


def answers(run: Callable[[Values], Values], inputs: Values) -> Values:
    """The output, as stored int8 values, for each input."""
    return np.stack([run(x).reshape(-1).view(np.int8) for x in inputs])


def default_litert(model: bytes) -> Callable[[Values], Values]:
    """LiteRT's default kernels."""
    interpreter = litert_interpreter(model, reference=False)
    [x], [y] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(value: Values) -> Values:
        interpreter.set_tensor(x["index"], value)
        interpreter.invoke()
        return interpreter.get_tensor(y["index"])

    return run


def percent(found: Values, labels: Values) -> str:
    """Of answers whose largest value is at the right class."""
    return f"{100 * np.mean(found.argmax(1) == labels):.2f}"


def differing(a: Values, b: Values) -> str:
    """How many answers are not the same bytes."""
    return str(int((a != b).any(axis=1).sum()))


def row(task: Task, on_board: int) -> list[str]:
    """One network's figures."""
    path = shared() / "models" / f"{task.model}.tflite"
    model, graph = path.read_bytes(), load(path)
    judge = FileJudge(graph, model, tensor_numbers(model))
    few, labels, first = task.inputs[:on_board], task.labels, slice(on_board)
    with tempfile.TemporaryDirectory() as folder:
        built = tinyfoundry.compile(path, board=BOARD, output=Path(folder) / "out")
        c = HostModel(build_sources(built.folder, built.report["model"]))
        host = answers(lambda x: c.run([x])[0][0], task.inputs)
        simulated = tinyfoundry.load(built.folder)
        board = answers(lambda x: simulated.run([x])[0], few)
    judged = answers(lambda x: judge.run([x])[graph.outputs[0]], few)
    litert = answers(default_litert(model), task.inputs)
    return [
        task.model,
        task.data,
        f"{len(task.inputs):,}",
        f"{percent(litert, labels)} / {percent(host, labels)}",
        f"{len(few):,}",
        " / ".join(percent(found, labels[first]) for found in (litert[first], judged, board)),
        f"{differing(judged, host[first])} / {differing(board, host[first])}",
        f"{task.target:g}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both networks and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--board", type=int, default=2000, help="inputs to run on the simulated board")
    options = parser.parse_args(arguments)
    rows = [row(task(), options.board) for task in (keywords, images)]
    write("mlperf", f"python benchmarks/mlperf.py --board {options.board}", HEADER, rows)


if __name__ == "__main__":
    main()
