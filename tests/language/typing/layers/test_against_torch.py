"""What layers refuse, store and give, against `torch.nn`."""

from __future__ import annotations

import random

import pytest
from torch import nn

from tests.support.layers import (
    EACH,
    called,
    drawn,
    flat,
    holds,
    made,
    ranks_of,
    results,
    tensors,
    value,
)
from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.typing.layers import LAYERS
from tncompile.language.typing.state import Typing
from tncompile.language.typing.values import Value, flattened


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_arguments_are_accepted_where_torch_accepts_them(layer: str) -> None:
    source, entry = random.Random(layer), LAYERS[layer]
    accepted = 0
    for _ in range(150 if entry.axes else 60):
        arguments = drawn(entry, source)
        settings = entry.settings(arguments)
        good = all(
            number >= ("padding" not in name)
            for name in EACH
            if name in arguments
            for number in flat(arguments[name])
        )
        try:
            twin = getattr(nn, layer)(**arguments)
            count = 1 if layer == "EmbeddingBag" else max(entry.counts)
            inputs = entry.takes(settings, ranks_of(layer, entry, count, source))
            free = {axis: 14 for due in inputs for axis in due.axes if isinstance(axis, str)}
            if layer != "Flatten":  # which refuses axes when it is called
                results(twin, tensors(entry, inputs, free, (3,)))
        except (RuntimeError, ValueError, AssertionError, TypeError):
            good = False
        try:
            ours = made(layer, **arguments)
        except Failed:
            assert not good, repr(arguments)
            continue
        assert good, arguments
        accepted += 1
        state = {key: tuple(tensor.shape) for key, tensor in twin.state_dict().items()}
        assert {**ours.parameters, **ours.buffers} == state
        assert {key: tuple(p.shape) for key, p in twin.named_parameters()} == ours.parameters
        assert list(ours.arguments) == [name for name in entry.names if name in arguments]
    assert accepted >= (15 if entry.arguments else 1)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_shapes_are_those_of_torch(layer: str) -> None:
    source, entry = random.Random(layer), LAYERS[layer]
    compared = 0
    for _ in range(250 if entry.axes else 60):
        arguments = drawn(entry, source)
        try:
            ours = made(layer, **arguments)
        except Failed:
            continue
        twin = getattr(nn, layer)(**arguments).eval()
        settings = entry.settings(arguments)
        count = source.choice(entry.counts)
        inputs = entry.takes(settings, ranks_of(layer, entry, count, source))[:count]
        names = sorted(
            {axis for due in inputs for axis in due.axes if isinstance(axis, str)} - {"..."}
        )
        sizes = {name: source.randint(1, 9) for name in names} | {"l0": 2, "l1": 3}
        if layer == "EmbeddingBag":
            sizes["n"] = max(sizes["n"], 2)
        lead = ("l0", "l1")[: source.choice((0, 1, 2))]
        fixed = {name for name in names if source.random() < 0.3}
        values = []
        for due in inputs:
            axes = [sizes[axis] if axis in fixed else axis for axis in due.axes if axis != "..."]
            front = lead if "..." in due.axes else ()
            values.append(value(due.kind, *front, *axes))
        typing = Typing(Problems())
        operands = tensors(entry, inputs, sizes, [sizes[name] for name in lead])
        try:
            due = results(twin, operands)
            due = due if all(each.numel() for each in due) else None
        except (RuntimeError, ValueError, IndexError):
            due = None
        try:
            terms = list(flattened(called(ours, *values, typing=typing)))
        except Failed:
            assert due is None, (arguments, sizes)
            continue
        if due is None or not holds(typing, sizes):
            instance = layer == "InstanceNorm2d" and sizes["h"] * sizes["w"] == 1
            single = layer == "GroupNorm" and operands[0].numel() == arguments["num_groups"]
            assert instance or single or (due is None and not holds(typing, sizes)), (
                arguments,
                sizes,
            )
            continue
        compared += 1
        assert len(terms) == len(due)
        for ours_, torchs in zip(terms, due, strict=True):
            assert isinstance(ours_, Value)
            shape = list(torchs.shape)
            if entry.behind:
                shape = [*(sizes[name] for name in lead), *shape[1:]]
            assert [size.at(sizes) for size in ours_.shape.sizes] == shape, (arguments, sizes)
    assert compared >= (20 if entry.arguments else 1)
