"""The block counter: its native half is in ``support/hook.c``, whose structs are mirrored here."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from unicorn import UC_HOOK_BLOCK, Uc

from tinyfoundry.errors import SimulationError
from tinyfoundry.simulate.native import attach, pointer

CAPACITY = 1 << 16  # distinct (block, layer) pairs: about a megabyte of straight code

_BLOCK = np.dtype(
    [("address", "u4"), ("bytes", "u4"), ("layer", "u4"), ("low_sp", "u4"), ("entered", "u8"),
     ("taken", "u8"), ("next", "u8", (2,))]
)  # fmt: skip


class _Counter(ctypes.Structure):
    _fields_ = (
        ("reg_read", ctypes.c_void_p), ("stop", ctypes.c_void_p), ("blocks", ctypes.c_void_p),
        ("table", ctypes.c_void_p), ("marks", ctypes.c_void_p), ("last", ctypes.c_void_p),
        ("halfwords_left", ctypes.c_int64), ("capacity", ctypes.c_uint32), ("used", ctypes.c_uint32),
        ("table_mask", ctypes.c_uint32), ("code_origin", ctypes.c_uint32), ("code_halfwords",
        ctypes.c_uint32), ("layer", ctypes.c_uint32), ("sp_register", ctypes.c_uint32), ("exhausted",
        ctypes.c_uint32), ("full", ctypes.c_uint32),
    )  # fmt: skip


@dataclass(frozen=True)
class BlockCount:
    """How often a block of instructions was entered for a layer, how often it was left by a jump, and the
    lowest stack pointer it was entered with.
    """

    address: int
    size: int
    layer: int
    entered: int
    taken: int
    low_sp: int


class BlockCounter:
    """Counts on one emulator, from its creation on.

    sp_register: the emulator's number of the stack pointer.
    marks: code address -> number of the layer that begins there. Blocks entered before the first mark count
        for layer 0, later ones for the layer entered last.
    """

    def __init__(
        self, engine: Uc, sp_register: int, code_origin: int, code_bytes: int, marks: Mapping[int, int]
    ) -> None:
        self._blocks = np.zeros(CAPACITY, _BLOCK)
        self._table = np.zeros(2 * CAPACITY, np.uint32)
        self._marks = np.zeros(code_bytes // 2 + 1, np.uint16)
        for address, layer in marks.items():
            self._marks[(address - code_origin) // 2] = layer + 1
        self._state = _Counter(
            reg_read=pointer("uc_reg_read"),
            stop=pointer("uc_emu_stop"),
            blocks=self._blocks.ctypes.data,
            table=self._table.ctypes.data,
            marks=self._marks.ctypes.data,
            capacity=CAPACITY,
            table_mask=2 * CAPACITY - 1,
            code_origin=code_origin,
            code_halfwords=len(self._marks),
            sp_register=sp_register,
        )
        self.start(0)
        attach(engine, UC_HOOK_BLOCK, "tinyfoundry_block", self._state)

    def start(self, budget_halfwords: int) -> None:
        """Forgets the counts. The emulator will be stopped after ``budget_halfwords`` halfwords of code."""
        used = self._state.used
        self._blocks[:used] = 0
        self._table[:] = 0
        self._state.used = self._state.layer = self._state.exhausted = self._state.full = 0
        self._state.last = None
        self._state.halfwords_left = budget_halfwords

    @property
    def exhausted(self) -> bool:
        """Whether the budget ended the run."""
        return bool(self._state.exhausted)

    def counts(self) -> tuple[BlockCount, ...]:
        """Every block entered since ``start``, in the order of first entry.

        Raises:
            SimulationError: there are more distinct blocks than the counter holds.
        """
        if self._state.full:
            raise SimulationError(
                f"program has more than {CAPACITY:,} blocks of code; a smaller one is needed"
            )
        rows = self._blocks[: self._state.used].tolist()
        return tuple(BlockCount(r[0], r[1], r[2], r[4], r[5], r[3]) for r in rows)
