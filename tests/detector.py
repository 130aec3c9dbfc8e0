"""A small detector with two inputs and several outputs.

Two scales of features meet by resizing, a head's channels are split into boxes and classes for a grid of
anchors, and labels, scores and a map of the image leave beside them.
"""

from __future__ import annotations

import numpy as np

from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._samples import same
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.arg_max import ArgMax
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.indexing import Broadcast, Gather, StridedSlice
from tinyfoundry.ops.pool import MaxPool2D
from tinyfoundry.ops.reduce import ReduceMax, Sum
from tinyfoundry.ops.resize import Resize
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape, Transpose

CLASSES, ANCHORS = 5, 3
FEATURES = per_tensor(0.05, -17)


class Detector:
    """Builds the network; every layer's weights are drawn from one generator."""

    def __init__(self) -> None:
        self.b = Builder("detector")
        self.rng = np.random.default_rng(12)

    def conv(self, x: str, units: int, kernel: int, stride: int, activation: Activation, name: str) -> str:
        shape = self.b.type_of(x).shape
        scales = tuple(float(s) for s in self.rng.uniform(0.004, 0.012, units))
        quant = Quantization(scales, (0,) * units, 0)
        values = self.rng.integers(-127, 128, (units, kernel, kernel, shape[3])).astype(np.int8)
        w = self.b.constant(f"{name}_w", values, quant)
        bias = self.b.constant(f"{name}_b", self.rng.integers(-3000, 3000, units).astype(np.int32))
        window = same((shape[1], shape[2]), (kernel, kernel), (stride, stride))
        return self.b.apply("conv2d", (x, w, bias), Conv2D(window, activation), FEATURES, name)

    def move(self, op: str, x: str, attrs: object, name: str) -> str:
        return self.b.apply(op, (x,), attrs, self.b.type_of(x).quant, name)

    def features(self, image: str, guide: str) -> str:
        """Fine features beside coarse ones brought to their size, and beside the second input."""
        fine = self.conv(image, 8, 3, 2, Activation.RELU, "fine")
        pooled = self.move("max_pool2d", fine, MaxPool2D((2, 2), Window((2, 2))), "pooled")
        coarse = self.conv(pooled, 12, 3, 1, Activation.RELU6, "coarse")
        smooth = self.move("resize_bilinear", coarse, Resize((12, 12), half_pixel_centers=True), "up")
        blocky = self.move("resize_nearest", guide, Resize((12, 12)), "guide_up")
        shuffled = self.move("gather", smooth, Gather(3, (3, 1, 1, 10, 0, 7)), "shuffled")
        return self.b.apply("concatenation", (fine, shuffled, blocky), Concatenation(3), FEATURES, "joined")

    def graph(self) -> Graph:
        image = self.b.input("image", Type((1, 24, 24, 3), DType.INT8, per_tensor(1 / 128, 0)))
        guide = self.b.input("guide", Type((1, 6, 6, 2), DType.INT8, FEATURES))
        joined = self.features(image, guide)
        width = ANCHORS * (4 + CLASSES)
        head = self.conv(joined, width, 1, 1, Activation.NONE, "head")
        split = ANCHORS * 4
        ones, grid = (1, 1, 1, 1), (1, 12, 12)
        box_part = StridedSlice((0, 0, 0, 0), (*grid, split), ones)
        class_part = StridedSlice((0, 0, 0, split), (*grid, width - split), ones)
        anchors = 12 * 12 * ANCHORS
        boxes = self.move("strided_slice", head, box_part, "box_part")
        boxes = self.move("reshape", boxes, Reshape((1, anchors, 4)), "boxes")
        classes = self.move("strided_slice", head, class_part, "class_part")
        classes = self.move("reshape", classes, Reshape((1, anchors, CLASSES)), "classes")
        labels = self.b.apply("arg_max", (classes,), ArgMax(2), name="labels")
        scores = self.move("reduce_max", classes, ReduceMax((2,)), "scores")
        odds = self.b.apply("softmax", (classes,), None, per_tensor(1 / 256, -128), "odds")
        energy = self.b.apply("sum", (joined,), Sum((1, 2)), per_tensor(2.0, 5), "energy")
        spread = self.move("broadcast", scores, Broadcast((2, anchors)), "spread")
        mirrored = self.move(
            "strided_slice", guide, StridedSlice((0, 5, 5, 0), (1, 6, 6, 2), (1, -1, -1, 1)), "m"
        )
        around = self.move("pad", mirrored, Pad((0, 1, 1, 0), (0, 1, 1, 0), -1.0), "around")
        turned = self.move("transpose", around, Transpose((0, 3, 2, 1)), "turned")
        return self.b.finish(boxes, odds, labels, scores, energy, spread, turned)
