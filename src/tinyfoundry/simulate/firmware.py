"""A model's C library as firmware: wrapped in the harness, compiled and linked for a board, its bytes
accounted for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyfoundry.board import Board
from tinyfoundry.errors import InputError
from tinyfoundry.simulate.image import Image, read_image
from tinyfoundry.simulate.toolchain import HARNESS, build_elf

_HARNESS = """\
/* The loop around the model that the simulator drives. */
#include "{name}.h"

struct tinyfoundry_link {{
    int32_t status;
    int8_t *faces[{inputs} + {outputs}];
    uint32_t bytes[{inputs} + {outputs}];
    uint32_t forget;
}};

void tinyfoundry_wait(void);
int main(void);

volatile struct tinyfoundry_link tinyfoundry_link;

/* The simulator stops where this begins, looks at the link, writes inputs, and returns from it. */
__attribute__((noinline)) void tinyfoundry_wait(void)
{{
    __asm volatile("" ::: "memory");
}}

int main(void)
{{
{publish}
    for (;;) {{
        tinyfoundry_wait();
{forget}        tinyfoundry_link.status = {name}_run();
    }}
}}
"""


_FORGET = """\
        if (tinyfoundry_link.forget) {{
            tinyfoundry_link.forget = 0;
            {name}_reset();
            continue;
        }}
"""


@dataclass(frozen=True)
class Sources:
    """The C of a model: ``files`` to compile, ``include`` folders for their headers, its numbers of faces.

    remembers: its runs leave something to each other; it has ``NAME_reset``.
    """

    name: str
    files: tuple[Path, ...]
    include: tuple[Path, ...]
    inputs: int
    outputs: int
    remembers: bool = False


@dataclass(frozen=True)
class FlashBytes:
    """Bytes of flash. code: the model's, with what it needs of the compiler's library. weights: its
    constants.
    """

    code: int
    weights: int

    @property
    def total(self) -> int:
        """Both."""
        return self.code + self.weights


@dataclass(frozen=True)
class Layer:
    """A layer's function ``NAME_layer_<index>_<label>`` and where it begins.

    The compiler drops a layer that does nothing; indices then have a gap.
    """

    index: int
    label: str
    address: int


@dataclass(frozen=True)
class Firmware:
    """A program ready for the board. RAM bytes are the model's alone; the stack is measured when it runs.

    arena_bytes: of the object ``NAME_arena``. static_bytes: every other variable. harness_bytes: flash of the
    vector table, the start-up code and the loop around the model, which no account includes.
    """

    sources: Sources
    board: Board
    optimize: str
    elf: Path
    image: Image
    layers: tuple[Layer, ...]
    flash: FlashBytes
    arena_bytes: int
    static_bytes: int
    harness_bytes: int

    @property
    def name(self) -> str:
        """The model's name, which its C functions begin with."""
        return self.sources.name


def flash(build: Path | Sources, name: str, board: Board, optimize: str = "O2") -> Firmware:
    """Compiles a model for a board.

    build: a folder with ``include/NAME.h`` and ``src/*.c``, or the sources of ``model_sources``.
    optimize: O0, O2, O3 or Os.

    Raises:
        InputError: the folder is no such build. DoesNotFit: the model is too large for the board.
        ToolError: the compiler refuses the code. OptionError: optimize is unknown.
    """
    sources = build if isinstance(build, Sources) else build_sources(build, name)
    harness = {f"main{HARNESS}": _harness(sources)}
    elf = build_elf(board, sources.files, sources.include, harness, optimize)
    image = read_image(elf)
    arena = image.symbol(f"{name}_arena")
    arena_bytes = arena.size if arena else 0
    return Firmware(
        sources=sources,
        board=board,
        optimize=optimize,
        elf=elf,
        image=image,
        layers=_layers(image, name),
        flash=FlashBytes(
            code=image.section_bytes(".text", ".runtime"), weights=image.section_bytes(".rodata", ".data")
        ),
        arena_bytes=arena_bytes,
        static_bytes=image.section_bytes(".bss", ".data") - arena_bytes,
        harness_bytes=image.section_bytes(".vectors", ".harness"),
    )


def build_sources(folder: Path, name: str) -> Sources:
    """The C files of a build; InputError unless its folder holds ``include/NAME.h`` and ``src/*.c``."""
    files = sorted((folder / "src").glob("*.c"))
    if not files:
        raise InputError(f"build {folder}: no C files in its src/; wanted what 'tinyfoundry compile' writes")
    return model_sources(name, files, [folder / "include"])


def model_sources(name: str, files: Sequence[Path], include: Sequence[Path]) -> Sources:
    """C files of a model whose header ``NAME.h`` is in one of the ``include`` folders."""
    headers = [folder / f"{name}.h" for folder in include if (folder / f"{name}.h").is_file()]
    if not headers:
        places = ", ".join(map(str, include))
        raise InputError(f"model {name}: no header {name}.h in {places}; is the name right?")
    text = headers[0].read_text()
    counts = [_count(headers[0], text, f"{name.upper()}_{kind}_COUNT") for kind in ("INPUT", "OUTPUT")]
    remembers = re.search(rf"^void {re.escape(name)}_reset\(void\);$", text, re.MULTILINE) is not None
    return Sources(name, tuple(files), tuple(include), counts[0], counts[1], remembers)


def _count(header: Path, text: str, macro: str) -> int:
    found = re.search(rf"^#define {macro} (\d+)\s*$", text, re.MULTILINE)
    if found is None:
        wanted = f"#define {macro} <number>"
        raise InputError(f"header {header}: no '{wanted}'; is it the header of a compiled model?")
    return int(found[1])


def face_macro(name: str, kind: str, index: int) -> str:
    """The macro that holds the bytes of an input or output (``kind`` INPUT or OUTPUT)."""
    return f"{name.upper()}_{kind}{index or ''}_BYTES"


def _harness(sources: Sources) -> str:
    faces = [("input", i) for i in range(sources.inputs)] + [("output", i) for i in range(sources.outputs)]
    publish = [
        f"    tinyfoundry_link.faces[{slot}] = {sources.name}_{kind}({index});\n"
        f"    tinyfoundry_link.bytes[{slot}] = {face_macro(sources.name, kind.upper(), index)};"
        for slot, (kind, index) in enumerate(faces)
    ]
    return _HARNESS.format(
        name=sources.name,
        inputs=sources.inputs,
        outputs=sources.outputs,
        publish="\n".join(publish),
        forget=_FORGET.format(name=sources.name) if sources.remembers else "",
    )


def _layers(image: Image, name: str) -> tuple[Layer, ...]:
    pattern = re.compile(rf"{re.escape(name)}_layer_(\d+)_(\w+)")
    found = [(pattern.fullmatch(s.name), s.address) for s in image.symbols if s.function]
    layers = [Layer(int(match[1]), match[2], address) for match, address in found if match]
    return tuple(sorted(layers, key=lambda layer: layer.index))
