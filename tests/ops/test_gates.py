"""The int16 curves inside an LSTM: near the real ones everywhere, and the same in numpy and C."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from c_libraries import TWIN, cc
from tinyfoundry.kernel import common_headers
from tinyfoundry.ops._gates import logistic, tanh

EVERY = np.arange(-32768, 32768)
PROGRAM = """
#include <stdio.h>
#include "tinyfoundry_gates.h"

int main(void)
{
    for (int32_t x = INT16_MIN; x <= INT16_MAX; ++x) {
        int16_t out[8] = {(int16_t)tf_logistic16(x)};
        for (int bits = 0; bits < 7; ++bits) {
            out[1 + bits] = (int16_t)tf_tanh16(x, bits);
        }
        fwrite(out, sizeof out, 1, stdout);
    }
    return 0;
}
"""


def test_curves_are_near_the_real_ones() -> None:
    """Within a tenth of a per cent of their range: LiteRT's curves, not the best that int16 could have."""
    np.testing.assert_allclose(logistic(EVERY) / 2**15, 1 / (1 + np.exp(-EVERY / 2**12)), atol=1e-3)
    for bits in range(7):
        np.testing.assert_allclose(tanh(EVERY, bits) / 2**15, np.tanh(EVERY / 2 ** (15 - bits)), atol=1e-3)
    assert (logistic(np.array([0])), tanh(np.array([0]), 3)) == (2**14, 0)


def test_the_c_twin_gives_the_same_bits_for_every_input(tmp_path: Path) -> None:
    for name in ("tinyfoundry_gates.h", "tinyfoundry_fixed.h"):
        (tmp_path / name).write_text(common_headers()[name])
    (tmp_path / "twin.c").write_text(PROGRAM)
    cc(tmp_path, [*TWIN, "twin.c", "-o", "twin"])
    done = subprocess.run([tmp_path / "twin"], capture_output=True, check=True, timeout=60)
    found = np.frombuffer(done.stdout, np.int16).reshape(-1, 8)
    wanted = np.stack([logistic(EVERY), *(tanh(EVERY, bits) for bits in range(7))], axis=1)
    np.testing.assert_array_equal(found, wanted)
