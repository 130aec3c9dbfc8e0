"""Emitted C in tests: small networks, written to a folder, compiled by the system's or the cross compiler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphs import inputs_of
from tinyfoundry.board import Board, load_board
from tinyfoundry.builder import Builder
from tinyfoundry.emit.project import self_test
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import DType, Graph, Type, per_tensor
from tinyfoundry.jobs.measure import write_files
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.ops.shape import Reshape
from tinyfoundry.pipeline import Build, Options, compile_graph

QUANT = per_tensor(0.05, -3)
TWIN = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover=all")
"""For the C twin of functions in Python, under the undefined-behaviour sanitizer."""
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


def small_net(name: str = "small") -> Graph:
    """Image in, two numbers out: a convolution, a view, a dense layer."""
    b, rng = Builder(name), np.random.default_rng(8)
    x = b.input("image", Type((1, 4, 4, 1), DType.INT8, QUANT))
    w = b.constant("kernel", rng.integers(-9, 9, (2, 3, 3, 1)).astype(np.int8), per_tensor(0.02))
    bias = b.constant("bias", np.array([-70, 7], np.int32))
    window = Window((2, 2), (0, 1), (0, 1))
    x = b.apply("conv2d", (x, w, bias), Conv2D(window, Activation.RELU), QUANT, "conv")
    x = b.apply("reshape", (x,), Reshape((1, 8)), QUANT)
    w = b.constant("weights", rng.integers(-9, 9, (2, 8)).astype(np.int8), per_tensor(0.03))
    out = b.apply("dense", (x, w, b.constant("bias", np.array([1, -2], np.int32))), Dense(), QUANT, "scores")
    return b.finish(out)


def two_faced_net(name: str = "faces") -> Graph:
    """Two inputs, three outputs, one of them an input."""
    b = Builder(name)
    one = b.input("one", Type((1, 3), DType.INT8, QUANT))
    two = b.input("two", Type((1, 3), DType.INT8, per_tensor(0.1, 5)))
    total = b.apply("add", (one, two), Add(), QUANT, "total")
    twice = b.apply("add", (total, total), Add(), per_tensor(0.1, 5), "twice")
    return b.finish(total, twice, one)


def compiled(graph: Graph, folder: Path, board: Board | None = None, options: Options | None = None) -> Build:
    """The network compiled, its files in ``folder`` with a self-test against the reference."""
    build = compile_graph(graph, board or load_board("nucleo-f446re"), options)
    inputs = inputs_of(build.graph, np.random.default_rng(6), 3)
    test = self_test(build.name, inputs, [interpret(build.graph, values) for values in inputs])
    write_files({**build.files, "golden/self_test.c": test}, folder)
    return build


def cc(folder: Path, arguments: Sequence[str], compiler: str = "cc") -> str:
    """Runs a compiler in ``folder``; fails with what it says."""
    command = [compiler, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-3000:]}"
    return done.stdout


def run_self_test(folder: Path, extra: Sequence[str] = ()) -> str:
    """Compiles the library with its self-test and runs it; fails unless every golden sample is right."""
    sources = sorted(str(path.relative_to(folder)) for path in folder.glob("src/*.c"))
    cc(folder, [*STRICT, "-Iinclude", *extra, *sources, "golden/self_test.c", "-o", "self_test"])
    done = subprocess.run([folder / "self_test"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tinyfoundry(
    *arguments: object, cwd: Path | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "tinyfoundry", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300, **options
    )
