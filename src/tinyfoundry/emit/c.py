"""A planned graph as C: one header, one translation unit of code, one of tables.

The code unit holds the kernels that are used, then one function a layer (``calls``), then ``NAME_run``.
Nothing is allocated; the arena is one static buffer.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyfoundry.emit.calls import Layer, Tables, layer_functions
from tinyfoundry.emit.literals import banner, c_type, comment
from tinyfoundry.emit.states import Remembering, remembering
from tinyfoundry.ir.graph import DType, Graph, Type
from tinyfoundry.ir.planned import Planned
from tinyfoundry.kernel import Kernel, common_headers

_MACROS = """
#if defined(__GNUC__)
#define TF_KERNEL static inline __attribute__((always_inline))
#define TF_LAYER static __attribute__((noinline))
#else
#define TF_KERNEL static inline
#define TF_LAYER static
#endif
"""


def layers_of(planned: Planned, kernels: Mapping[str, Kernel]) -> tuple[Layer, ...]:
    """The layers in the order they run; views do not run."""
    name, running = planned.graph.name, [n for n in planned.graph.nodes if n.name in kernels]
    return tuple(Layer(n, kernels[n.name], f"{name}_layer_{i}_{n.name}") for i, n in enumerate(running))


def emit_c(planned: Planned, kernels: Mapping[str, Kernel]) -> dict[str, str]:
    """Path -> text of every file of the C library, paths relative to the build's folder.

    kernels: the kernel of every node that is not a view.
    """
    name, tables = planned.graph.name, Tables(planned.graph.name)
    layers = layers_of(planned, kernels)
    calls = layer_functions(planned, layers, tables)
    memory = remembering(planned, tables.symbol)
    code = _code(planned, layers, calls, memory)
    used = _headers({layer.kernel.text for layer in layers})
    return {
        f"include/{name}.h": _header(planned, memory),
        f"src/{name}.c": code,
        f"src/{name}_tables.h": tables.header(),
        f"src/{name}_tables.c": tables.code(),
        **{f"src/{file}": common_headers()[file] for file in used},
    }


def _code(planned: Planned, layers: tuple[Layer, ...], calls: str, memory: Remembering) -> str:
    name = planned.graph.name
    kernels = {layer.kernel.name: layer.kernel for layer in layers}
    texts = [
        k.text.replace(f"static inline void {k.name}(", f"TF_KERNEL void {k.name}(") for k in kernels.values()
    ]
    includes = "".join(f'#include "{file}"\n' for file in _headers(set(texts)))
    bodies = "\n".join(_without_includes(text) for text in texts)
    run = "\n".join(f"    {layer.function}();" for layer in layers)
    return f"""{banner(name)}#include "{name}.h"

#include <stddef.h>

#include "{name}_tables.h"
{includes}{_MACROS}
/* Every activation and scratch buffer; a word type makes it aligned. */
static union {{
    int8_t bytes[{name.upper()}_ARENA_BYTES];
    {_word(planned)} word;
}} {name}_arena;
static volatile unsigned char {name}_busy;

{bodies}
{calls}
{memory.functions}int {name}_run(void)
{{
    if ({name}_busy) {{
        return -1;
    }}
    {name}_busy = 1;
{memory.start}{run}
    {name}_busy = 0;
    return 0;
}}

{_accessor(planned, "input", planned.graph.inputs)}
{_accessor(planned, "output", planned.graph.outputs)}"""


def _word(planned: Planned) -> str:
    """The type that makes the arena aligned as its tensors are."""
    dtypes = {planned.graph.types[name].dtype for name in planned.graph.activations()}
    return "int64_t" if DType.INT64 in dtypes else "int32_t"


def _accessor(planned: Planned, kind: str, tensors: tuple[str, ...]) -> str:
    name = planned.graph.name
    cases = "\n".join(
        f"    case {i}:\n        return {name}_arena.bytes + {planned.offsets[tensor]};"
        for i, tensor in enumerate(tensors)
    )
    return (
        f"int8_t *{name}_{kind}(int index)\n{{\n    switch (index) {{\n{cases}\n"
        f"    default:\n        return NULL;\n    }}\n}}\n"
    )


def _headers(texts: set[str]) -> list[str]:
    """Names of the common headers that kernels include, and those that these include in turn."""
    found: set[str] = set()
    todo = list(texts)
    while todo:
        text = todo.pop()
        for file, body in common_headers().items():
            if f'#include "{file}"' in text and file not in found:
                found.add(file)
                todo.append(body)
    return sorted(found)


def _without_includes(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("#include")).strip() + "\n"


def _header(planned: Planned, memory: Remembering) -> str:
    graph, name = planned.graph, planned.graph.name
    upper = name.upper()
    faces = _faces(graph, "INPUT", graph.inputs) + _faces(graph, "OUTPUT", graph.outputs)
    return f"""{banner(name)}#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

/* Every activation and scratch byte, inputs and outputs included. */
#define {upper}_ARENA_BYTES {max(planned.arena_bytes, 1)}
{faces}
#ifdef __cplusplus
extern "C" {{
#endif

/* Where to write input and read output number `index`; NULL when there is none. Write every input
 * before every run: a run overwrites them. Outputs stay until the next input is written. */
int8_t *{name}_input(int index);
int8_t *{name}_output(int index);

/* One inference. 0 on success, -1 when called while another call still runs (from an interrupt, say). */
int {name}_run(void);

{memory.header}#ifdef __cplusplus
}}
#endif

#endif
"""


def _faces(graph: Graph, kind: str, tensors: tuple[str, ...]) -> str:
    upper = graph.name.upper()
    text = f"\n#define {upper}_{kind}_COUNT {len(tensors)}\n"
    for index, tensor in enumerate(tensors):
        prefix = f"{upper}_{kind}{index or ''}"
        type_ = graph.types[tensor]
        text += f"/* {comment(f'{tensor}: {type_}')} */\n#define {prefix}_BYTES {type_.bytes}\n"
        text += _element(graph.name, kind, index, prefix, type_) + _affine(prefix, type_)
    return text


def _element(name: str, kind: str, index: int, prefix: str, type_: Type) -> str:
    """What to cast a face's pointer to, where that is no int8_t."""
    if type_.dtype == "int8":
        return ""
    face = f"({prefix}_ELEMENT *)(void *){name}_{kind.lower()}({index})"
    what = f"/* What its elements are, to read and write them as {face}. */"
    return f"{what}\n#define {prefix}_ELEMENT {c_type(type_.dtype)}\n"


def _affine(prefix: str, type_: Type) -> str:
    if type_.quant is None:
        return ""
    return f"#define {prefix}_SCALE {type_.scale!r}f\n#define {prefix}_ZERO_POINT ({type_.zero_point})\n"
