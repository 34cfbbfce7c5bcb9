"""What a user may require of a changed model, by name, and what is wrong with such a request."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from tncompile.language.diagnostics.spelling import closest

Kind = Literal["vectors", "logits", "values"]

KINDS: tuple[Kind, ...] = get_args(Kind)

SCORE, LOSS = "score:", "loss:"
"""A score by its name: higher is better, or lower is."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What can be required: `most` says that larger is worse.

    `kinds` are those of outputs that it is measured of, `needs` what else has to be given.
    """

    most: bool
    kinds: tuple[Kind, ...] = KINDS
    needs: Literal["", "labels", "timing"] = ""


QUANTITIES: Mapping[str, Quantity] = {
    "cosine": Quantity(False, ("vectors",)),
    "error": Quantity(True),
    "kl": Quantity(True, ("logits",)),
    "flips": Quantity(True, ("logits",)),
    "perplexity": Quantity(True, ("logits",), "labels"),
    "accuracy": Quantity(False, ("logits",), "labels"),
    "accuracy_lost": Quantity(True, ("logits",), "labels"),
    "parameters": Quantity(True),
    "bytes": Quantity(True),
    "flops": Quantity(True),
    "time": Quantity(True, KINDS, "timing"),
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """A number that a measured one has to reach, or not to pass."""

    name: str
    threshold: float
    most: bool

    @property
    def measured(self) -> str:
        """The name of what is measured: both ways of a score are of one."""
        score = self.name.removeprefix(LOSS)
        return self.name if score == self.name else SCORE + score

    def holds(self, value: float) -> bool:
        """Whether a value fulfills it; NaN never does."""
        return value <= self.threshold if self.most else value >= self.threshold

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.threshold:.6g}"


def requirements(
    thresholds: Mapping[str, float] | None, scores: Iterable[str]
) -> tuple[Requirement, ...]:
    """The requirements that a user wrote, in order.

    Raises ValueError for an unknown name, with the one that was meant, and a number that is none;
    TypeError for what is no mapping or no number.
    """
    if thresholds is None:
        return ()
    if not isinstance(thresholds, Mapping):
        kind = type(thresholds).__name__
        raise TypeError(f"thresholds are a dict of names and numbers, not {kind}")
    known = [*QUANTITIES, *(start + name for name in scores for start in (SCORE, LOSS))]
    found = tuple(_requirement(name, value, known) for name, value in thresholds.items())
    for each in found:
        if each.name != each.measured and each.measured in thresholds:
            names = f"{each.measured} is better when higher, {each.name} when lower"
            raise ValueError(f"{names}: require one of them")
    return found


def _requirement(name: object, threshold: object, known: list[str]) -> Requirement:
    if not isinstance(name, str) or name not in known:
        near = closest(name, known) if isinstance(name, str) else None
        listed = [each for each in known if not each.startswith(LOSS)]
        meant = f"did you mean {near!r}?" if near else f"there are {', '.join(listed)}"
        raise ValueError(f"there is no threshold {name!r}; {meant}")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise TypeError(f"the threshold of {name} is a number, not {threshold!r}")
    if not math.isfinite(threshold):
        raise ValueError(f"the threshold of {name} is a finite number, not {threshold}")
    most = QUANTITIES[name].most if name in QUANTITIES else name.startswith(LOSS)
    return Requirement(name, float(threshold), most)


def kind_of(
    kind: str, required: Iterable[Requirement], labels: Callable[..., object] | None, timing: object
) -> Kind | None:
    """The kind of the outputs, as far as the call says it; None where it is left to the outputs.

    Raises ValueError where what is required cannot be measured so.
    """
    if kind not in ("auto", *KINDS):
        raise ValueError(f"kind is one of auto, {', '.join(KINDS)}, not {kind!r}")
    found: Kind | None = next((each for each in KINDS if each == kind), None)
    reason = f"kind={kind!r}"
    if labels is not None and found not in (None, "logits"):
        raise ValueError(f"labels are for logits, and the outputs are {found}")
    if labels is not None and found is None:
        found, reason = "logits", "labels are given"
    for each in required:
        quantity = QUANTITIES.get(each.name)
        if quantity is None:
            continue
        if found is None and len(quantity.kinds) == 1:
            found, reason = quantity.kinds[0], f"{each.name} is of {quantity.kinds[0]}"
        if found is not None and found not in quantity.kinds:
            of = " or ".join(quantity.kinds)
            raise ValueError(f"{each.name} is measured of {of}, not of {found} ({reason})")
        if quantity.needs == "labels" and labels is None:
            raise ValueError(f"{each.name} needs labels=…, the right class of each output")
        if quantity.needs == "timing" and timing is False:
            raise ValueError(f"{each.name} is required, and timing=False measures none")
    return found
