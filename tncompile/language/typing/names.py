"""What the names of a model stand for while its statements are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolved import member_name
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.model import Key, Part
from tncompile.language.typing.values import Term

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "inf": math.inf}
"""Names of numbers that every model has, unless it declares them."""


@dataclass(slots=True)
class Family:
    """What one statement declares; without subscripts there is the one member `()`.

    A member that failed is None: what is wrong with it is reported. `failed` says that it is not
    known which members there are. `condition` is the `if` that takes members away. `next` is the
    member of a family of values that is read.
    """

    what: str  # `part`, `tensor`, `input`, `value` or `run-time size`
    name: tree.Name
    arity: int = 0
    members: dict[Key, Term | Part | None] = field(default_factory=dict)
    condition: Span | None = None
    failed: bool = False
    next: Key | None = None

    def member(self, key: Key, span: Span) -> Term | Part:
        """The member with these subscripts; TN205 at `span` where there is none."""
        if len(key) == self.arity and key in self.members:
            member = self.members[key]
            if member is None:
                raise Failed(None)
            return member
        if self.failed:
            raise Failed(None)
        raise self._missing(key, span)

    def _missing(self, key: Key, span: Span) -> Failed:
        name = self.name.text
        declared = Label(self.name.span, f"`{name}` is declared here")
        note = "members are counted from the beginning of their range; the end of it is left out"
        if len(key) != self.arity:
            takes = "no subscripts" if not self.arity else counted(self.arity, "subscript")
            message, label = f"`{name}` takes {takes}, not {len(key)}", "the subscripts do not fit"
            hint = f"write `{name}`" if not self.arity else f"name one member: `{name}[…]`"
            if self.arity and not key:
                message, label = f"`{name}` is a family", "one of its members is needed"
                hint = f"write `{name}[…]` for one member, `{name}[*]` for all of them"
            return failure(Code.NO_SUCH_MEMBER, message, span, label, note, hint, declared)
        full = member_name(name, key)
        message, label = f"there is no `{full}`", "no such member"
        if self.condition is not None:
            note = f"a {self.what} with an `if` is there where its condition holds"
            hint = "use it in a branch of an `if` with the same condition"
            there = Label(self.condition, f"this is false, so `{full}` is left out")
            return failure(Code.NO_SUCH_MEMBER, message, span, label, note, hint, there)
        hint = "the range of the family is empty here"
        if self.next is not None:
            note = "members are made in order, and each may use those before it alone"
            hint = (
                f"nothing is before `{member_name(name, self.next)}`: begin with `if … then … else`"
            )
        if self.members:
            first, last = next(iter(self.members)), next(reversed(self.members))
            members = f"`{member_name(name, first)}`"
            members += f" to `{member_name(name, last)}`" if first != last else ""
            hint = f"the members are {members}" if first != last else f"the one member is {members}"
            if self.next is not None:
                hint = f"before `{member_name(name, self.next)}` there is {members}"
        return failure(Code.NO_SUCH_MEMBER, message, span, label, note, hint, declared)


Entity = Term | Family
"""What a name of a block stands for."""


def no_part(member: Term | Part, place: tree.Name | Span) -> Term:
    """The member, which is no part; TN201 where it is one."""
    if not isinstance(member, Part):
        return member
    span = place.span if isinstance(place, tree.Name) else place
    message = f"`{member.name}` is a part, not a value"
    note = "parts are called, and handed on as arguments of parts"
    hint = f"call it: `{member.name}(…)`"
    there = Label(member.declared, "declared here")
    raise failure(Code.UNKNOWN_NAME, message, span, "a part", note, hint, there)
