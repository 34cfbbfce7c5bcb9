"""The rules a program must keep: one rule, one function, one code.

`naming`, `usage` and `legs` are rules on a block as it is written, `structure` those on the
unrolled network.
"""

from collections.abc import Iterator

from tncompile.language.checking import legs, naming, usage
from tncompile.language.checking.names import collect
from tncompile.language.diagnostics import Diagnostic
from tncompile.language.problems import Suggestions
from tncompile.language.syntax import Block


def check_block(block: Block, suggestions: Suggestions) -> Iterator[Diagnostic]:
    """What is wrong with a network block whatever its arguments are."""
    names = collect(block)
    for rule in (*naming.RULES, *usage.RULES, *legs.RULES):
        yield from rule(names, suggestions)
