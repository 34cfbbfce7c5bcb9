"""Other orders of a contraction tree: neighboring steps exchanged, parameters merged later."""

from __future__ import annotations

from tncompile.network.contraction import ContractionTree, build_tree
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.problem import NamedPath, Pair, PathBuilder, Problem


def inputs_first(problem: Problem, path: NamedPath) -> NamedPath | None:
    """The path with (x · W) · y as (x · y) · W wherever both x and y depend on inputs, W does not.

    It takes as many multiply-adds where x · y is no larger than x · W, but runs as one product of
    the whole batch with W, where the other order ends in one matrix for every sample. A node of a
    tree that merges two features is such a step. None where nothing changes. Convolutions stay
    where they are: they change how large what follows is.
    """
    count = len(problem.terms)
    before = PathBuilder(problem)
    varying = [term in problem.inputs or term in problem.looked_up for term in range(count)]
    for left, right in path.pairs:
        before.join(left, right)
        varying.append(varying[left] or varying[right])
    reader = {side: pair for pair in path.pairs for side in pair}
    builder = PathBuilder(problem)
    now = {term: term for term in range(count)}  # the new number of each old result
    waiting: dict[int, Pair] = {}  # x and W of each old result that is delayed
    changed = False
    for number, (left, right) in enumerate(path.pairs, start=count):
        x, w = (left, right) if varying[left] else (right, left)
        if varying[x] and not varying[w] and number in reader:
            other = sum(reader[number]) - number
            if varying[other] and other not in waiting and not before.convolved(x, w):
                waiting[number] = x, w
                continue
        if left not in waiting and right not in waiting:
            now[number] = builder.join(now[left], now[right])
            continue
        delayed, y = (left, now[right]) if left in waiting else (right, now[left])
        x, w = (now[side] for side in waiting.pop(delayed))
        if builder.joins(x, y) and problem.count(builder.result_legs(x, y)) <= before.size(delayed):
            now[number] = builder.join(builder.join(x, y), w)
            changed = True
        else:
            now[number] = builder.join(builder.join(x, w), y)
    return builder.named(f"{path.name}, inputs first", path.level) if changed else None


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
