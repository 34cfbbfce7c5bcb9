"""How much a bond carries: the ranks of random networks, and when a larger one is worth a word."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from tncompile.language.checking.capacity_rules import useful_sizes
from tncompile.language.diagnostics.rendering import render

LINEAR = tncompile.load("std/linear.tn")


def oversized(architecture: tncompile.Architecture) -> str:
    """The warnings about bonds, as they are shown."""
    assert {warning.code for warning in architecture.warnings} <= {"TN307"}
    return render(architecture.warnings)


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """A tree of tensors: the parent of each but the first, the bond to it, and its open leg."""
    count = draw(st.integers(2, 6))
    parents = [draw(st.integers(0, k - 1)) for k in range(1, count)]
    bonds = [draw(st.integers(1, 9)) for _ in parents]
    return parents, bonds, [draw(st.integers(1, 3)) for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(trees())
def test_useful_sizes_of_a_tree_are_the_ranks_of_random_tensors(
    tree: tuple[list[int], list[int], list[int]],
) -> None:
    parents, bonds, legs = tree
    lines = [f"  index s{k} = {size}" for k, size in enumerate(legs)]
    lines += [f"  bond b{k} = {size}" for k, size in enumerate(bonds, start=1)]
    names: list[list[str]] = [[f"s{k}"] for k in range(len(legs))]
    for k, parent in enumerate(parents, start=1):
        names[k].append(f"b{k}")
        names[parent].append(f"b{k}")
    lines += [f"  tensor T{k}({', '.join(held)})" for k, held in enumerate(names)]
    lines.append(f"  output y({', '.join(f's{k}' for k in range(len(legs)))})")
    text = "network N() {\n" + "\n".join(lines) + "\n}\n"
    found = useful_sizes(tncompile.loads(text).instantiate()._resolved)

    sizes = {f"s{k}": size for k, size in enumerate(legs)}
    sizes |= {f"b{k}": size for k, size in enumerate(bonds, start=1)}
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn([sizes[n] for n in held], generator=generator, dtype=torch.float64)
        for held in names
    ]
    letters = {name: chr(97 + k) for k, name in enumerate(sizes)}
    for k in range(1, len(legs)):
        below = {k}
        for child, parent in enumerate(parents, start=1):
            if parent in below:
                below.add(child)
        ranks = []
        for side in (sorted(below), sorted({*range(len(legs))} - below)):
            terms = ["".join(letters[n] for n in names[j]) for j in side]
            result = letters[f"b{k}"] + "".join(letters[f"s{j}"] for j in side)
            made = torch.einsum(f"{','.join(terms)}->{result}", *(tensors[j] for j in side))
            matrix = made.reshape(made.shape[0], -1)
            ranks.append(int(torch.linalg.matrix_rank(matrix)))
        assert found[f"b{k}"] == min(ranks)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=2),
    st.lists(st.integers(1, 4), min_size=2, max_size=2),
    st.lists(st.integers(1, 20), min_size=2, max_size=2),
)
def test_legs_on_both_ends_make_no_room(own: list[int], both: list[int], bonds: list[int]) -> None:
    """A parallel bond and an index of both ends are one entry at a time for a bond."""
    text = f"""network N() {{
      index i = {own[0]}, o = {own[1]}, s = {both[0]}
      hyper h = {both[1]}
      bond b = {bonds[0]}, c = {bonds[1]}
      tensor A(i, s, h, b, c)
      tensor B(o, s, h, b, c)
      tensor W(h, s)
      output y(i, o, s)
    }}"""
    found = useful_sizes(tncompile.loads(text).instantiate()._resolved)
    assert found == {"b": min(bonds[0], *own), "c": min(bonds[1], *own)}


@pytest.mark.parametrize(
    ("block", "arguments", "said"),
    [
        ("MPO", {"ins": [4, 8], "outs": [8, 4], "ranks": 1000}, "size 1000, of which 32 are"),
        ("MPO", {"ins": [4, 8], "outs": [8, 4], "ranks": 33}, "size 33, of which 32 are"),
        ("LowRank", {"in_features": 32, "out_features": 7, "rank": 8}, "size 8, of which 7 are"),
        ("BTT", {"ins": [8, 8], "outs": [8, 8], "rank": 9}, "size 9, of which 8 are"),
        (
            "MPO",
            {"ins": [4] * 4, "outs": [4] * 4, "ranks": 512},
            "`b[0]` 16, `b[1]` 256, `b[2]` 16",
        ),
    ],
)
def test_ranks_that_cannot_be_are_told(block: str, arguments: dict[str, object], said: str) -> None:
    assert said in oversized(LINEAR.instantiate(block, **arguments))


@pytest.mark.parametrize(
    ("block", "arguments"),
    [
        ("MPO", {"ins": [4, 8], "outs": [8, 4], "ranks": 32}),
        ("MPO", {"ins": [2] * 10, "outs": [2] * 10, "ranks": 16}),  # one number for all bonds
        ("LowRank", {"in_features": 32, "out_features": 7, "rank": 7}),
        ("LowRank", {"in_features": 32, "out_features": 7}),  # the default was nobody's choice
        ("TensorRing", {"ins": [8, 8], "outs": [8, 8], "ranks": 64}),
        ("BTT", {"ins": [8, 8], "outs": [8, 8], "rank": 8}),
    ],
)
def test_ranks_that_are_of_use_are_silent(block: str, arguments: dict[str, object]) -> None:
    assert LINEAR.instantiate(block, **arguments).warnings == ()


@pytest.mark.parametrize("attribute", ["frozen", "tie A", "share"])
def test_an_end_that_is_not_free_may_need_all_of_it(attribute: str) -> None:
    text = """network N() {
      index i = 2, j[k in 0..2] = 2
      bond b[k in 0..2] = 9
      tensor A(j[0], b[0])
      tensor B(j[1], b[1])
      tensor C(b[0], b[1], i)
      output y(i, j[*])
    }"""
    assert "TN307" in oversized(tncompile.loads(text).instantiate())
    match attribute:
        case "share":
            text = text.replace("tensor A(j[0], b[0])", "tensor A[k in 0..2](j[k], b[k]) share k")
            text = text.replace("      tensor B(j[1], b[1])\n", "")
        case "tie A":
            text = text.replace("B(j[1], b[1])", "B(j[1], b[1]) tie A")
        case _:
            text = text.replace("[0])\n", "[0]) frozen\n").replace("[1])\n", "[1]) frozen\n")
    assert oversized(tncompile.loads(text).instantiate()) == ""


def test_sizes_that_are_told_are_enough() -> None:
    """A network with the largest useful sizes represents what the oversized one does."""
    torch.manual_seed(0)
    large = LINEAR.instantiate("MPO", ins=[3, 4], outs=[2, 5], ranks=50, with_bias=False)
    room = useful_sizes(large._resolved)["b[0]"]
    assert room == 6
    small = LINEAR.instantiate("MPO", ins=[3, 4], outs=[2, 5], ranks=room, with_bias=False)
    assert small.warnings == ()
    one, other = large.module(seed=0).double(), small.module(seed=0).double()
    first, second = (value.detach() for value in one.state_dict().values())
    identity = torch.eye(room, dtype=torch.float64).reshape(3, 2, room)
    merged = torch.einsum("ab,bcd->acd", first.reshape(room, 50), second)
    other.load_state_dict({"G.0": identity, "G.1": merged})
    x = torch.randn(7, 12, dtype=torch.float64)
    torch.testing.assert_close(one(x), other(x))


def test_a_block_caps_its_ranks() -> None:
    text = """network Capped(ins: int[n], outs: int[n], ranks: int[n - 1] = 64) {
      let left = cumprod(ins)
      let right = cumprod(outs)
      index  i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
      bond   b[k in 0..n - 1] = min(
        ranks[k], left[k] * right[k], prod(ins) // left[k] * (prod(outs) // right[k]),
      )
      input  x(..., (i[*]))
      tensor G[k in 0..n](b[k - 1]?, i[k], o[k], b[k]?)
      output y(..., (o[*]))
    }"""
    made = tncompile.loads(text).instantiate("Capped", ins=[2, 3, 2, 2], outs=[2, 2, 2, 3])
    assert made.warnings == ()
    sizes = [index.size for index in made.network.indices if index.kind == "bond"]
    assert sizes == [4, 24, 6]
    larger = LINEAR.instantiate("MPO", ins=[2, 3, 2, 2], outs=[2, 2, 2, 3], ranks=64)
    assert list(useful_sizes(larger._resolved).values()) == sizes


def test_many_bonds_of_one_tensor_are_quick() -> None:
    text = """network N(n: int = 20000) {
      index i[k in 0..n] = 2
      bond b[k in 0..n] = 4
      tensor A[k in 0..n](i[k], b[k])
      tensor C(b[*])
      output y(i[*])
    }"""
    found = useful_sizes(tncompile.loads(text).instantiate()._resolved)
    assert set(found.values()) == {2}
