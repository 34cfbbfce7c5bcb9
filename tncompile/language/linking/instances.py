"""The blocks of a file, and named instances of them: `network N = Other(arguments)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Problems, Suggestions, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.evaluating.scope import Scope
from tncompile.language.instantiating.instances import Instances
from tncompile.language.linked import LinkedBlock, called_from, can_be_compiled
from tncompile.language.resolving.arguments import Matched, called_name, match_call
from tncompile.language.resolving.binding import bind
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Block, Instance, Rewrite
from tncompile.language.typing.model import Resolved


@dataclass(slots=True)
class File:
    """What is known about one file while it is linked: the blocks so far, in order.

    `places` say where this file brings each in. `own` are all blocks that the file declares itself,
    those still to come, too. Names in `lost` failed to be imported or declared; with `open`, any
    unknown name may have.
    """

    blocks: dict[str, LinkedBlock] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    own: Mapping[str, Block | Instance | Rewrite] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    open: bool = False

    def may_be_lost(self, name: str) -> bool:
        """Whether a failed import may be the reason that `name` is unknown."""
        return name in self.lost or (self.open and name not in self.blocks)


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
    if target.arguments is None:
        matched = Matched(target.definition, span, Problems(), suggestions)
        match_call(matched, instance.target.arguments)
        matched.check_missing()
        arguments, errors = matched.arguments, matched.problems.errors
        if not errors:
            binding = Problems()
            bind(target.definition, arguments, Scope(), binding)
            errors = tuple(called_from(instance.name.span, arguments, binding.errors))
        problems.extend(errors)
        if errors:
            return None
    else:
        arguments = dict(target.arguments)
        for argument in instance.target.arguments:
            message = f"`{target.name}` is a named instance and takes no arguments"
            note = "a named instance is itself without parameters"
            hint = "make the instance from the block behind it"
            declared = Label(target.declared, "its arguments are given here")
            place = (argument.name or argument).span
            code, label = Code.WRONG_ARGUMENT, "unknown argument"
            problems.add(problem(code, message, place, label, note, hint, declared))
    own, doc = instance.name, target.doc if instance.doc is None else instance.doc
    return LinkedBlock(
        own.text, instance.kind, (), doc, own.span, target.definition, arguments, scope=target.scope
    )


def resolve_instances(blocks: Mapping[str, LinkedBlock]) -> dict[str, Resolved]:
    """The file's own named instances, resolved; each mistake in them is reported once."""
    problems, instantiate = Problems(), Instances()
    resolved: dict[str, Resolved] = {}
    for name, block in blocks.items():
        definition, arguments = block.definition, block.arguments
        if block.imported or arguments is None or not can_be_compiled(block):
            continue
        if not isinstance(definition, Block):
            continue
        try:
            resolved[name] = instantiate(block, arguments, {})
        except CompileError as error:
            problems.extend(called_from(block.declared, arguments, error.diagnostics))
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
    kind, a_kind = instance.kind, f"a {instance.kind}"
    if target is not None:
        label = f"a {target.kind}"
        message = f"`{name}` is {label}, not {a_kind}"
        note = f"an instance that is {a_kind} is made from {a_kind}"
        hint = f"write `{target.kind} {instance.name.text} = {name}(…)`"
        if target.kind not in ("model", "network"):
            hint = f"name {a_kind}"
        declared = Label(target.declared, "declared here")
        return problem(Code.UNKNOWN_NAME, message, span, label, note, hint, declared)
    own = instance.name.text
    named = "a named instance is another block, declared before it, with its arguments"
    order = "every block is declared, or imported, before it is used"
    secondary: tuple[Label, ...] = ()
    notes: str | tuple[str, ...] = named
    if name == own:
        message, label = f"`{name}` cannot be an instance of itself", "this is the instance itself"
        other = f"`{kind} {own} = OTHER(…)`"
        hint = f"name another block, {other}, or write it out: `{kind} {name}(…) {{ … }}`"
    elif circle := _circle(instance, file):
        file.lost.update(circle)  # reported once
        message = f"{listed(circle)} define each other"
        label = f"`{name}` is an instance that leads back to `{own}`"
        others = list(circle.values())[1:7]
        secondary = tuple(Label(other.name.span, "in the circle") for other in others)
        hint = f"write one of them out: `{kind} {own}(…) {{ … }}`"
    elif name in file.own and name not in file.blocks:
        message, label = f"`{name}` is used before it is declared", "not declared yet"
        notes, hint = order, f"move the declaration of `{name}` up"
    else:
        message = f"there is no {kind} `{name}`" if name else f"the name of {a_kind} is needed"
        label = "unknown name"
        offered = [block.name for block in file.blocks.values() if block.kind == kind]
        known = (
            f"declared before: {listed(offered)}" if offered else f"no {kind} is declared before"
        )
        notes = (known, order)
        close = suggestions.closest(name, offered)
        hint = f"did you mean `{close}`?" if close else "declare it above, or import it"
    return problem(Code.UNKNOWN_NAME, message, span, label, notes, hint, secondary)


def _circle(instance: Instance, file: File) -> dict[str, Instance]:
    """The instances from this one on, each made from the next; empty unless they lead back."""
    circle: dict[str, Instance] = {}
    declaration: object = instance
    while isinstance(declaration, Instance) and declaration.name.text not in circle:
        circle[declaration.name.text] = declaration
        function = called_name(declaration.target)
        declaration = None if function is None else file.own.get(function.name.text)
    return circle if declaration is instance else {}
