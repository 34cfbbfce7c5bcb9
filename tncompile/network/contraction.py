"""What there is to contract, and in which order: operands, contractions and the tree they form."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tncompile.network.model import TensorNetwork


@dataclass(frozen=True, slots=True)
class Lookup:
    """`index` of an operand is chosen by the ids of an input: the digit `ids // divisor % size`."""

    index: str
    ids: int  # position in `network.tensors` of the integer input (or a slice of it)
    divisor: int
    size: int


@dataclass(frozen=True, slots=True)
class Operand:
    """One thing to contract: a tensor of the network without its size-1 legs, ids looked up.

    `legs` are in the order of the tensor, after the run-time legs that a lookup brings along. An
    `indicator` is the one-hot expansion of a digit, needed only where the output itself carries
    the index that the ids run over.
    """

    tensor: int  # position in `network.tensors`
    legs: tuple[str, ...]
    lookups: tuple[Lookup, ...] = ()
    indicator: bool = False


@dataclass(frozen=True, slots=True)
class Contraction:
    """Multiply operands `left` and `right` into `result`, which keeps `legs`; all else is summed.

    Numbers are positions in single-assignment order: the operands first, then the results.
    """

    left: int
    right: int
    result: int
    legs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContractionTree:
    """Pairwise contractions in an order that can be executed; the last result is the output."""

    operands: tuple[Operand, ...]
    steps: tuple[Contraction, ...]


def operands(network: TensorNetwork) -> tuple[Operand, ...]:
    """What a plan has to contract: float inputs, parameters looked up by ids, in network order."""
    free = {index.name for index in network.indices if index.size == 1}
    digits: dict[str, list[Lookup]] = {}
    runtime: dict[int, tuple[str, ...]] = {}
    for position, tensor in enumerate(network.tensors):
        if tensor.role != "input" or not network.input[tensor.source].integer:
            continue
        onehot = next(a for a in network.input[tensor.source].axes if a.kind == "onehot")
        kinds = [a.kind for a in network.input[tensor.source].axes if a.kind != "slices"]
        ran_over = tensor.axes[kinds.index("onehot")]
        assert onehot.size is not None
        divisor = onehot.size
        for name in ran_over:
            size = network.index[name].size or 1
            divisor //= size
            if size != 1:
                digits.setdefault(name, []).append(Lookup(name, position, divisor, size))
        runtime[position] = tuple(
            leg for axis, kind in zip(tensor.axes, kinds, strict=True) if kind != "onehot"
            for leg in axis if leg not in free
        )  # fmt: skip
    # Two inputs of ids over one index compare ids: there the one-hot expansions are multiplied.
    compared = {name for name, given in digits.items() if len(given) > 1}
    found: list[Operand] = []
    carried: set[str] = set()
    for position, tensor in enumerate(network.tensors):
        if position in runtime:
            continue
        looked_up = {leg for leg in tensor.legs if leg in digits and leg not in compared}
        lookups = tuple(lookup for leg in tensor.legs if leg in looked_up for lookup in digits[leg])
        carried.update(lookup.index for lookup in lookups)
        brought = [leg for lookup in lookups for leg in runtime[lookup.ids]]
        own = [leg for leg in tensor.legs if leg not in free and leg not in looked_up]
        found.append(Operand(position, tuple(dict.fromkeys([*brought, *own])), lookups))
    for name, given in digits.items():
        if name in compared or name in network.output.legs or name not in carried:
            found.extend(
                Operand(k.ids, (*runtime[k.ids], name), (k,), indicator=True) for k in given
            )
    return tuple(found)


def result_legs(
    left: tuple[str, ...], right: tuple[str, ...], remaining: Counter[str]
) -> tuple[str, ...]:
    """The legs of left times right that something else still needs, in order of appearance.

    `remaining` counts, for each index, the ends outside of `left` and `right` (the output too).
    """
    return tuple(leg for leg in dict.fromkeys((*left, *right)) if remaining[leg] > 0)


def build_tree(
    network: TensorNetwork, given: tuple[Operand, ...], pairs: tuple[tuple[int, int], ...]
) -> ContractionTree:
    """The tree of a single-assignment path: pair k makes operand `len(given) + k`."""
    remaining = Counter(leg for operand in given for leg in operand.legs)
    remaining.update(set(network.output.legs))
    legs = [operand.legs for operand in given]
    steps: list[Contraction] = []
    for left, right in pairs:
        for leg in legs[left]:
            remaining[leg] -= 1
        for leg in legs[right]:
            remaining[leg] -= 1
        kept = result_legs(legs[left], legs[right], remaining)
        for leg in kept:
            remaining[leg] += 1
        steps.append(Contraction(left, right, len(legs), kept))
        legs.append(kept)
    return ContractionTree(given, tuple(steps))


def verify_tree(network: TensorNetwork, tree: ContractionTree) -> Iterator[str]:
    """Why the tree does not contract the network; nothing where it does."""
    if tree.operands != operands(network):
        yield "its operands are not those of the network"
        return
    count = len(tree.operands)
    if count and len(tree.steps) != count - 1:
        yield f"{count} operands need {count - 1} contractions, it has {len(tree.steps)}"
        return
    alive = set(range(count))
    pairs: list[tuple[int, int]] = []
    for k, step in enumerate(tree.steps):
        if step.result != count + k:
            yield f"contraction {k} makes number {step.result} where {count + k} is due"
            return
        for side in (step.left, step.right):
            if side not in alive:
                yield f"contraction {k} reads number {side}, which is not alive"
                return
            alive.discard(side)
        alive.add(step.result)
        pairs.append((step.left, step.right))
    for due, step in zip(
        build_tree(network, tree.operands, tuple(pairs)).steps, tree.steps, strict=True
    ):
        if set(due.legs) != set(step.legs):
            yield f"result {step.result} keeps {step.legs} where {due.legs} are needed"


def multiply_adds(sizes: dict[str, int], left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """The multiply-adds of one contraction: the product of all sizes on either side."""
    return math.prod(sizes[leg] for leg in {*left, *right})
