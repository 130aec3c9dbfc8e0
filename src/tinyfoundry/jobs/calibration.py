"""Quantises an imported float model with representative inputs from the user."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tinyfoundry.data import load, split
from tinyfoundry.errors import DataError, GraphError, ModelError, OptionError
from tinyfoundry.ir.graph import Array, DType, Graph, Shape
from tinyfoundry.jobs.batches import Batches, gathered
from tinyfoundry.op import value_limits
from tinyfoundry.passes.calibrate import Watch, spread
from tinyfoundry.passes.post_training import Interpreter, PostTraining, Quantised, post_training
from tinyfoundry.pipeline import Options, simplify

SAMPLES = 500
"""Samples that are used at most, spread evenly over what is given."""

_MAX_BYTES = 2**31
_DAMAGE = (OSError, ValueError, EOFError, MemoryError, RecursionError, zipfile.BadZipFile)
_DATA_SETS = (frozenset({"x", "y"}), frozenset({"x_train"}))  # arrays of an .npz that is no list of inputs


def to_quantised(
    graph: Graph,
    calibration: str | Path | Batches | None,
    float_faces: bool,
    seed: int,
    progress: Callable[[int, int], None],
    options: PostTraining | None = None,
) -> tuple[Graph, PostTraining | None]:
    """``graph`` when it is quantised; a float one quantised with the inputs that ``calibration`` names, and
    what was chosen where ``options`` leave it open.

    Raises:
        ModelError: a float model without calibration data, or one that cannot be quantised. OptionError:
        calibration data or ``options`` for a quantised model. DataError: data that cannot be read or do not
        suit the model.
    """
    if is_quantised(graph):
        if calibration is not None:
            raise OptionError(
                f"--calibration: model '{graph.name}' is quantised already; leave the option out"
            )
        if options is not None and options != PostTraining():
            raise OptionError(
                "--observer, --equalise, --bias-correction, --activations: "
                f"model '{graph.name}' is quantised already; leave the options out"
            )
        return graph, None
    if calibration is None:
        raise ModelError(
            f"model '{graph.name}' is float32, wanted int8: give --calibration DATA (an .npy of inputs, or a "
            "data set that build reads) to quantise it, or give an int8 model"
        )
    quantised, _ = quantised_model(graph, calibration, seed, progress, options, float_faces=float_faces)
    return quantised.graph, quantised.how


def quantised_model(
    graph: Graph,
    calibration: str | Path | Batches,
    seed: int,
    progress: Callable[[int, int], None],
    options: PostTraining | None,
    *,
    float_faces: bool = False,
) -> tuple[Quantised, Sequence[Array]]:
    """A float model quantised, and the inputs that ``calibration`` names; errors as ``to_quantised``."""
    graph = simplify(graph, Options(float_faces=True))
    sets, chosen = calibration_inputs(calibration, graph, seed), options or PostTraining()
    done, total, interpreter = 0, chosen.runs() * len(sets[0]), Interpreter()

    def run(floating: Graph, parts: Sequence[Array], watch: Watch) -> None:
        nonlocal done
        for sample in zip(*parts, strict=True):
            interpreter(floating, [value[None] for value in sample], watch)
            done += 1
            progress(min(done, total - 1), total)

    try:
        quantised = post_training(graph, sets, chosen, run=run, float_faces=float_faces)
    except GraphError as error:
        raise ModelError(f"model '{graph.name}' cannot be quantised: {error}") from error
    progress(total, total)
    return quantised, sets


def is_quantised(graph: Graph) -> bool:
    """Whether some of it is int8 or int16, or nothing float32."""
    dtypes = {graph.types[name].dtype for name in graph.activations()}
    return bool(dtypes & {DType.INT8, DType.INT16}) or DType.FLOAT32 not in dtypes


def calibration_inputs(calibration: str | Path | Batches, graph: Graph, seed: int) -> list[Array]:
    """For each input of ``graph`` an array [n, *shape] of samples of its element type, n at most
    ``SAMPLES``; see ``model_inputs``.
    """
    if isinstance(calibration, Batches):
        given = gathered(calibration, graph, SAMPLES, _fitted)
    else:
        given = model_inputs(calibration, graph, seed, SAMPLES, "--calibration")
    dtypes = [graph.types[name].dtype.value for name in graph.inputs]
    return [array.astype(dtype) for array, dtype in zip(given, dtypes, strict=True)]


def model_inputs(source: str | Path, graph: Graph, seed: int, most: int, option: str) -> list[Array]:
    """For each input of ``graph`` an array [n, *shape] of samples as ``source`` has them, n at most ``most``.

    An .npy, or an .npz without labels (x and y, or x_train), holds inputs as the model takes them: one, or
    several along a first axis, channels last or first (last, where both are possible). An .npz of inputs has
    an array for each, of its name or in their order. Anything else is a data set (see ``tinyfoundry build``):
    its training part, normalised as ``build`` does.
    """
    named = _arrays(Path(source), f"{option} {source}")
    if named is None:
        x = split(load(source, seed=seed)).train.x
        if len(graph.inputs) != 1:
            raise DataError(
                f"{option} {source}: a data set has one input, model '{graph.name}' "
                f"{len(graph.inputs)}; give an .npz with an array for each"
            )
        named = {graph.inputs[0]: x}
    arrays = _by_input(named, graph, f"{option} {source}")
    pairs = zip(graph.inputs, arrays, strict=True)
    fitted = [_fitted(f"{option} {source}, {name}", x, graph.types[name].shape) for name, x in pairs]
    for name, array in zip(graph.inputs, fitted, strict=True):
        _check_indices(f"{option} {source}, {name}", array, graph, name)
    counts = {len(array) for array in fitted}
    if len(counts) > 1:
        raise DataError(
            f"{option} {source}: {sorted(counts)} samples for the inputs; wanted as many for each"
        )
    count = counts.pop()
    chosen = spread(count, most)
    return [array[chosen] for array in fitted]


def _arrays(path: Path, where: str) -> Mapping[str, Array] | None:
    """The arrays of an .npy or of an .npz of inputs; None for what the data room reads."""
    if path.suffix.lower() not in (".npy", ".npz") or not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{where}: has more than {_MAX_BYTES} bytes; give fewer samples")
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            is_data_set = any(arrays <= set(loaded.files) for arrays in _DATA_SETS)
            return None if is_data_set else _members(path, where, loaded)
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{where}: cannot be read ({reason}); write it with numpy.save or numpy.savez"
        ) from error


def _members(path: Path, where: str, loaded: np.lib.npyio.NpzFile) -> Mapping[str, Array]:
    with zipfile.ZipFile(path) as archive:
        size = sum(item.file_size for item in archive.infolist())
    if size > _MAX_BYTES:
        raise DataError(f"{where}: unpacks to {size} bytes; give fewer samples")
    return {name: loaded[name] for name in loaded.files}


def _by_input(named: Mapping[str, Array], graph: Graph, where: str) -> Sequence[Array]:
    if set(graph.inputs) <= set(named):
        return [named[name] for name in graph.inputs]
    if len(named) != len(graph.inputs):
        raise DataError(
            f"{where}: {len(named)} arrays for the inputs {', '.join(graph.inputs)}; wanted one for each"
        )
    return list(named.values())


def _fitted(where: str, values: Array, shape: Shape) -> Array:
    """Samples [n, *shape] of what lies as the model's input, channels last or first."""
    if values.dtype.kind not in "biuf" or not values.size:
        raise DataError(f"{where}: {values.dtype}{list(values.shape)}; wanted numbers, at least one sample")
    if not np.isfinite(values).all():
        raise DataError(f"{where}: holds a NaN or an infinity; wanted finite numbers")
    rank = len(shape)
    as_given = tuple(range(rank))
    channels_first = (0, rank - 1, *range(1, rank - 1)) if rank > 2 else as_given
    for order in (as_given, channels_first):
        given = tuple(shape[axis] for axis in order)
        count = _count(values.shape, given)
        if count:
            back = (0, *(1 + order.index(axis) for axis in range(rank)))
            return values.reshape(count, *given).transpose(back)
    raise DataError(f"{where}: shape {list(values.shape)}; wanted one or several inputs of {list(shape)}")


def _check_indices(where: str, values: Array, graph: Graph, name: str) -> None:
    """DataError unless what is given for an input of whole numbers, indices of words say, can be that."""
    if graph.types[name].dtype not in (DType.INT32, DType.INT64):
        return
    low, high = value_limits(graph, name)
    wrong = values[(values < low) | (values > high) | (values != np.floor(values))]
    if wrong.size:
        raise DataError(f"{where}: holds {wrong.flat[0]:g}; wanted whole numbers from {low} to {high}")


def _count(found: Shape, wanted: Shape) -> int:
    """How many samples of shape ``wanted`` an array of shape ``found`` is, whatever axes of one element."""
    core = _solid(wanted)
    if found and _solid(found[1:]) == core:
        return found[0]
    return 1 if _solid(found) == core else 0


def _solid(shape: Shape) -> Shape:
    return tuple(size for size in shape if size > 1)
