"""`output … log`: every factor's scale counts once, and no finite operand is out of range."""

from __future__ import annotations

import math
import random

import opt_einsum
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
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

ROWS = 3
"""Entries of the leading axes wherever there are inputs."""


def contracted(
    network: TensorNetwork, parameters: dict[str, Tensor], inputs: dict[str, Tensor]
) -> Tensor:
    """The sum of products, the order of it chosen by another library."""
    number = {index.name: k for k, index in enumerate(network.indices)}
    factors: list[object] = []
    for tensor in network.tensors:
        if tensor.role == "input":
            value = inputs[tensor.source]
            axes = network.input[tensor.source].axes
            slices = [axis for axis, one in enumerate(axes) if one.kind == "slices"]
            for axis, position in reversed(list(zip(slices, tensor.position, strict=True))):
                value = value.select(axis, position)
        else:
            value = parameters[tensor.source]
        legs = [leg for axis in tensor.axes for leg in axis]
        sizes = [network.index[leg].size or ROWS for leg in legs]
        factors += [value.reshape(sizes), [number[leg] for leg in legs]]
    made: Tensor = opt_einsum.contract(*factors, [number[leg] for leg in network.output.legs])
    return made


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


# ── out of range ───────────────────────────────────────────────────────────────────────────────

CHAIN = """network Chain(n: int = 12, r: int = 4) {
  index  f[k in 0..n] = 2
  bond   b[k in 0..n - 1] = r
  input  x(..., k in 0..n, f[k])
  tensor A[k in 0..n](b[k - 1]?, f[k], b[k]?)
  output y(...) log
}"""

RAW = """network Raw() {
  index  a = 3, b = 2
  bond   c = 3
  input  u(..., a)
  input  v(..., b)
  input  w(a)
  tensor P(a, b, c)
  tensor Q(c, b)
  tensor S()
  output y(..., b) log
}"""

ALONE = """network Alone() {
  index  a = 5, b = 2
  input  u(..., a, b)
  output y(..., a, b) log
}"""

PICKED = """network Picked() {
  index  s[k in 0..3] = 4, o = 3
  bond   b[k in 0..2] = 3
  input  x(..., k in 0..3, s[k])
  input  c(..., onehot(s[0]))
  tensor A[k in 0..3](b[k - 1]?, s[k], b[k]?)
  tensor E(s[0], o)
  output y(..., o) log
}"""

RANGES = {
    torch.float16: (1.0, 300.0, 3e4, 1e-2, 1e-4),
    torch.bfloat16: (1.0, 1e20, 1e38, 1e-30),
    torch.float32: (1.0, 1e20, 1e38, 1e-15, 1e-30),
    torch.float64: (1.0, 1e200, 1e-200),
    torch.complex64: (1.0, 1e18, 1e-15),
}


def exact(module: torch.nn.Module, text: str, given: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Sign and logarithm in double precision, every factor scaled down by hand before."""
    network = tncompile.loads(text).instantiate().network
    wide = torch.complex128 if any(x.is_complex() for x in given) else torch.float64
    inputs = {
        one.name: x if one.integer else x.to(wide)
        for one, x in zip(network.inputs, given, strict=True)
    }
    shifts = 0.0
    parameters: dict[str, Tensor] = {}
    for key, value in module.state_dict().items():
        size = value.to(wide).abs().max()
        parameters[key] = value.to(wide) / size
        shifts += sum(t.source == key for t in network.tensors) * size.log()
    for one in network.inputs:
        if one.integer:
            size = 4
            inputs[one.name] = torch.eye(size, dtype=wide)[inputs[one.name]]
            continue
        scale = inputs[one.name].abs().max()
        inputs[one.name] = inputs[one.name] / scale
        shifts = shifts + sum(t.source == one.name for t in network.tensors) * scale.log()
    made = contracted(network, parameters, inputs)
    return made.sgn(), made.abs().log() + shifts


def raw_inputs(text: str, scale: float, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    network = tncompile.loads(text).instantiate().network
    given: list[Tensor] = []
    for one in network.inputs:
        shape = [ROWS if a.length is None else a.length for a in one.axes if a.kind != "onehot"]
        if one.integer:
            given.append(torch.randint(4, shape, generator=generator))
        else:
            held = (torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5) * scale
            given.append(held.to(dtype))
    return given


@pytest.mark.parametrize(
    "text", [CHAIN, RAW, ALONE, PICKED], ids=["chain", "raw", "alone", "picked"]
)
@pytest.mark.parametrize("dtype", list(RANGES), ids=str)
def test_factors_of_any_magnitude(text: str, dtype: torch.dtype) -> None:
    arch = tncompile.loads(text).instantiate()
    module = arch.module(dtype=dtype, seed=0, search="fast")
    tolerance = 20 * torch.finfo(dtype).eps * len(arch.network.tensors)
    for scale in RANGES[dtype]:
        for weight in {1.0, scale} if module.state_dict() else {1.0}:
            held = arch.module(dtype=dtype, seed=0, search="fast")
            with torch.no_grad():
                for parameter in held.parameters():
                    size = parameter.abs().max()
                    parameter.copy_((parameter / size + 0.5) * min(weight, 1e38) / 2)
            given = raw_inputs(text, scale / 2, dtype)
            sign, log = exact(held, text, given)
            with torch.no_grad():
                for made in (held(*given), held.fold()(*given)):
                    assert made[1].dtype == (
                        torch.float64 if dtype == torch.float64 else torch.float32
                    )
                    gap = (made[1].double() - log.double()).abs().max().item()
                    assert gap < tolerance * max(1.0, log.abs().max().item()), (scale, weight)
                    assert torch.allclose(made[0].to(sign.dtype), sign, atol=tolerance)


@pytest.mark.parametrize("scale", [1.0, 1e20, 1e-25])
def test_gradients_are_those_of_the_logarithm(scale: float) -> None:
    arch = tncompile.loads(CHAIN).instantiate()
    module = arch.module(seed=0, search="fast")
    (x,) = raw_inputs(CHAIN, scale, torch.float32)
    x.requires_grad_()
    wide = arch.module(dtype=torch.float64, seed=0, search="fast")
    wide.load_state_dict({key: value.double() for key, value in module.state_dict().items()})
    due = x.detach().double().requires_grad_()
    module(x)[1].sum().backward()
    wide(due)[1].sum().backward()
    assert x.grad is not None
    assert due.grad is not None
    torch.testing.assert_close(x.grad.double() * scale, due.grad * scale, rtol=1e-3, atol=1e-3)
    # log|y| is of degree one in each slice: Euler's identity, whatever computed it
    torch.testing.assert_close((due.grad * due).sum(-1), torch.ones(ROWS, 12).double())
    for one, other in zip(module.parameters(), wide.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("text", [CHAIN, RAW], ids=["chain", "raw"])
def test_rows_of_zeros_are_minus_infinity_and_leave_the_others_alone(text: str) -> None:
    module = tncompile.loads(text).instantiate().module(seed=0, search="fast")
    given = [x.requires_grad_() for x in raw_inputs(text, 1.0, torch.float32)]
    with torch.no_grad():
        given[0][1] = 0.0
    sign, log = module(*given)
    assert not sign[1].any()
    assert torch.equal(log[1], torch.full_like(log[1], -math.inf))
    assert log[[0, 2]].isfinite().all()
    log[[0, 2]].sum().backward()
    gradients = [p.grad for p in [*module.parameters(), *given]]
    assert all(one is not None and one.isfinite().all() for one in gradients)
    module.zero_grad()
    module(*given)[1].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("text", [CHAIN, RAW, ALONE], ids=["chain", "raw", "alone"])
def test_what_is_not_finite_stays_so(text: str, wrong: float) -> None:
    module = tncompile.loads(text).instantiate().module(seed=0, search="fast")
    given = raw_inputs(text, 1.0, torch.float32)
    given[0][1, ..., 0] = wrong
    log = module(*given)[1]
    assert not log[1].isfinite().any()
    assert (log[1] != -math.inf).all()
    assert log[[0, 2]].isfinite().all()
