"""Rows of ONNX's operators over sequences. They start anew in every run: h and c are constants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_file import Node
from tinyfoundry.importers._onnx_value import Unsupported, Value, at_rest
from tinyfoundry.ir.graph import Array
from tinyfoundry.ops.indexing import StridedSlice
from tinyfoundry.ops.lstm import Lstm
from tinyfoundry.ops.shape import Concatenation

_ORDER = [0, 2, 3, 1]  # our gates (input, forget, cell, output) among ONNX's (input, output, forget, cell)
_CURVES = ("Sigmoid", "Tanh", "Tanh")
_OPTIONAL_FROM, _LENGTHS, _H, _C, _PEEPHOLES = 3, 4, 5, 6, 7  # inputs
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def lstm(draft: Draft, node: Node) -> tuple[Value, ...]:
    """Y [T, D, N, H], Y_h and Y_c [D, N, H] of X [T, N, C], for D directions.

    Y lies as [N, T, D, H], and X that lies as [N, T, C] already is not moved.
    """
    variants = list(_variants(draft, node))
    if variants:
        raise Unsupported(", ".join(variants))
    x = draft.untangled(draft.value(node))
    if len(x.shape) != 3:
        raise Unsupported(f"of {list(x.shape)} (wanted T, N, C)")
    (steps, batch, features), units = x.shape, node.integer("hidden_size", 0)
    directions = _DIRECTIONS[node.text("direction", "forward")]
    constants = _constants(draft, node, len(directions), batch, features, units)
    x_tensor, rows, last = draft.arranged(x, (1, 0, 2)), [], []
    for one, backwards in enumerate(directions):
        key = f"{node.outputs[0] or node.label}{'_back' if backwards else ''}"
        names = [draft.add_constant(f"{key}_{label}", array[one]) for label, array in constants.items()]
        source = _reversed(draft, x_tensor, key) if backwards else x_tensor
        y, *after = draft.add_all("lstm", (source, *names), Lstm(), key)
        y = _reversed(draft, y, f"{key}_y") if backwards else y
        rows.append(draft.view(y, (batch, steps, 1, units)))
        last.append([draft.view(name, (1, batch, units)) for name in after])
    shape = (steps, len(directions), batch, units)
    whole = Value(_joined(draft, node, rows, 2), shape, (2, 0, 1, 3), shape)
    hidden, cells = zip(*last, strict=True)
    return whole, *(at_rest(_joined(draft, node, names, 0), shape[1:]) for names in (hidden, cells))


def _reversed(draft: Draft, tensor: str, key: str) -> str:
    """A tensor [N, T, K] with its last step first."""
    size = draft.type(tensor).shape
    back = StridedSlice((0, size[1] - 1, 0), size, (1, -1, 1))
    return draft.add("strided_slice", (tensor,), back, None, f"{key}_reversed")


def _joined(draft: Draft, node: Node, names: Sequence[str], axis: int) -> str:
    """What the directions give, one behind the other; dropped again where nothing reads it."""
    if len(names) == 1:
        return names[0]
    return draft.add(
        "concatenation", names, Concatenation(axis), None, f"{node.outputs[0] or node.label}_both"
    )


def _constants(
    draft: Draft, node: Node, directions: int, batch: int, features: int, units: int
) -> dict[str, Array]:
    """What the op reads besides X, for each direction."""
    d, h = directions, units
    shapes = {1: (d, 4 * h, features), 2: (d, 4 * h, h), 3: (d, 8 * h), _H: (d, batch, h), _C: (d, batch, h)}
    found = {position: _constant(draft, node, position, shape) for position, shape in shapes.items()}
    bias = found[3].reshape(d, 2, 4, h).sum(axis=1)  # the input has one, the state another
    gates = {"w": found[1].reshape(d, 4, h, features), "r": found[2].reshape(d, 4, h, h), "b": bias}
    return {
        **{label: array[:, _ORDER].astype(np.float32) for label, array in gates.items()},
        "h": found[_H].astype(np.float32),
        "c": found[_C].astype(np.float32),
    }


def _constant(draft: Draft, node: Node, position: int, shape: tuple[int, ...]) -> Array:
    """A constant input, zeros where it is left out."""
    if not draft.has(node, position) and position >= _OPTIONAL_FROM:
        return np.zeros(shape)
    array = draft.constant(node, position).real()
    if array.shape != shape:
        raise Unsupported(
            f"with input {position} {list(array.shape)} (wanted {list(shape)}); the file is damaged"
        )
    return array


def _variants(draft: Draft, node: Node) -> Iterator[str]:
    """What is not supported of this LSTM, all of it."""
    if node.text("direction", "forward") not in _DIRECTIONS:
        yield f"with direction {node.text('direction', '')[:15]!a} (wanted {', '.join(_DIRECTIONS)})"
    for position, text in ((_LENGTHS, "with lengths of sequences"), (_PEEPHOLES, "with peepholes")):
        if draft.has(node, position):
            yield text
    for name, wanted in (("input_forget", 0), ("layout", 0)):
        if node.integer(name, 0) != wanted:
            yield f"with {name} {node.integer(name, 0)} (wanted {wanted})"
    if node.real("clip", 0.0):
        yield "with clipped gates"
    if node.attributes.get("activations", _CURVES) not in (_CURVES, 2 * _CURVES):
        yield f"with other activations than {', '.join(_CURVES)}"
    if node.integer("hidden_size", 0) < 1:
        yield "without hidden_size; the file is damaged"
    if draft.type(draft.value(node).tensor).quant is not None:
        yield "on int8 (wanted float32, to be quantised with --calibration)"
