"""Changes .tflite files by their structure: a file is read into plain lists, changed, and written again.

What the reader of a damaged file sees, libFuzzer's own flips of bytes find; these changes get behind it, to
the operators: other codes, options, tensors, shapes, constants, and operators put in from other files.
"""

from __future__ import annotations

import random
import re
from copy import deepcopy
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyfoundry.errors import ModelError
from tinyfoundry.exporters._flatbuffer import _ints, _offsets, _table
from tinyfoundry.importers._rows import ROWS
from tinyfoundry.importers.tflite import load

Tree = dict[str, Any]

MOST = 256  # tensors, operators, numbers in a list: larger files are left to libFuzzer
EDGES = (-(2**31), -129, -128, -2, -1, 0, 1, 2, 3, 4, 5, 8, 16, 127, 128, 1024, 4096, 65535, 2**20, 2**31 - 1)
REALS = (0.0, -1.0, 1.0, 0.5, 1e-40, 1e-30, 1e-6, 0.1, 1e6, 1e15, 3e38, float("inf"), float("nan"))
_OPTIONS = {number: name for name, number in vars(tflite.BuiltinOptions).items() if name[0] != "_"}
_CODES = vars(tflite.BuiltinOperator)
_KINDS = (tflite.TensorType.INT8, tflite.TensorType.FLOAT32, tflite.TensorType.INT32)
_ITEM = {
    tflite.TensorType.INT8: 1,
    tflite.TensorType.INT32: 4,
    tflite.TensorType.INT64: 8,
    tflite.TensorType.FLOAT32: 4,
}
_ADVICE = re.compile(r"operator (\d+) .*output '.*' is \w+ \[.*\] where its inputs give (\w+) \[([\d, ]*)\]")


def mutated(data: bytes, other: bytes | None, rng: random.Random) -> bytes | None:
    """A changed copy, with parts of ``other`` where that is given; None for what cannot be read."""
    try:
        tree = parse(data)
        donor = parse(other) if other is not None else None
    except Exception:  # noqa: BLE001 - the generated reader follows damaged offsets into anything
        return None
    try:
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            if donor is not None and donor["operators"]:
                _splice(tree, donor, rng)
            rng.choice(_MOVES)(tree, rng)
        return _repaired(tree, rng) if rng.random() < 0.5 else write(tree)
    except Exception:  # noqa: BLE001 - numbers that the format has no room for
        return None


def parse(data: bytes) -> Tree:
    """The file as lists and dicts; raises what the generated reader raises."""
    root = tflite.Model.GetRootAs(data, 0)
    graph = root.Subgraphs(0)
    counts = root.OperatorCodesLength(), root.BuffersLength(), graph.TensorsLength(), graph.OperatorsLength()
    if max(counts) > MOST:
        raise ValueError(counts)
    codes, buffers = (
        [root.OperatorCodes(i) for i in range(counts[0])],
        [root.Buffers(i) for i in range(counts[1])],
    )
    return {
        "codes": [max(c.DeprecatedBuiltinCode(), c.BuiltinCode()) for c in codes],
        "buffers": [b.DataAsNumpy().tobytes() if b.DataLength() else b"" for b in buffers],
        "tensors": [_tensor(graph.Tensors(i)) for i in range(counts[2])],
        "operators": [_operator(graph.Operators(i)) for i in range(counts[3])],
        "inputs": _list(graph, "Inputs"),
        "outputs": _list(graph, "Outputs"),
    }


def _list(table: Any, field: str) -> list[Any]:
    if getattr(table, f"{field}Length")() > MOST:
        raise ValueError(field)
    found = getattr(table, f"{field}AsNumpy")()
    return [] if isinstance(found, int) else found.tolist()


def _tensor(table: Any) -> Tree:
    quant = table.Quantization()
    return {
        "Shape": _list(table, "Shape"),
        "ShapeSignature": _list(table, "ShapeSignature"),
        "Type": table.Type(),
        "Buffer": table.Buffer(),
        "Name": (table.Name() or b"").decode("utf-8", "replace"),
        "Scale": _list(quant, "Scale") if quant else [],
        "ZeroPoint": _list(quant, "ZeroPoint") if quant else [],
        "QuantizedDimension": quant.QuantizedDimension() if quant else 0,
    }


def _operator(table: Any) -> Tree:
    union, name = table.BuiltinOptions(), _OPTIONS.get(table.BuiltinOptionsType(), "NONE")
    fields: Tree = {}
    if union is not None and name != "NONE":
        record = getattr(tflite, name)()
        record.Init(union.Bytes, union.Pos)
        for field in _fields(name):
            vector = hasattr(record, f"{field}AsNumpy")
            fields[field] = _list(record, field) if vector else getattr(record, field)()
    inputs, outputs = _list(table, "Inputs"), _list(table, "Outputs")
    code = table.OpcodeIndex()
    return {
        "code": code,
        "options": name if union is not None else "NONE",
        "fields": fields,
        "in": inputs,
        "out": outputs,
    }


@cache
def _fields(options: str) -> tuple[str, ...]:
    start = f"{options}Add"
    names = [name.removeprefix(start) for name in dir(tflite) if name.startswith(start)]
    return tuple(name for name in names if hasattr(getattr(tflite, options), name))


def write(tree: Tree) -> bytes:
    """The bytes of a file."""
    b = flatbuffers.Builder(1024)
    buffers = [
        _table(b, "Buffer", **({"Data": b.CreateByteVector(raw)} if raw else {})) for raw in tree["buffers"]
    ]
    tensors = [_written_tensor(b, tensor) for tensor in tree["tensors"]]
    operators = [_written_operator(b, operator) for operator in tree["operators"]]
    graph = _table(
        b, "SubGraph", Tensors=_offsets(b, tensors), Inputs=_ints(b, tree["inputs"]),
        Outputs=_ints(b, tree["outputs"]), Operators=_offsets(b, operators),
    )  # fmt: skip
    codes = [
        _table(b, "OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=1)
        for code in tree["codes"]
    ]
    root = _table(
        b, "Model", Version=3, OperatorCodes=_offsets(b, codes), Subgraphs=_offsets(b, [graph]),
        Buffers=_offsets(b, buffers),
    )  # fmt: skip
    b.Finish(root, file_identifier=b"TFL3")
    return bytes(b.Output())


def _written_tensor(b: Any, tensor: Tree) -> int:
    fields: Tree = {"Shape": _ints(b, tensor["Shape"]), "Name": b.CreateString(tensor["Name"])}
    if tensor["ShapeSignature"]:
        fields["ShapeSignature"] = _ints(b, tensor["ShapeSignature"])
    if tensor["Scale"] or tensor["ZeroPoint"]:
        fields["Quantization"] = _table(
            b, "QuantizationParameters", Scale=b.CreateNumpyVector(np.array(tensor["Scale"], np.float32)),
            ZeroPoint=b.CreateNumpyVector(np.array(tensor["ZeroPoint"], np.int64)),
            QuantizedDimension=tensor["QuantizedDimension"],
        )  # fmt: skip
    return _table(b, "Tensor", Type=tensor["Type"], Buffer=tensor["Buffer"], **fields)


def _written_operator(b: Any, operator: Tree) -> int:
    options: Tree = {}
    if operator["options"] != "NONE":
        fields = {
            name: _ints(b, value) if isinstance(value, list) else value
            for name, value in operator["fields"].items()
            if value != []
        }
        options["BuiltinOptions"] = _table(b, operator["options"], **fields)
        options["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator["options"])
    inputs, outputs = _ints(b, operator["in"]), _ints(b, operator["out"])
    return _table(b, "Operator", OpcodeIndex=operator["code"], Inputs=inputs, Outputs=outputs, **options)


def _repaired(tree: Tree, rng: random.Random) -> bytes:
    """The file with the shapes that the importer says it should have: else few changes get far."""
    for _ in range(rng.randrange(1, 5)):
        data = write(tree)
        try:
            load(data)
        except ModelError as error:
            found = _ADVICE.search(str(error))
            if found is None:
                return data
            target = tree["tensors"][tree["operators"][int(found[1])]["out"][0]]
            target["Shape"] = [int(size) for size in found[3].split(",") if size.strip()]
            target["ShapeSignature"] = []
            target["Type"] = getattr(tflite.TensorType, found[2].upper())
        except Exception:  # noqa: BLE001 - a finding, which the campaign itself is to make
            return data
    return write(tree)


def _number(rng: random.Random, like: Any = 0) -> Any:
    if isinstance(like, bool):
        return not like
    if isinstance(like, float):
        return rng.choice((*REALS, like * 2, like / 2, rng.uniform(-2, 2)))
    near = int(like) + rng.choice((-1, 1, 2))
    return rng.choice((rng.choice(EDGES), rng.randrange(8), near))


def _change_list(values: list[Any], rng: random.Random, like: Any = 0) -> None:
    kind, place = rng.randrange(4), rng.randrange(len(values) + 1)
    if kind == 0 or not values:
        values.insert(place, _number(rng, values[0] if values else like))
    elif kind == 1:
        del values[min(place, len(values) - 1)]
    elif kind == 2:
        rng.shuffle(values)
    else:
        place = min(place, len(values) - 1)
        values[place] = _number(rng, values[place])


def _change_tensor(tree: Tree, rng: random.Random) -> None:
    tensor = rng.choice(tree["tensors"])
    field = rng.choice(
        ("Shape", "Shape", "ShapeSignature", "Scale", "ZeroPoint", "Type", "Buffer", "QuantizedDimension")
    )
    if field in ("Type", "Buffer", "QuantizedDimension"):
        tensor[field] = min(max(_number(rng, tensor[field]), 0), 120)
    else:
        _change_list(tensor[field], rng, 0.1 if field == "Scale" else 0)


def _resize(tree: Tree, rng: random.Random) -> None:
    """Another size on one axis, or another axis, with as many bytes where it is a constant."""
    tensor = rng.choice(tree["tensors"])
    _change_list(tensor["Shape"], rng)
    _refill(tree, tensor)


def _refill(tree: Tree, tensor: Tree) -> None:
    raw = tree["buffers"][tensor["Buffer"]] if 0 < tensor["Buffer"] < len(tree["buffers"]) else b""
    wanted = int(np.prod(tensor["Shape"], dtype=object)) * _ITEM.get(tensor["Type"], 1)
    if raw and 0 < wanted < 4096:
        tree["buffers"].append((raw * (wanted // len(raw) + 1))[:wanted])
        tensor["Buffer"] = len(tree["buffers"]) - 1


def _change_constant(tree: Tree, rng: random.Random) -> None:
    constants = [t for t in tree["tensors"] if 0 < t["Buffer"] < len(tree["buffers"])]
    whole = [t for t in constants if t["Type"] == tflite.TensorType.INT32] or constants
    if not whole:
        return
    tensor = rng.choice(whole)
    raw = bytearray(tree["buffers"][tensor["Buffer"]])
    item = _ITEM.get(tensor["Type"], 1)
    place = rng.randrange(max(len(raw) // item, 1)) * item
    raw[place : place + item] = (_number(rng) & (2 ** (8 * item) - 1)).to_bytes(item, "little")
    tree["buffers"][tensor["Buffer"]] = bytes(raw)


def _change_option(tree: Tree, rng: random.Random) -> None:
    operator = rng.choice(tree["operators"])
    if not operator["fields"]:
        return
    field = rng.choice(sorted(operator["fields"]))
    value = operator["fields"][field]
    if isinstance(value, list):
        _change_list(value, rng)
    else:
        found = _number(rng, value)
        operator["fields"][field] = found if isinstance(found, float) or abs(found) > 127 else found % 6


def _change_wire(tree: Tree, rng: random.Random) -> None:
    operator = rng.choice(tree["operators"])
    wires = rng.choice((operator["in"], operator["in"], operator["out"], tree["inputs"], tree["outputs"]))
    kind = rng.randrange(4)
    if kind == 0 or not wires:
        wires.append(rng.randrange(-1, len(tree["tensors"])))
    elif kind == 1:
        wires.pop(rng.randrange(len(wires)))
    else:
        wires[rng.randrange(len(wires))] = rng.randrange(-1, len(tree["tensors"]))


def _change_code(tree: Tree, rng: random.Random) -> None:
    operator, code = rng.choice(tree["operators"]), rng.choice(sorted(ROWS))
    tree["codes"].append(_CODES[code])
    operator["code"] = len(tree["codes"]) - 1
    options = ROWS[code].options
    if options and options != operator["options"] and rng.random() < 0.9:
        operator["options"], operator["fields"] = options, {}
        vectors = {name for name in _fields(options) if hasattr(getattr(tflite, options), f"{name}AsNumpy")}
        operator["fields"] = {name: [] if name in vectors else rng.randrange(3) for name in _fields(options)}


def _open_shapes(tree: Tree, rng: random.Random) -> None:
    """Sizes that the file leaves open fit whatever the operators give."""
    for operator in tree["operators"]:
        for number in operator["out"]:
            if rng.random() < 0.7 and 0 <= number < len(tree["tensors"]):
                tensor = tree["tensors"][number]
                tensor["ShapeSignature"] = [-1] * len(tensor["Shape"])


def _change_kinds(tree: Tree, rng: random.Random) -> None:
    kind = rng.choice(_KINDS)
    for tensor in tree["tensors"]:
        if rng.random() < 0.8 and tensor["Type"] != tflite.TensorType.INT32:
            tensor["Type"] = kind
            _refill(tree, tensor)


def _append(tree: Tree, rng: random.Random) -> None:
    """One more operator on some tensor, its result an output of the graph."""
    operator = deepcopy(rng.choice(tree["operators"]))
    tensor = deepcopy(rng.choice(tree["tensors"]))
    tensor["Buffer"], tensor["Name"] = 0, f"t{len(tree['tensors'])}"
    tree["tensors"].append(tensor)
    operator["out"] = [len(tree["tensors"]) - 1]
    if operator["in"]:
        operator["in"][0] = rng.randrange(len(tree["tensors"]) - 1)
    tree["operators"].append(operator)
    tree["outputs"].append(operator["out"][0])
    if rng.random() < 0.5:
        index = len(tree["operators"]) - 1
        tree["operators"][index] = operator
        _change_code({**tree, "operators": [operator]}, rng)


def _splice(tree: Tree, donor: Tree, rng: random.Random) -> None:
    """An operator of another file, with its tensors; it reads one of ours, and ours may go on from it."""
    operator = deepcopy(rng.choice(donor["operators"]))
    tree["codes"].append(donor["codes"][operator["code"]])
    operator["code"] = len(tree["codes"]) - 1
    places: dict[int, int] = {}
    for wires in (operator["in"], operator["out"]):
        for i, number in enumerate(wires):
            if number >= 0 and number not in places:
                tensor = deepcopy(donor["tensors"][number])
                if tensor["Buffer"]:
                    tree["buffers"].append(donor["buffers"][tensor["Buffer"]])
                    tensor["Buffer"] = len(tree["buffers"]) - 1
                tensor["Name"] = f"s{len(tree['tensors'])}"
                places[number] = len(tree["tensors"])
                tree["tensors"].append(tensor)
            wires[i] = places.get(number, -1)
    ours = [n for o in tree["operators"] for n in o["out"]] + tree["inputs"]
    for i, number in enumerate(operator["in"]):
        if number >= 0 and not tree["tensors"][number]["Buffer"]:
            if ours and rng.random() < 0.7:
                operator["in"][i] = rng.choice(ours)
            else:
                tree["inputs"].append(number)
    tree["operators"].append(operator)
    tree["outputs"] += operator["out"]


def _drop(tree: Tree, rng: random.Random) -> None:
    if len(tree["operators"]) > 1:
        gone = tree["operators"].pop(rng.randrange(len(tree["operators"])))
        tree["inputs"] += gone["out"][:1]


_MOVES = (
    _change_tensor, _change_tensor, _resize, _resize, _change_constant, _change_constant, _change_option,
    _change_option, _change_wire, _change_code, _open_shapes, _change_kinds, _append, _drop,
)  # fmt: skip
