"""Damaged, hostile and unsupported .onnx files: one line, soon, and nothing read but the file."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hostile import refusal_by
from onnx_nets import NETS, Net, autoencoder, ds_cnn, movers, quantised
from tinyfoundry.errors import ModelError
from tinyfoundry.importers import _protobuf
from tinyfoundry.importers.onnx import load

IMAGE = (1, 6, 9, 8)


refusal = partial(refusal_by, load)


def mutated(model: bytes, rng: random.Random) -> bytes:
    data = bytearray(model)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(data))
        if rng.random() < 0.5:
            data[place] ^= 1 << rng.randrange(8)
        else:
            data[place] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
    return bytes(data)


def without_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Small weights, so that mutations hit what is no weight."""
    for tensor in proto.graph.initializer:
        if len(tensor.raw_data) > 64:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.int8), tensor.name))
    return proto


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("models")
    small = [build() for build in (*NETS.values(), movers)]
    return [*small, quantised(ds_cnn(), folder, (1, 1, 49, 10)), quantised(autoencoder(), folder, (1, 64))]


def test_mutations(models: list[bytes]) -> None:
    rng = random.Random(1)
    said = [refusal(mutated(rng.choice(models), rng)) for _ in range(500)]
    assert 50 < sum(text is not None for text in said) < 500


def test_mutations_of_what_is_no_weight(models: list[bytes]) -> None:
    """Every byte of node and face is hit once and more; weights' bytes are left alone."""
    rng = random.Random(2)
    for model in models:
        proto = onnx.load_from_string(model)
        weights = list(proto.graph.initializer)
        del proto.graph.initializer[:]
        bare = proto.SerializeToString()
        for _ in range(120):
            try:
                changed = onnx.load_from_string(mutated(bare, rng))
            except Exception:  # noqa: BLE001 - protobuf's own refusal, of which there are several classes
                continue
            changed.graph.initializer.extend(weights)
            refusal(changed.SerializeToString())


def test_truncations(models: list[bytes]) -> None:
    rng = random.Random(3)
    for model in models:
        for size in (*range(10), *(rng.randrange(len(model)) for _ in range(25))):
            assert refusal(model[:size]) is not None, size


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert refusal(data) is not None


def test_messages_beyond_count_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = b"\x0a\x00" * 1_500_000  # GraphProto.node, each of no bytes
    size = len(empty)
    varint = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    with pytest.raises(ModelError, match="model: has more than 262144 fields, or nests too deep: no network"):
        load(b"\x3a" + varint + empty)
    monkeypatch.setattr(_protobuf, "MAX_FIELDS", 40)
    with pytest.raises(ModelError, match="has more than 40 fields"):
        load(ds_cnn())


def test_nested_graphs_are_not_followed_far() -> None:
    inner = b""
    for _ in range(200):  # graph { node { attribute { g { ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            size = len(inner)
            inner = tag + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + inner
    size = len(inner)
    with pytest.raises(ModelError, match="nests too deep"):
        load(b"\x3a" + bytes([size & 127 | 128, size >> 7]) + inner)


def test_sizes_that_the_file_does_not_hold_are_not_allocated() -> None:
    net = Net(IMAGE)
    w = net.random(2, 6, 1, 1)
    net.add("Conv", net.last, w)
    net.weights[0].dims[:] = [2**40, 6, 1, 1]
    with pytest.raises(
        ModelError, match="model: tensor 'c0' holds 12 numbers, wanted 6597069766656; the file"
    ):
        load(net.bytes())


def test_large_results_are_refused() -> None:
    net = Net((1, 64, 1024, 1024))
    for _ in range(8):
        net.add("Concat", net.last, net.last, axis=1)
    with pytest.raises(ModelError, match=r"Concat 'concat2a' with 536870912 elements \(at most 268435456\)"):
        load(net.bytes())


def test_constants_that_double_are_refused() -> None:
    net = Net(IMAGE)
    name = net.constant(np.ones(1000), np.int64)
    for _ in range(60):
        name = net.add("Concat", name, name, axis=0)
    net.add("Reshape", "x", name)
    with pytest.raises(ModelError, match="on constants of more than 4096 elements"):
        load(net.bytes())


def test_weights_that_many_layers_share_are_bounded() -> None:
    net = Net((1, 64, 1, 1))
    w = net.random(64, 64, 1, 1, fan_in=64)
    for _ in range(90):
        net.add("Conv", net.last, w)
    with pytest.raises(ModelError, match="with constants of more than 8 times the file's bytes in all"):
        load(net.bytes())


def test_a_normalization_is_folded_while_the_weights_do_not_multiply() -> None:
    """Else each of a thousand layers that share their weights would get weights of its own."""
    net = Net((1, 64, 1, 1))
    w, settings = net.random(64, 64, 1, 1, fan_in=64), [net.constant(np.ones(64)) for _ in range(4)]
    for _ in range(90):
        net.add("Conv", net.last, w), net.add("BatchNormalization", net.last, *settings)
    with pytest.raises(ModelError, match="with constants of more than 8 times the file's bytes in all"):
        load(net.bytes())


def test_constants_that_are_moved_again_and_again_are_bounded() -> None:
    net = Net((1, 64))
    name, shape = net.random(64, 64), net.constant([32, 128], np.int64)
    for _ in range(60):
        name = net.add("Reshape", net.add("Transpose", name, perm=[1, 0]), shape)
    net.add("MatMul", "x", name)
    with pytest.raises(ModelError, match="with constants of more than 8 times the file's bytes in all"):
        load(net.bytes())


def test_as_many_nodes_as_are_read_take_no_time() -> None:
    net = Net((1, 4))
    for _ in range(2**13):
        net.add("Relu")
        net.nodes[-1].output[0] = net.last = f"a.{'/' * (len(net.nodes) % 7)}{len(net.nodes)}"
    assert refusal(net.bytes()) is None
    for _ in range(2**13):
        net.add("Relu")
    net.add("Relu")
    assert "has 16385 nodes; at most 16384 are read" in (refusal(net.bytes()) or "")


def test_external_data_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4 * 54))
    net = Net(IMAGE)
    net.conv(9, 6, 1, bias=False)
    tensor = net.weights[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": str(secret), "offset": "0", "length": str(4 * 54)}.items():
        tensor.external_data.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    path.write_bytes(net.bytes())
    with pytest.raises(
        ModelError, match=r"weights in other files \(1 tensors, first 'c0'; only the given file is"
    ):
        load(path)


def test_a_cycle_is_refused() -> None:
    net = Net(IMAGE)
    net.add("Add", "x", "add1a"), net.add("Add", "add0a", "x")
    with pytest.raises(
        ModelError, match=r"Add 'add0a': reads 'add1a' before anything wrote it; .* form a cycle"
    ):
        load(net.bytes())


def test_a_tensor_written_twice_is_refused() -> None:
    net = Net(IMAGE)
    net.add("Relu"), net.add("Relu", "x")
    net.nodes[1].output[0] = "relu0a"
    with pytest.raises(ModelError, match="Relu 'relu0a': writes 'relu0a', which has a value already"):
        load(net.bytes("relu0a"))


def test_everything_unsupported_is_listed_at_once() -> None:
    net = Net(("n", 6, "h", 8), opset=29)
    net.weights.append(helper.make_tensor("half", TensorProto.FLOAT16, [1], [1.0]))
    x = net.last
    net.add("Conv", x, net.random(4, 3, 3, 3), group=4)
    net.add("Acosh", x), net.add("Acosh", x)
    net.add("FusedConv", x, domain="com.microsoft")
    net.add("Pow", x, net.constant([2.0, 3.0]))
    net.add("Pad", x, net.constant([0] * 8, np.int64), mode="odd")
    net.add("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 2])
    net.add(
        "AveragePool", x, kernel_shape=[4, 3], strides=[3, 3], pads=[1] * 4, ceil_mode=1, count_include_pad=1
    )
    said = refusal(net.bytes()) or ""
    for text in (
        "operator set 29 (export with 7 to 28)",
        "tensors of element type float16 (use float32 or int8)",
        "input 'x' with the unknown size 'h' on axis 2 (only axis 0 may be)",
        "Acosh (2×)",
        "com.microsoft.FusedConv (1×)",
        "Conv 'conv0a' with weights [4, 3, 3, 3] in 4 groups on 6 channels",
        "Pow 'pow4a' by several exponents (wanted one)",
        "Pad 'pad5a' with mode 'odd' (wanted constant, reflect, edge or wrap)",
        "MaxPool 'maxpool6a' with dilation (2, 2) (wanted 1)",
        "AveragePool 'averagepool7a' with ceil_mode and count_include_pad together",
        "change the model to use only Abs, Add, ArgMax, AveragePool",
    ):
        assert text in said, said


def test_a_long_list_is_cut() -> None:
    net = Net(IMAGE)
    for number in range(20):
        net.add("Softmax", "x", axis=10 + number)
    with pytest.raises(ModelError, match=r"along axis 21 .*, and 8 more; change the model"):
        load(net.bytes())


def second_output(net: Net) -> None:
    net.add("MaxPool", outputs=2, kernel_shape=[2, 2])
    net.add("Relu", net.nodes[-1].output[1])


def constant_output(net: Net) -> None:
    net.add("Identity", net.constant(np.ones(3)))


def wrong_attribute(net: Net) -> None:
    net.add("Flatten", axis="one")


def wrong_bias(net: Net) -> None:
    net.add("Conv", net.last, net.random(4, 6, 1, 1), net.random(3))


def computed_weights(net: Net) -> None:
    net.add("Gemm", "x", net.add("Relu"))


def impossible_reshape(net: Net) -> None:
    net.add("Reshape", net.last, net.constant([5, -1], np.int64))


def wrong_window(net: Net) -> None:
    net.add("Conv", net.last, net.random(4, 6, 20, 1))


def training(net: Net) -> None:
    net.add("Dropout", net.last, net.constant(0.5), net.constant([True], np.bool_))


def far_window(net: Net) -> None:
    net.add("MaxPool", kernel_shape=[2, 2], pads=[2**40] * 4)


def layer_without_output(net: Net) -> None:
    net.conv(4, 6, 1), net.batch_norm(4), net.add("Identity", "x")
    del net.nodes[1].output[:]
    net.add("Acosh", net.last)


def joint_of_nothing(net: Net) -> None:
    net.add("Concat", axis=0)
    del net.nodes[-1].input[:]


def scaled_bias(net: Net) -> None:
    net.add("Flatten"), net.add("Gemm", net.last, net.random(432, 5), net.random(216), beta=2.0)


FAULTS: dict[Callable[[Net], None], str] = {
    second_output: "which needs a second output of an operator",
    constant_output: "output 'identity0a' that is a constant",
    wrong_attribute: "Flatten 'flatten0a' with an attribute axis of the wrong type; the file is damaged",
    wrong_bias: "Conv 'conv0a' with a bias of 3 for 4 outputs; the file is damaged",
    computed_weights: r"Gemm 'gemm1a' with an input 1 that is computed \(wanted a constant\)",
    impossible_reshape: r"Reshape 'reshape0a' from \[1, 6, 9, 8\] to \[5, 86\], which has other elements",
    wrong_window: "Conv 'conv0a': a window of 20×1 does not fit an input of 9×8",
    training: "Dropout 'dropout0a' in training mode",
    layer_without_output: r"not supported: Acosh \(1×\)",
    joint_of_nothing: "Concat 'concat0a' without input 0",
    scaled_bias: "Gemm 'gemm1a' with a bias of 216 for 5 outputs; the file is damaged",
    far_window: "over more than 1024 rows or columns",
}


@pytest.mark.parametrize("build", FAULTS, ids=lambda build: build.__name__)
def test_what_is_wrong_is_said(build: Callable[[Net], None]) -> None:
    net = Net(IMAGE)
    build(net)
    with pytest.raises(ModelError, match=FAULTS[build]):
        load(net.bytes())


@pytest.mark.parametrize(
    ("name", "said"),
    [("absent.onnx", "No such file or directory"), (".", "is no ordinary file"), ("a\0b", "null")],
)
def test_a_path_that_is_no_file(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{said}.*give the path of an .onnx file"):
        load(f"{tmp_path}/{name}")
