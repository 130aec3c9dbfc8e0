"""fixed.py and tinyfoundry_fixed.h give the same bits, and the right ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c_libraries import TWIN, cc
from tinyfoundry.errors import GraphError
from tinyfoundry.fixed import (
    INT32_MAX,
    INT32_MIN,
    clamp,
    quantize_multiplier,
    requantize,
    requantize64,
    requantize_sum,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap32,
)
from tinyfoundry.kernel import common_headers

HEADER = "tinyfoundry_fixed.h"
PROGRAM = f"""
#include <stdio.h>
#include "{HEADER}"

int main(void)
{{
    int32_t in[5];
    while (fread(in, sizeof in, 1, stdin) == 1) {{
        const int32_t out[4] = {{tf_high_mul(in[0], in[1]), tf_divide_by_pot(in[0], in[3]),
                                tf_requantize(in[0], in[1], in[2]), tf_clamp(in[0], -in[4], in[4])}};
        fwrite(out, sizeof out, 1, stdout);
    }}
    return 0;
}}
"""
WIDE_PROGRAM = f"""
#include <stdio.h>
#include "{HEADER}"

int main(void)
{{
    int64_t in[3];
    while (fread(in, sizeof in, 1, stdin) == 1) {{
        const int32_t m = (int32_t)in[1], s = (int32_t)in[2];
        const int32_t out[2] = {{tf_requantize64(in[0], m, s), tf_requantize((int32_t)in[0], m, s)}};
        fwrite(out, sizeof out, 1, stdout);
    }}
    return 0;
}}
"""
Twin = Callable[[np.ndarray], np.ndarray]

SUM = st.one_of(
    st.integers(INT32_MIN, INT32_MAX),
    st.integers(-(2**20), 2**20),
    st.sampled_from([INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX]),
)
MULTIPLIER = st.one_of(st.integers(2**29, 2**31 - 1), st.sampled_from([0, 2**29, 2**30, 2**31 - 1]))
ROW = st.tuples(SUM, MULTIPLIER, st.integers(-31, 30), st.integers(0, 31), st.integers(0, INT32_MAX))


@pytest.fixture(scope="module")
def c_twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Rows (sum, multiplier, shift, exponent, limit) -> (high multiply, divide, requantise, clamp) in C."""
    folder = tmp_path_factory.mktemp("fixed")
    return built(folder, PROGRAM, np.int32, 4)


@pytest.fixture(scope="module")
def c_wide(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Rows (sum, multiplier, shift) -> the sum requantised as 64 bits, and as its low 32."""
    return built(tmp_path_factory.mktemp("wide"), WIDE_PROGRAM, np.int64, 2)


def built(folder: Path, program: str, row: type[np.generic], results: int) -> Twin:
    """The program, under the undefined-behaviour sanitizer, as a function of rows of integers."""
    (folder / HEADER).write_text(common_headers()[HEADER])
    (folder / "twin.c").write_text(program)
    cc(folder, [*TWIN, "twin.c", "-o", "twin"])

    def run(rows: np.ndarray) -> np.ndarray:
        data = rows.astype(row).tobytes()
        result = subprocess.run([folder / "twin"], input=data, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
        return np.frombuffer(result.stdout, np.int32).reshape(-1, results)

    return run


def python_twin(rows: np.ndarray) -> np.ndarray:
    sums, multiplier, shift, exponent, limit = rows.T
    return np.stack(
        [
            saturating_rounding_doubling_high_mul(sums, multiplier),
            rounding_divide_by_pot(sums, exponent),
            requantize(sums, multiplier, shift),
            [clamp(a, -int(b), int(b)) for a, b in zip(sums, limit, strict=True)],
        ],
        axis=1,
    )


@given(rows=st.lists(ROW, min_size=1, max_size=200))
def test_c_and_python_agree(c_twin: Twin, rows: list[tuple[int, ...]]) -> None:
    """Every function on random and extreme operands, the C side under the undefined-behaviour sanitizer."""
    table = np.array(rows, np.int64)
    np.testing.assert_array_equal(c_twin(table), python_twin(table))


def test_c_and_python_agree_on_every_edge(c_twin: Twin) -> None:
    """All combinations of extreme sums and multipliers with every shift and exponent."""
    sums = [INT32_MIN, INT32_MIN + 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30, INT32_MAX - 1, INT32_MAX]
    multipliers = [0, 2**29, 2**30, 2**30 + 1, 2**31 - 1]
    table = np.array(
        [(a, m, s, abs(s), 127) for a in sums for m in multipliers for s in range(-31, 31)], np.int64
    )
    np.testing.assert_array_equal(c_twin(table), python_twin(table))


WIDE_SUM = st.one_of(
    st.integers(-(2**47) + 1, 2**47 - 1),
    st.integers(-(2**24), 2**24),
    st.sampled_from([1 - 2**47, 2**47 - 1]),
)
WIDE_MULTIPLIER = st.one_of(
    st.integers(2**30, 2**31 - 1), st.sampled_from([0, 2**30, 0x7FFEFFFF, 0x7FFF0000])
)


@given(rows=st.lists(st.tuples(WIDE_SUM, WIDE_MULTIPLIER, st.integers(-31, 7)), min_size=1, max_size=200))
def test_c_and_python_agree_on_sums_of_64_bits(c_wide: Twin, rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows, np.int64)
    np.testing.assert_array_equal(requantize_sum(*table.T, wide=True), requantize64(*table.T))
    python = [requantize_sum(*table.T, wide=wide) for wide in (True, False)]
    np.testing.assert_array_equal(c_wide(table), np.stack(python, axis=1))


def test_sums_of_64_bits_are_rounded_once() -> None:
    """Halves go upwards; the multiplier keeps 15 bits, of which the largest stays below 1."""
    assert requantize64([1, -1, 3, -3], 2**30, 0).tolist() == [1, 0, 2, -1]
    assert requantize64([8, -8, 24, -24, 7, -7], 2**30, -3).tolist() == [1, 0, 2, -1, 0, 0]
    assert requantize64(2**20, 2**31 - 1, 0) == 2**20 - 2**5
    assert requantize64(2**40, 2**30 + 2**15, -24) == 2**15 + 2
    assert requantize64(2**40, 2**30 + 2**15 - 1, -24) == 2**15


@given(st.integers(-(2**40), 2**40), st.floats(2**-30, 2**-17))
def test_64_bit_requantise_is_multiplication(total: int, real: float) -> None:
    """Within the 2**-15 of the factor that 15 bits leave, and half a step."""
    assert abs(int(requantize64(total, *quantize_multiplier(real))) - total * real) <= (
        0.5 + abs(total * real) * 2.0**-15
    )


@pytest.mark.parametrize(
    ("real", "wanted"),
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (1.0, (2**30, 1)),
        (0.75, (3 * 2**29, 0)),
        (1 - 2**-40, (2**30, 1)),  # rounds up to 2**31, which is 2**30 with one more shift
        (2**-32, (2**30, -31)),
        (2**-33, (0, 0)),
        (2**29, (2**30, 30)),
    ],
)
def test_quantize_multiplier(real: float, wanted: tuple[int, int]) -> None:
    """Known pairs, among them the carry, the smallest and the largest factor."""
    assert quantize_multiplier(real) == wanted


@given(st.floats(2**-31, 2**29))
def test_multiplier_stands_for_its_factor(real: float) -> None:
    """31 bits of precision: the pair is within half a unit of the last place."""
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier * 2.0 ** (shift - 31) - real) <= 2.0 ** (shift - 32)


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (-0.1, "factor -0.1 is not a finite number >= 0: the scales are damaged"),
        (float("nan"), "factor nan is not a finite number"),
        (float("inf"), "factor inf is not a finite number"),
        (2.0**31, r"above 2\*\*30: the scales are damaged"),
    ],
)
def test_factors_that_no_scales_give(real: float, message: str) -> None:
    """Damaged scales are named."""
    with pytest.raises(GraphError, match=message):
        quantize_multiplier(real)


def test_both_roundings() -> None:
    """The high multiply takes halves upwards, the division away from zero; 7/16 shows that both happen."""
    assert saturating_rounding_doubling_high_mul([1, -1, 3, -3], 2**30).tolist() == [1, 0, 2, -1]
    assert rounding_divide_by_pot([1, -1, 3, -3, 2, -2], 1).tolist() == [1, -1, 2, -2, 1, -1]
    assert requantize([8, -8, 24, -24, 7, -7], 2**30, -3).tolist() == [1, -1, 2, -2, 1, 0]


def test_saturation_and_wrapping() -> None:
    """The one overflow of the high multiply saturates; a left shift out of 32 bits wraps, as it does in C."""
    assert saturating_rounding_doubling_high_mul(INT32_MIN, INT32_MIN) == INT32_MAX
    assert wrap32([2**31, -(2**31) - 1, 2**32 + 5]).tolist() == [INT32_MIN, INT32_MAX, 5]
    assert requantize(2**30, 2**30, 1) == -(2**30)


@given(st.integers(-(2**24), 2**24), st.floats(2**-20, 1.0))
def test_requantise_is_multiplication(total: int, real: float) -> None:
    """Two roundings stay within one unit of the real product."""
    assert abs(int(requantize(total, *quantize_multiplier(real))) - total * real) <= 1.0
