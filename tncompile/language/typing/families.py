"""Families: the members that ranges declare, and which of them are one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.model import Key

MOST_MEMBERS = 100_000


def unroll(
    reader: Reader,
    subscripts: Sequence[tree.Subscript],
    condition: tree.Expression | None,
    span: Span,
) -> Iterator[tuple[Key, Reader]]:
    """The members that ranges declare and a condition leaves, each with a reader of its own."""
    levels: list[tuple[Key, Reader]] = [((), reader)]
    for subscript in subscripts:
        longer: list[tuple[Key, Reader]] = []
        for key, outer in levels:
            start, stop = outer.integer(subscript.start), outer.integer(subscript.stop)
            if stop - start + len(longer) > MOST_MEMBERS:
                message, label = f"more than {MOST_MEMBERS} members", "this range is too long"
                place = subscript.start.span.to(subscript.stop.span)
                note, hint = f"a family has at most {MOST_MEMBERS}", "make the range smaller"
                raise failure(Code.TOO_MANY, message, place, label, note, hint)
            reader.typing.budget.charge(max(0, stop - start), span)
            name = subscript.name.text
            longer += [((*key, k), outer.within({name: k})) for k in range(start, stop)]
        levels = longer
    for key, inner in levels:
        if condition is None or inner.truth(condition):
            yield key, inner


def shared_key(subscripts: Sequence[tree.Subscript], share: tree.Share | None, key: Key) -> Key:
    """The subscripts without the shared ones."""
    shared = {name.text for name in share.names} if share is not None else set[str]()
    pairs = zip(subscripts, key, strict=True)
    return tuple(k for subscript, k in pairs if subscript.name.text not in shared)
