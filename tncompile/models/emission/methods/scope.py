"""What the expressions of a method may refer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tncompile.language.typing.operations import Contract, Literal
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Value
from tncompile.models.contracting import Ordered, SumOfProducts, joined
from tncompile.models.emission.methods.arguments import SizeNames
from tncompile.models.graph.hoisting import Splits
from tncompile.planning.paths.problem import Path


@dataclass
class Scope:
    """The context of expressions; `find_like` names a tensor of the module's dtype when asked.

    `used` are the helpers that were asked for, by all methods of a class; `splits` the cells that
    compute some of what they do for all steps at once, `orders` those of contraction; `dotted` says
    that the model has `...`; `numbers` are expressions of numbers that differ among models of one
    class.
    """

    inputs: Mapping[str, str]
    sizes: SizeNames
    find_like: Callable[[], str]
    used: dict[str, None] = field(default_factory=dict)
    given_dtype: str | None = None
    splits: Splits = field(default_factory=dict)
    orders: Mapping[SumOfProducts, Path] = field(default_factory=dict)
    dotted: bool = False
    numbers: Mapping[Value, str] = field(default_factory=dict)

    def precise(self) -> Scope:
        """The same where constants are computed: their dtype is called `dtype`."""
        return replace(self, given_dtype="dtype")

    @property
    def like(self) -> str:
        """A float tensor, whose dtype and device are those of constants."""
        return self.find_like()

    @property
    def dtype(self) -> str:
        """The dtype of floats."""
        return self.given_dtype or f"{self.like}.dtype"

    @property
    def device(self) -> str:
        """The device of constants: that of the inputs."""
        return f"{next(iter(self.inputs.values()), None) or self.like}.device"

    def size(self, size: Size) -> str:
        """An expression of a size."""
        return self.sizes.text(size)

    def number(self, value: Value) -> str:
        """A number that is written in the text, or that the constructor was given."""
        if value in self.numbers:
            self.use("_number")
            return self.numbers[value]
        assert isinstance(value.operation, Literal)
        return repr(value.operation.number)

    def leading(self, value: Value | None) -> str:
        """The sizes of `...`, which all values have alike."""
        return self.sizes.lead

    def order(self, operation: Contract) -> Path:
        """The pairs of operands of a `network { … }` to multiply, in order."""
        if isinstance(operation, Ordered):
            return operation.order
        return self.orders[joined(operation)]

    def use(self, helper: str) -> None:
        """Ask for something at the head of the module."""
        self.used[helper] = None
