"""A model's C on this machine: as a library called from Python, and as a program under sanitizers."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyfoundry.errors import InputError, SimulationError
from tinyfoundry.simulate.cache import cached_text
from tinyfoundry.simulate.firmware import Sources, face_macro
from tinyfoundry.simulate.toolchain import host_library, host_program

_TIMEOUT_S = 600

# Sample after sample: every input from standard input, then status and every output to standard output.
_FILTER = """\
#include <stdio.h>

#include "{name}.h"

int main(void)
{{
    for (;;) {{
        int status;
{reads}
        status = {name}_run();
        fwrite(&status, sizeof status, 1, stdout);
{writes}
    }}
}}
"""

_SIZES = """\
#include "{name}.h"

const uint32_t tinyfoundry_sizes[] = {{ {sizes} }};
"""


class HostModel:
    """A model compiled for this machine, with the same calls as the simulated board."""

    def __init__(self, sources: Sources) -> None:
        """Compiles and loads it; ToolError when the compiler refuses the code."""
        self._sources = sources
        text = _SIZES.format(name=sources.name, sizes=", ".join(_macros(sources)))
        sizes = cached_text("host", "sizes.c", text)
        self._library = ctypes.CDLL(str(host_library([*sources.files, sizes], sources.include)))
        number = sources.inputs + sources.outputs
        self._sizes = list((ctypes.c_uint32 * number).in_dll(self._library, "tinyfoundry_sizes"))
        self.reset()  # a library loaded twice is one

    def run(self, inputs: Sequence[NDArray[Any] | bytes]) -> tuple[tuple[NDArray[np.int8], ...], int]:
        """Raw bytes of every output (int8, one dimension) and the status of one inference."""
        for index, data in enumerate(_raw(inputs, self._sizes[: self._sources.inputs], self._sources.name)):
            ctypes.memmove(self._face("input", index), data, len(data))
        status = int(self._call("run")())
        sizes = self._sizes[self._sources.inputs :]
        outputs = [ctypes.string_at(self._face("output", i), size) for i, size in enumerate(sizes)]
        return tuple(np.frombuffer(data, np.int8) for data in outputs), status

    def reset(self) -> None:
        """Calls ``NAME_reset`` where the model has it: the next run starts as the first did."""
        if self._sources.remembers:
            self._call("reset")()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of every input, then of every output."""
        return tuple(self._sizes)

    def _face(self, kind: str, index: int) -> int:
        function = self._call(kind)
        function.restype = ctypes.c_void_p
        return int(function(index))

    def _call(self, what: str) -> Any:
        return getattr(self._library, f"{self._sources.name}_{what}")


def run_sanitized(
    sources: Sources, samples: Sequence[Sequence[NDArray[Any] | bytes]]
) -> list[tuple[bytes, ...]]:
    """Runs samples (each the model's inputs) under the address and undefined-behaviour sanitizers.

    Returns the raw bytes of every output of every sample.

    Raises:
        SimulationError: a sanitizer found something, or a run failed. InputError: an input has a wrong size.
        ToolError: no compiler on this machine can sanitise.
    """
    sizes = HostModel(sources).sizes
    main = cached_text("host", "filter.c", _filter(sources))
    program = host_program([*sources.files, main], sources.include)
    data = b"".join(b"".join(_raw(s, sizes[: sources.inputs], sources.name)) for s in samples)
    done = subprocess.run([str(program)], input=data, capture_output=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        found = [line.strip() for line in lines if "ERROR" in line or "runtime error" in line]
        first = (found or lines or [f"exit code {done.returncode}"])[0]
        raise SimulationError(f"model {sources.name} under sanitizers: {first}; the C code has a bug there")
    return _split(done.stdout, sizes[sources.inputs :], sources.name, len(samples))


def _split(data: bytes, sizes: Sequence[int], name: str, samples: int) -> list[tuple[bytes, ...]]:
    step, found = 4 + sum(sizes), []
    for sample in range(samples):
        record = data[sample * step : (sample + 1) * step]
        status = int.from_bytes(record[:4], "little", signed=True)
        if status or len(record) != step:
            raise SimulationError(f"model {name}: {name}_run returned {status} for sample {sample}; wanted 0")
        ends = np.cumsum([4, *sizes]).tolist()
        found.append(tuple(record[a:b] for a, b in pairwise(ends)))
    return found


def _raw(inputs: Sequence[NDArray[Any] | bytes], sizes: Sequence[int], name: str) -> list[bytes]:
    data = [value if isinstance(value, bytes) else value.tobytes() for value in inputs]
    if [len(d) for d in data] != list(sizes):
        raise InputError(f"model {name}: inputs have {[len(d) for d in data]} bytes, wanted {list(sizes)}")
    return data


def _macros(sources: Sources) -> list[str]:
    kinds = (("INPUT", sources.inputs), ("OUTPUT", sources.outputs))
    return [face_macro(sources.name, kind, i) for kind, count in kinds for i in range(count)]


def _filter(sources: Sources) -> str:
    name, macros = sources.name, _macros(sources)
    reads = [
        f"        if (fread({name}_input({i}), 1, {macro}, stdin) != {macro}) return 0;"
        for i, macro in enumerate(macros[: sources.inputs])
    ]
    writes = [
        f"        fwrite({name}_output({i}), 1, {macro}, stdout);"
        for i, macro in enumerate(macros[sources.inputs :])
    ]
    return _FILTER.format(name=name, reads="\n".join(reads), writes="\n".join(writes))
