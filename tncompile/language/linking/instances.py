"""Named instances: `network N = Other(arguments)`."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.language.diagnostics.collector import (
    Problems,
    Suggestions,
    listed,
    problem,
    with_article,
)
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.evaluating.scope import Scope
from tncompile.language.linked import LinkedBlock, called_from, can_be_compiled
from tncompile.language.linking.files import File
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.resolving.arguments import Matched, called_name, match_call
from tncompile.language.resolving.binding import bind
from tncompile.language.resolving.networks import resolve_network
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Block, Instance


def link_instance(
    instance: Instance, file: File, problems: Problems, suggestions: Suggestions
) -> LinkedBlock | None:
    """The instance with its arguments matched; None where it failed, which `problems` says why."""
    function = called_name(instance.target)
    name = function.name.text if function is not None else ""
    target = file.blocks.get(name)
    if target is None and file.may_be_lost(name):
        return None
    span = instance.target.function.span
    if target is None or target.kind != instance.kind or not isinstance(target.definition, Block):
        problems.add(_no_target(instance, name, span, target, file, suggestions))
        return None
    if target.given is None:
        matched = Matched(target.definition, span, problems, suggestions)
        match_call(matched, instance.target.arguments)
        matched.check_missing()
        if matched.lost:
            return None
        given = matched.given
        found = Problems()
        bind(target.definition, given, Scope(), found)
        problems.extend(called_from(instance.name.span, given, found.errors))
        if found.errors:
            return None
    else:
        given = dict(target.given)
        for argument in instance.target.arguments:
            place = argument.name.span if argument.name is not None else argument.span
            problems.add(_takes_nothing(target, place))
    return LinkedBlock(
        instance.name.text,
        instance.kind,
        (),
        instance.doc if instance.doc is not None else target.doc,
        instance.name.span,
        target.definition,
        given,
    )


def resolve_instances(blocks: Mapping[str, LinkedBlock]) -> dict[str, ResolvedNetwork]:
    """The file's own instances of networks, resolved; each mistake in them is reported once."""
    problems = Problems()
    resolved: dict[str, ResolvedNetwork] = {}
    for name, block in blocks.items():
        definition = block.definition
        if block.imported or block.given is None or not isinstance(definition, Block):
            continue
        if not can_be_compiled(block):
            continue
        try:
            resolved[name] = resolve_network(
                definition, block.given, name, block.doc, instance=True
            )
        except CompileError as error:
            problems.extend(called_from(block.declared, block.given, error.diagnostics))
    problems.raise_errors()
    return resolved


def _no_target(
    instance: Instance,
    name: str,
    span: Span,
    target: LinkedBlock | None,
    file: File,
    suggestions: Suggestions,
) -> Diagnostic:
    kind = instance.kind
    if target is not None:
        return problem(
            Code.UNKNOWN_NAME,
            f"`{name}` is {with_article(target.kind)}, not {with_article(kind)}",
            span,
            with_article(target.kind),
            secondary=(Label(target.declared, "declared here"),),
            notes=(f"an instance that is {with_article(kind)} is made from {with_article(kind)}",),
            hint=f"write `{target.kind} {instance.name.text} = {name}(…)`"
            if target.kind == "model" or target.kind == "network"
            else f"name {with_article(kind)}",
        )
    offered = [block.name for block in file.blocks.values() if block.kind == kind]
    written = f"`{kind} {instance.name.text} = OTHER(…)`"
    if name == instance.name.text:
        return problem(
            Code.UNKNOWN_NAME,
            f"`{name}` cannot be an instance of itself",
            span,
            "this is the instance itself",
            notes=("a named instance is another block, declared before it, with its arguments",),
            hint=f"name another block, {written}, or write it out: `{kind} {name}(…) {{ … }}`",
        )
    if name in file.named and name not in file.blocks:
        return problem(
            Code.UNKNOWN_NAME,
            f"`{name}` is used before it is declared",
            span,
            "not declared yet",
            notes=("every block is declared, or imported, before it is used",),
            hint=f"move the declaration of `{name}` up",
        )
    close = suggestions.closest(name, offered)
    return problem(
        Code.UNKNOWN_NAME,
        f"there is no {kind} `{name}`" if name else f"the name of {with_article(kind)} is needed",
        span,
        "unknown name",
        notes=(
            f"declared before: {listed(offered)}" if offered else f"no {kind} is declared before",
            "every block is declared, or imported, before it is used",
        ),
        hint=f"did you mean `{close}`?" if close else "declare it above, or import it",
    )


def _takes_nothing(target: LinkedBlock, span: Span) -> Diagnostic:
    return problem(
        Code.WRONG_ARGUMENT,
        f"`{target.name}` is a named instance and takes no arguments",
        span,
        "unknown argument",
        secondary=(Label(target.declared, "its arguments are given here"),),
        notes=("a named instance is itself without parameters",),
        hint="make the instance from the block behind it",
    )
