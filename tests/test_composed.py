"""Blocks that converters spell out in many operators: in int8 they are close to floats.

That they are exact is shown by ``test_zoo.py``, where these networks are too.
"""

from __future__ import annotations

import numpy as np
import pytest

from float_nets import IMAGE, NETS
from tinyfoundry.interpret import interpret
from tinyfoundry.ir.graph import Array
from tinyfoundry.ops._activation import Activation
from tinyfoundry.passes.calibrate import calibrate
from tinyfoundry.passes.quantise import quantise
from tinyfoundry.pipeline import Options, simplify


def images(count: int) -> Array:
    return np.random.default_rng(4).normal(0, 1, (count, *IMAGE[1:])).astype(np.float32)


@pytest.mark.parametrize("name", NETS)
def test_a_block_in_int8_is_close_to_floats(name: str) -> None:
    graph = NETS[name]()
    int8 = quantise(graph, calibrate(graph, images(30)))
    x_type = int8.types["x"]
    for image in images(10):
        stored = np.clip(np.round(image[None] / x_type.scale) + x_type.zero_point, -128, 127)
        [found] = interpret(int8, [stored.astype(np.int8)])
        [wanted] = interpret(graph, [image[None]])
        assert np.abs((found.astype(float) + 128) / 256 - wanted).max() < 0.06


def test_the_relu_of_a_hard_gate_is_fused() -> None:
    graph = NETS["excited_hard"]()
    simple = simplify(quantise(graph, calibrate(graph, images(5))), Options())
    by_name = {node.outputs[0]: node for node in simple.nodes}
    assert "gate_sum" not in by_name
    assert by_name["gate_relu"].op == "add"
    assert by_name["gate_relu"].attrs.activation is Activation.RELU6
