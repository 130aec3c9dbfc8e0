"""Torch modules mean to us what they mean to torch, as floats and as int8; nothing is left of N C H W."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from exact import real_outputs
from onnx_nets import channels_last
from tinyfoundry.errors import ModelError, OptionError, ToolError
from tinyfoundry.importers.onnx import Orders
from tinyfoundry.importers.torch import load, load_file
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph
from tinyfoundry.jobs.batches import Batches
from tinyfoundry.jobs.calibration import to_quantised
from torch_nets import NETS, inputs, made

# Queries, keys and values to heads and back, and channels shuffled: these elements really change places.
MOVES = {"transformer": 4, "shufflenet": 1}


def fed(graph: Graph, orders: Orders, tensors: tuple[torch.Tensor, ...]) -> list[Array]:
    pairs = zip(graph.inputs, tensors, strict=True)
    return [np.ascontiguousarray(tensor.numpy().transpose(orders[name])) for name, tensor in pairs]


def answers(module: nn.Module, tensors: tuple[torch.Tensor, ...]) -> list[Array]:
    """What torch says, images with their channels last."""
    module.eval()
    with torch.no_grad():
        found = module(*tensors)
    module.train()
    return [
        channels_last(y.numpy()) if y.dim() == 4 else y.numpy()
        for y in (found if isinstance(found, tuple) else (found,))
    ]


def quantised(graph: Graph, orders: Orders, batches: list[Any]) -> Graph:
    int8, _ = to_quantised(
        graph, Batches(batches, orders), float_faces=True, seed=0, progress=lambda _done, _all: None
    )
    return int8


@pytest.mark.parametrize("name", NETS)
def test_nets_are_close_as_floats_and_exact_as_int8(name: str, tmp_path: Path) -> None:
    module, shapes = made(name)
    graph, orders = load(module, tuple(torch.zeros(3, *shape[1:]) for shape in shapes))
    assert module.training  # it is left as it was
    assert Counter(node.op for node in graph.nodes)["transpose"] == MOVES.get(name, 0)
    tests = inputs(shapes, 4, seed=1)
    for tensors in tests:
        for got, want in zip(
            interpret(graph, fed(graph, orders, tensors)), answers(module, tensors), strict=True
        ):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want).max())

    int8 = quantised(graph, orders, inputs(shapes, 24, seed=2))
    kinds = {int8.types[n].dtype for n in int8.activations()} - {DType.INT8}
    assert kinds == {DType.FLOAT32}  # the faces
    sets, apart = [fed(graph, orders, tensors) for tensors in tests], []
    for tensors, found in zip(tests, real_outputs(int8, sets, tmp_path), strict=True):
        for got, want in zip(found, answers(module, tensors), strict=True):
            apart.append(np.abs(got - want).max() / np.abs(want).max())
    assert np.mean(apart) < 0.15


def test_layers_are_called_as_their_modules() -> None:
    graph, _ = load(made("mobilenet_v2")[0], torch.zeros(1, 3, 16, 16))
    names = [node.name for node in graph.nodes]
    assert {"t0_1", "t1_body_0_1", "t1_body_1_1", "t1_body_3_1", "t1", "t3"} <= set(names)


def test_exported_programs_and_their_files(tmp_path: Path) -> None:
    module, _ = made("resnet")
    x = inputs(((4, 3, 16, 16),), 1, seed=3)[0][0]
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module.eval(), (x,), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    graph, orders = load(program)
    again = load_file(tmp_path / "net.pt2")
    assert (graph.name, again.name) == ("program", "net")
    assert graph.types[graph.inputs[0]].shape == (1, 16, 16, 3)
    given = fed(graph, orders, (x[:1],))
    [got], [same] = interpret(graph, given), interpret(again, given)
    np.testing.assert_array_equal(got, same)
    np.testing.assert_allclose(got, answers(module, (x[:1],))[0], rtol=0, atol=1e-4)


def test_halves_and_doubles_are_read_as_float32() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).double()
    graph, _ = load(module, torch.ones(1, 4, dtype=torch.float64))
    assert graph.types[graph.inputs[0]].dtype == DType.FLOAT32
    assert next(module.parameters()).dtype == torch.float64


class Undecided(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(nn.Linear(4, 4), nn.Hardshrink())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(self.deep(x), 1).sort(1)[0]


class Bessel(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x) + torch.special.ndtri(x)


class Batchwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x)


class Wrong(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x


REFUSED: list[tuple[nn.Module, torch.Tensor, str]] = [
    (
        Undecided(),
        torch.ones(1, 4),
        "module 'Undecided': cannot be exported: what it computes depends on the values",
    ),
    (
        Unknown(),
        torch.ones(1, 4),
        r"module 'Unknown': not supported: .*CumSum \(1×: 'cumsum'\).*TopK \(1×: 'sort'\)",
    ),
    (Unknown(), torch.ones(1, 4), r"'deep\.1'"),
    (
        Bessel(),
        torch.ones(1, 4),
        r"torch cannot write prims\.bessel_j0\.default, prims\.ndtri\.default as ONNX: replace it",
    ),
    (
        Batchwise(),
        torch.ones(2, 3, 4, 4),
        "BatchNormalization 'norm' by the mean of its own input, as in training",
    ),
    (Wrong(), torch.ones(1, 4), "module 'Wrong': cannot be exported: "),
]


@pytest.mark.parametrize(("module", "example", "said"), REFUSED)
def test_what_cannot_be_read_is_said_in_a_line(module: nn.Module, example: torch.Tensor, said: str) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        load(module, example)
    assert "\n" not in str(refusal.value)


def test_sizes_that_are_not_fixed_are_refused() -> None:
    width = torch.export.Dim("width", min=4, max=64)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    program = torch.export.export(net.eval(), (torch.zeros(1, 3, 8, 8),), dynamic_shapes=({3: width},))
    with pytest.raises(ModelError, match="program: not supported: input 'input' with the unknown size"):
        load(program)


def test_arguments_that_are_wrong() -> None:
    net = nn.Linear(3, 2)
    with pytest.raises(OptionError, match="module 'Linear': example_input is missing"):
        load(net)
    with pytest.raises(
        OptionError, match="example_input: found ndarray; wanted a tensor or a tuple of tensors"
    ):
        load(net, np.zeros((1, 3)))
    with pytest.raises(OptionError, match=r"model: found a int; wanted a path, a Graph, an nn.Module or an"):
        load(3)


@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_missing_packages_are_asked_for(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = rf"package {package} is missing, which torch models need: pip install 'tinyfoundry\[torch\]'"
    with pytest.raises(ToolError, match=said):
        load(nn.Linear(3, 2), torch.zeros(1, 3))


def test_files_that_are_no_programs(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.pt2': no such file"):
        load_file(tmp_path / "absent.pt2")
    (tmp_path / "net.pt2").write_bytes(b"no program")
    with pytest.raises(ModelError, match=r"net\.pt2': cannot be exported: ") as refusal:
        load_file(tmp_path / "net.pt2")
    assert "\n" not in str(refusal.value)
