"""Damaged and hostile .tflite files: one line that says where, soon, whatever the bytes."""

from __future__ import annotations

import random
import struct
from functools import partial
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
from hypothesis import example, given
from hypothesis import strategies as st

from hostile import refusal_by
from memory_nets import lstm_net, svdf_net
from small_nets import random_net
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters import _flatbuffer as writer
from tinyfoundry.exporters._flatbuffer import Model, Operator, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers import _flat
from tinyfoundry.importers.tflite import load
from tinyfoundry.ir.graph import DType, Type, per_tensor

INT8 = Type((1, 4), DType.INT8, per_tensor(0.1))
EDGES = (0, 1, 2, 4, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1)


refusal = partial(refusal_by, load)


def mutated(model: bytes, rng: random.Random) -> bytes:
    """A copy with a few flipped bits, random bytes, or telling numbers; mostly where its tables are."""
    data = bytearray(model)
    kind = rng.randrange(3)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.choice((rng.randrange(len(data)), rng.randrange(min(len(data), 3000)), -1))
        if place < 0:
            place = len(data) - 1 - rng.randrange(min(len(data), 20000))
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.randrange(256)
        else:
            number = rng.choice((*EDGES, len(data), rng.randrange(len(data)), rng.randrange(2**32)))
            place = min(place & ~3, len(data) - 4)
            data[place : place + 4] = struct.pack("<I", number)
    return bytes(data)


def small_models() -> list[bytes]:
    nets = [random_net(seed, as_floats) for seed in range(5) for as_floats in (False, True)]
    return [export(net) for net in (*nets, lstm_net(1), lstm_net(2, 1, 1, 1), svdf_net(3))]


def test_mutations_of_small_networks() -> None:
    rng = random.Random(1)
    models = small_models()
    said = [refusal(mutated(rng.choice(models), rng)) for _ in range(1200)]
    assert 300 < sum(text is not None for text in said) < 1200


@pytest.mark.parametrize(
    "name", ["ad01_int8", "kws_ref_model", "mcunet_vww1", "pretrainedResnet_quant", "vww_96_int8"]
)
def test_mutations_of_real_models(name: str, shared_models: dict[str, Path]) -> None:
    rng = random.Random(name)
    model = shared_models[name].read_bytes()
    said = [refusal(mutated(model, rng)) for _ in range(80)]
    assert any(said)


@pytest.mark.parametrize(
    "name", ["ad01_int8", "kws_ref_model", "mcunet_vww1", "pretrainedResnet_quant", "vww_96_int8"]
)
def test_truncations_of_real_models(name: str, shared_models: dict[str, Path]) -> None:
    """Every truncation takes something from a model whose tables fill its end, and is refused."""
    rng = random.Random(name)
    model = shared_models[name].read_bytes()
    for size in (*range(12), *(rng.randrange(len(model)) for _ in range(60)), len(model) - 1000):
        assert refusal(model[:size]) is not None, size


def test_truncations_of_small_networks() -> None:
    for model in small_models()[:3]:
        for size in range(0, len(model) - 64, 37):
            assert refusal(model[:size]) is not None, size


@given(st.binary(max_size=400))
@example(b"\xff\xff\xff\xff")
@example(b"\0\0\0\0")
def test_any_bytes_behind_the_identifier(rest: bytes) -> None:
    assert refusal(b"\x08\0\0\0TFL3" + rest) is not None


@given(st.integers(0, 9), st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from(EDGES)), max_size=6))
def test_telling_numbers_anywhere(which: int, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL[which])
    for place, number in changes:
        at = place * 4 % (len(data) - 4)
        data[at : at + 4] = struct.pack("<I", number)
    refusal(bytes(data))


SMALL = small_models()


def chain(*operators: Operator, constants: tuple[Tensor, ...] = ()) -> Model:
    """x -> y -> z of two relus, unless other operators are given."""
    tensors = tuple(Tensor(name, INT8) for name in "xyz")
    plain = (Operator("RELU", 2, ("x",), ("y",), "", {}), Operator("RELU", 2, ("y",), ("z",), "", {}))
    return Model("main", (*tensors, *constants), operators or plain, ("x",), ("z",))


def test_a_cycle_is_refused() -> None:
    model = to_bytes(chain(
        Operator("ADD", 2, ("x", "z"), ("y",), "AddOptions", {}), Operator("RELU", 2, ("y",), ("z",), "", {}),
    ))  # fmt: skip
    with pytest.raises(
        ModelError, match=r"model, tensor 2 'z' at byte \d+: read by ADD before anything wrote it"
    ):
        load(model)


def test_a_tensor_written_twice_is_refused() -> None:
    relu = Operator("RELU", 2, ("x",), ("z",), "", {})
    with pytest.raises(
        ModelError, match=r"operator 1 \(RELU\) at byte \d+: output 'z' has a value already; the"
    ):
        load(to_bytes(chain(relu, relu)))


def test_an_unwritten_output_is_refused() -> None:
    model = to_bytes(chain(Operator("RELU", 2, ("x",), ("y",), "", {})))
    with pytest.raises(
        ModelError, match=r"tensor 2 'z' at byte \d+: read by the graph's outputs before anything"
    ):
        load(model)


def test_a_constant_input_is_refused() -> None:
    value = np.zeros((1, 4), np.int8)
    model = Model("main", (Tensor("x", INT8, value), Tensor("y", INT8)), (
        Operator("RELU", 2, ("x",), ("y",), "", {}),
    ), ("x",), ("y",))  # fmt: skip
    with pytest.raises(
        ModelError, match=r"tensor 0 'x' at byte \d+: an input of the graph, but a constant too"
    ):
        load(to_bytes(model))


def test_names_cannot_break_the_line() -> None:
    tensors = (Tensor("x", INT8), Tensor("a\nb\x1b[2J", Type((1, 5), DType.INT8, INT8.quant)))
    operator = Operator("RELU", 2, ("x",), (tensors[1].name,), "", {})
    said = refusal(to_bytes(Model("main", tensors, (operator,), ("x",), (tensors[1].name,))))
    assert said is not None
    assert r"output 'a\nb\x1b[2J' is INT8 [1, 5] where its inputs give int8 [1, 4]" in said


def field(table: object, slot: int) -> int:
    return table._tab.Pos + table._tab.Offset(slot)


def items(table: object, slot: int) -> int:
    return table._tab.Vector(table._tab.Offset(slot))


BAD_NUMBERS = {  # what it is: (place in the file, number, what is said)
    "no size": (
        lambda g: items(g.Tensors(1), 4),
        0,
        r"tensor 1 'y' at byte \d+: shape \[0, 4\] has a size below 1",
    ),
    "huge size": (
        lambda g: items(g.Tensors(1), 4),
        2**31 - 1,
        r"tensor 1 'y' at byte \d+: shape \[2147483647, 4\] has 8589934588 elements, at most 268435456 are",
    ),
    "huge vector": (
        lambda g: items(g.Tensors(1), 4) - 4,
        2**30,
        r"tensor at byte \d+: Shape has 1073741824 items; the file is truncated",
    ),
    "many axes": (
        lambda g: items(g.Tensors(1), 4) - 4,
        9,
        r"tensor 1 'y' at byte \d+: has 9 axes; at most 8",
    ),
    "buffer": (
        lambda g: field(g.Tensors(3), 8),
        77,
        r"tensor 3 'c' at byte \d+: is in buffer 77 of 2; the file is",
    ),
    "constant's size": (
        lambda g: items(g.Tensors(3), 4) + 4,
        5,
        r"tensor 3 'c' at byte \d+: holds 4 bytes where INT8 \[1, 5\] takes 5; the file",
    ),
    "nan": (
        lambda g: items(g.Tensors(1).Quantization(), 8),
        0x7FC00000,
        r"scale nan, wanted 1e-30 to 1e\+15",
    ),
    "no scale": (
        lambda g: items(g.Tensors(1).Quantization(), 8),
        0,
        r"'y' at byte \d+: scale 0, wanted 1e-30",
    ),
    "zero point": (
        lambda g: items(g.Tensors(1).Quantization(), 10),
        128,
        r"tensor 1 'y' at byte \d+: a zero point is outside -128..127",
    ),
    "input": (
        lambda g: items(g.Operators(1), 6),
        4,
        r"operator 1 \(RELU\) at byte \d+, inputs: name tensor 4, there are 4",
    ),
    "output": (
        lambda g: items(g.Operators(1), 8),
        2**32 - 1,
        r"operator 1 \(RELU\) at byte \d+, outputs: name tensor -1",
    ),
    "graph's input": (
        lambda g: items(g, 6),
        9,
        r"subgraph 0, inputs: name tensor 9, there are 4; the file is",
    ),
    "tensor count": (
        lambda g: items(g, 4) - 4,
        2**20,
        r"subgraph at byte \d+: Tensors has 1048576 items; the",
    ),
    "operator": (
        lambda g: items(g, 10),
        2**31,
        r"operator 0: points outside the file's \d+ bytes; the file is",
    ),
}


@pytest.mark.parametrize("what", BAD_NUMBERS)
def test_a_bad_number_is_named(what: str) -> None:
    find, number, message = BAD_NUMBERS[what]
    add = Operator("ADD", 2, ("x", "c"), ("y",), "AddOptions", {})
    relu = Operator("RELU", 2, ("y",), ("z",), "", {})
    data = bytearray(to_bytes(chain(add, relu, constants=(Tensor("c", INT8, np.zeros((1, 4), np.int8)),))))
    load(bytes(data))
    place = find(tflite.Model.GetRootAs(data, 0).Subgraphs(0))
    data[place : place + 4] = struct.pack("<I", number)
    assert refusal(bytes(data)) is not None
    with pytest.raises(ModelError, match=message):
        load(bytes(data))


def test_a_constant_that_is_no_number_is_refused() -> None:
    types = Type((1, 4), DType.FLOAT32)
    tensors = (
        Tensor("x", types),
        Tensor("c", types, np.full((1, 4), np.nan, np.float32)),
        Tensor("y", types),
    )
    add = Operator("ADD", 1, ("x", "c"), ("y",), "AddOptions", {})
    with pytest.raises(ModelError, match="constant 'c' holds a NaN or an infinity"):
        load(to_bytes(Model("main", tensors, (add,), ("x",), ("y",))))


def test_tables_that_share_their_bytes_are_not_unfolded() -> None:
    """Sixteen thousand tensors of one long name are a small file, but a gigabyte of names."""
    builder = flatbuffers.Builder(1024)
    tensor = writer._table(builder, "Tensor", Name=builder.CreateString("n" * 60000))
    graph = writer._table(builder, "SubGraph", Tensors=writer._offsets(builder, [tensor] * _flat.MAX_ITEMS))
    buffers = writer._offsets(builder, [writer._table(builder, "Buffer")])
    graphs = writer._offsets(builder, [graph])
    root = writer._table(builder, "Model", Version=3, Subgraphs=graphs, Buffers=buffers)
    builder.Finish(root, file_identifier=b"TFL3")
    said = refusal(bytes(builder.Output()))
    assert said is not None and "use the same bytes again and again, over 8 times its size" in said


def test_too_many_tensors_are_refused() -> None:
    builder = flatbuffers.Builder(1024)
    tensor = writer._table(builder, "Tensor")
    graph = writer._table(
        builder, "SubGraph", Tensors=writer._offsets(builder, [tensor] * (_flat.MAX_ITEMS + 1))
    )
    builder.Finish(
        writer._table(builder, "Model", Subgraphs=writer._offsets(builder, [graph])), file_identifier=b"TFL3"
    )
    with pytest.raises(ModelError, match="has 16385 Tensors; at most 16384 are read: give a smaller model"):
        load(bytes(builder.Output()))


def test_missing_biases_of_many_layers_are_one_constant() -> None:
    """Else a thousand layers that share their weights would be a small file, but a gigabyte of zeros."""
    w = Tensor("w", Type((50, 4), DType.INT8, per_tensor(0.1)), np.ones((50, 4), np.int8))
    outputs = [Tensor(f"y{i}", Type((1, 50), DType.INT8, per_tensor(0.1))) for i in range(9)]
    layers = [
        Operator("FULLY_CONNECTED", 4, ("x", "w"), (y.name,), "FullyConnectedOptions", {}) for y in outputs
    ]
    names = tuple(y.name for y in outputs)
    graph = load(to_bytes(Model("main", (Tensor("x", INT8), w, *outputs), tuple(layers), ("x",), names)))
    assert sorted(graph.constants) == ["w", "y0_bias"]


@pytest.mark.parametrize("count", [0, 2])
def test_one_subgraph_is_wanted(count: int) -> None:
    builder = flatbuffers.Builder(1024)
    graphs = [writer._table(builder, "SubGraph") for _ in range(count)]
    builder.Finish(
        writer._table(builder, "Model", Subgraphs=writer._offsets(builder, graphs)), file_identifier=b"TFL3"
    )
    with pytest.raises(
        ModelError, match=rf"model: has {count} subgraphs, wanted 1: convert a model without control"
    ):
        load(bytes(builder.Output()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"StrideH": 0, "StrideW": 1}, r"stride \(0, 1\), kernel \(2, 2\), dilation \(1, 1\): one is below"),
        ({"StrideH": 1, "StrideW": 2000}, r"\(MAX_POOL_2D\) at byte \d+: stride \(1, 2000\).* than 1024"),
        ({"StrideH": 1, "StrideW": 1, "Padding": 7}, r"padding is 7, wanted 0 \(SAME\) or 1 \(VALID\)"),
    ],
)  # fmt: skip
def test_windows_are_checked(options: dict[str, int], message: str) -> None:
    image = Type((1, 4, 4, 1), DType.INT8, per_tensor(0.1))
    pool = Operator(
        "MAX_POOL_2D", 2, ("x",), ("y",), "Pool2DOptions", {"FilterHeight": 2, "FilterWidth": 2, **options}
    )
    with pytest.raises(ModelError, match=message):
        load(to_bytes(Model("main", (Tensor("x", image), Tensor("y", image)), (pool,), ("x",), ("y",))))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(_flat.MAX_FILE_BYTES + 2**33)  # sparse: it takes no room on the disk
    with pytest.raises(ModelError, match=r"huge\.tflite': has 9126805504 bytes; at most 536870912 are read"):
        load(path)
