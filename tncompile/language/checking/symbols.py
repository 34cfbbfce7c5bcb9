"""The names of a block as it is written: what is declared, and what each use of a name refers to.

`collect` only looks names up; `name_rules`, `usage_rules` and `leg_rules` judge what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Suggestions
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.evaluating.functions import readable
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import values_used

VALUE_KINDS = ("parameter", "length", "let", "subscript")
LEG_KINDS = ("index", "bond", "hyper", "batch", "window")


@dataclass(frozen=True, slots=True)
class Declared:
    """A name with what it is and how many subscripts it takes."""

    name: tree.Name
    kind: str
    arity: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """A name where it is used; `declared` is None where nothing of that name is declared before.

    `local` are the subscripts that could be meant.
    """

    name: tree.Name
    declared: Declared | None
    local: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class LegUse:
    """A leg, on what kind of statement it is, and whether on each member of a family."""

    leg: tree.IndexLeg
    declared: Declared | None
    where: str
    on_family: bool


@dataclass(frozen=True, slots=True)
class TieUse:
    """A `tie` of the tensor `tensor`."""

    tie: tree.Tie
    tensor: Declared
    declared: Declared | None


@dataclass(slots=True)
class BlockNames:
    """All names of a network block, in the order of the text."""

    block: tree.Block
    suggestions: Suggestions
    scope: dict[str, Declared] = field(default_factory=dict)
    repeated: list[tuple[tree.Name, Declared]] = field(default_factory=list)
    repeated_names: set[str] = field(default_factory=set)
    values: list[Use] = field(default_factory=list)
    expressions: list[tree.Expression] = field(default_factory=list)
    legs: list[LegUse] = field(default_factory=list)
    shares: list[Use] = field(default_factory=list)
    ties: list[TieUse] = field(default_factory=list)

    def leg_lists(self) -> Iterator[LegList]:
        """The legs of every statement that has some."""
        for statement in self.block.statements:
            match statement:
                case tree.InputStatement(name, _, legs):
                    yield LegList("input", name.text, legs)
                case tree.TensorStatement(name, _, legs):
                    yield LegList("tensor", name.text, legs)
                case tree.BiasStatement(name, legs):
                    yield LegList("bias", name.text, legs)
                case tree.OutputStatement(name, legs):
                    yield LegList("output", name.text, legs)
                case _:
                    pass

    def ambiguous(self, name: tree.Name) -> bool:
        """Whether the name is declared twice (TN202): which one is meant is not known."""
        return name.text in self.repeated_names

    @property
    def used(self) -> set[str]:
        """The names that occur in expressions, for telling which values are never used."""
        return {use.name.text for use in self.values}


Rule = Callable[[BlockNames], Iterator[Diagnostic]]
"""A rule on a block as it is written: its diagnostics."""


def collect(block: tree.Block, suggestions: Suggestions) -> BlockNames:
    """Look up every name of a network block."""
    collector = _Collector(BlockNames(block, suggestions))
    for parameter in block.parameters:
        collector.parameter(parameter)
    for statement in block.statements:
        collector.statement(statement)
    return collector.names


@dataclass(slots=True)
class _Collector:
    """Walks a block in order; `local` are the subscripts of the statement at hand."""

    names: BlockNames
    local: dict[str, Declared] = field(default_factory=dict)

    def find(self, name: str) -> Declared | None:
        return self.local.get(name) or self.names.scope.get(name)

    def declare(self, name: tree.Name, kind: str, arity: int = 0) -> Declared:
        earlier = self.find(name.text)
        declared = Declared(name, kind, arity)
        if earlier is not None:
            self.names.repeated.append((name, earlier))
            self.names.repeated_names.add(name.text)
        elif kind == "subscript":
            self.local[name.text] = declared
        else:
            self.names.scope[name.text] = declared
        return declared

    def parameter(self, parameter: tree.Parameter) -> None:
        if parameter.default is not None:
            self.expression(parameter.default)
        length = parameter.type.length
        if isinstance(length, tree.Reference) and self.find(length.name.text) is None:
            self.declare(length.name, "length")
        elif length is not None:
            self.expression(length)
        self.declare(parameter.name, "parameter")

    def statement(self, statement: tree.Statement) -> None:
        self.local = {}
        match statement:
            case tree.Let(names, value):
                self.expression(value)
                for name in names:
                    self.declare(name, "let")
            case tree.Require(condition, _):
                self.expression(condition)
            case tree.IndexStatement():
                self.index(statement)
            case tree.BatchStatement(names):
                for name in names:
                    self.declare(name, "batch")
            case tree.WindowStatement(name, _, arguments):
                self.expression(*(argument.value for argument in arguments))
                self.declare(name, "window")
            case tree.InputStatement(name, subscripts, legs, condition):
                self.subscripts(subscripts)
                if condition is not None:
                    self.expression(condition)
                self.legs(legs, "input")
                self.declare(name, "input", len(subscripts))
            case tree.TensorStatement():
                self.tensor(statement)
            case tree.BiasStatement(name, legs, attributes):
                self.legs(legs, "bias")
                self.declare(name, "bias")
                self.attributes(attributes)
            case tree.OutputStatement(name, legs):
                self.legs(legs, "output")
                self.declare(name, "output")
            case _:
                pass  # statements of models, which the grammar keeps out of networks

    def index(self, statement: tree.IndexStatement) -> None:
        for declaration in statement.declarations:
            self.local = {}
            self.subscripts(declaration.subscripts)
            self.expression(declaration.size)
            if declaration.condition is not None:
                self.expression(declaration.condition)
            self.declare(declaration.name, statement.kind, len(declaration.subscripts))

    def tensor(self, statement: tree.TensorStatement) -> None:
        self.subscripts(statement.subscripts)
        self.legs(statement.legs, "tensor")
        declared = Declared(statement.name, "tensor", len(statement.subscripts))
        own = tuple(subscript.name.text for subscript in statement.subscripts)
        self.attributes(statement.attributes, declared, own)
        self.declare(statement.name, "tensor", len(statement.subscripts))

    def subscripts(self, subscripts: Iterable[tree.Subscript]) -> None:
        for subscript in subscripts:
            self.expression(subscript.start, subscript.stop)
            self.declare(subscript.name, "subscript")

    def expression(self, *expressions: tree.Expression) -> None:
        self.names.expressions.extend(expressions)
        for used in values_used(*expressions, into=readable):
            declared = self.find(used.name.text)
            local = () if declared is not None else tuple(self.local)
            self.names.values.append(Use(used.name, declared, local))

    def legs(self, legs: tuple[tree.Leg, ...], where: str) -> None:
        for leg in legs:
            match leg:
                case tree.IndexLeg():
                    self.leg(leg, where)
                case tree.GroupLeg(inner, _, width):
                    for part in inner:
                        self.leg(part, where)
                    if width is not None:
                        self.expression(width)
                case tree.SlicesLeg(subscript):
                    self.subscripts((subscript,))
                case _:
                    pass

    def leg(self, leg: tree.IndexLeg, where: str) -> None:
        self.names.legs.append(LegUse(leg, self.find(leg.name.text), where, bool(self.local)))
        self.expression(*(node for node in leg.subscripts if not isinstance(node, tree.Star)))

    def attributes(
        self,
        attributes: tuple[tree.Attribute, ...],
        tensor: Declared | None = None,
        own: tuple[str, ...] = (),
    ) -> None:
        """The names in attributes; `own` are the subscripts of the `tensor` that has them."""
        for attribute in attributes:
            match attribute:
                case tree.If(condition):
                    self.expression(condition)
                case tree.Scheme(_, arguments):
                    self.expression(*(argument.value for argument in arguments))
                case tree.Tie(name, subscripts):
                    self.expression(*subscripts)
                    if tensor is not None:
                        self.names.ties.append(TieUse(attribute, tensor, self.find(name.text)))
                case tree.Share(names) if tensor is not None:
                    for name in names:
                        declared = self.find(name.text) if name.text in own else None
                        self.names.shares.append(Use(name, declared, own))
                case _:
                    pass
