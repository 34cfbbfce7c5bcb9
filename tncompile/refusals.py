"""What plans and sharding refuse: diagnostics with a place in the source, and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tncompile.language.diagnostics.collector import problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic

if TYPE_CHECKING:
    from tncompile.language.resolved import ResolvedNetwork
    from tncompile.network.model import TensorNetwork
    from tncompile.planning import ContractionPlan, NoOrderError, NoPlanError


def no_plan(resolved: ResolvedNetwork, error: NoPlanError | NoOrderError) -> Diagnostic:
    """TN502 where no plan keeps to the memory limit, TN408 where windows have no order."""
    from tncompile.planning import NoPlanError

    if isinstance(error, NoPlanError):
        span, label = resolved.block.name.span, "no order of contraction fits"
        notes = ("peak memory counts inputs, parameters and every value alive at once",)
        hint = "raise the memory limit, or lower the batch size or the ranks"
        return problem(Code.NO_PLAN, str(error), span, label, notes=notes, hint=hint)
    place = resolved.windows[0].declaration.name.span
    label = "one of the windows of inputs that wait for each other"
    hint = "give the windows tensors of their own, joined by a bond"
    return problem(Code.WINDOW_FACE, str(error), place, label, hint=hint)


def no_split(network: TensorNetwork, resolved: ResolvedNetwork, leg: str) -> Diagnostic | None:
    """TN503 where processes cannot share a leg; None where they can."""
    from tncompile.emission.sharding.split import ShardingError, split_leg

    if not isinstance(leg, str):
        raise TypeError(f"shard is a str, not {type(leg).__name__}")
    try:
        split_leg(network, leg)
    except ShardingError as error:
        index = resolved.index.get(leg)
        span = (index and index.declared) or resolved.block.name.span
        return problem(Code.CANNOT_SPLIT, str(error), span, error.label, hint=error.hint)
    return None


def require_plan_of(network: TensorNetwork, plan: ContractionPlan) -> None:
    """Raise ValueError where a plan is one of another network."""
    from tncompile.planning.verifying import verify_plan

    if why := next(verify_plan(network, plan), None):
        raise ValueError(f"the plan is not one of {network.target}: {why}")
