"""The DSP kernels over random shapes, borders, zero points, clamps, scales and extreme values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tinyfoundry.board import load_board
from tinyfoundry.builder import Builder
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window, same_padding
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add, Sub
from tinyfoundry.pipeline import compile_graph
from tinyfoundry.simulate.firmware import build_sources, flash
from tinyfoundry.simulate.host import HostModel
from tinyfoundry.simulate.simulation import Simulation

LAYERS = 12
ZERO_POINTS = (-128, 127, 0, 5)
ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6)


@dataclass
class Network:
    """Unconnected layers, each with its own input, side by side in one network."""

    builder: Builder
    rng: np.random.Generator
    outputs: list[str]
    inputs: int = 0

    def input(self, *shape: int) -> str:
        scale = float(self.rng.uniform(0.01, 0.1))
        type_ = Type(shape, DType.INT8, per_tensor(scale, int(self.rng.choice(ZERO_POINTS))))
        self.inputs += 1
        return self.builder.input(f"x{self.inputs}", type_)

    def weights(self, shape: tuple[int, ...], axis: int) -> tuple[str, str]:
        channels = shape[axis]
        values = self.rng.choice([self.rng.integers(-127, 128, shape), np.full(shape, 127)], p=[0.8, 0.2])
        scales = tuple(np.exp(self.rng.uniform(-8, -3, channels)))
        quant = Quantization(scales, (0,) * channels, axis if channels > 1 else 0)
        bias = self.rng.integers(-20000, 20000, channels).astype(np.int32)
        return (
            self.builder.constant("w", values.astype(np.int8), quant),
            self.builder.constant("b", bias),
        )

    def add(self, op: str, inputs: tuple[str, ...], attrs: object, taps: int) -> None:
        scale = float(np.exp(self.rng.uniform(-1, 2)) * 0.05 * 128 * np.exp(-5.5) * np.sqrt(taps))
        quant = per_tensor(scale, int(self.rng.choice(ZERO_POINTS)))
        self.outputs.append(self.builder.apply(op, inputs, attrs, quant))

    def activation(self) -> Activation:
        return ACTIVATIONS[int(self.rng.integers(len(ACTIVATIONS)))]


def window(rng: np.random.Generator, size: tuple[int, int], kernel: tuple[int, int], most: int) -> Window:
    stride = (int(rng.integers(1, most + 1)),) * 2
    if rng.random() < 0.3 and size[0] >= kernel[0] and size[1] >= kernel[1]:
        return Window(stride)
    return Window(stride, *(same_padding(size[i], kernel[i], stride[i]) for i in (0, 1)))


def convolution(net: Network) -> None:
    rng = net.rng
    size = int(rng.integers(2, 12)), int(rng.integers(2, 12))
    kernel = (1, 1) if rng.random() < 0.4 else (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    channels, out = int(rng.choice([1, 2, 3, 4, 5, 8, 16, 33])), int(rng.integers(1, 20))
    weights = net.weights((out, *kernel, channels), 0)
    attrs = Conv2D(window(rng, size, kernel, 2), net.activation())
    net.add("conv2d", (net.input(1, *size, channels), *weights), attrs, channels * kernel[0] * kernel[1])


def depthwise(net: Network) -> None:
    rng = net.rng
    size = int(rng.integers(4, 14)), int(rng.integers(4, 14))
    channels = 4 * int(rng.integers(1, 4))
    if rng.random() < 0.2:  # several strips of planes, rows of outputs farther apart than 4096 bytes
        size, channels = (int(rng.integers(4, 8)), int(rng.integers(190, 220))), 24
    kernel = int(rng.choice([3, 5, 7]))
    weights = net.weights((1, kernel, kernel, channels), 3)
    attrs = DepthwiseConv2D(window(rng, size, (kernel, kernel), 2), net.activation())
    net.add("depthwise_conv2d", (net.input(1, *size, channels), *weights), attrs, kernel**2)


def dense(net: Network) -> None:
    rng = net.rng
    rows, inputs, outputs = (int(rng.integers(1, limit)) for limit in (3, 150, 30))
    weights = net.weights((outputs, inputs), 0)
    net.add("dense", (net.input(rows, inputs), *weights), Dense(net.activation()), inputs)


def addition(net: Network) -> None:
    shape = tuple(int(size) for size in net.rng.integers(1, 7, 3))
    inputs = (
        net.input(*shape),
        net.input(
            *shape,
        ),
    )
    attrs, op = (Add(net.activation()), "add") if net.rng.random() < 0.7 else (Sub(net.activation()), "sub")
    scale = 0.05 * float(np.exp(net.rng.uniform(-1, 2)))
    net.outputs.append(
        net.builder.apply(op, inputs, attrs, per_tensor(scale, int(net.rng.choice(ZERO_POINTS))))
    )


def network(kind: str, seed: int) -> Graph:
    net = Network(Builder(f"{kind}_{seed}"), np.random.default_rng(seed), [])
    for _ in range(LAYERS):
        globals()[kind](net)
    return net.builder.finish(*net.outputs)


def inputs_of(graph: Graph, rng: np.random.Generator) -> list[list[Array]]:
    shapes = [graph.types[name].shape for name in graph.inputs]
    return [
        [np.full(shape, -128, np.int8) for shape in shapes],
        [np.full(shape, 127, np.int8) for shape in shapes],
        *([rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes] for _ in range(2)),
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["convolution", "depthwise", "dense", "addition"])
def test_random_layers_are_exact_on_the_board_and_on_the_host(kind: str, seed: int, tmp_path: Path) -> None:
    """Every byte of every layer equals the reference's, and most layers do run a DSP kernel."""
    graph = network(kind, seed)
    build = compile_graph(graph, load_board("nucleo-l4r5zi"))
    write_files(build.files, tmp_path)
    used = [layer.kernel.name for layer in build.layers if "dsp" in layer.kernel.isa]
    assert len(used) > LAYERS // 3, [layer.kernel.name for layer in build.layers]
    simulation = Simulation(flash(tmp_path, build.name, build.board))
    host = HostModel(build_sources(tmp_path, build.name))
    for values in inputs_of(graph, np.random.default_rng(seed)):
        wanted = [output.tobytes() for output in interpret(graph, values)]
        result = simulation.run(values)
        assert result.status == 0
        different = [
            name
            for name, got, want in zip(graph.outputs, result.outputs, wanted, strict=True)
            if got.tobytes() != want
        ]
        assert different == []
        assert [raw.tobytes() for raw in host.run(values)[0]] == wanted
