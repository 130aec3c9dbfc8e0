"""The documentation holds: links lead somewhere, commands parse, files and tests exist, examples hold."""

from __future__ import annotations

import ast
import re
import shlex
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import tinyfoundry
from tinyfoundry.board import parse_board
from tinyfoundry.cli import app
from tinyfoundry.kernel import parse

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tinyfoundry"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
}
ALL = pytest.mark.parametrize("page", PAGES)

# What the pages about adding something add.
EXAMPLES = frozenset({
    "src/tinyfoundry/ops/log.py",
    "src/tinyfoundry/kernels/conv2d/conv2d_pointwise_s8.c",
    "src/tinyfoundry/kernels/dense/dense_dsp_s8.c",
    "src/tinyfoundry/kernels/common/tinyfoundry_dsp.h",
    "tests/passes/test_drop_identities.py",
})  # fmt: skip


def fences(text: str, language: str) -> list[str]:
    """The blocks of code in one language; "" for those without."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def spans(text: str) -> list[str]:
    """Code between single backticks, outside blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@ALL
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page}: link to {target}"
        assert not anchor or anchor in anchors(path.read_text("utf-8")), f"{page}: no heading for {target}"


def shown_commands() -> Iterator[Any]:
    """(page, words) of every whole command line that begins with tinyfoundry."""
    for page, text in PAGES.items():
        for block in (*fences(text, ""), *fences(text, "sh")):
            for line in re.findall(r"^(?:\$ )?(tinyfoundry .*)", block.replace("\\\n", " "), re.MULTILINE):
                words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)
                yield pytest.param(words[1:], id=f"{page}: {' '.join(words)}")


@pytest.mark.parametrize("words", list(shown_commands()))
def test_commands_parse(words: list[str]) -> None:
    """As the command line takes them: every option exists and none that is required is missing."""
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    assert command.make_context(words[0], list(words[1:])).command is command


@ALL
def test_commands_and_options_in_the_text_exist(page: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parameters = [parameter for c in commands.values() for parameter in c.params]
    options = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
    for span in spans(PAGES[page]):
        if match := re.match(r"tinyfoundry (\w+)", span):
            assert match[1] in commands, f"{page}: `{span}`"
        for option in re.findall(r"(?:^|tinyfoundry .*\s)(--[a-z-]+)", span):
            assert option in options, f"{page}: `{span}`"


@ALL
def test_files_exist(page: str) -> None:
    named = re.findall(r"(?<![\w/.-])((?:src/tinyfoundry|tests|docs|benchmarks)/[\w./*-]*\w)", PAGES[page])
    for name in set(named) - EXAMPLES:
        assert list(ROOT.glob(name)), f"{page}: {name}"


@ALL
def test_modules_named_from_the_package_exist(page: str) -> None:
    """``plan/validate.py`` means the package's; the page on architecture names rooms without a slash too."""
    rooms = page == "docs/architecture.md"
    for span in spans(PAGES[page]):
        short = re.fullmatch(r"\w+/[\w/]*(\.py)?|\w+\.py", span)
        if short and (("/" in span and span.endswith(".py")) or rooms):
            assert (SOURCE / span).exists() or (ROOT / span).exists() or span in EXAMPLES, f"{page}: `{span}`"


@ALL
def test_tests_exist(page: str) -> None:
    defined = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for span in spans(PAGES[page]):
        if re.fullmatch(r"test_\w+", span):
            assert f"def {span}(" in defined, f"{page}: `{span}`"


@ALL
def test_measured_tables_are_filled(page: str) -> None:
    """Every block that a benchmark writes ends, and holds the rows of a table."""
    begun = re.findall(r"<!-- begin (\w+) -->", PAGES[page])
    blocks = re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->", PAGES[page], re.DOTALL)
    assert [name for name, _ in blocks] == begun
    for name, text in blocks:
        assert re.search(r"^\|[-|]+\|\n\| ", text, re.MULTILINE), f"{page}: block {name} is empty"


@ALL
def test_python_examples_are_python(page: str) -> None:
    for block in fences(PAGES[page], "python"):
        ast.parse(block)


def test_the_example_kernels_are_kernels() -> None:
    heads = [b for b in fences(PAGES["docs/add-a-kernel.md"], "c") if b.startswith("/*\nop =")]
    functions = [re.findall(r"static inline void (\w+)\(", block)[-1] for block in heads]
    assert functions == ["conv2d_pointwise_s8", "dense_dsp_s8"]
    for block, function, op in zip(heads, functions, ("conv2d", "dense"), strict=True):
        assert parse(block, op, function).op == op


def test_the_example_board_is_a_board() -> None:
    (text,) = fences(PAGES["docs/add-a-board.md"], "toml")
    assert parse_board(text, "nucleo-g474re", "docs/add-a-board.md").ram_bytes == 128 * 1024


def keys(value: Any, prefix: str = "") -> set[str]:
    """Dotted names of all keys; ``[]`` stands for an entry of a list."""
    if isinstance(value, list):
        return set().union(*(keys(entry, f"{prefix}[]") for entry in value if isinstance(entry, dict)), set())
    if not isinstance(value, dict):
        return set()
    dot = f"{prefix}." if prefix else ""
    return {dot + key for key in value} | set().union(*(keys(v, dot + k) for k, v in value.items()), set())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve short tones."""
    root, rng, time = (
        tmp_path_factory.mktemp("docs") / "tones",
        np.random.default_rng(0),
        np.arange(1600) / 8000,
    )
    for name, pitch in (("low", 300), ("high", 900)):
        (root / name).mkdir(parents=True)
        for number in range(12):
            tone = np.sin(2 * np.pi * pitch * time) + 0.1 * rng.standard_normal(1600)
            with wave.open(str(root / name / f"{number}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes((9000 * tone).astype("<i2").tobytes())
    return root


def test_the_page_on_the_report_names_its_keys(recordings: Path, tmp_path: Path) -> None:
    """All of them and no other, held against what ``build`` and ``compile`` really write."""
    built = tinyfoundry.build(recordings, board="nucleo-f446re", output=tmp_path / "built", budget=1.0)
    model = built.folder / f"{built.report['model']}.tflite"
    compiled = tinyfoundry.compile(model, board="nucleo-f446re", output=tmp_path / "compiled", samples=1)
    told = set(re.findall(r"^\| `([^`]+)` \|", PAGES["docs/report.md"], re.MULTILINE))
    real = keys(built.report) | keys(compiled.report)
    assert not told - real, f"docs/report.md: told but not real: {sorted(told - real)}"
    assert not real - told, f"docs/report.md: real but not told: {sorted(real - told)}"
    assert all(compiled.report[key] is None for key in ("accuracy", "confusion", "search", "data"))


def test_the_page_on_pytorch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    for block in fences(PAGES["docs/from-pytorch.md"], "python"):
        exec(compile(block, "docs/from-pytorch.md", "exec"), names)
    assert (tmp_path / "out" / "net" / "report.html").is_file()
