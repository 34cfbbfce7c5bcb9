"""What a part is made of: a network, a model, a named instance, a layer or an `extern`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, Problems, Suggestions, failure, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.linked import ArgumentValue, LinkedBlock, called_from
from tncompile.language.resolving.arguments import Matched, match_call
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.layers import make_layer
from tncompile.language.typing.model import Callee, Part, Resolved
from tncompile.language.typing.names import Family
from tncompile.language.typing.parts.externs import make_extern
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.values import Number, Numbers, Strings, term_text

Instantiate = Callable[[LinkedBlock, Mapping[str, ArgumentValue], Mapping[str, Part]], Resolved]
"""Resolves a block with these arguments and the parts that are handed on to it.

Raises `CompileError`, or `Failed` where the same was wrong before.
"""


@dataclass(frozen=True, slots=True)
class Given:
    """An argument of a part: a number, or a part that is handed on."""

    written: tree.Argument
    content: Number | Part

    @property
    def typed(self) -> Typed:
        """The argument as layers take it; TN305 for a part."""
        if isinstance(self.content, Part):
            message = f"`{self.content.name}` is a part; a number is needed here"
            note = "parts are handed on to models that have a parameter of type `part`"
            hint = "give it a number"
            span = self.written.value.span
            there = Label(self.content.declared, "declared here")
            raise failure(Code.WRONG_TYPE, message, span, "a part", note, hint, there)
        return Typed(self.content, self.written.value.span, self.written.name)

    @property
    def key(self) -> Hashable:
        """Equal for the same number, and for the same part."""
        if isinstance(self.content, Part):
            return id(self.content)
        return type(self.content), self.content


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one member is made of: the branch that is taken, and its arguments."""

    node: tree.Call | tree.Extern
    arguments: tuple[Given, ...]

    @property
    def key(self) -> Hashable:
        """Equal for members that are made of the same."""
        return id(self.node), tuple(given.key for given in self.arguments)


def read_recipe(reader: Reader, choice: tree.Choice) -> Recipe:
    """The branch that is taken, with its arguments; the other is not looked at."""
    while isinstance(choice, tree.PartChoice):
        choice = choice.chosen if reader.truth(choice.condition) else choice.otherwise
    return Recipe(choice, tuple(_given(reader, argument) for argument in choice.arguments))


def _given(reader: Reader, argument: tree.Argument) -> Given:
    node = reader.chosen(argument.value)
    part: object = None
    match node:
        case tree.Reference(name):
            family = reader.entity(name)
            if isinstance(family, Family) and family.what == "part":
                part = family.member((), node.span)
        case tree.Item():
            part = reader.member(node)
    return Given(argument, part if isinstance(part, Part) else reader.number(node))


_Made = tuple[Callee, Mapping[str, Part]]


@dataclass(slots=True)
class Maker:
    """Makes what the parts of one statement are instances of."""

    blocks: Mapping[str, LinkedBlock]
    instantiate: Instantiate
    suggestions: Suggestions = field(default_factory=Suggestions)
    made: dict[Hashable, _Made] = field(default_factory=dict)

    def callee(self, reader: Reader, recipe: Recipe) -> _Made:
        """What a part is an instance of, and the parts that are handed on to it."""
        if isinstance(recipe.node, tree.Extern):  # the shapes it claims may depend on the member
            return self._make(reader, recipe)
        key = recipe.key
        if key not in self.made:
            self.made[key] = self._make(reader, recipe)
        return self.made[key]

    def difference(
        self, reader: Reader, recipe: Recipe, first: Recipe, callee: Callee
    ) -> Span | None:
        """Where a member is made of something else than the first one; None where it is not."""
        if recipe.node is not first.node:
            return recipe.node.span
        for each, other in zip(recipe.arguments, first.arguments, strict=True):
            if each.key != other.key:
                return each.written.value.span
        is_extern = isinstance(recipe.node, tree.Extern)
        differs = is_extern and self._make(reader, recipe)[0] != callee
        return recipe.node.span if differs else None

    def _make(self, reader: Reader, recipe: Recipe) -> _Made:
        node = recipe.node
        if isinstance(node, tree.Extern):
            given = [each.typed for each in recipe.arguments]
            return make_extern(reader, node, given), {}
        if not isinstance(node.function, tree.Reference):
            raise Failed(None)  # the grammar has no such part
        name = node.function.name
        block = self.blocks.get(name.text)
        if block is None:
            return make_layer(reader.typing, name, [each.typed for each in recipe.arguments]), {}
        return self._instance(reader.typing, block, name, recipe.arguments)

    def _instance(
        self, typing: Typing, block: LinkedBlock, name: tree.Name, given: Sequence[Given]
    ) -> _Made:
        definition, arguments = block.definition, block.arguments
        if not isinstance(definition, tree.Block):
            message = f"`{name.text}` is a rewrite, not a network or a model"
            note = "parts are networks, models, layers of torch and what is `extern`"
            hint, there = "name a network or a model", Label(block.declared, "declared here")
            raise failure(Code.UNKNOWN_NAME, message, name.span, "a rewrite", note, hint, there)
        handed: dict[str, Part] = {}
        if arguments is None:
            matched = Matched(definition, name.span, Problems(), self.suggestions, hands=True)
            contents = {id(each.written): each for each in given}

            def keep(matched: Matched, parameter: tree.Parameter, argument: tree.Argument) -> None:
                each = contents[id(argument)]
                if wrong := _wrong_type(parameter, each):
                    matched.problems.add(wrong)
                    matched.failed.add(parameter.name.text)
                elif isinstance(each.content, Part):
                    matched.handed.add(parameter.name.text)
                    handed[parameter.name.text] = each.content
                else:
                    matched.arguments[parameter.name.text] = _argument(each.content, argument)

            match_call(matched, [each.written for each in given], keep)
            matched.check_missing()
            _raise(typing, matched.problems)
            arguments = matched.arguments
        elif given:
            _raise(typing, Problems(_no_arguments(block, given)))
        try:
            return self.instantiate(block, arguments, handed), handed
        except CompileError as error:
            typing.problems.extend(called_from(name.span, arguments, error.diagnostics))
            raise Failed(None) from None


def _raise(typing: Typing, problems: Problems) -> None:
    """Raise `Failed` where there are errors, which are kept."""
    if problems.errors:
        typing.problems.extend(problems.errors)
        raise Failed(None)


def _argument(number: Number, written: tree.Argument) -> ArgumentValue:
    """The argument as `bind` takes it, which knows text and lists of floats by their type alone."""
    span = written.value.span
    match number:
        case str():
            return ArgumentValue("string", span)
        case Numbers() | Strings():
            what = "floats" if isinstance(number, Numbers) else "strings"
            return ArgumentValue(f"list of {what}", span)
        case _:
            return ArgumentValue(number, span)


def _wrong_type(parameter: tree.Parameter, given: Given) -> Diagnostic | None:
    """TN305 for a part where a number is wanted, and the other way round."""
    name, wanted = parameter.name.text, parameter.type.name.text
    is_part = isinstance(given.content, Part)
    if is_part is (wanted == "part"):
        return None
    if isinstance(given.content, Part):
        message = f"`{name}` takes no part, and `{given.content.name}` is one"
        label, hint = "a part", f"give `{name}` a value of its type, or declare it as `part`"
    else:
        text = term_text(given.content)
        message, label = f"`{name}` takes a part, not {text}", f"this is {text}"
        hint = f"give `{name}` a part of this model"
    note = f"`{name}` is declared as `{wanted}`"
    span, there = given.written.value.span, Label(parameter.name.span, "declared here")
    return problem(Code.WRONG_TYPE, message, span, label, note, hint, there)


def _no_arguments(block: LinkedBlock, given: Sequence[Given]) -> Iterator[Diagnostic]:
    for each in given:
        message = f"`{block.name}` is a named instance and takes no arguments"
        note = "a named instance is itself without parameters"
        hint = "make the part from the block behind it"
        span = (each.written.name or each.written).span
        there = Label(block.declared, "its arguments are given here")
        code, label = Code.WRONG_ARGUMENT, "unknown argument"
        yield problem(code, message, span, label, note, hint, there)
