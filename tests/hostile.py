"""What every importer owes to a damaged file, and the compiler to what an importer has taken of one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphs import random_input
from tinyfoundry.board import load_board
from tinyfoundry.errors import DoesNotFit, GraphError, ModelError
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Graph
from tinyfoundry.op import call_of, get_op
from tinyfoundry.pipeline import compile_graph

SECONDS = 5.0  # for one file; none comes near it
CPU_SECONDS = (
    2.0  # of the processor for one small file, and again to compile it: what docs/robustness.md says
)
SMALL = 100_000  # multiply-accumulates and elements of a network that is run here

_opened: list[str] | None = None


def refusal_by(load: Callable[[bytes], object], model: bytes) -> str | None:
    """What ``load`` says to a file, None when it takes it; it may say only one line, in a ModelError."""
    start = time.monotonic()
    try:
        load(model)
        said = None
    except ModelError as error:
        said = str(error)
        _check_line(said)
        assert said.startswith("model")
    assert time.monotonic() - start < SECONDS
    return said


def examine(load: Callable[[bytes], Graph], model: bytes) -> Graph | None:
    """Holds everything promised of hostile files against one; the graph when ``load`` takes it.

    One line is all that they say: the importer in a ModelError, the compiler in that, a GraphError or
    DoesNotFit. Each takes at most CPU_SECONDS; the importer opens no file; the interpreter runs what is
    small.
    """
    try:
        with _at_most(CPU_SECONDS, "importer"), no_file_opened():
            graph = load(model)
    except ModelError as error:
        _check_line(str(error))
        assert str(error).startswith("model"), error
        return None
    try:
        with _at_most(CPU_SECONDS, "compiler"):
            compile_graph(graph, load_board("nucleo-f446re"))
    except (DoesNotFit, GraphError, ModelError) as error:
        _check_line(str(error))
    if is_small(graph):
        rng = np.random.default_rng(0)
        with np.errstate(all="ignore"):  # hostile numbers overflow; that is no error
            interpret(graph, [random_input(rng, graph.types[name]) for name in graph.inputs])
    return graph


def is_small(graph: Graph) -> bool:
    """Whether the numpy references run it in a moment."""
    work = sum(type_.elements for type_ in graph.types.values())
    return work + sum(get_op(node.op).macs(call_of(graph, node)) for node in graph.nodes) <= SMALL


@contextmanager
def no_file_opened() -> Iterator[None]:
    """Fails when anything in its body opens a file."""
    global _opened  # noqa: PLW0603 - an audit hook cannot be taken back, only told not to listen
    if _audit not in _hooks:
        _hooks.append(_audit)
        sys.addaudithook(_audit)
    _opened = []
    try:
        yield
    finally:
        found, _opened = _opened, None
    assert not found, f"opened {found}"


_hooks: list[Any] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open":
        _opened.append(repr(args[0]))


@contextmanager
def _at_most(seconds: float, what: str) -> Iterator[None]:
    start = time.process_time()
    try:
        yield
    finally:
        found = time.process_time() - start
        assert found < seconds, f"{what}: {found:.1f} s of the processor, at most {seconds:g} are promised"


def _check_line(said: str) -> None:
    assert "\n" not in said and said.isprintable(), said
    assert "nobody foresaw" not in said, said
