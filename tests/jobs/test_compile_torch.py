"""From torch to the simulated board: modules, loaders of batches in their usual forms, .pt2 files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tinyfoundry import api
from tinyfoundry.errors import DataError, InputError, OptionError
from tinyfoundry.ir.graph import Array, DType, Graph, Type
from tinyfoundry.jobs.batches import Batches
from tinyfoundry.jobs.calibration import calibration_inputs
from torch_nets import inputs, made

BOARD = "nucleo-f446re"


def test_a_module_and_a_loader_on_the_simulated_board(tmp_path: Path) -> None:
    """Squeeze and excitation, hard swish; images and labels in batches of eight."""
    module, shapes = made("mobilenet_v3")
    images = torch.cat([x for (x,) in inputs(shapes, 32, seed=2)])
    loader = DataLoader(TensorDataset(images, torch.zeros(32, dtype=torch.int64)), batch_size=8)
    built = api.compile(
        module, images[:8], calibration=loader, board=BOARD, output=tmp_path / "out", samples=6
    )
    report = built.report
    assert (report["exact"]["mismatches"], report["exact"]["inputs"]) == (0, 6)
    assert not [layer for layer in report["layers"] if layer["op"] == "transpose"]
    assert report["options"]["calibration"] == "given in Python"
    with torch.no_grad():
        want = module.eval()(images[:1]).numpy().ravel()
    found = api.simulate(built.folder, images[0].permute(1, 2, 0)[None].contiguous().numpy()).ravel()
    assert np.abs(found - want).max() < 0.15 * np.abs(want).max()
    with pytest.raises(
        InputError, match="was calibrated with data given in Python, which are gone; compile it"
    ):
        api.verify(tmp_path / "net.pt2", built.folder)


def test_several_inputs_by_name(tmp_path: Path) -> None:
    module, shapes = made("fusion")
    batches = [dict(zip(("readings", "image"), (b, a), strict=True)) for a, b in inputs(shapes, 10, seed=2)]
    example = tuple(torch.zeros(shape) for shape in shapes)
    built = api.compile(module, example, calibration=batches, board=BOARD, output=tmp_path / "out", samples=6)
    assert built.report["exact"]["mismatches"] == 0
    assert [face["shape"] for face in built.report["inputs"]] == [[1, 9, 7, 1], [1, 5]]


def test_the_file_of_a_detector(tmp_path: Path) -> None:
    """Two outputs; what torch.export.save writes, calibrated from an .npy; and verified."""
    module, shapes = made("detector")
    program = torch.export.export(module.eval(), (torch.zeros(shapes[0]),))
    model, data = tmp_path / "net.pt2", tmp_path / "x.npy"
    torch.export.save(program, model)
    np.save(data, torch.cat([x for (x,) in inputs(shapes, 12, seed=1)]).numpy())
    built = api.compile(model, board=BOARD, output=tmp_path / "out", samples=5, calibration=data)
    assert built.report["exact"]["mismatches"] == 0
    assert [face["shape"] for face in built.report["outputs"]] == [[1, 32, 4], [1, 32, 3]]
    assert api.verify(model, built.folder, samples=5).exact


def test_the_errors_of_a_module() -> None:
    """A row for each layer that int8 has, named after its module, the worst first."""
    module, shapes = made("fusion")
    batches = list(inputs(shapes, 6, seed=2))
    example = tuple(torch.zeros(shape) for shape in shapes)
    rows = api.errors(module, batches, example, observer="min-max", equalise=False, bias_correction=False)
    assert len({row.name for row in rows}) == len(rows) > 2
    own = [row.own for row in rows]
    assert own == sorted(own)


def test_examples_are_for_modules_alone(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="example_input: is for torch modules alone; leave it out"):
        api.compile("net.onnx", torch.zeros(1), board=BOARD, output=tmp_path / "out")


IMAGES = Graph(
    "net",
    ("x", "v"),
    ("x",),
    (),
    {"x": Type((1, 4, 5, 3), DType.FLOAT32), "v": Type((1, 2), DType.FLOAT32)},
    {},
)
ORDERS = {"x": (0, 2, 3, 1), "v": (0, 1)}
X, V = np.random.default_rng(0).standard_normal((6, 3, 4, 5)), np.arange(12.0).reshape(6, 2)


def taken(source: Iterable[Any], orders: dict[str, tuple[int, ...]] | None = None) -> list[Array]:
    return calibration_inputs(Batches(source, ORDERS if orders is None else orders), IMAGES, seed=0)


def one_shot() -> Iterator[Any]:
    yield from ((X[i : i + 3], V[i : i + 3]) for i in (0, 3))


@pytest.mark.parametrize(
    "source",
    [
        [(X, V)], [[X, V]], [{"v": V, "x": X, "y": V}], [((X, V), "labels")], [({"x": X, "v": V}, "labels")],
        [(torch.from_numpy(X), torch.from_numpy(V), "labels")], one_shot(), list(zip(X, V, strict=True)),
    ],
)  # fmt: skip
def test_batches_of_every_form(source: Iterable[Any]) -> None:
    assert_taken(taken(source))


def test_layouts_are_told_by_shapes_where_the_model_says_nothing() -> None:
    """What a file or a graph is calibrated with: channels first or last."""
    assert_taken(taken([(X, V)], orders={}))
    assert_taken(taken([(X.transpose(0, 2, 3, 1), V)], orders={}))


def assert_taken(found: list[Array]) -> None:
    x, v = found
    assert (x.shape, v.shape, x.dtype) == ((6, 1, 4, 5, 3), (6, 1, 2), np.float32)
    np.testing.assert_allclose(x[:, 0], np.moveaxis(X, 1, -1), rtol=1e-6)
    np.testing.assert_allclose(v[:, 0], V)


def test_no_more_than_are_wanted_are_taken() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield X, V

    assert [len(array) for array in taken(endless())] == [500, 500]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([], r"calibration: found no batches; wanted at least one \(a used-up iterator gives none\)"),
        ([X], "calibration, batch 0: 1 arrays for the inputs x, v; wanted one for each"),
        ([{"x": X}], "calibration, batch 0: has no v, only x"),
        ([(X, V), (X[:2], V)], r"calibration, batch 1: \[2, 6\] samples; wanted as many for each input"),
        ([(X.transpose(0, 2, 3, 1), V)], r"batch 0, x: shape \[6, 4, 5, 3\]; wanted .* of \[1, 3, 4, 5\]"),
        ([(X * np.nan, V)], "batch 0, x: holds a NaN or an infinity; wanted finite numbers"),
    ],
)
def test_batches_that_do_not_suit(source: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        taken(source)
