"""The MobileNetV2-like network on CIFAR-10 that benchmarks/quantisation.py quantises.

The data come from the shared folder and are unpacked into the cache folder once; so is the trained network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from datasets import tinydata
from tinyfoundry.data import Splits, load, split
from tinyfoundry.ir.graph import Graph, Node
from tinyfoundry.ops._activation import Activation
from tinyfoundry.search.arch import Arch, Block
from tinyfoundry.search.network import network
from tinyfoundry.search.recipe import Epoch, Labelled, Recipe
from tinyfoundry.search.train import train

RECIPE = Recipe(batch=128, rate=8e-3, balance=0.0, shift=(4, 4), flip=True)


def _block(stride: int, expansion: int, channels: int, skip: bool = False) -> Block:
    return Block((3, 3), (stride, stride), expansion, channels, skip)


# 7.0 million multiply-accumulates, 189 thousand weights; every depthwise layer is clamped to 0..6.
ARCH = Arch(
    reduce=(1, 1),
    width=1.0,
    stem_kernel=(3, 3),
    stem_stride=(1, 1),
    stem_channels=16,
    blocks=(
        _block(2, 1, 24),
        _block(1, 3, 24, skip=True),
        _block(2, 4, 40),
        _block(1, 4, 40, skip=True),
        _block(1, 4, 40, skip=True),
        _block(2, 4, 80),
        _block(1, 4, 80, skip=True),
        _block(1, 4, 128),
    ),
)


def samples(cache: Path) -> Splits:
    """CIFAR-10 as tinyfoundry reads it: 42,500 images to train on, 7,500 to validate, 10,000 to test."""
    path = cache / "cifar10.npz"
    if not path.exists():
        arrays = tinydata("cifar10_full")
        cache.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".partial.npz")
        np.savez(aside, **{key: arrays[key] for key in ("X_train", "y_train", "X_test", "y_test")})
        aside.replace(path)
    return split(load(path, seed=0))


def floating(
    splits: Splits, cache: Path, options: argparse.Namespace, told: Callable[[Epoch], None]
) -> Graph:
    """The trained float network; an interrupted training goes on from its last epoch."""
    fresh = network(ARCH, splits.dataset.input_shape, 10, np.random.default_rng(options.seed))
    path = cache / f"float-{options.epochs}-{options.minutes:g}-{options.seed}.npz"
    if path.exists():
        with np.load(path) as held:
            return replace(fresh, constants={name: held[name] for name in fresh.constants})
    trained = train(
        fresh,
        Labelled(splits.train.x, splits.train.y),
        replace(RECIPE, epochs=options.epochs, seconds=60 * options.minutes),
        seed=options.seed,
        threads=options.threads,
        checkpoint=path.with_suffix(".pt"),
        progress=told,
    )
    np.savez(path, **trained.constants)
    return trained


def unequal(graph: Graph, seed: int, most: float = 16.0) -> Graph:
    """``graph`` with relu for relu6 and, between an expansion, its depthwise layer and the projection,
    channels scaled by 1/most to most and back: the same function as without the scaling.
    """
    rng = np.random.default_rng(seed)
    nodes = [_unclamped(node) for node in graph.nodes]
    constants = dict(graph.constants)
    for first, second in pairwise(nodes):
        if (first.op, second.op) not in {("conv2d", "depthwise_conv2d"), ("depthwise_conv2d", "conv2d")}:
            continue
        _, w1, b1 = first.inputs
        w2 = second.inputs[1]
        factor = np.exp(rng.uniform(-np.log(most), np.log(most), len(constants[b1]))).astype(np.float32)
        along = factor if first.op == "depthwise_conv2d" else factor[:, None, None, None]
        constants[w1], constants[b1] = constants[w1] * along, constants[b1] * factor
        constants[w2] = constants[w2] / factor
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _unclamped(node: Node) -> Node:
    if getattr(node.attrs, "activation", None) is not Activation.RELU6:
        return node
    return replace(node, attrs=replace(node.attrs, activation=Activation.RELU))
