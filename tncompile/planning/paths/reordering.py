"""Other orders of a contraction tree: neighboring steps exchanged, parameters merged later."""

from __future__ import annotations

from collections.abc import Iterable

from tncompile.network.contraction import ContractionTree, build_tree
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.problem import CostedPath, Pair, PathBuilder, Problem


def inputs_first(problem: Problem, pairs: Iterable[Pair]) -> CostedPath | None:
    """The path with (x · W) · y as (x · y) · W wherever both x and y depend on inputs, W does not.

    It takes as many multiply-adds where x · y is no larger than x · W, but runs as one product of
    the whole batch with W, where the other order ends in one matrix for every sample. A node of a
    tree that merges two features is such a step. None where nothing changes.
    """
    pairs = tuple(pairs)
    before = PathBuilder(problem)
    for left, right in pairs:
        before.join(left, right)
    varying = [term in problem.inputs or term in problem.looked_up for term in _terms(problem)]
    for left, right in pairs:
        varying.append(varying[left] or varying[right])
    reader = {side: pair for pair in pairs for side in pair}
    builder = PathBuilder(problem)
    now: list[int | None] = list(_terms(problem))
    waiting: dict[int, tuple[int, int]] = {}  # x and W of each old result that is delayed
    changed = False
    for number, (left, right) in enumerate(pairs, start=len(problem.terms)):
        x, w = (left, right) if varying[left] else (right, left)
        following = reader.get(number)
        if varying[x] and not varying[w] and following is not None:
            other = following[1] if following[0] == number else following[0]
            if varying[other] and other not in waiting:
                waiting[number] = x, w
                now.append(None)
                continue
        delayed = [side for side in (left, right) if side in waiting]
        if not delayed:
            now.append(builder.join(_renumbered(now, left), _renumbered(now, right)))
            continue
        old = delayed[0]
        y = _renumbered(now, right if old == left else left)
        x, w = waiting.pop(old)
        first, weight = _renumbered(now, x), _renumbered(now, w)
        if builder.problem.count(builder.result_legs(first, y)) <= before.size(old):
            now.append(builder.join(builder.join(first, y), weight))
            changed = True
        else:
            now.append(builder.join(builder.join(first, weight), y))
    return builder.costed_path if changed else None


def parameters_late(network: TensorNetwork, tree: ContractionTree) -> ContractionTree:
    """The same tree with every product of parameters alone right before it is needed.

    It is alive for no longer than that, and so is its gradient: autograd goes back through what
    came last first, which leads from that gradient to those of the parameters at once.
    """
    if not tree.steps:
        return tree
    count = len(tree.operands)
    varying = [
        network.tensors[operand.tensor].role == "input" or bool(operand.lookups)
        for operand in tree.operands
    ]
    for step in tree.steps:
        varying.append(varying[step.left] or varying[step.right] or bool(step.lookups))
    order: list[int] = []  # backward: a step, then its parameters, then what depends on inputs
    waiting = [tree.steps[-1].result]
    while waiting:
        number = waiting.pop()
        if number < count:
            continue
        order.append(number)
        step = tree.steps[number - count]
        waiting += sorted((step.left, step.right), key=lambda k: (not varying[k], k))
    order.reverse()
    renumbered = dict(enumerate(range(count))) | {k: count + n for n, k in enumerate(order)}
    steps = [tree.steps[number - count] for number in order]
    late = {renumbered[step.result]: step.lookups for step in steps if step.lookups}
    pairs = tuple((renumbered[step.left], renumbered[step.right]) for step in steps)
    return build_tree(network, tree.operands, pairs, late)


def _terms(problem: Problem) -> range:
    return range(len(problem.terms))


def _renumbered(now: list[int | None], old: int) -> int:
    """The new number of an old result."""
    new = now[old]
    assert new is not None
    return new
