"""Bonds that are larger than what they can carry (TN307)."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.resolved import ResolvedIndex, ResolvedNetwork

_MOST_LEGS = 40
"""A tensor of more legs (of size 2 and more) carries any bond: their product passes 2**40."""

_WASTEFUL = 2
"""So many times the parameters that are of use are worth a warning in families, too."""

_MOST_NAMED = 6

Origin = Callable[[str], tuple[Label, ...] | None]


def oversized_bonds(network: ResolvedNetwork, origin: Origin) -> Iterator[Diagnostic]:
    """TN307: a bond has at most as many useful values as the other legs of a tensor that it is on.

    Beyond that, the tensor at that end could be the identity and its numbers go into the other, at
    the smaller size, so nothing is gained by a larger one. Both ends must be free for that: trained
    parameters of their own.

    One number often sizes a whole family, whose bonds near an open end can seldom use all of it.
    That alone is no warning: members of a family are named where the network has more than twice
    the parameters that it has use for. `origin` labels where the size of a family comes from; it
    gives None for a size that nobody chose: a default of the block, beside other arguments.
    """
    useful = useful_sizes(network)
    sizes = _sizes(network)
    oversized = {name for name, size in useful.items() if size < sizes[name]}
    if not oversized:
        return
    wasteful = _parameters(network, sizes) > _WASTEFUL * _parameters(network, sizes | useful)
    families: dict[str, list[ResolvedIndex]] = {}
    for index in network.indices:
        if index.kind == "bond":
            families.setdefault(index.family, []).append(index)
    for members in families.values():
        wrong = [index for index in members if index.name in oversized]
        if not wrong or not (wasteful or len(members) == 1):
            continue
        labels = origin(members[0].family)
        if labels is None:
            continue
        first, room = wrong[0], useful[wrong[0].name]
        notes = [_narrow_end(first.name, useful, network)]
        message = f"the bond `{first.name}` is larger than what it can carry"
        hint = f"give it the size {room}, or cap it: `min(…, {room})`"
        if len(wrong) > 1:
            shown = [f"`{index.name}` {useful[index.name]}" for index in wrong[:_MOST_NAMED]]
            if (more := len(wrong) - _MOST_NAMED) > 0:
                shown.append(f"{more} more")
            message = f"{len(wrong)} bonds of `{first.family}` are larger than what they can carry"
            notes.insert(0, f"the largest useful sizes: {', '.join(shown)}")
            hint = "give them these sizes, or cap each: `min(…, …)`, where `cumprod` may help"
        used = f"{room} {'is' if room == 1 else 'are'} of use"
        label = f"`{first.name}` has size {first.size}, of which {used}"
        place = first.declared or network.block.name.span
        yield problem(Code.OVERSIZED_BOND, message, place, label, tuple(notes), hint, labels)


def _sizes(network: ResolvedNetwork) -> dict[str, int]:
    """The sizes of all indices; on a tensor there is none of run time."""
    return {index.name: index.size or 1 for index in network.indices}


def _parameters(network: ResolvedNetwork, sizes: Mapping[str, int]) -> int:
    """How many numbers the tensors hold when the indices have these sizes."""
    shapes = {
        tensor.key: [sizes[leg] for axis in tensor.axes for leg in axis.indices]
        for tensor in network.tensors
    }
    return sum(map(math.prod, shapes.values()))


def _narrow_end(name: str, useful: Mapping[str, int], network: ResolvedNetwork) -> str:
    """The end of a bond that leaves it no more: what else is on the tensor there."""
    sizes = {**_sizes(network), **useful}
    ends = [
        (tensor.name, [leg for axis in tensor.axes for leg in axis.indices])
        for tensor in network.tensors
        if any(name in axis.indices for axis in tensor.axes)
    ]
    shared = {*ends[0][1]} & {*ends[1][1]}
    sides = [(tensor, [leg for leg in legs if leg not in shared]) for tensor, legs in ends]
    tensor, legs = min(sides, key=lambda side: math.prod(sizes[leg] for leg in side[1]))
    others = [f"`{leg}` {sizes[leg]}" for leg in legs if sizes[leg] > 1]
    product = f"the product of the other legs of `{tensor}`"
    return f"a bond carries no more than {product}: {', '.join(others) or 'there are none'}"


# ── how much a bond can carry ────────────────────────────────────────────────────────────────────


@dataclass(eq=False, slots=True)
class _Side:
    """A tensor, its legs of size 2 and more, and the product of their useful sizes so far."""

    legs: frozenset[str]
    free: bool
    product: int


def useful_sizes(network: ResolvedNetwork) -> dict[str, int]:
    """The largest useful size of every bond, given that all others have theirs.

    A leg that both ends have (a hyper, an index on both, a second bond) is one entry at a time for
    this bond, and makes no room for it. Bonds are settled from the smallest on, so each once.
    """
    sizes = _sizes(network)
    uses = Counter(tensor.key for tensor in network.tensors)
    frozen = {parameter.key for parameter in network.parameters if parameter.frozen}
    ends: dict[str, list[_Side]] = {
        index.name: [] for index in network.indices if index.kind == "bond"
    }
    for tensor in network.tensors:
        names = (leg for axis in tensor.axes for leg in axis.indices)
        legs = frozenset(leg for leg in names if sizes[leg] > 1)
        product = math.prod(sizes[leg] for leg in legs) if len(legs) <= _MOST_LEGS else 0
        side = _Side(legs, uses[tensor.key] == 1 and tensor.key not in frozen, product)
        for leg in legs:
            if leg in ends:
                ends[leg].append(side)
    open_ends = {
        name: (pair[0], pair[1])
        for name, pair in ends.items()
        if len(pair) == 2 and all(side.free for side in pair)
    }
    waiting = [
        (bound, name)
        for name, pair in open_ends.items()
        if (bound := _bound(name, pair, sizes)) < sizes[name]
    ]
    heapq.heapify(waiting)
    while waiting:
        bound, name = heapq.heappop(waiting)
        if bound >= sizes[name]:
            continue
        pair = open_ends[name]
        for side in pair:
            side.product = side.product // sizes[name] * bound
        sizes[name] = bound
        for side in pair:
            for leg in side.legs if len(side.legs) <= _MOST_LEGS else ():
                ends_of_leg = open_ends.get(leg, pair)
                if ends_of_leg == pair:
                    continue  # no bond, or one beside this
                if (less := _bound(leg, ends_of_leg, sizes)) < sizes[leg]:
                    heapq.heappush(waiting, (less, leg))
    return {name: sizes[name] for name in ends}


def _bound(name: str, pair: tuple[_Side, _Side], sizes: Mapping[str, int]) -> int:
    """What the other legs of either end leave of a bond."""
    first, second = pair
    bound = sizes[name]
    if min(len(first.legs), len(second.legs)) > _MOST_LEGS:
        return bound
    shared = math.prod(sizes[leg] for leg in first.legs & second.legs)  # the bond itself, too
    for side in pair:
        if len(side.legs) <= _MOST_LEGS:
            bound = min(bound, side.product // shared)
    return bound
