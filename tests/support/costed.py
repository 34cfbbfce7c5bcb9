"""The multiply-adds of a tree, counted one step after the other."""

from __future__ import annotations

import math

from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork


def counted(network: TensorNetwork, tree: ContractionTree, batch: int) -> int:
    """Multiply-adds by the definition of a sum of products."""
    length = {index.name: index.size or batch for index in network.indices}
    legs = [set(operand.legs) for operand in tree.operands]
    total = 0
    for step in tree.steps:
        total += math.prod(length[leg] for leg in legs[step.left] | legs[step.right])
        legs.append(set(step.legs))
    return total
