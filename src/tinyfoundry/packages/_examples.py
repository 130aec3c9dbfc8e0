"""The two programs in every package: one inference with its answer, and the golden self-test.

Both are C that is C++ as well. What differs between ecosystems, how a line is printed and how a program
begins, is a ``Dialect``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyfoundry.emit.literals import c_type, table
from tinyfoundry.packages._contents import Contents, Values
from tinyfoundry.simulate.firmware import face_macro


@dataclass(frozen=True)
class Dialect:
    """includes: headers. say: the body of ``say``, which prints a line. entry: where the program begins;
    ``{call}`` stands for the call that does it all and gives how much went wrong.
    """

    includes: str
    say: str
    entry: str


_PRINT = '    printf("%s\\n", line);'
_STANDARD = "#include <stdio.h>\n#include <string.h>\n"
_MAIN = "int main(void)\n{{\n    return {call};\n}}\n"
_PRINT_SERIAL = "    Serial.println(line);"
_LOOP = """\
void setup()
{{
    Serial.begin(115200);
}}

void loop()
{{
    {call};
    delay(5000);
}}
"""
HOST = Dialect(_STANDARD, _PRINT, _MAIN)
ESP_IDF = Dialect(_STANDARD, _PRINT, "void app_main(void)\n{{\n    {call};\n}}\n")
ZEPHYR = Dialect(
    f"{_STANDARD}\n#include <zephyr/sys/printk.h>\n",
    '    printk("%s\\n", line);',
    "int main(void)\n{{\n    {call};\n    return 0;\n}}\n",
)
ARDUINO = Dialect(f"#include <Arduino.h>\n{_STANDARD}", _PRINT_SERIAL, _LOOP)
ANYWHERE = Dialect(  # a board with Arduino's core, or a computer
    f"#ifdef ARDUINO\n#include <Arduino.h>\n#endif\n{_STANDARD}",
    f"#ifdef ARDUINO\n{_PRINT_SERIAL}\n#else\n{_PRINT}\n#endif",
    f"#ifdef ARDUINO\n{_LOOP}#else\n{_MAIN}#endif\n",
)

_HEAD = """\
/* {purpose} */
{includes}
#include <{name}.h>

#include "{tables}"

static void say(const char *line)
{{
{say}
}}
"""

_RUNNING = """\
{head}
/* In thousandths, so that printing needs no floating point; held within a long. */
static long thousandths(float real)
{{
    if (!(real > -2e6f)) {{
        return -2000000000L;
    }}
    return real < 2e6f ? (long)(1000.0f * real) : 2000000000L;
}}

{tells}
static int infer(void)
{{
    /* {place} */
{copies}
    if ({name}_run() != 0) {{
        say("{name}: another run is under way");
        return 1;
    }}
{calls}
    return 0;
}}

{entry}"""

_TELL = """\
static void tell_output{index}(void)
{{
    char line[160];
    const int8_t *const bytes = {name}_output({index});
    {type} value, best = 0;
    int at = 0;
    for (int i = 0; i < {count}; ++i) {{
        memcpy(&value, bytes + i * (int)sizeof value, sizeof value);
        if (i == 0 || value > best) {{
            best = value;
            at = i;
        }}
    }}
    snprintf(line, sizeof line, "{name}: of %d elements of output {index}, number %d is largest: %ld / 1000",
             {count}, at,
             thousandths({real}));
    say(line);
}}
"""

_TESTING = """\
{head}
static int self_test(void)
{{
    char line[160];
    int wrong = 0;
{reset}    for (int sample = 0; sample < GOLDEN_SAMPLES; ++sample) {{
        int differs = 0;
{copies}
        differs |= {name}_run() != 0;
{compares}
        wrong += differs;
    }}
    snprintf(line, sizeof line, "{name}: %d of %d golden samples differ", wrong, GOLDEN_SAMPLES);
    say(line);
    return wrong;
}}

{entry}"""


def inference(contents: Contents, dialect: Dialect, source: str) -> dict[str, str]:
    """The inference example: the program, in a file called ``source``, and ``sample.h``."""
    name, faces = contents.name, contents.report["outputs"]
    copies = [
        f"    memcpy({name}_input({i}), sample_input{i}, {face_macro(name, 'INPUT', i)});"
        for i in range(len(contents.inputs))
    ]
    program = _RUNNING.format(
        name=name,
        head=_head(
            name, dialect, f"Runs {name} once, on a recorded input, and prints what it answers.", "sample.h"
        ),
        tells="\n".join(_tell(name, i, v, faces[i]) for i, v in enumerate(contents.outputs)),
        place=_place(name, contents.report["inputs"]),
        copies="\n".join(copies),
        calls="\n".join(f"    tell_output{i}();" for i in range(len(contents.outputs))),
        entry=dialect.entry.format(call="infer()"),
    )
    tables = _tables("sample_input", [values[-1:] for values in contents.inputs])
    return {source: program, "sample.h": _header(f"An input of {name}, as stored.", tables)}


def _place(name: str, inputs: Sequence[Mapping[str, Any]]) -> str:
    """What there is to say about where a user's own values go."""
    if any(face["scale"] is not None for face in inputs):
        return f"Here your sensor's values go: stored = real / scale + zero point, both in {name}.h."
    kinds = sorted({c_type(face["dtype"]) for face in inputs})
    return f"Here your own values go, of type {' or '.join(kinds)}."


def golden(contents: Contents, dialect: Dialect, source: str) -> dict[str, str]:
    """The golden self-test: the program, in a file called ``source``, and ``golden.h``."""
    name = contents.name
    copies = [_step(name, "input", i) for i in range(len(contents.inputs))]
    compares = [_step(name, "output", i) for i in range(len(contents.outputs))]
    program = _TESTING.format(
        name=name,
        head=_head(
            name, dialect, f"Runs {name} on golden samples and prints how many answers differ.", "golden.h"
        ),
        reset=f"    {name}_reset();\n" if contents.remembers else "",
        copies="\n".join(copies),
        compares="\n".join(compares),
        entry=dialect.entry.format(call="self_test()"),
    )
    tables = f"#define GOLDEN_SAMPLES {contents.samples}\n\n" + "\n".join(
        (_tables("golden_input", contents.inputs), _tables("golden_output", contents.outputs))
    )
    return {source: program, "golden.h": _header(f"Recorded inputs and answers of {name}.", tables)}


def under(folder: str, files: dict[str, str]) -> dict[str, str]:
    """The files below ``folder``."""
    return {f"{folder}/{path}": text for path, text in files.items()}


def _head(name: str, dialect: Dialect, purpose: str, tables: str) -> str:
    return _HEAD.format(purpose=purpose, includes=dialect.includes, name=name, tables=tables, say=dialect.say)


def _tell(name: str, index: int, values: Values, face: dict[str, Any]) -> str:
    prefix = face_macro(name, "OUTPUT", index).removesuffix("_BYTES")
    real = "(float)best"
    if face["scale"] is not None:
        real = f"{prefix}_SCALE * (float)(best - {prefix}_ZERO_POINT)"
    return _TELL.format(
        name=name, index=index, type=c_type(str(values.dtype)), count=values[0].size, real=real
    )


def _step(name: str, kind: str, index: int) -> str:
    size, table_ = face_macro(name, kind.upper(), index), f"golden_{kind}{index}"
    arguments = f"{name}_{kind}({index}), {table_} + sample * {size},"
    if kind == "input":
        return f"        memcpy({arguments}\n               {size});"
    return f"        differs |= memcmp({arguments}\n                          {size}) != 0;"


def _tables(prefix: str, faces: Sequence[Values]) -> str:
    return "\n".join(
        "static " + table(f"{prefix}{i}", np.frombuffer(values.tobytes(), np.int8))
        for i, values in enumerate(faces)
    )


def _header(comment: str, body: str) -> str:
    return f"/* {comment} Include it once in a program. */\n#include <stdint.h>\n\n{body}"
