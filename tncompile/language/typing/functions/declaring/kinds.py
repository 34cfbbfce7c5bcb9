"""Which kinds a function or an operator takes, and which kind it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax.source import Span
from tncompile.language.typing.values import KINDS, Kind, Value, higher


@dataclass(frozen=True, slots=True)
class PlacedValue:
    """A value that a function takes, and where a mistake in it is reported."""

    value: Value
    place: Span


@dataclass(frozen=True, slots=True)
class Kinds:
    """Operands are converted to the highest of their kinds, and to `lowest` at least.

    Kinds above `highest` do not fit. The result has the kind `gives`, that of the operands where it
    is None; `real` says that complex operands give floats.
    """

    lowest: Kind = "bool"
    highest: Kind = "complex"
    gives: Kind | None = None
    real: bool = False

    def taken(self, kinds: Sequence[Kind]) -> Kind:
        """The kind that the operands are converted to."""
        return higher(self.lowest, *kinds)

    def given(self, kinds: Sequence[Kind]) -> Kind:
        """The kind of the result.

        >>> Kinds("int").given(["bool", "bool"]), Kinds(real=True).given(["complex"])
        ('int', 'float')
        """
        taken = self.taken(kinds)
        return self.gives or ("float" if self.real and taken == "complex" else taken)

    def check(self, text: str, operands: Sequence[PlacedValue]) -> None:
        """TN603 at the first operand whose kind is too high."""
        allowed = KINDS[: KINDS.index(self.highest) + 1]
        for operand in operands:
            if operand.value.kind not in allowed:
                others = [each for each in operands if each is not operand]
                raise wrong_kind(text, operand, allowed, others)


ANY = Kinds()
NUMBERS = Kinds("int")
REAL_NUMBERS = Kinds("int", "float")
REAL = Kinds(highest="float")
TRUTHS = Kinds(highest="bool")
FLOATS = Kinds("float")
REAL_FLOATS = Kinds("float", "float")


def wrong_kind(
    text: str, operand: PlacedValue, allowed: Sequence[Kind], others: Sequence[PlacedValue] = ()
) -> Failed:
    """TN603 for a value that a function or an operator does not take."""
    kind = operand.value.kind
    words = " or ".join(filter(None, [", ".join(allowed[:-1]), allowed[-1]]))
    message = f"`{text}` takes {words} here, not {kind}"
    note = "kinds convert upward alone, and where a function says so: bool, int, float, complex"
    if tuple(allowed) == ("bool",):
        hint = "compare: `… > 0`, `… == 1`"
    elif kind == "complex":
        hint = "take `real(…)`, `imag(…)` or `abs(…)` of it"
    elif tuple(allowed) == ("int",):
        hint = "declare the input `int`, or use what gives integers: `arange`, `argmax`, …"
    else:
        hint = f"use a value of kind {allowed[-1]}"
    labels = tuple(Label(each.place, f"this is {each.value.kind}") for each in others[:1])
    return failure(Code.KINDS, message, operand.place, f"this is {kind}", note, hint, labels)
