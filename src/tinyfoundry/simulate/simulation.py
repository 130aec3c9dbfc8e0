"""Runs a model's firmware on the simulated board: outputs, instructions and cycles per layer, stack, RAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinyfoundry.board import Timing
from tinyfoundry.errors import InputError, SimulationError
from tinyfoundry.simulate.architecture import architecture_of
from tinyfoundry.simulate.counter import BlockCount
from tinyfoundry.simulate.cycles import BlockCost, block_cost
from tinyfoundry.simulate.firmware import Firmware
from tinyfoundry.simulate.instructions import JUMPS, Instruction
from tinyfoundry.simulate.machine import BUDGET, Machine
from tinyfoundry.simulate.watch import RamWatch, lowest_stack


@dataclass(frozen=True)
class RunResult:
    """outputs: int8 array (the raw bytes, one dimension) of each output. status: what ``NAME_run``
    returned.
    """

    outputs: tuple[NDArray[np.int8], ...]
    status: int


@dataclass(frozen=True)
class LayerProfile:
    """What one layer took in one inference. cycles: by the timing model of the profile."""

    index: int
    label: str
    instructions: int
    cycles: int


@dataclass(frozen=True)
class Profile:
    """One inference, from the entry of ``NAME_run`` to its return.

    outside: ``NAME_run``'s own code between the layers. timing: the model that the cycles come from, with its
    source and its error. latency_ms: cycles at the board's clock. stack_bytes: peak below the caller's frame.
    """

    layers: tuple[LayerProfile, ...]
    outside: LayerProfile
    timing: Timing
    clock_hz: int
    stack_bytes: int

    @property
    def instructions(self) -> int:
        """Of the whole inference."""
        return sum(layer.instructions for layer in (*self.layers, self.outside))

    @property
    def cycles(self) -> int:
        """Of the whole inference."""
        return sum(layer.cycles for layer in (*self.layers, self.outside))

    @property
    def latency_ms(self) -> float:
        """Milliseconds of the whole inference at the board's clock."""
        return 1000 * self.cycles / self.clock_hz


@dataclass(frozen=True)
class RamBytes:
    """Bytes of RAM of the model: activations and scratch, other variables, and the measured peak of the
    stack.
    """

    arena: int
    static: int
    stack: int

    @property
    def total(self) -> int:
        """All three."""
        return self.arena + self.static + self.stack


@dataclass(frozen=True)
class _Face:
    address: int
    size: int


_Counted: TypeAlias = tuple[tuple[BlockCount, tuple[Instruction, ...], BlockCost], ...]


class Simulation:
    """One simulated board with a firmware on it, booted and ready for inputs.

    budget: halfwords of code that one inference may execute (an instruction is one or two).
    check_alignment: run the first inference twice, the second time on a chip of its own that refuses
        unaligned accesses as the core does.

    Raises:
        SimulationError: the start-up code fails. MemoryFault: it leaves the board's memory.
    """

    def __init__(self, firmware: Firmware, budget: int = BUDGET, *, check_alignment: bool = True) -> None:
        self.firmware = firmware
        self._budget = budget
        image = firmware.image
        self._run_function = image.address(f"{firmware.name}_run")
        marks = {layer.address: number for number, layer in enumerate(firmware.layers, 1)}
        self._machine = Machine(firmware.board, image, {self._run_function: 0, **marks})
        self._watch = RamWatch(self._machine)
        self._wait = image.address("tinyfoundry_wait")
        self._blocks: dict[tuple[int, int], tuple[tuple[Instruction, ...], BlockCost]] = {}
        self._machine.boot(self._wait, budget)
        self._inputs, self._outputs = self._faces()
        self._counted_last: _Counted | None = ()
        self._aligned = not check_alignment

    def run(self, inputs: Sequence[NDArray[Any] | bytes]) -> RunResult:
        """One inference on the raw bytes of each input.

        Raises:
            InputError: number or size of the inputs is wrong. MemoryFault: the model touched an address
            outside the board's memory or wrote to flash. SimulationError: it hung, wrote astray or overran
            its stack.
        """
        self._write_inputs(self._machine, inputs)
        self._machine.finish_call(self._wait, self._budget)
        self._counted_last = None
        if not self._aligned:
            self._check_alignment(inputs)
        self._watch.check(self._lowest_sp())
        outputs = tuple(np.frombuffer(self._machine.read(f.address, f.size), np.int8) for f in self._outputs)
        status = self._machine.read_words(self._machine.image.address("tinyfoundry_link"), 1)[0]
        return RunResult(outputs, status - (1 << 32) if status >> 31 else status)

    def reset(self) -> None:
        """Calls ``NAME_reset`` where the model has it: the next run starts as the first did."""
        if not self.firmware.sources.remembers:
            return
        if self._counted_last is None:
            self._counted()  # of the last inference, before the counter sees the call of reset
        number = len(self._inputs) + len(self._outputs)
        word = self._machine.image.address("tinyfoundry_link") + 4 * (1 + 2 * number)
        self._machine.write(word, (1).to_bytes(4, "little"))
        self._machine.finish_call(self._wait, self._budget)

    def profile(self) -> Profile:
        """Instructions and cycles of the last run; SimulationError when there was none."""
        sums: dict[int, list[float]] = {}
        for count, code, cost in self._counted():
            total = sums.setdefault(self._layer(count), [0, 0.0])
            total[0] += count.entered * len(code)
            total[1] += count.entered * cost.entered + count.taken * cost.taken
        board = self.firmware.board
        return Profile(
            layers=tuple(
                _layer_profile(layer.index, layer.label, sums.get(number, [0, 0.0]))
                for number, layer in enumerate(self.firmware.layers, 1)
            ),
            outside=_layer_profile(-1, "outside", sums.get(0, [0, 0.0])),
            timing=board.core.timing,
            clock_hz=board.clock_hz,
            stack_bytes=self.stack_bytes,
        )

    @property
    def stack_bytes(self) -> int:
        """Peak stack of the last run below the frame of ``NAME_run``'s caller."""
        counted = self._counted()
        entry = [count.low_sp for count, _, _ in counted if count.address == self._run_function]
        return max(entry) - lowest_stack((count, code) for count, code, _ in counted)

    @property
    def ram(self) -> RamBytes:
        """RAM of the model, its stack as measured in the last run."""
        return RamBytes(self.firmware.arena_bytes, self.firmware.static_bytes, self.stack_bytes)

    def _faces(self) -> tuple[list[_Face], list[_Face]]:
        sources = self.firmware.sources
        number = sources.inputs + sources.outputs
        words = self._machine.read_words(self._machine.image.address("tinyfoundry_link"), 1 + 2 * number)
        pointers, sizes = words[1 : 1 + number], words[1 + number :]
        faces = [_Face(pointer, size) for pointer, size in zip(pointers, sizes, strict=True)]
        return faces[: sources.inputs], faces[sources.inputs :]

    def _write_inputs(self, machine: Machine, inputs: Sequence[NDArray[Any] | bytes]) -> None:
        name = self.firmware.name
        if len(inputs) != len(self._inputs):
            raise InputError(f"model {name}: {len(inputs)} inputs given, wanted {len(self._inputs)}")
        for index, (face, value) in enumerate(zip(self._inputs, inputs, strict=True)):
            data = value if isinstance(value, bytes) else value.tobytes()
            if len(data) != face.size:
                raise InputError(f"model {name}: input {index} has {len(data)} bytes, wanted {face.size}")
            machine.write(face.address, data)

    def _check_alignment(self, inputs: Sequence[NDArray[Any] | bytes]) -> None:
        """The run just made once more, with every load and store that it executed under watch."""
        machine = Machine(self.firmware.board, self.firmware.image)
        ran = {count.address: code for count, code, _ in self._counted()}
        machine.watch_alignment(
            (address + sum(i.size for i in code[:position]), instruction)
            for address, code in ran.items()
            for position, instruction in enumerate(code)
        )
        machine.boot(self._wait, self._budget)
        self._write_inputs(machine, inputs)
        machine.finish_call(self._wait, self._budget)
        self._aligned = True

    def _lowest_sp(self) -> int:
        return lowest_stack((count, code) for count, code, _ in self._counted())

    def _counted(self) -> _Counted:
        """Every block of the model that the last run entered; the harness is left out."""
        if self._counted_last is None:
            harness = self.firmware.image.sections[".harness"]
            code = range(harness.address, harness.address + harness.size)
            counts = [c for c in self._machine.counter.counts() if c.address not in code]
            self._counted_last = tuple((count, *self._block(count.address, count.size)) for count in counts)
        if not self._counted_last:
            raise SimulationError(f"model {self.firmware.name} has not run yet; call run() first")
        return self._counted_last

    def _block(self, address: int, size: int) -> tuple[tuple[Instruction, ...], BlockCost]:
        key = (address, size)
        if key not in self._blocks:
            image, core = self.firmware.image, self.firmware.board.core
            isa, end = architecture_of(core), address + size
            code = isa.disassemble(image.bytes_at(address, size), address)
            cut = code[-1].kind not in JUMPS
            behind = isa.instruction_at(image.bytes_at(end, 4), end) if cut else None
            self._blocks[key] = (code, block_cost(core.timing, code, behind))
        return self._blocks[key]

    def _layer(self, count: BlockCount) -> int:
        """The layer that a block counts for: ``NAME_run``'s own code is nobody's, whatever ran last."""
        function = self.firmware.image.function_at(count.address)
        return 0 if function and function.address == self._run_function else count.layer


def _layer_profile(index: int, label: str, sums: Sequence[float]) -> LayerProfile:
    return LayerProfile(index, label, int(sums[0]), round(sums[1]))
