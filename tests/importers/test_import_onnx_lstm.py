"""ONNX's LSTM, as onnxruntime and torch have it, in float and quantised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyfoundry
from onnx_nets import Net, assert_means_the_same, from_torch
from tinyfoundry.errors import ModelError
from tinyfoundry.importers.onnx import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, Graph
from tinyfoundry.passes.calibrate import calibrate
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.pipeline import Options, simplify

STEPS, BATCH, FEATURES, UNITS = 6, 2, 5, 7
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def lstm(direction: str = "forward", started: bool = False, biased: bool = True, **attributes: Any) -> Net:
    """X and the outputs Y, Y_h and Y_c; started: with other states than zeros."""
    net, d = Net((STEPS, BATCH, FEATURES)), DIRECTIONS[direction]
    w, r = (net.random(d, 4 * UNITS, size, fan_in=size) for size in (FEATURES, UNITS))
    bias = net.random(d, 8 * UNITS) if biased else ""
    states = [net.random(d, BATCH, UNITS) for _ in range(2)] if started else []
    inputs = ("x", w, r, bias, "", *states)
    net.add("LSTM", *inputs, outputs=3, hidden_size=UNITS, direction=direction, **attributes)
    return net


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_direction_and_every_output(direction: str, started: bool) -> None:
    model = lstm(direction, started, biased=not started).bytes("lstm0a", "lstm0b", "lstm0c")
    assert_means_the_same(load(model), model, [(STEPS, BATCH, FEATURES)], turned="")


def test_activations_that_are_the_usual_ones_may_be_named() -> None:
    model = lstm(activations=["Sigmoid", "Tanh", "Tanh"]).bytes()
    assert_means_the_same(load(model), model, [(STEPS, BATCH, FEATURES)], turned="")


def test_everything_unsupported_of_an_lstm_is_listed_at_once() -> None:
    model = lstm(activations=["Relu", "Tanh", "Tanh"], clip=1.0, input_forget=1, layout=1).bytes()
    with pytest.raises(
        ModelError,
        match=r"LSTM 'lstm0a' with input_forget 1 .wanted 0., with layout 1 .wanted 0., with clipped gates, "
        "with other activations than Sigmoid, Tanh, Tanh",
    ):
        load(model)


def test_states_that_are_computed_are_refused() -> None:
    net = lstm()
    net.add("LSTM", "x", *net.nodes[0].input[1:4], "", "lstm0b", outputs=3, hidden_size=UNITS)
    with pytest.raises(
        ModelError, match=r"LSTM 'lstm1a' with an input 5 that is computed .wanted a constant"
    ):
        load(net.bytes())


def test_weights_of_another_size_are_refused() -> None:
    net = Net((STEPS, BATCH, FEATURES))
    net.add("LSTM", "x", net.random(1, 4 * UNITS, 4), net.random(1, 4 * UNITS, UNITS), hidden_size=UNITS)
    with pytest.raises(
        ModelError, match=r"with input 1 \[1, 28, 4\] .wanted \[1, 28, 5\].; the file is damaged"
    ):
        load(net.bytes())


def torch_net(layers: int, both_ways: bool, last: bool) -> Any:
    import torch

    class Classifier(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(layers)
            self.memory = torch.nn.LSTM(6, 16, layers, batch_first=True, bidirectional=both_ways)
            self.head = torch.nn.Linear(32 if both_ways else 16, 3)

        def forward(self, x: Any) -> Any:
            y, (h, _) = self.memory(x)
            return self.head(h.squeeze(0) if last else y)

    return Classifier().eval()


TORCH = {
    "last": (1, False, True),
    "every_step": (1, False, False),
    "deep": (2, False, False),
    "both_ways": (1, True, False),
}
# Root mean square error of int8 by the spread of the outputs, on samples that calibration has not seen;
# measured: 1.0, 2.0, 0.4 and 1.2 per cent.
MOST_ERROR = 0.03


@pytest.mark.parametrize("case", TORCH)
def test_a_torch_lstm_quantised_is_near_torch(case: str, tmp_path: Path) -> None:
    import torch

    module, shape = torch_net(*TORCH[case]), (1, 12, 6)
    model = from_torch(module, torch.zeros(shape), tmp_path, dynamo=False)
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((60, *shape[1:])).astype(np.float32)
    with torch.no_grad():
        wanted = [module(torch.from_numpy(x[None])).numpy() for x in samples]
    graph = simplify(load(model), Options(float_faces=True))
    assert "transpose" not in {node.op for node in graph.nodes}
    assert _error(graph, samples, wanted) < 1e-5 * np.std(wanted)
    int8 = quantise(graph, calibrate(graph, samples[:40]), float_faces=True)
    assert _error(int8, samples[40:], wanted[40:]) < MOST_ERROR * np.std(wanted)


def _error(graph: Graph, samples: Array, wanted: list[Array]) -> float:
    found = [interpret(graph, [x[None]])[0] for x in samples]
    return float(np.sqrt(np.mean((np.array(found) - np.array(wanted)) ** 2)))


def test_a_torch_lstm_compiles_and_starts_anew_in_every_run(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(1)
    model = tmp_path / "spotter.onnx"
    model.write_bytes(from_torch(torch_net(*TORCH["last"]), torch.zeros(1, 12, 6), tmp_path, dynamo=False))
    samples = np.random.default_rng(2).standard_normal((30, 12, 6)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    built = tinyfoundry.compile(
        model, board="nucleo-f446re", output=tmp_path / "out", calibration=tmp_path / "samples.npy", samples=8
    )
    assert built.report["exact"]["mismatches"] == built.report["plan"]["states"] == 0
    assert "_reset" not in (tmp_path / "out/include/spotter.h").read_text()
    found = tinyfoundry.verify(model, tmp_path / "out", samples=8, data=tmp_path / "samples.npy")
    assert found.exact
    assert {tuple(row["mismatches"].values()) for row in found.certificate["compared"]} == {(0, 0, 0)}
    loaded = tinyfoundry.load(tmp_path / "out")
    first, second = (loaded.run([samples[0]])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
