"""What a network costs in letters: lowered and traced as ever, on sizes that know their letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.symbolic.letters import letters_of
from tncompile.inspection.symbolic.network import run_time_letters, symbolic_network
from tncompile.inspection.symbolic.polynomial import Polynomial, polynomial_of
from tncompile.inspection.symbolic.sized import Quantity, TooLong, TwoMeanings, quantities_of
from tncompile.inspection.symbolic.tables import cost_table
from tncompile.lowering import lower
from tncompile.machine.registry import find_profile
from tncompile.notebook import Tabled
from tncompile.simulation.costs import ModeCost, mode_cost
from tncompile.simulation.modes import Mode

if TYPE_CHECKING:
    from tncompile.architecture import Architecture
    from tncompile.machine.profile import MachineProfile
    from tncompile.network.model import TensorNetwork
    from tncompile.planning import ContractionPlan, Cost
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import Minimize, SearchOptions


@dataclass(frozen=True)
class SymbolicStep:
    """A contraction of the plan, or `count` equal ones, and its multiply-adds."""

    result: str
    contraction: str
    indices: tuple[str, ...]
    count: int
    multiply_adds: Polynomial

    def to_dict(self) -> dict[str, object]:
        """The step as JSON stores it."""
        return {
            "result": self.result,
            "contraction": self.contraction,
            "indices": list(self.indices),
            "count": self.count,
            "multiply_adds": self.multiply_adds.to_dict(),
        }


@dataclass(frozen=True, repr=False)
class SymbolicCost(Tabled):
    """What a network costs as polynomials; it prints as a table, `to_dict()` is ready for JSON.

    parameters     stored numbers
    multiply_adds  those of the mode, in the contraction order and with the layouts of the plan
    flops          floating-point operations, additions included
    steps          the contractions, with the multiply-adds of a forward pass
    quantities     the letters by name: parameters, run-time sizes, and what follows from them
    fixed          values that the structure hangs on; with others all polynomials are other ones
    reasons        why a polynomial is None

    At the values at hand each is the number that `cost` has.
    """

    name: str
    mode: Mode
    plan: str
    parameters: Polynomial
    multiply_adds: Polynomial | None
    flops: Polynomial | None
    steps: tuple[SymbolicStep, ...]
    quantities: Mapping[str, Quantity]
    fixed: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """All polynomials with all terms, the letters and what is fixed, ready for JSON."""
        totals = {
            name: None if polynomial is None else polynomial.to_dict()
            for name, polynomial in (
                ("parameters", self.parameters),
                ("multiply_adds", self.multiply_adds),
                ("flops", self.flops),
            )
        }
        return {
            "name": self.name,
            "mode": self.mode,
            "plan": self.plan,
            **totals,
            "steps": [step.to_dict() for step in self.steps],
            "quantities": {
                name: {"value": each.value, "kind": each.kind, "what": each.what}
                for name, each in self.quantities.items()
            },
            "fixed": list(self.fixed),
            "reasons": dict(self.reasons),
        }

    def table(self, width: int = wording.WIDTH) -> str:
        """The polynomials, the contraction step by step and the letters, as text."""
        return cost_table(self, width)


def symbolic_cost(
    architecture: Architecture,
    batch: int | None,
    minimize: Minimize,
    training: bool,
    progress: Progress | None,
    options: SearchOptions,
) -> SymbolicCost:
    """What `Architecture.symbolic` returns."""
    try:
        return _symbolic_cost(architecture, batch, minimize, training, progress, options)
    except TooLong:
        words = "has a size whose expression is too long, or too deep, to be written in letters"
        raise ValueError(f"{architecture.network.target} {words}") from None


def _symbolic_cost(
    architecture: Architecture,
    batch: int | None,
    minimize: Minimize,
    training: bool,
    progress: Progress | None,
    options: SearchOptions,
) -> SymbolicCost:
    resolved, network = architecture._block, architecture.network
    cost = architecture.cost(
        batch, training=training, minimize=minimize, progress=progress, **options
    )
    planned = architecture.plan(batch, minimize, progress=progress, **options)
    profile = find_profile(options.get("machine", "builtin"))
    letters = letters_of(resolved)
    taken = {letter.name for letter in letters.parameters} | {*resolved.values}
    taken |= {index.family for index in resolved.indices}
    run_time = run_time_letters(network, cost.sizes, letters, taken)
    sizes = {**letters.sizes, **run_time}
    order = {letter.name: letter for letter in letters.parameters}
    for size in (*run_time.values(), *letters.sizes.values()):
        order |= {k: q for k, q in quantities_of(size).items() if k not in order}
    count = symbolic_network(network, letters.sizes).parameter_count
    parameters, _ = checked(count, network.parameter_count, order, letters.fixed)
    if parameters is None:
        raise ValueError(f"the parameters of {network.target} are a sum of too many terms")
    reasons: dict[str, str] = {}
    ones = {name: size for name, size in sizes.items() if size == 1}
    fixed = {**letters.fixed, **_ones(ones)}
    traced = _traced(network, {**sizes, **dict.fromkeys(ones, 1)}, planned, cost, profile)
    totals: dict[str, Polynomial | None] = {}
    for name, held in (("multiply_adds", fixed), ("flops", fixed | _chunked(cost, run_time))):
        pair = getattr(traced.figures, name), getattr(cost.figures, name)
        totals[name], reason = checked(*pair, order, held)
        if reason is not None:
            reasons[name] = reason
    steps: list[SymbolicStep] = []
    for step in traced.steps:
        made, _ = checked(step.multiply_adds, step.multiply_adds, order, fixed)
        if made is not None:
            steps.append(
                SymbolicStep(step.result, step.contraction, step.indices, step.count, made)
            )
    variant = cost.chosen[cost.mode]
    used = [parameters, *filter(None, totals.values())]
    quantities = {k: q for each in used for k, q in each.quantities.items()}
    return SymbolicCost(
        name=cost.name,
        mode=cost.mode,
        plan=wording.plan_text(variant.found_by, variant.schedule),
        parameters=parameters,
        multiply_adds=totals["multiply_adds"],
        flops=totals["flops"],
        steps=tuple(steps),
        quantities=quantities,
        fixed=(*letters.lengths, *letters.structure.values(), *_of_ones(ones)),
        reasons=reasons,
    )


def _traced(
    network: TensorNetwork,
    sizes: Mapping[str, int],
    planned: ContractionPlan,
    cost: Cost,
    profile: MachineProfile,
) -> ModeCost:
    """The cost of what runs, as numbers that know what they are made of.

    A size of 1 is a number here: no contraction runs over an index of size 1.
    """
    known = {index.name for index in network.indices if index.size is not None}
    symbolic = symbolic_network(network, {k: size for k, size in sizes.items() if k in known})
    run_time = {name: size for name, size in sizes.items() if name not in known}
    variant = cost.chosen[cost.mode]
    how = variant.tree, variant.schedule
    program = lower(symbolic, *how, sizes=planned.sizes)
    return mode_cost(symbolic, *how, program, run_time, profile, cost.mode)


def checked(
    size: int | None, number: int | None, order: Mapping[str, Quantity], fixed: Mapping[str, str]
) -> tuple[Polynomial | None, str | None]:
    """A size in letters, or why there is no such polynomial; `number` is what it must be."""
    if size is None or number is None:
        return None, "the number is too large for a float"
    if size != number:
        return None, f"equal steps that differ in letters run apart: {size:,}, not {number:,}"
    try:
        return polynomial_of(size, order, fixed), None
    except TooLong:
        return None, "it is a sum of too many terms"
    except TwoMeanings:
        return None, "a name in it would stand for two sizes"


def _ones(ones: Mapping[str, int]) -> dict[str, str]:
    """The letters that are in sizes of 1, and what that means."""
    return {
        letter: f"`{name}` is 1 here, so no contraction runs over it"
        for name, size in ones.items()
        for letter in quantities_of(size)
    }


def _chunked(cost: Cost, run_time: Mapping[str, int]) -> dict[str, str]:
    """The letter of the batch, where gradients are added up chunk by chunk."""
    rows = cost.chosen[cost.mode].schedule.chunk_rows
    if not rows or cost.mode != "training":
        return {}
    words = f"the batch runs in chunks of {rows:,}, and their gradients are added up"
    return {
        name: words
        for leg, size in run_time.items()
        for name, letter in quantities_of(size).items()
        if letter.kind == "run-time size" and leg in cost.sizes
    }


def _of_ones(ones: Mapping[str, int]) -> tuple[str, ...]:
    """`ranks = 1`, each once."""
    letters = {letter: None for size in ones.values() for letter in quantities_of(size).values()}
    named = (letter for letter in letters if letter.kind != "derived")
    return tuple(f"{letter.name} = {letter.value}" for letter in named)
