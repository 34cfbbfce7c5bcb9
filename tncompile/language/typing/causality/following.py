"""The causal axis in one operation: where its operands have it, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax.source import Span
from tncompile.language.typing.model import RunTimeSize
from tncompile.language.typing.operations import Operation
from tncompile.language.typing.sizes import Facts, Size, product
from tncompile.language.typing.values import Shape

LOOKING_BACK = (
    "for the entry before, `scan` a cell with `output (last, x)` of its entry `x` and its state "
    "`last`; for sums of entries before, call a network with "
    '`window h = conv(2, padding = "causal")`'
)
"""What to write for a shift along the causal axis."""

PAIRS = "scores of queries and keys are those of `attention(q, k, v, mask, causal = true)`"
"""What to write for the causal size on two axes."""

Axis = int | None
"""An axis counted from the right; None where a value has no causal axis."""


@dataclass(frozen=True, slots=True)
class CausalSize:
    """The causal size of a model, and what is known about sizes."""

    declared: RunTimeSize
    facts: Facts
    _equal: dict[Size, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.declared.name

    def equals(self, size: Size) -> bool:
        """Whether a size is exactly this one."""
        if size.value is not None:
            return False
        if size not in self._equal:
            self._equal[size] = self.facts.compare(size, Size.name(self.name)) == "equal"
        return self._equal[size]

    def within(self, size: Size) -> bool:
        """Whether a size depends on this one."""
        return self.name in size.names or any(self.equals(Size.name(name)) for name in size.names)

    def axes(self, shape: Shape) -> tuple[int, ...]:
        """The axes of a shape that are exactly as long."""
        count = len(shape.sizes)
        return tuple(k - count for k, size in enumerate(shape.sizes) if self.equals(size))

    def wrong(self, span: Span, message: str, label: str, hint: str | None = None) -> Failed:
        """TN609 at `span`."""
        name = self.name
        note = f"entry i along a causal size depends on entries up to i alone: `{name}` is causal"
        hint = hint or f"work along other axes, or declare `batch {name}` without `causal`"
        there = Label(self.declared.declared, f"`{name}` is declared causal here")
        return failure(Code.NOT_CAUSAL, message, span, label, note, hint, there)


@dataclass(frozen=True, slots=True)
class Following:
    """One operation, and the causal axes of its operands."""

    size: CausalSize
    operation: Operation
    axes: tuple[Axis, ...]

    @property
    def first(self) -> int:
        """The causal axis of the first operand that has one."""
        return next(axis for axis in self.axes if axis is not None)

    def shape(self, k: int) -> Shape:
        """The shape of an operand."""
        return self.operation.operands[k].shape

    def wrong(self, message: str, hint: str | None = None, span: Span | None = None) -> Failed:
        """TN609 at the operation, or at a place in it."""
        label = f"not causal along `{self.size.name}`"
        return self.size.wrong(span or self.operation.span, message, label, hint)

    def along(self, what: str) -> Failed:
        """TN609 for what works along the causal axis."""
        name = self.size.name
        if what in ("`pad`", "`concat`"):
            message = (
                f"{what} along `{name}` moves its entries: `step` has no axis of another length"
            )
            hint = (
                "entries before `x` are its first ones: give them with `x`, or leave `causal` out"
            )
            return self.wrong(message, LOOKING_BACK if what == "`pad`" else hint)
        back = LOOKING_BACK if what == "`roll`" else None
        return self.wrong(f"{what} along `{name}` looks at later entries", back)

    def aligned(self) -> int:
        """The one axis of all operands that have it, which are aligned at the right."""
        if len({axis for axis in self.axes if axis is not None}) > 1:
            message = f"`{self.size.name}` is on different axes of what meets here"
            raise self.wrong(message, PAIRS)
        return self.first

    def equal(self, left: Shape, right: Shape) -> bool:
        """Whether two shapes have equally many entries."""
        one, other = product(left.sizes), product(right.sizes)
        return self.size.facts.compare(one, other) == "equal"
