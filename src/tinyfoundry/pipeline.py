"""From a graph to C for a core: the named steps of the compiler, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tinyfoundry import ops  # noqa: F401 - importing it registers every op
from tinyfoundry.board import Board
from tinyfoundry.emit.c import emit_c, layers_of
from tinyfoundry.emit.calls import Layer
from tinyfoundry.emit.names import library_name
from tinyfoundry.emit.project import cmake
from tinyfoundry.errors import DoesNotFit, ModelError, listed
from tinyfoundry.ir.graph import Graph
from tinyfoundry.ir.planned import Planned
from tinyfoundry.ir.verify import verify
from tinyfoundry.kernel import Kernel, choose
from tinyfoundry.op import call_of, get_op, verify_ops
from tinyfoundry.passes.absorb_pad import absorb_pad
from tinyfoundry.passes.dead_channels import dead_channels
from tinyfoundry.passes.faces import stored_faces
from tinyfoundry.passes.fold_constants import fold_constants
from tinyfoundry.passes.fuse_activation import fuse_activation
from tinyfoundry.plan.planner import PlanOptions, plan
from tinyfoundry.plan.validate import validate
from tinyfoundry.prepared import literals_of

MAX_NODES = 2**12
MAX_ARENA_BYTES = 2**26
"""Far more than any microcontroller can run, so that what a hostile model asks of the compiler is bounded."""


@dataclass(frozen=True)
class Options:
    """What a user may choose of the compiler.

    float_faces: keep float inputs and outputs where the model has them, instead of offering them as int8.
    plan: switches of the memory planner. arena_bytes: kernels that are faster but need scratch are taken as
    far as the arena stays within this; None: within the board's RAM. It is no limit for what has to be.
    """

    float_faces: bool = False
    arena_bytes: int | None = None
    plan: PlanOptions = field(default_factory=PlanOptions)


@dataclass(frozen=True)
class Build:
    """A compiled network. files: path -> text of the C library; layers: what runs, in order. leaner: how many
    of them have a slower kernel than there is, because the faster one's scratch does not fit.
    """

    name: str
    board: Board
    planned: Planned
    layers: tuple[Layer, ...]
    files: Mapping[str, str]
    leaner: int = 0

    @property
    def graph(self) -> Graph:
        """The network as compiled, after all passes."""
        return self.planned.graph


def simplify(graph: Graph, options: Options) -> Graph:
    """The passes that leave the meaning as it is; every step's result is checked against the rules of the
    IR.
    """
    passes: list[Callable[[Graph], Graph]] = [
        fold_constants,  # first: what is constant should not look like an activation to the others
        absorb_pad,
        fuse_activation,
        dead_channels,
    ]
    if not options.float_faces:
        passes.insert(0, stored_faces)
    graph = verify_ops(verify(graph))
    for step in passes:
        graph = verify_ops(verify(step(graph)))
    constant = [name for name in graph.outputs if name in graph.constants]
    if constant:
        raise ModelError(
            f"model '{graph.name}': output '{constant[0]}' is a constant; take it out of the outputs"
        )
    return graph


def choose_kernels(graph: Graph, board: Board, *, lean: bool = False) -> dict[str, Kernel]:
    """The kernel of every node that is not a view: the fastest, or of those with the least scratch.

    Raises:
        ModelError: lists every node for which there is none, all at once.
    """
    chosen: dict[str, Kernel] = {}
    missing: list[str] = []
    for node in graph.nodes:
        op, call = get_op(node.op), call_of(graph, node)
        if op.view:
            continue
        if call.y.quant is None and call.x.quant is None:
            missing.append(f"{node.name} ({node.op} on {call.x})")
            continue
        try:
            chosen[node.name] = choose(call, op, literals_of(graph, node), board.core.features, lean=lean)
        except ModelError:
            missing.append(f"{node.name} ({node.op} on {call.x})")
    if missing:
        raise ModelError(
            f"model '{graph.name}': no int8 kernel for {listed(missing)}; quantise the model to int8 first"
        )
    return chosen


def compile_graph(graph: Graph, board: Board, options: Options | None = None) -> Build:
    """C for ``graph`` on ``board``'s core, with every buffer placed.

    Raises:
        ModelError: the network uses something that has no kernel. GraphError: it breaks a rule of the IR.
        DoesNotFit: it has more than MAX_NODES nodes, or needs more than MAX_ARENA_BYTES.
    """
    chosen_options = options or Options()
    _refuse_more_than(MAX_NODES, len(graph.nodes), "nodes", graph)
    graph = simplify(replace(graph, name=library_name(graph.name)), chosen_options)
    kernels, planned, leaner = _planned_kernels(graph, board, chosen_options)
    _refuse_more_than(MAX_ARENA_BYTES, planned.arena_bytes, "bytes of activations", graph)
    validate(planned)
    files = {**emit_c(planned, kernels), "CMakeLists.txt": cmake(graph.name)}
    return Build(graph.name, board, planned, layers_of(planned, kernels), files, leaner)


def _planned_kernels(graph: Graph, board: Board, options: Options) -> tuple[dict[str, Kernel], Planned, int]:
    """The fastest kernels where their scratch fits; else as many of them as do, those that do most first.

    The last of the results is how many layers have another one.
    """
    kernels = choose_kernels(graph, board)
    planned = plan_graph(graph, kernels, options.plan)
    most = board.ram_bytes if options.arena_bytes is None else options.arena_bytes
    if planned.arena_bytes <= most:
        return kernels, planned, 0
    lean = choose_kernels(graph, board, lean=True)
    kept, planned = lean, plan_graph(graph, lean, options.plan)
    others = [node for node in graph.nodes if node.name in lean and kernels[node.name] != lean[node.name]]
    for node in sorted(others, key=lambda node: -get_op(node.op).macs(call_of(graph, node))):
        tried = {**kept, node.name: kernels[node.name]}
        plan_of_it = plan_graph(graph, tried, options.plan)
        if plan_of_it.arena_bytes <= max(most, planned.arena_bytes):
            kept, planned = tried, plan_of_it
    return kept, planned, sum(kernels[node.name] != kept[node.name] for node in others)


def _refuse_more_than(most: int, found: int, what: str, graph: Graph) -> None:
    if found > most:
        raise DoesNotFit(
            f"model '{graph.name}': has {found} {what}; at most {most} are compiled: give a smaller model"
        )


def plan_graph(graph: Graph, kernels: Mapping[str, Kernel], options: PlanOptions | None = None) -> Planned:
    """Places every activation, and the scratch that the chosen kernels ask for."""
    nodes = [node for node in graph.nodes if node.name in kernels]
    scratch = {n.name: kernels[n.name].scratch_bytes(literals_of(graph, n)) for n in nodes}
    return plan(graph, {name: size for name, size in scratch.items() if size}, options or PlanOptions())
