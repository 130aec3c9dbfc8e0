"""Random networks for the planner's tests: branches, views, broadcasts, several faces, states."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinyfoundry.builder import Builder
from tinyfoundry.ir.graph import DType, Graph, Quantization, Type, per_tensor
from tinyfoundry.ops._window import Window
from tinyfoundry.ops.conv2d import Conv2D
from tinyfoundry.ops.convert import Dequantize, Quantize
from tinyfoundry.ops.elementwise import Add, Relu
from tinyfoundry.ops.shape import Concatenation, Pad, Reshape

QUANT = per_tensor(0.05, -3)
SHAPES = ((1, 4, 4, 2), (1, 4, 4, 3), (1, 2, 8, 2), (1, 1, 1, 2), (1, 3, 1, 1))
STEPS = ("relu", "add", "add", "reshape", "constant view", "concatenation", "pad", "conv2d", "convert")


class _Growing:
    """A network in the making; each ``add`` draws its operands among the tensors so far."""

    def __init__(self, draw: st.DrawFn, seed: int) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(seed)
        self.b = Builder("random")
        self.tensors: list[str] = []
        self.viewed: dict[str, str] = {}

    def pick(self, names: list[str]) -> str:
        return self.draw(st.sampled_from(names[-6:]))

    def quant(self, name: str) -> Quantization | None:
        return self.b.type_of(name).quant

    def like(self, name: str, same) -> list[str]:
        a = self.b.type_of(name)
        others = ((n, self.b.type_of(n)) for n in self.tensors)
        return [n for n, t in others if t.dtype == a.dtype and same(a.shape, t.shape)]

    def apply(
        self, op: str, names: tuple[str, ...], attrs: object, quant: Quantization | None = None
    ) -> None:
        self.tensors.append(self.b.apply(op, names, attrs, quant))

    def step(self, kind: str) -> None:
        x = self.pick(self.tensors)
        getattr(self, kind.replace(" ", "_"))(x, self.b.type_of(x))

    def relu(self, x: str, t: Type) -> None:
        self.apply("relu", (x,), Relu(), t.quant)

    def add(self, x: str, t: Type) -> None:
        y = self.pick(self.like(x, _broadcasts))
        self.apply("add", self.draw(st.permutations((x, y))), Add(), t.quant)

    def reshape(self, x: str, t: Type) -> None:
        n = t.elements
        shape = self.draw(st.sampled_from([t.shape[::-1], (1, 1, 1, n), (1, n, 1, 1), t.shape]))
        self.apply("reshape", (x,), Reshape(shape), t.quant)
        self.viewed[self.tensors[-1]] = self.viewed.get(x, x)

    def constant_view(self, x: str, t: Type) -> None:
        values = self.rng.integers(-9, 9, t.elements).astype(t.dtype.value)
        self.apply("reshape", (self.b.constant("c", values, t.quant),), Reshape(t.shape), t.quant)

    def concatenation(self, x: str, t: Type) -> None:
        y = self.pick(self.like(x, lambda a, b: a[:3] == b[:3]))
        names = self.draw(st.sampled_from([(x, y), (x,), (x, y, x)]))
        if self.b.type_of(y).shape[3] + t.shape[3] < 20:
            self.apply("concatenation", names, Concatenation(axis=3), t.quant)

    def pad(self, x: str, t: Type) -> None:
        if t.elements < 200:
            self.apply("pad", (x,), Pad((0, 1, 0, 0), (0, 0, 1, 0)), t.quant)

    def conv2d(self, x: str, t: Type) -> None:
        out = self.draw(st.integers(1, 5))
        w = self.rng.integers(-9, 9, (out, 1, 1, t.shape[3]))
        if t.quant is None:
            weights = self.b.constant("w", w.astype(np.float32))
            bias = self.b.constant("bias", np.zeros(out, np.float32))
        else:
            weights = self.b.constant("w", w.astype(np.int8), Quantization((0.05,) * out, (0,) * out, 0))
            bias = self.b.constant("bias", np.zeros(out, np.int32))
        self.apply("conv2d", (x, weights, bias), Conv2D(Window()), t.quant)

    def convert(self, x: str, t: Type) -> None:
        if t.quant is None:
            self.tensors.append(self.b.apply("quantize", (x,), Quantize(), QUANT, dtype=DType.INT8))
        else:
            self.apply("dequantize", (x,), Dequantize())


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) == len(b) and all(i == j or 1 in (i, j) for i, j in zip(a, b, strict=True))


@st.composite
def networks(draw: st.DrawFn, most_steps: int = 12) -> Graph:
    """A graph of up to ``most_steps`` nodes; anything may be an output, inputs and views of constants too."""
    grow = _Growing(draw, draw(st.integers(0, 1000)))
    for i in range(draw(st.integers(1, 3))):
        shape = draw(st.sampled_from(SHAPES))
        floating = draw(st.booleans())
        type_ = Type(shape, DType.FLOAT32) if floating else Type(shape, DType.INT8, QUANT)
        grow.tensors.append(grow.b.input(f"input_{i}", type_))
    for kind in draw(st.lists(st.sampled_from(STEPS), max_size=most_steps)):
        grow.step(kind)
    outputs = draw(st.lists(st.sampled_from(grow.tensors), min_size=1, max_size=3, unique=True))
    return grow.b.finish(*outputs)


@st.composite
def remembering(draw: st.DrawFn, most_steps: int = 8) -> Graph:
    """A graph with one to three states that any node may read until they are updated, also through views.

    An update works in the state's bytes, or computes something that has nothing to do with it.
    """
    grow = _Growing(draw, draw(st.integers(0, 1000)))
    shapes = st.sampled_from(SHAPES)
    grow.tensors.append(grow.b.input("input_0", Type(draw(shapes), DType.INT8, QUANT)))
    states = []
    for i in range(draw(st.integers(1, 3))):
        type_ = Type(draw(shapes), DType.INT8, QUANT)
        states.append(
            grow.b.state(f"state_{i}", type_, grow.rng.integers(-9, 9, type_.shape).astype(np.int8))
        )
    grow.tensors += states
    steps = st.lists(st.sampled_from([step for step in STEPS if step != "convert"]), max_size=most_steps)
    for kind in draw(steps):
        grow.step(kind)
    _update(grow, states)
    for kind in draw(steps):
        grow.step(kind)
    outputs = draw(st.lists(st.sampled_from(grow.tensors), min_size=1, max_size=3, unique=True))
    return grow.b.finish(*outputs)


def _update(grow: _Growing, states: list[str]) -> None:
    """Updates every state; from then on nobody reads the states, or what is a view of them."""
    grow.tensors = [name for name in grow.tensors if grow.viewed.get(name, name) not in states]
    for name in states:
        type_ = grow.b.type_of(name)
        alike = [other for other in grow.tensors if grow.b.type_of(other) == type_]
        other = grow.draw(st.sampled_from([name, *alike[-3:]]))
        if grow.draw(st.booleans()):
            grow.apply("add", grow.draw(st.permutations((name, other))), Add(), QUANT)
        else:
            grow.apply("relu", (other,), Relu(), QUANT)
        grow.b.update(name, grow.tensors[-1])


@st.composite
def scratches(draw: st.DrawFn, graph: Graph) -> dict[str, int]:
    """Scratch for some nodes that are no views."""
    names = [node.name for node in graph.nodes if node.op != "reshape"]
    return {name: draw(st.integers(0, 70)) for name in names if draw(st.booleans())}
