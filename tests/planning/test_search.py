"""Contraction trees: legal, reproducible, cheap, and by levels where families are long."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import small_networks as small
from tests.support.costed import counted
from tests.support.seeds import another_seed
from tncompile.lowering import lower
from tncompile.network.contraction import (
    build_tree,
    operands,
    verify_tree,
)
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.paths.candidates import Candidate, candidates
from tncompile.planning.paths.optimizers import EFFORTS, search
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.request import runtime_sizes


def found(network: TensorNetwork, batch: int = 64, effort: str = "fast") -> tuple[Candidate, ...]:
    """The candidates for a network."""
    terms = operands(network)
    problem = contraction_problem(network, terms, runtime_sizes(network, batch, {}))
    return candidates(network, terms, problem, EFFORTS[effort])


@st.composite
def random_networks(draw: st.DrawFn) -> TensorNetwork:
    """One to nine tensors on up to ten indices: hyperedges, open and shared ones, loose pieces."""
    count = draw(st.integers(1, 9))
    names = [f"i{k}" for k in range(draw(st.integers(1, 10)))]
    sizes: dict[str, int | None] = {DOTS: None}
    sizes |= {name: draw(st.integers(1, 4)) for name in names}
    legs = {
        f"T[{k}]": draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
        for k in range(count)
    }
    given_legs = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
    carried = list(dict.fromkeys([*given_legs, *itertools.chain(*legs.values())]))
    output = draw(st.lists(st.sampled_from(carried), max_size=4, unique=True))
    return small.make_network(
        {name: size for name, size in sizes.items() if name == DOTS or name in carried},
        {"x": [DOTS, *given_legs]},
        legs,
        [DOTS, *output],
        first=draw(st.sampled_from(["inputs", "tensors"])),
    )


@settings(max_examples=60, deadline=None)
@given(random_networks())
def test_every_candidate_contracts_the_network(network: TensorNetwork) -> None:
    held = found(network, 8, "normal")
    assert held
    for candidate in held:
        assert list(verify_tree(network, candidate.tree)) == [], candidate.names
        assert candidate.multiply_adds == counted(network, candidate.tree, 8)


FAMILIES = {
    "mpo": small.mpo([4, 8, 8], [8, 8, 4], 5),
    "ring": small.ring([4] * 4, [4] * 4, 3),
    "cp": small.cp([3, 4, 5], [5, 4], 6),
    "mps": small.mps(17, 2, 5, 3),
    "long mps": small.mps(151, 2, 4, 3),
    "tree": small.tree(16, 3, 4, 5),
    "long tree": small.tree(256, 2, 3, 5),
    "peps": small.peps(3, 4, 2, 2, 3),
    "large peps": small.peps(10, 10, 2, 2, 3),
    "norm": small.norm(12, 3),
    "long norm": small.norm(180, 4),
    "low rank": small.low_rank(12, 10, 3),
    "one": small.make_network({DOTS: None, "i": 3}, {"x": [DOTS, "i"]}, {}, [DOTS]),
    "scalars": small.make_network({"i": 1}, {"x": ["i"]}, {"A": ["i"], "B": ["i"]}, []),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_candidates_of_families_are_legal(name: str) -> None:
    network = FAMILIES[name]
    for candidate in found(network):
        assert list(verify_tree(network, candidate.tree)) == [], candidate.names
        assert candidate.multiply_adds == counted(network, candidate.tree, 64)


def test_nothing_to_contract() -> None:
    network = small.make_network({}, {}, {}, [])
    (candidate,) = found(network)
    assert candidate.tree.steps == ()


def _all_trees(terms: list[int], fresh: int) -> list[list[tuple[int, int]]]:
    if len(terms) == 1:
        return [[]]
    trees = []
    for left, right in itertools.combinations(terms, 2):
        rest = [term for term in terms if term not in (left, right)]
        trees += [[(left, right), *tail] for tail in _all_trees([*rest, fresh], fresh + 1)]
    return trees


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(2, 6), min_size=6, max_size=6), st.integers(2, 3))
def test_small_networks_get_the_best_tree(sizes: list[int], cores: int) -> None:
    network = small.mpo(sizes[:cores], sizes[cores : 2 * cores], sizes[5])
    terms = operands(network)
    best = min(
        counted(network, build_tree(network, terms, tuple(pairs)), 64)
        for pairs in _all_trees(list(range(len(terms))), len(terms))
    )
    assert min(candidate.multiply_adds for candidate in found(network)) == best


def test_sweeps_beat_greedy_on_chains() -> None:
    network = small.mps(64, 2, 8, 10)
    by_name = {name: c.multiply_adds for c in found(network, effort="normal") for name in c.names}
    assert by_name["sweep from both ends"] < by_name["search (greedy)"]


@pytest.mark.parametrize(
    ("network", "steps"),
    [
        (small.mps(784, 2, 6, 10), 320),
        (small.tree(1024, 2, 4, 5), 320),
        (small.norm(400, 4), 320),
    ],
)
def test_long_families_are_contracted_by_levels(network: TensorNetwork, steps: int) -> None:
    held = found(network)
    assert all(any("levels" in name for name in c.names) for c in held)
    shortest = min(len(lower(network, c.tree).steps) for c in held)
    assert shortest <= steps


def test_wide_bonds_are_not_squared() -> None:
    held = found(small.norm(100, 64))
    least = min(candidate.multiply_adds for candidate in held)
    assert least <= 2 * 2 * 100 * 2 * 64**3


# ── reproducible ────────────────────────────────────────────────────────────────────────────────

PRINTED = """
import sys
sys.path[:0] = [{root!r}]
from tests.planning.test_search import trees
print(trees())
"""


def trees() -> str:
    """All that is found for a few networks, as text."""
    networks = [small.mps(20, 2, 4, 3), small.peps(4, 4, 2, 2, 3), small.cp([3, 4, 5], [5, 4], 6)]
    return json.dumps(
        [
            [
                [each.names, [[step.left, step.right, step.legs] for step in each.tree.steps]]
                for each in found(network, 64, "normal")
            ]
            for network in networks
        ]
    )


def test_equal_trees_under_any_hash_seed_and_beside_cotengrust(tmp_path: Path) -> None:
    functions = "optimize_greedy optimize_optimal optimize_random_greedy_track_flops HyperGraph"
    lines = ["def refuse(*a, **k):", "    raise AssertionError('cotengrust was called')"]
    lines += [f"{name} = refuse" for name in functions.split()]
    (tmp_path / "cotengrust.py").write_text("\n".join(lines) + "\n")
    script = PRINTED.format(root=str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**another_seed(), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{trees()}\n"


def test_names_do_not_matter() -> None:
    first = small.mps(12, 2, 4, 3)
    text = first.model_dump_json()
    for old, new in (("label", "zz"), ("p1", "aa"), ("b3", "q")):
        text = text.replace(f'"{old}"', f'"{new}"')
    second = TensorNetwork.model_validate_json(text)
    assert _shapes(first) == _shapes(second)


def _shapes(network: TensorNetwork) -> list[tuple[tuple[int, int], ...]]:
    return [tuple((s.left, s.right) for s in c.tree.steps) for c in found(network, 64, "normal")]


# ── corrupted trees are noticed ─────────────────────────────────────────────────────────────────


def test_verify_tree_notices_corruption() -> None:
    network = small.mpo([2, 3, 4], [4, 3, 2], 3)
    tree = found(network)[0].tree
    steps = tree.steps
    damaged = {
        "swapped": (*steps[:-2], steps[-1], steps[-2]),
        "dropped": steps[:-1],
        "leg lost": (replace(steps[0], legs=steps[0].legs[1:]), *steps[1:]),
        "twice": (replace(steps[0], right=steps[0].left), *steps[1:]),
        "number": (replace(steps[0], result=77), *steps[1:]),
    }
    assert list(verify_tree(network, tree)) == []
    for name, kept in damaged.items():
        assert list(verify_tree(network, replace(tree, steps=kept))), name


# ── limits and reports ──────────────────────────────────────────────────────────────────────────


def test_progress_runs_to_its_end() -> None:
    network = small.peps(4, 4, 2, 2, 3)
    problem = contraction_problem(network, operands(network), runtime_sizes(network, 8, {}))
    seen: list[tuple[int, int]] = []
    search(problem, EFFORTS["normal"], lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_unknown_run_time_size() -> None:
    network = small.low_rank(4, 4, 2)
    with pytest.raises(ValueError, match="`m` is no run-time size"):
        runtime_sizes(network, 8, {"m": 3})
    with pytest.raises(ValueError, match="must be positive"):
        runtime_sizes(network, 0, {})
