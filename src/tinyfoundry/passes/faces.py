"""The faces of a quantized network, its inputs and outputs: the stored values themselves, or float32 with a
quantize and a dequantize between.
"""

from __future__ import annotations

from dataclasses import replace

from tinyfoundry.ir.graph import DType, Graph, Node, Type
from tinyfoundry.ir.rewrite import rebuild, redirect
from tinyfoundry.op import get_op


def stored_faces(graph: Graph) -> Graph:
    """The graph whose user quantises inputs and dequantises outputs with the scales and zero points in their
    types.

    A float input is replaced only when everything that reads it is a quantize to one same type, a float
    output only when a dequantize writes it.
    """
    renamed: dict[str, str] = {}
    inputs = []
    for name in graph.inputs:
        readers = graph.readers(name)
        faces = [node.outputs[0] for node in readers if node.op == "quantize"]
        alike = len({graph.types[face] for face in faces}) == 1
        if (
            graph.types[name].dtype == "float32"
            and alike
            and len(faces) == len(readers)
            and name not in graph.outputs
            and not set(faces) & set(graph.lasting[len(graph.outputs) :])
        ):
            renamed.update(dict.fromkeys(faces, faces[0]))
            inputs.append(faces[0])
        else:
            inputs.append(name)
    producers = [graph.producer(name) for name in graph.outputs]
    outputs = [
        renamed.get(p.inputs[0], p.inputs[0])
        if p is not None and p.op == "dequantize"
        else renamed.get(name, name)
        for name, p in zip(graph.outputs, producers, strict=True)
    ]
    kept = [node for node in graph.nodes if node.outputs[0] not in inputs and node.outputs[0] not in renamed]
    return rebuild(graph, redirect(kept, renamed), inputs=inputs, outputs=outputs)


def with_float_faces(graph: Graph) -> Graph:
    """The graph that takes and gives float32 where ``graph`` takes and gives quantized tensors."""
    quantize, dequantize = get_op("quantize"), get_op("dequantize")
    faces = [name for name in (*graph.inputs, *graph.outputs) if graph.types[name].quant is not None]
    outside = {name: f"{name}_float" for name in faces}
    entry = [
        Node(f"{n}_quantize", quantize.name, (outside[n],), (n,), quantize.attributes(graph.types[n].dtype))
        for n in graph.inputs
        if n in outside
    ]
    leave = [
        Node(f"{n}_dequantize", dequantize.name, (n,), (outside[n],), dequantize.attributes())
        for n in graph.outputs
        if n in outside
    ]
    types = {outer: Type(graph.types[inner].shape, DType.FLOAT32) for inner, outer in outside.items()}
    return replace(
        graph,
        inputs=tuple(outside.get(name, name) for name in graph.inputs),
        outputs=tuple(outside.get(name, name) for name in graph.outputs),
        nodes=(*entry, *graph.nodes, *leave),
        types={**graph.types, **types},
    )
