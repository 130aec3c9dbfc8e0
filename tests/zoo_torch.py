"""Networks of the zoo that are written with torch and leave it as .onnx."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx_nets import from_torch


def _exported(module: Any, shape: Sequence[int], dynamo: bool = False) -> bytes:
    """dynamo: by torch's newer exporter, which folds more and takes longer."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        return from_torch(module, torch.zeros(*shape), Path(folder), dynamo)


def mobilenet_v2() -> bytes:
    """Inverted residuals (Sandler et al., 2018)."""
    import torch
    from torch import nn

    torch.manual_seed(1)

    def conv(into: int, out: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(into, out, size, stride, size // 2, groups=groups, bias=False)
        return [layer, nn.BatchNorm2d(out), nn.ReLU6()]

    class Block(nn.Module):
        def __init__(self, into: int, out: int, stride: int) -> None:
            super().__init__()
            self.adds = into == out and stride == 1
            wide, narrow = conv(into, 4 * into, 1), conv(4 * into, out, 1)[:2]
            self.layers = nn.Sequential(*wide, *conv(4 * into, 4 * into, 3, stride, 4 * into), *narrow)

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.adds else self.layers(x)

    blocks = [Block(8, 8, 1), Block(8, 12, 2), Block(12, 12, 1), Block(12, 16, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)]
    return _exported(nn.Sequential(*conv(3, 8, 3, 2), *blocks, *conv(16, 32, 1), *head), (1, 3, 24, 24))


def mobilenet_v3() -> bytes:
    """Hard swish, and channels weighted by a hard sigmoid of what their means say (Howard et al., 2019)."""
    import torch
    from torch import nn

    torch.manual_seed(2)

    class Excite(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

        def forward(self, x: Any) -> Any:
            y = self.up(torch.relu(self.down(nn.functional.adaptive_avg_pool2d(x, 1))))
            return x * (nn.functional.relu6(y + 3) / 6)

    class Block(nn.Module):
        def __init__(self, into: int, out: int, size: int, stride: int) -> None:
            super().__init__()
            self.adds = into == out and stride == 1
            wide = 3 * into
            self.layers = nn.Sequential(
                nn.Conv2d(into, wide, 1), nn.BatchNorm2d(wide), nn.Hardswish(),
                nn.Conv2d(wide, wide, size, stride, size // 2, groups=wide), nn.BatchNorm2d(wide),
                Excite(wide), nn.Hardswish(), nn.Conv2d(wide, out, 1), nn.BatchNorm2d(out),
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.adds else self.layers(x)

    stem = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish()]
    blocks = [Block(8, 8, 3, 1), Block(8, 12, 5, 2), Block(12, 12, 5, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 24, 1), nn.Hardswish(), nn.Flatten(), nn.Linear(24, 10)]
    return _exported(nn.Sequential(*stem, *blocks, *head), (1, 3, 20, 20))


def temporal() -> bytes:
    """A temporal convolutional network: causal, dilated, residual (Bai et al., 2018)."""
    import torch
    from torch import nn

    torch.manual_seed(3)

    class Block(nn.Module):
        def __init__(self, into: int, out: int, dilation: int) -> None:
            super().__init__()
            self.pad = nn.ConstantPad1d((2 * dilation, 0), 0.0)
            self.a = nn.Conv1d(into, out, 3, dilation=dilation)
            self.b = nn.Conv1d(out, out, 3, dilation=dilation)
            self.bend, self.leak = nn.PReLU(out), nn.LeakyReLU(0.1)
            self.skip = nn.Conv1d(into, out, 1) if into != out else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = self.bend(self.a(self.pad(x)))
            return self.leak(self.skip(x) + self.b(self.pad(y)))

    head = [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 6), nn.Softmax(-1)]
    blocks = [Block(6, 12, 1), Block(12, 12, 2), Block(12, 12, 4)]
    return _exported(nn.Sequential(*blocks, *head), (1, 6, 40), dynamo=True)


def decoder() -> bytes:
    """A picture out of a code, by transposed convolutions, as in an autoencoder or a generator."""
    import torch
    from torch import nn

    torch.manual_seed(4)
    layers = [
        nn.Linear(12, 96), nn.ReLU(), nn.Unflatten(1, (6, 4, 4)),
        nn.ConvTranspose2d(6, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 3, 2, 2), nn.Conv2d(3, 1, 3, 1, 1), nn.Tanh(),
    ]  # fmt: skip
    return _exported(nn.Sequential(*layers), (1, 12), dynamo=True)


def gated_mlp() -> bytes:
    """Dense layers over the steps of a series, every value weighted by a gate (Shazeer, 2020)."""
    import torch
    from torch import nn

    torch.manual_seed(5)

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up, self.gate, self.down = nn.Linear(width, 24), nn.Linear(width, 24), nn.Linear(24, width)

        def forward(self, x: Any) -> Any:
            return x + self.down(nn.functional.gelu(self.gate(x)) * self.up(x))

    return _exported(nn.Sequential(Block(16), Block(16), nn.Linear(16, 5)), (1, 8, 16))
