"""Every network of the zoo on a simulated board, held against LiteRT and the reference on 50 inputs."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

import tinyfoundry
import zoo
from graphs import inputs_of
from judged import assert_layers_are_litert_s
from tinyfoundry.op import all_ops

BOARDS = ("nucleo-f446re", "raspberry-pi-pico", "esp32-c3-devkitm-1")  # Armv7E-M, Armv6-M, RV32IMC

SAMPLES_ONLY: frozenset[str] = frozenset()
"""Ops that no network of the zoo uses: only the samples of their own test them."""


@pytest.mark.parametrize(("name", "board"), list(zip(zoo.NETS, cycle(BOARDS))))
def test_a_network_is_exact_on_the_board(name: str, board: str, tmp_path: Path) -> None:
    model, calibration, io = files = zoo.write(name, tmp_path)
    out = tmp_path / "out"
    built = tinyfoundry.compile(model, board=board, output=out, io=io, samples=2, calibration=calibration)
    found = tinyfoundry.verify(model, built.folder, samples=50).certificate
    assert found["differences"] == []
    assert sum(row["inputs"] for row in found["compared"]) == 50
    assert all(row["mismatches"] == {"host": 0, "board": 0, "LiteRT": 0} for row in found["compared"])
    graph = zoo.graph_of(files)
    assert_layers_are_litert_s(graph, inputs_of(graph, np.random.default_rng(6), 5))


def test_the_networks_use_every_op(tmp_path: Path) -> None:
    used = {node.op for name in zoo.NETS for node in zoo.graph_of(zoo.write(name, tmp_path)).nodes}
    assert {op.name for op in all_ops()} - used == SAMPLES_ONLY
