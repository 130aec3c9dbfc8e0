"""The shared folder's int8 backbones (models/backbones/*.npz) as graphs.

``layers`` in such a file is a JSON list in order; its convolutions' weights are O I H W. A layer reads the
one before it; an ``add`` also reads what entered its block. The format does not say how it pads: half the
kernel on every side, as PyTorch's layers do where the networks were trained (with TensorFlow's SAME they
recognise two to nine times fewer of 269 enlarged pictures of CIFAR-10).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tinyfoundry.builder import Builder, identifier
from tinyfoundry.ir.graph import DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.reduce import Mean

Layer = dict[str, Any]


def load_backbone(path: Path) -> Graph:
    """The network in ``path``, named after the file."""
    with np.load(path) as arrays:
        return _Reader(identifier(path.stem), dict(arrays)).graph()


class _Reader:
    def __init__(self, name: str, arrays: dict[str, Any]) -> None:
        self.b = Builder(name)
        self.arrays = arrays
        self.layers: list[Layer] = json.loads(str(arrays["layers"]))

    def graph(self) -> Graph:
        first = self.layers[0]
        size, channels = first["in_size"], first["in_channels"]
        quant = per_tensor(first["x_scale"], first["x_zero"])
        x = self.b.input("image", Type((1, size, size, channels), DType.INT8, quant))
        entered = x  # what the current block reads
        for index, layer in enumerate(self.layers):
            if _block(layer) != _block(self.layers[index - 1]):
                entered = x
            if layer["kind"] == "add":
                x = self.b.apply("add", (entered, x), None, _output(layer), layer["name"])
            elif layer["kind"] == "global_mean":
                after = self.layers[index + 1]
                quant = per_tensor(after["x_scale"], after["x_zero"])
                x = self.b.apply("mean", (x,), Mean((1, 2), keep_dims=True), quant, layer["name"])
            else:
                x = self.convolution(layer, x)
        return self.b.finish(x)

    def convolution(self, layer: Layer, x: str) -> str:
        name, depthwise = layer["name"], layer["kind"] == "depthwise"
        scales = tuple(float(scale) for scale in self.arrays[f"{name}.w_scales"])
        quant = Quantization(scales, (0,) * len(scales), 3 if depthwise else 0)
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        w = self.b.constant(f"{name}_w", self.arrays[f"{name}.weight"].transpose(order), quant)
        bias = self.b.constant(f"{name}_b", self.arrays[f"{name}.bias"])
        pads = [(size // 2, size // 2) for size in layer["kernel"]]
        window = Window((layer["stride"], layer["stride"]), *pads)
        op, attrs = ("depthwise_conv2d", DepthwiseConv2D) if depthwise else ("conv2d", Conv2D)
        return self.b.apply(op, (x, w, bias), attrs(window), _output(layer), name)


def _block(layer: Layer) -> str:
    return str(layer["name"]).split(".")[0]


def _output(layer: Layer) -> Quantization:
    return per_tensor(layer["y_scale"], layer["y_zero"])
