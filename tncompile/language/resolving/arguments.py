"""The arguments of a call, in the file or from outside, matched to the parameters of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import tncompile.language.resolving.matching as matching
import tncompile.language.resolving.python_values as python_values
from tncompile.language.checking.name_rules import foreign_constant
from tncompile.language.checking.usage_rules import expression_problems
from tncompile.language.diagnostics.collector import Failed, Problems, Suggestions, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.spelling import longer_name
from tncompile.language.evaluating.compiled import evaluate
from tncompile.language.evaluating.functions import readable
from tncompile.language.evaluating.scope import Scope
from tncompile.language.linked import ArgumentValue
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import Value
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.walk import values_used

Keep = Callable[["Matched", tree.Parameter, tree.Argument], None]
"""Keeps the argument for a parameter, or reports what is wrong with it."""


@dataclass(slots=True)
class Matched:
    """The arguments by parameter so far, and what is wrong with them.

    `called` is the name in the file that calls the block; None for a call from outside, whose
    problems are reported at the declarations of the parameters. `named` are the parameters that the
    call gives by name, which no other argument can be meant for. `failed` arguments have no value;
    where one is `misnamed`, the parameter it was meant for is not missing. A model `hands` parts
    on: `handed` are the parameters that it gives one for.
    """

    block: tree.Block
    called: Span | None
    problems: Problems
    suggestions: Suggestions
    arguments: dict[str, ArgumentValue] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    named: frozenset[str] = frozenset()
    misnamed: bool = False
    hands: bool = False
    handed: set[str] = field(default_factory=set)
    parameters: Mapping[str, tree.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = {parameter.name.text: parameter for parameter in self.block.parameters}

    def wrong(
        self,
        message: str,
        span: Span | None,
        label: str,
        hint: str,
        parameter: tree.Parameter | None = None,
    ) -> None:
        """TN208 at `span`, which is None for a call from outside."""
        self.misnamed = True
        declared = parameter.name.span if parameter else self.block.name.span
        place = span or declared
        takes = f"takes {listed(self.parameters)}" if self.parameters else "takes no arguments"
        note = f"`{self.block.name.text}` {takes}"
        labels = (Label(declared, "declared here"),) if declared != place else ()
        self.problems.add(problem(Code.WRONG_ARGUMENT, message, place, label, note, hint, labels))

    def unknown(self, name: str, span: Span | None) -> None:
        """TN208 for an argument that there is no parameter for."""
        filled = {*self.arguments, *self.failed, *self.named, *self.handed}
        names = [name for name in self.parameters if name not in filled]
        close = self.suggestions.closest(name, names) or longer_name(name, names)
        hint = f"did you mean `{close}`?" if close else "remove it"
        message = f"`{self.block.name.text}` has no parameter `{name}`"
        meant = self.parameters[close] if close and span is not None else None
        self.wrong(message, span, "unknown argument", hint, meant)

    def check_missing(self) -> None:
        """TN208 for the parameters that have neither an argument nor a default."""
        given = {*self.arguments, *self.failed, *self.handed}
        missing = {
            name: parameter.name.span
            for name, parameter in self.parameters.items()
            if parameter.default is None and name not in given
        }
        if not missing or self.misnamed:
            return
        parts = (name for name in missing if self.parameters[name].type.name.text == "part")
        if not self.hands and (part := next(parts, None)) is not None:
            self.problems.add(self._only_a_part(self.parameters[part]))
            return
        first = self.called or next(iter(missing.values()))
        written = ", ".join(f"{name} = …" for name in missing)
        message, label = matching.missing_texts(self.block.name.text, [*missing])
        note, hint = "a parameter without a default has to be given", f"add `{written}`"
        if not self.arguments and not self.failed:
            hint = f"write `{self.block.name.text}({written})`"
        places = [span for span in list(missing.values())[:6] if span != first]
        labels = tuple(Label(span, "declared here, without a default") for span in places)
        self.problems.add(problem(Code.WRONG_ARGUMENT, message, first, label, note, hint, labels))

    def _only_a_part(self, parameter: tree.Parameter) -> Diagnostic:
        """TN305 where a block that takes a part is called outside of any model."""
        declared, called = parameter.name.span, self.block.name.text
        place = self.called or declared
        labels = (Label(declared, "declared here"),) if declared != place else ()
        message = f"`{called}` takes a part as `{parameter.name.text}`: it cannot stand alone"
        note = "a parameter of type `part` takes a part of the model that the block is a part of"
        hint = f"make it a part of a model: `part p = {called}({parameter.name.text} = q, …)`"
        label = "a part is needed"
        return problem(Code.WRONG_TYPE, message, place, label, note, hint, labels)


def match_call(
    matched: Matched, arguments: Sequence[tree.Argument], keep: Keep | None = None
) -> None:
    """Match the arguments of a call as written: by position first, then by name.

    Those of a call outside of any model are constants; for others, `keep` says what they are.
    """
    keep = keep or _evaluate
    matched.named |= {each.name.text for each in arguments if each.name is not None}
    called, parameters = matched.block.name.text, matched.parameters

    def wrong(slip: matching.Slip[tree.Argument]) -> None:
        span = None if matched.called is None else (slip.argument.name or slip.argument).span
        if slip.kind == "unknown":
            matched.unknown(slip.name, span)
        else:
            matched.wrong(
                slip.message, span, slip.label, _HINTS[slip.kind], parameters.get(slip.name)
            )

    for name, argument in matching.matched(called, arguments, [*parameters], parameters, wrong):
        assert name is not None
        keep(matched, parameters[name], argument)


_HINTS = {
    "unnamed": "name this argument, too",
    "surplus": "remove it",
    "repeated": "remove one of the two",
}


def _evaluate(matched: Matched, parameter: tree.Parameter, argument: tree.Argument) -> None:
    """Keep the value of the argument, which is evaluated with no name in scope."""
    problems = list(_problems(argument.value, matched.suggestions))
    value: Value | str | None = None
    if not problems and isinstance(argument.value, tree.ListOf) and parameter.type.length is None:
        value = "list"  # refused as a whole, whatever its items are
    elif not problems:
        try:
            value = evaluate(argument.value, Scope())
        except Failed as failed:
            problems = [failed.diagnostic] if failed.diagnostic else []
    text, span = None, argument.value.span
    if matched.called is None:
        text, span = python_values.shortened(one_line(argument.span)), parameter.name.span
    for diagnostic in problems:
        if text is not None:  # the argument has no place in the file
            notes = (f"the argument is `{text}`", *diagnostic.notes)
            label = Label(span, diagnostic.primary.text)
            diagnostic = replace(diagnostic, primary=label, secondary=(), notes=notes)
        matched.problems.add(diagnostic)
    if problems:
        matched.failed.add(parameter.name.text)
    if value is not None:
        matched.arguments[parameter.name.text] = ArgumentValue(value, span, text)


def _problems(expression: tree.Expression, suggestions: Suggestions) -> Iterator[Diagnostic]:
    for used in values_used(expression, into=readable):
        name, span = used.name.text, used.name.span
        message = f"there is no value `{name}` here"
        note = "the arguments of an instance stand outside of any block: they are constants"
        hint = foreign_constant(name)
        match expression:
            case tree.Binary("==", tree.Reference(left), right) if left.text == name and not hint:
                written = f"{name} = {python_values.shortened(one_line(right.span))}"
                hint = f"an argument is given with one sign: `{written}`"
            case _:
                hint = hint or "write the value"
        yield problem(Code.UNKNOWN_NAME, message, span, "unknown name", note, hint)
    yield from expression_problems(expression, suggestions)


def match_values(matched: Matched, arguments: Mapping[str, object]) -> None:
    """Match Python values, by name."""
    matched.named |= arguments.keys()
    for name, python_value in arguments.items():
        if name not in matched.parameters:
            matched.unknown(name, None)
            continue
        parameter = matched.parameters[name]
        if name in matched.arguments:
            hint = "give it in the target or in Python, not in both"
            matched.wrong(f"`{name}` is given twice", None, "given twice", hint, parameter)
            continue
        value = python_values.language_value(python_value)
        text = f"{name} = {python_values.quoted(python_value, value)}"
        advice = python_values.suggested_item(python_value) if isinstance(value, str) else None
        matched.arguments[name] = ArgumentValue(value, parameter.name.span, text, advice)


def called_name(call: tree.Call) -> tree.Reference | None:
    """The name that a call calls."""
    return call.function if isinstance(call.function, tree.Reference) else None
