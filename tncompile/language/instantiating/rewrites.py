"""A line of a rewrite and a layer to the network that replaces it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tncompile.language.checking.name_rules import foreign_constant
from tncompile.language.checking.usage_rules import expression_problems
from tncompile.language.diagnostics.collector import Failed, Problems, Suggestions, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.evaluating.compiled import evaluate
from tncompile.language.evaluating.functions import readable
from tncompile.language.evaluating.scope import Scope
from tncompile.language.instantiating.instances import Instances
from tncompile.language.linked import ArgumentValue, LinkedBlock, called_from
from tncompile.language.resolved import Value
from tncompile.language.resolving.arguments import Matched, match_call, match_values
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import values_used
from tncompile.language.typing.model import Resolved

_LINEAR = ("in_features", "out_features", "shape")
_CONV = ("in_channels", "out_channels", "kernel_size", "shape")
_EMBEDDING = ("num_embeddings", "embedding_dim", "shape")

SCOPES: Mapping[str, tuple[str, ...]] = {
    "linear": _LINEAR,
    "conv1d": _LINEAR,
    "conv": _CONV,
    "embedding": _EMBEDDING,
    "parameter": ("shape",),
    "any": tuple(dict.fromkeys((*_LINEAR, *_CONV, *_EMBEDDING))),
}
"""The values of a match that a call may use, by the kind of its line."""

FROM_LAYERS = (
    *("in_features", "out_features", "in_channels", "out_channels", "kernel_size"),
    *("ins", "outs", "rows", "columns"),
)
"""Parameters without a default that a layer fills in where a call leaves them out."""


def check_call(
    call: tree.Call, block: LinkedBlock, kind: str, suggestions: Suggestions
) -> Iterator[Diagnostic]:
    """What is wrong with a call whatever layer it is for: names, arguments, their types."""
    if block.arguments is not None:
        yield from _of_an_instance(call, block)
        return
    scope = Scope(declared=dict.fromkeys(SCOPES[kind], call.span))
    matched = _matched(call, block, kind, scope, suggestions)
    if kind != "parameter":
        matched.failed.update(name for name in FROM_LAYERS if name in matched.parameters)
    matched.check_missing()
    yield from matched.problems.errors


def call_arguments(
    call: tree.Call, block: LinkedBlock, kind: str, values: Mapping[str, Value]
) -> Matched:
    """The arguments that a call has for a layer with these `values`. Raises `CompileError`."""
    if block.arguments is not None:
        assert isinstance(block.definition, tree.Block)
        matched = Matched(block.definition, call.function.span, Problems(), Suggestions())
        matched.arguments.update(block.arguments)
        return matched
    matched = _matched(call, block, kind, Scope(values=dict(values)), Suggestions())
    matched.problems.raise_errors()
    return matched


def instantiate_call(
    call: tree.Call, block: LinkedBlock, matched: Matched, filled: Mapping[str, object]
) -> Resolved:
    """The block of a call whose missing arguments are `filled` in. Raises `CompileError`.

    Problems are labelled at the call; those that a filled value has, at its parameter.
    """
    arguments = matched.arguments
    problems = Problems()
    whole = Matched(matched.block, call.function.span, problems, Suggestions(), dict(arguments))
    if block.arguments is None:
        match_values(whole, {name: v for name, v in filled.items() if name not in arguments})
        whole.check_missing()
    problems.raise_errors()
    try:
        resolved = Instances()(block, whole.arguments, {})
    except CompileError as error:
        diagnostics = called_from(call.span, whole.arguments, error.diagnostics)
        raise CompileError(tuple(diagnostics)) from None
    return resolved


def _matched(
    call: tree.Call, block: LinkedBlock, kind: str, scope: Scope, suggestions: Suggestions
) -> Matched:
    """The arguments of a call; with values in scope all that are right have one."""
    assert isinstance(block.definition, tree.Block)

    def keep(matched: Matched, parameter: tree.Parameter, argument: tree.Argument) -> None:
        name = parameter.name.text
        problems = [*_unknown(argument.value, kind, scope, suggestions)]
        problems = problems or [*expression_problems(argument.value, suggestions)]
        value: Value | str | None = None
        names = [used.name.text for used in values_used(argument.value, into=readable)]
        if isinstance(argument.value, tree.ListOf) and parameter.type.length is None:
            value = "list"  # refused as a whole, whatever its items are
        elif not problems and all(used in scope.values for used in names):
            try:
                value = evaluate(argument.value, scope)
            except Failed as failed:
                problems = [failed.diagnostic] if failed.diagnostic else []
        matched.problems.extend(problems)
        if value is None:
            matched.failed.add(name)
        else:
            matched.arguments[name] = ArgumentValue(value, argument.value.span)

    matched = Matched(block.definition, call.function.span, Problems(), suggestions)
    match_call(matched, call.arguments, keep)
    return matched


def _unknown(
    expression: tree.Expression, kind: str, scope: Scope, suggestions: Suggestions
) -> Iterator[Diagnostic]:
    """TN201 for names that no layer of this kind has, or not this one."""
    known = [*scope.declared, *scope.values]
    for used in values_used(expression, into=readable):
        name, span = used.name.text, used.name.span
        if name in known:
            continue
        close = suggestions.closest(name, known)
        hint = f"did you mean `{close}`?" if close else foreign_constant(name) or "use one of these"
        message = f"there is no value `{name}` here"
        if name in SCOPES["any"]:
            message = f"`{kind}` layers have no `{name}`"
            if name in SCOPES[kind]:
                message = f"this layer has no `{name}`"
        note = f"what is known of a layer: {listed(known)}"
        yield problem(Code.UNKNOWN_NAME, message, span, "unknown name", note, hint)


def _of_an_instance(call: tree.Call, block: LinkedBlock) -> Iterator[Diagnostic]:
    """TN208 for arguments of a named instance."""
    for argument in call.arguments:
        message = f"`{block.name}` is a named instance and takes no arguments"
        note = "a named instance is itself without parameters"
        hint = "name the block behind it instead"
        place = (argument.name or argument).span
        yield problem(Code.WRONG_ARGUMENT, message, place, "unknown argument", note, hint)
