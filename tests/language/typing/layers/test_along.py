"""Along which axes layers see one entry at a time, and along which those before."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from tests.support.layers import (
    Axis,
    drawn,
    made,
    ranks_of,
    results,
    value,
)
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.typing.layers import LAYERS, along
from tncompile.language.typing.model import Layer
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_what_is_free_along_an_axis_is_so_in_torch(layer: str) -> None:
    """Another entry leaves all others as they are; where it is causal, those before."""
    source, entry = random.Random(layer), LAYERS[layer]
    for _ in range(40):
        arguments = drawn(entry, source)
        try:
            ours = made(layer, **arguments)
        except Failed:
            continue
        if layer in ("Embedding", "EmbeddingBag", "Flatten", "MultiheadAttention"):
            break
        torch.manual_seed(0)
        twin = getattr(nn, layer)(**arguments).double().eval()
        settings = entry.settings(arguments)
        (due, *_) = entry.takes(settings, ranks_of(layer, entry, 1, source))
        sizes = [axis if isinstance(axis, int) else 10 for axis in due.axes if axis != "..."]
        front = [3] if "..." in due.axes else []
        x = torch.rand([*front, *sizes], dtype=torch.float64)
        y = x.clone()
        dim = -source.randint(1, x.dim())
        place = source.randrange(x.shape[dim])
        how = along(ours, Shape(tuple(map(Size.number, x.shape)), False), dim)
        if how == "mixed":
            continue
        y.select(dim, place).copy_(torch.rand_like(y.select(dim, place)))
        before, after = results(twin, [x])[0], results(twin, [y])[0]
        kept = [k for k in range(x.shape[dim]) if k < place or (how == "free" and k > place)]
        index = torch.tensor(kept, dtype=torch.int64)
        assert torch.equal(before.index_select(dim, index), after.index_select(dim, index)), (
            arguments
        )


BOTH_WAYS = made("GRU", 4, 4, batch_first=True, bidirectional=True)
LOOK = made("MultiheadAttention", 4, 2, batch_first=True)


@pytest.mark.parametrize(
    ("layer", "axes", "due"),
    [
        (made("Linear", 4, 4), ("...", "t", 4), ["mixed", "free"]),
        (made("LayerNorm", (2, 4)), ("...", "t", 2, 4), ["mixed", "mixed", "free"]),
        (made("Embedding", 9, 4), ("...", "t"), ["free"]),
        (made("Conv1d", 4, 4, 1), ("...", 4, "t"), ["free", "mixed"]),
        (made("Conv1d", 4, 4, 3), ("...", "s", 4, "t"), ["mixed", "mixed", "free"]),
        (made("Conv1d", 4, 4, 1, padding=1), ("...", 4, "t"), ["mixed", "mixed"]),
        (made("Conv2d", 4, 4, (1, 3)), ("...", 4, "t", 9), ["mixed", "free", "mixed"]),
        (made("MaxPool1d", 2), ("...", "t", 9), ["mixed", "free"]),
        (made("AdaptiveAvgPool1d", 2), ("...", "t", 9), ["mixed", "free"]),
        (made("BatchNorm1d", 4), ("t", 4), ["mixed", "mixed"]),
        (made("BatchNorm2d", 4), ("...", "t", 4, 3, 3), ["mixed"] * 4),
        (made("GroupNorm", 2, 4), ("t", 4), ["mixed", "free"]),
        (made("GRU", 4, 4, batch_first=True), ("b", "t", 4), ["mixed", "past", "free"]),
        (BOTH_WAYS, ("b", "t", 4), ["mixed", "mixed", "free"]),
        (LOOK, ("b", "t", 4), ["mixed", "mixed", "free"]),
        (made("Dropout"), ("...", "t", 4), ["free", "free"]),
        (made("Flatten"), ("t", 4), ["mixed", "free"]),
    ],
)  # fmt: skip
def test_how_layers_depend_on_entries(layer: Layer, axes: Sequence[Axis], due: list[str]) -> None:
    shape = value("float", *axes).shape
    assert [along(layer, shape, -k) for k in range(1, len(due) + 1)] == due


def test_states_have_the_batch_behind_the_layers() -> None:
    layer, state = made("GRU", 4, 4, batch_first=True), value("float", 1, "t", 4).shape
    assert [along(layer, state, dim, operand=1) for dim in (-1, -2, -3)] == [
        "mixed",
        "free",
        "mixed",
    ]
