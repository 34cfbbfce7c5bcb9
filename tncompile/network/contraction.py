"""What there is to contract, and in which order: operands, contractions and the tree they form."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from tncompile.language.resolved import MOST_WINDOWS as MOST_WINDOWS
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window


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
    the index that the ids run over. A tensor whose ids are looked up later, in what it is merged
    to (`opened`), has no `lookups` and all its legs.
    """

    tensor: int  # position in `network.tensors`
    legs: tuple[str, ...]
    lookups: tuple[Lookup, ...] = ()
    indicator: bool = False


@dataclass(frozen=True, slots=True)
class Contraction:
    """Multiply operands `left` and `right` into `result`, which keeps `legs`; all else is summed.

    Numbers are positions in single-assignment order: the operands first, then the results. Where
    parameters have been merged to a table, `lookups` pick its rows when it is there: `legs` are
    those of the rows, after the run-time legs that the ids bring along. Where the input leg of a
    window meets all that has its kernel leg, the contraction is a convolution along it: `windows`
    names these, and the result has the output legs in their place.
    """

    left: int
    right: int
    result: int
    legs: tuple[str, ...]
    lookups: tuple[Lookup, ...] = ()
    windows: tuple[str, ...] = ()

    def product(self, left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
        """The legs of the product itself, given those of its operands: all that is not summed."""
        needed = {*self.legs, *(lookup.index for lookup in self.lookups)}
        return tuple(leg for leg in dict.fromkeys((*left, *right)) if leg in needed)


@dataclass(frozen=True, slots=True)
class ContractionTree:
    """Pairwise contractions in an order that can be executed; the last result is the output."""

    operands: tuple[Operand, ...]
    steps: tuple[Contraction, ...]

    @property
    def legs(self) -> tuple[tuple[str, ...], ...]:
        """The legs of each operand, then of each result."""
        return (*(each.legs for each in self.operands), *(each.legs for each in self.steps))

    def without(self, leg: str) -> ContractionTree:
        """The same order where an index has size 1, which no operand has as a leg."""

        def rest(legs: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(each for each in legs if each != leg)

        return ContractionTree(
            tuple(replace(each, legs=rest(each.legs)) for each in self.operands),
            tuple(replace(each, legs=rest(each.legs)) for each in self.steps),
        )


def operands(network: TensorNetwork) -> tuple[Operand, ...]:
    """What a plan has to contract: float inputs, parameters looked up by ids, in network order."""
    digits: dict[str, list[Lookup]] = {}
    runtime: dict[int, tuple[str, ...]] = {}
    for position, tensor in enumerate(network.tensors):
        if tensor.role != "input" or not network.input[tensor.source].integer:
            continue
        runtime[position] = _brought(network, position)
        onehot = next(axis for kind, axis in _kinds(network, position) if kind == "onehot")
        divisor = math.prod(network.index[name].size or 1 for name in onehot)
        for name in onehot:
            size = network.index[name].size or 1
            divisor //= size
            if size != 1:
                digits.setdefault(name, []).append(Lookup(name, position, divisor, size))
    # Two inputs of ids over one index compare ids: there the one-hot expansions are multiplied.
    compared = {name for name, lookups in digits.items() if len(lookups) > 1}
    operands: list[Operand] = []
    carried: set[str] = set()
    for position, tensor in enumerate(network.tensors):
        if position in runtime:
            continue
        picked = [leg for leg in tensor.legs if leg in digits and leg not in compared]
        lookups = tuple(lookup for leg in picked for lookup in digits[leg])
        carried.update(picked)
        brought = [leg for lookup in lookups for leg in runtime[lookup.ids]]
        own = [leg for leg in _contracted(network, tensor.legs) if leg not in picked]
        operands.append(Operand(position, tuple(dict.fromkeys([*brought, *own])), lookups))
    for name, of_index in digits.items():
        if name in compared or name in network.output.legs or name not in carried:
            operands.extend(
                Operand(k.ids, (*runtime[k.ids], name), (k,), indicator=True) for k in of_index
            )
    return tuple(operands)


def _contracted(network: TensorNetwork, legs: Iterable[str]) -> tuple[str, ...]:
    """The legs that are longer than 1, and those of windows, which ask for a convolution."""
    return tuple(leg for leg in legs if network.index[leg].size != 1 or leg in network.window)


def _kinds(network: TensorNetwork, position: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The axes of a tensor of an input, each with what it is."""
    tensor = network.tensors[position]
    axes = (axis for axis in network.input[tensor.source].axes if axis.kind != "slices")
    return ((axis.kind, legs) for axis, legs in zip(axes, tensor.axes, strict=True))


def _brought(network: TensorNetwork, ids: int) -> tuple[str, ...]:
    """The legs that a lookup by an input of ids brings along."""
    axes = (axis for kind, axis in _kinds(network, ids) if kind != "onehot")
    return _contracted(network, chain.from_iterable(axes))


def opened(network: TensorNetwork, operand: Operand) -> Operand:
    """The same tensor with all its legs, its ids not looked up yet."""
    legs = _contracted(network, network.tensors[operand.tensor].legs)
    return replace(operand, legs=legs, lookups=())


def looked_up(
    network: TensorNetwork, legs: Iterable[str], lookups: tuple[Lookup, ...]
) -> tuple[str, ...]:
    """The legs of a table when its rows have been picked."""
    brought = (leg for lookup in lookups for leg in _brought(network, lookup.ids))
    rows = {lookup.index for lookup in lookups}
    return tuple(dict.fromkeys((*brought, *(leg for leg in legs if leg not in rows))))


def build_tree(
    network: TensorNetwork,
    operands: tuple[Operand, ...],
    pairs: tuple[tuple[int, int], ...],
    late: Mapping[int, tuple[Lookup, ...]] | None = None,
) -> ContractionTree:
    """The tree of a single-assignment path: pair k makes operand `len(operands) + k`.

    `late` says which results are tables, and what is looked up in each. Raises ValueError where a
    contraction along windows is no single convolution.
    """
    tables = late or {}
    # For each index, the ends outside of what is being multiplied (the output too). A window is an
    # end of its input leg and its kernel leg until the convolution.
    remaining = Counter(leg for operand in operands for leg in operand.legs)
    remaining.update(set(network.output.legs))
    for window in network.windows:
        remaining.update((window.input_leg, window.kernel_leg))
    remaining.update(lookup.index for lookups in tables.values() for lookup in lookups)
    legs = [operand.legs for operand in operands]
    steps: list[Contraction] = []
    for left, right in pairs:
        remaining.subtract((*legs[left], *legs[right]))
        product = dict.fromkeys((*legs[left], *legs[right]))
        windows = convolved(network, legs[left], legs[right])
        if windows and (problem := _not_at_once(windows, legs[left])):
            raise ValueError(problem)
        for window in windows:
            remaining.subtract((window.input_leg, window.kernel_leg))
            if remaining[window.kernel_leg]:
                raise ValueError(f"`{window.kernel_leg}` is on tensors that are not merged yet")
            place = {window.input_leg: window.output_leg}
            product = dict.fromkeys(place.get(leg, leg) for leg in product)
        needed = tuple(leg for leg in product if remaining[leg] > 0)
        if lookups := tables.get(len(legs), ()):
            remaining.subtract(lookup.index for lookup in lookups)
            needed = looked_up(network, needed, lookups)
        remaining.update(needed)
        names = tuple(window.name for window in windows)
        steps.append(Contraction(left, right, len(legs), needed, lookups, names))
        legs.append(needed)
    return ContractionTree(operands, tuple(steps))


def convolved(
    network: TensorNetwork, left: Iterable[str], right: Iterable[str]
) -> tuple[Window, ...]:
    """The windows along which the contraction of operands with these legs is a convolution."""
    if not network.windows:
        return ()
    first, second = set(left), set(right)
    return tuple(
        window
        for window in network.windows
        for image, kernel in ((first, second), (second, first))
        if window.input_leg in image and window.kernel_leg in kernel
    )


def _not_at_once(windows: tuple[Window, ...], left: tuple[str, ...]) -> str | None:
    """Why no single convolution runs along these windows of a contraction; None where one does."""
    names = ", ".join(f"`{window.name}`" for window in windows)
    if len({window.input_leg in left for window in windows}) > 1:
        return f"a contraction along {names} has an image on either side"
    if len({window.transposed for window in windows}) > 1:
        return f"a contraction along {names} is transposed along some of them alone"
    if len(windows) > MOST_WINDOWS:
        return f"a contraction along {names} has more than {MOST_WINDOWS} windows"
    return None


def verify_tree(network: TensorNetwork, tree: ContractionTree) -> Iterator[str]:
    """Why the tree does not contract the network; nothing where it does."""
    due = operands(network)
    count = len(tree.operands)
    pairs = zip(tree.operands, due, strict=False)
    known = (operand in (other, opened(network, other)) for operand, other in pairs)
    if count != len(due) or not all(known):
        yield "its operands are not those of the network"
        return
    if count and len(tree.steps) != count - 1:
        yield f"{count} operands need {count - 1} contractions, it has {len(tree.steps)}"
        return
    alive = set(range(count))
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
    if problem := next(_verify_lookups(network, tree, due), None):
        yield problem
        return
    tables = {step.result: step.lookups for step in tree.steps if step.lookups}
    sides = tuple((step.left, step.right) for step in tree.steps)
    try:
        again = build_tree(network, tree.operands, sides, tables)
    except ValueError as error:
        yield str(error)
        return
    for rebuilt, step in zip(again.steps, tree.steps, strict=True):
        if sorted(rebuilt.legs) != sorted(step.legs):
            yield f"result {step.result} keeps {step.legs} where {rebuilt.legs} are needed"
        if rebuilt.windows != step.windows:
            yield f"result {step.result} convolves {step.windows} in place of {rebuilt.windows}"


def _verify_lookups(
    network: TensorNetwork, tree: ContractionTree, due: tuple[Operand, ...]
) -> Iterator[str]:
    """Why what was not looked up at the leaves is not looked up once, in a table of parameters."""
    waiting = [
        frozenset(other.lookups if operand != other else ())
        for operand, other in zip(tree.operands, due, strict=True)
    ]
    varying = [
        network.tensors[operand.tensor].role == "input" or bool(operand.lookups)
        for operand in tree.operands
    ]
    for step in tree.steps:
        digits = waiting[step.left] | waiting[step.right]
        varies = varying[step.left] or varying[step.right]
        if digits and varies:
            yield f"number {step.result} is made of a table before its rows are picked"
        once = len(set(step.lookups)) == len(step.lookups)
        if step.lookups and (frozenset(step.lookups) != digits or varies or not once):
            yield f"number {step.result} is looked up by other ids than its operands carry"
        waiting.append(frozenset() if step.lookups else digits)
        varying.append(varies or bool(step.lookups))
    if waiting and waiting[-1]:
        yield "ids are not looked up"
