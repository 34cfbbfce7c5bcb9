"""TensorNetwork to ContractionPlan: search, costs, choice, lock. (First shape; owned by planning.)"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tncompile.network.contraction import operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import ContractionPlan, Variant


class NoPlanError(Exception):
    """No plan keeps to the memory limit."""


def plan(
    network: TensorNetwork,
    *,
    batch: int | tuple[int, ...] = 64,
    sizes: Mapping[str, int] | None = None,
    minimize: str = "time",
    training: bool = True,
    search: str = "normal",
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ContractionPlan:
    """The tree of fewest multiply-adds."""
    from tncompile.planning.candidates import candidates
    from tncompile.planning.problem import runtime_sizes, state
    from tncompile.planning.search import EFFORTS

    held = (batch,) if isinstance(batch, int) else batch
    given = operands(network)
    variants = []
    for one in held:
        runtime = runtime_sizes(network, one, sizes or {})
        found = candidates(network, given, state(network, given, runtime), EFFORTS[search])
        best = min(found, key=lambda candidate: candidate.multiply_adds)
        variants.append(Variant(one, runtime, best.tree, best.multiply_adds, best.names))
    return ContractionPlan(network.target, "builtin-2core", tuple(variants))


__all__ = ["ContractionPlan", "NoPlanError", "Variant", "plan"]
