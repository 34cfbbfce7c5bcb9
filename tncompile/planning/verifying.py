"""Check that a plan, read from a file or handed in, is one of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from tncompile.lowering.schedule import ConvolutionLayout, MatmulLayout, Schedule
from tncompile.network.contraction import Contraction, ContractionTree, verify_tree
from tncompile.network.features import is_table
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.structure import Convolution
from tncompile.planning.plan import Alternative, ContractionPlan, Variant


def verify_plan(network: TensorNetwork, plan: ContractionPlan) -> Iterator[str]:
    """Why the plan is none of the network; nothing where it is.

    A plan without a complaint can be lowered, and computes what the network says.
    """
    runtime = set(network.size_names)
    variants = (*plan.variants, plan.whole)
    if any(sizes.keys() != runtime for sizes in (plan.sizes, *(v.sizes for v in variants))):
        yield "its run-time sizes are not those of the network"
        return
    if any(_too_short(network, sizes) for sizes in (plan.sizes, *(v.sizes for v in variants))):
        yield "its sizes are too short for the windows of the network"
        return
    parts: tuple[Variant | Alternative, ...] = (*variants, *plan.alternatives)
    for tree, schedule in dict.fromkeys((part.tree, part.schedule) for part in parts):
        damage = next(verify_tree(network, tree), None)
        yield from _verify_schedule(network, tree, schedule) if damage is None else (damage,)
    if plan.repeats and not is_table(network):
        yield "it looks for equal ids where rows depend on more than ids"
    if plan.whole.schedule.chunk_rows:
        yield "the program for every size runs in chunks"


def _too_short(network: TensorNetwork, sizes: Mapping[str, int]) -> bool:
    try:
        network.with_window_sizes(sizes)
    except ValueError:
        return True
    return False


def _verify_schedule(
    network: TensorNetwork, tree: ContractionTree, schedule: Schedule
) -> Iterator[str]:
    """Why the products and convolutions of a schedule are not those of a tree of the network."""
    results = {step.result for step in tree.steps}
    if not set(schedule.contiguous_grads) <= results or _repeats(schedule.contiguous_grads):
        yield "gradients are made contiguous of what it does not compute"
    if schedule.layouts is None:
        return
    if len(schedule.layouts) != len(tree.steps):
        yield f"it has {len(schedule.layouts)} products for {len(tree.steps)} contractions"
        return
    long = {index.name for index in network.indices if index.size != 1}  # a kernel may be of size 1
    legs = [long.intersection(operand.legs) for operand in tree.operands]
    for step, layout in zip(tree.steps, schedule.layouts, strict=True):
        left, right = legs[step.left], legs[step.right]
        legs.append(long.intersection(step.legs))
        if layout is None:
            continue
        if isinstance(layout, ConvolutionLayout):
            fits = _convolves(network, step, layout, left, right)
        else:
            product = frozenset(step.product(left, right))
            fits = not step.windows and _fits(layout, left, right, product)
        if not fits:
            yield f"the product that makes number {step.result} has other indices than its operands"


def _convolves(
    network: TensorNetwork,
    step: Contraction,
    layout: ConvolutionLayout,
    left: Set[str],
    right: Set[str],
) -> bool:
    """Whether a layout is one of a convolution of two operands."""
    convolution = Convolution.of(network, step, left)
    convolution = convolution or Convolution.pointwise(network, step, left, right)
    if convolution is None:
        return False
    image, kernel = (right, left) if convolution.swapped else (left, right)
    stays = convolution.private.union(step.legs)
    axes = convolution.axes(
        tuple(sorted(image & (kernel | stays))), tuple(sorted(kernel & (image | stays)))
    )
    pairs = (
        (layout.rows, axes.rows),
        (layout.groups, axes.groups),
        (layout.summed, axes.summed),
        (layout.columns, axes.columns),
    )
    return all(tuple(sorted(order)) == tuple(sorted(due)) for order, due in pairs)


def _fits(layout: MatmulLayout, left: Set[str], right: Set[str], result: frozenset[str]) -> bool:
    """Whether a layout is one of a product of two operands: each index in the group it belongs to.

    An index of one operand that the result lacks is summed before. An operand carries all batch
    indices or none; with none it is repeated.
    """
    first, second = (right, left) if layout.swapped else (left, right)
    batch, both = frozenset(layout.batch), frozenset(first & second)
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
