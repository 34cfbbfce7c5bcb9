"""Walking expressions without recursion, however long a left-grouped chain is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

from tncompile.language.syntax.tree import (
    Binary,
    Boolean,
    Call,
    Conditional,
    Dots,
    Expression,
    Item,
    ListOf,
    Number,
    Pipe,
    Reference,
    Repeat,
    String,
    TupleOf,
    Unary,
)


def children(node: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside one, in the order written."""
    match node:
        case Number() | String() | Boolean() | Reference() | Dots():
            return ()
        case ListOf(items) | TupleOf(items):
            return items
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return left, right
        case Conditional(condition, chosen, otherwise):
            return condition, chosen, otherwise
        case Call(function, arguments):
            return function, *(argument.value for argument in arguments)
        case Item(value, subscripts):
            return value, *subscripts
        case Pipe(value, stage):
            return value, stage
        case Repeat(subscript, stage):
            return subscript.start, subscript.stop, stage
        case _:
            assert_never(node)


def everything(node: Expression) -> bool:
    """Look into every node."""
    return True


def walk(
    *expressions: Expression, into: Callable[[Expression], bool] = everything
) -> Iterator[Expression]:
    """The nodes of the expressions, parents first; only the parts of nodes that `into` allows."""
    todo = list(reversed(expressions))
    while todo:
        node = todo.pop()
        yield node
        if into(node):
            todo.extend(reversed(children(node)))


def values_used(
    *expressions: Expression, into: Callable[[Expression], bool] = everything
) -> Iterator[Reference]:
    """The names used as values, in order: all references but the names of called functions."""
    todo = list(reversed(expressions))
    while todo:
        node = todo.pop()
        if isinstance(node, Reference):
            yield node
        inside = children(node) if into(node) else ()
        if isinstance(node, Call) and isinstance(node.function, Reference):
            inside = inside[1:]
        todo.extend(reversed(inside))
