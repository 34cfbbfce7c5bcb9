"""Networks of values, items and attention as they are written, against torch written by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.support.typed_calls import Calls
from tests.support.written import agree
from tncompile.language.typing.operations import Contract, Entries, Legs, Option, Select
from tncompile.language.typing.sizes import Size, product
from tncompile.language.typing.values import Kind, Shape, Value, higher

LETTERS = "abcdef"


def grouped(calls: Calls, names: list[str], *, dots: bool) -> Legs:
    """The names in some order on axes, neighbors in groups."""
    axes: list[tuple[str, ...]] = []
    for name in names:
        if axes and calls.random.random() < 0.35:
            axes[-1] += (name,)
        else:
            axes.append((name,))
    if calls.random.random() < 0.1:
        axes.insert(calls.random.randint(0, len(axes)), ())
    return Legs(tuple(axes), dots)


def network(calls: Calls, count: int) -> Contract:
    """A sum of products of so many values."""
    sizes = {name: calls.size() for name in LETTERS}
    operands: list[Value] = []
    legs: list[Legs] = []
    dotted = calls.random.random() < 0.6
    for k in range(count):
        names = calls.random.sample(LETTERS, calls.random.randint(0 if k else 1, 4))
        dots = dotted and (not k or calls.random.random() < 0.6)
        legs.append(grouped(calls, names, dots=dots))
        shape = Shape(tuple(product(sizes[n] for n in axis) for axis in legs[-1].axes), dots)
        kind: Kind = calls.random.choice(["float", "float", "float", "int", "bool", "complex"])
        operands.append(calls.of(shape, kind))
    used = sorted({name for each in legs for axis in each.axes for name in axis})
    kept = [name for name in used if calls.random.random() < 0.7]
    calls.random.shuffle(kept)
    if calls.random.random() < 0.3:
        kept = used
    output = grouped(calls, kept, dots=dotted)
    return Contract(
        tuple(operands),
        legs=tuple(legs),
        output=output,
        sizes={name: sizes[name] for name in used},
        span=operands[0].span,
    )


def flat(legs: Legs) -> list[str]:
    return [name for axis in legs.axes for name in axis]


def by_einsum(calls: Calls, operation: Contract) -> Callable[[list[Tensor]], Tensor]:
    """All at once, with a letter for each leg."""
    sizes = {name: size.at(calls.oracle.sizes) for name, size in operation.sizes.items()}
    lead = calls.oracle.lead
    relabeled = len(operation.operands) == 1 and set(flat(operation.legs[0])) == set(
        flat(operation.output)
    )

    def compute(tensors: list[Tensor]) -> Tensor:
        terms = []
        kinds = {"float": torch.float64, "complex": torch.complex128}
        kind = higher("float", *(value.kind for value in operation.operands))
        for legs, tensor in zip(operation.legs, tensors, strict=True):
            whole = tensor if relabeled else tensor.to(kinds[kind])
            head = lead if legs.dots else ()
            terms.append(whole.reshape((*head, *(sizes[name] for name in flat(legs)))))
        if relabeled:
            head = len(lead) if operation.output.dots else 0
            order = [flat(operation.legs[0]).index(name) for name in flat(operation.output)]
            result = terms[0].permute(*range(head), *(head + k for k in order))
        else:
            texts = ["..." * legs.dots + "".join(flat(legs)) for legs in operation.legs]
            output = "..." * operation.output.dots + "".join(flat(operation.output))
            result = torch.einsum(f"{','.join(texts)}->{output}", *terms)
        axes = (math.prod(sizes[name] for name in axis) for axis in operation.output.axes)
        return result.reshape((*(lead if operation.output.dots else ()), *axes))

    return compute


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_networks_of_values_are_sums_of_products(count: int) -> None:
    for seed in range(120 // count):
        calls = Calls(random.Random(f"{count} {seed}"))
        operation = network(calls, count)
        axes = tuple(product(operation.sizes[n] for n in axis) for axis in operation.output.axes)
        kinds = [value.kind for value in operation.operands]
        relabeled = count == 1 and set(flat(operation.legs[0])) == set(flat(operation.output))
        kind = kinds[0] if relabeled else higher("float", *kinds)
        value = calls.typing.value(operation, kind, Shape(axes, operation.output.dots))
        agree(calls, value, by_einsum(calls, operation))


@pytest.mark.parametrize("seed", range(60))
def test_items_are_those_entries(seed: int) -> None:
    calls = Calls(random.Random(seed))
    x = calls.of(calls.shape(least=1), calls.random.choice(["float", "int", "bool"]))
    slots: list[Entries | Size] = []
    for size in x.shape.sizes:
        last = size - 1
        slots.append(
            calls.random.choice(
                [
                    *(Entries(), Size.number(0), last, size // 2, Entries(size // 2, size)),
                    *(Entries(Size.number(0), size // 2 + 1), Entries(last, size)),
                    Entries(last, last),
                ]
            )
        )

    def by_narrowing(tensors: list[Tensor]) -> Tensor:
        (result,) = tensors
        for axis, slot in zip(range(-len(slots), 0), slots, strict=True):
            if isinstance(slot, Entries):
                start = slot.start.at(calls.oracle.sizes) if slot.start else 0
                stop = slot.stop.at(calls.oracle.sizes) if slot.stop else result.shape[axis]
                result = result.narrow(axis, start, stop - start)
            else:
                result = result.narrow(axis, slot.at(calls.oracle.sizes), 1)
        gone = [
            k
            for k, slot in zip(range(-len(slots), 0), slots, strict=True)
            if isinstance(slot, Size)
        ]
        return result.squeeze(gone) if gone else result

    operation = Select((x,), slots=tuple(slots), span=x.span)
    agree(calls, calls.typing.value(operation, x.kind, x.shape), by_narrowing)


def by_softmax(
    calls: Calls, options: dict[str, Option], kinds: str | None
) -> Callable[[list[Tensor]], Tensor]:
    """Attention step by step; the rows that may look at nothing are filled with zeros."""

    def compute(tensors: list[Tensor]) -> Tensor:
        q, k, v, *mask = tensors
        relative = mask.pop() if options["relative"] else None
        if q.dim() > 2 and q.shape[-3] != k.shape[-3]:
            times = q.shape[-3] // k.shape[-3]
            k, v = (each.repeat_interleave(times, -3) for each in (k, v))
        scale = options["scale"] or q.shape[-1] ** -0.5
        scores = q @ k.transpose(-2, -1) * scale
        s, t = scores.shape[-2:]
        if kinds == "bool":
            scores = scores.masked_fill(~mask[0], -math.inf)
        elif kinds:
            scores = scores + mask[0]
        for i in range(s):
            for j in range(t):
                distance = i + t - s - j
                if relative is not None and distance >= 0:
                    here = torch.zeros(s, t, dtype=scores.dtype)
                    here[i, j] = 1
                    score = relative[..., min(distance, relative.shape[-1] - 1)]
                    scores = scores + score[..., None, None] * here
                ahead = j > i + t - s
                reach = options["reach"]
                behind = isinstance(reach, int) and j <= i + t - s - reach
                if options["causal"] and (ahead or behind):
                    cut = torch.zeros(s, t, dtype=torch.bool)
                    cut[i, j] = True
                    scores = scores.masked_fill(cut, -math.inf)
        empty = (scores == -math.inf).all(-1, keepdim=True)
        weights = scores.masked_fill(empty, 0.0).softmax(-1).masked_fill(empty, 0.0)
        return weights @ v

    return compute


@pytest.mark.parametrize("seed", range(120))
def test_attention_is_softmax_of_scores(seed: int) -> None:
    calls = Calls(random.Random(seed))
    draw = calls.random
    s, t = calls.size(), calls.size()
    if draw.random() < 0.5:
        t = s
    e, f = calls.size(), calls.size()
    lead: list[tuple[Size, ...]] = [(), (calls.size(),), (calls.size(), calls.size())]
    outer = draw.choice(lead)
    dots = draw.random() < 0.5
    times = draw.choice([1, 1, 2, 3]) if outer else 1
    shared = (*outer[:-1], outer[-1] * times) if outer else ()
    q = calls.of(Shape((*shared, s, e), dots))
    k, v = calls.of(Shape((*outer, t, e), dots)), calls.of(Shape((*outer, t, f), dots))
    operands = [q, k, v]
    mask = draw.choice([None, None, "bool", "float"])
    if mask:
        axes = [draw.choice([size, Size.number(1)]) for size in (*shared, s, t)]
        whole = draw.random() < 0.5
        shape = Shape(tuple(axes[draw.randrange(len(axes)) if not whole else 0 :]), dots and whole)
        operands.append(calls.of(shape, mask))
        tensor = calls.oracle.tensor(operands[-1])
        if mask == "float":
            tensor.masked_fill_(tensor > 0.5, -math.inf)
    causal = draw.random() < 0.6
    options: dict[str, Option] = {
        "mask": mask is not None,
        "relative": causal and draw.random() < 0.4,
        "causal": causal,
        "reach": draw.choice([None, 1, 2, 3]) if causal else None,
        "scale": draw.choice([None, 0.25, 2]),
        "dropout": draw.choice([0.0, 0.1]),
        "grouped": times,
        "aligned": s == t,
    }
    if options["relative"]:
        heads = [draw.choice([size, Size.number(1)]) for size in shared[draw.choice([0, -1]) :]]
        operands.append(calls.of(Shape((*heads, calls.size()), False)))
    shape = q.shape.replaced(-1, f)
    value = calls.typing.apply("attention", operands, "float", shape, q.span, options)
    text = agree(calls, value, by_softmax(calls, options, mask))
    plain = causal and s == t and len(operands) == 3 and options["reach"] is None
    assert ("is_causal=True" in text) == plain
