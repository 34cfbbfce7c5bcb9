"""Singular values of bonds against the map itself, states with known entropies, gauges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

import tncompile
from tests.support.library import architecture
from tncompile import Architecture


def made(arch: Architecture, seed: int = 0) -> torch.nn.Module:
    return arch.module(seed=seed, dtype=torch.float64, search="fast")


def dense_cut(arch: Architecture, module: torch.nn.Module, legs: Sequence[str]) -> torch.Tensor:
    """The singular values of the map between some legs and all others."""
    net = arch.network
    weight: torch.Tensor = module.weight.detach()  # type: ignore[union-attr,assignment,operator]
    ins = [leg for axis in net.inputs[0].axes for leg in axis.indices if leg != "..."]
    outs = [leg for leg in net.output.legs if leg != "..."]
    whole = weight.reshape([net.index[leg].size or 0 for leg in (*outs, *ins)])
    here = [k for k, leg in enumerate((*outs, *ins)) if leg in legs]
    there = [k for k in range(whole.dim()) if k not in here]
    rows = math.prod(whole.shape[k] for k in here)
    return torch.linalg.svdvals(whole.permute(here + there).reshape(rows, -1))


def check(found: torch.Tensor, due: torch.Tensor) -> None:
    count = min(len(found), len(due))
    torch.testing.assert_close(found[:count], due[:count], rtol=1e-12, atol=1e-12)
    assert float(found[count:].sum() + due[count:].sum()) < 1e-12


@pytest.mark.parametrize(
    ("target", "bond", "legs"),
    [
        ("MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [5, 6])", "b[0]", ("i[0]", "o[0]")),
        (
            "MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [5, 6])",
            "b[1]",
            ("i[0]", "o[0]", "i[1]", "o[1]"),
        ),
        ("MPO(ins = [2, 2], outs = [2, 2], ranks = 9)", "b[0]", ("i[0]", "o[0]")),
        ("Tucker(ins = [4, 5], outs = [5, 3])", "p[1]", ("i[1]",)),
        ("Tucker(ins = [4, 5], outs = [5, 3])", "q[0]", ("o[0]",)),
        ("HierarchicalTucker(ins = [3, 3, 3], outs = [2, 2, 2])", "v[0, 2]", ("i[2]", "o[2]")),
        ("TreeLinear(ins = [4, 4, 4], outs = [3, 3])", "w[0, 1]", ("o[1]",)),
        ("CP(ins = [4, 3], outs = [3, 2], rank = 5)", "r at U[1]", ("i[1]",)),
        ("KroneckerSum(ins = [4, 3], outs = [3, 2])", "t at K[0]", ("i[0]", "o[0]")),
    ],
)
def test_singular_values_are_those_of_the_map(
    target: str, bond: str, legs: tuple[str, ...]
) -> None:
    arch = architecture("linear", target)
    module = made(arch)
    found = arch.bonds(module)[bond]
    due = dense_cut(arch, module, legs)
    check(found.singular_values, due)
    for rank in range(found.size + 1):
        lost = float(due[rank:].square().sum().sqrt() / due.square().sum().sqrt())
        assert found.truncation_error(rank) == pytest.approx(lost, abs=1e-7)
    assert found.effective_rank == pytest.approx(math.exp(found.entropy))
    assert found.log_norm == pytest.approx(float(due.square().sum().sqrt().log()))


def test_a_ring_is_cut_by_two_bonds() -> None:
    arch = architecture(
        "linear", "TensorRing(ins = [4, 4, 4], outs = [3, 3, 3], ranks = [2, 3, 4])"
    )
    module = made(arch)
    with pytest.raises(ValueError, match=r"has loops.*cut=\[…\]"):
        arch.bonds(module)
    found = arch.bonds(module, cut=["b[0]", "b[1]"])["b[0], b[1]"]
    assert found.size == 6
    check(found.singular_values, dense_cut(arch, module, ("i[0]", "o[0]")))
    for cut in (["b[0]"], ["b[0]", "b[1]", "b[2]"]):
        with pytest.raises(ValueError, match="into two parts"):
            arch.bonds(module, cut=cut)
    with pytest.raises(ValueError, match="is no bond"):
        arch.bonds(module, cut=["i[0]"])


STATE = """
network State(n: int = 4, r: int = 2) {
  index s[k in 0..n] = 2
  bond  b[k in 0..n - 1] = r
  tensor A[k in 0..n](b[k - 1]?, s[k], b[k]?)
  output y(s[*])
}
"""


def state(cores: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"A.{k}": core.double() for k, core in enumerate(cores)}


def test_states_with_known_entropies() -> None:
    arch = tncompile.loads(STATE).instantiate("State")
    first, last = torch.eye(2), torch.eye(2)
    copy = torch.zeros(2, 2, 2)
    copy[0, 0, 0] = copy[1, 1, 1] = 1
    ghz = arch.bonds(state([first, copy, copy, last]))
    for bond in ghz.values():
        assert bond.entropy == pytest.approx(math.log(2), abs=1e-14)
        assert bond.singular_values.tolist() == pytest.approx([1.0, 1.0])
    plus = torch.ones(2, 2, 2)
    product = arch.bonds(state([torch.ones(2, 2), plus, plus, torch.ones(2, 2)]))
    for bond in product.values():
        assert bond.entropy == pytest.approx(0.0, abs=1e-14)
        assert bond.effective_rank == pytest.approx(1.0)
        assert bond.rank_for(1e-12) == 1
    pairs = torch.zeros(2, 2, 2)  # |00> + |11> on sites 0 and 1, then on 2 and 3
    pairs[:, :, 0] = torch.eye(2)
    again = torch.zeros(2, 2, 2)
    again[0] = torch.eye(2)
    bell = arch.bonds(state([torch.eye(2), pairs, again, torch.eye(2)]))
    due = [math.log(2), 0.0, math.log(2)]
    assert [bond.entropy for bond in bell.values()] == pytest.approx(due, abs=1e-14)


def test_complex_and_tied_tensors() -> None:
    text = STATE.replace("tensor A[k in 0..n](b[k - 1]?, s[k], b[k]?)", (
        "tensor A(s[0], b[0]) complex\n  tensor B[k in 1..n - 1](b[k - 1], s[k], b[k]) complex\n"
        "  tensor C(s[n - 1], b[n - 2]) tie A conj"
    ))  # fmt: skip
    arch = tncompile.loads(text).instantiate("State")
    module = arch.module(seed=0, dtype=torch.float64, search="fast")
    whole = module().detach().reshape(4, 4)
    found = arch.bonds(module)["b[1]"].singular_values
    check(found, torch.linalg.svdvals(whole))
    with pytest.raises(ValueError, match="stands at 2 places"):
        arch.canonicalize(module, "b[1]")


def test_thousands_of_tensors_fit_no_float_and_are_still_right() -> None:
    arch = architecture("classifier", "MPSClassifier(sites = 600, rank = 3)")
    module = made(arch)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(7.0)
    found = arch.bonds(module)
    assert len(found) == 600
    assert all(0 <= bond.entropy <= math.log(3) + 1e-12 for bond in found.values())
    assert {round(bond.log_norm, 6) for bond in found.values()} == {
        round(next(iter(found.values())).log_norm, 6)
    }


# ── gauges ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "target",
    [
        "MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [5, 6])",
        "MPO(ins = [2, 2], outs = [2, 2], ranks = 9)",
        "HierarchicalTucker(ins = [3, 3, 3], outs = [2, 2, 2])",
        "TreeLinear(ins = [4, 4, 4], outs = [3, 3])",
        "Tucker(ins = [4, 5], outs = [5, 3])",
    ],
)
def test_a_gauge_leaves_the_map(target: str) -> None:
    arch = architecture("linear", target)
    module = made(arch)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    for name, bond in arch.bonds(module).items():
        gauged = arch.canonicalize(module, name)
        torch.testing.assert_close(gauged.weight, module.weight, rtol=1e-12, atol=1e-12)
        check(arch.bonds(gauged)[name].singular_values, bond.singular_values)
        x = torch.randn(3, gauged.in_features, dtype=torch.float64)  # type: ignore[arg-type]
        torch.testing.assert_close(gauged(x), module(x), rtol=1e-12, atol=1e-12)
        for tensor in arch.network.tensors:
            if tensor.role == "parameter" and name in tensor.legs:
                value = gauged.state_dict()[tensor.source]
                along = value.movedim(tensor.legs.index(name), 0).flatten(1)
                squares = along.square().sum(1)
                torch.testing.assert_close(squares, bond.singular_values, rtol=1e-9, atol=1e-12)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_what_has_no_gauge_is_refused() -> None:
    cp = architecture("linear", "CP(ins = [4, 3], outs = [3, 2], rank = 5)")
    with pytest.raises(ValueError, match="r joins more than two tensors"):
        cp.canonicalize(made(cp), "r")
    mpo = architecture("linear", "MPO(ins = [4, 3], outs = [3, 4])")
    with pytest.raises(ValueError, match="joins no two tensors"):
        mpo.canonicalize(made(mpo), "i[0]")


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────────


def test_weights_that_do_not_fit() -> None:
    arch = architecture("linear", "MPO(ins = [4, 3], outs = [3, 4])")
    good = dict(made(arch).state_dict())
    with pytest.raises(ValueError, match=r"have no 'G\.1'"):
        arch.bonds({key: value for key, value in good.items() if key != "G.1"})
    with pytest.raises(ValueError, match=r"'G\.0' is 2 × 2"):
        arch.bonds(good | {"G.0": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="not finite"):
        arch.bonds(good | {"G.0": torch.full_like(good["G.0"], torch.nan)})
    bond = arch.bonds(good)["b[0]"]
    with pytest.raises(ValueError, match="a rank is a number from 0 on"):
        bond.truncation_error(-1)
    zero = arch.bonds({key: torch.zeros_like(value) for key, value in good.items()})["b[0]"]
    assert zero.entropy == 0.0
    assert zero.truncation_error(0) == 0.0
    assert zero.singular_values.tolist() == [0.0] * zero.size


def test_the_table() -> None:
    arch = architecture("linear", "MPO(ins = [4, 3], outs = [3, 4], ranks = 4)")
    found = arch.bonds(made(arch))
    lines = repr(found).splitlines()
    assert lines[0].startswith("MPO(")
    assert lines[2].split()[:3] == ["bond", "size", "entropy"]
    assert lines[4].startswith("b[0]")
    assert "<pre" in found._repr_html_()
