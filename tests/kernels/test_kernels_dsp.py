"""The DSP kernels over random shapes, borders, zero points, clamps, scales and extreme values."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from c_libraries import STRICT, compiled, run_self_test
from tinyfoundry.board import load_board
from tinyfoundry.builder import Builder
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.kernel import common_headers
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window, same_padding
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add, Sub
from tinyfoundry.pipeline import Build, compile_graph
from tinyfoundry.simulate.firmware import Sources, build_sources, flash
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


GCC = shutil.which("arm-none-eabi-gcc")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def kernels_of(build: Build) -> list[str]:
    return [layer.kernel.name for layer in build.layers]


@pytest.mark.skipif(GCC is None, reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize("level", ["-O0", "-Og", "-O1", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("kind", ["convolution", "depthwise", "dense", "addition"])
def test_gcc_gives_the_same_bytes(kind: str, level: str, tmp_path: Path) -> None:
    """Packages are compiled by gcc at levels of its own; it places constants and registers otherwise."""
    graph = network(kind, 5)
    build = compile_graph(graph, load_board("nucleo-l4r5zi"))
    write_files(build.files, tmp_path)
    sources = build_sources(tmp_path, build.name)
    objects = tuple(tmp_path / f"{file.stem}.o" for file in sources.files)
    for file, made in zip(sources.files, objects, strict=True):
        chip = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-ffreestanding")
        command = [str(GCC), *STRICT, *chip, level, f"-I{tmp_path}/include", "-c", str(file), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
    linked = Sources(build.name, objects, sources.include, sources.inputs, sources.outputs)
    simulation = Simulation(flash(linked, build.name, build.board))
    for values in inputs_of(graph, np.random.default_rng(5)):
        wanted = [output.tobytes() for output in interpret(graph, values)]
        assert [output.tobytes() for output in simulation.run(values).outputs] == wanted


def test_assembly_that_compilers_can_reckon_with() -> None:
    """gcc drops assembly that is not volatile and whose results nothing reads, writes to memory or not; and
    it reckons its length by its lines.
    """
    texts = common_headers().values()
    loops = [text for text in texts if re.search(r"__asm__[^;]*\"memory\"", text)]
    assert len(loops) == 4
    for text in loops:
        assert re.findall(r"__asm__(?! volatile)", text) == []
        assert ".rept" not in text


def test_sums_that_wrap_are_defined_in_c(tmp_path: Path) -> None:
    """256 times one sum and another need not fit 32 bits for either to be right."""
    net = Network(Builder("wraps"), np.random.default_rng(1), [])
    bias = np.full(2, 2**23 - 600, np.int32)
    ones, quant = np.ones((2, 4), np.int8), per_tensor(0.001)
    for op, shape, attrs in (("dense", (1, 4), Dense()), ("conv2d", (1, 2, 2, 4), Conv2D())):
        x = net.builder.input(f"x_{op}", Type(shape, DType.INT8, per_tensor(0.05, 0)))
        w = net.builder.constant("w", ones if op == "dense" else ones[:, None, None], quant)
        inputs = (x, w, net.builder.constant("b", bias))
        net.outputs.append(net.builder.apply(op, inputs, attrs, per_tensor(4.0, 0)))
    build = compiled(net.builder.finish(*net.outputs), tmp_path)
    assert kernels_of(build) == ["dense_rows_dsp_s8", "conv2d_tile_dsp_s8"]
    run_self_test(tmp_path, SANITIZERS)


@pytest.mark.parametrize("channels", [4092, 4096])
def test_planes_of_so_many_channels_that_pixels_are_4096_bytes_apart(channels: int, tmp_path: Path) -> None:
    """As far as instructions reach, odd columns included; farther, another kernel."""
    net = Network(Builder("wide"), np.random.default_rng(2), [])
    weights = net.weights((1, 3, 3, channels), 3)
    attrs = DepthwiseConv2D(Window((1, 1), (1, 1), (1, 1)))
    net.add("depthwise_conv2d", (net.input(1, 3, 3, channels), *weights), attrs, 9)
    build = compile_graph(net.builder.finish(*net.outputs), load_board("nucleo-l4r5zi"))
    assert kernels_of(build) == [f"depthwise_conv2d_{'plane_dsp_s8' if channels < 4096 else 's8'}"]
    write_files(build.files, tmp_path)
    simulation = Simulation(flash(tmp_path, build.name, build.board))
    for values in inputs_of(build.graph, np.random.default_rng(2))[2:]:
        assert simulation.run(values).outputs[0].tobytes() == interpret(build.graph, values)[0].tobytes()


def test_windows_longer_than_a_tile_can_count() -> None:
    net = Network(Builder("long"), np.random.default_rng(3), [])
    w = net.builder.constant("w", np.zeros((2, 1, 1, 33000), np.int8), per_tensor(0.01))
    inputs = (net.input(1, 2, 2, 33000), w, net.builder.constant("b", np.zeros(2, np.int32)))
    net.outputs.append(net.builder.apply("conv2d", inputs, Conv2D(), per_tensor(0.1)))
    build = compile_graph(net.builder.finish(*net.outputs), load_board("nucleo-l4r5zi"))
    assert kernels_of(build) == ["conv2d_s8"]
