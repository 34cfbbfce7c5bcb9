"""Lowered programs against the sum of products written out, and against what torch really does."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.strategies import Sketch, network, random_sketch, random_tree
from tncompile.lowering import lower
from tncompile.network.contraction import verify_tree
from tncompile.network.model import DOTS
from tncompile.program.interpreter import run_program as run
from tncompile.program.printer import describe_program

RUNTIME = {DOTS: 6, "n": 3, "m": 2}


def random_tensors(sketch: Sketch, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Float64 parameters and inputs; `...` is given as two axes of 2 and 3."""
    rng = torch.Generator().manual_seed(seed)

    def shape(legs: tuple[str, ...]) -> list[int]:
        held: list[int] = []
        for leg in legs:
            size = sketch.sizes[leg]
            held += [2, 3] if leg == DOTS else [RUNTIME[leg] if size is None else size]
        return held

    weights = dict(sketch.weights) | ({"beta": sketch.bias} if sketch.bias else {})
    parameters = {
        name: torch.randn(shape(legs), generator=rng, dtype=torch.float64)
        for name, legs in weights.items()
    }
    inputs: dict[str, Tensor] = {}
    for name, legs in sketch.inputs.items():
        onehot = sketch.ids.get(name, ())
        held = shape(tuple(leg for leg in legs if leg not in onehot))
        classes = 1
        for leg in onehot:
            classes *= sketch.sizes[leg] or 1
        inputs[name] = (
            torch.randint(classes, held, generator=rng)
            if onehot
            else torch.randn(held, generator=rng, dtype=torch.float64)
        )
    return parameters, inputs


def brute_force(sketch: Sketch, parameters: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """Multiply everything over all indices, then sum what the output lacks; `...` as one axis."""
    order = list(sketch.sizes)
    total = torch.ones([1] * len(order), dtype=torch.float64)
    for name, legs in (*sketch.inputs.items(), *sketch.weights.items()):
        value = parameters[name] if name in sketch.weights else inputs[name]
        onehot = sketch.ids.get(name, ())
        if onehot:
            sizes = [sketch.sizes[leg] or 1 for leg in onehot]
            classes = torch.Size(sizes).numel()
            value = torch.eye(classes, dtype=torch.float64)[value].reshape(*value.shape, *sizes)
        if DOTS in legs:
            value = value.reshape(6, *value.shape[2:])
        axes = [legs.index(leg) for leg in order if leg in legs]
        wide = [value.shape[legs.index(leg)] if leg in legs else 1 for leg in order]
        total = total * value.permute(axes).reshape(wide)
    full = [RUNTIME[leg] if sketch.sizes[leg] is None else sketch.sizes[leg] for leg in order]
    summed = [k for k, leg in enumerate(order) if leg not in sketch.output]
    result = total.expand([int(size or 1) for size in full])
    result = result.sum(summed) if summed else result
    left = [leg for leg in order if leg in sketch.output]
    result = result.permute([left.index(leg) for leg in sketch.output])
    if sketch.bias:
        bias = parameters["beta"]
        axes = [sketch.bias.index(leg) for leg in sketch.output if leg in sketch.bias]
        wide = [
            size if leg in sketch.bias else 1
            for size, leg in zip(result.shape, sketch.output, strict=True)
        ]
        result = result + bias.permute(axes).reshape(wide)
    return result


def close(value: Tensor, due: Tensor) -> None:
    """Equal to 1e-10; ids alone, without any weight, give the default dtype."""
    torch.testing.assert_close(value.double(), due.reshape(value.shape), rtol=1e-10, atol=1e-10)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_any_tree_of_any_network_gives_the_sum_of_products(seed: int) -> None:
    sketch = random_sketch(seed)
    net = network(sketch)
    tree = random_tree(net, seed)
    assert not list(verify_tree(net, tree))
    parameters, inputs = random_tensors(sketch, seed)
    value = run(net, lower(net, tree), parameters, inputs)
    assert isinstance(value, Tensor)
    due = brute_force(sketch, parameters, inputs)
    close(value, due)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_rescaling_on_the_way_changes_nothing(seed: int) -> None:
    sketch = random_sketch(seed)
    if sketch.bias:
        sketch = Sketch(sketch.sizes, sketch.inputs, sketch.weights, sketch.output, sketch.ids)
    net = network(sketch, log=True)
    parameters, inputs = random_tensors(sketch, seed)
    made = run(net, lower(net, random_tree(net, seed)), parameters, inputs)
    due = brute_force(sketch, parameters, inputs)
    value = made[0] * made[1].exp() if isinstance(made, tuple) else made
    close(value, due)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_strides_are_what_the_program_says(seed: int) -> None:
    sketch = random_sketch(seed)
    net = network(sketch)
    program = lower(net, random_tree(net, seed))
    parameters, inputs = random_tensors(sketch, seed)
    sizes = {leg: RUNTIME[leg] for leg in program.runtime}

    def check(name: str, value: Tensor) -> None:
        held = program.values[name]
        for length, stride, real in zip(held.shape, held.strides, value.stride(), strict=True):
            if length.at(sizes) > 1:
                assert stride.at(sizes) == real, (name, describe_program(program))

    run(net, program, parameters, inputs, check)
