"""The models of the shared folder, from the file to the simulated board, against LiteRT.

Few inputs here; ``benchmarks/models.py`` holds them all on the board against LiteRT on 50 and more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinyfoundry
from backbones import load_backbone
from graphs import random_input
from judged import assert_layers_are_litert_s
from litert import litert_judge
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.passes.faces import stored_faces

ARENA = {
    "kws_ref_model": 16_000,
    "vww_96_int8": 55_296,
    "pretrainedResnet_quant": 49_152,
    "ad01_int8": 768,
    "mcunet_vww1": 96_000,
}
SCRATCH = {
    "kws_ref_model": 896,
    "vww_96_int8": 72,
    "pretrainedResnet_quant": 1_200,
    "ad01_int8": 1_280,
    "mcunet_vww1": 3_696,
}
"""What the arena is larger by where there are faster kernels that need scratch."""


@pytest.mark.parametrize("name", ARENA)
def test_a_shared_model_is_exact_on_the_board(
    name: str, shared_models: dict[str, Path], tmp_path: Path
) -> None:
    """Board, host and reference agree, the board's answer is LiteRT's, and the arena has its known size."""
    built = tinyfoundry.compile(shared_models[name], board="nucleo-l4r5zi", output=tmp_path / name, samples=4)
    assert built.report["exact"]["mismatches"] == 0
    assert built.report["exact"]["inputs"] == 4
    assert built.report["ram"]["arena"] == ARENA[name] + SCRATCH[name]
    graph = stored_faces(load(shared_models[name]))
    judge = litert_judge(graph)
    loaded = tinyfoundry.load(built.folder)
    rng = np.random.default_rng(5)
    for _ in range(2):
        inputs = [random_input(rng, graph.types[face]) for face in graph.inputs]
        for found, wanted in zip(loaded.run(inputs), judge(inputs), strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("name", "board", "scratch"),
    [
        ("kws_ref_model", "longan-nano", 128),
        ("kws_ref_model", "esp32-c3-devkitm-1", 128),
        ("ad01_int8", "esp32-c3-devkitm-1", 0),
        ("pretrainedResnet_quant", "esp32-c3-devkitm-1", 288),
    ],
)
def test_a_shared_model_is_exact_on_risc_v(
    name: str, board: str, scratch: int, shared_models: dict[str, Path], tmp_path: Path
) -> None:
    """The simulated RISC-V board agrees with host and reference, byte for byte."""
    built = tinyfoundry.compile(shared_models[name], board=board, output=tmp_path / name, samples=3)
    assert built.report["exact"]["mismatches"] == 0
    assert built.report["exact"]["inputs"] == 3
    assert built.report["ram"]["arena"] == ARENA[name] + scratch


LARGE = (
    "zoo/mbv2-w0.35-r144.tflite",
    "zoo/mcunet-in2.tflite",
    "zoo/proxyless-w0.3-r176.tflite",
    "backbones/mbv2-w035-imagenet-int8.npz",
    "backbones/mcunet-5fps-imagenet-int8.npz",
    "backbones/proxyless-w03-imagenet-int8.npz",
)


def large_model(shared: Path, name: str, folder: Path) -> Path:
    """A .tflite file; a backbone is written as one."""
    source = shared / "models" / name
    if source.suffix == ".tflite":
        return source
    target = folder / f"{source.stem}.tflite"
    target.write_bytes(export(load_backbone(source)))
    return target


@pytest.mark.parametrize("name", LARGE)
def test_every_layer_of_a_large_model_is_litert_s(name: str, shared: Path, tmp_path: Path) -> None:
    path = large_model(shared, name, tmp_path)
    data, graph = path.read_bytes(), load(path)
    rng = np.random.default_rng(5)
    inputs = [[random_input(rng, graph.types[face]) for face in graph.inputs] for _ in range(2)]
    assert_layers_are_litert_s(graph, inputs, data)


@pytest.mark.parametrize(("name", "arena"), [(LARGE[0], 314_992), (LARGE[4], 167_376)])
def test_a_large_model_is_exact_on_the_board(name: str, arena: int, shared: Path, tmp_path: Path) -> None:
    path, out = large_model(shared, name, tmp_path), tmp_path / "out"
    report = tinyfoundry.compile(path, board="nucleo-l4r5zi", output=out, samples=1, seed=2).report
    assert report["exact"]["mismatches"] == 0
    assert report["ram"]["arena"] == arena
