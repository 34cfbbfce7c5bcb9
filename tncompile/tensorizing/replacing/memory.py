"""How much memory replacing layers takes, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn

from tncompile.model import Model
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.rewriting.replacements import Replacement

FIT_COPIES = 12
"""Float64 numbers that a fit holds at once for each entry of its weight. Measured: 1.6 GB for a
4096 × 4096 matrix onto a train; a model of three of 2048 × 2048, one replaced, takes 409 MiB
(low rank) or 310 MiB (a train), where 417 are said."""

PAIR_COPIES, SQUARE_COPIES = 4, 8
"""Those of a network of two tensors, which is one decomposition: for each entry of the weight, and
of a square of its shorter side. A table of 30,000 × 384 takes 361 MiB, where 382 are said."""


MIXED_COPIES = 8
"""Those of a table of mixed dimensions, which is seen, turned, sorted and compared."""

ROOT_COPIES = 5
"""Float64 numbers for each entry of a moment while a fit takes roots: the metric's own copy, the
sum with its adjoint, the damped one over all legs, and the factor that is found."""


def memory_needed(
    model: nn.Module, replaced: Iterable[Replacement], moments: Moments | None = None
) -> int:
    """Bytes beside the model: the copy of what stays, the networks, and the largest fit.

    What torch loads once for linear algebra, about 150 MiB, is not counted.
    """
    replaced = list(replaced)
    gone = {id(each.layer.weight) for each in replaced}
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    copy = sum(t.numel() * t.element_size() for key, t in tensors.items() if key not in gone)
    networks = 0
    fits = [0]
    for each in replaced:
        weight, parameters = each.layer.weight, each.architecture._stored
        numbers = sum(math.prod(parameter.shape) for parameter in parameters)
        networks += numbers * weight.element_size()
        fit = FIT_COPIES * max(weight.numel(), numbers)
        own = each.architecture._map
        if len(own.parameters) - len(own.biases) == 2 and weight.dim() == 2:
            entries = max(weight.numel(), numbers)
            mixed = isinstance(each.architecture, Model) and each.layer.kind == "embedding"
            copies = MIXED_COPIES if mixed else PAIR_COPIES
            fit = min(fit, copies * entries + SQUARE_COPIES * min(weight.shape) ** 2)
        known = [name for name in each.layer.names if moments is not None and name in moments]
        if moments is not None and known and each.layer.module is not None:
            sums = moments.layers[moments.aliases.get(known[0], known[0])]
            fit += ROOT_COPIES * (sums.inputs.numel() + sums.outputs.numel())
        fits.append(8 * fit)
    return copy + networks + max(fits)
