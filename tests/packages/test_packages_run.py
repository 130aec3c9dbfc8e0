"""The programs in every package do what they say: on this computer, and on the simulated board."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from c_libraries import cc, small_net, two_faced_net
from packaged import LAYOUTS, run_on_board, run_on_host
from tinyfoundry import api
from tinyfoundry.board import load_board
from tinyfoundry.ir.graph import Graph
from tinyfoundry.packages import ecosystems

BOARD = "nucleo-f446re"
EVERY = pytest.mark.parametrize("ecosystem", sorted(LAYOUTS))


def build(graph: Graph, folder: Path, io: str = "int8", board: str = BOARD) -> Path:
    return api.compile(graph, board=board, output=folder, samples=6, io=io).folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(small_net(), tmp_path_factory.mktemp("builds") / "small")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(two_faced_net(), tmp_path_factory.mktemp("builds") / "faces")


def answer(folder: Path, name: str) -> str:
    """What the inference example must print, from the golden files."""
    lines = []
    for index, face in enumerate(api.load(folder).report["outputs"]):
        stored = np.load(folder / f"golden/output{index}.npy")[-1].reshape(-1)
        best = int(stored.argmax())
        real = np.float32(face["scale"]) * np.float32(int(stored[best]) - face["zero_point"])
        thousandths = int(np.float32(1000) * real)
        lines.append(
            f"{name}: of {stored.size} elements of output {index}, number {best} is largest: "
            f"{thousandths} / 1000\n"
        )
    return "".join(lines)


def test_every_ecosystem_is_here() -> None:
    assert [ecosystem.name for ecosystem in ecosystems()] == sorted(LAYOUTS)


@EVERY
def test_self_test_and_example_on_this_computer(ecosystem: str, small: Path, tmp_path: Path) -> None:
    package = api.export(small, ecosystem, tmp_path / "package")
    layout = LAYOUTS[ecosystem]
    said = run_on_host(package, layout, "self_test", tmp_path / "a")
    assert said == "small: 0 of 4 golden samples differ\n"
    assert run_on_host(package, layout, "inference", tmp_path / "b") == answer(small, "small")


@EVERY
def test_self_test_and_example_on_the_simulated_board(ecosystem: str, small: Path, tmp_path: Path) -> None:
    package = api.export(small, ecosystem, tmp_path / "package")
    layout, board = LAYOUTS[ecosystem], load_board(BOARD)
    said = run_on_board(package, layout, "self_test", tmp_path / "a", board)
    assert said == "small: 0 of 4 golden samples differ\n"
    assert run_on_board(package, layout, "inference", tmp_path / "b", board) == answer(small, "small")


@pytest.mark.parametrize("board", ["raspberry-pi-pico", "nucleo-h743zi", "raspberry-pi-pico-2"])
def test_sketch_on_other_cores(board: str, small: Path, tmp_path: Path) -> None:
    package = api.export(small, "arduino", tmp_path / "package")
    said = run_on_board(package, LAYOUTS["arduino"], "self_test", tmp_path / "a", load_board(board))
    assert said == "small: 0 of 4 golden samples differ\n"


@EVERY
def test_self_test_finds_a_wrong_weight(ecosystem: str, tmp_path: Path) -> None:
    small = build(small_net(), tmp_path / "small", board="raspberry-pi-pico")
    package = api.export(small, ecosystem, tmp_path / "package")
    tables = package / "src/small_tables.c"
    text = tables.read_text()
    assert text.count("{\n    1, -2\n}") == 1
    tables.write_text(text.replace("{\n    1, -2\n}", "{\n    1, -2000\n}"))
    said = run_on_host(package, LAYOUTS[ecosystem], "self_test", tmp_path / "a")
    assert said in {f"small: {wrong} of 4 golden samples differ\n" for wrong in range(1, 5)}


@pytest.mark.parametrize("ecosystem", ["arduino", "cmake"])
def test_several_inputs_and_outputs(ecosystem: str, faces: Path, tmp_path: Path) -> None:
    package = api.export(faces, ecosystem, tmp_path / "package")
    said = run_on_host(package, LAYOUTS[ecosystem], "self_test", tmp_path / "a")
    assert said == "faces: 0 of 4 golden samples differ\n"
    assert run_on_host(package, LAYOUTS[ecosystem], "inference", tmp_path / "b") == answer(faces, "faces")


def test_cmake_builds_tests_installs_and_is_found(small: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake on this machine")
    package = api.export(small, "cmake", tmp_path / "package", version="1.2.3")
    flags = "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror -pedantic"
    prefix = tmp_path / "prefix"
    cc(package, ["-S", ".", "-B", "../b", flags, f"-DCMAKE_INSTALL_PREFIX={prefix}"], "cmake")
    cc(package, ["--build", "../b", "--target", "install"], "cmake")
    said = cc(tmp_path / "b", ["--output-on-failure"], "ctest")
    assert "100% tests passed, 0 tests failed out of 2" in said
    for how in ("find_package(small 1.1 REQUIRED)", f"add_subdirectory({package} small)"):
        user = tmp_path / how[:3]
        user.mkdir()
        (user / "app.c").write_text("#include <small.h>\nint main(void) { return small_run(); }\n")
        lists = "cmake_minimum_required(VERSION 3.13)\nproject(app C)\n"
        lists += f"{how}\nadd_executable(app app.c)\ntarget_link_libraries(app PRIVATE small::small)\n"
        (user / "CMakeLists.txt").write_text(lists)
        cc(user, ["-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={prefix}"], "cmake")
        cc(user, ["--build", "b"], "cmake")
        cc(user, [], "b/app")
    with pytest.raises(AssertionError, match=r"compatible\s+with requested version"):
        (user / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.13)\nproject(app C)\nfind_package(small 2.0 REQUIRED)\n"
        )
        cc(user, ["-S", ".", "-B", "c", f"-DCMAKE_PREFIX_PATH={prefix}"], "cmake")


STANDS_IN = {
    "esp-idf": """
function(idf_component_register)
  cmake_parse_arguments(A "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS" ${ARGN})
  add_library(component ${A_SRCS})
  target_include_directories(component PUBLIC ${A_INCLUDE_DIRS} PRIVATE ${A_PRIV_INCLUDE_DIRS})
endfunction()
add_subdirectory(${PACKAGE} made)
""",
    "zephyr": """
function(zephyr_library_named name)
  add_library(component)
endfunction()
function(zephyr_library_sources)
  target_sources(component PRIVATE ${ARGN})
endfunction()
function(zephyr_include_directories)
  target_include_directories(component PUBLIC ${ARGN})
endfunction()
set(CONFIG_TINYFOUNDRY_SMALL y)
add_subdirectory(${PACKAGE}/zephyr made)
""",
}


@pytest.mark.parametrize("ecosystem", sorted(STANDS_IN))
def test_their_cmake_finds_every_file(ecosystem: str, small: Path, tmp_path: Path) -> None:
    """With functions of the same names: the SDKs are no packages that a test could install."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake on this machine")
    package = api.export(small, ecosystem, tmp_path / "package")
    lists = (
        f"cmake_minimum_required(VERSION 3.20)\nproject(t C)\nset(PACKAGE {package})\n{STANDS_IN[ecosystem]}"
    )
    (tmp_path / "main.c").write_text("#include <small.h>\nint main(void) { return small_run(); }\n")
    (tmp_path / "CMakeLists.txt").write_text(
        f"{lists}add_executable(t main.c)\ntarget_link_libraries(t component)\n"
    )
    cc(tmp_path, ["-S", ".", "-B", "b"], "cmake")
    cc(tmp_path, ["--build", "b"], "cmake")
    cc(tmp_path, [], "b/t")
