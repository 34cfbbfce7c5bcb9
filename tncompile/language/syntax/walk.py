"""Walking expressions without recursion, however long a left-grouped chain is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tncompile.language.syntax import tree

_LEAVES = (tree.Number, tree.Reference, tree.String, tree.Boolean)


def children(node: tree.Node) -> Iterator[tree.Expression]:
    """The expressions directly inside a node, its arguments or its legs, in the order written."""
    for part in node.parts():
        for each in part if isinstance(part, tuple) else (part,):
            if isinstance(each, tree.Expression):
                yield each
            elif isinstance(each, tree.Node):
                yield from children(each)


def walk(
    *expressions: tree.Expression, into: Callable[[tree.Expression], bool] = lambda _: True
) -> Iterator[tree.Expression]:
    """The nodes of the expressions, parents first; only the parts of nodes that `into` allows."""
    todo = list(reversed(expressions))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _LEAVES) and into(node):
            todo.extend(reversed([*children(node)]))


def choices(expression: tree.Expression) -> Iterator[tree.Expression]:
    """What the value of an expression is chosen from: both sides of each `if`, in order."""
    todo = [expression]
    while todo:
        node = todo.pop()
        if isinstance(node, tree.Conditional):
            todo += [node.otherwise, node.chosen]
        else:
            yield node


def conditions(expression: tree.Expression) -> Iterator[tree.Expression]:
    """The conditions that decide between `choices`, in order."""
    todo = [expression]
    while todo:
        node = todo.pop()
        if isinstance(node, tree.Conditional):
            yield node.condition
            todo += [node.otherwise, node.chosen]


def values_used(
    *expressions: tree.Expression, into: Callable[[tree.Expression], bool] = lambda _: True
) -> Iterator[tree.Reference]:
    """The names used as values, in order: all references but the names of called functions."""
    called: set[int] = set()
    for node in walk(*expressions, into=into):
        if isinstance(node, tree.Call):
            called.add(id(node.function))
        elif isinstance(node, tree.Reference) and id(node) not in called:
            yield node
