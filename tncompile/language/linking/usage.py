"""Which blocks the blocks of a file use."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.language.syntax.tree import (
    Block,
    Call,
    Expression,
    Instance,
    Let,
    ModelOutput,
    PartStatement,
    Program,
    Reference,
    Rewrite,
)
from tncompile.language.syntax.walk import walk


def blocks_used(program: Program) -> set[str]:
    """Every name that may be a block's: targets of instances, rewrites, and all names in models."""
    return {
        node.name.text
        for declaration in program.declarations
        for expression in _expressions(declaration)
        for node in walk(expression)
        if isinstance(node, Reference)
    }


def _expressions(declaration: object) -> Iterator[Expression]:
    match declaration:
        case Instance(_, _, target):
            yield target
        case Rewrite(_, rules):
            yield from (rule.target for rule in rules if rule.target is not None)
        case Block("model", _, _, statements):
            for statement in statements:
                match statement:
                    case PartStatement(value=Call() as call):
                        yield call
                    case Let(_, value) | ModelOutput(value):
                        yield value
                    case _:
                        pass
        case _:
            pass
