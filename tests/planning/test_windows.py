"""Contraction trees of networks with windows: legal, and the best one among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_networks import make_network
from tncompile.network.contraction import build_tree, operands, verify_tree
from tncompile.network.model import DOTS, TensorNetwork, Window
from tncompile.planning.paths.candidates import Candidate, candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.request import runtime_sizes

Pairs = tuple[tuple[int, int], ...]


def window(name: str, size: int = 3, stride: int = 1, *, transposed: bool = False) -> Window:
    """A window that is padded so that nothing but the stride changes the length."""
    return Window(
        name=name,
        family=name,
        size=size,
        stride=stride,
        left=(size - 1) // 2,
        right=size // 2,
        transposed=transposed,
    )


def found(
    network: TensorNetwork, sizes: Mapping[str, int], batch: int = 4, effort: str = "fast"
) -> tuple[Candidate, ...]:
    """The candidates for a network."""
    terms = operands(network)
    problem = contraction_problem(network, terms, runtime_sizes(network, batch, sizes))
    return candidates(network, terms, problem, EFFORTS[effort])


def counted(network: TensorNetwork, pairs: Pairs, lengths: Mapping[str, int]) -> int | None:
    """The multiply-adds along a path; None where a step is no convolution that torch has."""
    size = {index.name: index.size or lengths[index.name] for index in network.indices}
    terms: dict[int, set[str]] = {k: set(o.legs) for k, o in enumerate(operands(network))}
    total, number = 0, len(terms)
    for left, right in pairs:
        one, other = terms.pop(left), terms.pop(right)
        both, done, sides = one | other, [], set()
        for each in network.windows:
            image, kernel = each.input_leg, each.kernel_leg
            for side, (first, second) in enumerate(((one, other), (other, one))):
                if image in first and kernel in second:
                    done.append(each)
                    sides.add(side)
                    if any(kernel in legs for legs in terms.values()):
                        return None
        if len(done) > 3 or len(sides) > 1 or len({each.transposed for each in done}) > 1:
            return None
        entries = {leg: size[leg] for leg in both}
        for each in done:
            longer = each.input_leg if each.transposed else each.output_leg
            entries[each.input_leg] = size[longer]
            both = both - {each.input_leg, each.kernel_leg} | {each.output_leg}
        total += math.prod(entries.values())
        pending = {
            leg
            for each in network.windows
            if each.output_leg not in both
            and not any(each.output_leg in legs for legs in terms.values())
            for leg in (each.input_leg, each.kernel_leg)
        }
        outside = {*network.output.legs, *pending}.union(*terms.values())
        terms[number] = both & outside
        number += 1
    return total


def every_path(terms: tuple[int, ...], fresh: int) -> Iterator[Pairs]:
    """All orders in which pairs can be contracted."""
    if len(terms) == 1:
        yield ()
    for left, right in combinations(terms, 2):
        rest = tuple(term for term in terms if term not in (left, right))
        for tail in every_path((*rest, fresh), fresh + 1):
            yield ((left, right), *tail)


@st.composite
def networks(draw: st.DrawFn) -> TensorNetwork:
    """One or two inputs, one to four tensors, one to four windows whose kernels may be shared."""
    names = [f"i{k}" for k in range(draw(st.integers(1, 5)))]
    sizes: dict[str, int | None] = {DOTS: None}
    sizes |= {name: draw(st.integers(1, 5)) for name in names}
    windows = [
        window(
            name,
            draw(st.integers(1, 4)),
            draw(st.integers(1, 3)),
            transposed=draw(st.sampled_from([False, False, True])),
        )
        for name in "hwdt"[: draw(st.sampled_from([1, 1, 2, 2, 2, 3, 4]))]
    ]
    some = st.lists(st.sampled_from(names), max_size=3, unique=True)
    inputs = {name: [DOTS, *draw(some)] for name in ("x", "z")[: draw(st.sampled_from([1, 1, 2]))]}
    legs = {f"T{k}": draw(some) for k in range(draw(st.integers(1, 5 - len(inputs))))}
    for each in windows:
        inputs[draw(st.sampled_from(sorted(inputs)))].append(each.input_leg)
        carriers = st.lists(st.sampled_from(sorted(legs)), min_size=1, max_size=2, unique=True)
        for name in draw(carriers):
            legs[name].append(each.kernel_leg)
    carried = {leg for own in (*inputs.values(), *legs.values()) for leg in own}
    output = [name for name in names if name in carried and draw(st.booleans())]
    return make_network(
        {name: size for name, size in sizes.items() if name in carried},
        inputs,
        legs,
        [DOTS, *output, *(each.output_leg for each in windows)],
        windows=windows,
    )


@settings(max_examples=80, deadline=None)
@given(networks(), st.sampled_from(["fast", "normal"]))
def test_the_best_of_all_trees_is_found(network: TensorNetwork, effort: str) -> None:
    given_sizes = {each.name: 7 + k for k, each in enumerate(network.windows)}
    terms = operands(network)
    lengths = runtime_sizes(network, 4, given_sizes)
    prices: dict[Pairs, int] = {}
    for pairs in every_path(tuple(range(len(terms))), len(terms)):
        price = counted(network, pairs, lengths)
        if price is not None:
            prices[pairs] = price
            continue
        with pytest.raises(ValueError, match=r"window|image|merged|transposed"):
            build_tree(network, terms, pairs)
    if not prices:
        with pytest.raises(ValueError, match="no order of contraction"):
            found(network, given_sizes, effort=effort)
        return
    held = found(network, given_sizes, effort=effort)
    assert min(candidate.multiply_adds for candidate in held) == min(prices.values())
    for candidate in held:
        assert list(verify_tree(network, candidate.tree)) == [], candidate.names
        pairs = tuple((step.left, step.right) for step in candidate.tree.steps)
        assert candidate.multiply_adds == counted(network, pairs, lengths)
