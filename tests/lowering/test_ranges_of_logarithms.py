"""Networks with `log` where floats end: tiny and huge factors, zeros, what is not finite."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tncompile
from tests.support.logarithms import ROWS, contracted

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
