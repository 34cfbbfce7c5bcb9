"""Which blocks the blocks of a file use."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import walk


def blocks_used(program: tree.Program) -> set[str]:
    """Every name that may be a block's: targets of instances, rewrites, and all names in models."""
    return {
        node.name.text
        for declaration in program.declarations
        for expression in _expressions(declaration)
        for node in walk(expression)
        if isinstance(node, tree.Reference)
    }


def _expressions(declaration: object) -> Iterator[tree.Expression]:
    match declaration:
        case tree.Instance(_, _, target):
            yield target
        case tree.Rewrite(_, rules):
            yield from (rule.target for rule in rules if rule.target is not None)
        case tree.Block("model", _, _, statements):
            for statement in statements:
                match statement:
                    case tree.PartStatement(value=tree.Call() as call):
                        yield call
                    case tree.Let(_, value) | tree.ModelOutput(value):
                        yield value
                    case _:
                        pass
        case _:
            pass
