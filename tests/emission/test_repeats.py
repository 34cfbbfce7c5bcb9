"""Ids that are equal, contracted once: the same rows and gradients, in eager mode alone."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tncompile.program.variants import Repeats

BLOCKS = """
import "std/embedding.tn" { TTEmbedding }

network Words = TTEmbedding(rows = [4, 5], columns = [2, 3], ranks = 2, words = 17)

network Bigrams() {
  index v = 5, w = 4, u = 3, e = 6
  bond r = 2, s = 2
  input first(..., onehot(v))
  input second(..., onehot(w))
  input third(..., onehot(u))
  tensor A(v, r)
  tensor B(r, w, s)
  tensor C(s, u, e)
  output y(..., e)
}

network Complex() {
  index v = 4, e = 3
  bond r = 2
  input ids(..., onehot(v))
  tensor A(v, r) complex
  tensor B(r, e)
  output y(..., e)
}

network Scalars() {
  index v = 9
  input ids(..., onehot(v))
  tensor A(v)
  output y(...)
}
"""

SPEC = tncompile.loads(BLOCKS)
ALWAYS = tuple(Repeats(training, 3, None, 0.75, "always") for training in (True, False))
CLASSES = {"Words": (17,), "Bigrams": (5, 4, 3), "Complex": (4,), "Scalars": (9,)}


def _module(name: str) -> nn.Module:
    """A module that contracts equal ids once from four on; `batch_invariant` it does not."""
    arch = SPEC.instantiate(name)
    plan = replace(arch.plan(batch=64, search="fast"), repeats=ALWAYS)
    return arch.module(plan=plan, seed=0)


def _ids(name: str, *shape: int) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    ids = [torch.randint(n, shape, generator=draw) for n in CLASSES[name]]
    return tuple(each // 2 if each.numel() > 40 else each for each in ids)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (64,), (5, 0), (8, 16), (2, 3, 20)])
def test_rows_and_gradients(name: str, shape: tuple[int, ...]) -> None:
    module = _module(name)
    ids = _ids(name, *shape)
    found: list[list[Tensor]] = []
    for module.batch_invariant in (False, True):
        module.zero_grad(set_to_none=True)
        rows = module(*ids)
        with torch.no_grad():
            without = module(*ids)
        rows.backward(torch.linspace(-1, 2, rows.numel()).reshape(rows.shape).to(rows.dtype))
        found.append([rows, without, *(each.grad for each in module.parameters())])
    for got, due in zip(*found, strict=True):
        torch.testing.assert_close(got, due)


@pytest.mark.parametrize("name", CLASSES)
def test_contracted_once(name: str) -> None:
    """The rows of ids that differ are contracted, where they are few enough."""
    module = _module(name)
    kinds = CLASSES[name]
    few = tuple(torch.tensor([n - 1, 0, n - 1, n - 1]) for n in kinds)
    many = tuple(torch.arange(4) % n for n in kinds)
    seen: list[int] = []
    by_size = type(module)._by_size  # type: ignore[attr-defined]

    def counting(self: nn.Module, *given: object) -> object:
        seen.append(int(given[-1]))  # type: ignore[call-overload]
        return by_size(self, *given)

    with patch.object(type(module), "_by_size", counting):
        module(*few)
        module(*many)
        module(*(each[:3] for each in few))
    assert seen == [2, 4, 3]


def test_broadcast_ids() -> None:
    module = _module("Bigrams")
    first, second, third = _ids("Bigrams", 6)
    rows = module(first[:, None], second, third[0])
    each = [module(first[k], second, third[0]) for k in range(6)]
    torch.testing.assert_close(rows, torch.stack(each))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor:torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize("name", CLASSES)
def test_transforms(name: str) -> None:
    """Under `vmap`, on `meta` and when compiled or traced no shape depends on ids."""
    module = _module(name)
    ids = _ids(name, 8, 16)
    due = module(*ids)
    torch.testing.assert_close(torch.func.vmap(module)(*ids), due)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*ids), due)
    traced = torch.jit.trace(module, ids, check_trace=False)
    others = tuple(each.flip(0) for each in ids)
    torch.testing.assert_close(traced(*others), module(*others))
    meta = module.to("meta")(*(each.to("meta") for each in ids))
    assert meta.shape == due.shape


@pytest.mark.parametrize("wrong", [-1, 17])
def test_ids_out_of_range(wrong: int) -> None:
    with pytest.raises(IndexError, match=f"got {wrong}"):
        _module("Words")(torch.tensor([3, wrong, 3, wrong, 3]))


def test_ensemble_of_parameters() -> None:
    module = _module("Words")
    (ids,) = _ids("Words", 64)
    state = {name: torch.stack((each, 2 * each)) for name, each in module.named_parameters()}

    def rows(parameters: dict[str, Tensor]) -> Tensor:
        result: Tensor = torch.func.functional_call(module, parameters, (ids,))
        return result

    first, second = torch.func.vmap(rows)(state)
    torch.testing.assert_close(first, module(ids))
    torch.testing.assert_close(second, 4 * first)
