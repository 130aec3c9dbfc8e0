"""The command ``tinyfoundry``: each command reads its options, calls the library once and prints the
result.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from tinyfoundry import api
from tinyfoundry.board import all_boards
from tinyfoundry.console import Progress
from tinyfoundry.errors import OptionError, TinyfoundryError
from tinyfoundry.jobs.units import read_bytes, read_seconds
from tinyfoundry.report import coverage, table, verification

app = typer.Typer(
    help="A data set (or a trained model) and a microcontroller in, proven firmware out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
# Off a terminal a row of a table is a line, for grep and awk. COLUMNS says nothing there: programs that
# start others (Python with readline) leave it behind.
out = Console(width=None if Console().is_terminal else 10_000)
err = Console(stderr=True)
# The base of every complaint about a command line; typer exports only its leaves.
UsageError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
INTERRUPTED = 130  # what shells report of a program that Ctrl-C stopped
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space there or choose another place"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place that you may write to"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "create the folder first"),
    errno.EISDIR: "give the name of a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "close other programs or allow more open files (ulimit -n)",
    errno.ENOMEM: "close other programs",
}
"""What to do about an error of the operating system."""

Board = Annotated[
    str,
    typer.Option("--board", "-b", help="A board's name (see `tinyfoundry boards`) or a .toml of your own."),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder to create; an earlier build there is replaced.")
]
MaxRam = Annotated[str | None, typer.Option(help="Most SRAM to use: arena, stack and static. 64K, 65536.")]
MaxFlash = Annotated[str | None, typer.Option(help="Most flash to use: code and weights. 256K, 1M.")]
Latency = Annotated[str | None, typer.Option(help="Longest inference at the board's clock. 50ms, 1s.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Everything random follows from it.")]
Built = Annotated[Path, typer.Argument(help="Folder that `build` or `compile` made.")]

Calibration = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="Quantise a float32 model with this: .npy or .npz of its inputs, or data as for `build`.",
    ),
]
Observer = Annotated[
    str | None,
    typer.Option(help="Ranges by `min-max`, `percentile` or `mse`. [default: whichever errs least]"),
]
Equalise = Annotated[
    bool | None,
    typer.Option("--equalise/--no-equalise", help="Even out channels. [default: where that errs less]"),
]
BiasCorrection = Annotated[
    bool | None,
    typer.Option(
        "--bias-correction/--no-bias-correction",
        help="Take mean errors out of the biases. [default: where that errs less]",
    ),
]

Package = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder, .zip or .pack to create; an earlier package is replaced."),
]


@app.command()
def build(
    data: Annotated[
        str,
        typer.Argument(help="`digits`, a folder with a folder per class (images or WAVs), an .npz, a .csv."),
    ],
    board: Board,
    output: Output,
    budget: Annotated[str, typer.Option(help="Time for search and training together. 90s, 5m, 2h.")] = "5m",
    latency: Latency = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    seed: Seed = 0,
    kind: Annotated[
        str | None, typer.Option(help="Read DATA as image, audio or series where that is not clear.")
    ] = None,
) -> None:
    """Data set in, firmware out: search a network that fits, train, quantise, compile, prove, report.

    For example `tinyfoundry build recordings/ --board nucleo-f446re -o out/words --max-ram 64K`.

    Interrupted (Ctrl-C), the same command goes on where it stopped.
    """
    limits = _limits(max_ram, max_flash, latency)
    seconds = read_seconds(budget, "--budget")
    _job(
        lambda progress: api.build(
            data,
            board=board,
            output=output,
            budget=seconds,
            limits=limits,
            seed=seed,
            kind=kind,
            progress=progress,
        )
    )


@app.command()
def compile(  # noqa: A001 - the verb that users expect
    model: Annotated[Path, typer.Argument(help="A .tflite, .onnx or .pt2 model, int8, int16 or float32.")],
    board: Board,
    output: Output,
    io: Annotated[
        str,
        typer.Option(help="`int8` faces (scale and zero point in the header) or `float` as in the model."),
    ] = "int8",
    latency: Latency = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    samples: Annotated[int, typer.Option(min=1, max=100_000, help="Inputs to prove exactness on.")] = 20,
    calibration: Calibration = None,
    observer: Observer = None,
    equalise: Equalise = None,
    bias_correction: BiasCorrection = None,
    activations: Annotated[
        str, typer.Option(help="What a calibrated model's activations become: `int8` or `int16`.")
    ] = "int8",
    seed: Seed = 0,
) -> None:
    """A trained model in, C out, proven on the simulated board.

    For example `tinyfoundry compile model.tflite --board nucleo-l4r5zi -o out/model`.

    A float32 model: `tinyfoundry compile model.onnx -b nucleo-l4r5zi -o out/model --calibration x.npy`.
    """
    limits = _limits(max_ram, max_flash, latency)
    _job(
        lambda progress: api.compile(
            model,
            board=board,
            output=output,
            io=io,
            limits=limits,
            samples=samples,
            seed=seed,
            progress=progress,
            calibration=calibration,
            activations=activations,
            observer=observer,
            equalise=equalise,
            bias_correction=bias_correction,
        )
    )


@app.command()
def errors(
    model: Annotated[Path, typer.Argument(help="A float32 .tflite, .onnx or .pt2 model.")],
    calibration: Annotated[
        str, typer.Option(metavar="DATA", help="As for `compile`; errors are measured on it too.")
    ],
    observer: Observer = None,
    equalise: Equalise = None,
    bias_correction: BiasCorrection = None,
    seed: Seed = 0,
) -> None:
    """How far each layer of a model is from float once it is int8, the worst first, and why.

    For example `tinyfoundry errors model.onnx --calibration x.npy`.
    """
    with _progress() as progress:
        rows = api.errors(
            model,
            calibration,
            observer=observer,
            equalise=equalise,
            bias_correction=bias_correction,
            seed=seed,
            progress=progress,
        )
    out.print(table.errors([asdict(row) for row in rows]))


@app.command()
def run(
    built: Built,
    source: Annotated[
        Path,
        typer.Option("--input", "-i", help=".npy of one input or a batch: real values, or int8 as stored."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the raw outputs to this .npy.")
    ] = None,
) -> None:
    """Run a build on the simulated board and print what it answers: class (or index) and value, a line an
    input.

    For example `tinyfoundry run out/model --input x.npy`.
    """
    if output is not None:
        _check_writable(output)
    loaded = api.load(built)
    samples = loaded.batch(source)
    answers = [loaded.run([sample])[0] for sample in samples]
    for answer in answers:
        _say(loaded.named(answer))
    if output is not None:
        try:
            with output.open("wb") as file:  # np.save would add .npy to a name without it
                np.save(file, np.concatenate([np.atleast_1d(answer) for answer in answers]))
        except OSError as error:  # a failing write does not name its file
            raise OptionError(_told(error, output)) from None


@app.command()
def profile(built: Built) -> None:
    """Instructions and cycles of every layer of a build, counted on the simulated board.

    For example `tinyfoundry profile out/model`.
    """
    report = api.load(built).profiled()
    out.print(table.layers(report))
    out.print(table.totals(report))


@app.command()
def export(
    built: Built,
    ecosystem: Annotated[
        str,
        typer.Option("--as", help="`arduino`, `cmake`, `cmsis-pack`, `esp-idf`, `platformio` or `zephyr`."),
    ],
    output: Package = None,
    version: Annotated[str, typer.Option(help="The package's version.")] = "1.0.0",
    author: Annotated[str, typer.Option(help="Whom the package names as its author.")] = "tinyfoundry",
    url: Annotated[str | None, typer.Option(help="The package's page, where it has one.")] = None,
) -> None:
    """A build as a package for another ecosystem, with an example and a golden self-test.

    For example `tinyfoundry export out/model --as arduino`.
    """
    _say(f"package: {api.export(built, ecosystem, output, version=version, author=author, url=url)}")


@app.command()
def verify(
    model: Annotated[
        Path, typer.Argument(help="The .tflite, .onnx or .pt2 model that the build was made from.")
    ],
    built: Built,
    samples: Annotated[int, typer.Option(min=1, max=100_000, help="Inputs to make up and compare.")] = 200,
    data: Annotated[str | None, typer.Option(help="Real inputs besides, as `--calibration` takes.")] = None,
    seed: Seed = 0,
) -> None:
    """Compare a build with its model, byte for byte. For example `tinyfoundry verify m.tflite out/model`."""
    with _progress() as progress:
        found = api.verify(model, built, samples=samples, data=data, seed=seed, progress=progress)
    out.print(verification.comparison(found.certificate))
    for line in verification.remarks(found.certificate):
        _say(line)
    raise typer.Exit(0 if found.exact else 1)


@app.command()
def boards() -> None:
    """The boards that tinyfoundry knows: names for `--board`, sizes, clocks."""
    out.print(table.boards(all_boards()))


@app.command()
def ops(
    operator: Annotated[
        str | None, typer.Argument(help="An operator of TFLite or ONNX: only what becomes of it.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="All tables, as in docs/coverage.md.")] = False,
) -> None:
    """The ops that tinyfoundry knows: what becomes them, and the kernels that compute them.

    For example `tinyfoundry ops FULLY_CONNECTED`.
    """
    if operator is not None:
        for format_, (name, found) in coverage.operator(operator).items():
            _say(f"{format_} {name}: {coverage.becomes(found)}")
    elif markdown:
        sys.stdout.write(coverage.page())
    else:
        out.print(table.ops(coverage.coverage()))


def _job(work: Callable[[Progress], api.Built]) -> None:
    """Does ``work`` and prints what came of it."""
    try:
        with _progress() as progress:
            built = work(progress)
    except KeyboardInterrupt as stop:
        _stopped(*getattr(stop, "__notes__", ()))
    out.print(table.totals(built.report))
    _say(f"report: {built.folder / 'report.html'}")


def _progress() -> Progress:
    """Bars on a terminal; elsewhere a line a stage on standard output, so that errors stand alone."""
    return Progress(err if err.is_terminal else out)


def _say(text: str) -> None:
    out.print(table.plain(text), soft_wrap=True)


def _fail(text: str) -> NoReturn:
    line = Text.assemble(("error:", "bold red"), " ", table.plain(" ".join(text.split())))
    err.print(line, soft_wrap=True)
    sys.exit(2)


def _told(error: OSError, where: object) -> str:
    advice = ADVICE.get(error.errno or 0, "see whether it can be read and written")
    return f"{where}: {error.strerror or error}; {advice}"


def _check_writable(path: Path) -> None:
    """OptionError when no file can be written there. What is there stays as it is."""
    is_new = not path.exists()
    try:
        if is_new or path.is_file() or path.is_dir():  # opening a pipe would wait for its reader
            path.open("ab").close()
    except OSError as error:
        raise OptionError(_told(error, path)) from None
    if is_new:
        path.resolve().unlink()


def _stopped(*notes: str) -> NoReturn:
    err.print("; ".join(("stopped", *notes)), soft_wrap=True)
    sys.exit(INTERRUPTED)


def _limits(max_ram: str | None, max_flash: str | None, latency: str | None) -> api.Limits:
    return api.Limits(
        ram=None if max_ram is None else read_bytes(max_ram, "--max-ram"),
        flash=None if max_flash is None else read_bytes(max_flash, "--max-flash"),
        latency_ms=None if latency is None else 1e3 * read_seconds(latency, "--latency"),
    )


def main() -> None:
    """Runs the command; what the user can act on becomes one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a character is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except UsageError as error:
        _fail(f"{error.format_message()} See 'tinyfoundry --help'.")
    except TinyfoundryError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output has gone: nobody is left to tell
            sys.exit(1)
        _fail(_told(error, error.filename or "system"))
    if code == INTERRUPTED:
        _stopped()
    sys.exit(code or 0)
