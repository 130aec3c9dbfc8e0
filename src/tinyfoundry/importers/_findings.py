"""What an importer finds wrong with a file, told all at once and not one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyfoundry.builder import Builder
from tinyfoundry.errors import GraphError, ModelError, listed
from tinyfoundry.op import Call, check_call, get_op


def refusal(label: str, findings: Sequence[str], errors: Sequence[ModelError], advice: str) -> ModelError:
    """The one error about a file.

    label: how messages call the file. findings: what it uses that nobody supports, to which ``advice``
    belongs. errors: what is wrong with single operators; at least one, where there are no findings.
    """
    if len(errors) == 1 and not findings:
        return errors[0]
    texts = [str(error).removeprefix(f"{label}, ") for error in errors]
    if findings:
        operators = f"; {listed(texts, '; ')}" if texts else ""
        return ModelError(f"{label}: not supported: {listed(findings)}{operators}; {advice}")
    return ModelError(f"{label}, {listed(texts, '; ')}")


def obey(builder: Builder, op: str, inputs: Sequence[str], attrs: Any, output: str) -> str:
    """Returns ``output``, which ``op`` writes, when this use obeys the op's rules; GraphError otherwise.

    The finished graph is checked as well, but no one knows there which part of the file a node stands for.
    """
    record = get_op(op)
    attributes = record.attributes() if attrs is None else attrs
    call = Call(attributes, tuple(builder.type_of(name) for name in inputs), (builder.type_of(output),))
    for complaint in check_call(record, call):
        raise GraphError(complaint)
    return output
