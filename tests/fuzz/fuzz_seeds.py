"""The small models that a campaign starts from: together they have every row of both importers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

import tinyfoundry.pipeline  # noqa: F401 - registers every op
from graphs import single
from importers.test_import_moves import OPERATORS, file_of
from onnx_nets import Net, autoencoder, ds_cnn, quantised
from small_nets import random_net
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.jobs.litert import alone
from tinyfoundry.op import all_ops

IMAGE = (1, 6, 9, 8)
WINDOWS = ("AveragePool", "MaxPool")
FUNCTIONS = ("Abs", "Exp", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Softmax", "Sqrt", "Tanh", "Identity")
PAIRS = ("Add", "Div", "Max", "Min", "Mul", "PRelu", "Sub")


def tflite_seeds() -> Iterator[bytes]:
    """Samples of every op, operators as other makers write them, and random networks."""
    for op in all_ops():
        for number, sample in enumerate(op.samples(np.random.default_rng(0))):
            if number < 4:
                graph = single(op, sample)
                with suppress(ModelError):  # a few curves have no operator
                    yield export(alone(graph, graph.nodes[0]))
    for code, version, options, make in OPERATORS:
        yield from (file_of(code, version, options, make(np.random.default_rng(seed))) for seed in (1, 2))
    for seed in range(8):
        yield export(random_net(seed, floats=seed % 3 == 0))


def onnx_seeds() -> Iterator[bytes]:
    """Each operator in a small net, a few nets of many, and two quantised by onnxruntime."""
    yield from (_net(build) for build in (_windows, _functions, _pairs, _shapes, _products, _norms, _folds))
    yield from (_net(lambda net, op=op: net.add(op)) for op in FUNCTIONS)
    yield from (_net(lambda net, op=op: net.add(op, "x", net.random(6, 1, 1))) for op in PAIRS)
    yield from (_net(lambda net, op=op: net.add(op, kernel_shape=[3, 2], strides=[2, 1])) for op in WINDOWS)
    yield from (_net(_line, shape=(1, 4, 12), opset=opset) for opset in (7, 13))
    yield ds_cnn()
    with tempfile.TemporaryDirectory() as folder:
        yield quantised(ds_cnn(), Path(folder), (1, 1, 49, 10))
        yield quantised(autoencoder(), Path(folder), (1, 64))


def _net(build: Callable[[Net], object], shape: tuple[int, ...] = IMAGE, opset: int = 17) -> bytes:
    net = Net(shape, opset=opset)
    build(net)
    return net.bytes()


def _ints(net: Net, *values: int) -> str:
    return net.constant(values, np.int64)


def _windows(net: Net) -> None:
    net.conv(4, 6, 3, 2), net.batch_norm(4), net.relu6()
    net.conv(4, 4, 3, group=4), net.add("Relu"), net.batch_norm(4)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    net.add("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    net.add("ConvTranspose", net.last, net.random(4, 3, 3, 3), strides=[2, 2], pads=[1] * 4)
    net.add("GlobalAveragePool"), net.add("Flatten"), net.gemm(5, 3), net.add("Softmax")


def _functions(net: Net) -> None:
    for op in FUNCTIONS:
        net.add(op)
    net.add("Pow", net.last, net.constant(2.0)), net.add("Dropout")


def _pairs(net: Net) -> None:
    x = net.last
    for op in ("Add", "Mul", "Max", "Min", "Sub"):
        net.add(op, x, net.last)
    net.add("Concat", x, net.last, axis=1), net.add("Div", net.last, net.constant(3.0))


def _shapes(net: Net) -> None:
    net.add("Transpose", perm=[0, 2, 3, 1])
    net.add("Pad", net.last, _ints(net, 0, 1, 2, 0, 0, 1, 0, 0))
    net.add("Unsqueeze", net.last, _ints(net, 1)), net.add("Squeeze", net.last, _ints(net, 1))
    net.add("ReduceMean", net.last, axes=[1, 2], keepdims=0)
    net.add("Reshape", net.last, _ints(net, 0, 2, -1))


def _products(net: Net) -> None:
    net.add("Reshape", net.last, _ints(net, 1, 6, 72))
    x = net.last
    net.add("MatMul", x, net.add("Transpose", x, perm=[0, 2, 1])), net.add("Softmax", axis=-1)
    net.add("MatMul", net.last, net.random(6, 4)), net.add("Add", net.last, net.random(4))


def _norms(net: Net) -> None:
    net.batch_norm(6), net.add("Clip", net.last, net.constant(-1.0), net.constant(1.0)), net.batch_norm(6)


def _folds(net: Net) -> None:
    shape = net.add("Shape")
    first = net.add("Gather", shape, _ints(net, 0), axis=0)
    net.add("Cast", first, to=7), net.add("Concat", net.last, _ints(net, -1), axis=0)
    net.add("Reshape", "x", net.last)


def _line(net: Net) -> None:
    net.add("Conv", net.last, net.random(4, 1, 3), group=4), net.batch_norm(4)
    net.add("MaxPool", kernel_shape=[2]), net.add("Softmax")
