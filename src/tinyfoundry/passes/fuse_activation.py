"""Lets the op before a relu clamp its own output, where that gives the same values."""

from __future__ import annotations

from dataclasses import fields, replace

from tinyfoundry.ir.graph import Graph, Node
from tinyfoundry.ir.rewrite import rebuild
from tinyfoundry.ops._activation import Activation
from tinyfoundry.ops.elementwise import Relu


def fuse_activation(graph: Graph) -> Graph:
    """Exact: done only where the relu does not change the quantization and is the one reader of an unclamped
    output.
    """
    nodes = {node.name: node for node in graph.nodes}
    for relu in graph.nodes:
        producer = graph.producer(relu.inputs[0]) if isinstance(relu.attrs, Relu) else None
        # A relu behind a relu may find its producer fused away already.
        if producer is None or producer.name not in nodes or not _fusible(graph, nodes[producer.name], relu):
            continue
        clamped = replace(nodes[producer.name].attrs, activation=relu.attrs.kind)
        # The producer takes over the relu's output tensor; both have the same type.
        nodes[producer.name] = replace(nodes[producer.name], attrs=clamped, outputs=relu.outputs)
        del nodes[relu.name]
    return rebuild(graph, list(nodes.values()))


def _fusible(graph: Graph, producer: Node, relu: Node) -> bool:
    tensor = relu.inputs[0]
    if "activation" not in {field.name for field in fields(producer.attrs)} or len(producer.outputs) != 1:
        return False
    alone = len(graph.readers(tensor)) == 1 and tensor not in graph.lasting
    same_type = graph.types[tensor] == graph.types[relu.outputs[0]]
    return alone and same_type and producer.attrs.activation is Activation.NONE
