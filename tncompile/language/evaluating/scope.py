"""The values of a block's names while it is resolved, where they come from, and the work left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolved import Value, value_text
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Expression
from tncompile.language.syntax.walk import values_used

_MOST_SHOWN = 40

MOST_STEPS = 5_000_000


class Budget:
    """How much work expressions may still be: a pathological file ends in TN501, not in a hang."""

    def __init__(self) -> None:
        self._left = MOST_STEPS

    def charge(self, steps: int, span: Span) -> None:
        """Take `steps` away, TN501 at `span` when nothing is left."""
        self._left -= steps
        if self._left < 0:
            message = "evaluating this program takes too many steps"
            note = f"at most {MOST_STEPS} steps are evaluated for one block"
            hint = "make the lists, the families or the expressions smaller"
            raise failure(Code.TOO_MANY, message, span, "the limit is passed here", note, hint)


@dataclass(frozen=True, slots=True)
class Scope:
    """The values of a block's names so far.

    `declared` is where each name is declared, `places` where its value comes from: the argument,
    the default or the `let`. `sources` are the expressions of `let`, for tracing a value to its
    argument. A name without a value is poisoned: what went wrong with it is reported already.
    `uniform` are the lists that one number stands for.
    """

    values: dict[str, Value] = field(default_factory=dict)
    declared: dict[str, Span] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    sources: dict[str, Expression] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    uniform: set[str] = field(default_factory=set)

    def origin(self, *expressions: Expression) -> tuple[Label, ...]:
        """Where the value of these expressions comes from: the first argument they use."""
        for name in self.traced(*expressions):
            if name not in self.sources and name in self.places and name in self.values:
                value = value_text(self.values[name], most=6)
                return (Label(self.places[name], f"`{name}` is {value}"),)
        return ()

    def traced(self, *expressions: Expression) -> Iterator[str]:
        """The names that these expressions use, each once, those behind a `let` after it."""
        seen: set[str] = set()
        todo = _names(*expressions)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                yield name
                todo += _names(self.sources[name]) if name in self.sources else []

    def known(self, *expressions: Expression) -> tuple[str, ...]:
        """A note with the values of the names used (`d = 4`), if there are any."""
        names = dict.fromkeys(used.name.text for used in values_used(*expressions))
        shown = [
            f"{name} = {value_text(self.values[name], most=8)}"
            for name in names
            if name in self.values
        ]
        return (f"here {', '.join(shown[:_MOST_SHOWN])}",) if shown else ()


def _names(*expressions: Expression) -> list[str]:
    """The names used as values, each once, the first one last."""
    return list(reversed(dict.fromkeys(used.name.text for used in values_used(*expressions))))
