"""Each function of ``curve`` is what torch or numpy calls so, and its table holds the nearest steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphs import single
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.ir.graph import DType, Type, per_tensor
from tinyfoundry.op import Call, Sample, check_call
from tinyfoundry.ops.curve import CURVE, CURVES, EXAMPLES, Curve

X = np.linspace(-6, 6, 601)


def judges() -> dict[str, Callable[..., object]]:
    import torch
    import torch.nn.functional as f

    own = {"celu": f.celu, "elu": f.elu, "gelu": f.gelu, "mish": f.mish, "softplus": f.softplus,
           "softsign": f.softsign, "silu": f.silu, "selu": f.selu, "hard_sigmoid": f.hardsigmoid}  # fmt: skip
    same = ("ceil", "cos", "erf", "floor", "log", "neg", "reciprocal", "round", "sign", "sin")
    return {
        **own,
        **{name: getattr(torch, name) for name in same},
        "celu": lambda x: f.celu(x, 0.5),
        "clamp": lambda x: torch.clamp(x, -0.7),
        "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"),
        "power": lambda x: x**3,
        "thresholded_relu": lambda x: f.threshold(x, 0.3, 0.0),
    }


@pytest.mark.parametrize("name", CURVES)
def test_each_is_what_torch_calls_so(name: str) -> None:
    import torch

    attrs, kind = Curve(name, *EXAMPLES.get(name, ())), Type(X.shape, DType.FLOAT32)
    want = judges()[name](torch.from_numpy(X.astype(np.float32)).double()).float().numpy()
    [found] = CURVE.reference(Call(attrs, (kind,), (kind,)), [X.astype(np.float32)])
    np.testing.assert_allclose(found, want, rtol=3e-6, atol=1e-7)
    steps, quant = np.arange(-128, 128, dtype=np.int8), per_tensor(0.05, -10)
    stored = Call(attrs, (Type((256,), DType.INT8, quant),), (Type((256,), DType.INT8, per_tensor(0.03, 5)),))
    real = (steps.astype(np.float32) + 10) * np.float32(0.05)
    with np.errstate(all="ignore"):
        exact = judges()[name](torch.from_numpy(real).double()).numpy() / 0.03 + 5
    [found] = CURVE.reference(stored, [steps])
    known = ~np.isnan(exact)  # what is no number is 0
    assert (np.abs(found - np.clip(exact, -128, 127))[known] <= 0.5 + 1e-4).all()
    assert (found[~known] == 5).all()


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "log"])
def test_what_tflite_has_goes_there_and_back(name: str) -> None:
    types = (Type((1, 9), DType.INT8, per_tensor(0.05, -100)), Type((1, 9), DType.INT8, per_tensor(0.03, 5)))
    graph = single(CURVE, Sample(name, Call(Curve(name), types[:1], types[1:]), {}))
    (node,) = load(export(graph)).nodes
    assert (node.op, node.attrs) == ("curve", Curve(name))


def test_complaints() -> None:
    quant = Type((4,), DType.INT8, per_tensor(0.1))
    assert check_call(CURVE, Call(Curve("cosh"), (quant,), (quant,)))[0].startswith(
        "function is 'cosh'; wanted one of ceil, celu, clamp"
    )
    found = check_call(CURVE, Call(Curve("clamp", float("nan"), 1.0), (quant,), (quant,)))
    assert found == ["numbers are nan and 1; wanted no NaN"]


def test_what_tflite_lacks_is_not_written() -> None:
    quant = Type((4,), DType.INT8, per_tensor(0.1))
    with pytest.raises(ModelError, match=r"\(curve\): .tflite has no operator for mish"):
        export(single(CURVE, Sample("mish", Call(Curve("mish"), (quant,), (quant,)), {})))
