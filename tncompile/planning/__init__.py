"""TensorNetwork to ContractionPlan: search, candidates, costs, choice, lock."""

from tncompile.machine.profile import BUILTIN, MachineProfile
from tncompile.planning.paths.problem import NoOrderError
from tncompile.planning.plan import ContractionPlan, Variant
from tncompile.planning.report.comparison import cost
from tncompile.planning.report.cost import Cost
from tncompile.planning.selection import NoPlanError, plan
from tncompile.simulation.costs import Figures

__all__ = [
    "BUILTIN",
    "ContractionPlan",
    "Cost",
    "Figures",
    "MachineProfile",
    "NoOrderError",
    "NoPlanError",
    "Variant",
    "cost",
    "plan",
]
