"""Float networks that the tests quantise to 16x8, with the ranges that their inputs give them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import DType, Graph, Type
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._samples import same
from tinyfoundry.ops._window import Pair, Window
from tinyfoundry.ops.batch_matmul import BatchMatMul
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.ops.indexing import StridedSlice
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.product import Mul
from tinyfoundry.ops.reduce import Mean
from tinyfoundry.ops.resize import Resize
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape, Transpose
from tinyfoundry.ops.transpose_conv import TransposeConv
from tinyfoundry.passes.calibrate import calibrate
from tinyfoundry.passes.quantise import quantise


class Net:
    """A builder with layers whose weights are random, of about unit gain."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.b, self.rng = Builder(name), np.random.default_rng(len(name))
        self.x = self.b.input("x", Type(shape, DType.FLOAT32))

    def weights(self, shape: tuple[int, ...], units: int) -> tuple[str, str]:
        taps = int(np.prod(shape)) // units
        w = self.rng.standard_normal(shape) / np.sqrt(taps)
        return (
            self.b.constant("w", w.astype(np.float32)),
            self.b.constant("b", (self.rng.standard_normal(units) * 0.1).astype(np.float32)),
        )

    def size(self, x: str) -> Pair:
        shape = self.b.type_of(x).shape
        return shape[1], shape[2]

    def conv(
        self, x: str, units: int, kernel: Pair = (3, 3), stride: Pair = (1, 1), relu: bool = True
    ) -> str:
        w, b = self.weights((units, *kernel, self.b.type_of(x).shape[3]), units)
        kind = Activation.RELU if relu else Activation.NONE
        return self.b.apply("conv2d", (x, w, b), Conv2D(same(self.size(x), kernel, stride), kind))

    def depthwise(self, x: str, stride: Pair = (1, 1)) -> str:
        channels = self.b.type_of(x).shape[3]
        w, b = self.weights((1, 3, 3, channels), channels)
        window = same(self.size(x), (3, 3), stride)
        return self.b.apply("depthwise_conv2d", (x, w, b), DepthwiseConv2D(window, Activation.RELU6))

    def dense(self, x: str, units: int, kind: Activation = Activation.NONE) -> str:
        w, b = self.weights((units, self.b.type_of(x).shape[1]), units)
        return self.b.apply("dense", (x, w, b), Dense(kind))

    def flat(self, x: str) -> str:
        return self.b.apply("reshape", (x,), Reshape((1, self.b.type_of(x).elements)))


def ds_cnn() -> Graph:
    """Depthwise-separable blocks behind a tall kernel, as for keywords."""
    n = Net("ds_cnn_16", (1, 13, 10, 1))
    x = n.conv(n.x, 8, (10, 4), (2, 2))
    for _ in range(2):
        x = n.conv(n.depthwise(x), 8, (1, 1))
    x = n.b.apply("average_pool2d", (x,), AveragePool2D(n.size(x)))
    return n.b.finish(n.b.apply("softmax", (n.dense(n.flat(x), 12),)))


def residual() -> Graph:
    """Residual blocks, one with a projected shortcut, then a maximum and a global mean."""
    n = Net("residual_16", (1, 8, 8, 3))
    x = n.conv(n.x, 6)
    x = n.b.apply("add", (x, n.conv(n.conv(x, 6), 6, relu=False)), Add(Activation.RELU))
    shortcut = n.conv(x, 8, (1, 1), (2, 2), relu=False)
    x = n.b.apply("sub", (shortcut, n.conv(n.conv(x, 8, stride=(2, 2)), 8, relu=False)))
    x = n.b.apply("leaky_relu", (x,))
    x = n.b.apply("max_pool2d", (x,), MaxPool2D((2, 2), Window((2, 2))))
    x = n.b.apply("mean", (x,), Mean((1, 2)))
    return n.b.finish(n.dense(x, 10))


def autoencoder() -> Graph:
    """Convolutions down, a narrow dense layer, transposed convolution and resizing up."""
    n = Net("autoencoder_16", (1, 8, 8, 2))
    x = n.conv(n.conv(n.x, 4, stride=(2, 2)), 6, stride=(2, 2))
    x = n.dense(n.dense(n.flat(x), 5, Activation.RELU), 16, Activation.RELU)
    x = n.b.apply("reshape", (x,), Reshape((1, 2, 2, 4)))
    w, b = n.weights((3, 4, 4, 4), 3)
    x = n.b.apply("transpose_conv", (x, w, b), TransposeConv((4, 4), same((4, 4), (4, 4), (2, 2))))
    x = n.b.apply("resize_bilinear", (x,), Resize((8, 8), half_pixel_centers=True))
    return n.b.finish(n.b.apply("tanh", (n.conv(x, 2, relu=False),)))


def squeeze_excite() -> Graph:
    """Channels weighted by a logistic of their means; branches cut, padded, turned and joined."""
    n = Net("squeeze_excite_16", (1, 6, 6, 3))
    x = n.conv(n.x, 8)
    y = n.b.apply("mean", (x,), Mean((1, 2), keep_dims=True))
    y = n.b.apply("logistic", (n.conv(n.conv(y, 4, (1, 1)), 8, (1, 1), relu=False),))
    x = n.b.apply("mul", (x, y), Mul())
    left = n.b.apply("strided_slice", (x,), StridedSlice((0, 0, 0, 0), (1, 6, 6, 4), (1, 1, 1, 1)))
    right = n.b.apply("strided_slice", (x,), StridedSlice((0, 5, 0, 4), (1, 3, 6, 4), (1, -2, 1, 1)))
    right = n.b.apply("pad", (right,), Pad((0, 1, 0, 0), (0, 2, 0, 0)))
    right = n.b.apply("transpose", (right,), Transpose((0, 2, 1, 3)))
    x = n.b.apply("concatenation", (left, right), Concatenation(3))
    x = n.b.apply("resize_nearest", (x,), Resize((3, 3)))
    return n.b.finish(n.b.apply("softmax", (n.dense(n.flat(x), 7),)))


def attention() -> Graph:
    """Scores of positions, their softmax, and what they weigh."""
    n = Net("attention_16", (1, 9, 6))
    scores = n.b.apply("batch_matmul", (n.x, n.x), BatchMatMul(adj_y=True))
    x = n.b.apply("batch_matmul", (n.b.apply("softmax", (scores,)), n.x), BatchMatMul())
    x = n.b.apply("maximum", (n.b.apply("abs", (x,)), n.x))
    return n.b.finish(n.dense(n.flat(x), 4))


NETS: tuple[Callable[[], Graph], ...] = (ds_cnn, residual, autoencoder, squeeze_excite, attention)


def in_16x8(graph: Graph, float_faces: bool = False) -> Graph:
    """``graph`` with int16 activations, its ranges from normal inputs."""
    shape = graph.types[graph.inputs[0]].shape
    samples = np.random.default_rng(5).standard_normal((20, *shape[1:])).astype(np.float32)
    return quantise(graph, calibrate(graph, samples), float_faces=float_faces, activations=DType.INT16)
