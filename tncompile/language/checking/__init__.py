"""The rules a program must keep: one rule, one function, one code.

`name_rules`, `usage_rules` and `leg_rules` are rules on a block as it is written, `structure_rules`
and `capacity_rules` those on the unrolled network.
"""

from collections.abc import Iterator

from tncompile.language.checking import leg_rules, name_rules, usage_rules
from tncompile.language.checking.symbols import collect
from tncompile.language.diagnostics.collector import Suggestions
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.syntax.tree import Block


def check_block(block: Block, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """What is wrong with a network block whatever its arguments are."""
    names = collect(block, suggestions)
    for rule in (*name_rules.RULES, *usage_rules.RULES, *leg_rules.RULES):
        yield from rule(names)
