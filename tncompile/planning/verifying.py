"""Check that a plan, read from a file or handed in, is one of a network."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.lowering.schedule import ConvolutionLayout, MatmulLayout, Schedule
from tncompile.network.contraction import ContractionTree, verify_tree
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import Alternative, ContractionPlan, Variant


def verify_plan(network: TensorNetwork, plan: ContractionPlan) -> Iterator[str]:
    """Why the plan is none of the network; nothing where it is.

    A plan without a complaint can be lowered, and computes what the network says.
    """
    runtime = {index.name for index in network.indices if index.size is None}
    variants = (*plan.variants, plan.whole)
    if any(sizes.keys() != runtime for sizes in (plan.sizes, *(v.sizes for v in variants))):
        yield "its run-time sizes are not those of the network"
        return
    parts: tuple[Variant | Alternative, ...] = (*variants, *plan.alternatives)
    for tree, schedule in dict.fromkeys((part.tree, part.schedule) for part in parts):
        damage = next(verify_tree(network, tree), None)
        yield from _verify_schedule(tree, schedule) if damage is None else (damage,)
    if plan.whole.schedule.chunk_rows:
        yield "the program for every size runs in chunks"


def _verify_schedule(tree: ContractionTree, schedule: Schedule) -> Iterator[str]:
    """Why the matrix products of a schedule are not those of a tree of the network."""
    results = {step.result for step in tree.steps}
    if not set(schedule.contiguous_grads) <= results or _repeats(schedule.contiguous_grads):
        yield "gradients are made contiguous of what it does not compute"
    if schedule.layouts is None:
        return
    if len(schedule.layouts) != len(tree.steps):
        yield f"it has {len(schedule.layouts)} products for {len(tree.steps)} contractions"
        return
    legs = [frozenset(operand.legs) for operand in tree.operands]
    for step, layout in zip(tree.steps, schedule.layouts, strict=True):
        left, right = legs[step.left], legs[step.right]
        result = frozenset(step.product(left, right))
        legs.append(frozenset(step.legs))
        if isinstance(layout, ConvolutionLayout) or step.windows:
            if step.windows and (layout is None or isinstance(layout, ConvolutionLayout)):
                continue
            yield f"the format that makes number {step.result} fits convolutions alone, or products"
        elif layout is not None and not _fits(layout, left, right, result):
            yield f"the product that makes number {step.result} has other indices than its operands"


def _fits(
    layout: MatmulLayout, left: frozenset[str], right: frozenset[str], result: frozenset[str]
) -> bool:
    """Whether a layout is one of a product of two operands: each index in the group it belongs to.

    An index of one operand that the result lacks is summed before. An operand carries all batch
    indices or none; with none it is repeated.
    """
    first, second = (right, left) if layout.swapped else (left, right)
    batch, both = frozenset(layout.batch), first & second
    return (
        not _repeats(layout.result + layout.summed)
        and frozenset(layout.result) == result
        and frozenset(layout.summed) == both - result
        and batch >= both & result
        and all(not batch & side or batch <= side for side in (first, second))
        and first >= frozenset(layout.rows)
        and second >= frozenset(layout.columns)
    )


def _repeats(items: tuple[object, ...]) -> bool:
    return len(set(items)) < len(items)
