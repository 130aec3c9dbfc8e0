"""The files around the C of a model: the build description and the self-test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyfoundry.emit.literals import table
from tinyfoundry.ir.graph import Array


def cmake(name: str) -> str:
    """A CMakeLists.txt for the library alone, and for its self-test when it is the top project."""
    return f"""cmake_minimum_required(VERSION 3.13)
project({name} C)

add_library({name} STATIC src/{name}.c src/{name}_tables.c)
target_include_directories({name} PUBLIC include)
set_target_properties({name} PROPERTIES C_STANDARD 99)

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR AND NOT CMAKE_CROSSCOMPILING)
    enable_testing()
    add_executable({name}_self_test golden/self_test.c)
    target_link_libraries({name}_self_test {name})
    add_test(NAME {name} COMMAND {name}_self_test)
endif()
"""


def self_test(
    name: str,
    inputs: Sequence[Sequence[Array]],
    outputs: Sequence[Sequence[Array]],
    *,
    remembers: bool = False,
) -> str:
    """A C program that runs the model on golden samples and returns how many it gets wrong.

    inputs, outputs: for each sample, the array of every input and output of the model. remembers: its runs
    leave something to each other, which it forgets before the first sample.
    """
    reset = f"    {name}_reset();\n" if remembers else ""
    texts = []
    for kind, samples in (("input", inputs), ("output", outputs)):
        for index in range(len(samples[0])):
            raw = b"".join(sample[index].tobytes() for sample in samples)
            texts.append("static " + table(f"golden_{kind}{index}", np.frombuffer(raw, np.int8)))
    copies = "\n".join(_copy(name, i, a.nbytes) for i, a in enumerate(inputs[0]))
    compares = "\n".join(_compare(name, i, a.nbytes) for i, a in enumerate(outputs[0]))
    body = "\n".join(texts)
    return f"""/* Runs {name} on {len(inputs)} golden samples; exits with how many differ. */
#include <stdio.h>
#include <string.h>

#include "{name}.h"

{body}
int main(void)
{{
    int wrong = 0;
{reset}    for (int sample = 0; sample < {len(inputs)}; ++sample) {{
        int differs = 0;
{copies}
        differs |= {name}_run() != 0;
{compares}
        wrong += differs;
    }}
    printf("{name}: %d of {len(inputs)} golden samples differ\\n", wrong);
    return wrong;
}}
"""


def _copy(name: str, index: int, size: int) -> str:
    return f"        memcpy({name}_input({index}), golden_input{index} + sample * {size}, {size});"


def _compare(name: str, index: int, size: int) -> str:
    golden = f"golden_output{index} + sample * {size}"
    return f"        differs |= memcmp({name}_output({index}), {golden}, {size}) != 0;"
