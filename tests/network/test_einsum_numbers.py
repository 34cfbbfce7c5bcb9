"""What networks from einsum equations compute: values and gradients are einsum's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
from tncompile.architecture import Architecture

DOTS = "..."
DOUBLE = torch.float64


@dataclass(frozen=True)
class Case:
    """An equation, the shapes as `from_einsum` gets them and as arguments have them."""

    operands: tuple[tuple[str, ...], ...]
    output: tuple[str, ...] | None
    shapes: tuple[tuple[int | None, ...], ...]
    actual: tuple[tuple[int, ...], ...]
    inputs: int
    lists: bool

    @property
    def result(self) -> tuple[str, ...]:
        """The output, also where it is not written."""
        if self.output is not None:
            return self.output
        flat = [index for operand in self.operands for index in operand]
        once = sorted(i for i in set(flat) if i != DOTS and flat.count(i) == 1)
        return (*[DOTS][: DOTS in flat], *once)


def random_case(seed: int) -> Case:
    """Up to four operands over up to five letters: diagonals, dots, sizes of 1, batch axes."""
    rng = random.Random(seed)
    letters = rng.sample("abcxyzIJ", rng.randint(1, 5))
    sizes = {letter: rng.choice([1, 2, 2, 3]) for letter in letters}
    dots = [rng.choice([1, 2, 3]) for _ in range(rng.randint(0, 2))]
    drawn = [_random_operand(rng, letters, sizes, dots) for _ in range(rng.randint(1, 4))]
    operands = tuple(operand for operand, _ in drawn)
    actual = tuple(shape for _, shape in drawn)
    output = None
    if rng.random() < 0.8:
        used = [letter for letter in letters if any(letter in o for o in operands)]
        held = rng.sample(used, rng.randint(0, len(used)))
        if held and rng.random() < 0.2:
            held.insert(rng.randint(0, len(held)), rng.choice(held))
        if any(DOTS in operand for operand in operands) and rng.random() < 0.9:
            held.insert(rng.choice([0, 0, rng.randint(0, len(held))]), DOTS)
        output = tuple(held)
    inputs = rng.randint(0, len(operands))
    case = Case(operands, output, actual, actual, inputs, rng.random() < 0.3)
    batch = {i for i in letters if sizes[i] > 1 and may_be_batch(case, i) and rng.random() < 0.4}
    shapes = tuple(
        tuple(
            None if index in batch and size > 1 else size
            for index, size in zip(spread(operand, len(shape)), shape, strict=True)
        )
        for operand, shape in zip(operands, actual, strict=True)
    )
    return Case(operands, output, shapes, actual, inputs, case.lists)


def _random_operand(
    rng: random.Random, letters: list[str], sizes: dict[str, int], dots: list[int]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if rng.random() < 0.5:
        chosen = rng.choices(letters, k=rng.choice([0, 1, 2, 2, 3, 3, 4]))
    else:
        chosen = rng.sample(letters, rng.randint(0, min(4, len(letters))))
    own = {letter: 1 if rng.random() < 0.15 else sizes[letter] for letter in chosen}
    term, shape = list(chosen), [(own[letter],) for letter in chosen]
    if rng.random() < 0.4:
        at = rng.choice([0, 0, rng.randint(0, len(term))])
        covered = dots[rng.randint(0, len(dots)) :]
        term.insert(at, DOTS)
        shape.insert(at, tuple(1 if rng.random() < 0.2 else size for size in covered))
    return tuple(term), tuple(size for part in shape for size in part)


def spread(operand: Sequence[str], axes: int) -> list[str]:
    """The index of every axis, `...` as often as it covers one."""
    covered = axes - len(operand) + 1
    return [i for index in operand for i in [index] * (covered if index == DOTS else 1)]


def may_be_batch(case: Case, letter: str) -> bool:
    """Whether a letter can be sized at run time."""
    if case.result.count(letter) != 1 or any(o.count(letter) > 1 for o in case.operands):
        return False
    return all(
        number < case.inputs or dict(zip(spread(o, len(s)), s, strict=True)).get(letter, 1) == 1
        for number, (o, s) in enumerate(zip(case.operands, case.actual, strict=True))
    )


def build(case: Case) -> Architecture:
    """The architecture, by the form with letters or the one with lists."""
    if not case.lists:
        equation = ",".join(map("".join, case.operands))
        if case.output is not None:
            equation += "->" + "".join(case.output)
        return tncompile.from_einsum(equation, *case.shapes, inputs=case.inputs)
    known = sorted({index for operand in case.operands for index in operand} - {DOTS})
    label: dict[str, object] = {index: k for k, index in enumerate(known)} | {DOTS: ...}
    arguments: list[object] = []
    for shape, operand in zip(case.shapes, case.operands, strict=True):
        arguments += [shape, [label[index] for index in operand]]
    if case.output is not None:
        arguments.append([label[index] for index in case.output])
    return tncompile.from_einsum(*arguments, inputs=case.inputs)


def reference(case: Case, values: list[Tensor]) -> Tensor:
    """What torch's einsum gives; a letter twice on the output fills a diagonal of zeros."""
    once = list(dict.fromkeys(case.result))
    equation = f"{','.join(map(''.join, case.operands))}->{''.join(once)}"
    found = torch.einsum(equation, *values)
    if DOTS in once or not any(DOTS in operand for operand in case.operands):
        by_numpy = np.einsum(equation, *[value.detach().numpy() for value in values])
        np.testing.assert_allclose(found.detach().numpy(), by_numpy, rtol=1e-9, atol=1e-10)
    if len(once) == len(case.result):
        return found
    places = spread(once, found.dim()) if DOTS in once else once
    grid = torch.meshgrid(*[torch.arange(size) for size in found.shape], indexing="ij")
    order = [k for index in case.result for k, held in enumerate(places) if held == index]
    full = torch.zeros([found.shape[k] for k in order], dtype=DOUBLE)
    return full.index_put(tuple(grid[k] for k in order), found)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32).map(random_case))
def test_values_and_gradients_are_those_of_einsum(case: Case) -> None:
    architecture = build(case)
    again = tncompile.loads(architecture.text()).instantiate()
    assert again.describe("program") == architecture.text()
    assert again.network == architecture.network
    module = architecture.module(dtype=DOUBLE, seed=0, search="fast")
    trained = case.actual[case.inputs :]
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        f"W{number}": shape for number, shape in enumerate(trained)
    }
    assert all(name.startswith(("eye_", "sum_")) for name, _ in module.named_buffers())
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    arguments = [
        torch.randn(shape, generator=generator, dtype=DOUBLE, requires_grad=True)
        for shape in case.actual[: case.inputs]
    ]
    leaves = [*arguments, *module.parameters()]
    expected, found = reference(case, leaves), module(*arguments)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    weight = torch.randn(expected.shape, generator=generator, dtype=DOUBLE)
    for own, its in zip(
        torch.autograd.grad((found * weight).sum(), leaves),
        torch.autograd.grad((expected * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(own, its, rtol=1e-9, atol=1e-10)


def test_a_trace_trains_what_is_on_the_diagonal() -> None:
    module = tncompile.from_einsum("ii->", (4, 4), inputs=0).module(dtype=DOUBLE, seed=0)
    before = module.W0.detach().clone()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    result = module()
    torch.testing.assert_close(result, before.trace())
    result.backward()
    optimizer.step()
    torch.testing.assert_close(module.W0.detach(), before - 0.5 * torch.eye(4, dtype=DOUBLE))
    torch.testing.assert_close(module(), before.trace() - 2)


@pytest.mark.parametrize("equation", ["bii->bi", "bi->bii", "ibi->b", "bii,ii->bi"])
def test_diagonals_keep_batch_axes_of_any_size(equation: str) -> None:
    operand = equation.partition("-")[0].partition(",")[0]
    shapes: list[tuple[int | None, ...]] = [tuple(3 if i == "i" else None for i in operand)]
    shapes += [(3, 3)] * equation.count(",")
    module = tncompile.from_einsum(equation, *shapes).module(dtype=DOUBLE, seed=0)
    for batch in (1, 5):
        x = torch.randn([size or batch for size in shapes[0]], dtype=DOUBLE)
        if equation == "bi->bii":
            expected = torch.diag_embed(x)
        else:
            expected = torch.einsum(equation, x, *module.parameters())
        torch.testing.assert_close(module(x), expected)
        torch.testing.assert_close(module.fold()(x), expected)


def test_tensors_stand_for_their_shapes() -> None:
    x, w = torch.randn(5, 2, 2, 3), np.ones((3, 3, 4))
    module = tncompile.from_einsum("...iij,jjk->...ik", x, w).module(seed=0)
    torch.testing.assert_close(
        module(x), torch.einsum("...iij,jjk->...ik", x, module.W0), rtol=1e-4, atol=1e-5
    )
    assert not torch.equal(module.W0, torch.ones(3, 3, 4))  # the values are not taken


def test_diagonals_start_as_large_as_other_networks() -> None:
    module = tncompile.from_einsum("bi,iij->bj", (None, 16), (16, 16, 32)).module(seed=0)
    y = module(torch.randn(512, 16, generator=torch.Generator().manual_seed(0)))
    assert 0.25 < y.square().mean() < 0.42  # 1/3, as nn.Linear
