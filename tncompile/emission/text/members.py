"""How a module holds the tensors of a family, and how its source reads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tncompile.emission.text.identifiers import hidden
from tncompile.emission.text.writer import listings, string
from tncompile.network.model import Parameter


@dataclass(frozen=True)
class ParameterAccess:
    """How emitted code reads the parameters of its module: `self.A`, `self.G[1]`, `self.V[2, 5]`.

    `cast` is put behind what is read: `.to(dtype)`. `around` has the function that is put around a
    parameter, by key: `_local`.
    """

    parameters: tuple[Parameter, ...]
    cast: str = ""
    around: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_key(self) -> dict[str, Parameter]:
        """The parameters by state-dict key."""
        return {parameter.key: parameter for parameter in self.parameters}

    @property
    def holder(self) -> tuple[str, str] | None:
        """What holds some tensor, and under which key: `("self", "c")`; quick to read if it can."""
        single = [parameter for parameter in self.parameters if not parameter.subscripts]
        if single:
            return "self", single[0].family
        if not self.parameters:
            return None
        first = min(self.parameters, key=lambda parameter: len(parameter.subscripts))
        *outer, last = map(str, first.subscripts)
        if outer:
            return f"{self.whole(first.family)}.of({', '.join(outer)})", last
        return f"self._modules[{string(first.family)}]", last

    def read(self, key: str) -> str:
        """The expression of one parameter."""
        return self._own(self.by_key[key]) + self.cast

    def whole(self, family: str) -> str:
        """The expression of a family, or of a tensor that is none."""
        if not hidden(family):
            return f"self.{family}"
        single = any(
            parameter.family == family and not parameter.subscripts for parameter in self.parameters
        )
        return f"self._hidden{'' if single else '_family'}({string(family)})"

    def stack(self, keys: Sequence[str]) -> tuple[str, tuple[str, ...], str]:
        """The call that stacks parameters along a new first axis: head, items, tail."""
        items = tuple(self.listed(keys))
        if len(items) == 1 and items[0].startswith("*self"):
            return "torch.stack(", (items[0][1:],), f"){self.cast}"
        return "torch.stack([", items, f"]){self.cast}"

    def listed(self, keys: Sequence[str]) -> list[str]:
        """The items between the brackets of a list of parameters, many of a family at once."""
        items: list[str] = []
        for group in self._groups(keys):
            if len(group) < 3:
                items += [self._own(parameter) for parameter in group]
                continue
            outer = ", ".join(map(str, group[0].subscripts[:-1]))
            family = self.whole(group[0].family) + (f".of({outer})" if outer else "")
            around = self.around.get(group[0].key)
            for given in listings([parameter.subscripts[-1] for parameter in group]):
                alone = len(given) == 1 and given[0].startswith("*")
                numbers = given[0][1:] if alone else f"[{', '.join(given)}]"
                several = f"{family}.at({numbers})"
                items.append(f"*map({around}, {several})" if around else f"*{several}")
        return items

    def _item(self, family: str, subscripts: tuple[str, ...]) -> str:
        return self.whole(family) + (f"[{', '.join(subscripts)}]" if subscripts else "")

    def _own(self, parameter: Parameter) -> str:
        held = self._item(parameter.family, tuple(map(str, parameter.subscripts)))
        return self._surrounded(parameter, held)

    def _surrounded(self, parameter: Parameter, text: str) -> str:
        """What is read of a parameter, inside of the function that is put around it."""
        return f"{self.around[parameter.key]}({text})" if self.around else text

    def _groups(self, keys: Sequence[str]) -> list[list[Parameter]]:
        """Neighbors of one family that differ in their last subscript only."""
        groups: list[list[Parameter]] = []
        for key in keys:
            parameter = self.by_key[key]
            last = groups[-1][-1] if groups else None
            if (
                last is not None
                and parameter.subscripts
                and last.family == parameter.family
                and last.subscripts[:-1] == parameter.subscripts[:-1]
            ):
                groups[-1].append(parameter)
            else:
                groups.append([parameter])
        return groups
