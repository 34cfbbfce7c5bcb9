"""The names of a block as it is written: what is declared, and what each use of a name refers to.

`collect` only looks names up; `name_rules`, `usage_rules` and `leg_rules` judge what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from tncompile.language.diagnostics.collector import Suggestions
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.evaluating.functions import readable
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import choices, conditions, values_used

VALUE_KINDS = ("parameter", "length", "let", "subscript")
LEG_KINDS = ("index", "bond", "hyper", "batch", "window")


WINDOW_WORDS: Mapping[str, tuple[str, ...]] = {
    "padding": ("valid", "same", "causal"),
    "mode": ("zeros", "circular", "reflect", "replicate"),
}
"""The words that an argument of a window may be."""


class Declared(NamedTuple):
    """A name with what it is and how many subscripts it takes.

    `by` is the declaration of a parameter or an index.
    """

    name: tree.Name
    kind: str
    arity: int = 0
    by: tree.Parameter | tree.IndexDeclaration | None = None


class Use(NamedTuple):
    """A name where it is used; `declared` is None where nothing of that name is declared before.

    `local` are the subscripts that could be meant; `size_of` is the index, with its kind, that the
    use helps to declare.
    """

    name: tree.Name
    declared: Declared | None
    local: tuple[str, ...] = ()
    size_of: tuple[str, tree.IndexDeclaration] | None = None


@dataclass(frozen=True)
class LegList:
    """The legs of one statement; `where` is what kind of statement, `owner` its name."""

    where: str
    owner: str
    legs: tuple[tree.Leg, ...]

    def indices(self) -> Iterator[tree.IndexLeg]:
        """The single legs, those in groups included."""
        for leg in self.legs:
            if isinstance(leg, tree.IndexLeg):
                yield leg
            elif isinstance(leg, tree.GroupLeg):
                yield from leg.legs

    @cached_property
    def single(self) -> frozenset[str]:
        """The indices without subscripts: to be there again would be refused."""
        return frozenset(leg.name.text for leg in self.indices() if not leg.subscripts)


class LegUse(NamedTuple):
    """A leg, the statement that it is on, and whether it is on each member of a family."""

    leg: tree.IndexLeg
    declared: Declared | None
    statement: LegList
    on_family: bool


class TieUse(NamedTuple):
    """A `tie` of the tensor `tensor`."""

    tie: tree.Tie
    tensor: Declared
    declared: Declared | None


@dataclass(slots=True)
class BlockNames:
    """All names of a network block, in the order of the text.

    `subscripts` are those of all statements; while names are collected, `local` are those of the
    statement at hand, and `size_of` is the index whose declaration it is.
    """

    block: tree.Block
    suggestions: Suggestions
    scope: dict[str, Declared] = field(default_factory=dict)
    repeated: list[tuple[tree.Name, Declared]] = field(default_factory=list)
    repeated_names: set[str] = field(default_factory=set)
    values: list[Use] = field(default_factory=list)
    expressions: list[tree.Expression] = field(default_factory=list)
    legs: list[LegUse] = field(default_factory=list)
    leg_lists: list[LegList] = field(default_factory=list)
    shares: list[Use] = field(default_factory=list)
    ties: list[TieUse] = field(default_factory=list)
    subscripts: set[str] = field(default_factory=set)
    local: dict[str, Declared] = field(default_factory=dict)
    size_of: tuple[str, tree.IndexDeclaration] | None = None

    def ambiguous(self, name: tree.Name) -> bool:
        """Whether the name is declared twice (TN202): which one is meant is not known."""
        return name.text in self.repeated_names

    def _find(self, name: str) -> Declared | None:
        return self.local.get(name) or self.scope.get(name)

    def _declare(self, declared: Declared) -> None:
        text = declared.name.text
        if declared.kind == "subscript":
            self.subscripts.add(text)
        if (earlier := self._find(text)) is not None:
            self.repeated.append((declared.name, earlier))
            self.repeated_names.add(text)
        elif declared.kind == "subscript":
            self.local[text] = declared
        else:
            self.scope[text] = declared

    def collect_parameter(self, parameter: tree.Parameter) -> None:
        """The default, the length and the name of a parameter."""
        if parameter.default is not None:
            self._values(parameter.default)
        length = parameter.type.length
        if isinstance(length, tree.Reference) and self._find(length.name.text) is None:
            self._declare(Declared(length.name, "length"))
        elif length is not None:
            self._values(length)
        self._declare(Declared(parameter.name, "parameter", 0, parameter))

    def collect_statement(self, statement: tree.Statement) -> None:
        """The names in a statement; it declares its own when all others are looked up."""
        self.local = {}
        match statement:
            case tree.Let(name, value):
                self._values(value)
                self._declare(Declared(name, "let"))
            case tree.Require(condition, _):
                self._values(condition)
            case tree.IndexStatement(kind, declarations):
                for declaration in declarations:
                    self.local, self.size_of = {}, (kind, declaration)
                    self._parts(declaration.subscripts)
                    self._values(declaration.size, declaration.condition)
                    arity = len(declaration.subscripts)
                    self._declare(Declared(declaration.name, kind, arity, declaration))
                self.size_of = None
            case tree.BatchStatement(batches):
                for batch in batches:
                    self._values(batch.usual, batch.condition)
                    self._declare(Declared(batch.name, "batch"))
            case tree.WindowStatement(windows):
                for window in windows:
                    self.local = {}
                    self._parts(window.subscripts)
                    self._window_values(window.arguments)
                    self._declare(Declared(window.name, "window", len(window.subscripts)))
            case tree.InputStatement(name, subscripts, legs, condition):
                self._parts(subscripts)
                self._values(condition)
                self._legs(LegList("input", name.text, legs))
                self._declare(Declared(name, "input", len(subscripts)))
            case tree.TensorStatement(name, subscripts, legs, attributes):
                self._parts(subscripts)
                self._legs(LegList("tensor", name.text, legs))
                self._parts(attributes)
                tensor = Declared(name, "tensor", len(subscripts))
                own = tuple(subscript.name.text for subscript in subscripts)
                self._references(attributes, tensor, own)
                self._declare(tensor)
            case tree.BiasStatement(name, legs, attributes):
                self._legs(LegList("bias", name.text, legs))
                self._declare(Declared(name, "bias"))
                self._parts(attributes)
            case tree.OutputStatement(name, legs):
                self._legs(LegList("output", name.text, legs))
                self._declare(Declared(name, "output"))
            case _:
                pass  # statements of models, which the grammar keeps out of networks

    def _values(self, *expressions: tree.Expression | None) -> None:
        written = [expression for expression in expressions if expression is not None]
        self.expressions.extend(written)
        for used in values_used(*written, into=readable):
            declared = self._find(used.name.text)
            local = () if declared is not None else tuple(self.local)
            self.values.append(Use(used.name, declared, local, self.size_of))

    def _window_values(self, arguments: Iterable[tree.Argument]) -> None:
        """The arguments of a window but for the words among them (`"same"`)."""
        for value in (argument.value for argument in arguments):
            numbers = [node for node in choices(value) if not isinstance(node, tree.String)]
            self._values(*conditions(value), *numbers)

    def _parts(self, parts: Iterable[tree.Subscript | tree.Attribute]) -> None:
        for part in parts:
            match part:
                case tree.Subscript(name, start, stop):
                    self._values(start, stop)
                    self._declare(Declared(name, "subscript"))
                case tree.If(condition):
                    self._values(condition)
                case tree.Scheme(_, arguments):
                    self._values(*(argument.value for argument in arguments))
                case tree.Tie(place, _, own):
                    for member in (*own, *place):
                        self._values(*member.subscripts)
                case _:
                    pass

    def _legs(self, statement: LegList) -> None:
        self.leg_lists.append(statement)
        for leg in statement.legs:
            match leg:
                case tree.IndexLeg():
                    self._leg(leg, statement)
                case tree.GroupLeg(inner, _, width):
                    for part in inner:
                        self._leg(part, statement)
                    self._values(width)
                case tree.Subscript():
                    self._parts((leg,))
                case _:
                    pass

    def _leg(self, leg: tree.IndexLeg, statement: LegList) -> None:
        declared = self._find(leg.name.text)
        self.legs.append(LegUse(leg, declared, statement, bool(self.local)))
        self._values(*(node for node in leg.subscripts if not isinstance(node, tree.Star)))

    def _references(
        self, attributes: Iterable[tree.Attribute], tensor: Declared, own: tuple[str, ...]
    ) -> None:
        """The tensors and the subscripts that attributes name; `own` are those of the tensor."""
        for attribute in attributes:
            if isinstance(attribute, tree.Tie):
                self.ties.append(TieUse(attribute, tensor, self._find(attribute.name.text)))
            for name in attribute.names if isinstance(attribute, tree.Share) else ():
                declared = self._find(name.text) if name.text in own else None
                self.shares.append(Use(name, declared, own))


Rule = Callable[[BlockNames], Iterator[Diagnostic]]
"""A rule on a block as it is written: its diagnostics."""


def collect(block: tree.Block, suggestions: Suggestions) -> BlockNames:
    """Look up every name of a network block."""
    names = BlockNames(block, suggestions)
    for parameter in block.parameters:
        names.collect_parameter(parameter)
    for statement in block.statements:
        names.collect_statement(statement)
    return names
