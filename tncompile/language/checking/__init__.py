"""The rules a program must keep: one rule, one function, one code.

`name_rules`, `usage_rules` and `leg_rules` are rules on a block as it is written, `structure_rules`
and `capacity_rules` those on the unrolled network; `window_rules` has some of both.
"""

from collections.abc import Iterator

from tncompile.language.checking import (
    leg_rules,
    name_rules,
    structure_rules,
    usage_rules,
    window_rules,
)
from tncompile.language.checking.symbols import collect
from tncompile.language.diagnostics.collector import Suggestions
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.syntax.tree import Block

BLOCK_RULES = (*name_rules.RULES, *usage_rules.RULES, *leg_rules.RULES, *window_rules.RULES)


def check_block(block: Block, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """What is wrong with a network block whatever its arguments are."""
    names = collect(block, suggestions)
    for rule in BLOCK_RULES:
        yield from rule(names)


def check_network(network: ResolvedNetwork) -> Iterator[Diagnostic]:
    """What is wrong with the structure of an unrolled network."""
    structure = structure_rules.Structure(network)
    for rule in (*structure_rules.RULES, window_rules.faces):
        yield from rule(structure)
