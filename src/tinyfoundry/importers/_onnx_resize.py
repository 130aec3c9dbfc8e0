"""Resize and Upsample of ONNX: nearest and linear, in the ways to map coordinates that our ops compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_picks import indexed
from tinyfoundry.importers._onnx_value import Unsupported, Value
from tinyfoundry.importers._onnx_windows import Image
from tinyfoundry.ir.graph import Array
from tinyfoundry.ops._window import Pair
from tinyfoundry.ops.resize import Resize, nearest

_MAX_SIZE = 2**14
_ROUNDINGS: dict[str, Any] = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}
_LINEAR = {
    "align_corners": Resize((1, 1), align_corners=True),
    "asymmetric": Resize((1, 1)),
    "half_pixel": Resize((1, 1), half_pixel_centers=True),
    "pytorch_half_pixel": Resize((1, 1), half_pixel_centers=True),
}


def resize(draft: Draft, node: Node) -> Value:
    """Resize and Upsample of images along their spatial axes."""
    if node.integer("antialias", 0) or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("with antialias or a kept aspect ratio (wanted neither)")
    image = Image(draft, draft.value(node))
    size, scales = _target(draft, node, image)
    kind = node.text("mode", "nearest")
    old = node.op == "Upsample" or draft.opset < 11
    mapping = node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    if kind == "nearest":
        rounding = node.text("nearest_mode", "floor" if old else "round_prefer_floor")
        return _nearest(draft, node, image, size, [
            _picks(mapping, rounding, image.size[i], size[i], scales[i]) for i in (0, 1)
        ])  # fmt: skip
    if kind not in ("linear", "bilinear") or mapping not in _LINEAR:
        known = f"linear with {', '.join(_LINEAR)}"
        raise Unsupported(f"with mode {kind[:24]!a} and {mapping[:24]!a} (wanted nearest, or {known})")
    uneven = any(abs(scales[i] * image.size[i] - size[i]) > 1e-4 * size[i] for i in (0, 1))
    one = any(size[i] == 1 < image.size[i] for i in (0, 1))
    if (uneven and mapping != "align_corners") or (one and mapping == "pytorch_half_pixel"):
        raise Unsupported(f"from {image.size} to {size} by factors {scales} (wanted sizes that they give)")
    flags = _LINEAR[mapping]
    attrs = Resize(size, flags.align_corners, flags.half_pixel_centers)
    return image.value(draft.apply(node, "resize_bilinear", (image.tensor,), attrs))


def _target(draft: Draft, node: Node, image: Image) -> tuple[Pair, tuple[float, float]]:
    """Height and width of the result, and the factors that coordinates are divided by."""
    axes = [axis % image.rank for axis in node.integers("axes") or range(image.rank)]
    scales: Any = node.attributes.get("scales")
    position = 1 if node.op == "Upsample" or draft.opset < 11 else 2
    if draft.has(node, position):
        scales = draft.constant(node, position).real().ravel().tolist()
    sizes = draft.ints(node, 3, "sizes") if draft.has(node, 3) else None
    given = sizes or scales or ()
    whole = (*(image.draft.type(image.tensor).shape[0:1]), image.channels, *image.size)[: image.rank]
    if len(given) != len(axes) or len(set(axes)) < len(axes):
        raise Unsupported("with neither sizes nor scales for its axes; the file is damaged")
    if not all(0 < number <= _MAX_SIZE for number in given):
        raise Unsupported(f"to sizes or by factors {list(given)} (wanted numbers up to {_MAX_SIZE})")
    factors = [1.0] * 4
    new = [*whole, 1][:4]
    for axis, number in zip(axes, given, strict=True):
        new[axis] = int(number) if sizes else int(np.floor(np.float32(whole[axis]) * np.float32(number)))
        factors[axis] = new[axis] / whole[axis] if sizes else float(number)
    if tuple(new[:2]) != tuple(whole[:2]) or not 0 < min(new[2:]) <= max(new[2:]) <= _MAX_SIZE:
        raise Unsupported(f"from {list(whole)} to {new[: image.rank]} (wanted another height or width)")
    return (new[2], new[3]), (factors[2], factors[3])


def _picks(mapping: str, rounding: str, size: int, out: int, scale: float) -> Array:
    """For each row or column of the result the one of the input that it is."""
    place, factor, half = np.arange(out, dtype=np.float32), np.float32(scale), np.float32(0.5)
    centred = (place + half) / factor - half
    places = {
        "asymmetric": place / factor,
        "half_pixel": centred,
        "pytorch_half_pixel": centred if out > 1 else np.zeros(1, np.float32),
        "align_corners": place * np.float32(size - 1) / np.float32(max(out - 1, 1)),
    }
    if mapping not in places or rounding not in _ROUNDINGS:
        text = f"{mapping[:24]!a} and {rounding[:24]!a}"
        raise Unsupported(f"with {text} (wanted {', '.join(places)}, and {', '.join(_ROUNDINGS)})")
    found: Array = np.clip(_ROUNDINGS[rounding](places[mapping]), 0, size - 1).astype(np.int64)
    return found


def _nearest(draft: Draft, node: Node, image: Image, size: Pair, picks: list[Array]) -> Value:
    """One resize where some of ours picks these rows and columns, else a gather along each axis."""
    for corners, centers in ((False, False), (True, False), (False, True), (True, True)):
        attrs = Resize(size, corners, centers)
        if all(np.array_equal(nearest(attrs, i, image.size[i]), picks[i]) for i in (0, 1)):
            return image.value(draft.apply(node, "resize_nearest", (image.tensor,), attrs))
    value = image.value(image.tensor)
    for axis in range(2, image.rank):
        value = indexed(draft, value, axis, picks[axis - 2].tolist(), node.outputs[0])
    return value
