"""Operands as functions take them: numbers as numbers or as tensors, kinds converted upward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.typing.operations import Apply, Option
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import KINDS, Kind, Numbers, Shape, Value, higher
from tncompile.models.emission.expressions.text import (
    Context,
    Text,
    bracket,
    call,
    infix,
    number_text,
    size_text,
)
from tncompile.models.graph.numbers import is_number


def as_tensor(value: Value, text: Text, context: Context, kind: Kind = "bool") -> Text:
    """A value as a tensor of a kind, or above it; numbers become tensors without axes."""
    if not is_number(value):
        return raised(value.kind, text, kind, context)
    made_as = min(higher(value.kind, kind), "float", key=KINDS.index)
    dtype = _DTYPES.get(made_as, context.dtype)
    return raised(made_as, call("torch.full", "()", text, *made(context, dtype)), kind, context)


_DTYPES = {"bool": "torch.bool", "int": "torch.int64"}


def made(context: Context, dtype: str | None = None) -> list[str]:
    """The arguments that say dtype and device of a tensor that is made."""
    arguments = [f"dtype={dtype}"] if dtype else []
    return [*arguments, f"device={context.device}"] if context.device else arguments


def raised(have: Kind, text: Text, kind: Kind, context: Context) -> Text:
    """A tensor converted to a kind, unless it is of that kind or above."""
    if higher(have, kind) == have:
        return text
    match kind:
        case "int":
            return text.method("long")
        case "float":
            return text.method("to", context.dtype)
        case _:
            return infix(raised(have, text, "float", context), "+", Text("0j"))


@dataclass(frozen=True, slots=True)
class Applied:
    """A function on operands that are written already."""

    operation: Apply
    texts: Sequence[Text]
    context: Context

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.operation.function

    def value(self, k: int = 0) -> Value:
        """An operand."""
        return self.operation.operands[k]

    @property
    def shape(self) -> Shape:
        """The shape of the first operand."""
        return self.value().shape

    @property
    def kind(self) -> Kind:
        """The highest kind of all operands."""
        return higher(*(operand.kind for operand in self.operation.operands))

    def number(self, k: int) -> bool:
        """Whether an operand is written as a number."""
        return is_number(self.value(k))

    def tensor(self, k: int = 0, kind: Kind = "bool") -> Text:
        """An operand as a tensor of a kind, or above."""
        return as_tensor(self.value(k), self.texts[k], self.context, kind)

    # ── options ───────────────────────────────────────────────────────────────────────────────

    def option(self, name: str) -> Option:
        """An option, None where there is none."""
        return self.operation.options.get(name)

    def flag(self, name: str) -> bool:
        """Whether an option is set."""
        return self.option(name) is True

    def axis(self, name: str = "dim") -> int:
        """An option that is an axis."""
        option = self.option(name)
        assert isinstance(option, int)
        return option

    def axes(self, name: str = "dim") -> tuple[int, ...]:
        """An option that is one axis or several."""
        option = self.option(name)
        several = option if isinstance(option, tuple) else (option,)
        return tuple(item for item in several if isinstance(item, int))

    def texts_of(self, name: str) -> list[str]:
        """Each item of an option that is a list or a shape, or the only one."""
        option = self.option(name)
        match option:
            case Shape(items):
                several: Sequence[Option] = items
            case Numbers(items):
                several = items
            case tuple():
                several = option
            case _:
                several = (option,)
        return [option_text(item, self.context).code for item in several]

    def text(self, name: str) -> Text:
        """An option as it is written as an argument."""
        return option_text(self.option(name), self.context)

    def keywords(self, **defaults: object) -> list[str]:
        """Options by their names, without those that have their default."""
        return [
            f"{name}={self.text(name)}"
            for name, default in defaults.items()
            if self.option(name) not in (None, default)
        ]


def option_text(option: Option, context: Context) -> Text:
    """An option as an argument."""
    match option:
        case None:
            return Text("None")
        case Size():
            return size_text(option, context)
        case Shape(sizes, dots):
            if dots and not sizes:
                return Text(context.leading(None))
            lead = [f"*{context.leading(None)}"] if dots else []
            return Text(bracket([*lead, *(size_text(size, context) for size in sizes)]))
        case tuple():
            return Text(bracket([option_text(item, context) for item in option]))
        case _:
            return number_text(option, context)
