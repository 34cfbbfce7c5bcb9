"""Models that go on along a causal size: fed in pieces, and all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import tncompile
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.causality.following import CausalSize
from tncompile.language.typing.conditions import assumed
from tncompile.language.typing.model import ModelInput, ResolvedModel
from tncompile.language.typing.values import Shape

SIZES = {"b": 2, "s": 3}
LENGTH = 8
ROWS = 2

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Going:
    """A model with a causal size, and its module with random entries, in float64."""

    model: ResolvedModel
    module: nn.Module

    @staticmethod
    def of(text: str, block: str = "M", seed: int = 0) -> Going:
        """The model of a program."""
        model = resolve(link(SourceFile("main.tn", text)), f"{block}()")
        assert isinstance(model, ResolvedModel)
        made = tncompile.loads(text).instantiate(block)
        module = made.module(dtype=torch.float64, seed=seed, search="fast").eval()
        drawn = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in module.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.randn(tensor.shape, generator=drawn, dtype=tensor.dtype) / 2)
        return Going(model, module)

    def axis(self, shape: Shape) -> int | None:
        """Where a shape has the causal size."""
        (declared,) = (size for size in self.model.sizes if size.causal)
        causal = CausalSize(declared, assumed(self.model.requirements))
        return next(iter(causal.axes(shape)), None)

    def inputs(self, length: int = LENGTH, seed: int = 1) -> list[Tensor]:
        """Random inputs of so many entries."""
        drawn = torch.Generator().manual_seed(seed)
        return [self._drawn(source, length, drawn) for source in self.model.inputs]

    def _drawn(self, source: ModelInput, length: int, drawn: torch.Generator) -> Tensor:
        sizes = {**{size.name: length for size in self.model.sizes}, **SIZES}
        if self.axis(source.shape) is not None:
            names = source.shape.sizes[self.axis(source.shape) or -1].names
            sizes |= dict.fromkeys(names, length)
        shape = [ROWS] * source.shape.dots + [size.at(sizes) for size in source.shape.sizes]
        match source.kind:
            case "int":
                return torch.randint(0, 5, shape, generator=drawn)
            case "bool":
                return torch.rand(shape, generator=drawn) < 0.7
            case "complex":
                return torch.randn(shape, generator=drawn, dtype=torch.complex128)
            case _:
                return torch.randn(shape, generator=drawn, dtype=torch.float64)

    def whole(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What `forward` gives."""
        return flat(self.module(*inputs))

    def fed(
        self,
        inputs: Sequence[Tensor],
        pieces: Sequence[int],
        state: State | None = None,
        *,
        step: Callable[..., Any] | None = None,
    ) -> tuple[tuple[Tensor, ...], State]:
        """What steps give together for pieces of these lengths, and the last state.

        Held inputs count with the first entries: later ones are zeros.
        """
        begin = 0
        found: list[tuple[Tensor, ...]] = []
        for piece in pieces:
            held = torch.clone if state is None else torch.zeros_like
            part = [
                held(x) if (dim := self.axis(source.shape)) is None else x.narrow(dim, begin, piece)
                for source, x in zip(self.model.inputs, inputs, strict=True)
            ]
            before = None if state is None else [tensor.clone() for tensor in state]
            result, after = (step or self.module.step)(*part, state=state)
            if before is not None and state is not None:
                assert all(map(torch.equal, before, state)), "a step changed its state"
            state = after
            found.append(flat(result))
            begin += piece
        assert isinstance(state, tuple)
        return tuple(
            together[-1] if (dim := self.axis(value.shape)) is None else torch.cat(together, dim)
            for value, together in zip(self.model.output, zip(*found, strict=True), strict=True)
        ), state

    def last(self, results: Sequence[Tensor], begin: int) -> list[Tensor]:
        """Results from an entry on."""
        return [
            x
            if (dim := self.axis(value.shape)) is None
            else x.narrow(dim, begin, x.shape[dim] - begin)
            for value, x in zip(self.model.output, results, strict=True)
        ]

    def rows(self, inputs: Sequence[Tensor], order: Tensor) -> list[Tensor]:
        """Rows of the inputs in another order."""
        return [
            x[order] if source.shape.dots else x
            for source, x in zip(self.model.inputs, inputs, strict=True)
        ]


def flat(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """One result or several."""
    return result if isinstance(result, tuple) else (result,)


def close(made: Sequence[Tensor], due: Sequence[Tensor]) -> None:
    """Equal, but for rounding."""
    for one, other in zip(made, due, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
