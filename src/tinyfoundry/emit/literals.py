"""Numbers and tables as C text."""

from __future__ import annotations

import numpy as np

from tinyfoundry.ir.graph import Array

_C_TYPES = {
    "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t", "int64": "int64_t",
    "float32": "float",
}  # fmt: skip
_LINE = 108


def banner(name: str) -> str:
    """The first line of every file that is written for network ``name``."""
    return f"/* Written by tinyfoundry from the network '{name}'. Changes here do not last. */\n"


def c_type(dtype: str) -> str:
    """The C type of an element."""
    return _C_TYPES[dtype]


def number(value: int | float) -> str:  # noqa: PYI041 - an int has its own text
    """A literal with exactly this value: decimal for integers, hexadecimal for floats (which are float32
    here).
    """
    if isinstance(value, float):
        return f"{float(np.float32(value)).hex()}f"
    # -2147483648 is an expression in C whose type depends on the compiler's int; this one does not.
    return "(-2147483647 - 1)" if value == -(2**31) else str(int(value))


def comment(text: str) -> str:
    """``text`` inside a C comment: a line of ASCII that neither ends the comment nor begins another."""
    ascii_text = text.replace("×", "x").encode("ascii", "backslashreplace").decode()
    line = "".join(c if c.isprintable() else " " for c in ascii_text)
    return line.replace("*/", "* /").replace("/*", "/ *")


def table(name: str, values: Array) -> str:
    """``const T name[n] = {...};`` with the elements in C order."""
    words = [number(value) for value in values.reshape(-1).tolist()]
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) + 2 > _LINE:
            lines.append(line.rstrip())
            line = ""
        line += f"{word}, "
    body = "\n    ".join([*lines, line])
    return f"const {c_type(str(values.dtype))} {name}[{values.size}] = {{\n    {body.rstrip(', ')}\n}};\n"
