"""Float networks of blocks that converters spell out in many operators, built by hand with random weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import DType, Graph, Shape, Type
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._samples import same
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.batch_matmul import BatchMatMul
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.ops.pool import MaxPool2D
from tinyfoundry.ops.product import Mul
from tinyfoundry.ops.reduce import Mean
from tinyfoundry.ops.shape import Concatenation, Reshape, Transpose
from tinyfoundry.ops.transpose_conv import TransposeConv

IMAGE = (1, 8, 8, 6)


class Floats:
    """A float network and its random weights."""

    def __init__(self, name: str, shape: Shape = IMAGE) -> None:
        self.rng = np.random.default_rng(3)
        self.b = Builder(name)
        self.x = self.b.input("x", Type(shape, DType.FLOAT32))

    def constant(self, name: str, *shape: int, mean: float = 0.0, spread: float = 0.4) -> str:
        values = self.rng.normal(mean, spread, shape).astype(np.float32)
        return self.b.constant(name, values)

    def conv(
        self,
        x: str,
        units: int,
        size: int,
        name: str,
        activation: Activation = Activation.NONE,
        spread: float = 0.4,
    ) -> str:
        _, height, width, channels = self.b.type_of(x).shape
        w = self.constant(f"{name}_w", units, size, size, channels, spread=spread)
        bias = self.constant(f"{name}_b", units)
        window = same((height, width), (size, size), (1, 1))
        return self.b.apply("conv2d", (x, w, bias), Conv2D(window, activation), name=name)

    def finish(self, x: str) -> Graph:
        x = self.b.apply("mean", (x,), Mean((1, 2)), name="pooled")
        w, bias = self.constant("logits_w", 4, self.b.type_of(x).shape[1]), self.constant("logits_b", 4)
        logits = self.b.apply("dense", (x, w, bias), Dense(), name="logits")
        return self.b.finish(self.b.apply("softmax", (logits,), name="probabilities"))


def layer_norm(net: Floats, x: str) -> str:
    """Keras' LayerNormalization over the last axis, as TensorFlow's converter writes it out.

    x * g + (shift - mean * g) with g = gain / sqrt(variance + epsilon).
    """
    b, channels = net.b, net.b.type_of(x).shape[-1]
    last = Mean((len(b.type_of(x).shape) - 1,), keep_dims=True)
    mean = b.apply("mean", (x,), last, name="norm_mean")
    square = b.apply("squared_difference", (x, mean), name="norm_square")
    variance = b.apply("mean", (square,), last, name="norm_variance")
    epsilon = b.constant("norm_epsilon", np.array(1e-3, np.float32))
    inverse = b.apply("rsqrt", (b.apply("add", (variance, epsilon), name="norm_sum"),), name="norm_rsqrt")
    gain = net.constant("norm_gain", channels, mean=1.0, spread=0.2)
    factor = b.apply("mul", (inverse, gain), name="norm_factor")
    left = b.apply("mul", (x, factor), name="norm_left")
    right = b.apply("mul", (mean, factor), name="norm_right")
    offset = b.apply("sub", (net.constant("norm_shift", channels), right), name="norm_offset")
    return b.apply("add", (left, offset), name="norm")


def normed() -> Graph:
    """Two convolutions, a layer normalisation and a residual."""
    net = Floats("normed")
    x = net.conv(net.x, 6, 3, "stem")
    y = net.conv(layer_norm(net, x), 6, 1, "mixed")
    y = net.b.apply("leaky_relu", (y,), name="leaky")
    return net.finish(net.b.apply("add", (x, y), Add(), name="residual"))


def normed_rows() -> Graph:
    """A layer normalisation of tokens of three axes, as in a transformer."""
    net = Floats("normed_rows")
    rows = net.b.apply("reshape", (net.x,), Reshape((1, 32, 12)), name="rows")
    y = net.b.apply("reshape", (layer_norm(net, rows),), Reshape(IMAGE), name="image")
    return net.finish(net.b.apply("tanh", (y,), name="bounded"))


def excited(gate: Callable[[Floats, str], str], name: str) -> Graph:
    """MobileNetV3's block: hard swish, and channels weighted by what their means say."""
    net = Floats(name)
    x = net.b.apply("hard_swish", (net.conv(net.x, 8, 3, "stem"),), name="swish")
    squeezed = net.b.apply("mean", (x,), Mean((1, 2), keep_dims=True), name="squeeze")
    y = net.conv(squeezed, 3, 1, "reduce", Activation.RELU)
    weights = gate(net, net.conv(y, 8, 1, "expand"))
    return net.finish(net.b.apply("mul", (x, weights), name="excite"))


def logistic_gate(net: Floats, x: str) -> str:
    return net.b.apply("logistic", (x,), name="gate")


def hard_gate(net: Floats, x: str) -> str:
    """Keras' hard sigmoid: relu6(x + 3) / 6."""
    three, sixth = (net.b.constant(f"c{i}", np.array(v, np.float32)) for i, v in enumerate((3.0, 1 / 6)))
    y = net.b.apply("add", (x, three), name="gate_sum")
    y = net.b.apply("relu", (y,), Relu(Activation.RELU6), name="gate_relu")
    return net.b.apply("mul", (y, sixth), Mul(), name="gate")


def rows_times(net: Floats, x: str, units: int, name: str) -> str:
    """A dense layer of tokens as Keras' EinsumDense is converted: a product with a constant, then a sum."""
    weights = net.constant(f"{name}_w", net.b.type_of(x).shape[-1], units)
    y = net.b.apply("batch_matmul", (x, weights), name=f"{name}_product")
    return net.b.apply("add", (y, net.constant(f"{name}_b", units)), name=name)


def attention(net: Floats, x: str, heads: int, width: int) -> str:
    """Softmax(q k' / sqrt(width)) v of every head, over tokens x[1, n, c] (Vaswani et al., 2017)."""
    b, tokens = net.b, net.b.type_of(x).shape[1]

    def head(name: str) -> str:
        y = rows_times(net, x, heads * width, name)
        y = b.apply("reshape", (y,), Reshape((1, tokens, heads, width)), name=f"{name}_parts")
        return b.apply("transpose", (y,), Transpose((0, 2, 1, 3)), name=f"{name}_heads")

    scale = b.constant("temperature", np.array(width**-0.5, np.float32))
    scores = b.apply("batch_matmul", (head("query"), head("key")), BatchMatMul(adj_y=True), name="scores")
    shares = b.apply("softmax", (b.apply("mul", (scores, scale), name="scaled"),), name="shares")
    y = b.apply("batch_matmul", (shares, head("value")), name="context")
    y = b.apply("transpose", (y,), Transpose((0, 2, 1, 3)), name="context_rows")
    return b.apply("reshape", (y,), Reshape((1, tokens, heads * width)), name="context_flat")


def transformer() -> Graph:
    """A transformer's block: attention, then two dense layers, each with a residual; one normalisation."""
    net = Floats("transformer")
    b, tokens, width = net.b, 16, 24
    x = b.apply("reshape", (net.x,), Reshape((1, tokens, width)), name="tokens")
    y = rows_times(net, attention(net, x, heads=2, width=8), width, "projection")
    x = layer_norm(net, b.apply("add", (x, y), name="attended"))
    y = b.apply("reshape", (x,), Reshape((tokens, width)), name="rows")
    for name, units, kind in (("up", 32, Activation.RELU), ("down", width, Activation.NONE)):
        w = net.constant(f"{name}_w", units, b.type_of(y).shape[1], spread=0.2)
        y = b.apply("dense", (y, w, net.constant(f"{name}_b", units)), Dense(kind), name=name)
    y = b.apply("reshape", (y,), Reshape((1, tokens, width)), name="mixed")
    y = b.apply("add", (x, y), name="block")
    return net.finish(b.apply("reshape", (y,), Reshape((1, 4, 4, width)), name="map"))


def upsampled(net: Floats, x: str, units: int, kernel: int, window: Window, name: str) -> str:
    """Twice the height and width, by a transposed convolution."""
    _, height, width, channels = net.b.type_of(x).shape
    w = net.constant(f"{name}_w", units, kernel, kernel, channels, spread=0.2)
    attrs = TransposeConv((2 * height, 2 * width), window, Activation.RELU)
    return net.b.apply("transpose_conv", (x, w, net.constant(f"{name}_b", units)), attrs, name=name)


def segmenter() -> Graph:
    """A U-Net of two levels: the classes of every pixel."""
    net = Floats("segmenter")
    halve = MaxPool2D((2, 2), Window((2, 2)))
    fine = net.conv(net.x, 8, 3, "fine", Activation.RELU)
    middle = net.conv(net.b.apply("max_pool2d", (fine,), halve), 12, 3, "middle", Activation.RELU)
    x = net.conv(net.b.apply("max_pool2d", (middle,), halve), 16, 3, "coarse", Activation.RELU)
    x = upsampled(net, x, 12, 2, Window((2, 2)), "up_coarse")
    x = net.b.apply("concatenation", (x, middle), Concatenation(3), name="skip_middle")
    x = upsampled(net, x, 8, 3, same((8, 8), (3, 3), (2, 2)), "up_middle")
    x = net.b.apply("concatenation", (x, fine), Concatenation(3), name="skip_fine")
    return net.b.finish(net.b.apply("softmax", (net.conv(x, 3, 1, "classes", spread=0.05),), name="pixels"))


NETS = {
    "transformer": transformer,
    "segmenter": segmenter,
    "normed": normed,
    "normed_rows": normed_rows,
    "excited_logistic": lambda: excited(logistic_gate, "excited_logistic"),
    "excited_hard": lambda: excited(hard_gate, "excited_hard"),
}
