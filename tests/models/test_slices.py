"""Numbers as ids of networks: the slice is picked without a tensor of ids, without a check."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

import tncompile
from tests.support.small_models import drawn
from tncompile.model import Model

TABLES = """
network Shared(d: int, layers: int) {
  index i = d, o = d, layer = layers, place = 2
  bond a = 3, b = 2
  input x(..., i)
  input l(onehot(layer))
  input m(onehot(place))
  tensor A(i, a)
  tensor L(a, layer, b)
  tensor B(b, place, o)
  output y(..., o)
}
network Row(d: int, layers: int) {
  index o = d, layer = layers, place = 2
  input l(onehot(layer, place))
  tensor W(o, place, layer)
  output y(o)
}
network Entry(d: int) {
  index i = d
  input x(..., i)
  input k(onehot(i))
  tensor s() init ones
  output y(...)
}
model Layer(shared: part, layer: int, d: int) {
  part row = Row(d, 3)
  batch t causal
  input x(..., t, d)
  let y = shared(x, layer, 0) + shared(x, layer, 1) + row(layer)
  output y + cumsum(x, dim = -2)
}
model Net(d: int = 4) {
  part shared = Shared(d, 3)
  part entry = Entry(d)
  part layer[k in 0..3] = Layer(shared, k, d)
  batch t causal
  input x(..., t, d)
  let y = x |> repeat k in 0..3 { layer[k] }
  output (y, entry(y, 2))
}
"""


@cache
def net() -> Model:
    made = tncompile.loads(TABLES).instantiate("Net")
    assert isinstance(made, Model)
    return made


@cache
def shared_module() -> nn.Module:
    return net().module(dtype=torch.float64, seed=0, search="fast").eval()


def expected(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same in plain torch, from the state dict."""
    s = dict(module.named_parameters())
    for k in range(3):
        picked = [s["shared.L"][:, k], s["shared.B"]]
        y = sum(x @ s["shared.A"] @ picked[0] @ picked[1][:, m] for m in range(2))
        row = s[f"layer.{k}.row.W"].permute(2, 1, 0).flatten(0, 1)[k]
        x = y + row + x.cumsum(-2)
    return x, x[..., 2] * s["entry.s"]


def test_values_and_gradients_are_those_of_the_slice() -> None:
    module, x = shared_module(), drawn(2, 5, 4).requires_grad_()
    weights = [x, *module.parameters()]
    for given, wanted in zip(module(x), expected(module, x), strict=True):
        torch.testing.assert_close(given, wanted)
        gradients, others = (
            torch.autograd.grad(y.square().sum(), weights, retain_graph=True, allow_unused=True)
            for y in (given, wanted)
        )
        for gradient, other in zip(gradients, others, strict=True):
            assert (gradient is None) is (other is None)
            if gradient is not None:
                torch.testing.assert_close(gradient, other)


def test_numbers_are_written_and_change_no_key() -> None:
    module = shared_module()
    rows = {f"layer.{k}.row.W" for k in range(3)}
    assert set(module.state_dict()) == {"shared.A", "shared.L", "shared.B", "entry.s", *rows}
    text = net().source(search="fast")
    assert text.count("class Layer") == 1
    assert 'shared(x, _number(self, "layer", "layer"), 0)' in text
    assert "self.entry(y, 2)" in text
    # For compilers alone: layers that differ in a number are compiled once.
    assert {key for key, _ in module.named_buffers() if not key.endswith("_like")} == {
        f"layer.{k}.layer" for k in range(3)
    }


def test_layers_that_differ_in_a_number_are_compiled_once() -> None:
    module, x = copy.deepcopy(shared_module()), drawn(2, 5, 4)
    wanted = module(x)
    counter = CompileCounter()
    for k in range(3):
        module.layer[k].compile(backend=counter, fullgraph=True)  # type: ignore[index, union-attr]
    with torch.no_grad():
        results = module(x)
    for given, each in zip(results, wanted, strict=True):
        torch.testing.assert_close(given, each)
    assert counter.frame_count == 1


def test_steps_folded_parts_and_copies_pick_the_same() -> None:
    module, x = shared_module(), drawn(2, 5, 4)
    wanted = module(x)
    first, state = module.step(x[:, :3])  # type: ignore[operator]
    second, _ = module.step(x[:, 3:], state)  # type: ignore[operator]
    for k in range(2):
        torch.testing.assert_close(torch.cat([first[k], second[k]], 1), wanted[k])
    folded = copy.deepcopy(module)
    folded.shared = folded.shared.fold()
    for k in range(3):
        folded.layer[k].row = folded.layer[k].row.fold()  # type: ignore[index, union-attr]
    for given, each in zip(folded(x), wanted, strict=True):
        torch.testing.assert_close(given, each)


def test_compilers_exports_and_vmap_pick_the_same() -> None:
    module, x = shared_module(), drawn(2, 5, 4)
    wanted = module(x)
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="eager")
    size = torch.export.Dim("size", min=2)
    exported = torch.export.export(module, (x,), dynamic_shapes=({1: size},)).module()
    for made in (compiled, exported, torch.vmap(module)):
        for given, each in zip(made(x), wanted, strict=True):
            torch.testing.assert_close(given, each)
    assert exported(x[:, :2])[0].shape == (2, 2, 4)


def row() -> nn.Module:
    made = tncompile.loads(TABLES).instantiate("Row", d=4, layers=3)
    return made.module(dtype=torch.float64, seed=0, search="fast")


def test_a_row_belongs_to_the_caller() -> None:
    for module in (row(), row().fold()):  # type: ignore[operator]
        before = {key: value.clone() for key, value in module.state_dict().items()}
        with torch.no_grad():
            for k in range(6):
                given = module(k)
                assert given.is_contiguous()
                torch.testing.assert_close(given, module(torch.tensor(k)))
                given.zero_()
        for key, value in module.state_dict().items():
            assert torch.equal(value, before[key])


def test_numbers_that_are_no_ids_are_refused() -> None:
    for wrong in (-1, 6):
        with pytest.raises(IndexError, match=r"layer, place\)\): ids must be in \[0, 6\)"):
            row()(wrong)
        with pytest.raises(IndexError, match=r"ids must be in \[0, 4\)"):
            shared_module().entry(drawn(3, 4), wrong)  # type: ignore[operator]
    with pytest.raises(tncompile.CompileError, match="TN601"):
        tncompile.loads(TABLES.replace("entry(y, 2)", "entry(y, 4)")).instantiate("Net")


def test_a_number_costs_a_view() -> None:
    text = TABLES.replace(
        "part shared = Shared(d, 3)", "part shared = Shared(d, 3)\n input n() int"
    )
    by_tensor = text.replace("entry(y, 2)", "shared(y, n, n)")
    by_number = text.replace("entry(y, 2)", "shared(y, 1, 1)")
    costs = [
        tncompile.loads(each).instantiate("Net").cost(batch=2, sizes={"t": 4})
        for each in (by_number, by_tensor)
    ]
    assert costs[0].inference.moved_bytes < costs[1].inference.moved_bytes
    assert costs[0].training.moved_bytes < costs[1].training.moved_bytes
