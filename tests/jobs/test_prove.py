"""Three executions of one network, and what happens when they are not of one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from c_libraries import compiled, small_net, two_faced_net
from tinyfoundry.board import load_board
from tinyfoundry.errors import Mismatch
from tinyfoundry.ir.graph import Array
from tinyfoundry.jobs.measure import Measured, measure, zeros
from tinyfoundry.jobs.prove import prove
from tinyfoundry.jobs.samples import sample_inputs
from tinyfoundry.pipeline import Build

PORTABLE = load_board("raspberry-pi-pico")  # tables as they are in the graph, not packed for a kernel


def on_board(build: Build, folder: Path, count: int = 5) -> tuple[Measured, Sequence[Sequence[Array]]]:
    inputs = sample_inputs(build.graph, count, 0)
    return measure(build, folder, inputs), inputs


def tamper(folder: Path) -> None:
    """Another bias of the last layer."""
    tables = folder / "src/small_tables.c"
    text = tables.read_text()
    assert text.count("{\n    1, -2\n}") == 1
    tables.write_text(text.replace("{\n    1, -2\n}", "{\n    1, 900\n}"))


@pytest.mark.parametrize("net", [small_net, two_faced_net])
def test_all_three_agree(net: object, tmp_path: Path) -> None:
    measured, inputs = on_board(compiled(net(), tmp_path), tmp_path)
    steps = []
    proof = prove(measured, tmp_path, inputs, 20, lambda done, total: steps.append((done, total)))
    assert (proof.inputs, proof.mismatches) == (5, 0)
    assert proof.against == ("the host build", "the numpy reference")
    for host, board in zip(proof.host, measured.outputs, strict=True):
        assert [raw.tobytes() for raw in host] == [raw.tobytes() for raw in board]
    assert steps == [(i, 5) for i in range(1, 6)]
    assert prove(measured, tmp_path, inputs, 2).against[1] == "the numpy reference (first 2)"


def test_a_weight_changed_after_the_board_ran(tmp_path: Path) -> None:
    measured, inputs = on_board(compiled(small_net(), tmp_path, PORTABLE), tmp_path)
    tamper(tmp_path)
    text = (
        r"^model 'small': [1-5] of 5 inputs differ; input \d, output 'scores', byte 1: the board gives "
        r"-?\d+, the host build -?\d+; report it$"
    )
    with pytest.raises(Mismatch, match=text):
        prove(measured, tmp_path, inputs, 0)


def test_a_weight_changed_before_the_board_ran(tmp_path: Path) -> None:
    """Board and host agree on the wrong bytes; the reference knows better, as far as it is asked."""
    build = compiled(small_net(), tmp_path, PORTABLE)
    tamper(tmp_path)
    measured, inputs = on_board(build, tmp_path)
    with pytest.raises(Mismatch, match=r"byte 1: the board gives .*, the numpy reference "):
        prove(measured, tmp_path, inputs, 1)
    assert prove(measured, tmp_path, inputs, 0).mismatches == 0


def test_sample_inputs_begin_with_the_corners() -> None:
    graph = two_faced_net()
    sets = sample_inputs(graph, 6, 3)
    assert [values[1].flat[0] for values in sets[:3]] == [-128, 127, 5]
    assert len({values[0].tobytes() for values in sets}) == 6
    again = sample_inputs(graph, 6, 3)
    assert all(
        np.array_equal(a, b) for x, y in zip(sets, again, strict=True) for a, b in zip(x, y, strict=True)
    )


def test_zeros_have_the_inputs_types(tmp_path: Path) -> None:
    values = zeros(compiled(two_faced_net(), tmp_path))
    assert [(v.shape, str(v.dtype), int(v.any())) for v in values] == [((1, 3), "int8", 0)] * 2
