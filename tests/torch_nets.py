"""Small torch modules of the kinds that people bring: random weights, batch norms away from 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it


def unit(
    into: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: Any = nn.ReLU6
) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), act())


class Excite(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(shares)


class Inverted(nn.Module):
    """Inverted residual of MobileNetV2, and of V3 with ``excite`` and hard swish."""

    def __init__(self, into: int, out: int, stride: int, act: Any = nn.ReLU6, excite: bool = False) -> None:
        super().__init__()
        wide = into * 3
        self.body = nn.Sequential(
            unit(into, wide, 1, act=act), unit(wide, wide, 3, stride, wide, act),
            Excite(wide) if excite else nn.Identity(), unit(wide, out, 1, act=nn.Identity),
        )  # fmt: skip
        self.adds = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_v1() -> nn.Module:
    blocks = [nn.Sequential(unit(a, a, 3, s, a), unit(a, b, 1)) for a, b, s in ((8, 12, 1), (12, 16, 2))]
    return nn.Sequential(unit(3, 8, 3, 2), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


def mobilenet_v2() -> nn.Module:
    body = (Inverted(8, 8, 1), Inverted(8, 12, 2))
    return nn.Sequential(unit(3, 8, 3, 2), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))


def mobilenet_v3() -> nn.Module:
    body = (Inverted(8, 8, 1, nn.Hardswish, excite=True), Inverted(8, 12, 2, nn.ReLU, excite=True))
    head = (
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 16),
        nn.Hardswish(),
        nn.Dropout(),
        nn.Linear(16, 5),
    )
    return nn.Sequential(unit(3, 8, 3, 2, act=nn.Hardswish), *body, *head)


class Shuffled(nn.Module):
    """Grouped convolutions with their channels shuffled between, normalised in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(12, 12, 1, groups=3), nn.GroupNorm(2, 12)
        self.last = nn.Conv2d(12, 12, 3, padding=1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm(self.first(x)))
        n, c, h, w = y.shape
        y = y.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        return x + self.last(y)


def shufflenet() -> nn.Module:
    return nn.Sequential(unit(3, 12, 3, 2), Shuffled(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(12, 5))


class Residual(nn.Module):
    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(unit(into, out, 3, stride, act=nn.ReLU), unit(out, out, 3, act=nn.Identity))
        self.skip = nn.Identity() if stride == 1 else unit(into, out, 1, stride, act=nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def resnet() -> nn.Module:
    blocks = (Residual(8, 8, 1), Residual(8, 12, 2))
    return nn.Sequential(
        unit(3, 8, 3, act=nn.ReLU), nn.MaxPool2d(2), *blocks, nn.Flatten(), nn.Linear(192, 5)
    )


class DsCnn(nn.Module):
    """Keyword spotting: an uneven first convolution on a spectrogram, depthwise blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, (10, 4), 2, (5, 1))
        self.blocks = nn.Sequential(
            *(nn.Sequential(unit(8, 8, 3, groups=8), unit(8, 8, 1)) for _ in range(2))
        )
        self.head = nn.Linear(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.first(x)))
        return torch.softmax(self.head(x.mean(dim=(2, 3))), dim=1)


class Causal(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv, self.past = nn.Conv1d(channels, channels, 3, dilation=dilation), 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.conv(F.pad(x, (self.past, 0))))


class Tcn(nn.Module):
    """Dilated causal convolutions over time; the last step answers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv1d(3, 8, 1), nn.Linear(8, 4)
        self.blocks = nn.Sequential(*(Causal(8, d) for d in (1, 2, 4)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.first(x))[:, :, -1])


def autoencoder() -> nn.Module:
    sizes = ((40, 16), (16, 4), (4, 16))
    body = [layer for a, b in sizes for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ELU())]
    return nn.Sequential(*body, nn.Linear(16, 40))


class UNet(nn.Module):
    """Two ways up: a transposed convolution beside the skip, and bilinear."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.bottom = unit(3, 8, 3), unit(8, 12, 3), unit(12, 12, 3)
        self.up, self.mix, self.out = nn.ConvTranspose2d(12, 8, 2, 2), unit(20, 8, 3), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(F.max_pool2d(a, 2))
        low = F.interpolate(self.bottom(F.max_pool2d(b, 2)), scale_factor=2.0, mode="bilinear")
        up = self.mix(torch.cat([self.up(low), F.interpolate(b, scale_factor=2.0)], dim=1))
        return self.out(torch.cat([up, a], dim=1))


class Transformer(nn.Module):
    """One of torch's own encoder layers over a short sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(6, 16), nn.Linear(16, 4)
        self.place = nn.Parameter(torch.randn(1, 10, 16) * 0.1)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x) + self.place).mean(dim=1))


class Detector(nn.Module):
    """Boxes and class scores for every cell, as rows: two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.LeakyReLU(0.1)
        )
        self.boxes, self.scores = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 6, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        boxes = self.boxes(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4)
        scores = self.scores(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 3)
        return boxes, scores.sigmoid()


class SensorFusion(nn.Module):
    """An image and readings beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.skin, self.head = nn.Conv2d(1, 4, 3, 2), nn.Linear(5, 6), nn.Linear(10, 3)

    def forward(self, image: Tensor, readings: Tensor) -> Tensor:
        seen = F.relu(self.eye(image)).amax(dim=(2, 3))
        return self.head(torch.cat([seen, torch.tanh(self.skin(readings))], dim=1))


Net = tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]

NETS: dict[str, Net] = {
    "mobilenet_v1": (mobilenet_v1, ((1, 3, 16, 16),)),
    "mobilenet_v2": (mobilenet_v2, ((1, 3, 16, 16),)),
    "mobilenet_v3": (mobilenet_v3, ((1, 3, 16, 16),)),
    "shufflenet": (shufflenet, ((1, 3, 16, 16),)),
    "resnet": (resnet, ((1, 3, 16, 16),)),
    "ds_cnn": (DsCnn, ((1, 1, 25, 10),)),
    "tcn": (Tcn, ((1, 3, 16),)),
    "autoencoder": (autoencoder, ((1, 40),)),
    "unet": (UNet, ((1, 3, 8, 8),)),
    "transformer": (Transformer, ((1, 10, 6),)),
    "detector": (Detector, ((1, 3, 16, 16),)),
    "fusion": (SensorFusion, ((1, 1, 9, 7), (1, 5))),
}
"""Name -> (maker, shapes of the inputs)."""


def made(name: str) -> tuple[nn.Module, tuple[tuple[int, ...], ...]]:
    """A net, in training mode as it is born, and the shapes of its inputs."""
    torch.manual_seed(0)
    maker, shapes = NETS[name]
    module = maker()
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.uniform_(-0.5, 0.5), layer.running_var.uniform_(0.5, 2)
    return module, shapes


def inputs(shapes: tuple[tuple[int, ...], ...], count: int, seed: int) -> list[tuple[Tensor, ...]]:
    """``count`` sets of inputs, of a batch of one each."""
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randn(shape, generator=generator) for shape in shapes) for _ in range(count)]
