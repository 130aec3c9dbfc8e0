"""Every exception that tinyfoundry raises on purpose.

    TinyfoundryError             something the user can act on; printed as one line, exit code 2
    ├── InputError               a file or folder given by the user cannot be used
    │   ├── ModelError           a model file is damaged or asks for something that is not supported
    │   └── DataError            a data set cannot be read or is not fit to learn from
    ├── OptionError              an option's value is unknown or out of range (board, kernel, budget, ...)
    ├── GraphError               a graph breaks a rule of the IR (shapes, types, names)
    ├── DoesNotFit               the network is too large or too slow for the board or the limits given
    ├── ToolError                a tool that tinyfoundry drives (the cross compiler, the linker) failed
    └── SimulationError          the program on the simulated board misbehaved
        ├── MemoryFault          it touched an address outside the board's memory map
        └── Mismatch             its outputs differ from the reference

A message says where, what was found, what was wanted and what to do, in one line. To catch them all:

    try:
        tinyfoundry.build("recordings/", board="nucleo-f446re", output="out")
    except tinyfoundry.TinyfoundryError as error:
        print(error)
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_FINDINGS = 12


def listed(findings: Sequence[str], separator: str = ", ") -> str:
    """Several findings in the one line of a message, cut where there are many."""
    rest = f"{separator}and {len(findings) - MOST_FINDINGS} more" if len(findings) > MOST_FINDINGS else ""
    return f"{separator.join(findings[:MOST_FINDINGS])}{rest}"


class TinyfoundryError(Exception):
    """Base of every error that tinyfoundry raises on purpose; ``str(error)`` is one line for a person."""


class InputError(TinyfoundryError):
    """A file or folder given by the user cannot be used."""


class ModelError(InputError):
    """A model file is damaged, or asks for something that is not supported."""


class DataError(InputError):
    """A data set cannot be read, or is not fit to learn from."""


class OptionError(TinyfoundryError):
    """An option's value is unknown or out of range."""


class GraphError(TinyfoundryError):
    """A graph breaks a rule of the IR."""


class DoesNotFit(TinyfoundryError):
    """The network is too large or too slow for the board or for the limits given."""


class ToolError(TinyfoundryError):
    """A tool that tinyfoundry drives (cross compiler, linker) failed."""


class SimulationError(TinyfoundryError):
    """The program on the simulated board misbehaved."""


class MemoryFault(SimulationError):
    """The program touched an address outside the board's memory map, or wrote to flash."""


class Mismatch(SimulationError):
    """The simulated board, the host build and the reference do not give the same bytes."""
