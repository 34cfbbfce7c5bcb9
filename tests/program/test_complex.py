"""Programs with real and complex values, held against brute force in complex128."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support import small_networks as small
from tests.support.brute_force import random_tensors
from tests.support.complex_networks import ComplexSketch
from tests.support.strategies import Sketch, random_tree, sketches
from tncompile.lowering import lower
from tncompile.network.contraction import build_tree, operands
from tncompile.network.model import TensorNetwork
from tncompile.program import operations as op
from tncompile.program.interpreter import run_program
from tncompile.program.program import TensorProgram
from tncompile.program.queries import is_mixed, multiply_adds
from tncompile.program.verifying import ProgramError, verify_program


def gradients(value: Tensor, parameters: dict[str, Tensor]) -> list[Tensor]:
    """Those of a real number that depends on every entry, phases included."""
    weights = torch.arange(1, value.numel() + 1, dtype=torch.float64).reshape(value.shape).cos()
    loss = (value * (weights + 0.5j)).real.sum() if value.is_complex() else (value * weights).sum()
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters.values(), found, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(sketches, st.integers(0, 2**20), st.booleans())
def test_values_and_gradients_are_those_of_the_sum(
    sketch: Sketch, seed: int, complex_inputs: bool
) -> None:
    made = ComplexSketch(sketch, seed)
    parameters = made.parameters()
    _, inputs = random_tensors(sketch, seed)
    if complex_inputs and made.network.complex:
        inputs = {
            name: x + 0.5j * x.flip(-1) if x.dim() and x.is_floating_point() else x
            for name, x in inputs.items()
        }
    program = lower(made.network, random_tree(made.network, seed))
    verify_program(program)
    value = run_program(made.network, program, parameters, inputs)
    assert isinstance(value, Tensor)
    due = made.brute_force(parameters, inputs)
    assert value.is_complex() == due.is_complex()
    torch.testing.assert_close(
        value, due.reshape(value.shape).to(value.dtype), atol=1e-10, rtol=1e-10
    )
    if parameters and value.requires_grad:
        for one, other in zip(
            gradients(value, parameters),
            gradients(due.reshape(value.shape).to(value.dtype), parameters),
            strict=True,
        ):
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@settings(max_examples=40, deadline=None)
@given(sketches, st.integers(0, 2**20))
def test_phase_and_logarithm_are_those_of_the_sum(sketch: Sketch, seed: int) -> None:
    made = ComplexSketch(sketch, seed, log=True)
    if not sketch.weights or sketch.bias:
        return
    parameters = made.parameters()
    _, inputs = random_tensors(sketch, seed)
    program = lower(made.network, random_tree(made.network, seed))
    verify_program(program)
    value, *logs = run_program(made.network, program, parameters, inputs)
    whole = value * logs[0].exp() if logs else value
    due = made.brute_force(parameters, inputs).reshape(whole.shape).to(whole.dtype)
    torch.testing.assert_close(whole, due, atol=1e-10, rtol=1e-10)
    for one, other in zip(gradients(whole, parameters), gradients(due, parameters), strict=True):
        # Scales are no part of the graph: the gradient of the value alone is scaled as the value.
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


# ── what a program says ─────────────────────────────────────────────────────────────────────────


def train(complex_tensors: tuple[str, ...]) -> tuple[TensorNetwork, TensorProgram]:
    net = small.make_network(
        {"...": None, "i": 200, "o": 300, "r": 150},
        {"x": ("...", "i")},
        {"A": ("i", "r"), "B": ("r", "o")},
        ("...", "o"),
        complex_tensors=complex_tensors,
    )
    return net, lower(net, build_tree(net, operands(net), ((0, 1), (2, 3))))


def products(program: TensorProgram) -> list[op.MatMul]:
    return [s.operation for s in program.steps if isinstance(s.operation, op.MatMul)]


def test_real_programs_have_no_complex_values() -> None:
    _, program = train(())
    assert {value.complex for value in program.values.values()} == {False}
    assert not any(is_mixed(program, step.operation) for step in program.steps)


@pytest.mark.parametrize(
    ("families", "kinds", "adds"),
    [
        (("B",), (None, True), (1, 2)),
        (("A",), (True, True), (2, 2)),
        (("A", "B"), (True, True), (2, 4)),
    ],
)
def test_a_product_is_as_complex_as_its_factors(
    families: tuple[str, ...], kinds: tuple[bool | None, ...], adds: tuple[int, ...]
) -> None:
    _, program = train(families)
    found = products(program)
    assert tuple(program.values[each.result].complex for each in found) == kinds
    sizes = (200 * 150, 150 * 300)
    for each, times, size in zip(found, adds, sizes, strict=True):
        assert multiply_adds(each, program).factor == times * size
    assert is_mixed(program, found[0])  # inputs may be complex, too


def test_a_wrong_kind_of_number_is_found() -> None:
    _, program = train(("B",))
    name = products(program)[-1].result
    values = {**program.values, name: replace(program.values[name], complex=False)}
    with pytest.raises(ProgramError, match="has complex=False, which should be True"):
        verify_program(replace(program, values=values))


def test_scales_are_powers_of_two() -> None:
    net = small.norm(6, 3)
    program = lower(net, random_tree(net, 0), logarithm=True)
    seen: dict[str, Tensor] = {}
    values = {p.key: torch.randn(p.shape, dtype=torch.float64) for p in net.parameters}
    run_program(net, program, values, {}, lambda name, value: seen.update({name: value}))
    scales = [s.operation.result for s in program.steps if isinstance(s.operation, op.Magnitude)]
    assert scales
    for name in scales:
        mantissa, _ = torch.frexp(seen[name])
        assert (mantissa == 0.5).all()
    for step in program.steps:
        if isinstance(step.operation, op.Divide):
            scaled, scale = seen[step.operation.result], seen[step.operation.scale]
            assert torch.equal(scaled * scale, seen[step.operation.source])
            assert 1 <= scaled.abs().max() <= 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_scale_of_any_number_is_one(dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    numbers = torch.tensor([0, limits.tiny, 1, 1.4, 1.42, limits.max / 2, limits.max], dtype=dtype)
    net = small.make_network({"n": None, "i": 1}, {"x": ("n", "i")}, {}, ("n", "i"))
    program = lower(net, build_tree(net, operands(net), ()), logarithm=True)
    seen: dict[str, Tensor] = {}
    run_program(net, program, {}, {"x": numbers[:, None]}, lambda k, v: seen.update({k: v}))
    (scale,) = (
        seen[s.operation.result] for s in program.steps if isinstance(s.operation, op.Magnitude)
    )
    mantissa, _ = torch.frexp(scale.flatten())
    assert (mantissa == 0.5).all()
    assert scale.flatten()[0] == limits.tiny
    assert scale.isfinite().all()
