"""Plans of irregular networks: beside other path finders, harder searches, and exact small ones."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

import tncompile
from benchmarks.corpus import CORPUS, Instance
from benchmarks.planner import best_of_others
from tests.support.small_networks import mps, peps
from tncompile.network.model import TensorNetwork
from tncompile.planning import ContractionPlan, plan
from tncompile.planning.paths.bisection import bisected_order
from tncompile.planning.paths.intervals import interval_path, leaf_order
from tncompile.planning.paths.optimizers import EFFORTS, search
from tncompile.planning.paths.problem import NamedPath, Problem, price_path

STD = Path(tncompile.__file__).parent / "std"

WORSE = 1.2
"""How much longer than the best tree of others a plan may take, by prediction."""


@cache
def network(name: str) -> TensorNetwork:
    """A network of the corpus."""
    return tncompile.loads(CORPUS[name]().source).instantiate().network


def problem(instance: Instance) -> Problem:
    """An instance in numbers."""
    number: dict[str, int] = {}
    for legs in instance.terms:
        for leg in legs:
            number.setdefault(leg, len(number))
    return Problem(
        tuple(tuple(number[leg] for leg in legs) for legs in instance.terms),
        tuple(number[leg] for leg in instance.output),
        tuple(instance.sizes[leg] for leg in number),
        frozenset(),
        frozenset(),
        frozenset(),
    )


@cache
def searched(name: str, effort: str = "normal") -> tuple[NamedPath, ...]:
    """What a search finds."""
    return search(problem(CORPUS[name]()), EFFORTS[effort])


# ── beside others ───────────────────────────────────────────────────────────────────────────────

CHEAP = (
    "lattice 6 × 12, bonds of 3",
    "lattice 3 × 3 × 8",
    "3-regular, 60 tensors",
    "4-regular, 40 tensors",
    "matrix chain of 60",
    "30 factors of 24 variables",
    "MERA of 16 sites",
    "MPS overlap, 60 sites",
)


@pytest.mark.parametrize("name", CHEAP)
def test_no_plan_is_far_behind_other_path_finders(name: str) -> None:
    seconds, multiply_adds = best_of_others(CORPUS[name](), network(name), trials=16)
    found = plan(network(name), batch=1, search="fast", training=False)
    assert found.main.cost.seconds <= WORSE * seconds
    least = min(price_path(problem(CORPUS[name]()), path.pairs)[0] for path in searched(name))
    assert least <= WORSE * multiply_adds


def test_lattices_do_not_depend_on_the_order_of_declaration() -> None:
    """4 × 4 × 7, its long axis last: once 29 times the multiply-adds of others, and more."""
    found = searched("lattice 4 × 4 × 7")
    held = problem(CORPUS["lattice 4 × 4 × 7"]())
    assert min(price_path(held, path.pairs)[0] for path in found) <= 1.2 * 8.8e8


# ── harder searches ─────────────────────────────────────────────────────────────────────────────

BLOCKS = {
    "linear": (
        "MPO(ins = [4, 8, 8], outs = [8, 8, 4], ranks = 8)",
        "TensorRing(ins = [4, 4, 4], outs = [4, 4, 4], ranks = 4)",
    ),
    "classifier": ("PEPSClassifier(rows = 3, columns = 4)", "MPSClassifier(sites = 12)"),
    "embedding": ("TTEmbedding(rows = [4, 8, 8], columns = [4, 4, 4])",),
}


def never_worse(network: TensorNetwork, *efforts: str) -> list[ContractionPlan]:
    """The plans by effort, each no worse than the one before it."""
    plans = [plan(network, batch=32, search=effort) for effort in efforts]
    for easier, harder in pairwise(plans):
        for mode in ("training", "inference", "folded"):
            one, other = easier.variant(32, mode), harder.variant(32, mode)
            # What runs in one part runs without its loop, a little faster than it was chosen by.
            assert other.cost.seconds <= 1.01 * one.cost.seconds, (harder.search, mode)
    return plans


@pytest.mark.parametrize(
    ("file", "target"), [(file, target) for file, held in BLOCKS.items() for target in held]
)
def test_harder_searches_of_blocks_are_never_worse(file: str, target: str) -> None:
    never_worse(tncompile.load(STD / f"{file}.tn").instantiate(target).network, "fast", "normal")


def test_the_hardest_search_is_never_worse() -> None:
    never_worse(peps(3, 3, 2, 2, 3), "fast", "normal", "thorough")


@pytest.mark.parametrize("name", ["3-regular, 30 tensors", "30 factors of 24 variables"])
def test_harder_searches_find_all_that_easier_ones_do(name: str) -> None:
    found = {effort: searched(name, effort) for effort in EFFORTS}
    for easier, harder in pairwise(EFFORTS):
        assert {path.pairs for path in found[easier]} <= {path.pairs for path in found[harder]}
        assert set(found[easier]) <= set(found[harder])
    never_worse(network(name), "fast", "normal")


# ── orders ──────────────────────────────────────────────────────────────────────────────────────


def along(held: Problem, order: tuple[int, ...]) -> int:
    """The fewest multiply-adds of the trees along an order, every one of them tried."""

    @cache
    def trees(first: int, last: int) -> tuple[tuple[object, ...], ...]:
        if last - first == 1:
            return ((order[first],),)
        return tuple(
            (one, other)
            for middle in range(first + 1, last)
            for one in trees(first, middle)
            for other in trees(middle, last)
        )

    def path(tree: tuple[object, ...]) -> int:
        pairs: list[tuple[int, int]] = []

        def number(node: object) -> int:
            assert isinstance(node, tuple)
            if len(node) == 1:
                assert isinstance(node[0], int)
                return node[0]
            left, right = number(node[0]), number(node[1])
            pairs.append((min(left, right), max(left, right)))
            return len(order) + len(pairs) - 1

        number(tree)
        return price_path(held, pairs)[0]

    return min(path(tree) for tree in trees(0, len(order)))


@pytest.mark.parametrize("seed", range(12))
def test_the_path_along_an_order_is_the_best_one(seed: int) -> None:
    """With hyperedges, open indices, and such that one tensor alone has."""
    rng = Random(seed)
    count = rng.randint(2, 7)
    sizes = tuple(rng.randint(1, 5) for _ in range(8))
    terms = tuple(tuple(rng.sample(range(8), rng.randint(0, 4))) for _ in range(count))
    used = sorted({leg for legs in terms for leg in legs})
    output = tuple(rng.sample(used, min(len(used), 2)))
    held = Problem(terms, output, sizes, frozenset(), frozenset(), frozenset())
    order = tuple(rng.sample(range(count), count))
    pairs = interval_path(held, order)
    assert len(pairs) == count - 1
    assert price_path(held, pairs)[0] == along(held, order)
    assert sorted(leaf_order(count, pairs)) == list(range(count))


def test_a_path_along_its_own_leaves_is_no_worse() -> None:
    held = problem(CORPUS["3-regular, 60 tensors"]())
    for path in searched("3-regular, 60 tensors", "fast"):
        again = interval_path(held, leaf_order(len(held.terms), path.pairs))
        assert price_path(held, again)[0] <= price_path(held, path.pairs)[0]


def test_sizes_too_large_for_floats() -> None:
    terms = tuple((k, k + 1, 200 + k) for k in range(100)) + tuple((200 + k,) for k in range(100))
    held = Problem(terms, (), (2**12,) * 300, frozenset(), frozenset(), frozenset())
    pairs = interval_path(held, tuple(j for k in range(100) for j in (k, 100 + k)))
    assert price_path(held, pairs)[2] <= 2**36


def test_bisection_finds_the_bridge() -> None:
    """Two complete graphs of six with one bond between them come apart there."""
    bonds = [(a + 6 * side, b + 6 * side) for side in (0, 1) for a in range(6) for b in range(a)]
    bonds.append((2, 9))
    terms = [[] for _ in range(12)]  # type: list[list[int]]
    for leg, ends in enumerate(bonds):
        for term in ends:
            terms[term].append(leg)
    held = Problem(
        tuple(map(tuple, terms)), (), (2,) * len(bonds), frozenset(), frozenset(), frozenset()
    )
    order = bisected_order(held, Random(0))
    assert {frozenset(order[:6]), frozenset(order[6:])} == {
        frozenset(range(6)),
        frozenset(range(6, 12)),
    }


def test_long_chains_are_still_searched_by_levels() -> None:
    found = plan(mps(100, 2, 4, 3), batch=8, search="fast", training=False)
    assert any("levels" in name for name in found.main.found_by)


def test_the_corpus_is_what_it_says() -> None:
    assert len(CORPUS) == 35
    for name, make in CORPUS.items():
        instance = make()
        assert instance.terms == make().terms, name
        ends = {leg for legs in instance.terms for leg in legs}
        assert set(instance.output) <= ends, name
        assert ends == set(instance.sizes), name
