"""Stacks are taken apart in few views, whose gradients are joined once."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tncompile
from tncompile.lowering.stacking.splitting import split_stack


@pytest.mark.parametrize(
    ("readers", "found"),
    [
        ("aaabb", [(0, 3, 1), (3, 5, 1)]),
        ("ababab", [(0, 6, 2)]),
        ("abababc", [(0, 6, 2), (6, 7, 1)]),
        ("abcabcabc", [(0, 9, 3)]),
        ("ABCaaD", [(0, 3, 0), (3, 5, 1), (5, 6, 0)]),
        ("abba", None),
        ("ab", [(0, 1, 1), (1, 2, 1)]),
        ("aBa", None),
    ],
)
def test_segments_of_stacks(readers: str, found: list[tuple[int, int, int]] | None) -> None:
    given = [(ord(reader), 0) for reader in readers]
    made = split_stack(given, [reader.isupper() for reader in readers])
    assert found == (made and [(s.start, s.stop, s.period) for s in made])


@given(st.lists(st.sampled_from("abcAB"), min_size=1, max_size=24))
def test_segments_give_every_reader_its_members_in_order(readers: list[str]) -> None:
    made = split_stack([(ord(r), 0) for r in readers], [r.isupper() for r in readers])
    if made is None:
        return
    assert [s.start for s in made] == [0, *(s.stop for s in made[:-1])]
    assert made[-1].stop == len(readers)
    for segment in made:
        held = readers[segment.start : segment.stop]
        if segment.period == 0:
            assert all(reader.isupper() for reader in held)
            continue
        assert held == held[: segment.period] * (len(held) // segment.period)
        assert not set(held) & {*readers[: segment.start], *readers[segment.stop :]}


def backward_nodes(result: torch.Tensor) -> Counter[str]:
    """How many nodes of each kind the graph of a result has."""
    nodes: Counter[str] = Counter()
    waiting, seen = [result.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes[node.name()] += 1
        waiting += [following for following, _ in node.next_functions]
    return nodes


CHAIN = "MPSClassifier(sites=150, features=2, rank=5, classes=3)"
TREE = "TreeClassifier(sites=64, features=3, rank=4, classes=3)"


@pytest.mark.parametrize(("target", "features"), [(CHAIN, 2), (TREE, 3)])
@pytest.mark.parametrize("batch", [1, 64])
def test_no_gradient_of_a_stack_is_scattered_and_added(
    target: str, features: int, batch: int
) -> None:
    """A slice's gradient would be as large as the stack: zeros but for the slice, then added up."""
    arch = tncompile.load("std/classifier.tn").instantiate(target)
    module = arch.module(batch=batch, seed=1)
    x = torch.rand(batch, 150 if target == CHAIN else 64, features) + 0.5
    nodes = backward_nodes(module(x))
    assert nodes["SplitWithSizesBackward0"] + nodes["UnbindBackward0"] > 0
    scattered = nodes["SliceBackward0"] + nodes["SelectBackward0"] + nodes["IndexSelectBackward0"]
    assert not scattered, nodes
