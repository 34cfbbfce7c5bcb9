"""Random programs in the language, compiled whole, against the sum of products written out."""

from __future__ import annotations

import random

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tncompile
from tests.support.brute_force import brute_force, random_tensors
from tests.support.strategies import Sketch, random_sketch
from tncompile.network.model import DOTS


def program(sketch: Sketch, seed: int = 0) -> str:
    """The sketch in the language; declarations in an order that the seed decides."""
    rng = random.Random(seed)
    outside = {leg for legs in (*sketch.inputs.values(), sketch.output) for leg in legs}
    lines: list[str] = []
    for leg, size in sketch.sizes.items():
        ends = sum(leg in legs for legs in sketch.weights.values())
        if leg == DOTS:
            continue
        if size is None:
            lines.append(f"batch {leg}")
        elif leg in outside:
            lines.append(f"index {leg} = {size}")
        else:
            lines.append(f"{'bond' if ends == 2 else 'hyper'} {leg} = {size}")
    rng.shuffle(lines)
    for name, legs in sketch.inputs.items():
        onehot = sketch.ids.get(name, ())
        held = [leg for leg in legs if leg not in onehot]
        if onehot:
            held.append(f"onehot({', '.join(onehot)})")
        lines.append(f"input {name}({', '.join(held)})")
    tensors = [f"tensor {name}({', '.join(legs)})" for name, legs in sketch.weights.items()]
    rng.shuffle(tensors)
    lines += tensors
    if sketch.bias:
        lines.append(f"bias beta({', '.join(sketch.bias)})")
    lines.append(f"output y({', '.join(sketch.output)})")
    return "network Random() {\n  " + "\n  ".join(lines) + "\n}\n"


@example(seed=2341336)  # ids of one value: nothing is left to contract
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_compiled_module_equals_the_sum_of_products(seed: int) -> None:
    sketch = random_sketch(seed)
    parameters, inputs = random_tensors(sketch, seed)
    module = tncompile.loads(program(sketch)).instantiate().module(dtype=torch.float64, seed=0)
    module.load_state_dict(parameters)
    leaves = [
        inputs[name].clone().requires_grad_() if inputs[name].is_floating_point() else inputs[name]
        for name in sketch.inputs
    ]
    made = module(*leaves)
    fresh = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    again = dict(zip(sketch.inputs, [x.detach().clone().requires_grad_() if x.is_floating_point()
                                     else x for x in leaves], strict=True))  # fmt: skip
    due = brute_force(sketch, fresh, again)
    torch.testing.assert_close(made.double(), due.reshape(made.shape), rtol=1e-10, atol=1e-10)
    held = [module.get_parameter(name) for name in fresh]
    ours = [*held, *(x for x in leaves if x.requires_grad)]
    theirs = [*fresh.values(), *(x for x in again.values() if x.requires_grad)]
    if ours and made.requires_grad:
        weights = torch.randn(made.shape, dtype=made.dtype)
        one = torch.autograd.grad((made * weights).sum(), ours, allow_unused=True)
        other = torch.autograd.grad(
            (due.reshape(made.shape) * weights).sum(), theirs, allow_unused=True
        )
        for left, right in zip(one, other, strict=True):
            if right is not None:
                assert left is not None
                torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_renaming_and_reordering_change_nothing(seed: int) -> None:
    sketch = random_sketch(seed)
    names = {leg: f"leg{k}" for k, leg in enumerate(reversed(list(sketch.sizes))) if leg != DOTS}

    def renamed(legs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(leg, leg) for leg in legs)

    other = Sketch(
        {names.get(leg, leg): size for leg, size in sketch.sizes.items()},
        {name: renamed(legs) for name, legs in sketch.inputs.items()},
        {name: renamed(legs) for name, legs in sketch.weights.items()},
        renamed(sketch.output),
        {name: renamed(legs) for name, legs in sketch.ids.items()},
        renamed(sketch.bias),
    )
    parameters, inputs = random_tensors(sketch, seed)
    values = []
    for text in (program(sketch), program(other, seed=1)):
        module = tncompile.loads(text).instantiate().module(dtype=torch.float64, seed=0)
        module.load_state_dict(parameters)
        values.append(module(*(inputs[name] for name in sketch.inputs)))
    torch.testing.assert_close(values[0], values[1], rtol=1e-11, atol=1e-11)
