"""TensorNetwork to ContractionPlan: search, candidates, costs, choice, lock."""

from tncompile.planning.choosing import NoPlanError, plan
from tncompile.planning.comparing import cost
from tncompile.planning.costing import Cost, Figures
from tncompile.planning.machine import BUILTIN, MachineProfile
from tncompile.planning.plans import ContractionPlan, Variant

__all__ = [
    "BUILTIN",
    "ContractionPlan",
    "Cost",
    "Figures",
    "MachineProfile",
    "NoPlanError",
    "Variant",
    "cost",
    "plan",
]
