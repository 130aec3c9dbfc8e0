"""The execution order with the smallest peak of live bytes: dynamic programming over sets of nodes.

What is live depends only on which nodes have run, not on their order, so of all ways to run a set of nodes
one with the smallest peak is enough (Liberis and Lane, "Neural networks on microcontrollers", 2019). At most
``_STATES / nodes`` sets of each size are kept, the most promising ones: the order is optimal while that drops
none, hence always up to ten nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tinyfoundry.ir.graph import Graph
from tinyfoundry.op import get_op, view_roots
from tinyfoundry.plan.aliases import overwritable
from tinyfoundry.plan.bound import lower_bound
from tinyfoundry.plan.lifetimes import align_up, buffers_of

_STATES = 4000

_Path = tuple[int, "_Path"] | None
"""Indices of the nodes that ran, last first."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A node as the search sees it. Sets of nodes are integers, bit i standing for node i.

    needs: nodes that must run before. followers: nodes that may become ready after. reads: (bytes, readers)
    of each buffer it reads that can die. reuse: for each output that may overwrite inputs its bytes, and the
    readers of each of these. own: bytes needed only while it runs (scratch, unread outputs). kept: bytes of
    its outputs that stay.
    """

    needs: int
    followers: tuple[int, ...]
    reads: tuple[tuple[int, int], ...]
    reuse: tuple[tuple[int, tuple[int, ...]], ...]
    own: int
    kept: int


@dataclass(frozen=True, slots=True)
class _State:
    """Nodes that have run, bytes live now, peak on the way, nodes that could run next."""

    done: int
    live: int
    peak: int
    ready: tuple[int, ...]
    path: _Path


def reorder(graph: Graph, scratch: Mapping[str, int], in_place: bool, alignment: int) -> Graph:
    """``graph`` with its nodes in the order with the smallest peak found; unchanged when it has that peak.

    Parameters as in ``buffers_of``. States are left out of the account: they are there at every step.
    """
    states = sum(align_up(graph.types[name].bytes, alignment) for name in graph.states)
    given = lower_bound(buffers_of(graph, scratch, in_place, alignment)) - states
    tasks = _tasks(graph, scratch, in_place, alignment)
    inputs = {name: align_up(graph.types[name].bytes, alignment) for name in graph.inputs}
    roots = view_roots(graph)
    used = {roots[name] for node in graph.nodes for name in node.inputs} | {roots[n] for n in graph.outputs}
    live = sum(size for name, size in inputs.items() if name in used)
    unread = sum(inputs.values()) - live
    # No order goes below what the most demanding node needs for itself, or below the inputs.
    floor = max([live + unread, *(_alone(task) for task in tasks)], default=0)
    if given <= floor:
        return graph
    start = _State(0, live, floor, tuple(i for i, task in enumerate(tasks) if not task.needs), None)
    path = _search(tasks, start, unread, given)
    if path is None:
        return graph
    return replace(graph, nodes=tuple(graph.nodes[i] for i in _unwind(path)))


def _search(tasks: list[_Task], start: _State, unread: int, limit: int) -> _Path:
    """The order with the smallest peak below ``limit``; ``unread``: bytes of inputs that no node reads."""
    width = max(1, _STATES // len(tasks))
    frontier = [start]
    for _ in tasks:
        following: dict[int, _State] = {}
        for state in frontier:
            for after in _moves(tasks, state, unread if state.done == 0 else 0):
                known = following.get(after.done)
                if after.peak < limit and (known is None or after.peak < known.peak):
                    following[after.done] = after
        frontier = sorted(following.values(), key=lambda s: (s.peak, s.live, s.done))[:width]
    return frontier[0].path if frontier else None


def _moves(tasks: list[_Task], state: _State, unread: int) -> Iterator[_State]:
    """The states one step further; only one of them where that step is certain to be as good as any."""
    moves = []
    for index in state.ready:
        after = _run(tasks, state, index, unread)
        # It raises no peak and leaves no more live bytes: having run it only makes every later step cheaper.
        if after.peak == state.peak and after.live <= state.live:
            yield after
            return
        moves.append(after)
    yield from moves


def _run(tasks: list[_Task], state: _State, index: int, unread: int) -> _State:
    task = tasks[index]
    done = state.done | 1 << index
    reused = sum(size for size, targets in task.reuse if any(not readers & ~done for readers in targets))
    during = state.live + unread + task.own + task.kept - reused
    freed = sum(size for size, readers in task.reads if not readers & ~done)
    ready = tuple(i for i in state.ready if i != index)
    ready += tuple(i for i in task.followers if not tasks[i].needs & ~done)
    return _State(done, state.live + task.kept - freed, max(state.peak, during), ready, (index, state.path))


def _unwind(path: _Path) -> list[int]:
    indices = []
    while path is not None:
        index, path = path
        indices.append(index)
    return indices[::-1]


def _alone(task: _Task) -> int:
    reused = sum(size for size, _ in task.reuse)
    return task.own + task.kept - reused + sum(size for size, _ in task.reads)


def _tasks(graph: Graph, scratch: Mapping[str, int], in_place: bool, alignment: int) -> list[_Task]:
    roots = view_roots(graph)
    readers = dict.fromkeys(roots.values(), 0)
    for index, node in enumerate(graph.nodes):
        for name in node.inputs:
            readers[roots[name]] |= 1 << index
    needs = _needs(graph, roots)
    updates = {state.next for state in graph.states.values()}
    # The buffers of outputs and states never die; a constant takes no bytes of the arena.
    lasting = {roots[name] for name in graph.outputs} | set(graph.constants) | set(graph.states) | updates

    def size(name: str) -> int:
        return align_up(graph.types[name].bytes, alignment)

    tasks = []
    for index, node in enumerate(graph.nodes):
        fresh = [] if get_op(node.op).view else [name for name in node.outputs if name not in updates]
        kept = [name for name in fresh if readers[name] or name in lasting]
        read = {roots[name] for name in node.inputs} - lasting
        reuse = []
        for name in fresh if in_place else ():
            targets = overwritable(graph, node, node.outputs.index(name), roots)
            reuse.append((size(name), tuple(readers[roots[t]] for t in targets if roots[t] not in lasting)))
        tasks.append(
            _Task(
                needs=sum(1 << i for i in needs[index]),
                followers=tuple(i for i, before in enumerate(needs) if index in before),
                reads=tuple((size(root), readers[root]) for root in sorted(read)),
                reuse=tuple((bytes_, targets) for bytes_, targets in reuse if targets),
                own=align_up(scratch.get(node.name, 0), alignment) + sum(map(size, set(fresh) - set(kept))),
                kept=sum(map(size, kept)),
            )
        )
    return tasks


def _needs(graph: Graph, roots: Mapping[str, str]) -> list[set[int]]:
    """For each node those that must run before it: what writes its inputs, and, before it updates a state,
    what else reads that state.
    """
    written_by = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs}
    needs = [{written_by[name] for name in node.inputs if name in written_by} for node in graph.nodes]
    for name, state in graph.states.items():
        writer = written_by[state.next]
        needs[writer] |= {
            i for i, node in enumerate(graph.nodes) if i != writer and name in {roots[n] for n in node.inputs}
        }
    return needs
