"""Metadata by each ecosystem's documented rules, for whatever a model is called."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from c_libraries import small_net
from packaged import LAYOUTS
from tinyfoundry import api
from tinyfoundry.board import board_names
from tinyfoundry.packages._contents import About, Contents, read_contents
from tinyfoundry.packages._ecosystem import get_ecosystem
from tinyfoundry.packages.platformio import BOARDS

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,63}", fullmatch=True)
SAID = About("3.20.1", "Ada & <Co> \"x\" 'y'", "https://example.org/a?b=1&c=2")


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    output = tmp_path_factory.mktemp("builds") / "small"
    folder = api.compile(small_net(), board="nucleo-f446re", output=output, samples=4).folder
    return read_contents(folder, SAID)


def written(ecosystem: str, contents: Contents, name: str) -> Mapping[str, str]:
    return get_ecosystem(ecosystem).write(renamed(contents, name))


def renamed(contents: Contents, name: str) -> Contents:
    """As if the model were called ``name``; only the metadata are looked at."""
    return replace(contents, name=name)


def hostile(test):
    for name in (
        "a",
        "_",
        "__a__b__",
        "arduino",
        "my_Arduino_library",
        "n" * 64,
        "main",
        "log",
        "A" * 31 + "_b",
    ):
        test = example(name=name)(test)
    return given(name=NAMES)(test)


@pytest.mark.parametrize("ecosystem", sorted(LAYOUTS))
def test_paths_suit_every_file_system(ecosystem: str, contents: Contents) -> None:
    files = written(ecosystem, contents, "small")
    assert len({path.lower() for path in files}) == len(files)
    assert all(re.fullmatch(r"[\w.-]+(/[\w.-]+)*", path, re.ASCII) for path in files)
    assert all(text.endswith("\n") and "\r" not in text for text in files.values())


@hostile
def test_arduino(contents: Contents, name: str) -> None:
    """Library specification rev. 2.2, with what the Library Manager's checks ask at their strictest."""
    files = written("arduino", contents, name)
    lines = files["library.properties"].splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert len(fields) == len(lines)
    assert set(fields) == {
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
        "architectures", "includes",
    }  # fmt: skip
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}", fields["name"])
    assert re.search("[A-Za-z]", fields["name"])
    assert not re.search("arduino|library", fields["name"], re.IGNORECASE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert all(fields.values())
    assert "arduino" not in fields["maintainer"].lower()
    assert fields["sentence"] not in fields["paragraph"]
    assert fields["category"] == "Data Processing"
    assert f"src/{fields['includes']}" in files
    sketches = [Path(path) for path in files if path.endswith(".ino")]
    assert sorted(path.stem for path in sketches) == ["inference", "self_test"]
    assert all(path.parent.name == path.stem and path.parent.parent.name == "examples" for path in sketches)
    assert not any(path.split("/")[0] in {"utility", "extras"} for path in files)


def test_arduino_without_a_page_has_no_field_for_it(contents: Contents) -> None:
    files = get_ecosystem("arduino").write(replace(contents, about=About()))
    assert "url=" not in files["library.properties"]


@hostile
def test_platformio(contents: Contents, name: str) -> None:
    """Manifest fields of library.json and their limits, as PlatformIO Core 6.2 checks them."""
    files = written("platformio", contents, name)
    manifest = json.loads(files["library.json"])
    assert re.fullmatch(r"[^:;/,@<>]{1,100}", manifest["name"])
    assert manifest["version"] == SAID.version
    assert all(re.fullmatch(r"[a-z\d_+. -]{1,50}", word) for word in manifest["keywords"])
    assert manifest["authors"] == [{"name": SAID.author, "maintainer": True}]
    assert manifest["homepage"] == SAID.url
    assert f"{manifest['build']['includeDir']}/{manifest['headers']}" in files
    for shown in manifest["examples"]:
        assert re.fullmatch(r"[a-zA-Z\d_/. -]{1,255}", shown["name"])
        assert all(f"{shown['base']}/{file}" in files for file in shown["files"])
        assert (
            f"\nlib_deps = {manifest['name']}=symlink://../..\n" in files[f"{shown['base']}/platformio.ini"]
        )


def test_platformio_boards_are_boards_of_ours(contents: Contents) -> None:
    # PlatformIO's own platform of Raspberry Pi has no Pico 2.
    assert set(BOARDS) == set(board_names()) - {"raspberry-pi-pico-2"}
    ours = dict(contents.report) | {"board": {"name": "own-board"}}
    files = get_ecosystem("platformio").write(replace(contents, report=ours))
    assert "[env:board]" not in files["examples/inference/platformio.ini"]
    assert "default_envs = native\n" in files["examples/inference/platformio.ini"]


@hostile
def test_zephyr(contents: Contents, name: str) -> None:
    """Keys of zephyr/module.yml by Zephyr's module schema; a Kconfig symbol that both sides agree on."""
    files = written("zephyr", contents, name)
    module = files["zephyr/module.yml"]
    assert re.fullmatch(
        r"name: tinyfoundry_\w+\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\nsamples:\n  - samples\n",
        module,
    )
    (symbol,) = re.findall(r"^config ([A-Z0-9_]+)$", files["zephyr/Kconfig"], re.MULTILINE)
    assert files["zephyr/CMakeLists.txt"].startswith(f"if(CONFIG_{symbol})\n")
    for what in ("inference", "self_test"):
        assert f"CONFIG_{symbol}=y\n" in files[f"samples/{what}/prj.conf"]
        assert f"samples/{what}/sample.yaml" in files
    assert all(
        f"../src/{path[4:]}" in files["zephyr/CMakeLists.txt"]
        for path in files
        if re.match(r"src/.*\.c$", path)
    )


@hostile
def test_zephyr_regex_finds_what_the_samples_print(contents: Contents, name: str) -> None:
    files = written("zephyr", contents, name)
    (pattern,) = re.findall(r'- "(.*)"', files["samples/self_test/sample.yaml"])
    assert re.search(pattern, f"{name}: 0 of 4 golden samples differ")
    assert not re.search(pattern, f"{name}: 1 of 4 golden samples differ")
    (pattern,) = re.findall(r'- "(.*)"', files["samples/inference/sample.yaml"])
    assert re.search(pattern, f"{name}: of 2 elements of output 0, number 1 is largest: 3 / 1000")


@hostile
def test_esp_idf(contents: Contents, name: str) -> None:
    """Fields of idf_component.yml; a slug: letters and digits, single _ or - between them, at most 64."""
    files = written("esp-idf", contents, name)
    manifest = files["idf_component.yml"]
    fields = re.findall(r"^(\w+):", manifest, re.MULTILINE)
    assert fields == ["version", "description", "maintainers", "url", "tags", "dependencies", "examples"]
    assert all(3 <= len(tag) <= 32 for tag in re.findall(r"^  - ([a-z-]+)$", manifest, re.MULTILINE))
    assert json.loads(re.findall(r"^version: (.*)", manifest, re.MULTILINE)[0]) == SAID.version
    assert json.loads(re.findall(r"^maintainers:\n  - (.*)", manifest, re.MULTILINE)[0]) == SAID.author
    for path in re.findall(r"- path: \./(.*)", manifest):
        assert f"{path}/main/CMakeLists.txt" in files
        assert (Path(path) / "main/../../..").parts[:2] == ("examples", Path(path).name)
        needs = files[f"{path}/main/idf_component.yml"]
        (slug,) = re.findall(r"^  (\w+):$", needs, re.MULTILINE)
        assert re.fullmatch(r"tinyfoundry(_[A-Za-z\d]+)+", slug)
        assert len(slug) <= 64
        assert "    override_path: ../../..\n" in needs
    for source in re.findall(r'"(src/.*)"', files["CMakeLists.txt"]):
        assert source in files


@hostile
def test_cmsis_pack(contents: Contents, name: str) -> None:
    """The rules of PACK.xsd 1.7 that concern what is written here."""
    files = written("cmsis-pack", contents, name)
    (path,) = [path for path in files if path.endswith(".pdsc")]
    root = ET.fromstring(files[path])
    assert root.tag == "package"
    assert re.fullmatch(r"1\.7\.\d+", root.attrib["schemaVersion"])
    assert [child.tag for child in root] == [
        "vendor", "name", "description", "url", "supportContact", "releases", "keywords", "taxonomy",
        "components",
    ]  # fmt: skip
    vendor, pack, version = root.findtext("vendor"), root.findtext("name"), SAID.version
    assert all(re.fullmatch(r"[-_A-Za-z0-9]+", word or "") for word in (vendor, pack))
    assert path == f"{vendor}.{pack}.pdsc"
    archive = get_ecosystem("cmsis-pack").archive
    assert archive is not None
    assert archive(renamed(contents, name)) == f"{vendor}.{pack}.{version}.pack"
    assert (root.findtext("url"), root.findtext("supportContact")) == (SAID.url, SAID.author)
    assert [release.attrib["version"] for release in root.iter("release")] == [version]
    component = root.find("components/component")
    assert component is not None
    part = r"[A-Za-z0-9][A-Za-z0-9_+()'/\-\s.]{1,31}"
    assert all(re.fullmatch(part, component.attrib[key]) for key in ("Cclass", "Cgroup"))
    assert component.attrib["Cversion"] == version
    assert [child.tag for child in component] == ["description", "files"]
    listed = component.findall("files/file")
    names = [file.attrib["name"] for file in listed]
    assert sorted(names) == sorted(["include/", *(p for p in files if p.endswith((".c", ".h")))])
    assert {file.attrib["category"] for file in listed} <= {"include", "header", "source"}
    assert {file.attrib.get("scope", "public") for file in listed} <= {"public", "private"}
    templates = {file.attrib["select"] for file in listed if file.attrib.get("attr") == "template"}
    assert templates == {"One inference", "Golden self-test"}


def test_a_face_with_an_odd_name_keeps_the_table_whole(contents: Contents) -> None:
    report = json.loads(json.dumps(contents.report))
    report["inputs"][0]["name"] = "a|b`c\n|d*/"
    page = get_ecosystem("cmake").write(replace(contents, report=report))["README.md"]
    assert "| input 0 `a/b'c /d* /` | int8 | 1 × 4 × 4 × 1 | 0.05000000074505806 | -3 |\n" in page


def test_what_nobody_measured_is_not_told(contents: Contents) -> None:
    told = get_ecosystem("cmake").write(contents)["README.md"]
    assert re.search(r"Measured on the simulated ST NUCLEO-F446RE: [\d,]+ bytes of SRAM", told)
    unmeasured = dict(contents.report) | {"latency_ms": None}
    assert "Measured" not in get_ecosystem("cmake").write(replace(contents, report=unmeasured))["README.md"]
