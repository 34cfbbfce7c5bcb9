"""Arguments matched to what takes them, by place first and then by name: one rule for all calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from tncompile.language.diagnostics.collector import counted, listed
from tncompile.language.syntax import tree


class Argued(Protocol):
    """An argument, which may have a name."""

    @property
    def name(self) -> tree.Name | None:
        """The name that it is given by; None where it is given by its place."""


A = TypeVar("A", bound=Argued)

SlipKind = Literal["unknown", "unnamed", "surplus", "repeated"]
"""By a name that nothing has; by place behind a named one; one too many; given twice."""


@dataclass(frozen=True, slots=True)
class Slip(Generic[A]):
    """An argument that nothing takes: what is wrong, and what messages say unless a call differs.

    name  what takes it, or should
    """

    kind: SlipKind
    argument: A
    name: str
    message: str
    label: str


def matched(
    called: str,
    arguments: Sequence[A],
    places: Sequence[str] | None,
    names: Collection[str] | None,
    wrong: Callable[[Slip[A]], None],
) -> Iterator[tuple[str | None, A]]:
    """Each argument with the name of what takes it; None for one that any number may stand beside.

    `places` are the names in order, None where any number is taken; `names` those that may be
    written, None for any. `wrong` is told what is taken by nothing; where it returns, the next
    argument follows.
    """
    given: set[str] = set()
    named = False
    for place, argument in enumerate(arguments):
        slip: SlipKind | None = None
        name: str | None = None
        if argument.name is not None:
            named, name = True, argument.name.text
            if names is not None and name not in names:
                slip = "unknown"
        elif named:
            slip = "unnamed"
        elif places is not None and place >= len(places):
            slip = "surplus"
        elif places is not None:
            name = places[place]
        if name in given and slip is None:
            slip = "repeated"
        if slip is not None:
            text, label = _texts(slip, called, name or "", len(places or ()))
            wrong(Slip(slip, argument, name or "", text, label))
            continue
        if name is not None:
            given.add(name)
        yield name, argument


def _texts(slip: SlipKind, called: str, name: str, count: int) -> tuple[str, str]:
    match slip:
        case "unknown":
            return f"`{called}` has no argument `{name}`", "unknown argument"
        case "unnamed":
            return "arguments by position come first", "after a named one"
        case "surplus":
            takes = counted(count, "argument") if count else "no arguments"
            return f"`{called}` takes {takes}", "one too many"
        case "repeated":
            return f"`{name}` is given twice", "again here"


def missing_texts(called: str, names: Sequence[str]) -> tuple[str, str]:
    """The message and the label where arguments are missing."""
    label = "missing argument" if len(names) == 1 else "missing arguments"
    return f"`{called}` needs {listed(names)}", label
