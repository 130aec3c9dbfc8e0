"""Takes float faces off a quantized network: its inputs and outputs become the int8 or int16 tensors behind
quantize and dequantize.
"""

from __future__ import annotations

from tinyfoundry.ir.graph import Graph
from tinyfoundry.ir.rewrite import rebuild, redirect


def int8_faces(graph: Graph) -> Graph:
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
