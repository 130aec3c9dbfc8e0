"""The emitted C: its text, and what compilers for every core, for C and for C++ say of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c_libraries import QUANT, STRICT, cc, compiled, run_self_test, small_net, two_faced_net
from small_nets import random_net
from tinyfoundry.board import all_boards, load_board
from tinyfoundry.builder import Builder
from tinyfoundry.emit.names import library_name
from tinyfoundry.ir.graph import DType, Graph, Type, per_tensor
from tinyfoundry.ir.verify import verify
from tinyfoundry.op import verify_ops
from tinyfoundry.ops.dense import Dense
from tinyfoundry.ops.elementwise import Add
from tinyfoundry.pipeline import Options, compile_graph
from tinyfoundry.simulate.toolchain import build_elf

GOLDEN = Path(__file__).parent / "golden"
CORES = {board.core.name: board for board in all_boards()}
HOSTILE = [
    "int", "x-1", "größe", "", "*/ int x; /*", "a\nb\\", "run", "arena", "busy", "input", "output",
    "layer_0_y", "NULL", "main", "tables", "n" * 3000, "x_1", "x 1", "??/", "table_run", "int8_t",
]  # fmt: skip


def test_golden_text(golden: Callable[[Path, str], None]) -> None:
    """The C of a small network reads as it was reviewed."""
    for path, text in compile_graph(small_net(), load_board("raspberry-pi-pico")).files.items():
        if not Path(path).name.startswith("tinyfoundry_"):  # these are copies of ours
            golden(GOLDEN / path, text)


def test_the_small_network_is_right(tmp_path: Path) -> None:
    compiled(small_net(), tmp_path)
    assert run_self_test(tmp_path) == "small: 0 of 6 golden samples differ\n"


def test_the_self_test_finds_a_wrong_weight(tmp_path: Path) -> None:
    compiled(small_net(), tmp_path, load_board("raspberry-pi-pico"))
    tables = tmp_path / "src/small_tables.c"
    text = tables.read_text()
    assert text.count("{\n    1, -2\n}") == 1
    tables.write_text(text.replace("{\n    1, -2\n}", "{\n    1, -2000\n}"))
    with pytest.raises(AssertionError, match=r"small: [1-6] of 6 golden samples differ"):
        run_self_test(tmp_path)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    """Also an input that is an output: its bytes must outlive the run."""
    build = compiled(two_faced_net(), tmp_path)
    run_self_test(tmp_path)
    header = build.files["include/faces.h"]
    assert "#define FACES_INPUT_COUNT 2" in header
    assert "#define FACES_OUTPUT_COUNT 3" in header
    assert "#define FACES_INPUT1_SCALE 0.10000000149011612f\n#define FACES_INPUT1_ZERO_POINT (5)" in header
    main = """#include <stdio.h>
#include "faces.h"
int main(void) { return !(faces_input(2) == 0 && faces_input(-1) == 0 && faces_output(3) == 0
    && faces_input(1) != 0 && FACES_ARENA_BYTES > 0); }
"""
    (tmp_path / "main.c").write_text(main)
    cc(tmp_path, [*STRICT, "-Iinclude", "src/faces.c", "src/faces_tables.c", "main.c", "-o", "main"])
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def test_a_call_during_a_call_is_refused(tmp_path: Path) -> None:
    """The flag that ``run`` sets is what an interrupt would find set."""
    compiled(small_net(), tmp_path)
    main = '#include "../src/small.c"\nint main(void) { small_busy = 1; return small_run() != -1; }\n'
    (tmp_path / "golden/main.c").write_text(main)
    cc(tmp_path, ["-std=c99", "-Iinclude", "-Isrc", "src/small_tables.c", "golden/main.c", "-o", "main"])
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def test_equal_tables_are_written_once() -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 4), DType.INT8, QUANT))
    for number in range(3):
        w = b.constant("w", np.eye(4, dtype=np.int8) * 9, per_tensor(0.02))
        bias = b.constant("b", np.arange(4, dtype=np.int32) * min(number, 1))
        x = b.apply("dense", (x, w, bias), Dense(), QUANT, f"layer{number}")
    tables = compile_graph(b.finish(x), load_board("raspberry-pi-pico")).files["src/net_tables.c"]
    assert tables.count("int8_t net_table_w") == 1
    assert tables.count("int32_t net_table_b") == 2


def hostile_graph(names: list[str]) -> Graph:
    """One input and one constant of every name, in one graph; the nodes' names are identifiers by rule."""
    b = Builder("net")
    total = b.input("x", Type((1, 2), DType.INT8, QUANT))
    for index, _ in enumerate(names):
        c = b.constant(f"c{index}", np.array([[index, 3]], np.int8), QUANT)
        y = b.input(f"i{index}", Type((1, 2), DType.INT8, QUANT))
        total = b.apply("add", (b.apply("add", (total, c), Add(), QUANT), y), Add(), QUANT)
    graph = b.finish(total)
    mapping = {f"c{i}": name for i, name in enumerate(names)} | {
        f"i{i}": f"{n}'" for i, n in enumerate(names)
    }
    nodes = [replace(n, inputs=tuple(mapping.get(x, x) for x in n.inputs)) for n in graph.nodes]
    renamed = replace(
        graph,
        inputs=tuple(mapping.get(x, x) for x in graph.inputs),
        nodes=tuple(nodes),
        types={mapping.get(x, x): t for x, t in graph.types.items()},
        constants={mapping.get(x, x): v for x, v in graph.constants.items()},
    )
    return verify_ops(verify(renamed))


def test_hostile_tensor_names(tmp_path: Path) -> None:
    build = compiled(hostile_graph(HOSTILE), tmp_path)
    run_self_test(tmp_path)
    assert all(text.isascii() for text in build.files.values())


@pytest.mark.parametrize("node", ["int", "run", "arena", "NULL", "main", "conv2d_s8", "n" * 500])
def test_hostile_node_names(node: str, tmp_path: Path) -> None:
    b = Builder("net")
    x = b.input("x", Type((1, 2), DType.INT8, QUANT))
    compiled(b.finish(b.apply("add", (x, x), Add(), QUANT, node)), tmp_path)
    run_self_test(tmp_path)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        *((name, f"{name}_model") for name in ("test", "all", "string", "stdint", "Math")),
        ("tinyfoundry_net", "model_net"),
        ("n" * 300, "n" * 64),
        ("kws_ref_model", "kws_ref_model"),
        ("int", "int"),
    ],
)
def test_model_names_that_a_build_could_not_take(name: str, library: str, tmp_path: Path) -> None:
    """Headers of the C library, CMake's targets, the simulator's own files: the model gives way."""
    assert library_name(name) == library
    build = compiled(small_net(name), tmp_path)
    assert build.name == build.graph.name == library
    run_self_test(tmp_path)


def test_two_models_in_one_program(tmp_path: Path) -> None:
    compiled(small_net("one"), tmp_path)
    compiled(small_net("one_table"), tmp_path)
    main = """#include "one.h"
#include "one_table.h"
int main(void) { return one_run() | one_table_run() | (one_input(0) == one_table_input(0)); }
"""
    (tmp_path / "main.c").write_text(main)
    sources = sorted(f"src/{path.name}" for path in tmp_path.glob("src/*.c"))
    assert len(sources) == 4
    cc(tmp_path, [*STRICT, "-Iinclude", *sources, "main.c", "-o", "main"])
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def test_the_header_serves_cpp(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    compiled(small_net(), tmp_path)
    for unit in ("small", "small_tables"):
        cc(tmp_path, [*STRICT, "-Iinclude", "-c", f"src/{unit}.c", "-o", f"{unit}.o"])
    (tmp_path / "main.cpp").write_text('#include "small.h"\nint main() { return small_run(); }\n')
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    cc(tmp_path, [*flags, "-Iinclude", "main.cpp", "small.o", "small_tables.o", "-o", "main"], "g++")
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


@pytest.mark.parametrize("core", sorted(CORES))
def test_every_core_compiles_it_without_a_warning(core: str, tmp_path: Path) -> None:
    board = CORES[core]
    build = compiled(two_faced_net(), tmp_path, board)
    harness = {"tinyfoundry_main.c": '#include "faces.h"\nint main(void) { return faces_run(); }\n'}
    sources = sorted((tmp_path / "src").glob("*.c"))
    assert build_elf(board, sources, [tmp_path / "include"], harness).stat().st_size > 0
    assert build.board.core.name == core


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_of_every_op(seed: int, tmp_path: Path) -> None:
    """Also with float faces, and under the sanitizers."""
    compiled(random_net(seed), tmp_path, options=Options(float_faces=seed % 2 == 0))
    run_self_test(tmp_path, ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])


@pytest.mark.parametrize("name", ["small", "test"])
def test_cmake_builds_and_tests_the_project(name: str, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake on this machine")
    compiled(small_net(name), tmp_path)
    cc(tmp_path, ["-S", ".", "-B", "b", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror -pedantic"], "cmake")
    cc(tmp_path, ["--build", "b"], "cmake")
    said = cc(tmp_path / "b", ["--output-on-failure"], "ctest")
    assert "100% tests passed, 0 tests failed out of 1" in said


def test_layers_of_one_size_share_their_code(tmp_path: Path) -> None:
    """Three alike: one specialised function and three that name their tensors; another size has its own."""
    b, rng = Builder("alike"), np.random.default_rng(2)
    x = b.input("x", Type((1, 8), DType.INT8, QUANT))
    for name, units in (("one", 8), ("two", 8), ("three", 8), ("last", 3)):
        w = b.constant("w", rng.integers(-50, 50, (units, 8)).astype(np.int8), per_tensor(0.02))
        bias = b.constant("bias", rng.integers(-40, 40, units).astype(np.int32))
        x = b.apply("dense", (x, w, bias), Dense(), QUANT, name)
    build = compiled(b.finish(x), tmp_path, load_board("raspberry-pi-pico"))
    code = build.files["src/alike.c"]
    assert code.count("TF_LAYER void alike_shared_") == 1
    assert code.count("    alike_shared_0(\n") == 3
    assert code.count("    dense_s8(\n") == 2
    assert run_self_test(tmp_path) == "alike: 0 of 6 golden samples differ\n"
