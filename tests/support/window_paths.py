"""Windows of networks made by hand, and all paths of contraction, priced by brute force."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations

from tncompile.network.contraction import operands
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window
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


def lengths_of(network: TensorNetwork, sizes: Mapping[str, int], batch: int = 4) -> dict[str, int]:
    """The run-time sizes of all indices."""
    return network.with_window_sizes(runtime_sizes(network, batch, sizes))


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
