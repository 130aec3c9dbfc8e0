"""What ``import tinyfoundry`` offers: the jobs of the command line as functions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from tinyfoundry.ir.graph import Graph
from tinyfoundry.jobs.assemble import Built
from tinyfoundry.jobs.build import build_from_data
from tinyfoundry.jobs.compile import compile_model
from tinyfoundry.jobs.errors import LayerError, model_errors
from tinyfoundry.jobs.limits import Limits
from tinyfoundry.jobs.loaded import Loaded, dequantised
from tinyfoundry.jobs.progress import Progress, silent
from tinyfoundry.jobs.verify import Verification, verify_build
from tinyfoundry.packages import About, export_package
from tinyfoundry.passes.observe import observer_of
from tinyfoundry.passes.post_training import PostTraining, activations_of

if TYPE_CHECKING:
    from tinyfoundry.importers.torch import Example, TorchModel

__all__ = [
    "Built",
    "Limits",
    "Loaded",
    "Verification",
    "build",
    "compile",
    "errors",
    "export",
    "load",
    "simulate",
    "verify",
]


def build(
    data: str | Path,
    *,
    board: str | Path,
    output: str | Path,
    budget: float = 300.0,
    limits: Limits | None = None,
    seed: int = 0,
    kind: str | None = None,
    progress: Progress = silent,
) -> Built:
    """Data set in, firmware out: searches a network that fits the board, trains, quantises, compiles and
    proves it.

    data: "digits", a folder with a folder per class (images or WAVs), an .npz or a .csv. board: a name, or
    the path of a board's .toml. output: folder to create; what an interrupted call left in
    ``<output>.partial`` is resumed.
    budget: seconds for search and training together. kind: "image", "audio" or "series" where the data leave
    it open.

    Raises:
        DataError: the data cannot be read or learnt from. DoesNotFit: no candidate is within the limits.
        OptionError: an argument is out of range. Mismatch, SimulationError: the firmware failed its proof.
    """
    return build_from_data(data, board, output, budget, limits or Limits(), seed, kind, progress)


def compile(  # noqa: A001 - the verb that users expect
    model: str | Path | Graph | TorchModel,
    example_input: Example | None = None,
    *,
    board: str | Path,
    output: str | Path,
    io: str = "int8",
    limits: Limits | None = None,
    samples: int = 20,
    seed: int = 0,
    progress: Progress = silent,
    calibration: str | Path | Iterable[Any] | None = None,
    activations: str = "int8",
    observer: str | None = None,
    equalise: bool | None = None,
    bias_correction: bool | None = None,
) -> Built:
    """A trained model in, C out, proven bit for bit on ``samples`` inputs.

    model: a .tflite, .onnx or .pt2 file, a graph, or of torch an ``nn.Module`` or ``ExportedProgram``.
    example_input: what a module is called with, a tensor or several; the first axis is the batch, of any
    size: the C computes one at a time. The module is not changed, nor need it be in ``eval()``.
    io: "int8" takes float faces off (scale and zero point are in the header), "float" keeps them.
    calibration: for a float32 model, inputs to quantise it with: an .npy or .npz of what the model is fed, or
    a data set as ``build`` reads it, whose features are then normalised as ``build`` does; or batches of what
    the module is called with, as a DataLoader yields them: tensors or arrays, (x, y) pairs of which y is left
    out, or dicts by the names of the inputs. The first 500 samples are used.
    Images lie N H W C in the C code, where torch and ONNX have N C H W.
    activations: what these then become, "int8" or "int16" (weights are int8 in both). observer: what their
    ranges are made by: "min-max", "percentile" or "mse". equalise: even out channels between layers.
    bias_correction: take mean errors out of the biases. Where one is None, what has the least error on the
    calibration inputs is kept.

    Raises:
        ModelError: the file is damaged or uses something unsupported, or is float32 and nothing is given to
        calibrate it with; or torch cannot export the module. ToolError: a package is missing that reading the
        model takes. DataError: the calibration data do not suit the model. DoesNotFit: it needs more
        than the limits or the board allow. OptionError, Mismatch, SimulationError: as in ``build``.
    """
    how = _post_training(observer, equalise, bias_correction, activations)
    bounds = limits or Limits()
    return compile_model(
        model, board, output, io, bounds, samples, seed, progress, calibration, how, example_input
    )


def errors(
    model: str | Path | Graph | TorchModel,
    calibration: str | Path | Iterable[Any],
    example_input: Example | None = None,
    *,
    observer: str | None = None,
    equalise: bool | None = None,
    bias_correction: bool | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[LayerError, ...]:
    """How far each layer of a float32 model is from its float form once it is int8, the worst first.

    Arguments and errors as in ``compile``; the figures are over some of the calibration inputs.
    """
    how = _post_training(observer, equalise, bias_correction)
    return model_errors(model, calibration, how, seed, progress, example_input)


def load(folder: str | Path, board: str | Path | None = None) -> Loaded:
    """A finished build. board: another one to simulate it on than it was made for."""
    return Loaded(folder, board)


def simulate(folder: str | Path, *inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The first output, as real values, of one inference of a build on its simulated board.

    inputs: one array per input: stored int8 values, or real values.
    """
    loaded = Loaded(folder)
    return dequantised(loaded.report["outputs"][0], loaded.run(list(inputs))[0])


def export(
    folder: str | Path,
    ecosystem: str,
    output: str | Path | None = None,
    *,
    version: str = About.version,
    author: str = About.author,
    url: str | None = None,
) -> Path:
    """A finished build as a package with examples and a self-test; returns where it lies.

    ecosystem: "arduino", "cmake", "cmsis-pack", "esp-idf", "platformio" or "zephyr". output: the folder to
    create, or the package as one file (.zip; for a CMSIS-Pack its .pack); ``FOLDER-ecosystem`` beside the
    build where it is not given. An earlier package there is replaced.
    version, author, url: what the package says of itself.

    Raises:
        InputError: the folder is no build. OptionError: the ecosystem is unknown, the output is something
        else's or cannot be written, or the version, author or url is not of its form.
    """
    return export_package(folder, ecosystem, output, About(version, author, url))


def verify(
    model: str | Path,
    folder: str | Path,
    *,
    samples: int = 200,
    data: str | Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Verification:
    """Holds a build against the model that it was made from: host C, simulated board and LiteRT against the
    numpy reference, every output byte; writes ``certificate.json`` into the build.

    samples: sets of inputs that are made: extremes, edge values and random ones. data: real inputs besides,
    as ``calibration`` of ``compile``; at most ``samples`` of them. Without package ai-edge-litert LiteRT is
    left out, and the certificate says so.

    Raises:
        ModelError, DataError: a file cannot be read. InputError: the folder is no build, or another model's.
        OptionError: samples or seed is out of range. SimulationError: the program misbehaved on the board.
    """
    return verify_build(model, folder, samples, data, seed, progress)


def _post_training(
    observer: str | None, equalise: bool | None, bias_correction: bool | None, activations: str = "int8"
) -> PostTraining:
    ranges = None if observer is None else observer_of(observer)
    return PostTraining(ranges, equalise, bias_correction, activations_of(activations))
