"""What to write in the place of a wrong name, so that it is not refused again."""

from __future__ import annotations

from collections.abc import Container

from tncompile.language.checking.symbols import BlockNames, Declared, LegUse, Use
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
    name, kind, other = uses[0].leg.name.text, _leg_kind(uses), _other_end(uses)
    also = f", and put it on {other}, too" if other else ""
    if kind == "batch":
        return f"declare it before: `batch {name}`{also}"
    ranges = ("", "[k in 0..n]", "[j in 0..m, k in 0..n]")[min(_arity(uses), 2)]
    return f"declare it before: `{kind} {name}{ranges} = …`{also}"


def _arity(uses: list[LegUse]) -> int:
    return max(len(use.leg.subscripts) for use in uses)


def _other_end(uses: list[LegUse]) -> str:
    """What a leg has to be on, too, where this is its only end."""
    places = [use.where for use in uses if use.where != "bias"]
    if len(places) > 1 or (places == ["tensor"] and uses[0].on_family):
        return ""
    return "an input or the output" if places == ["tensor"] else "a tensor"


def _leg_kind(uses: list[LegUse]) -> str:
    """What a leg has to be, told from where it is."""
    places = {use.where for use in uses}
    arity = _arity(uses)
    if places == {"input", "output"} and not arity:
        return "batch"
    if places != {"tensor"}:
        return "index"
    if not arity and (len(uses) > 2 or any(use.on_family for use in uses)):
        return "hyper"
    return "bond" if len(uses) > 1 else "index"


def range_for(use: Use, names: BlockNames) -> str | None:
    """What to write for `index o = 3 if k == 2` where `k` is a subscript elsewhere."""
    if use.size_of is None or use.name.text not in names.subscripts:
        return None
    kind, declaration = use.size_of
    if declaration.subscripts:
        return None
    written = f"{kind} {declaration.name.text}[{use.name.text} in 0..n] = …"
    return f"make it a family: `{written}`"


def size_of(declared: Declared) -> str | None:
    """What to write for the size of an index: what its declaration says."""
    if not isinstance(declared.by, tree.IndexDeclaration) or declared.arity:
        return None
    size = one_line(declared.by.size.span)
    short = len(size) <= _LONGEST_SIZE and "#" not in size
    return f"write its size, `{size}`" if short else None


def sized_leg(declared: Declared, uses: list[LegUse], scope: Container[str]) -> str | None:
    """An index whose size is the parameter or the value that is written as a leg."""
    value = declared.name.text
    parameter = declared.by if isinstance(declared.by, tree.Parameter) else None
    if declared.kind not in ("length", "let", "parameter"):
        return None
    if any(use.leg.subscripts or use.leg.face for use in uses):
        return None  # meant as something else
    if parameter is not None and parameter.type.name.text != "int":
        return None
    kind = _leg_kind(uses)
    kind = "index" if kind == "batch" else kind
    leg = next((name for name in _FREE if name not in scope), f"{value}_")
    other = _other_end(uses)
    here = f"here and on {other}" if other else "here"
    length = None if parameter is None else parameter.type.length
    if length is None:
        written = f"{kind} {leg} = {value}"
        return f"declare one of that size, `{written}`, and write `{leg}` {here}"
    count = one_line(length.span)
    written = f"{kind} {leg}[k in 0..{count}] = {value}[k]"
    return f"declare them with these sizes, `{written}`, and write `{leg}[*]` {here}"
