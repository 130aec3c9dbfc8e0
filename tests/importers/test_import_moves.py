"""Operators that move, pick, resize or reduce elements, as other makers write them, against LiteRT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphs import inputs_of
from litert import litert_run
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters._flatbuffer import Model, Operator, Option, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array, DType, Graph, Shape, Type, per_tensor

CASES = 40
QUANT = per_tensor(0.1, 4)
Rng = np.random.Generator
Case = tuple[list[Tensor], list[Shape], dict[str, Option]]
"""Input tensors, shapes of the outputs, and options of an operator."""


def x_of(shape: Shape) -> Tensor:
    return Tensor("x", Type(shape, DType.INT8, QUANT))


def ints(name: str, values: Array | list[int] | Shape) -> Tensor:
    array = np.array(values, np.int32)
    return Tensor(name, Type(array.shape, DType.INT32), array)


def scalar(name: str, value: int) -> Tensor:
    return ints(name, np.array(value))


def file_of(code: str, version: int, options: str, case: Case, dtype: DType = DType.INT8) -> bytes:
    """A file of one operator; outputs have this type."""
    inputs, shapes, fields = case
    quant = QUANT if dtype == DType.INT8 else None
    outputs = [Tensor(f"y{i}", Type(shape, dtype, quant)) for i, shape in enumerate(shapes)]
    names, faces = tuple(t.name for t in inputs), tuple(t.name for t in inputs if t.value is None)
    written = tuple(t.name for t in outputs)
    operator = Operator(code, version, names, written, options, fields)
    return to_bytes(Model("main", (*inputs, *outputs), (operator,), faces, written))


def check(model: bytes, seed: int) -> Graph:
    """The graph of ``model``, after seeing that it, and what is written of it, mean what LiteRT says."""
    graph = load(model)
    again = export(graph)
    for values in inputs_of(graph, np.random.default_rng(seed), 2):
        wanted = litert_run(model, values)
        for found in (interpret(graph, values), litert_run(again, values)):
            for got, want in zip(found, wanted, strict=True):
                assert got.dtype == want.dtype
                if want.dtype == np.float32:
                    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-4, atol=1e-4)
                else:
                    np.testing.assert_array_equal(got.reshape(want.shape), want)
    return graph


def sizes(rng: Rng, low: int = 1, high: int = 5, most: int = 7) -> Shape:
    return tuple(int(n) for n in rng.integers(1, most, int(rng.integers(low, high))))


def either(rng: Rng, axis: int, rank: int) -> int:
    """``axis``, half of the time counted from the end."""
    return axis - rank if rng.random() < 0.5 else axis


def split(rng: Rng) -> Case:
    shape = sizes(rng)
    axis, count = int(rng.integers(len(shape))), int(rng.integers(1, 5))
    whole = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    axes = scalar("axis", either(rng, axis, len(shape)))
    return [axes, x_of(whole)], [shape] * count, {"NumSplits": count}


def split_v(rng: Rng) -> Case:
    shape = sizes(rng)
    axis, parts = int(rng.integers(len(shape))), [int(n) for n in rng.integers(1, 5, int(rng.integers(1, 5)))]
    shapes = [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]
    whole = (*shape[:axis], sum(parts), *shape[axis + 1 :])
    if rng.random() < 0.4:
        parts[int(rng.integers(len(parts)))] = -1
    axes = scalar("axis", either(rng, axis, len(shape)))
    return [x_of(whole), ints("parts", parts), axes], shapes, {"NumSplits": len(parts)}


def unpack(rng: Rng) -> Case:
    shape = sizes(rng)
    axis = int(rng.integers(len(shape)))
    rest = (*shape[:axis], *shape[axis + 1 :])
    fields: dict[str, Option] = {"Num": shape[axis], "Axis": either(rng, axis, len(shape))}
    return [x_of(shape)], [rest] * shape[axis], fields


def pack(rng: Rng) -> Case:
    shape, count = sizes(rng, 1, 4), int(rng.integers(1, 5))
    axis = int(rng.integers(len(shape) + 1))
    inputs = [Tensor(f"x{i}", x_of(shape).type) for i in range(count)]
    fields: dict[str, Option] = {"ValuesCount": count, "Axis": either(rng, axis, len(shape) + 1)}
    return inputs, [(*shape[:axis], count, *shape[axis:])], fields


def slice_(rng: Rng) -> Case:
    shape = sizes(rng, 1, 6)
    begin = [int(rng.integers(n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    given = [
        -1 if b + s == n and rng.random() < 0.5 else s for b, s, n in zip(begin, size, shape, strict=True)
    ]
    return [x_of(shape), ints("begin", begin), ints("size", given)], [tuple(size)], {}


def strided_slice(rng: Rng) -> Case:
    """Random entries and masks; the shape of the result is numpy's."""
    while True:
        shape = sizes(rng, 1, 5)
        rank = int(rng.integers(1, len(shape) + 1))
        begin, end = ([int(rng.integers(-n - 2, n + 3)) for n in shape[:rank]] for _ in range(2))
        stride = [int(rng.choice((-3, -2, -1, 1, 1, 1, 2, 3))) for _ in range(rank)]
        begin_mask, end_mask, shrink = (int(rng.integers(1 << rank)) for _ in range(3))
        shrink &= int(rng.integers(1 << rank))
        keys: list[slice | int] = []
        for i in range(rank):
            first = None if begin_mask >> i & 1 else begin[i]
            last = None if end_mask >> i & 1 else end[i]
            if shrink >> i & 1:
                begin[i], stride[i] = int(rng.integers(-shape[i], shape[i])), 1
                begin_mask &= ~(1 << i)
                keys.append(begin[i])
            else:
                keys.append(slice(first, last, stride[i]))
        found = np.empty(shape)[tuple(keys)]
        if found.size:
            break
    fields: dict[str, Option] = {"BeginMask": begin_mask, "EndMask": end_mask, "ShrinkAxisMask": shrink}
    numbers = [ints(name, v) for name, v in (("begin", begin), ("end", end), ("stride", stride))]
    return [x_of(shape), *numbers], [found.shape], fields


def gather(rng: Rng) -> Case:
    shape, places = sizes(rng), sizes(rng, 0, 3, 5)
    axis = int(rng.integers(len(shape)))
    indices = rng.integers(shape[axis], size=places)
    fields: dict[str, Option] = {"Axis": either(rng, axis, len(shape))}
    return [x_of(shape), ints("indices", indices)], [(*shape[:axis], *places, *shape[axis + 1 :])], fields


def gather_run(rng: Rng) -> Case:
    indices = [1, 3, 5] if rng.random() < 0.5 else [4, 3, 2, 1, 0]
    return [x_of((2, 6, 3)), ints("indices", indices)], [(2, len(indices), 3)], {"Axis": 1}


def squeeze(rng: Rng) -> Case:
    shape = tuple(int(n) for n in rng.choice((1, 1, 3, 4), 4))
    axes = [axis for axis, n in enumerate(shape) if n == 1]
    named = [axis for axis in axes if rng.random() < 0.5]
    kept = tuple(n for axis, n in enumerate(shape) if axis not in (named or axes))
    return [x_of(shape)], [kept], {"SqueezeDims": tuple(either(rng, axis, 4) for axis in named)}


def expand_dims(rng: Rng) -> Case:
    shape = sizes(rng)
    axis = int(rng.integers(len(shape) + 1))
    axes = scalar("axis", either(rng, axis, len(shape) + 1))
    return [x_of(shape), axes], [(*shape[:axis], 1, *shape[axis:])], {}


def space_to_depth(rng: Rng) -> Case:
    n, h, w, c, block = (int(size) for size in rng.integers(1, 5, 5))
    return [x_of((n, h * block, w * block, c))], [(n, h, w, c * block * block)], {"BlockSize": block}


def depth_to_space(rng: Rng) -> Case:
    n, h, w, c, block = (int(size) for size in rng.integers(1, 5, 5))
    return [x_of((n, h, w, c * block * block))], [(n, h * block, w * block, c)], {"BlockSize": block}


def reverse(rng: Rng) -> Case:
    shape = sizes(rng)
    first = int(rng.integers(len(shape)))
    last = int(rng.integers(first, len(shape)))
    return [x_of(shape), ints("axes", list(range(first, last + 1)))], [shape], {}


def tile(rng: Rng) -> Case:
    shape = sizes(rng, 1, 4)
    times = [int(n) for n in rng.choice((1, 1, 2, 3), len(shape))]
    y_shape = tuple(n * size for n, size in zip(times, shape, strict=True))
    return [x_of(shape), ints("times", times)], [y_shape], {}


def broadcast_to(rng: Rng) -> Case:
    y_shape = sizes(rng)
    own = tuple(n if rng.random() < 0.5 else 1 for n in y_shape[int(rng.integers(len(y_shape))) :])
    return [x_of(own), ints("shape", y_shape)], [y_shape], {}


def amounts_of(rng: Rng, shape: Shape, most: int) -> tuple[Array, Shape]:
    amounts = np.array([[int(rng.integers(min(n + most - 1, 4))) for _ in range(2)] for n in shape])
    return amounts, tuple(int(n) for n in amounts.sum(axis=1) + shape)


def pad_v2(rng: Rng) -> Case:
    shape = sizes(rng)
    amounts, y_shape = amounts_of(rng, shape, 9)
    value = np.array(rng.integers(-128, 128, 1), np.int8)
    fill = Tensor("value", Type(value.shape, DType.INT8, QUANT), value)
    return [x_of(shape), ints("amounts", amounts), fill], [y_shape], {}


def mirror_pad(rng: Rng) -> Case:
    shape, mode = sizes(rng), int(rng.integers(2))
    amounts, y_shape = amounts_of(rng, shape, 1 + mode)
    return [x_of(shape), ints("amounts", amounts)], [y_shape], {"Mode": mode}


def resize(rng: Rng) -> Case:
    n, h, w, c, out_h, out_w = (int(size) for size in rng.integers(1, (3, 30, 30, 4, 40, 40)))
    corners = bool(rng.random() < 0.4)
    fields: dict[str, Option] = {
        "AlignCorners": corners,
        "HalfPixelCenters": not corners and bool(rng.random() < 0.6),
    }
    return [x_of((n, h, w, c)), ints("size", [out_h, out_w])], [(n, out_h, out_w, c)], fields


def reduce_max(rng: Rng) -> Case:
    shape = sizes(rng)
    axes = sorted(int(a) for a in rng.permutation(len(shape))[: int(rng.integers(1, len(shape) + 1))])
    keep = bool(rng.random() < 0.5)
    y_shape = tuple(1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes)
    given = [either(rng, axis, len(shape)) for axis in axes]
    return [x_of(shape), ints("axes", given)], [y_shape], {"KeepDims": keep}


OPERATORS: list[tuple[str, int, str, Callable[[Rng], Case]]] = [
    ("SPLIT", 2, "SplitOptions", split),
    ("SPLIT_V", 2, "SplitVOptions", split_v),
    ("UNPACK", 2, "UnpackOptions", unpack),
    ("PACK", 2, "PackOptions", pack),
    ("SLICE", 2, "SliceOptions", slice_),
    ("STRIDED_SLICE", 2, "StridedSliceOptions", strided_slice),
    ("GATHER", 2, "GatherOptions", gather),
    ("GATHER", 2, "GatherOptions", gather_run),
    ("SQUEEZE", 1, "SqueezeOptions", squeeze),
    ("EXPAND_DIMS", 1, "ExpandDimsOptions", expand_dims),
    ("SPACE_TO_DEPTH", 2, "SpaceToDepthOptions", space_to_depth),
    ("DEPTH_TO_SPACE", 1, "DepthToSpaceOptions", depth_to_space),
    ("REVERSE_V2", 3, "ReverseV2Options", reverse),
    ("TILE", 2, "TileOptions", tile),
    ("BROADCAST_TO", 2, "BroadcastToOptions", broadcast_to),
    ("PADV2", 2, "PadV2Options", pad_v2),
    ("MIRROR_PAD", 2, "MirrorPadOptions", mirror_pad),
    ("RESIZE_NEAREST_NEIGHBOR", 3, "ResizeNearestNeighborOptions", resize),
    ("RESIZE_BILINEAR", 3, "ResizeBilinearOptions", resize),
    ("REDUCE_MAX", 2, "ReducerOptions", reduce_max),
]


NAMES = [make.__name__ for *_, make in OPERATORS]


@pytest.mark.parametrize(("code", "version", "options", "make"), OPERATORS, ids=NAMES)
def test_random_files_mean_what_litert_says(
    code: str, version: int, options: str, make: Callable[[Rng], Case]
) -> None:
    rng = np.random.default_rng(8)
    for seed in range(CASES):
        check(file_of(code, version, options, make(rng)), seed)


@pytest.mark.parametrize(("code", "version", "options", "make"), OPERATORS, ids=NAMES)
def test_random_float_files_mean_what_litert_says(
    code: str, version: int, options: str, make: Callable[[Rng], Case]
) -> None:
    rng = np.random.default_rng(9)
    for seed in range(CASES // 4):
        inputs, shapes, fields = make(rng)
        floats = [as_float(tensor) for tensor in inputs]
        check(file_of(code, version, options, (floats, shapes, fields), DType.FLOAT32), seed)


def as_float(tensor: Tensor) -> Tensor:
    """A tensor in place of an int8 one."""
    if tensor.type.dtype != DType.INT8:
        return tensor
    value = None if tensor.value is None else tensor.value.astype(np.float32)
    return Tensor(tensor.name, Type(tensor.type.shape, DType.FLOAT32), value)


@pytest.mark.parametrize("dtype", [DType.INT32, DType.INT64])
def test_arg_max(dtype: DType) -> None:
    rng = np.random.default_rng(10)
    for seed in range(CASES):
        shape = sizes(rng)
        axis = int(rng.integers(len(shape)))
        axes = scalar("axis", either(rng, axis, len(shape)))
        fields: dict[str, Option] = {"OutputType": 2 if dtype == DType.INT32 else 4}
        case = [x_of(shape), axes], [(*shape[:axis], *shape[axis + 1 :])], fields
        check(file_of("ARG_MAX", 2, "ArgMaxOptions", case, dtype), seed)


def test_a_slice_with_new_axes_and_an_ellipsis() -> None:
    """x[1, None, ..., 0:6:2, -1] of a tensor of five axes."""
    case = (
        [
            x_of((2, 3, 2, 6, 4)),
            ints("begin", [1, 0, 0, 0, -1]),
            ints("end", [2, 0, 0, 6, 0]),
            ints("stride", [1, 1, 1, 2, 1]),
        ],
        [(1, 3, 2, 3)],
        {"ShrinkAxisMask": 17, "NewAxisMask": 2, "EllipsisMask": 4},
    )
    graph = load(file_of("STRIDED_SLICE", 2, "StridedSliceOptions", case))
    x = np.arange(288, dtype=np.int16).astype(np.int8).reshape(2, 3, 2, 6, 4)
    np.testing.assert_array_equal(interpret(graph, [x])[0], x[1, None, ..., 0:6:2, -1])


def test_what_takes_all_is_a_view() -> None:
    """No kernel runs for a slice of everything, nor for one that only drops an axis of size 1."""
    whole = [x_of((2, 3)), ints("begin", [0, 0]), ints("size", [-1, -1])], [(2, 3)], {}
    assert [n.op for n in load(file_of("SLICE", 2, "SliceOptions", whole)).nodes] == ["reshape"]
    assert [
        n.op for n in load(file_of("UNPACK", 2, "UnpackOptions", ([x_of((1, 4))], [(4,)], {"Num": 1}))).nodes
    ] == ["reshape"]


def test_even_indices_are_a_slice() -> None:
    rng = np.random.default_rng(2)
    graph = load(file_of("GATHER", 2, "GatherOptions", gather_run(rng)))
    assert [node.op for node in graph.nodes] == ["strided_slice"]


def test_parts_of_a_split_that_nobody_reads_are_left_out() -> None:
    tensors = (x_of((6,)), scalar("axis", 0), *(Tensor(f"y{i}", x_of((2,)).type) for i in range(3)))
    written = tuple(f"y{i}" for i in range(3))
    operator = Operator("SPLIT", 2, ("axis", "x"), written, "SplitOptions", {"NumSplits": 3})
    model = to_bytes(Model("main", tensors, (operator,), ("x",), ("y1",)))
    assert [(node.op, node.outputs) for node in check(model, 0).nodes] == [("strided_slice", ("y1",))]


def test_a_shape_computed_in_the_file_is_left_out() -> None:
    """What Keras writes of Flatten with an open batch size: shape, slice, pack, reshape."""
    tensors = [
        x_of((1, 3, 4)), Tensor("s", Type((3,), DType.INT32)), Tensor("n", Type((), DType.INT32)),
        Tensor("p", Type((2,), DType.INT32)), Tensor("y", Type((1, 12), DType.INT8, QUANT)),
        ints("zero", [0]), ints("one", [1]), scalar("rest", 12),
    ]  # fmt: skip
    operators = (
        Operator("SHAPE", 1, ("x",), ("s",), "ShapeOptions", {"OutType": 2}),
        Operator(
            "STRIDED_SLICE", 1, ("s", "zero", "one", "one"), ("n",), "StridedSliceOptions",
            {"ShrinkAxisMask": 1},
        ),
        Operator("PACK", 1, ("n", "rest"), ("p",), "PackOptions", {"ValuesCount": 2}),
        Operator("RESHAPE", 1, ("x", "p"), ("y",), "ReshapeOptions", {}),
    )  # fmt: skip
    graph = load(to_bytes(Model("main", tuple(tensors), operators, ("x",), ("y",))))
    assert [node.op for node in graph.nodes] == ["reshape"]


SEVEN = x_of((7,))
PIXELS = x_of((1, 3, 2, 3))


def damaged(
    code: str, options: str, inputs: list[Tensor], shapes: list[Shape], message: str, **fields: Option
) -> object:
    return pytest.param(code, options, (inputs, shapes, fields), message, id=f"{code}: {message}")


def numbers(*values: list[int]) -> list[Tensor]:
    return [ints(f"c{i}", value) for i, value in enumerate(values)]


DAMAGED = [
    damaged(
        "SPLIT", "SplitOptions", [scalar("a", 0), SEVEN], [(3,), (3,)], r"\[7\] in parts \[3, 3\] for 2 out"
    ),
    damaged("SPLIT", "SplitOptions", [scalar("a", 1), SEVEN], [(7,)], "axis 1 of 1; the file is damaged"),
    damaged("SPLIT", "SplitOptions", [SEVEN], [(7,)], "has 1 inputs, wanted 2"),
    damaged(
        "SPLIT_V", "SplitVOptions", [SEVEN, *numbers([8, -1], [0])], [(8,), (1,)], "8 elements from 0 on"
    ),
    damaged(
        "UNPACK", "UnpackOptions", [SEVEN], [()] * 3, r"axis 0 of \[7\] in parts \[1, 1, 1\] for 3 outputs"
    ),
    damaged(
        "SLICE", "SliceOptions", [SEVEN, *numbers([6], [2])], [(2,)], "2 elements from 6 on in steps of 1"
    ),
    damaged("SLICE", "SliceOptions", [SEVEN, *numbers([0, 0], [2])], [(2,)], "begin .* the file is damaged"),
    damaged(
        "STRIDED_SLICE",
        "StridedSliceOptions",
        [SEVEN, *numbers([5], [2], [1])],
        [(2,)],
        "from 5 to 2 in steps of 1 picks nothing of 7 elements",
    ),
    damaged(
        "STRIDED_SLICE", "StridedSliceOptions", [SEVEN, *numbers([5], [2], [0])], [(2,)], "a stride is 0"
    ),
    damaged(
        "STRIDED_SLICE",
        "StridedSliceOptions",
        [SEVEN, *numbers([2], [6], [1])],
        [(5,)],
        "a slice of 7 elements ends 6 from 2; the file is damaged",
        Offset=True,
    ),
    damaged(
        "STRIDED_SLICE",
        "StridedSliceOptions",
        [SEVEN, *numbers([0, 0], [2, 2], [1, 1])],
        [(2,)],
        "has entries for more axes than",
    ),
    damaged(
        "STRIDED_SLICE", "StridedSliceOptions", [SEVEN, *numbers([0], [2, 2], [1])], [(2,)], "as many begins"
    ),
    damaged("GATHER", "GatherOptions", [SEVEN, *numbers([1, 7, 0])], [(3,)], "index 7 along axis 0 of"),
    damaged("GATHER", "GatherOptions", [SEVEN, *numbers([1])], [(1,)], "has 1 batch dimensions", BatchDims=1),
    damaged(
        "MIRROR_PAD", "MirrorPadOptions", [SEVEN, *numbers([7, 0])], [(14,)], "mirrors 7 and 0 of 7 elements"
    ),
    damaged("MIRROR_PAD", "MirrorPadOptions", [SEVEN, *numbers([7])], [(14,)], "pads by 1 numbers, wanted 2"),
    damaged(
        "MIRROR_PAD",
        "MirrorPadOptions",
        [x_of((2**20,)), *numbers([1, 0])],
        [(2**20 + 1,)],
        "mirrors an axis of 1048576 elements; at most 16384 are supported",
    ),
    damaged("TILE", "TileOptions", [SEVEN, *numbers([0])], [(7,)], "0,. times; the file is damaged"),
    damaged("BROADCAST_TO", "BroadcastToOptions", [SEVEN, *numbers([2, 6])], [(2, 6)], "wanted equal sizes"),
    damaged(
        "RESIZE_BILINEAR",
        "ResizeBilinearOptions",
        [PIXELS, *numbers([3])],
        [(1, 3, 3, 3)],
        "wanted height and width",
    ),
    damaged(
        "SPACE_TO_DEPTH", "SpaceToDepthOptions", [PIXELS], [(1, 1, 1, 12)], "in blocks of 2", BlockSize=2
    ),
    damaged("DEPTH_TO_SPACE", "DepthToSpaceOptions", [PIXELS], [(1, 6, 4, 1)], "in blocks of 2", BlockSize=2),
    damaged(
        "PADV2",
        "PadV2Options",
        [SEVEN, *numbers([1, 0], [1])],
        [(8,)],
        "wanted one constant of the input's quantization",
    ),
    damaged(
        "EXPAND_DIMS", "ExpandDimsOptions", [SEVEN, *numbers([0, 1])], [(1, 7)], "names 2 axes, wanted 1"
    ),
]


@pytest.mark.parametrize(("code", "options", "case", "message"), DAMAGED)
def test_damaged_files(code: str, options: str, case: Case, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(file_of(code, 1, options, case))
