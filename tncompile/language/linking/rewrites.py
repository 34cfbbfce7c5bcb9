"""What is wrong with the lines of a rewrite, whatever model it is for."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.language.diagnostics.collector import Suggestions, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.instantiating.rewrites import check_call
from tncompile.language.linking.instances import File
from tncompile.language.resolving.arguments import called_name
from tncompile.language.syntax import tree

_DECLARED = "every block is declared, or imported, before it is used"


def check_rewrite(
    rewrite: tree.Rewrite, file: File, suggestions: Suggestions
) -> Iterator[Diagnostic]:
    """TN201 for targets that are no block; what is wrong with their arguments.

    Which models stand for a layer, their arguments say.
    """
    for rule in rewrite.rules:
        if rule.target is None:
            continue
        function = called_name(rule.target)
        name = function.name.text if function is not None else ""
        block = file.blocks.get(name)
        if block is None and file.may_be_lost(name):
            continue
        if block is None:
            yield _no_network(rule.target, name, file, suggestions)
        else:
            yield from check_call(rule.target, block, rule.kind, suggestions)


def _no_network(call: tree.Call, name: str, file: File, suggestions: Suggestions) -> Diagnostic:
    span = call.function.span
    if name in file.own:
        message, label = f"`{name}` is used before it is declared", "not declared yet"
        hint = f"move the declaration of `{name}` up"
        return problem(Code.UNKNOWN_NAME, message, span, label, _DECLARED, hint)
    offered = [each.name for each in file.blocks.values() if each.kind == "network"]
    message = f"there is no network `{name}`" if name else "the name of a network is needed"
    known = f"known here: {listed(offered)}" if offered else "no network is declared before"
    close = suggestions.closest(name, offered)
    hint = f"did you mean `{close}`?" if close else "declare it above, or import it"
    notes = (known, _DECLARED)
    return problem(Code.UNKNOWN_NAME, message, span, "unknown name", notes, hint)
