"""Causal models as modules: fewer entries along the size give the same results up to there."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

import tncompile
from tests.support.causal_blocks import BLOCKS, CAUSAL, DECLARED
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.model import ModelInput, ResolvedModel
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape

SIZES = {"b": 2, "s": 3, "t": 6}
FEWER = 4
T = Size.name("t")


def declared(output: str) -> str:
    """The declarations without the parts that the output does not use."""
    used = set(re.findall(r"\w+", output))
    lines = (line.split() for line in DECLARED.splitlines() if line)
    return "\n".join(" ".join(words) for words in lines if words[0] != "part" or words[1] in used)


def axis(shape: Shape) -> int | None:
    """Where a shape has `t`."""
    places = [k - len(shape.sizes) for k, size in enumerate(shape.sizes) if size == T]
    return places[0] if places else None


def drawn(source: ModelInput, generator: torch.Generator) -> Tensor:
    shape = [2] * source.shape.dots + [size.at(SIZES) for size in source.shape.sizes]
    if source.kind == "int":
        return torch.randint(0, 9, shape, generator=generator)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("output", [each for each in CAUSAL if "other(" not in each])
def test_the_first_entries_do_not_change(output: str) -> None:
    text = f"{BLOCKS}model M() {{{declared(output)}\n  output {output}\n}}\n"
    model = resolve(link(SourceFile("main.tn", text)), "M()")
    assert isinstance(model, ResolvedModel)
    module = tncompile.loads(text).instantiate("M").module(dtype=torch.float64, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in module.parameters():
        tensor.data = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
    inputs = [drawn(source, generator) for source in model.inputs]
    first = [
        tensor if (dim := axis(source.shape)) is None else tensor.narrow(dim, 0, FEWER)
        for source, tensor in zip(model.inputs, inputs, strict=True)
    ]
    whole, part = (
        (results,) if isinstance(results, Tensor) else results
        for results in (module(*inputs), module(*first))
    )
    for value, long, short in zip(model.output, whole, part, strict=True):
        if (dim := axis(value.shape)) is not None:
            torch.testing.assert_close(short, long.narrow(dim, 0, FEWER))
