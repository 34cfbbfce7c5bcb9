"""The cost of a plan for a network with another size of an index."""

from __future__ import annotations

import pytest

import tncompile


def test_a_bond_of_another_size() -> None:
    """The same order at the same sizes costs the same, whoever it was planned for."""
    spec = tncompile.load("std/linear.tn")
    call = {"ins": [4, 8, 8], "outs": [8, 8, 4]}
    cost = spec.instantiate("MPO", **call, ranks=8).cost(batch=64, search="fast")
    assert cost.resized("b[0]", 8).chosen == cost.chosen
    for rank in (1, 2, 16):
        other = spec.instantiate("MPO", **call, ranks=[rank, 8]).cost(batch=64, search="fast")
        resized = cost.resized("b[0]", rank)
        assert resized.inference.parameters == other.inference.parameters
        assert resized.inference.dense_seconds == cost.inference.dense_seconds
        if rank == 2:  # the same order is found
            assert resized.figures == other.figures
        assert resized.live_bytes.peak == resized.peak_bytes
        assert resized.resized("b[1]", 2).at(batch=1).flops < resized.flops


@pytest.mark.parametrize(
    ("index", "size", "words"),
    [
        ("q", 2, "no index `q`"),
        ("b[0]", 0, "at least 1"),
        ("...", 2, "cannot have another size"),
        ("one", 2, "has size 1"),
    ],
)
def test_refusals(index: str, size: int, words: str) -> None:
    arch = tncompile.loads(
        "network N() { index i = 4, o = 4 bond b[k in 0..1] = 3, one = 1\n"
        "input x(..., i) tensor A(i, b[0], one) tensor B(b[0], one, o) output y(..., o) }"
    ).instantiate()
    with pytest.raises(ValueError, match=words):
        arch.cost(batch=4, search="fast").resized(index, size)
