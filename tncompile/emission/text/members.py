"""How a module holds the tensors of a family, and how its source reads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

from tncompile.emission.text.identifiers import hidden
from tncompile.emission.text.writer import listings, string
from tncompile.network.model import Parameter
from tncompile.network.packing import Codes, Packing, stored


@dataclass(frozen=True)
class ParameterAccess:
    """How emitted code reads the parameters of its module: `self.A`, `self.G[1]`, `self.V[2, 5]`.

    `cast` is put behind what is read: `.to(dtype)`. `around` has the function that is put around a
    parameter, by key: `_local`. `lists` are the families that are an `nn.ParameterList`, each with
    the number of its members. Tensors that are `packed`, by key, are stored as codes and a scale,
    which are among the parameters in their place.
    """

    parameters: tuple[Parameter, ...]
    cast: str = ""
    around: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, int] = field(default_factory=dict)
    packed: Mapping[str, Packing] = field(default_factory=dict)

    @cached_property
    def by_key(self) -> dict[str, Parameter]:
        """The parameters by state-dict key."""
        return {parameter.key: parameter for parameter in self.parameters}

    @property
    def holder(self) -> tuple[str, str] | None:
        """What holds some tensor, and under which key: `("self", "c")`; quick to read if it can."""
        if not self.parameters:
            return None
        numbers = (each for each in self.parameters if not isinstance(each, Codes))
        first = min(numbers, key=lambda parameter: len(parameter.subscripts))
        if not first.subscripts:
            return "self", first.family
        *outer, last = map(str, first.subscripts)
        if outer:
            return f"{self.whole(first.family)}.of({', '.join(outer)})", last
        return f"self._modules[{string(first.family)}]", last

    @property
    def real(self) -> str:
        """A tensor with the dtype of real ones: the first, or the real parts of a complex one."""
        numbers = (each for each in self.parameters if not isinstance(each, Codes))
        first = next((each for each in numbers if not each.complex), None)
        return self.read(first.key) if first else f"{self.read(self.parameters[0].key)}.real"

    @property
    def complex(self) -> bool:
        """Whether one of them is complex."""
        return any(parameter.complex for parameter in self.parameters)

    def only(self, parameters: Sequence[Parameter]) -> ParameterAccess:
        """The same of these parameters of the network alone."""
        return replace(self, parameters=stored(parameters, self.packed))

    def read(self, key: str) -> str:
        """The expression of one parameter; codes have the type of their own."""
        parameter = self.by_key[key]
        return self._uncast(parameter) + self.cast * (not isinstance(parameter, Codes))

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
        cast = self.cast * (not isinstance(self.by_key[keys[0]], Codes))
        if len(items) == 1 and items[0].startswith("*self") and not self.lists:
            return "torch.stack(", (items[0][1:],), f"){cast}"
        return "torch.stack([", items, f"]){cast}"

    def listed(self, keys: Sequence[str]) -> list[str]:
        """The items between the brackets of a list of parameters.

        Three and more neighbors of a family that differ in their last subscript only are one item.
        """
        items: list[str] = []
        parameters = (self.by_key[key] for key in keys)
        for _, group in groupby(
            parameters, lambda parameter: (parameter.family, parameter.subscripts[:-1])
        ):
            first, *others = group
            if len(others) < 2 or not first.subscripts:
                items += [self._uncast(parameter) for parameter in (first, *others)]
                continue
            if (count := self.lists.get(first.family)) is not None:
                places = [parameter.subscripts[-1] for parameter in (first, *others)]
                start, stop = places[0], places[-1] + 1
                if places == [*range(start, stop)]:
                    part = "" if stop - start == count else f"[{start}:{stop}]"
                    items.append(f"*{self.whole(first.family)}{part}")
                else:
                    items += [self._uncast(parameter) for parameter in (first, *others)]
                continue
            outer = ", ".join(map(str, first.subscripts[:-1]))
            family = self.whole(first.family) + (f".of({outer})" if outer else "")
            around = self.around.get(first.key)
            for texts in listings([parameter.subscripts[-1] for parameter in (first, *others)]):
                alone = len(texts) == 1 and texts[0].startswith("*")
                numbers = texts[0][1:] if alone else f"[{', '.join(texts)}]"
                several = f"{family}.at({numbers})"
                items.append(f"*map({around}, {several})" if around else f"*{several}")
        return items

    def _uncast(self, parameter: Parameter) -> str:
        """What is read of a parameter, inside of the function that is put around it."""
        text = self.whole(parameter.family)
        text += f"[{', '.join(map(str, parameter.subscripts))}]" if parameter.subscripts else ""
        return f"{self.around[parameter.key]}({text})" if self.around else text
