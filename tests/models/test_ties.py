"""Tensors under several names: one tensor and one key, whatever happens to the module."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.small_models import architecture, drawn, module

TIED = """
model Inner() {
  part a = Linear(4, 4)
  part b = Linear(4, 4, bias = false) tie a
  input x(..., 4)
  output x |> a |> b
}
model M() {
  part inner[k in 0..2] = Inner()
  part again = Inner() tie inner[0]
  part net = N()
  part mirror = N() tie net
  input x(..., 4)
  output x |> inner[0] |> inner[1] |> again |> net |> mirror
}
"""


def test_tied_tensors_are_one_whatever_happens_to_the_module() -> None:
    made, x = module(TIED), drawn(2, 4)

    def tied(each: nn.Module) -> bool:
        pairs = [(each.again.a.weight, each.inner[0].b.weight), (each.mirror.A, each.net.A)]
        return all(one is other for one, other in pairs)

    assert tied(made)
    assert tied(copy.deepcopy(made))
    assert tied(pickle.loads(pickle.dumps(made)))
    assert len(list(made.parameters())) == len(made.state_dict()) == 6
    moved = copy.deepcopy(made).to("meta").to_empty(device="cpu")
    for assign in (False, True):
        moved.load_state_dict(made.state_dict(), strict=True, assign=assign)
        assert tied(moved)
        assert torch.equal(moved(x), made(x))


def test_a_second_key_is_taken_where_it_is_equal() -> None:
    made = module(TIED)
    state = made.state_dict()
    made.load_state_dict(state | {"mirror.A": state["net.A"].clone()}, strict=True)
    with pytest.raises(RuntimeError, match=r"mirror\.A is net\.A in this module"):
        made.load_state_dict(state | {"mirror.A": state["net.A"] + 1})
    del state["net.A"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"net\.A"\.'):
        made.load_state_dict(state)


def test_pickles_load_where_nothing_was_compiled(tmp_path: Path) -> None:
    made, x = module(TIED), drawn(2, 4)
    torch.save((made, x, made(x)), tmp_path / "m.pt")
    script = "import sys, torch; m, x, y = torch.load(sys.argv[1], weights_only=False)\n"
    script += "assert torch.equal(m(x), y) and m.mirror.A is m.net.A"
    subprocess.run([sys.executable, "-c", script, tmp_path / "m.pt"], check=True, timeout=120)


PLAIN = """
model M() {
  tensor a(4, 4) init normal(0.5)
  tensor b(4, 4) tie a
  tensor c[k in 0..2](4, 4) init normal(0.5)
  tensor d[k in 1..3](4, 4) tie c[k - 1]
  tensor e[k in 2..4](4) init ones frozen
  tensor f(4) tie e[3]
  input x(..., 2, 4)
  output x @ a @ b @ c[0] @ d[1] @ c[1] @ d[2] * e[2] + f
}
"""


class Twin(nn.Module):
    """Torch lists a parameter under each of its names."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.a = self.b = nn.Parameter(state["a"].clone())
        self.c = nn.ParameterList([state["c.0"].clone(), state["c.1"].clone()])
        self.d = nn.ParameterDict({"1": self.c[0], "2": self.c[1]})
        self.e = nn.Module()
        self.e.register_buffer("2", state["e.2"].clone())
        self.e.register_buffer("3", state["e.3"].clone())
        self.register_buffer("f", self.e.get_buffer("3"))


@pytest.mark.parametrize("assign", [False, True])
def test_plain_tensors_are_taken_from_state_dicts_that_list_them_twice(assign: bool) -> None:
    made, other, x = module(PLAIN), module(PLAIN, seed=1), drawn(3, 2, 4)
    twin = Twin(made.state_dict())
    assert {*twin.state_dict()} == {*made.state_dict(), "b", "d.1", "d.2", "f"}
    given = twin.state_dict()
    before = {*given}
    other.load_state_dict(given, strict=True, assign=assign)
    assert {*given} == before
    assert torch.equal(other(x), made(x))
    for key in ("b", "d.2", "f"):
        with pytest.raises(RuntimeError, match=rf"{key} is [ace.\d]+ in this module"):
            other.load_state_dict(given | {key: given[key] + 1})
    for key in ("a", "c.0"):
        with pytest.raises(RuntimeError, match=rf'Missing key.*"{key}"\.'):
            other.load_state_dict({k: t for k, t in given.items() if k != key})


def test_plain_tensors_of_parts_are_taken_too() -> None:
    outer = (
        PLAIN.replace("model M", "model Inner")
        + """
    model M() {
      part p = Inner()
      input x(..., 2, 4)
      output p(x)
    }
    """
    )
    made, other = module(outer), module(outer, seed=1)
    state = made.state_dict()
    other.load_state_dict(state | {"p.b": state["p.a"].clone()}, strict=True)
    assert torch.equal(other(drawn(2, 4)), made(drawn(2, 4)))


INSIDE = """
model Body() {
  tensor bias(4) init ones
  part wte = Embedding(7, 4)
  part h[k in 0..2] = N()
  part twin = N() tie h[1]
  batch t
  input ids(..., t) int
  output wte(ids) |> h[0] |> h[1] |> twin
}
model Head() {
  part decoder = Linear(4, 7)
  part again = Linear(4, 7) tie decoder
  tensor mix(4, 4) init normal(0.5)
  part last = N() tie A = mix
  input x(..., 4)
  output decoder(last(x)) + again(x)
}
model M() {
  part body = Body()
  part head = Head() tie decoder.weight = body.wte.weight
    tie last.c = body.bias tie mix = body.twin.A
  part other = Linear(4, 7) tie head.again
  batch t
  input ids(..., t) int
  let y = body(ids)
  output head(y) + other(y)
}
"""
ORIGINS = {
    "head.decoder.weight": "body.wte.weight",
    "head.again.weight": "body.wte.weight",
    "head.again.bias": "head.decoder.bias",
    "head.mix": "body.h.1.A",
    "head.last.A": "body.h.1.A",
    "head.last.c": "body.bias",
    "body.twin.A": "body.h.1.A",
    "body.twin.c": "body.h.1.c",
    "other.weight": "body.wte.weight",
    "other.bias": "head.decoder.bias",
}


def test_ties_into_other_parts_are_one_tensor_whatever_happens_to_the_module() -> None:
    made, ids = module(INSIDE), torch.randint(7, (2, 3), generator=torch.Generator().manual_seed(1))

    def tied(each: nn.Module) -> bool:
        pairs = [(each.get_parameter(a), each.get_parameter(b)) for a, b in ORIGINS.items()]
        return all(one is other for one, other in pairs)

    assert tied(made)
    assert tied(copy.deepcopy(made))
    assert tied(pickle.loads(pickle.dumps(made)))
    keys = list(made.state_dict())
    assert not {*keys} & {*ORIGINS}
    assert len(keys) == len(list(made.parameters()))
    counted = architecture(INSIDE).cost(sizes={"t": 3}).parameters
    assert counted == sum(each.numel() for each in made.parameters())
    moved = copy.deepcopy(made).to("meta").to_empty(device="cpu")
    state = made.state_dict()
    both = state | {key: state[origin].clone() for key, origin in ORIGINS.items()}
    for assign in (False, True):
        for given in (state, both):
            moved.load_state_dict(given, strict=True, assign=assign)
            assert tied(moved)
            assert torch.equal(moved(ids), made(ids))
    for key in ORIGINS:
        with pytest.raises(RuntimeError, match="they differ here"):
            moved.load_state_dict(both | {key: both[key] + 1})
    optimizer = torch.optim.SGD(made.parameters(), 0.1)
    made(ids).sum().backward()
    optimizer.step()
    assert tied(made)
    assert all(each.grad is not None for each in made.parameters())
