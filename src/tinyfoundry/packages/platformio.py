"""A PlatformIO library (docs.platformio.org, "library.json")."""

from __future__ import annotations

import json
from typing import Any

from tinyfoundry.packages._contents import Contents
from tinyfoundry.packages._ecosystem import Ecosystem, register
from tinyfoundry.packages._examples import ANYWHERE, golden, inference, under
from tinyfoundry.packages._names import slug
from tinyfoundry.packages._readme import readme

BOARDS = {
    "arduino-nano-33-ble": ("nordicnrf52", "nano33ble"),
    "esp32-c3-devkitm-1": ("espressif32", "esp32-c3-devkitm-1"),
    "longan-nano": ("gd32v", "sipeed-longan-nano"),
    "nucleo-f446re": ("ststm32", "nucleo_f446re"),
    "nucleo-h743zi": ("ststm32", "nucleo_h743zi"),
    "nucleo-l4r5zi": ("ststm32", "nucleo_l4r5zi"),
    "raspberry-pi-pico": ("raspberrypi", "pico"),
    "stm32f746g-disco": ("ststm32", "disco_f746ng"),
}
"""A board of ours -> platform and board of PlatformIO whose Arduino core serves it."""

_PROJECT = """\
; pio run -e native -t exec        on this computer
{comment}
[platformio]
default_envs = {default}

[env]
lib_deps = {label}=symlink://../..

[env:native]
platform = native
{board}"""

_BOARD = """
[env:board]
platform = {platform}
board = {board}
framework = arduino
monitor_speed = 115200
"""

_USE = """\
#include <{name}.h>
memcpy({name}_input(0), values, {macro}_INPUT_BYTES);
int failed = {name}_run();  // 0: the answer is at {name}_output(0)"""


def label(contents: Contents) -> str:
    """The library's name."""
    return slug(contents.name, 64)


def write(contents: Contents) -> dict[str, str]:
    """The files of the package; its examples run on a board or on a computer."""
    name = contents.name
    project = _project(contents)
    examples = (
        f"`lib_deps = {label(contents)}=symlink://path/to/this/folder` in your `platformio.ini` adds the "
        "library. `examples/inference` and `examples/self_test` are projects of their own: "
        "`pio run -e native -t exec` there runs one on this computer."
    )
    use = _USE.format(name=name, macro=name.upper())
    return {
        "library.json": json.dumps(_manifest(contents), indent=2) + "\n",
        **contents.library("include", "src"),
        **under("examples/inference/src", inference(contents, ANYWHERE, "main.cpp")),
        "examples/inference/platformio.ini": project,
        **under("examples/self_test/src", golden(contents, ANYWHERE, "main.cpp")),
        "examples/self_test/platformio.ini": project,
        "README.md": readme(contents, "PlatformIO", use, examples, "cpp"),
    }


def _manifest(contents: Contents) -> dict[str, Any]:
    about = contents.about
    homepage = {} if about.url is None else {"homepage": about.url}
    return {
        "name": label(contents),
        "version": about.version,
        "description": f"{contents.sentence}.",
        "keywords": ["machine learning", "neural network", "tinyml"],
        "authors": [{"name": about.author, "maintainer": True}],
        **homepage,
        "headers": f"{contents.name}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {"srcDir": "src", "includeDir": "include"},
        "examples": [
            {"name": "inference", "base": "examples/inference", "files": ["src/main.cpp", "src/sample.h"]},
            {"name": "self_test", "base": "examples/self_test", "files": ["src/main.cpp", "src/golden.h"]},
        ],
    }


def _project(contents: Contents) -> str:
    known = BOARDS.get(contents.report["board"]["name"])
    if known is None:
        comment = "; the board this was made for is not known here: add an [env:...] for yours"
        board = ""
    else:
        comment = "; pio run -e board -t upload -t monitor   on the board"
        board = _BOARD.format(platform=known[0], board=known[1])
    default = "native" if known is None else "board"
    return _PROJECT.format(comment=comment, default=default, label=label(contents), board=board)


register(Ecosystem("platformio", "PlatformIO library", label, write))
