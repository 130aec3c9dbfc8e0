"""Convolutions, pools and batch normalisation of ONNX, over one or two spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_quant import Layout, weighted
from tinyfoundry.importers._onnx_value import Constant, Unsupported, Value, channels_last
from tinyfoundry.ir.graph import Array, Quantization, Shape
from tinyfoundry.ops._window import Pair, Window, same_padding
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.depthwise import DepthwiseConv2D
from tinyfoundry.ops.indexing import StridedSlice
from tinyfoundry.ops.pool import AveragePool2D, MaxPool2D
from tinyfoundry.ops.shape import Concatenation, Pad
from tinyfoundry.ops.transpose_conv import TransposeConv

_MAX_GROUPS = 64
_MAX_WINDOW = 1024  # rows and columns that a window may cover: far more than any network's


class Image:
    """A value [N, C, H, W] or [N, C, L] as an image N H W C of ours, of width 1 for the latter."""

    def __init__(self, draft: Draft, value: Value) -> None:
        if len(value.shape) not in (3, 4):
            raise Unsupported(f"on {len(value.shape)} axes (wanted 3 or 4)")
        self.draft = draft
        self.rank = len(value.shape)
        self.channels = value.shape[1]
        tensor = draft.arranged(value, channels_last(self.rank))
        self.tensor = draft.view(tensor, self.wide(draft.type(tensor).shape))
        _, height, width, _ = draft.type(self.tensor).shape
        self.size: Pair = (height, width)

    def wide(self, shape: Shape) -> Shape:
        """A stored shape with an axis for the width."""
        return shape if self.rank == 4 else (*shape[:2], 1, shape[2])

    def value(self, tensor: str) -> Value:
        """An image of ours as a value of ONNX's."""
        batch, height, width, channels = self.draft.type(tensor).shape
        inner = (height, width) if self.rank == 4 else (height,)
        tensor = self.draft.view(tensor, (batch, *inner, channels))
        full = (batch, channels, *inner)
        return Value(tensor, full, channels_last(self.rank), full)


def convolution(draft: Draft, node: Node) -> Value:
    """Conv: of one group, or of as many groups as there are input channels."""
    image, w = Image(draft, draft.value(node)), draft.constant(node, 1)
    bias = draft.constant(node, 2) if draft.has(node, 2) else None
    if w.array.ndim != image.rank:
        raise Unsupported(f"with weights {list(w.array.shape)} on {image.rank} axes; the file is damaged")
    group = node.integer("group", 1)
    if not 0 < group <= max(image.channels, _MAX_GROUPS) or w.array.shape[1] * group != image.channels:
        raise Unsupported(
            f"with weights {list(w.array.shape)} in {group} groups on {image.channels} channels"
        )
    if w.array.shape[0] % group or (1 < group < image.channels and group > _MAX_GROUPS):
        raise Unsupported(f"of {group} groups (wanted at most {_MAX_GROUPS}, or one a channel)")
    kernel: Pair = (w.array.shape[2], w.array.shape[3] if image.rank == 4 else 1)
    window, tensor = _padded(draft, node, image, _window(node, image, kernel), kernel)

    def four(array: Array) -> Array:
        return array.reshape(*array.shape[:2], *kernel)

    x = draft.type(tensor)
    if group == 1:
        layout = Layout(0, 0, lambda array: four(array).transpose(0, 2, 3, 1))
        constants = weighted(draft, node, x, layout, w, bias)
        return image.value(draft.apply(node, "conv2d", (tensor, *constants), Conv2D(window)))
    if group < image.channels:
        return image.value(_grouped(draft, node, tensor, (w, bias), window, four))
    layout = Layout(0, 3, lambda array: four(array).transpose(1, 2, 3, 0))
    constants = weighted(draft, node, x, layout, w, bias)
    return image.value(draft.apply(node, "depthwise_conv2d", (tensor, *constants), DepthwiseConv2D(window)))


def _grouped(
    draft: Draft,
    node: Node,
    tensor: str,
    parameters: tuple[Constant, Constant | None],
    window: Window,
    four: Callable[[Array], Array],
) -> str:
    """A convolution for each group of channels, their results joined."""
    w, bias = parameters
    group, x = node.integer("group", 1), draft.type(tensor)
    into, layout = w.array.shape[1], Layout(0, 0, lambda array: four(array).transpose(0, 2, 3, 1))
    parts = []
    for index in range(group):
        begin, size = (0, 0, 0, index * into), (*x.shape[:3], into)
        key = f"{node.outputs[0]}_group_{index}"
        own = draft.add("strided_slice", (tensor,), StridedSlice(begin, size, (1,) * 4), x.quant, key)
        some = _share(w, index, group)
        constants = weighted(draft, node, x, layout, some, bias and _share(bias, index, group))
        parts.append(draft.apply(node, "conv2d", (own, *constants), Conv2D(window)))
    return draft.apply(node, "concatenation", parts, Concatenation(3))


def _share(constant: Constant, index: int, group: int) -> Constant:
    """What one of ``group`` groups has of weights or a bias, with its scales."""
    rows = constant.array.shape[0] // group
    some, quant = slice(index * rows, (index + 1) * rows), constant.quant
    if quant is not None and quant.per_channel and quant.axis == 0:
        quant = Quantization(quant.scale[some], quant.zero_point[some], 0)
    return Constant(constant.array[some], f"{constant.key}_{index}", quant)


def transposed_convolution(draft: Draft, node: Node) -> Value:
    """ConvTranspose of one group, whose padding is given in numbers."""
    image, w = Image(draft, draft.value(node)), draft.constant(node, 1)
    bias = draft.constant(node, 2) if draft.has(node, 2) else None
    if w.array.ndim != image.rank or w.array.shape[0] != image.channels or node.integer("group", 1) != 1:
        raise Unsupported(f"with weights {list(w.array.shape)} on {image.channels} channels (wanted 1 group)")
    if node.text("auto_pad", "NOTSET") != "NOTSET" or node.integers("output_shape"):
        raise Unsupported("with auto_pad or output_shape (wanted pads)")
    kernel: Pair = (w.array.shape[2], w.array.shape[3] if image.rank == 4 else 1)
    window = _window(node, image, kernel)
    beyond = (*_numbers(node, "output_padding", (0,) * (image.rank - 2)), 0)
    if window.dilation != (1, 1) or min(beyond) < 0 or any(beyond[i] >= window.stride[i] for i in (0, 1)):
        raise Unsupported(f"with dilation {window.dilation} and output padding {beyond}")
    pads = window.pad_h, window.pad_w
    size = tuple(
        (image.size[i] - 1) * window.stride[i] + kernel[i] + beyond[i] - sum(pads[i]) for i in (0, 1)
    )
    if min(size) < 1:
        raise Unsupported(f"with padding that leaves {size}; the file is damaged")
    # Rows that are added after those that are cut off are just not cut off.
    ends = [(pads[i][0], max(pads[i][1] - beyond[i], 0)) for i in (0, 1)]
    attrs = TransposeConv((size[0], size[1]), Window(window.stride, ends[0], ends[1]))

    def move(array: Array) -> Array:
        return array.reshape(*array.shape[:2], *kernel).transpose(1, 2, 3, 0)

    constants = weighted(draft, node, draft.type(image.tensor), Layout(1, 0, move), w, bias)
    return image.value(draft.apply(node, "transpose_conv", (image.tensor, *constants), attrs))


def batch_normalization(draft: Draft, node: Node) -> Value:
    """BatchNormalization where no layer stood before it to take it up: a depthwise convolution of 1×1."""
    if isinstance(draft.operand(node, 3), Value):
        raise Unsupported("by the mean of its own input, as in training (wanted running statistics)")
    factor, offset = normalization(node, [draft.constant(node, i).real() for i in range(1, 5)])
    x = draft.value(node)
    if len(x.shape) not in (2, 3, 4) or x.shape[1] != factor.size:
        raise Unsupported(f"of {factor.size} channels on {list(x.shape)}")
    flat = len(x.shape) == 2
    image = Image(draft, draft.reshaped(x, (*x.shape, 1)) if flat else x)
    type_ = draft.type(image.tensor)
    key, layout = node.outputs[0], Layout(0, 3, lambda array: array.reshape(1, 1, 1, -1))
    weights = Constant(factor, f"{key}_factor")
    if type_.quant is not None:
        weights = _signs(weights)
    constants = weighted(draft, node, type_, layout, weights, Constant(offset, f"{key}_offset"))
    y = image.value(draft.apply(node, "depthwise_conv2d", (image.tensor, *constants), DepthwiseConv2D()))
    return draft.reshaped(y, x.shape) if flat else y


def _signs(factor: Constant) -> Constant:
    """Factors as int8 weights without loss: each is 127 or -127, with a scale of its own."""
    scales = np.where(factor.array == 0, 1, np.abs(factor.array) / 127)
    quant = Quantization(tuple(scales), (0,) * scales.size, 0)
    return Constant((127 * np.sign(factor.array)).astype(np.int8), factor.key, quant)


def normalization(node: Node, arrays: list[Array]) -> tuple[Array, Array]:
    """Factor and offset of each channel, in float64: y = factor * x + offset."""
    if node.integer("training_mode", 0) or not node.integer("spatial", 1):
        raise Unsupported("in training mode, or not by channel (export for inference)")
    if len({array.size for array in arrays}) > 1:
        raise Unsupported("with parameters of different sizes; the file is damaged")
    scale, shift, mean, variance = (array.astype(np.float64).ravel() for array in arrays)
    # The attribute is a float32 in the file.
    spread = variance + float(np.float32(node.real("epsilon", 1e-5)))
    if not (spread > 0).all():
        raise Unsupported("with a variance below 0; the file is damaged")
    factor = scale / np.sqrt(spread)
    return factor, shift - mean * factor


def max_pool(draft: Draft, node: Node) -> Value:
    """MaxPool, without its second output."""
    return _pool(draft, node, "max_pool2d", MaxPool2D)


def average_pool(draft: Draft, node: Node) -> Value:
    """AveragePool; padding that counts becomes a pad of its own."""
    return _pool(draft, node, "average_pool2d", AveragePool2D, _with_pad)


def _pool(
    draft: Draft,
    node: Node,
    op: str,
    attributes: Callable[..., Any],
    padded: Callable[[Draft, Node, str, Window], tuple[Window, str]] | None = None,
) -> Value:
    """padded: puts a pad before the pool where the node asks that padding counts."""
    image, kernel = Image(draft, draft.value(node)), node.integers("kernel_shape") or ()
    if len(kernel) != image.rank - 2:
        raise Unsupported(f"with kernel {kernel} on {image.rank} axes; the file is damaged")
    pair: Pair = (kernel[0], kernel[1] if image.rank == 4 else 1)
    window = _window(node, image, pair)
    if window.dilation != (1, 1):
        raise Unsupported(f"with dilation {window.dilation} (wanted 1)")
    counted = bool(node.integer("count_include_pad", 0)) and padded is not None
    if node.integer("ceil_mode", 0):
        window, past = _ceiled(window, image.size, pair)
        if past and counted:
            raise Unsupported("with ceil_mode and count_include_pad together")
    tensor = image.tensor
    if counted and padded:
        window, tensor = padded(draft, node, tensor, window)
    return image.value(draft.apply(node, op, (tensor,), attributes(pair, window)))


def _window(node: Node, image: Image, kernel: Pair) -> Window:
    """Strides, padding and dilation; the axis that an image of one spatial axis lacks has 1, 0 and 1."""
    spatial = image.rank - 2
    stride, dilation = (_numbers(node, name, (1,) * spatial) for name in ("strides", "dilations"))
    pads = _numbers(node, "pads", (0,) * (2 * spatial))
    if min(*stride, *dilation, *kernel) < 1 or min(pads) < 0:
        raise Unsupported(f"with strides {stride}, dilations {dilation}, kernel {kernel}, pads {pads}")
    if spatial == 1:
        stride, dilation, pads = (*stride, 1), (*dilation, 1), (pads[0], 0, pads[1], 0)
    if max(*Window(dilation=dilation).extent(kernel), *stride, *pads) > _MAX_WINDOW:
        raise Unsupported(f"over more than {_MAX_WINDOW} rows or columns")
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return Window(stride, (pads[0], pads[2]), (pads[1], pads[3]), dilation)
    if mode not in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        raise Unsupported("with an unknown auto_pad; the file is damaged")
    around = [(0, 0), (0, 0)]
    if mode != "VALID":
        around = [same_padding(image.size[i], kernel[i], stride[i], dilation[i]) for i in (0, 1)]
    if mode == "SAME_LOWER":
        around = [(after, before) for before, after in around]
    return Window(stride, around[0], around[1], dilation)


def _numbers(node: Node, name: str, default: Shape) -> Any:
    found = node.integers(name) or default
    if len(found) != len(default):
        raise Unsupported(f"with {name} {found} (wanted {len(default)} numbers); the file is damaged")
    return found


def _ceiled(window: Window, size: Pair, kernel: Pair) -> tuple[Window, bool]:
    """The window with rows and columns added after the image until the last stride fits, and whether any.

    A window that would start past the image and the padding before it is left out.
    """
    pads = []
    for axis, (before, after) in enumerate((window.pad_h, window.pad_w)):
        stride, span = window.stride[axis], size[axis] + before + after - kernel[axis]
        steps = -(-span // stride)
        if steps * stride >= size[axis] + before:
            steps -= 1
        pads.append((before, max(after, steps * stride + kernel[axis] - size[axis] - before)))
    past = pads != [window.pad_h, window.pad_w]
    return Window(window.stride, pads[0], pads[1], window.dilation), past


def _padded(draft: Draft, node: Node, image: Image, window: Window, kernel: Pair) -> tuple[Window, str]:
    """Padding that reaches past the kernel, which our windows refuse, as a pad of its own."""
    extent = window.extent(kernel)
    if max(window.pad_h) < extent[0] and max(window.pad_w) < extent[1]:
        return window, image.tensor
    return _with_pad(draft, node, image.tensor, window)


def _with_pad(draft: Draft, node: Node, tensor: str, window: Window) -> tuple[Window, str]:
    """A window without padding over a tensor that has it. Zeros, or the zero point, as ONNX pads."""
    before, after = ((0, window.pad_h[i], window.pad_w[i], 0) for i in (0, 1))
    if any((*before, *after)):
        quant = draft.type(tensor).quant
        tensor = draft.add("pad", (tensor,), Pad(before, after), quant, f"{node.outputs[0]}_pad")
    return Window(window.stride, dilation=window.dilation), tensor
