"""Identifiers of emitted code: safe, distinct, and the same every time."""

from __future__ import annotations

import heapq
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tncompile.emission.text.writer import string
from tncompile.network.model import Parameter, TensorNetwork

_MODULE_ATTRIBUTES = """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters parameters register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
    zero_grad"""
MODULE_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split())
"""What `nn.Module` calls its own attributes: tensors of these names are kept out of their way."""

OWN_ATTRIBUTES = frozenset({"reset_parameters", "fold", "batch_invariant", "unshard", "reshard"})
"""Attributes of the emitted class, and those that FSDP2 adds to it."""

_RESERVED = """
    B IndexError Iterator None Tensor TypeError ValueError any bool dict enumerate float getattr int
    isinstance iter lead len list math max min nn object overload positions print property range
    reversed self setattr slice str sum super torch tuple zip"""
RESERVED = frozenset(_RESERVED.split())
"""What emitted functions use under its own name; `B` and `lead` are given out on request only."""


def identifier(text: str) -> str:
    """A legal identifier that reads like the text and hides nothing that emitted code uses.

    >>> [identifier(text) for text in ("G[1]", "x@2,3", "lambda", "torch", "#4")]
    ['G_1', 'x_2_3', 'lambda_', 'torch_', 't_4']
    """
    name = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    if not name or name[0].isdigit():
        name = f"t_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


def class_name(name: str) -> str:
    """The class of a network: its name, with `_` where that hides something.

    >>> class_name("MPO"), class_name("None"), class_name("Tensor")
    ('MPO', 'None_', 'Tensor_')
    """
    return identifier(name)


class Names:
    """The identifiers of one function; a released one is given out again."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}
        self._released: dict[str, list[tuple[int, str]]] = {}
        self._origin: dict[str, tuple[str, int]] = {}

    def exactly(self, name: str) -> str:
        """This very name if it is free (also one that `fresh` avoids), else one like it."""
        if name in self._taken:
            return self.fresh(name)
        self._taken.add(name)
        return name

    def fresh(self, text: str) -> str:
        """An identifier not in use that reads like the text: `t`, `t1`, `t2`."""
        stem = identifier(text)
        waiting = self._released.get(stem)
        if waiting:
            number, name = heapq.heappop(waiting)
        else:
            number = self._next.get(stem, 0)
            while (name := _numbered(stem, number)) in self._taken:
                number += 1
            self._next[stem] = number + 1
        self._taken.add(name)
        self._origin[name] = (stem, number)
        return name

    def release(self, name: str) -> None:
        """Say that nothing refers to the name any more."""
        if name in self._origin:
            stem, number = self._origin.pop(name)
            heapq.heappush(self._released.setdefault(stem, []), (number, name))


def _numbered(stem: str, number: int) -> str:
    if number == 0:
        return stem
    return f"{stem}_{number}" if stem[-1].isdigit() else f"{stem}{number}"


def batch_name(network: TensorNetwork) -> str:
    """What the product of all leading axes is called: `B`, unless the spec has its own `B`."""
    taken = {tensor.name.split("[")[0] for tensor in network.tensors}
    taken |= {parameter.family for parameter in network.parameters}
    taken |= {index.family for index in network.indices}
    return next((name for name in ("B", "N", "batch") if name not in taken), "B")


def hidden(name: str) -> bool:
    """Whether a tensor of this name cannot be an ordinary attribute of the module."""
    return keyword.iskeyword(name) or name in MODULE_ATTRIBUTES or name in OWN_ATTRIBUTES


FEW_RANGES = 8
"""Up to so many ranges numbers are written as ranges, however short."""

LISTED = 56
"""Characters of numbers in a line."""


def runs(numbers: Sequence[int]) -> list[range]:
    """The numbers as ranges of equal steps, greedily, in their order.

    >>> runs([0, 1, 2, 3, 9, 7, 5])
    [range(0, 4), range(9, 4, -2)]
    >>> runs([4, 4])
    [range(4, 5), range(4, 5)]
    """
    found: list[range] = []
    k = 0
    while k < len(numbers):
        end = k + 1
        step = numbers[end] - numbers[k] if end < len(numbers) else 1
        if step == 0:
            step = 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        if end - k == 2 and abs(step) != 1:  # two numbers are a pattern only when neighbors
            end, step = k + 1, 1
        found.append(range(numbers[k], numbers[end - 1] + (1 if step > 0 else -1), step))
        k = end
    return found


def range_text(numbers: range) -> str:
    """The call that makes the range.

    >>> range_text(range(0, 4)), range_text(range(2, 9, 3)), range_text(range(5, 4))
    ('range(4)', 'range(2, 9, 3)', 'range(5, 4)')
    """
    if numbers.step != 1:
        return f"range({numbers.start}, {numbers.stop}, {numbers.step})"
    start = f"{numbers.start}, " if numbers.start else ""
    return f"range({start}{numbers.stop})"


def listings(numbers: Sequence[int]) -> list[list[str]]:
    """The numbers as items of a list, ranges starred; of many short ranges as many as fit a line.

    >>> listings([0, 1, 2, 3, 7])
    [['*range(4)', '7']]
    """
    found = runs(numbers)
    least = 3 if len(found) <= FEW_RANGES else 2 * FEW_RANGES
    lines: list[list[str]] = [[]]
    for run in found:
        for text in [f"*{range_text(run)}"] if len(run) >= least else map(str, run):
            if len(", ".join([*lines[-1], text])) > LISTED:
                lines.append([])
            lines[-1].append(text)
    return lines


@dataclass(frozen=True)
class Members:
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
