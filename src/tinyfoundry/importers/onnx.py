"""Reads an .onnx file into a graph: float32 models, and int8 ones of quantize and dequantize pairs (QDQ).

Semantics: the ONNX operator specification, operator sets 7 to 28 (https://onnx.ai/onnx/operators/). Images
are N H W C in the graph, its inputs and outputs included, where ONNX has N C H W (and N L C for N C L): no
transpose is left of that. An unknown batch size becomes 1.

The files beside it, in the order of the work: ``_onnx_file`` reads bytes into plain records, ``_onnx_fold``
merges what layers take up, ``_onnx_quant`` finds the quantize and dequantize pairs, ``_onnx_rows`` has the
row of every operator, ``_onnx_draft`` is the graph that they build, ``_onnx_value`` what a tensor is
meanwhile. Of the rows, ``_onnx_constants`` computes on constants alone; ``_onnx_windows``,
``_onnx_elementwise``, ``_onnx_reductions``, ``_onnx_picks``, ``_onnx_resize`` and ``_onnx_recurrent`` have a
family each.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from tinyfoundry.builder import identifier
from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.importers._emitted import emitted
from tinyfoundry.importers._findings import refusal
from tinyfoundry.importers._onnx_constants import folded
from tinyfoundry.importers._onnx_draft import Draft
from tinyfoundry.importers._onnx_elementwise import CURVES
from tinyfoundry.importers._onnx_file import (
    FLOAT,
    INT8,
    INT32,
    INT64,
    MAX_FILE_BYTES,
    Face,
    Model,
    Node,
    read,
    shown,
    type_name,
)
from tinyfoundry.importers._onnx_fold import fold_layers, hoist_constants, name_functions
from tinyfoundry.importers._onnx_quant import wanted_quantizations
from tinyfoundry.importers._onnx_rows import ROWS
from tinyfoundry.importers._onnx_value import Budget, Constant, Unsupported, Value, channels_last
from tinyfoundry.importers._source import bytes_of
from tinyfoundry.ir.graph import DType, Graph, Shape
from tinyfoundry.ir.rewrite import rebuild

_MOST_NAMES = 3
_SURPRISES = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
Orders = dict[str, Shape]
"""By input of a graph, the axis of ONNX that each of its axes is."""

_DTYPES = {FLOAT: DType.FLOAT32, INT8: DType.INT8, INT32: DType.INT32, INT64: DType.INT64}
_OF_IMAGES = frozenset(
    {"AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool"}
    | {"GlobalMaxPool", "MaxPool", "Resize", "SpaceToDepth", "Upsample"}
)
_OF_ANY_ORDER = frozenset(
    {"Abs", "Add", "Clip", "Concat", "DequantizeLinear", "Div", "Dropout", "Exp", "HardSwish", "Identity"}
    | {"InstanceNormalization", "GroupNormalization", "LeakyRelu", "Max", "Min", "Mul", "Pad", "Pow", "PRelu"}
    | {"QuantizeLinear", "Relu", "Sigmoid", "Slice", "Split", "Sqrt", "Sub", "Tanh", *CURVES}
)


def load(source: str | os.PathLike[str] | bytes) -> Graph:
    """The graph of an .onnx model, named after its file (``model`` for bytes).

    source: path of the file, or its bytes. Nothing but this file is read.

    Raises:
        ModelError: the file cannot be read, is damaged, or asks for things that are not supported: one line
        that lists them all. ToolError: package ``onnx`` is not installed.
    """
    if isinstance(source, bytes):
        return convert(source, "model", "model")[0]
    path = Path(source)
    label = repr(str(path))
    return convert(bytes_of(path, label, MAX_FILE_BYTES, "an .onnx file"), label, identifier(path.stem))[0]


def operators(ops: Collection[str]) -> dict[str, frozenset[str]]:
    """Every operator that can be read, and which of ``ops`` it can become."""
    return {"Constant": frozenset(), **{code: emitted(row, ops) for code, row in sorted(ROWS.items())}}


def convert(data: bytes, label: str, name: str) -> tuple[Graph, Orders]:
    """The graph called ``name`` of a model's bytes, and how its inputs lie: for each of them, by name, the
    axis of ONNX that each of its axes is. label: what messages call the model.
    """
    model = read(data, label)
    with np.errstate(all="ignore"):  # numbers out of float32's range end as infinities, which verify refuses
        budget = Budget(model.file_bytes)
        prepared = fold_layers(name_functions(hoist_constants(model)), budget)
        return _translated(prepared, name, budget)


def _translated(model: Model, name: str, budget: Budget) -> tuple[Graph, Orders]:
    draft = Draft(name, model.opset, wanted_quantizations(model), budget)
    findings = list(model.unsupported)
    findings += _unknown_operators(model)
    images = _images(model)
    findings += _faces(draft, model, images)
    given = [value for value in draft.known.values() if isinstance(value, Value)]
    orders = {value.tensor: value.order for value in given}
    for key, array in model.constants.items():
        # What could not be had (another file, a foreign type) is among the findings already.
        absent = model.unsupported and not array.size
        draft.known[key] = None if absent else Constant(array, key)
    for node in model.nodes:
        findings += _translate(model, draft, node)
        if findings:  # without any, the graph may still be finished
            _assume(model, draft, node, images)
    outputs = list(_outputs(model, draft, findings))
    if findings:
        advice = f"change the model to use only {', '.join(sorted(ROWS))} on float32, or on int8 by QDQ pairs"
        raise refusal(model.label, findings, (), advice)
    try:
        graph = draft.builder.finish(*outputs)
        return rebuild(graph, graph.nodes), orders  # without the nodes that nothing reads
    except GraphError as error:
        raise ModelError(f"{model.label}: {error}") from error


def _unknown_operators(model: Model) -> Iterator[str]:
    """Each with how often it is there, and the names of the first nodes."""
    unknown: dict[str, list[str]] = {}
    for node in model.nodes:
        if node.op not in ROWS:
            unknown.setdefault(node.op, []).append(node.name)
    for code, names in sorted(unknown.items()):
        named = [shown(name) for name in dict.fromkeys(names) if name][:_MOST_NAMES]
        yield f"{code} ({len(names)}×{': ' if named else ''}{', '.join(named)})"


def _faces(draft: Draft, model: Model, images: Collection[str]) -> Iterator[str]:
    """Adds the inputs of the graph; images lie with their channels last."""
    for face in model.inputs:
        if face.name in draft.known:
            raise ModelError(f"{model.label}: input {shown(face.name)} is named twice; the file is damaged")
        draft.known[face.name] = None
        dtype = _DTYPES.get(face.dtype)
        if dtype is None or (dtype == DType.INT8 and face.name not in draft.wanted):
            found = f"input {shown(face.name)} of element type {type_name(face.dtype)}"
            yield f"{found} (wanted float32, or quantised int8)"
            continue
        draft.input(face.name, face.shape, _order(face.shape, face.name in images), dtype)


def _order(shape: Shape, image: bool) -> tuple[int, ...]:
    rank = len(shape)
    return channels_last(rank) if image and rank in (3, 4) else tuple(range(rank))


def _images(model: Model) -> set[str]:
    """Tensors that reach a convolution, a pool or the like through operators to which order means nothing."""
    images: set[str] = set()
    for node in reversed(model.nodes):
        if node.op in _OF_IMAGES:
            images.update(node.inputs[:1])
        elif node.op in _OF_ANY_ORDER and images.intersection(node.outputs):
            images.update(node.inputs)
    return images


def _translate(model: Model, draft: Draft, node: Node) -> Iterator[str]:
    """Takes note of what a node's output is; yields a finding where that cannot be told."""
    for name in node.inputs:
        if name and name not in draft.known:
            raise ModelError(
                f"{model.label}, {node.label}: reads {shown(name)} before anything wrote it; the file is "
                "damaged: its nodes form a cycle or stand in no order of execution"
            )
    for name in node.outputs:
        if name and draft.known.setdefault(name) is not None:
            raise ModelError(f"{model.label}, {node.label}: writes {shown(name)}, which has a value already")
    if (
        node.op not in ROWS
        or not node.outputs
        or any(draft.known[name] is None for name in node.inputs if name)
    ):
        return
    try:
        found = folded(draft, node) or ROWS[node.op](draft, node)
        results = found if isinstance(found, tuple) else (found,)
        draft.known.update((name, value) for name, value in zip(node.outputs, results, strict=False) if name)
    except Unsupported as finding:
        yield f"{node.label} {finding}"
    except GraphError as error:
        yield f"{node.label}: {error}"
    except _SURPRISES as error:
        # No damaged file known gets here; should one, its user is not to see a traceback.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        text = "cannot be translated for a reason that nobody foresaw"
        raise ModelError(f"{model.label}, {node.label}: {text} ({what}): report it, with the file") from error


def _assume(model: Model, draft: Draft, node: Node, images: Collection[str]) -> None:
    """Takes the file's word for what a node that could not be translated writes, where it says the shape.

    What follows is translated then, for the sake of what there is to say of it; the graph will not be
    finished.
    """
    for name in node.outputs[:1]:
        if name and draft.known[name] is None and name in model.told:
            shape = model.told[name]
            dtype = DType.INT8 if name in draft.wanted else DType.FLOAT32
            draft.input(name, shape, _order(shape, name in images), dtype)


def _outputs(model: Model, draft: Draft, findings: list[str]) -> Iterator[str]:
    for face in model.outputs:
        if face.name not in draft.known:
            raise ModelError(
                f"{model.label}: output {shown(face.name)} is never written; the file is damaged"
            )
        found = draft.known[face.name]
        if isinstance(found, Constant):
            findings.append(f"output {shown(face.name)} that is a constant (take it out of the outputs)")
        elif found is None:
            if not findings:
                findings.append(f"output {shown(face.name)}, which needs a second output of an operator")
        else:
            try:
                found = draft.untangled(found)
                yield _output(draft, face, draft.arranged(found, _final_order(found.order)))
            except (GraphError, Unsupported) as error:
                findings.append(f"output {shown(face.name)}: {error}")


def _final_order(order: tuple[int, ...]) -> tuple[int, ...]:
    """Images stay images; everything else lies as in ONNX."""
    rank = len(order)
    return order if rank in (3, 4) and order == channels_last(rank) else tuple(range(rank))


def _output(draft: Draft, face: Face, tensor: str) -> str:
    """Reals where the file gives reals."""
    type_ = draft.type(tensor)
    if face.dtype == FLOAT and type_.quant is not None:
        return draft.add("dequantize", (tensor,), None, None, f"{face.name}_real")
    return tensor
