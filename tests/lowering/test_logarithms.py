"""`output … log`: every factor's scale counts once, and no finite operand is out of range."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
from tests.support.logarithms import ROWS, contracted
from tests.support.strategies import random_tree
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import ContractionTree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.program.interpreter import run_program as run
from tncompile.program.operations import MatMul, Multiply


def families(seed: int) -> str:
    """A grid of cores between rows of ends, members shared along none, one or both directions."""
    rng = random.Random(seed)
    rows, columns = rng.randint(1, 3), rng.randint(2, 4)
    sites, upright, opened = rng.random() < 0.6, rng.random() < 0.4, rng.random() < 0.5
    legs = ["b[r, c]", "b[r, c + 1]"] + (["v[r, c]", "v[r + 1, c]"] if upright else [])
    lines = [f"bond b[r in 0..{rows}, c in 0..{columns + 1}] = 2"]
    if sites:
        lines.append(f"index s[r in 0..{rows}, c in 0..{columns}] = 2")
        lines.append(f"input x(..., r in 0..{rows}, c in 0..{columns}, s[r, c])")
        legs.insert(1, "s[r, c]")
    lines.append(f"tensor First[r in 0..{rows}](b[r, 0])" + rng.choice(["", " share r"]))
    if upright:
        lines.append(f"bond v[r in 0..{rows + 1}, c in 0..{columns}] = 2")
        lines.append(f"tensor Top[c in 0..{columns}](v[0, c])" + rng.choice(["", " share c"]))
        tie = " tie Top[c]" if "share" not in lines[-1] and rng.random() < 0.5 else ""
        lines.append(f"tensor Foot[c in 0..{columns}](v[{rows}, c]){tie}")
    if opened:
        lines.append(f"index o = 3\n  tensor Out(b[0, {columns}], o)")
    if rows > opened:
        lines.append(f"tensor Last[r in {int(opened)}..{rows}](b[r, {columns}])")
    share = rng.choice(["", " share c", " share r", " share r, c"])
    lines.append(f"tensor A[r in 0..{rows}, c in 0..{columns}]({', '.join(legs)}){share}")
    lines.append(f"output y({', '.join(['...'] * sites + ['o'] * opened)}) log")
    return "network N() {\n  " + "\n  ".join(lines) + "\n}\n"


def tensors(network: TensorNetwork, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and inputs of very different magnitudes."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    parameters = {p.key: normal(*p.shape) * 3.0 for p in network.parameters}
    inputs: dict[str, Tensor] = {}
    for one in network.inputs:
        shape = [ROWS if axis.length is None else axis.length for axis in one.axes]
        inputs[one.name] = normal(*shape) * normal(*shape[:-1], 1).mul(4).exp()
    return parameters, inputs


def largest(network: TensorNetwork, tree: ContractionTree) -> int:
    """The numbers in the largest result of a tree."""
    size = {index.name: index.size or ROWS for index in network.indices}
    return max(math.prod(size[leg] for leg in step.legs) for step in tree.steps)


def check(made: object, due: Tensor) -> None:
    sign, log = made if isinstance(made, tuple) else (made, torch.zeros(()))
    assert isinstance(sign, Tensor)
    assert isinstance(log, Tensor)
    value = sign.double() * (log.double() - due.abs().max().log()).exp()
    torch.testing.assert_close(
        value.flatten(), (due / due.abs().max()).flatten(), rtol=1e-8, atol=1e-10
    )


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_shared_members_count_as_often_as_they_stand_in_the_product(seed: int) -> None:
    network = tncompile.loads(families(seed)).instantiate().network
    parameters, inputs = tensors(network, seed)
    due = contracted(network, parameters, inputs)
    sizes = {index.name: ROWS for index in network.indices if index.size is None}
    given = operands(network)
    found = candidates(network, given, contraction_problem(network, given, sizes), EFFORTS["fast"])
    trees = [random_tree(network, seed), *(one.tree for one in found)]
    for tree in (tree for tree in trees if largest(network, tree) < 2**12):
        for schedule in (Schedule(), Schedule(batch_equal_steps=True)):
            program = lower(network, tree, schedule, sizes=sizes)
            check(run(network, program, parameters, inputs), due)


UNIFORM = """network U(n: int) {
  bond a[k in 0..n + 1] = 3
  tensor First(a[0])
  tensor A[k in 0..n](a[k], a[k + 1]) share k
  tensor Last(a[n])
  output y() log
}"""


MPS = """network U(n: int) {
  index s[k in 0..n] = 2, o = 2
  bond a[k in 0..n + 1] = 3
  input x(..., k in 0..n, s[k])
  tensor First(a[0])
  tensor A[k in 0..n](a[k], s[k], a[k + 1]) share k
  tensor Last(a[n], o)
  output y(..., o) log
}"""


STAR = """network U(n: int) {
  index s[k in 0..n] = 2, o = 2
  hyper h = 3
  input x(..., k in 0..n, s[k])
  tensor A[k in 0..n](s[k], h) share k
  tensor W(h, o)
  output y(..., o) log
}"""


def in_turn(text: str, weights: dict[str, Tensor], x: Tensor, n: int) -> Tensor:
    """Logarithms of magnitudes, site by site, with the scale taken out at each."""
    if "hyper" in text:
        factors = torch.einsum("bns,sh->bnh", x, weights["A"])
        logs, signs = factors.abs().log().sum(1), factors.sign().prod(1)
        scale = logs.max(1, keepdim=True).values
        return ((signs * (logs - scale).exp()) @ weights["W"]).abs().log() + scale
    v, scale = weights["First"].expand(len(x), -1), torch.zeros(len(x), 1, dtype=x.dtype)
    for k in range(n):
        if "s[k]" in text:
            v = torch.einsum("ba,bs,asc->bc", v, x[:, k], weights["A"])
        else:
            v = v @ weights["A"]
        size = v.abs().amax(1, keepdim=True)
        v, scale = v / size, scale + size.log()
    return (v @ weights["Last"]).reshape(len(x), -1).abs().log() + scale


@pytest.mark.parametrize("n", [8, 30, 70, 150])
@pytest.mark.parametrize("text", [UNIFORM, MPS, STAR], ids=["matrices", "mps", "star"])
def test_uniform_networks_of_any_length(text: str, n: int) -> None:
    module = (
        tncompile.loads(text)
        .instantiate("U", n=n)
        .module(dtype=torch.float64, seed=0, search="fast")
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64) * 5)
    x = torch.randn(ROWS, n, 2, dtype=torch.float64) * torch.randn(ROWS, n, 1).mul(20).exp()
    given = (x,) if "input" in text else ()
    due = in_turn(text, dict(module.named_parameters()), x if given else x[:1], n).detach()
    with torch.no_grad():
        for made in (module(*given), module.fold()(*given)):
            torch.testing.assert_close(made[1].reshape(due.shape), due, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(module(*given)[1].reshape(due.shape), due, rtol=1e-9, atol=1e-9)


def products(program: TensorProgram) -> int:
    return sum(isinstance(step.operation, MatMul) for step in program.steps)


def test_a_uniform_chain_is_squared_again_and_again_in_logarithms_too() -> None:
    arch = tncompile.loads(UNIFORM).instantiate("U", n=130)
    variant = arch.plan().whole
    program = lower(arch.network, variant.tree, variant.schedule)
    assert products(program) <= 2 * math.log2(130) + 4


# ── what is counted ────────────────────────────────────────────────────────────────────────────


def multiply_adds(program: TensorProgram, sizes: dict[str, int]) -> int:
    """Those of every product that is really there."""
    total = 0
    for step in program.steps:
        operation = step.operation
        if isinstance(operation, MatMul | Multiply):
            made = program.values[operation.result].size.at(sizes)
            summed = isinstance(operation, MatMul)
            last = program.values[operation.left].shape[-1].at(sizes) if summed else 1
            total += made * last
    return total


@pytest.mark.parametrize("text", [UNIFORM, MPS], ids=["matrices", "mps"])
def test_contractions_of_equal_values_are_counted_once(text: str) -> None:
    n = 80
    arch = tncompile.loads(text).instantiate("U", n=n)
    cost = arch.cost(5).of("inference")
    variant = arch.plan(5).variant(5, "inference")
    sizes = {"...": 5} if "input" in text else {}
    program = lower(arch.network, variant.tree, variant.schedule, sizes=sizes)
    due = multiply_adds(program, sizes)
    assert cost.inference.multiply_adds == due
    assert sum(step.multiply_adds for step in cost.steps) == due
    for step in cost.steps:
        assert (step.multiply_adds == 0) == (step.bytes == 0) == ("reused" in step.contraction)
    if text == UNIFORM:
        assert due < n * 9
        assert f", {due:,} multiply-adds" in arch.source()
