"""Values of random kinds and shapes with tensors behind them, and calls of functions on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from tests.support.models_oracle import DTYPES, Oracle
from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.typing.functions import apply_function, apply_operator
from tncompile.language.typing.model import ModelInput
from tncompile.language.typing.operations import Read
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import Kind, Shape, Term, Value, flattened

NAMES = ("r", "s", "t")


def number(size: int | Size) -> Size:
    """A size of an axis."""
    return size if isinstance(size, Size) else Size.number(size)


@dataclass
class Calls:
    """A model that consists of calls; `random` draws its run-time sizes and its tensors."""

    random: random.Random = field(default_factory=lambda: random.Random(0))
    typing: Typing = field(default_factory=lambda: Typing(Problems()))
    oracle: Oracle = field(init=False)
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        sizes = {name: self.random.randint(1, 6) for name in NAMES}
        lead = tuple(self.random.choices([1, 2, 3], k=self.random.randint(0, 2)))
        self.oracle = Oracle(sizes, lead)
        self.generator = torch.Generator().manual_seed(self.random.randint(0, 2**40))

    # ── values ────────────────────────────────────────────────────────────────────────────────

    def size(self, least: int = 1) -> Size:
        """Some size of at least so much."""
        drawn = Size.name(self.random.choice(NAMES))
        choices = [Size.number(least + self.random.randint(0, 3)), drawn + (least - 1)]
        return self.random.choice([*choices, 2 * drawn + (least - 1)])

    def shape(self, *, least: int = 0, most: int = 3, dots: bool | None = None) -> Shape:
        """Some shape, with or without `...`."""
        sizes = tuple(self.size() for _ in range(self.random.randint(least, most)))
        return Shape(sizes, self.random.random() < 0.5 if dots is None else dots)

    def value(
        self, *sizes: int | Size, kind: Kind = "float", dots: bool = False, most: int = 3
    ) -> Value:
        """An input of this shape; ints are 0 to `most` - 1."""
        return self.of(Shape(tuple(map(number, sizes)), dots), kind, most)

    def of(self, shape: Shape, kind: Kind = "float", most: int = 3) -> Value:
        """An input of a shape."""
        span = _span("x")
        source = ModelInput("x", (), kind, shape, span, ())
        operation = Read(source=source, span=span)
        value = self.typing.value(operation, kind, shape)
        self.oracle.results[operation] = (self._tensor(self.oracle.shape(shape), kind, most),)
        return value

    def _tensor(self, shape: tuple[int, ...], kind: Kind, most: int) -> Tensor:
        drawn = torch.randn(shape, dtype=torch.float64, generator=self.generator)
        match kind:
            case "bool":
                return drawn > 0
            case "int":
                return torch.randint(0, most, shape, generator=self.generator)
            case "complex":
                other = torch.randn(shape, dtype=torch.float64, generator=self.generator)
                return torch.complex(drawn, other)
        return drawn

    # ── calls ─────────────────────────────────────────────────────────────────────────────────

    def call(self, function: str, *arguments: Term, piped: int = 0, **named: Term) -> Term:
        """What `function(a0, a1, …, name = n0, …)` gives; the first `piped` came through a pipe."""
        texts = [f"a{k}" for k in range(len(arguments))]
        words = [f"{name} = n{k}" for k, name in enumerate(named)]
        file = SourceFile("a.tn", f"{function}({', '.join([*texts, *words])})")

        def at(text: str) -> Span:
            start = file.text.index(text, len(function))
            return Span(file, start, start + len(text))

        typed = [Typed(term, at(text)) for term, text in zip(arguments, texts, strict=True)]
        typed += [
            Typed(term, at(f"n{k}"), tree.Name(name, span=at(f"{name} =").to(at(name))))
            for k, (name, term) in enumerate(named.items())
        ]
        name = Span(file, 0, len(function))
        span = Span(file, 0, len(file.text))
        return apply_function(
            self.typing, function, Call(function, name, span, tuple(typed), piped)
        )

    def operate(self, symbol: str, *operands: Term) -> Term:
        """What `left + right` or `-right` gives."""
        left = "left " if len(operands) == 2 else ""
        file = SourceFile("a.tn", f"{left}{symbol} right")
        spans = [Span(file, 0, 4), Span(file, len(file.text) - 5, len(file.text))]
        typed = [Typed(o, s) for o, s in zip(operands, spans[-len(operands) :], strict=True)]
        start = len(left)
        operator = Span(file, start, start + len(symbol))
        return apply_operator(self.typing, symbol, typed, Span(file, 0, len(file.text)), operator)

    # ── results ───────────────────────────────────────────────────────────────────────────────

    def results(self, term: Term) -> list[Tensor]:
        """The tensors of a term, which have the kinds and shapes that it says."""
        self.oracle.run(self.typing.operations)
        tensors = []
        for value in flattened(term):
            assert isinstance(value, Value)
            tensor = self.oracle.tensor(value)
            assert tuple(tensor.shape) == self.oracle.shape(value.shape), value.text
            assert tensor.dtype == DTYPES[value.kind], value.text
            tensors.append(tensor)
        return tensors

    def refused(self, function: str, *arguments: Term, piped: int = 0, **named: Term) -> Diagnostic:
        """The diagnostic of a call that is a mistake."""
        with pytest.raises(Failed) as caught:
            self.call(function, *arguments, piped=piped, **named)
        assert caught.value.diagnostic is not None
        return caught.value.diagnostic

    def clash(self, symbol: str, *operands: Term) -> Diagnostic:
        """The diagnostic of an operator on what it does not take."""
        with pytest.raises(Failed) as caught:
            self.operate(symbol, *operands)
        assert caught.value.diagnostic is not None
        return caught.value.diagnostic


def _span(text: str) -> Span:
    return Span(SourceFile("a.tn", text), 0, len(text))


def shown(diagnostic: Diagnostic) -> tuple[Code, str]:
    """Its code and the text at its place."""
    return diagnostic.code, diagnostic.primary.span.text


def kept(shape: Shape, sizes: Sequence[Size]) -> Shape:
    """A shape with other sizes."""
    return Shape(tuple(sizes), shape.dots)
