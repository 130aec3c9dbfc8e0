"""The C of what a network remembers from run to run: its first values, and how to forget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinyfoundry.ir.graph import Array
from tinyfoundry.ir.planned import Planned


@dataclass(frozen=True)
class Remembering:
    """Pieces of the C text, empty without states. functions: of the source file; start: in ``NAME_run``;
    header: the declarations.
    """

    functions: str = ""
    start: str = ""
    header: str = ""


def remembering(planned: Planned, symbol: Callable[[str, Array], str]) -> Remembering:
    """The pieces for ``planned``. symbol: the C name of a table of values, by a label and the values.

    ``NAME_reset`` clears a flag alone, so that it may be called while a run is interrupted: the next run
    begins anew. The flag is clear at start-up.
    """
    if not planned.graph.states:
        return Remembering()
    name = planned.graph.name
    values = _first_values(planned)
    fills = "\n".join(_fill(name, offset, raw, symbol) for offset, raw in values.items())
    return Remembering(
        f"""static volatile unsigned char {name}_started;

/* The values before the first run of what runs leave to each other. */
static void {name}_restore(void)
{{
{fills}
}}

void {name}_reset(void)
{{
    {name}_started = 0;
}}

""",
        f"""    if (!{name}_started) {{
        {name}_started = 1;
        {name}_restore();
    }}
""",
        f"""/* Every run starts from what the runs before it left in these bytes of the arena.
 * Outputs may be among them: read outputs, never write there. */
#define {name.upper()}_STATE_BYTES {planned.state_bytes}

/* Forgets what earlier runs left: the next run starts as the very first does. */
void {name}_reset(void);

""",
    )


def _first_values(planned: Planned) -> Mapping[int, Array]:
    """Offset in the arena -> the bytes there before the first run."""
    return {
        planned.offsets[name]: np.frombuffer(np.ascontiguousarray(state.initial).tobytes(), np.int8)
        for name, state in planned.graph.states.items()
    }


def _fill(name: str, offset: int, raw: Array, symbol: Callable[[str, Array], str]) -> str:
    same = (raw == raw[0]).all()
    value = str(int(raw[0])) if same else f"{symbol(f'state_{offset}', raw)}[i]"
    return (
        f"    for (int i = 0; i < {raw.size}; ++i) {{\n"
        f"        {name}_arena.bytes[{offset} + i] = {value};\n    }}"
    )
