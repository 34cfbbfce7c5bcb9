"""Whether a plan is one of a network: what is read from a file, or handed in, is checked here."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.lowering.schedule import MatmulLayout, Schedule
from tncompile.network.contraction import ContractionTree, verify_tree
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import ContractionPlan


def verify_plan(network: TensorNetwork, plan: ContractionPlan) -> Iterator[str]:
    """Why the plan is none of the network; nothing where it is.

    A plan without a complaint can be lowered, and computes what the network says.
    """
    runtime = {index.name for index in network.indices if index.size is None}
    sizes = [plan.sizes, *(held.sizes for held in (*plan.variants, plan.whole))]
    if any(held.keys() != runtime for held in sizes):
        yield "its run-time sizes are not those of the network"
        return
    seen: set[tuple[ContractionTree, Schedule]] = set()
    ways = [(held.tree, held.schedule) for held in (*plan.variants, plan.whole)]
    for tree, schedule in (*ways, *((held.tree, held.schedule) for held in plan.alternatives)):
        if (tree, schedule) not in seen:
            seen.add((tree, schedule))
            damage = next(verify_tree(network, tree), None)
            yield from _verify_strategy(tree, schedule) if damage is None else (damage,)
    if plan.whole.schedule.rows:
        yield "what is to run at every size runs in parts"


def _verify_strategy(tree: ContractionTree, schedule: Schedule) -> Iterator[str]:
    """Why the products of a strategy are not those of a tree, which is one of the network."""
    made = [step.result for step in tree.steps]
    if not set(schedule.settled) <= set(made) or _repeats(schedule.settled):
        yield "gradients are settled of what it does not make"
    if schedule.forms is None:
        return
    if len(schedule.forms) != len(tree.steps):
        yield f"it has {len(schedule.forms)} products for {len(tree.steps)} contractions"
        return
    legs = [frozenset(operand.legs) for operand in tree.operands]
    for step, form in zip(tree.steps, schedule.forms, strict=True):
        left, right = legs[step.left], legs[step.right]
        kept = frozenset(step.product(left, right))
        legs.append(frozenset(step.legs))
        if form is not None and not _fits(form, left, right, kept):
            yield f"the product that makes number {step.result} has other indices than its operands"


def _fits(
    form: MatmulLayout, left: frozenset[str], right: frozenset[str], kept: frozenset[str]
) -> bool:
    """Whether a form is a product of two operands: each index in the one group it belongs to.

    What only one operand carries and nothing keeps is summed before; of the batch an operand
    carries all indices, or none, and is repeated.
    """
    first, second = (right, left) if form.swapped else (left, right)
    batch, both = frozenset(form.batch), first & second
    return (
        not _repeats(form.result + form.summed)
        and frozenset(form.result) == kept
        and frozenset(form.summed) == both - kept
        and batch >= both & kept
        and all(not batch & side or batch <= side for side in (first, second))
        and first >= frozenset(form.rows)
        and second >= frozenset(form.columns)
    )


def _repeats(held: tuple[object, ...]) -> bool:
    return len(set(held)) < len(held)
