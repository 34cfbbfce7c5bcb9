"""What to write in the place of a wrong name, so that it is not refused again."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from tncompile.language.checking.symbols import BlockNames, Declared, LegUse
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree

_FREE = ("i", "j", "o", "p", "q", "r", "s")
_LONGEST_SIZE = 40


def for_all_members(use: LegUse, subscript: str) -> str:
    """What to write for `b[k]` on something that has no subscript `k`."""
    hint = f"write `{use.leg.name.text}[*]` for all members"
    if use.where == "tensor":
        return f"{hint}, or make a family: `tensor A[{subscript} in 0..n](…)`"
    if use.where == "input":
        return f"{hint}; for vectors that are stacked, write `{subscript} in 0..n` before it"
    return hint


def missing_leg(uses: list[LegUse]) -> str:
    """What to declare for a name that is a leg; with one end alone it would be refused again."""
    other = _other_end(uses)
    also = f", and put it on {other}, too" if other else ""
    return f"declare it before: `{_leg_declaration(uses)}`{also}"


def _other_end(uses: list[LegUse]) -> str:
    """What a leg has to be on, too, where this is its only end."""
    places = [use.where for use in uses if use.where != "bias"]
    if len(places) > 1 or (places == ["tensor"] and uses[0].on_family):
        return ""
    return "an input or the output" if places == ["tensor"] else "a tensor"


def _leg_declaration(uses: list[LegUse]) -> str:
    """The declaration that is probably missing, told from where the name is a leg."""
    name, kind = uses[0].leg.name.text, _leg_kind(uses)
    if kind == "batch":
        return f"batch {name}"
    arity = max(len(use.leg.subscripts) for use in uses)
    ranges = ("", "[k in 0..n]", "[j in 0..m, k in 0..n]")[min(arity, 2)]
    return f"{kind} {name}{ranges} = …"


def _leg_kind(uses: list[LegUse]) -> str:
    """What a leg has to be, told from where it is."""
    places = {use.where for use in uses}
    arity = max(len(use.leg.subscripts) for use in uses)
    if places == {"input", "output"} and not arity:
        return "batch"
    if places != {"tensor"}:
        return "index"
    if not arity and (len(uses) > 2 or any(use.on_family for use in uses)):
        return "hyper"
    return "bond" if len(uses) > 1 else "index"


@dataclass(frozen=True)
class BlockDeclarations:
    """The declarations of a block, looked up by what a wrong name is about."""

    names: BlockNames

    @cached_property
    def parameters(self) -> dict[str, tree.Parameter]:
        """The parameters by name."""
        return {parameter.name.text: parameter for parameter in self.names.block.parameters}

    @cached_property
    def indices(self) -> list[tuple[int, str, tree.IndexDeclaration]]:
        """Where each index is declared, with its kind."""
        return [
            (declaration.span.start, statement.kind, declaration)
            for statement in self.names.block.statements
            if isinstance(statement, tree.IndexStatement)
            for declaration in statement.declarations
        ]

    @cached_property
    def sizes(self) -> dict[int, tree.IndexDeclaration]:
        """The declarations by where their names stand."""
        return {declaration.name.span.start: declaration for _, _, declaration in self.indices}

    @cached_property
    def subscripts(self) -> frozenset[str]:
        """The names of all subscripts."""
        return frozenset(
            subscript.name.text
            for statement in self.names.block.statements
            for subscript in _subscripts(statement)
        )

    @cached_property
    def _beside(self) -> dict[int, frozenset[str]]:
        """The legs without subscripts that stand on one statement, by the place of each leg."""
        names: dict[int, frozenset[str]] = {}
        for legs in self.names.leg_lists():
            single = frozenset(leg.name.text for leg in legs.indices() if not leg.subscripts)
            names.update((leg.span.start, single) for leg in legs.indices())
        return names

    def beside(self, use: LegUse) -> frozenset[str]:
        """The single indices on the statement of a leg: to be there again would be refused."""
        return self._beside.get(use.leg.span.start, frozenset())

    def range_for(self, subscript: tree.Name) -> str | None:
        """What to write for `index o = 3 if k == 2` where `k` is a subscript elsewhere."""
        place = bisect_right(self.indices, subscript.span.start, key=lambda each: each[0]) - 1
        if subscript.text not in self.subscripts or place < 0:
            return None
        _, kind, declaration = self.indices[place]
        if subscript.span.end > declaration.span.end or declaration.subscripts:
            return None
        written = f"{kind} {declaration.name.text}[{subscript.text} in 0..n] = …"
        return f"make it a family: `{written}`"

    def size_of(self, declared: Declared) -> str | None:
        """What to write for the size of an index: what its declaration says."""
        declaration = self.sizes.get(declared.name.span.start)
        if declaration is None or declaration.subscripts:
            return None
        size = one_line(declaration.size.span)
        short = len(size) <= _LONGEST_SIZE and "#" not in size
        return f"write its size, `{size}`" if short else None

    def sized_leg(self, declared: Declared, uses: list[LegUse]) -> str | None:
        """An index whose size is the parameter or the value that is written as a leg."""
        value = declared.name.text
        parameter = self.parameters.get(value)
        if declared.kind not in ("length", "let", "parameter"):
            return None
        if any(use.leg.subscripts or use.leg.face for use in uses):
            return None  # meant as something else
        if parameter is not None and parameter.type.name.text != "int":
            return None
        kind = _leg_kind(uses)
        kind = "index" if kind == "batch" else kind
        leg = next((name for name in _FREE if name not in self.names.scope), f"{value}_")
        other = _other_end(uses)
        here = f"here and on {other}" if other else "here"
        length = None if parameter is None else parameter.type.length
        if length is None:
            written = f"{kind} {leg} = {value}"
            return f"declare one of that size, `{written}`, and write `{leg}` {here}"
        count = one_line(length.span)
        written = f"{kind} {leg}[k in 0..{count}] = {value}[k]"
        return f"declare them with these sizes, `{written}`, and write `{leg}[*]` {here}"


def _subscripts(statement: tree.Statement) -> list[tree.Subscript]:
    match statement:
        case tree.IndexStatement(_, declarations):
            return [each for declaration in declarations for each in declaration.subscripts]
        case tree.InputStatement(_, subscripts, legs):
            slices = [leg.subscript for leg in legs if isinstance(leg, tree.SlicesLeg)]
            return [*subscripts, *slices]
        case tree.TensorStatement(_, subscripts):
            return [*subscripts]
        case _:
            return []
