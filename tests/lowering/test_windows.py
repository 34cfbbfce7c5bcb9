"""Lowered convolutions against the sum of products written out, on any valid tree."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.sum_of_products import random_tensors, sum_of_products
from tests.support.window_programs import network_of, random_program, random_valid_tree
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import verify_tree
from tncompile.network.editing import edited
from tncompile.program.interpreter import run_program
from tncompile.program.rewriting import straightened
from tncompile.program.verifying import verify_program


def _close(made: Tensor, due: Tensor) -> None:
    scale = max(1.0, float(due.detach().abs().max())) if due.numel() else 1.0
    torch.testing.assert_close(made / scale, due / scale, rtol=1e-10, atol=1e-10)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_tree_of_any_network_with_windows_gives_the_sum_of_products(seed: int) -> None:
    text = random_program(seed)
    network = network_of(text)
    tree = random_valid_tree(network, seed)
    assert not list(verify_tree(network, tree))
    parameters, inputs = random_tensors(network, seed)
    leaves = [value.requires_grad_() for value in (*parameters.values(), *inputs.values())]
    due = sum_of_products(network, parameters, inputs)
    turned = edited(network, channels_last=True)
    chunked = lower(turned, tree, Schedule(chunk_rows=1))
    for program in (lower(turned, tree), chunked, straightened(chunked)):
        verify_program(program)
        other = run_program(turned, program, parameters, inputs)
        assert isinstance(other, Tensor)
        _close(other.reshape(due.shape), due)
    made = run_program(network, lower(network, tree), parameters, inputs)
    assert isinstance(made, Tensor)
    _close(made.reshape(due.shape), due)
    weights = torch.randn(due.shape, dtype=torch.float64)

    def gradients(value: Tensor) -> tuple[Tensor, ...]:
        total = (value.reshape(due.shape) * weights).sum()
        return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)

    for one, other in zip(gradients(made), gradients(due), strict=True):
        _close(one, other)
