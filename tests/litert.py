"""LiteRT as the judge in tests: the very judge that ``tinyfoundry verify`` asks."""

from __future__ import annotations

from tinyfoundry.jobs.litert import (
    NodeJudge,
    as_convolution,
    as_unsigned,
    litert_interpreter,
    litert_judge,
    litert_run,
    unsigned,
)

__all__ = [
    "LITERT_CURVES", "NodeJudge", "as_convolution", "as_unsigned", "litert_interpreter", "litert_judge",
    "litert_run", "unsigned",
]  # fmt: skip

LITERT_CURVES = frozenset({"gelu", "gelu_tanh", "log"})
"""Functions of op ``curve`` that .tflite and LiteRT have."""
