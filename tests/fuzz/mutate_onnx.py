"""Changes .onnx files by their structure: a message is decoded, changed, and encoded again."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor as Field
from onnx import helper, numpy_helper

from tinyfoundry.importers._onnx_rows import ROWS

MOST = 256  # nodes: larger files are left to libFuzzer
INTS = (-(2**63), -(2**31), -129, -2, -1, 0, 1, 2, 3, 4, 5, 7, 8, 16, 127, 128, 1024, 2**20, 2**31, 2**63 - 1)
REALS = (0.0, -1.0, 1.0, 0.5, 2.0, 1e-40, 1e-6, 0.1, 6.0, 3e38, float("inf"), float("nan"))
_TYPES = (np.float32, np.int8, np.uint8, np.int32, np.int64, np.float64, np.bool_)
_NUMBERS = {
    **dict.fromkeys("alpha beta epsilon value".split(), "f"),
    **dict.fromkeys("kernel_shape strides dilations pads perm axes output_padding output_shape".split(), "l"),
    **dict.fromkeys(
        "axis group ceil_mode count_include_pad keepdims transA transB to allowzero start end "
        "noop_with_empty_axes training_mode block_size saturate".split(), "i",
    ),
    **dict.fromkeys("auto_pad mode".split(), "s"),
}  # fmt: skip
_TEXTS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge")
_WHOLE = {Field.CPPTYPE_INT32: 32, Field.CPPTYPE_INT64: 64}


def mutated(data: bytes, other: bytes | None, rng: random.Random) -> bytes | None:
    """A changed copy, with parts of ``other`` where that is given; None for what cannot be decoded."""
    try:
        model = onnx.load_from_string(data)
        donor = onnx.load_from_string(other) if other is not None else None
    except Exception:  # noqa: BLE001 - protobuf's own refusal, of which there are several classes
        return None
    if not 0 < len(model.graph.node) <= MOST:
        return None
    try:
        if donor is not None and donor.graph.node:
            _splice(model.graph, donor.graph, rng)
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            rng.choice(_MOVES)(model.graph if rng.random() < 0.97 else model, rng)
        return model.SerializeToString()
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        return None


def _int(rng: random.Random) -> int:
    return rng.choice((rng.choice(INTS), rng.randrange(-2, 8)))


def _any_field(message: Any, rng: random.Random) -> None:
    """Any field of any message inside: changed, cleared, doubled or dropped."""
    while True:
        field, value = rng.choice(message.ListFields())
        inner = value if field.message_type is not None else None
        if inner is not None and field.is_repeated:
            inner = rng.choice(value)
        if inner is None or not inner.ListFields() or rng.random() < 0.1:
            break
        message = inner
    kind = rng.randrange(5)
    if kind == 0:
        message.ClearField(field.name)
    elif field.is_repeated and kind == 1:
        del value[rng.randrange(len(value))]
    elif field.is_repeated and kind == 2:
        value.extend([rng.choice(value)])
    elif field.message_type is None:
        found = _scalar(field, rng)
        if field.is_repeated:
            value[rng.randrange(len(value))] = found
        else:
            setattr(message, field.name, found)


def _scalar(field: Any, rng: random.Random) -> Any:
    if field.cpp_type in _WHOLE:
        bits = _WHOLE[field.cpp_type] - 1
        return max(-(2**bits), min(2**bits - 1, _int(rng)))
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return rng.choice(REALS)
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type == Field.TYPE_BYTES:
        return rng.randbytes(rng.randrange(9))
    return rng.choice(("", "x", "a\nb", rng.choice(sorted(ROWS))))


def _operator(graph: Any, rng: random.Random) -> None:
    rng.choice(graph.node).op_type = rng.choice(sorted(ROWS))


def _attribute(graph: Any, rng: random.Random) -> None:
    node = rng.choice(graph.node)
    name = rng.choice([a.name for a in node.attribute if a.name in _NUMBERS] * 3 + sorted(_NUMBERS))
    for i, old in enumerate(node.attribute):
        if old.name == name:
            del node.attribute[i]
            break
    makers = {
        "f": lambda: float(np.float32(rng.choice(REALS))),
        "i": lambda: _int(rng),
        "l": lambda: [rng.choice((_int(rng), *range(4))) for _ in range(rng.choice((1, 2, 2, 3, 4, 4)))],
        "s": lambda: rng.choice(_TEXTS),
    }  # fmt: skip
    kind = _NUMBERS[name] if rng.random() < 0.95 else rng.choice("fils")
    node.attribute.append(helper.make_attribute(name, makers[kind]()))


def _names(graph: Any) -> list[str]:
    return [
        *(name for node in graph.node for name in node.output),
        *(item.name for item in (*graph.input, *graph.initializer)),
    ]


def _wire(graph: Any, rng: random.Random) -> None:
    node, names = rng.choice(graph.node), [*_names(graph), ""]
    kind = rng.randrange(5)
    if kind == 0 or not node.input:
        node.input.append(rng.choice(names))
    elif kind == 1:
        del node.input[rng.randrange(len(node.input))]
    else:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)


def _constant(graph: Any, rng: random.Random) -> None:
    """Other numbers, another shape or another type in a constant, its bytes as many as it says."""
    place = rng.randrange(len(graph.initializer))
    tensor = graph.initializer[place]
    array = numpy_helper.to_array(tensor).copy()
    kind = rng.randrange(4)
    if kind == 0 and array.size:
        flat = array.reshape(-1)
        number = rng.choice(REALS) if array.dtype.kind == "f" else _int(rng)
        with np.errstate(all="ignore"):
            flat[rng.randrange(flat.size)] = np.array(number).astype(array.dtype)
    elif kind == 1:
        with np.errstate(all="ignore"):
            array = array.astype(rng.choice(_TYPES))
    elif kind == 2:
        shape = list(array.shape)
        shape.insert(rng.randrange(len(shape) + 1), 1)
        array = array.reshape(shape)
    else:
        shape = [size if rng.random() < 0.6 else rng.randrange(5) for size in array.shape]
        array = np.resize(array, shape[rng.randrange(2) if shape else 0 :])
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _face(graph: Any, rng: random.Random) -> None:
    face = rng.choice(graph.input)
    shape = [d.dim_value for d in face.type.tensor_type.shape.dim]
    kind = rng.randrange(4)
    if kind == 0:
        shape.insert(rng.randrange(len(shape) + 1), rng.randrange(1, 5))
    elif kind == 1 and shape:
        shape.pop(rng.randrange(len(shape)))
    elif shape:
        shape[rng.randrange(len(shape))] = _int(rng) if kind == 2 else rng.randrange(1, 20)
    dtype = rng.choice((1, 1, 1, 3)) if rng.random() < 0.2 else face.type.tensor_type.elem_type
    face.CopyFrom(helper.make_tensor_value_info(face.name, dtype, shape))


def _append(graph: Any, rng: random.Random) -> None:
    """One more node on something known, its result an output of the graph."""
    node, names = graph.node.add(), _names(graph)
    node.CopyFrom(rng.choice(graph.node[:-1]))
    if rng.random() < 0.5:
        node.op_type = rng.choice(sorted(ROWS))
    if node.input:
        node.input[0] = rng.choice(names)
    del node.output[:]
    node.output.append(f"new{len(graph.node)}")
    node.name = ""
    graph.output.append(helper.make_tensor_value_info(node.output[0], 1, None))


def _drop(graph: Any, rng: random.Random) -> None:
    """A node less: what reads it reads what it read."""
    place = rng.randrange(len(graph.node))
    gone = graph.node[place]
    into, out = (list(gone.input) or ["x"])[0], list(gone.output)
    del graph.node[place]
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name in out:
                node.input[i] = into


def _splice(graph: Any, donor: Any, rng: random.Random) -> None:
    """A node of another file, with its constants, on a tensor of ours."""
    source = rng.choice(donor.node)
    node, mark = graph.node.add(), f"d{len(graph.node)}_"
    node.CopyFrom(source)
    weights = {tensor.name: tensor for tensor in donor.initializer}
    ours = [name for one in graph.node[:-1] for name in one.output] + [item.name for item in graph.input]
    for i, name in enumerate(node.input):
        if name in weights:
            tensor = graph.initializer.add()
            tensor.CopyFrom(weights[name])
            tensor.name = node.input[i] = mark + name
        elif name:
            node.input[i] = rng.choice(ours)
    for i, name in enumerate(node.output):
        node.output[i] = mark + name
    graph.output.append(helper.make_tensor_value_info(node.output[0], 1, None))


_MOVES = (
    _any_field, _any_field, _operator, _attribute, _attribute, _wire, _constant, _constant, _face, _append,
    _drop,
)  # fmt: skip
