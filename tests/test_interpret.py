"""Running a graph with its references."""

from __future__ import annotations

import numpy as np
import pytest

from c_libraries import small_net, two_faced_net
from tinyfoundry.errors import GraphError
from tinyfoundry.interpret import entering, interpret
from tinyfoundry.ir.graph import DType, Type, per_tensor


def test_a_network_computed_by_hand() -> None:
    """Scales 0.05 and 0.1: sums of real values, rounded to the output's scale."""
    one, two = np.array([[-3, 17, 127]], np.int8), np.array([[5, 5, 127]], np.int8)
    total, twice, same = interpret(two_faced_net(), [one, two])
    # real: 0, 1, 6.5 and 0, 0, 12.2; the last sum 18.7 is beyond 130 * 0.05
    np.testing.assert_array_equal(total, [[-3, 17, 127]])
    np.testing.assert_array_equal(twice, [[5, 25, 127]])
    np.testing.assert_array_equal(same, one)


def test_every_activation_is_observed_in_order() -> None:
    net, seen = small_net(), {}
    (answer,) = interpret(net, [np.zeros((1, 4, 4, 1), np.int8)], seen.__setitem__)
    assert list(seen) == list(net.activations())
    assert all(seen[name].shape == net.types[name].shape for name in seen)
    np.testing.assert_array_equal(seen["scores"], answer)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ([], "graph 'small' takes 1 inputs, 0 were given"),
        (
            [np.zeros((4, 4, 1), np.int8)],
            r"graph 'small', input 'image': got int8\[4, 4, 1\], wanted int8\[1×4×4×1\]",
        ),
        ([np.zeros((1, 4, 4, 1))], r"input 'image': got float64\[1, 4, 4, 1\], wanted int8"),
    ],
)
def test_wrong_inputs(inputs: list[np.ndarray], complaint: str) -> None:
    with pytest.raises(GraphError, match=complaint):
        interpret(small_net(), inputs)


def test_scalars_stay_scalars_where_they_enter() -> None:
    """numpy likes to make a vector of one element of them."""
    for type_ in (Type((), DType.FLOAT32), Type((), DType.INT8, per_tensor(0.1))):
        value = entering(type_, np.array(0.5, np.float32))
        assert (value.shape, value.dtype) == ((), type_.dtype.value)
