"""What is known of a model in letters: its parameters, and its networks as they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.symbolic.cost import SymbolicCost, checked
from tncompile.inspection.symbolic.letters import letters_in, parameter_letters
from tncompile.inspection.symbolic.models import Making
from tncompile.inspection.symbolic.polynomial import Polynomial
from tncompile.inspection.symbolic.tables import model_table
from tncompile.language.resolved import value_text
from tncompile.models.costs.tree import parameter_count
from tncompile.models.planning import requests
from tncompile.models.sizes import cost_sizes
from tncompile.notebook import Tabled

if TYPE_CHECKING:
    from tncompile.language.typing.model import ResolvedModel
    from tncompile.model import Model
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import Minimize, PlanOptions, SearchOptions

NOT_FOLLOWED = "what layers and functions of values compute is not followed in letters"


@dataclass(frozen=True, repr=False)
class SymbolicModel(Tabled):
    """What is known of a model as polynomials; it prints as a table, `to_dict()` is for JSON.

    parameters     stored numbers, in the parameters of the model
    networks       the costs of its networks by how they are called, each in its own parameters and
                   at the rows that reach it
    multiply_adds  None: of the model as a whole there are none; `reasons` say why
    fixed          values that the structure hangs on; with others the polynomial is another one
    """

    name: str
    parameters: Polynomial | None
    networks: Mapping[str, SymbolicCost]
    fixed: tuple[str, ...]
    reasons: Mapping[str, str]
    multiply_adds: None = None

    def to_dict(self) -> dict[str, object]:
        """All polynomials with all terms, ready for JSON."""
        return {
            "name": self.name,
            "parameters": None if self.parameters is None else self.parameters.to_dict(),
            "multiply_adds": None,
            "networks": {name: each.to_dict() for name, each in self.networks.items()},
            "fixed": list(self.fixed),
            "reasons": dict(self.reasons),
        }

    def table(self, width: int = wording.WIDTH) -> str:
        """The parameters, then the networks, as text."""
        return model_table(self, width)


def symbolic_model(
    model: Model,
    batch: int | None,
    minimize: Minimize,
    training: bool,
    progress: Progress | None,
    options: SearchOptions,
) -> SymbolicModel:
    """What `Model.symbolic` returns."""
    resolved = model._model
    options["sizes"] = cost_sizes(resolved, options.get("sizes") or {})
    asked: PlanOptions = {"minimize": minimize, "sizes": options["sizes"]}
    if batch is not None:
        asked["batch"] = batch
    networks: dict[str, SymbolicCost] = {}
    for name, inner in requests(resolved, model.networks, asked).items():
        rows = inner["batch"]
        most = rows if isinstance(rows, int) else max(rows)
        options["sizes"] = inner["sizes"]
        networks[name] = model.networks[name].symbolic(
            most, training=training, minimize=minimize, progress=progress, **options
        )
    parameters, fixed, reason = parameters_of(resolved)
    reasons = {"multiply_adds": NOT_FOLLOWED} | ({"parameters": reason} if reason else {})
    return SymbolicModel(resolved.target, parameters, networks, fixed, reasons)


def parameters_of(model: ResolvedModel) -> tuple[Polynomial | None, tuple[str, ...], str | None]:
    """The parameters of a model, what is fixed, and why there is no polynomial."""
    values, structure = parameter_letters(model)
    while True:
        making = Making()
        count = parameter_count(making.model(model, values))
        held = {
            name
            for name, value in values.items()
            if any(letter.name in making.decided for letter in letters_in(value))
        }
        if not held:
            break
        for name in held:
            values[name] = model.values[name]
            structure[name] = f"{name} = {value_text(model.values[name], most=6)}"
    lists = {k: v for k, v in values.items() if isinstance(v, tuple) and k not in structure}
    order = {k.name: k for value in values.values() for k in letters_in(value)}
    fixed = dict.fromkeys(structure, "the structure of the model hangs on it")
    made, reason = checked(count, parameter_count(model), order, fixed)
    lengths = (f"len({name}) = {len(items)}" for name, items in lists.items())
    return made, (*lengths, *structure.values()), reason
