"""What `forward` returns is the caller's: working in place on it changes nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tncompile
from tests.support.branching import BRANCHING
from tests.support.capabilities import close
from tests.support.modules import ALL, Subject, tensors

ALIASING = {
    "an identity": "index i = 3\n input x(..., i)\n output y(..., i)",
    "an identity without leading axes": "index i = 3\n input x(i)\n output y(i)",
    "an input turned": "index i = 3, j = 2\n input x(..., i, j)\n output y(..., j, i)",
    "an input turned, one row": "index i = 3, j = 1\n input x(i, j)\n output y(j, i)",
    "a batch axis last": "batch n\n index i = 3\n input x(n, i)\n output y(i, n)",
    "an input in another shape": "index i = 3, j = 2\n input x(..., (i, j))\n output y(..., i, j)",
    "a slice": "index i[k in 0..1] = 3\n input x(..., k in 0..1, i[k])\n output y(..., i[0])",
    "a parameter": "index i = 3, j = 2\n tensor A(i, j)\n output y(i, j)",
    "a parameter turned": "index i = 3, j = 2\n tensor A(i, j)\n output y(j, i)",
    "a parameter in another shape": "index i = 3, j = 2\n tensor A(i, j)\n output y((i, j))",
    "a member of a family": "index i[k in 0..1] = 3\n tensor A[k in 0..1](i[k])\n output y(i[0])",
    "a frozen tensor": "index i = 3\n tensor A(i) init ones frozen\n output y(i)",
    "a scalar": "tensor A()\n output y()",
    "a product": "index i = 3, j = 2\n tensor A(i)\n tensor B(j)\n output y(i, j)",
    "a row by its id": "index w = 5, i = 3\n input x(..., onehot(w))\n tensor A(w, i)\n"
    " output y(..., i)",
    "a logarithm": "index i = 3\n input x(..., i)\n output y(..., i) log",
}


def unchanged(module: nn.Module, inputs: list[Tensor]) -> None:
    """Doubling what came out, each part of it, leaves inputs, state and the next call as is."""
    before = [x.clone() for x in inputs]
    state = {key: value.clone() for key, value in module.state_dict().items()}
    with torch.no_grad():
        made = tensors(module(*inputs))
        due = [part.clone() for part in made]
        for part in made:
            part.mul_(2).add_(1)  # fails where entries share memory among themselves
        again = tensors(module(*inputs))
    for one, other in zip(again, due, strict=True):
        assert torch.equal(one, other)
    for x, other in zip(inputs, before, strict=True):
        assert torch.equal(x, other)
    for key, value in module.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("subject", [*ALL, *BRANCHING], ids=str)
def test_results_belong_to_the_caller(subject: Subject) -> None:
    module = subject.module()
    for held in (module, module.fold()):
        for size in (1, 3, 20):
            unchanged(held, subject.inputs(size, sizes={"n": size, "s": 3, "t": 2}))


@pytest.mark.parametrize("body", ALIASING.values(), ids=ALIASING.keys())
def test_results_that_are_views_belong_to_the_caller(body: str) -> None:
    arch = tncompile.loads(f"network N() {{\n {body}\n}}").instantiate()
    module = arch.module(seed=0, search="fast")
    for held in (module, module.fold()):
        for lead in ((1,), (4,), (), (2, 3), (1, 1)):
            sizes = [
                [n for axis in one.axes for n in (lead if axis.kind == "dots" else (axis.length,))]
                for one in arch.network.inputs
            ]
            if any(one.integer for one in arch.network.inputs):
                unchanged(held, [torch.randint(5, lead)])
                continue
            shapes = [[n or 4 for n in shape[: len(shape)]] for shape in sizes]
            inputs = [torch.randn(shape) for shape in shapes]
            unchanged(held, inputs)
            turned = [x.mT.contiguous().mT if x.dim() > 1 else x for x in inputs]
            unchanged(held, turned)


def test_a_returned_parameter_is_trained_still() -> None:
    module = tncompile.loads(
        "network N() {\n index i = 3, j = 2\n tensor A(i, j)\n output y(j, i)\n}"
    ).instantiate()
    made = module.module(seed=0)
    y = made()
    y.mul_(2)
    (y * torch.arange(6.0).reshape(2, 3)).sum().backward()
    assert torch.equal(made.A.grad, 2 * torch.arange(6.0).reshape(2, 3).t())


def test_nothing_is_copied_that_is_new() -> None:
    source = (
        tncompile.load("std/linear.tn").instantiate("MPO", ins=[2, 3], outs=[3, 2], ranks=2)
    ).source(search="fast")
    forward = source.split("def forward")[1].split("def fold")[0]
    assert ".clone(" not in forward
    turned = "network N() {\n index i = 3, j = 2\n input x(..., i, j)\n output y(..., j, i)\n}"
    source = tncompile.loads(turned).instantiate().source(search="fast")
    forward = source.split("def forward")[1].split("def fold")[0]
    assert forward.count(".clone(") == 1
    assert ".contiguous(" not in forward


@st.composite
def einsums(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]], int]:
    """An equation of few operands, the shapes of these, how many of them are inputs."""
    letters = draw(st.lists(st.sampled_from("ijk"), min_size=1, max_size=3, unique=True))
    sizes = {letter: draw(st.integers(1, 3)) for letter in letters}
    operands = [letters] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0 if operands else 1, 2))):
        operands.append(draw(st.lists(st.sampled_from(letters), max_size=3, unique=True)))
    output = draw(st.permutations(sorted({letter for held in operands for letter in held})))
    output = output[: draw(st.integers(0, len(output)))]
    equation = ",".join("".join(held) for held in operands) + "->" + "".join(output)
    shapes = [tuple(sizes[letter] for letter in held) for held in operands]
    return equation, shapes, draw(st.integers(0, len(operands)))


@given(einsums())
@settings(max_examples=60)
def test_results_of_random_networks_belong_to_the_caller(
    case: tuple[str, list[tuple[int, ...]], int],
) -> None:
    equation, shapes, count = case
    try:
        arch = tncompile.from_einsum(equation, *shapes, inputs=count)
    except (ValueError, tncompile.CompileError):
        assume(False)
    module = arch.module(seed=0, search="fast")
    inputs = [torch.randn(shape) for shape in shapes[:count]]
    for held in (module, module.fold()):
        unchanged(held, inputs)
    due = torch.einsum(equation, *inputs, *module.parameters())
    close(module(*inputs), due)
