"""Operators of .tflite files that remember: what is taken over, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graphs import random_input
from hostile import refusal_by
from litert import litert_interpreter
from memory_nets import lstm_net, svdf_net
from tinyfoundry.errors import ModelError
from tinyfoundry.exporters import tflite as exporter
from tinyfoundry.exporters._flatbuffer import Model, Operator, Tensor, to_bytes
from tinyfoundry.exporters.tflite import export
from tinyfoundry.importers.tflite import load
from tinyfoundry.interpret import Session
from tinyfoundry.ir.graph import DType, Graph, Type, per_tensor
from tinyfoundry.ops._activation import Activation

Edit = Callable[[Model], Model]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Callable[[Graph], Model]:
    """The records of the file that a graph is written as."""

    def records(graph: Graph) -> Model:
        with monkeypatch.context() as patch:
            patch.setattr(exporter, "to_bytes", lambda model: model)
            model = export(graph)
        assert isinstance(model, Model)
        return model

    return records


def memory_op(model: Model) -> Operator:
    return next(op for op in model.operators if op.code in ("SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"))


def with_op(model: Model, **changes: object) -> Model:
    old = memory_op(model)
    new = replace(old, **changes)
    return replace(model, operators=tuple(new if op is old else op for op in model.operators))


def with_input(model: Model, position: int, name: str) -> Model:
    inputs = list(memory_op(model).inputs)
    inputs[position] = name
    return with_op(model, inputs=tuple(inputs))


def with_tensor(model: Model, name: str, **changes: object) -> Model:
    tensors = tuple(replace(t, **changes) if t.name == name else t for t in model.tensors)
    return replace(model, tensors=tensors)


def with_field(model: Model, name: str, value: object) -> Model:
    return with_op(model, fields={**memory_op(model).fields, name: value})


def read_by_another(model: Model) -> Model:
    last = replace(model.operators[-1], inputs=("h",))
    return replace(model, operators=(*model.operators[:-1], last))


def doubled(model: Model) -> Model:
    """A second operator with the same memory."""
    op = memory_op(model)
    other = Tensor("other", next(t.type for t in model.tensors if t.name == op.outputs[0]))
    operators = (*model.operators, replace(op, outputs=("other",)))
    return replace(model, tensors=(*model.tensors, other), operators=operators)


LSTM_FAULTS: dict[str, tuple[Edit, str]] = {
    "no h": (lambda m: with_input(m, 18, ""), "input 18, its memory, is missing"),
    "constant h": (
        lambda m: with_tensor(m, "h", variable=False),
        "input 18 'h' is not variable; wanted a memory",
    ),
    "shape of c": (
        lambda m: with_tensor(m, "c", type=Type((1, 6), DType.INT16, per_tensor(2.0**-11))),
        r"input 19 'c' is \[1, 6\], wanted \[1, 7\]; the file is damaged",
    ),
    "type of c": (
        lambda m: with_tensor(m, "c", type=Type((1, 7), DType.INT8, per_tensor(2.0**-11))),
        "cell is int8.*wanted int16 with zero point 0 and a scale of",
    ),
    "zero point of c": (
        lambda m: with_tensor(m, "c", type=Type((1, 7), DType.INT16, per_tensor(2.0**-11, 2**40))),
        r"a zero point is outside -32768\.\.32767; the file is truncated or damaged",
    ),
    "scale of c": (
        lambda m: with_tensor(m, "c", type=Type((1, 7), DType.INT16, per_tensor(0.3))),
        "cell is int16.*wanted int16 with zero point 0 and a scale of",
    ),
    "one weight smaller": (
        lambda m: with_tensor(
            m, "memory_wx_2", type=Type((3, 5), DType.INT8, per_tensor(0.1)), value=np.zeros((3, 5), np.int8)
        ),
        r"inputs 1 to 4, one a gate, are int8\[3, 5\] and int8\[7, 5\]; the file is damaged",
    ),
    "no bias": (lambda m: with_input(m, 12, ""), "input 12 is no constant, wanted one"),
    "read elsewhere": (read_by_another, "read by SOFTMAX, but it is the memory of another operator"),
    "updated twice": (doubled, "input 18 'h', its memory, is another operator's too; wanted one for each"),
    "hidden scale": (
        lambda m: with_tensor(m, "memory_hidden", type=Type((0,), DType.INT8, per_tensor(0.5))),
        "its intermediate 4 has another scale than its state; convert the model again",
    ),
}


@pytest.mark.parametrize("fault", LSTM_FAULTS)
def test_a_damaged_lstm_is_refused(fault: str, records: Callable[[Graph], Model]) -> None:
    edit, message = LSTM_FAULTS[fault]
    data = to_bytes(edit(records(lstm_net(1))))
    assert refusal_by(load, data) is not None
    with pytest.raises(ModelError, match=f"^model[,:] .*{message}"):
        load(data)


SVDF_FAULTS: dict[str, tuple[Edit, str]] = {
    "no memory": (lambda m: with_input(m, 4, ""), "input 4, its memory, is missing"),
    "rank": (lambda m: with_field(m, "Rank", 5), "rank 5 of 12 filters, wanted a divisor"),
    "int8 memory": (
        lambda m: with_tensor(m, "memory_2", type=Type((1, 108), DType.INT8, per_tensor(0.1))),
        "state is int8.*wanted int16 with one scale and zero point 0",
    ),
    "size of memory": (
        lambda m: with_tensor(m, "memory_2", type=Type((1, 107), DType.INT16, per_tensor(0.1))),
        r"input 4 'memory_2' is \[1, 107\], wanted \[1, 108\]",
    ),
}


@pytest.mark.parametrize("fault", SVDF_FAULTS)
def test_a_damaged_svdf_is_refused(fault: str, records: Callable[[Graph], Model]) -> None:
    edit, message = SVDF_FAULTS[fault]
    data = to_bytes(edit(records(svdf_net(1))))
    assert refusal_by(load, data) is not None
    with pytest.raises(ModelError, match=f"^model[,:] .*{message}"):
        load(data)


def test_all_variants_are_listed_at_once(records: Callable[[Graph], Model]) -> None:
    model = records(lstm_net(1))
    weights = memory_op(model).inputs[1]
    for position in (9, 16, 20):
        model = with_input(model, position, weights)
    model = with_field(
        with_field(with_input(model, 1, ""), "TimeMajor", value=True), "FusedActivationFunction", 1
    )
    name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    parts = [
        f"{name} with a projection", f"{name} with fused activation 1 .wanted 4, TANH.",
        f"{name} with its input gate coupled to the forget gate", f"{name} with layer normalisation",
        f"{name} with peepholes", f"{name} with time as its first axis",
    ]  # fmt: skip
    with pytest.raises(
        ModelError, match="model: not supported: " + ", ".join(f"{part} .1×." for part in parts)
    ):
        load(to_bytes(model))


def test_svdf_without_a_bias_and_with_relu_on_any_zero_point(records: Callable[[Graph], Model]) -> None:
    """LiteRT's int8 kernel limits to int8 and to nothing else, whatever zero point its RELU has."""
    data = to_bytes(with_input(records(svdf_net(2)), 3, ""))
    graph = load(data)
    assert graph.nodes[0].attrs.activation is Activation.NONE
    assert not graph.constants[graph.nodes[0].inputs[3]].any()
    interpreter, session = litert_interpreter(data, reference=True, keep_all=True), Session(graph)
    numbers = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    rng, negative = np.random.default_rng(3), False
    for _ in range(50):
        x, seen = random_input(rng, graph.types["x"]), {}
        session.run([x], seen.__setitem__)
        interpreter.set_tensor(numbers["x"], x)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_tensor(numbers["svdf_2"]), seen["svdf_2"])
        negative |= bool((seen["svdf_2"] < graph.types["svdf_2"].zero_point).any())
    assert negative


def test_what_a_file_cannot_say_is_not_written() -> None:
    graph = lstm_net(1)
    started = replace(graph.states["c"], initial=np.ones((1, 7), np.int16))
    with pytest.raises(
        ModelError, match=r"node 'memory' .lstm.: 'c' is not carried from run to run from zeros"
    ):
        export(replace(graph, states={**graph.states, "c": started}))
    with pytest.raises(ModelError, match="'memory_h_next', the update of state 'h', is read or an output"):
        export(replace(graph, outputs=(*graph.outputs, "memory_h_next")))
