"""What differs between two blocks, one thing after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tncompile.language.resolved import value_text
from tncompile.language.typing.values import Number, term_text

Kind = Literal[
    "block", "argument", "input", "output", "size", "requirement",
    "index", "bond", "hyper", "batch", "window", "tensor", "bias",
    "part", "tie", "step",
]  # fmt: skip
Status = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, in words.

    kind        what it is: `"tensor"`, `"bond"`, `"part"`
    name        which one: `G[3]`; a step of `forward` has its number
    aspect      what of it differs: `"size"`, `"legs"`; empty for what one of the two alone has
    before      in the first; None where it lacks it
    after       in the second
    parameters  the numbers that a part stores in each, where that is known
    inner       what differs inside of a part that both have
    """

    kind: Kind
    name: str
    aspect: str
    before: str | None
    after: str | None
    parameters: tuple[int | None, int | None] | None = None
    inner: tuple[Change, ...] = ()

    @property
    def status(self) -> Status:
        """Whether the second has it alone, the first, or both."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    def to_dict(self) -> dict[str, object]:
        """The change, ready for JSON."""
        found: dict[str, object] = {
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "aspect": self.aspect,
            "before": self.before,
            "after": self.after,
        }
        if self.parameters is not None:
            found["parameters"] = list(self.parameters)
        if self.kind == "part":
            found["inner"] = [change.to_dict() for change in self.inner]
        return found


@dataclass(frozen=True, slots=True)
class Record:
    """What is compared of one thing: how it is called where it is new, and its aspects."""

    kind: Kind
    words: str
    aspects: Mapping[str, str] = field(default_factory=dict)


def changes_of(first: Mapping[str, Record], second: Mapping[str, Record]) -> Iterator[Change]:
    """What differs between records of the same name, and those that one side alone has."""
    for name, one in first.items():
        other = second.get(name)
        if other is None:
            yield Change(one.kind, name, "", one.words, None)
            continue
        kind = one.kind if one.kind == other.kind else "index"
        for aspect in dict.fromkeys((*one.aspects, *other.aspects)):
            before, after = one.aspects.get(aspect, NONE), other.aspects.get(aspect, NONE)
            if before != after:
                yield Change(kind, name, aspect, before, after)
    for name, other in second.items():
        if name not in first:
            yield Change(other.kind, name, "", None, other.words)


NONE = "none"
"""What is said of an aspect that one of two things lacks."""


def order_change(kind: Kind, first: Sequence[str], second: Sequence[str]) -> Iterator[Change]:
    """A change where both have the same names, in another order."""
    shared = [[name for name in one if name in other] for one, other in _both(first, second)]
    if shared[0] != shared[1]:
        yield Change(kind, "all", "order", ", ".join(shared[0]), ", ".join(shared[1]))


def _both(one: Sequence[str], other: Sequence[str]) -> list[tuple[Sequence[str], set[str]]]:
    return [(one, set(other)), (other, set(one))]


def argument_changes(
    first: Mapping[str, Number], second: Mapping[str, Number]
) -> tuple[Change, ...]:
    """Arguments of two blocks, or of two layers, that differ."""
    return tuple(changes_of(_arguments(first), _arguments(second)))


def _arguments(values: Mapping[str, Number]) -> dict[str, Record]:
    texts = {name: whole_text(value) for name, value in values.items()}
    return {name: Record("argument", text, {"": text}) for name, text in texts.items()}


def whole_text(value: Number) -> str:
    """A value in the language, with all of its items.

    >>> whole_text((1, 2, 3, 4, 5, 6, 7, 8))
    '[1, 2, 3, 4, 5, 6, 7, 8]'
    """
    return value_text(value) if isinstance(value, tuple) else term_text(value)


def yes_or_no(value: bool) -> str:
    """`"yes"` or `"no"`."""
    return "yes" if value else "no"


def shape_text(shape: Sequence[int]) -> str:
    """`4 × 8`, `a number`."""
    return " × ".join(f"{size:,}" for size in shape) or "a number"
