"""Lowered programs against the sum of products written out, and against what torch really does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.brute_force import RUNTIME, brute_force, close, random_tensors
from tests.support.strategies import Sketch, network, random_sketch, random_tree
from tncompile.lowering import lower
from tncompile.network.contraction import verify_tree
from tncompile.program.interpreter import run_program as run
from tncompile.program.printer import describe_program


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
