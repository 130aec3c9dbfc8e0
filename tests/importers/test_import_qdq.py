"""Networks that others quantised, by onnxruntime in several ways and by torch: near to them, exact in C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from exact import real_outputs
from onnx_nets import channels_last, from_torch, judge, quantised
from tinyfoundry import api
from tinyfoundry.builder import identifier
from tinyfoundry.importers.onnx import load as load_onnx
from tinyfoundry.importers.torch import load
from tinyfoundry.ir.graph import Array, DType, Graph
from tinyfoundry.op import call_of, get_op
from torch_nets import inputs, made

STEPS = 3  # of 255, of the last scale, after as many layers as these nets have


def by_onnxruntime(name: str, folder: Path, **options: Any) -> tuple[bytes, tuple[int, ...]]:
    """A float net of torch's, quantised."""
    import onnxruntime.quantization as q

    module, shapes = made(name)
    model = from_torch(module, torch.zeros(shapes[0]), folder, dynamo=True, input_names=["x"])
    kinds = {kind: getattr(q.QuantType, options[kind]) for kind in ("activation_type", "weight_type")}
    return quantised(model, folder, shapes[0], **(options | kinds)), shapes[0]


SIGNED = {"activation_type": "QInt8", "weight_type": "QInt8"}
WAYS: dict[str, dict[str, Any]] = {
    "per channel": {**SIGNED, "per_channel": True},
    "per tensor": {**SIGNED, "per_channel": False},
    "symmetric": {**SIGNED, "extra_options": {"ActivationSymmetric": True}},
    "unsigned": {**SIGNED, "activation_type": "QUInt8"},
}


def steps_apart(graph: Graph, found: list[list[Array]], wanted: list[Array]) -> Array:
    """By how many steps of its scale the first output differs."""
    scale = graph.types[graph.nodes[-1].inputs[0]].scale
    pairs = zip(found, wanted, strict=True)
    return np.concatenate([np.abs(np.rint((got[0] - want) / scale)).ravel() for got, want in pairs])


def layers_apart(model: bytes, graph: Graph, x: Array) -> dict[str, Array]:
    """By how many steps each layer differs from onnxruntime's when it is given onnxruntime's own bytes."""
    proto = onnx.load_from_string(model)
    pairs = {n.input[0]: n.output[0] for n in proto.graph.node if n.op_type == "QuantizeLinear"}
    kinds = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    zeros = {n.output[0]: n.input[2] for n in proto.graph.node if n.op_type == "QuantizeLinear"}
    names = [name for name in pairs if name not in kinds]
    faces = [onnx.helper.make_tensor_value_info(pairs[n], kinds[zeros[pairs[n]]], None) for n in names]
    proto.graph.output.extend(faces)
    values = judge(proto.SerializeToString(), optimise=False)([x])[len(proto.graph.output) - len(faces) :]
    known = {
        identifier(name): channels_last((v.astype(np.int16) - 128 * (v.dtype == np.uint8)).astype(np.int8))
        for name, v in zip(names, values, strict=True)
    }
    found, tensors = {}, {**graph.constants, graph.inputs[0]: channels_last(x)}
    for node in graph.nodes:
        call = call_of(graph, node)
        (y,) = get_op(node.op).reference(call, [tensors[name] for name in node.inputs])
        tensors[node.outputs[0]] = y
        theirs = known.get(node.outputs[0])
        if theirs is not None and theirs.size == y.size:
            tensors[node.outputs[0]] = theirs.reshape(y.shape)
            found[node.name] = np.abs(y.astype(int) - theirs.reshape(y.shape)).ravel()
    return found


@pytest.mark.parametrize(
    ("name", "way"), [("mobilenet_v2", "per channel"), ("mobilenet_v3", "unsigned"), ("unet", "unsigned")]
)
def test_layers_by_themselves_are_one_step_from_onnxruntime(name: str, way: str, tmp_path: Path) -> None:
    model, shape = by_onnxruntime(name, tmp_path, **WAYS[way])
    graph = load_onnx(model)
    found = [layers_apart(model, graph, x.numpy()) for (x,) in inputs((shape,), 3, seed=4)]
    assert len(found[0]) >= 9
    for layers in found:
        for layer, apart in layers.items():
            assert apart.max() <= 1, layer
    assert np.mean(np.concatenate([apart for layers in found for apart in layers.values()])) < 0.05


@pytest.mark.parametrize(
    ("name", "way"),
    [*(("mobilenet_v2", way) for way in WAYS), ("mobilenet_v3", "per channel"), ("unet", "unsigned")],
)
def test_what_onnxruntime_quantised(name: str, way: str, tmp_path: Path) -> None:
    model, shape = by_onnxruntime(name, tmp_path, **WAYS[way])
    graph, run = load_onnx(model), judge(model)
    assert {graph.types[n].dtype for n in graph.activations()} == {DType.FLOAT32, DType.INT8}
    xs = [tensors[0].numpy() for tensors in inputs((shape,), 8, seed=4)]
    found = real_outputs(graph, [[channels_last(x)] for x in xs], tmp_path)
    apart = steps_apart(graph, found, [channels_last(run([x])[0]) for x in xs])
    assert apart.max() <= STEPS
    assert apart.mean() < 0.5


class Converted(nn.Module):
    """What convert_pt2e leaves of a small net: torch's own operators between quantise and dequantise."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(1)

        def weights(*shape: int) -> nn.Parameter:
            stored = torch.randint(-127, 128, shape, generator=rng, dtype=torch.int8)
            return nn.Parameter(stored, requires_grad=False)

        self.conv, self.deep, self.head = weights(8, 3, 3, 3), weights(8, 1, 3, 3), weights(5, 8)
        self.scales = nn.ParameterList(torch.rand(n, generator=rng) * 0.004 + 0.001 for n in (8, 8, 5))
        self.bias = nn.Parameter(torch.randn(8, generator=rng) * 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ops = torch.ops.quantized_decomposed
        limits = (-128, 127, torch.int8)

        def pair(x: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
            stored = ops.quantize_per_tensor(x, scale, zero, *limits)
            return ops.dequantize_per_tensor(stored, scale, zero, *limits)

        def real(stored: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
            zeros = torch.zeros(len(scales), dtype=torch.int64)
            return ops.dequantize_per_channel(stored, scales, zeros, 0, -127, 127, torch.int8)

        x = pair(x, 0.03, 4)
        y = nn.functional.conv2d(x, real(self.conv, self.scales[0]), self.bias, stride=2, padding=1)
        y = pair(torch.relu(y), 0.016, -128)
        deep = nn.functional.conv2d(y, real(self.deep, self.scales[1]), None, padding=1, groups=8)
        y = pair(y + pair(deep, 0.021, 3), 0.022, -20)
        y = pair(y.mean(dim=(2, 3)), 0.01, -90)
        return pair(nn.functional.linear(y, real(self.head, self.scales[2])), 0.03, 2)


def near_torch(module: nn.Module, folder: Path) -> Array:
    graph, _ = load(module, torch.zeros(2, 3, 16, 16))
    assert {graph.types[n].dtype for n in graph.activations()} == {DType.FLOAT32, DType.INT8}
    sets = inputs(((1, 3, 16, 16),), 8, seed=5)
    found = real_outputs(graph, [[channels_last(x.numpy())] for (x,) in sets], folder)
    with torch.no_grad():
        return steps_apart(graph, found, [module(x).numpy() for (x,) in sets])


def test_torch_operators_between_pairs(tmp_path: Path) -> None:
    import torch.ao.quantization.fx._decomposed  # its import registers the operators

    module = Converted()
    apart = near_torch(module, tmp_path / "host")
    assert apart.max() <= 1
    built = api.compile(
        module, torch.zeros(1, 3, 16, 16), board="nucleo-f446re", output=tmp_path / "out", samples=6
    )
    assert built.report["exact"]["mismatches"] == 0


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_what_torchao_quantised(tmp_path: Path) -> None:
    """PT2E from end to end."""
    from torchao.quantization.pt2e import quantize_pt2e as pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

    module, shapes = made("mobilenet_v2")
    program = torch.export.export(module.eval(), (torch.zeros(shapes[0]),))
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = pt2e.prepare_pt2e(program.module(), quantizer)
    for tensors in inputs(shapes, 16, seed=6):
        prepared(*tensors)
    apart = near_torch(pt2e.convert_pt2e(prepared), tmp_path)
    assert apart.max() <= STEPS
    assert apart.mean() < 0.5
