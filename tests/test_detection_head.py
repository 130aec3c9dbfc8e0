"""The answers of a network with two inputs and seven outputs, as Python users get them from the board."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tinyfoundry
from detector import Detector
from graphs import inputs_of
from litert import litert_judge
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load


def test_a_detector_is_exact_on_the_board(tmp_path: Path) -> None:
    graph = Detector().graph()
    path = tmp_path / "detector.tflite"
    path.write_bytes(export(graph))
    built = tinyfoundry.compile(path, board="raspberry-pi-pico", output=tmp_path / "out", samples=20)
    assert built.report["exact"]["mismatches"] == 0
    again = load(path)
    judge = litert_judge(again)
    board_run = tinyfoundry.load(built.folder)
    for values in inputs_of(again, np.random.default_rng(3), 4):
        results = board_run.run(values)
        assert [result.shape for result in results] == [again.types[name].shape for name in again.outputs]
        for found, wanted in zip(results, judge(values), strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
