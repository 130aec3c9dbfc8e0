"""The register of prepared literals, and the literals of a node: the op's own and the prepared ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tinyfoundry.errors import GraphError
from tinyfoundry.ir.graph import Array, Graph, Node
from tinyfoundry.op import Call, Literal, Op, call_of, get_op, ports_of


@dataclass(frozen=True)
class Use:
    """One use of an op with the values of its constants, by port. literals: the op's own."""

    op: Op
    call: Call
    constants: Mapping[str, Array]

    @cached_property
    def literals(self) -> Mapping[str, Literal]:
        """The op's own named numbers and tables."""
        return self.op.literals(self.call)

    def number(self, name: str) -> int:
        """A literal, own or prepared, that is a whole number."""
        value = self.literals[name] if name in self.literals else _MAKERS[name](self)
        assert isinstance(value, int)
        return value


_Maker = Callable[[Use], Literal]
_MAKERS: dict[str, _Maker] = {}


def prepared(maker: _Maker) -> _Maker:
    """Enters a function under its name; kernels of any op whose uses it understands may ask for it."""
    if maker.__name__ in _MAKERS:
        raise GraphError(f"prepared literal '{maker.__name__}' is entered twice")
    _MAKERS[maker.__name__] = maker
    return maker


class Prepared(Mapping[str, Literal]):
    """All literals of a use: the op's own, then what is prepared, made when it is first asked for."""

    def __init__(self, use: Use) -> None:
        self._use = use
        self._made: dict[str, Literal] = dict(use.literals)

    def __getitem__(self, name: str) -> Literal:
        if name not in self._made:
            if name not in _MAKERS:
                raise KeyError(name)
            self._made[name] = _MAKERS[name](self._use)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._made, **_MAKERS})

    def __len__(self) -> int:
        return len({**self._made, **_MAKERS})


def literals_of(graph: Graph, node: Node) -> Prepared:
    """Every literal that a kernel of ``node`` may ask for."""
    values = {i: graph.constants[name] for i, name in enumerate(node.inputs) if name in graph.constants}
    return literals_of_call(get_op(node.op), call_of(graph, node), values)


def literals_of_call(op: Op, call: Call, constants: Mapping[int, Array]) -> Prepared:
    """The same for a call by itself. constants: values of inputs, by position."""
    ports = ports_of(op, len(call.inputs))
    return Prepared(Use(op, call, {ports[position].name: value for position, value in constants.items()}))
