"""The arguments of a call, in the file or from outside, matched to the parameters of a block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tncompile.language.checking.name_rules import foreign_constant
from tncompile.language.checking.usage_rules import foreign_problems, function_problems
from tncompile.language.diagnostics.collector import (
    Failed,
    Problems,
    Suggestions,
    counted,
    listed,
    problem,
)
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.spelling import longer_name
from tncompile.language.evaluating.compiled import evaluate
from tncompile.language.evaluating.functions import readable
from tncompile.language.evaluating.scope import Scope
from tncompile.language.linked import ArgumentValue
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import Value
from tncompile.language.resolving.python_values import (
    language_value,
    quoted,
    shortened,
    suggested_item,
)
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.walk import values_used, walk


@dataclass(slots=True)
class Matched:
    """The arguments by parameter so far, and what is wrong with them.

    `called` is the name in the file that calls the block; None for a call from outside, whose
    problems are reported at the declarations of the parameters. `named` are the parameters that the
    call gives by name, which no other argument can be meant for. `failed` arguments have no value;
    where one is `misnamed`, the parameter it was meant for is not missing.
    """

    block: tree.Block
    called: Span | None
    problems: Problems
    suggestions: Suggestions
    arguments: dict[str, ArgumentValue] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    named: frozenset[str] = frozenset()
    lost: bool = False
    misnamed: bool = False

    def parameter(self, name: str) -> tree.Parameter | None:
        """The parameter of that name."""
        return next((p for p in self.block.parameters if p.name.text == name), None)

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep a problem with an argument."""
        self.lost = True
        self.problems.add(diagnostic)

    def wrong(
        self, message: str, span: Span | None, label: str, hint: str, at: tree.Parameter | None
    ) -> None:
        """TN208 at `span`, which is None for a call from outside."""
        self.misnamed = True
        place = span or (at.name.span if at else self.block.name.span)
        declared = at.name.span if at else self.block.name.span
        names = [p.name.text for p in self.block.parameters]
        takes = f"takes {listed(names)}" if names else "takes no arguments"
        self.report(
            problem(
                Code.WRONG_ARGUMENT,
                message,
                place,
                label,
                secondary=(Label(declared, "declared here"),) if declared != place else (),
                notes=(f"`{self.block.name.text}` {takes}",),
                hint=hint,
            )
        )

    def unknown(self, name: str, span: Span | None) -> None:
        """TN208 for an argument that there is no parameter for."""
        filled = {*self.arguments, *self.failed, *self.named}
        names = [p.name.text for p in self.block.parameters if p.name.text not in filled]
        close = self.suggestions.closest(name, names) or longer_name(name, names)
        hint = f"did you mean `{close}`?" if close else "remove it"
        message = f"`{self.block.name.text}` has no parameter `{name}`"
        at = self.parameter(close) if close and span is not None else None
        self.wrong(message, span, "unknown argument", hint, at)

    def check_missing(self) -> None:
        """TN208 for the parameters that have neither an argument nor a default."""
        missing = [
            parameter
            for parameter in self.block.parameters
            if parameter.default is None
            and parameter.name.text not in self.arguments
            and parameter.name.text not in self.failed
        ]
        if not missing or self.misnamed:
            return
        names = listed(parameter.name.text for parameter in missing)
        written = ", ".join(f"{parameter.name.text} = …" for parameter in missing)
        first = self.called or missing[0].name.span
        declared = [Label(p.name.span, "declared here, without a default") for p in missing]
        self.report(
            problem(
                Code.WRONG_ARGUMENT,
                f"`{self.block.name.text}` needs {names}",
                first,
                "missing argument" if len(missing) == 1 else "missing arguments",
                secondary=tuple(label for label in declared[:6] if label.span != first),
                notes=("a parameter without a default has to be given",),
                hint=f"add `{written}`"
                if self.arguments or self.failed
                else f"write `{self.block.name.text}({written})`",
            )
        )


def match_call(matched: Matched, arguments: Sequence[tree.Argument]) -> None:
    """Match the arguments of a call as written: by position first, then by name."""
    outside = matched.called is None
    matched.named |= {each.name.text for each in arguments if each.name is not None}
    named = False
    for k, argument in enumerate(arguments):
        span = None if outside else argument.span
        if argument.name is not None:
            named = True
            name, span = argument.name.text, None if outside else argument.name.span
            parameter = matched.parameter(name)
            if parameter is None:
                matched.unknown(name, span)
                continue
        elif named:
            message, hint = "arguments by position come first", "name this argument, too"
            matched.wrong(message, span, "after a named one", hint, None)
            continue
        elif k >= len(matched.block.parameters):
            count = len(matched.block.parameters)
            takes = counted(count, "argument") if count else "no arguments"
            message = f"`{matched.block.name.text}` takes {takes}"
            matched.wrong(message, span, "one too many", "remove it", None)
            continue
        else:
            parameter = matched.block.parameters[k]
        if parameter.name.text in matched.arguments:
            message = f"`{parameter.name.text}` is given twice"
            matched.wrong(message, span, "again here", "remove one of the two", parameter)
            continue
        _evaluate(matched, parameter, argument)


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
    text = None
    span = argument.value.span
    if matched.called is None:
        text = shortened(one_line(argument.span))
        span = parameter.name.span
        problems = [_repointed(diagnostic, span, text) for diagnostic in problems]
    for diagnostic in problems:
        matched.report(diagnostic)
    if problems:
        matched.failed.add(parameter.name.text)
    if value is not None:
        matched.arguments[parameter.name.text] = ArgumentValue(value, span, text)


def _problems(expression: tree.Expression, suggestions: Suggestions) -> Iterator[Diagnostic]:
    for used in values_used(expression, into=readable):
        name = used.name.text
        yield problem(
            Code.UNKNOWN_NAME,
            f"there is no value `{name}` here",
            used.name.span,
            "unknown name",
            notes=("the arguments of an instance stand outside of any block: they are constants",),
            hint=foreign_constant(name) or _single_equals(expression, name) or "write the value",
        )
    yield from foreign_problems(expression)
    for node in walk(expression, into=readable):
        if isinstance(node, tree.Call):
            yield from function_problems(node, suggestions)


def _single_equals(expression: tree.Expression, name: str) -> str | None:
    """`N(d == 3)`."""
    match expression:
        case tree.Binary("==", tree.Reference(left), right) if left.text == name:
            return (
                f"an argument is given with one sign: `{name} = {shortened(one_line(right.span))}`"
            )
        case _:
            return None


def _repointed(diagnostic: Diagnostic, span: Span, quoted: str) -> Diagnostic:
    """A problem with an argument from outside, at the declaration of its parameter."""
    notes = (f"the argument is `{quoted}`", *diagnostic.notes)
    label = Label(span, diagnostic.primary.text)
    return replace(diagnostic, primary=label, secondary=(), notes=notes)


def match_values(matched: Matched, arguments: Mapping[str, object]) -> None:
    """Match Python values, by name."""
    matched.named |= arguments.keys()
    for name, python_value in arguments.items():
        parameter = matched.parameter(name)
        if parameter is None:
            matched.unknown(name, None)
            continue
        if name in matched.arguments:
            message = f"`{name}` is given twice"
            hint = "give it in the target or in Python, not in both"
            matched.wrong(message, None, "given twice", hint, parameter)
            continue
        value = language_value(python_value)
        text = f"{name} = {quoted(python_value, value)}"
        advice = suggested_item(python_value) if isinstance(value, str) else None
        matched.arguments[name] = ArgumentValue(value, parameter.name.span, text, advice)


def called_name(call: tree.Call) -> tree.Reference | None:
    """The name that a call calls."""
    return call.function if isinstance(call.function, tree.Reference) else None
