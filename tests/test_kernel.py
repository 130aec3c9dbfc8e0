"""Kernels: their heads, their conditions, and the choice among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphs import single
from tinyfoundry.errors import GraphError, ModelError
from tinyfoundry.ir.graph import DType, Type
from tinyfoundry.kernel import all_kernels, choose, common_headers, evaluate, kernels_of, parse
from tinyfoundry.op import Call, call_of, get_op
from tinyfoundry.ops.elementwise import Add

HEAD = """/*
op = "add"
types = { x1 = "int8", y = "int8" }
summary = "a kernel for tests"
when = "elements % 4 == 0"
scratch = "2 * elements"
*/
static inline int helper(int a)
{
    return a;
}

static inline void add_test(const int8_t *x1, const int8_t *const x2[], int8_t *y,
                            int elements)
{
}
"""


def test_a_kernel_says_what_it_is() -> None:
    kernel = parse(HEAD, "add", "add_test")
    assert (kernel.op, kernel.summary, kernel.isa) == ("add", "a kernel for tests", frozenset())
    assert kernel.parameters == ("x1", "x2", "y", "elements")
    assert kernel.scratch_bytes({"elements": 6}) == 12
    assert kernel.text.startswith("static inline int helper")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("/*\n", "", "does not begin with a comment of TOML"),
        ('"add"', "add", "head is not TOML"),
        ("when", "whenever", r"head has keys .*'whenever'.*; wanted op, types, summary and perhaps"),
        ('summary = "a kernel for tests"\n', "", r"head has keys .*; wanted op, types, summary"),
        ("add_test", "add_other", r"wanted one function 'static inline void add_test\(\.\.\.\)'"),
        ('op = "add"', 'op = "relu"', "op and types must name the op of its folder and that op's ports"),
        ("x1 =", "x9 =", "op and types must name the op of its folder"),
    ],
)
def test_a_half_said_kernel_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in HEAD
    with pytest.raises(GraphError, match=rf"^kernel add/add_test\.c: {complaint}"):
        parse(HEAD.replace(old, new), "add", "add_test")


def test_ops_may_share_a_kernel() -> None:
    """Its head names what they call it, or the op whose folder it is; the ports must be those of all."""
    assert kernels_of("hard_swish") == kernels_of("sqrt")
    assert {kernel.op for kernel in kernels_of("hard_swish")} == {"lookup"}
    assert {kernel.op for kernel in kernels_of("tanh")} == {"lookup", "tanh"}
    assert kernels_of("sub") == kernels_of("add")
    text = HEAD.replace('op = "add"', 'op = "lookup"').replace("add_test", "lookup_test")
    with pytest.raises(GraphError, match=r"^kernel lookup/lookup_test\.c: op and types must name the op"):
        parse(text, "lookup", "lookup_test")
    assert parse(text.replace("x1 =", "x ="), "lookup", "lookup_test").op == "lookup"


def test_one_text_serves_several_element_types() -> None:
    """``conv2d_sN.c`` is the kernels of int8, and of int16 with biases of 64 and of 32 bits."""
    by_name = {
        kernel.name: kernel
        for kernel in all_kernels()
        if kernel.op in ("conv2d", "copy", "max_pool2d") and not kernel.isa
    }
    kinds = {name: (dict(kernel.types).get("b"), kernel.types["y"]) for name, kernel in by_name.items()}
    assert kinds == {
        "conv2d_s8": ("int32", "int8"),
        "conv2d_s16": ("int64", "int16"),
        "conv2d_s16_b32": ("int32", "int16"),
        "copy_s8": (None, "int8"),
        "copy_s16": (None, "int16"),
        "max_pool2d_s8": (None, "int8"),
        "max_pool2d_s16": (None, "int16"),
    }
    text = by_name["conv2d_s16_b32"].text
    assert "void conv2d_s16_b32(const int16_t *x, const int8_t *w, const int32_t *b, int16_t *y" in text
    assert "int64_t acc" in text
    assert "INT16_MIN" in by_name["max_pool2d_s16"].text
    assert not any(
        word in kernel.text for kernel in all_kernels() for word in ("element_t", "ELEMENT_", "_sN")
    )


def test_a_kernel_of_an_unknown_op_is_refused() -> None:
    with pytest.raises(ModelError, match="op 'ad' is unknown; did you mean pad, add"):
        parse(HEAD.replace('op = "add"', 'op = "ad"'), "ad", "add_test")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-n // 2", -3),
        ("n % 4 == 1 and n < 9", True),
        ("not n > 3 or n >= 6", False),
        ("1 < n <= 5", True),
        ("n != 5", False),
    ],
)
def test_expressions(expression: str, value: object) -> None:
    assert evaluate(expression, {"n": 5}) == value


@pytest.mark.parametrize(
    "expression",
    ["", "m", "n()", "n.real", "n[0]", "__import__('os')", "n ** 9", "n if n else 1", "'a'", "1.5", "n / 2",
     "n +", "lambda: 1", "n // 0", "[n]"],
)  # fmt: skip
def test_nothing_else_is_an_expression(expression: str) -> None:
    with pytest.raises(GraphError, match=r"^expression '.*': .*; names are \['n'\]$"):
        evaluate(expression, {"n": 5})


def test_the_most_specialised_kernel_is_chosen() -> None:
    op = get_op("conv2d")
    sample = next(s for s in op.samples(np.random.default_rng(0)) if s.call.x.dtype == "int8")
    literals = op.literals(call_of(single(op, sample), single(op, sample).nodes[0]))
    base = next(k for k in kernels_of("conv2d") if not k.isa and not k.when)
    assert base.accepts(sample.call, literals, ())
    assert not replace(base, isa=frozenset({"dsp"})).accepts(sample.call, literals, ())
    assert replace(base, isa=frozenset({"dsp"})).accepts(sample.call, literals, ("dsp", "fpu"))
    assert not replace(base, when="in_c < 0").accepts(sample.call, literals, ())
    assert not replace(base, types={"x": "float32"}).accepts(sample.call, literals, ())
    assert choose(sample.call, op, literals, ()) in kernels_of("conv2d")


def test_a_call_without_a_kernel_says_so() -> None:
    x = Type((1, 4), DType.FLOAT32)
    kinds = ", ".join([r"float32\[1×4\]"] * 3)
    with pytest.raises(
        ModelError, match=f"no kernel computes add on {kinds}; see 'tinyfoundry ops' for what is"
    ):
        choose(Call(Add(), (x, x), (x,)), get_op("add"), {}, ())


def test_every_file_is_read() -> None:
    kernels = all_kernels()
    assert len({kernel.name for kernel in kernels}) == len(kernels) > 10
    assert {"tinyfoundry_fixed.h"} <= set(common_headers())
    assert all(kernel.summary and kernel.parameters for kernel in kernels)
