"""Whatever layers are given, they are made and called, or one diagnostic says why not."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tests.support.layers import called, drawn, made, refusal, value
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.typing.layers import LAYERS
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import KINDS, Numbers, Term, Tuple, Value, flattened

TERMS: tuple[Any, ...] = (
    *(True, 0, 1, -1, 7, 2**40, 2**64, -(2**64), 0.5, -0.5, 1e308, math.inf, math.nan),
    *("", "same", "mean", "no\n` word", (), (1,), (2, 2), (0, 2), (3,) * 3, (2**64,) * 2),
    *((1,) * 100_000, Numbers(()), Numbers((0.5, 1)), Numbers((True, False))),
    *(Size.name("t"), value("float", "...", 2), Tuple((1, 2))),
)


@pytest.mark.parametrize("layer", LAYERS)
def test_any_argument(layer: str) -> None:
    """In the place of each argument, by name and by position."""
    source, entry = random.Random(layer), LAYERS[layer]
    refused = []
    for argument in entry.arguments:
        for term in TERMS:
            arguments = drawn(entry, source) | {argument.name: term}
            try:
                made(layer, **arguments)
            except Failed as failed:
                refused.append(failed.diagnostic)
    assert all(each is not None and len(each.message) < 500 for each in refused)
    assert refused or not entry.arguments
    assert refusal(layer, *TERMS).notes


@pytest.mark.parametrize("layer", LAYERS)
def test_any_operands(layer: str) -> None:
    source, entry = random.Random(layer), LAYERS[layer]
    sizes = [1, 2, 3, 4, 2**62, "t", "b", Size.name("t") // 2, Size.name("t") * 2**60]
    refused = []
    for _ in range(150):
        try:
            ours = made(layer, **drawn(entry, source))
        except Failed:
            continue
        operands: list[Term] = []
        for _ in range(source.randint(0, 4)):
            dots = ["..."] * source.randint(0, 1)
            axes = [source.choice(sizes) for _ in range(source.randint(0, 5))]
            operand = value(source.choice(KINDS), *dots, *axes)
            operands.append(source.choice([operand] * 9 + [source.choice(TERMS)]))
        try:
            given = called(ours, *operands)
        except Failed as failed:
            refused.append(failed.diagnostic)
        else:
            assert all(isinstance(each, Value) for each in flattened(given))
    assert all(each is not None and len(each.message) < 500 for each in refused)
    assert refused
