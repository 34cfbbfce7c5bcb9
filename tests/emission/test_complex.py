"""Modules of real and complex tensors: dtypes and how they change, results, manners of torch."""

from __future__ import annotations

import copy
import io
import math
import pickle
import warnings
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.emission.test_families import held
from tests.support.complex_networks import SHAPES, architecture, inputs, made, parts

NAMES = tuple(SHAPES)
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
DECLARED = {"Mixed": {"B"}, "Projector": {"A"}, "Image": {"K"}, "Words": {"A"}}


def whole(module: nn.Module, given: list[Tensor]) -> Tensor:
    """The output; of a sign and a logarithm what they stand for."""
    value = module(*given)
    return value[0] * value[1].exp() if isinstance(value, tuple) else cast(Tensor, value)


def kinds(module: nn.Module) -> dict[str, torch.dtype]:
    """The dtypes of the state dict."""
    return {key: tensor.dtype for key, tensor in module.state_dict().items()}


def due(name: str, parameters: dict[str, Tensor], x: list[Tensor]) -> Tensor:
    """The output in plain torch."""
    p = {key: tensor.to(torch.complex128) for key, tensor in parameters.items()}
    given = [t if t.dtype == torch.int64 else t.to(torch.complex128) for t in x]
    match name:
        case "Mixed":
            result = torch.einsum("niq,ib,bqc,co->no", *given, p["A"], p["B"], p["C"])
            return result + p["e"]
        case "Projector":
            return given[0] @ p["A"] @ p["A"].conj().T + p["c"]
        case "Words":
            return p["A"][given[0]] @ p["B"]
        case "State":
            cores = [p[f"A.{k}"] for k in range(3)]
            return torch.einsum("sb,btc,cu->stu", *cores)
        case "Image":
            kernel = torch.einsum("ia,abhw,bo->oihw", p["U"], p["K"], p["V"])
            padded = nn.functional.pad(given[0], (1, 1, 0, 0), mode="circular")
            return nn.functional.conv2d(padded, kernel, p["c"], stride=(1, 2), padding=(1, 0))
    state = given[0][:, 0] @ p["First"]
    for k in range(1, 5):
        state = torch.einsum("nb,np,bpc->nc", state, given[0][:, k], p[f"G.{k}"])
    return state @ p["Top"]


@pytest.mark.parametrize("kind", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_plain_torch(name: str, kind: torch.dtype) -> None:
    module = made(name)
    x = [t if t.dtype == torch.int64 else t.to(kind) for t in inputs(name)]
    if kind.is_complex:
        x = [t if t.dtype == torch.int64 else t * (1 - 0.5j) for t in x]
    parameters = dict(module.named_parameters())
    results = []
    for value in (whole(module, x), due(name, {**dict(module.named_buffers()), **parameters}, x)):
        assert value.dtype == torch.complex128
        loss = (value * (0.3 + 0.7j)).real.sum() + value.abs().square().sum()
        results.append((value, *torch.autograd.grad(loss, list(parameters.values()))))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(whole(module, x), results[1][0], atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(whole(module.fold(), x), results[1][0], atol=1e-10, rtol=1e-10)


# ── dtypes ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", DECLARED)
def test_complex_tensors_go_with_the_dtype_of_the_module(name: str, dtype: torch.dtype) -> None:
    for key, kind in kinds(made(name, dtype)).items():
        assert kind == (COMPLEX[dtype] if key in DECLARED[name] else dtype)


MOVES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "to": lambda module: module.to(torch.float64),
    "double": lambda module: module.double(),
    "type": lambda module: module.type(torch.float64),
    "to like": lambda module: module.to(torch.empty(0, dtype=torch.float64)),
    "of a model": lambda module: nn.Sequential(module).double()[0],
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", NAMES)
def test_precision_changes_parts_by_themselves(name: str, move: str) -> None:
    module = made(name, torch.float32)
    folded = module.fold()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 2)
    moved = MOVES[move](module)
    assert moved is module
    for key, tensor in module.state_dict().items():
        assert tensor.dtype == (torch.complex128 if before[key].is_complex() else torch.float64)
        assert torch.equal(tensor, before[key].to(tensor.dtype))
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in module.parameters())
    x = inputs(name)
    exact = whole(module, x)
    torch.testing.assert_close(whole(MOVES[move](folded), x), exact, atol=1e-5, rtol=1e-5)
    module.float()
    assert kinds(module) == {key: tensor.dtype for key, tensor in before.items()}
    assert all(torch.equal(module.state_dict()[key], before[key]) for key in before)


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_a_complex_dtype_makes_all_tensors_complex() -> None:
    for module in (
        made("Mixed", torch.complex64),
        made("Mixed", torch.float32).to(torch.complex64),
    ):
        assert set(kinds(module).values()) == {torch.complex64}
        for dtype in (torch.float32, torch.complex64):
            x = inputs("Mixed", torch.float32)[0].to(dtype)
            assert module(x).dtype == module.fold()(x).dtype == torch.complex64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_no_complex_numbers_go_with_half_precision(dtype: torch.dtype) -> None:
    message = f"complex tensors take a module of float32 or float64, not of {dtype}"
    with pytest.raises(TypeError, match=message):
        made("Mixed", dtype)
    module = made("Mixed", torch.float32)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    for convert in (lambda: module.to(dtype), lambda: module.fold().to(dtype)):
        with pytest.raises(TypeError, match=message):
            convert()
    assert all(torch.equal(module.state_dict()[key], before[key]) for key in before)


def test_what_moves_memory_leaves_values_alone() -> None:
    module = made("Image", torch.float32)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    kernel = module.K
    module.to(memory_format=torch.channels_last).share_memory()  # type: ignore[call-overload]
    module.cpu().to("cpu")
    assert module.K is kernel
    assert kernel.is_shared()
    assert all(torch.equal(module.state_dict()[key], before[key]) for key in before)
    empty = architecture("Image").module(device="meta", search="fast")
    assert {key: tensor.dtype for key, tensor in before.items()} == kinds(empty)
    assert empty(inputs("Image", torch.float32)[0].to("meta")).is_complex()
    empty.to_empty(device="cpu").load_state_dict(before)
    torch.testing.assert_close(
        empty(*inputs("Image", torch.float32)), module(*inputs("Image", torch.float32))
    )


WRONG = [
    (torch.float64, "got torch.float64: x.to(torch.float32) or module.to(torch.float64)"),
    (torch.complex128, "got torch.complex128: x.to(torch.complex64) or module.to(torch.float64)"),
    (torch.bfloat16, "got torch.bfloat16: x.to(torch.float32)"),
    (torch.int32, "got torch.int32: x.to(torch.float32)"),
]


@pytest.mark.parametrize(("dtype", "text"), WRONG, ids=str)
def test_inputs_have_the_precision_of_the_module(dtype: torch.dtype, text: str) -> None:
    module = made("Mixed", torch.float32)
    x = torch.ones(2, 6, 4).to(dtype)
    for each in (module, module.fold()):
        with pytest.raises(TypeError) as caught:
            each(x)
        expected = "expected torch.float32 or torch.complex64 as the module has"
        assert str(caught.value) == f"x(..., i, q): {expected}, {text}"


REAL = """
network Real() {
  index  i = 2, o = 3
  input  x(..., i)
  tensor A(i, o)
  output y(..., o)
}
"""


def test_real_networks_take_no_complex_input() -> None:
    module = tncompile.loads(REAL).instantiate().module(search="fast")
    with pytest.raises(TypeError, match=r"x.to\(torch.float32\) or module.to\(torch.complex64\)"):
        module(torch.ones(2, 2, dtype=torch.complex64))
    assert "_apply" not in type(module).__dict__


# ── what is stored ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_copies_are_equal(name: str) -> None:
    module = made(name, torch.float32)
    x = inputs(name, torch.float32)
    stream = io.BytesIO()
    torch.save(module.fold().state_dict(), stream)
    stream.seek(0)
    state = torch.load(stream, weights_only=True)
    assert not any(tensor.is_conj() for tensor in state.values())
    copies = [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    for assign in (False, True):
        fresh = made(name, torch.float32, seed=1)
        state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
        fresh.load_state_dict(state, strict=True, assign=assign)
        copies.append(fresh)
    for each in copies:
        assert kinds(each) == kinds(module)
        assert torch.equal(whole(each, x), whole(module, x))
    folded = module.fold()
    assert torch.equal(whole(pickle.loads(pickle.dumps(folded)), x), whole(folded, x))


@pytest.mark.parametrize("name", NAMES)
def test_starts_are_reproducible_and_new(name: str) -> None:
    one, other = made(name), made(name)
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)
        if first.is_complex():
            assert first.real.abs().max() > 0
            assert first.imag.abs().max() > 0
    one.reset_parameters()
    assert not all(map(torch.equal, one.parameters(), other.parameters()))


@pytest.mark.parametrize("seed", range(3))
def test_auto_is_exact_in_every_draw(seed: int) -> None:
    module = made("Mixed", seed=seed)
    nn.init.zeros_(cast(Tensor, module.e))
    units = torch.eye(24, dtype=torch.float64).reshape(24, 6, 4)
    assert module(units).abs().square().sum().item() / 6 == pytest.approx(1 / 3)
    embedding = made("Words", seed=seed)
    assert embedding(torch.arange(7)).abs().square().mean().item() == pytest.approx(1)
    assert made("State", seed=seed)().norm().item() == pytest.approx(1)


SCHEMES: dict[str, Callable[[Tensor], bool]] = {
    "normal(0.5)": lambda a: a.abs().square().mean().item() == pytest.approx(0.25, rel=0.1),
    "uniform(0.5)": lambda a: a.abs().square().mean().item() == pytest.approx(1 / 6, rel=0.1),
    "orthogonal": lambda a: torch.allclose(a @ a.mH, torch.eye(40, dtype=a.dtype), atol=1e-10),
    "eye": lambda a: torch.equal(a, torch.eye(40, dtype=a.dtype)),
    "ones": lambda a: bool((a == 1).all()),
    "zeros": lambda a: not a.any(),
    "constant(0.25)": lambda a: bool((a == 0.25).all()),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_of_complex_tensors(scheme: str) -> None:
    text = (
        "network One(n: int = 40) {\n  index i = n, o = n\n  input x(..., i)\n"
        f"  tensor A(i, o) complex init {scheme}\n  output y(..., o)\n}}"
    )
    module = tncompile.loads(text).instantiate().module(dtype=torch.float64, seed=0, search="fast")
    drawing = cast(Tensor, module.A).detach()
    assert drawing.dtype == torch.complex128
    assert SCHEMES[scheme](drawing)
    drawn = scheme.startswith(("normal", "uniform", "orthogonal"))
    assert bool(drawing.imag.any()) == drawn


# ── logarithms ──────────────────────────────────────────────────────────────────────────────────


def test_the_phase_has_its_exact_gradient() -> None:
    module, (x,) = made("Log"), inputs("Log")
    names, values = zip(*module.named_parameters(), strict=True)

    def results(*held: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(names, held, strict=True))
        return parts(torch.func.functional_call(module, state, (x,)))

    assert torch.autograd.gradcheck(results, values)
    assert torch.autograd.gradgradcheck(results, values, fast_mode=True)
    sign, log = module(x)
    assert sign.dtype == torch.complex128
    assert log.dtype == torch.float64
    torch.testing.assert_close(sign.abs(), torch.ones_like(log))


def test_zeros_have_no_phase_and_no_gradient() -> None:
    module, (x,) = made("Log"), inputs("Log")
    x[1] = 0
    sign, log = module(x)
    assert (sign[1] == 0).all()
    assert (log[1] == -math.inf).all()
    (sign.real.sum() + sign.imag.sum() + log.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    module.zero_grad()
    sign, log = module(x)
    (sign[1].real.sum() + log[1].sum()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("size", [1e-8, 1e8])
def test_long_chains_keep_phase_and_magnitude(size: float) -> None:
    long = (
        tncompile.loads(TEXT_OF_A_LONG_CHAIN)
        .instantiate()
        .module(dtype=torch.float32, seed=0, search="fast")
    )
    x = torch.randn(4, 300, 2, generator=torch.Generator().manual_seed(1)) * size
    sign, log = long(x)
    exact = copy.deepcopy(long).double()
    due_sign, due_log = exact(x.double())
    assert log.abs().min() > 100  # far beyond what float32 holds
    torch.testing.assert_close(log.double(), due_log, rtol=1e-5, atol=1e-2)
    torch.testing.assert_close(sign.to(due_sign.dtype), due_sign, rtol=0, atol=2e-3)
    log.sum().backward()
    due_log.sum().backward()
    for one, other in zip(long.parameters(), exact.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        scale = other.grad.abs().max().item()
        torch.testing.assert_close(one.grad.to(other.dtype), other.grad, rtol=0, atol=2e-3 * scale)


TEXT_OF_A_LONG_CHAIN = """
network Long(n: int = 300) {
  index  p[k in 0..n] = 2
  bond   b[k in 0..n - 1] = 3
  input  x(..., k in 0..n, p[k])
  tensor A[k in 0..n](b[k - 1]?, p[k], b[k]?) complex init normal(0.7)
  output y(...) log
}
"""


# ── manners of torch ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [name for name in NAMES if name != "State"])
def test_transforms(name: str) -> None:
    module, x = made(name, torch.float32), inputs(name, torch.float32)
    plain = parts(module(*x))
    for one, other in zip(parts(torch.vmap(module)(*x)), plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = module(*x)
    for one, other in zip(parts(lowered), plain, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.1)
    exported = torch.export.export(module, tuple(x), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    for one, other in zip(parts(exported.module()(*x)), plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["Mixed", "Projector", "Log", "Image"])
def test_compiled_modules_are_equal(name: str) -> None:
    """`aot_eager`: inductor leaves complex operations to eager mode anyway."""
    module, x = made(name, torch.float32), inputs(name, torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", dynamic=True, fullgraph=True)
    results = []
    for run in (module, compiled):
        module.zero_grad()
        made_parts = parts(run(*x))
        torch.stack([part.sum() for part in made_parts]).sum().backward()  # type: ignore[no-untyped-call]
        results.append([*made_parts, *(cast(Tensor, p.grad).clone() for p in module.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives(name: str) -> None:
    module, x = made(name), inputs(name)
    names, values = zip(*module.named_parameters(), strict=True)

    def results(*held: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(names, held, strict=True))
        return parts(torch.func.functional_call(module, state, tuple(x)))

    assert torch.autograd.gradcheck(results, values, fast_mode=True)
    assert torch.autograd.gradgradcheck(results, values, fast_mode=True)


def test_families_are_complex_as_a_whole() -> None:
    module = made("Chain", torch.float32)
    assert {tensor.dtype for tensor in held(module, "G")} == {torch.complex64}
    assert module.Top.dtype == torch.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no imaginary part is dropped
        module.double().float()
