"""Walking expressions without recursion, however long a left-grouped chain is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

from tncompile.language.syntax import tree


def children(node: tree.Expression) -> tuple[tree.Expression, ...]:
    """The expressions directly inside one, in the order written."""
    match node:
        case tree.Number() | tree.String() | tree.Boolean() | tree.Reference() | tree.Dots():
            return ()
        case tree.ListOf(items) | tree.TupleOf(items):
            return items
        case tree.Unary(_, operand):
            return (operand,)
        case tree.Binary(_, left, right):
            return left, right
        case tree.Conditional(condition, chosen, otherwise):
            return condition, chosen, otherwise
        case tree.Call(function, arguments):
            return function, *(argument.value for argument in arguments)
        case tree.Item(value, subscripts):
            return value, *subscripts
        case tree.Pipe(value, stage):
            return value, stage
        case tree.Repeat(subscript, stage):
            return subscript.start, subscript.stop, stage
        case _:
            assert_never(node)


def everything(node: tree.Expression) -> bool:
    """Look into every node."""
    return True


def walk(
    *expressions: tree.Expression, into: Callable[[tree.Expression], bool] = everything
) -> Iterator[tree.Expression]:
    """The nodes of the expressions, parents first; only the parts of nodes that `into` allows."""
    todo = list(reversed(expressions))
    while todo:
        node = todo.pop()
        yield node
        if into(node):
            todo.extend(reversed(children(node)))


def values_used(
    *expressions: tree.Expression, into: Callable[[tree.Expression], bool] = everything
) -> Iterator[tree.Reference]:
    """The names used as values, in order: all references but the names of called functions."""
    todo = list(reversed(expressions))
    while todo:
        node = todo.pop()
        if isinstance(node, tree.Reference):
            yield node
        inside = children(node) if into(node) else ()
        if isinstance(node, tree.Call) and isinstance(node.function, tree.Reference):
            inside = inside[1:]
        todo.extend(reversed(inside))
