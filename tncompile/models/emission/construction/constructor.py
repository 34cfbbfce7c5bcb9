"""`__init__` of the class of a model: its parts, families of them, its tensors, how they start."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby

from tncompile.emission.module import constructor as networks
from tncompile.emission.module import quantized
from tncompile.emission.module.reset_parameters import write_functions, write_reset_parameters
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names, hidden, identifier
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import string
from tncompile.initialization.draws import Initialization, start
from tncompile.language.typing.model import Key, Part
from tncompile.models.emission.access import Access, is_list
from tncompile.models.emission.layout import fitted
from tncompile.network.model import Parameter
from tncompile.network.packing import Codes

Make = Callable[[Part], str]
"""The call that makes a part."""


def write_init(
    access: Access,
    make: Make,
    numbers: Sequence[str],
    after: Sequence[str],
    loose: Collection[str],
    *,
    branching: bool,
) -> list[str]:
    """The method; `numbers` are its own parameters, `after` the statements at its end.

    `loose` are the families of whose members more is used than that they are modules.
    """
    signature = ["device: torch.device | str | None = None", "dtype: torch.dtype | None = None"]
    signature += ["batch_invariant: bool = False"] * branching
    body = ["super().__init__()"] + ["self.batch_invariant = batch_invariant"] * branching
    for family, members in access.families.items():
        made = {key: make(part) for key, part in members.items()}
        known = ": Any" if family in loose else ""
        body += fitted(f"{access.whole(family)}{known} = {_holder(made)}")
    held = [each for each in access.tensors.parameters if each.family not in access.tensors.lists]
    body += networks.write_empty([each for each in held if each.subscripts])
    body += _tensors(access.tensors)
    body += ["self.reset_parameters()"] * bool(access.tensors.parameters)
    if numbers:
        items = [f"{string(name)}: {identifier(name)}" for name in numbers]
        body += writer.call("self._numbers = {", items, "}")
    own = [f"{identifier(name)}: int" for name in numbers]
    return writer.function("__init__", ["self", "*", *own, *signature], "None", [*body, *after])


def write_start(tensors: ParameterAccess) -> tuple[list[list[str]], list[str]]:
    """The methods that start the tensors of the model itself, and the functions that they call."""
    if not tensors.parameters:
        return [], []
    packed = tensors.packed.values()
    parts = {each.key for packing in packed for each in (packing.codes, packing.scale)}
    declared = [packing.parameter for packing in packed]
    declared += [each for each in tensors.parameters if each.key not in parts]
    draws = {each.key: start(each.shape, each.init) for each in declared}
    aim = "Start the tensors of the model itself; its parts start by themselves."
    initialization = Initialization(draws, (), None, aim)
    functions = [*write_functions(initialization), *quantized.write_dequantizing(packed)]
    return write_reset_parameters(initialization, tensors), functions


# ── parts ──────────────────────────────────────────────────────────────────────────────────────


def _holder(made: Mapping[Key, str]) -> str:
    """What holds the members that these calls make: one module, or lists and dicts of them."""
    keys = list(made)
    if not keys[0]:
        return made[()]
    inner = {
        first: _holder({key[1:]: made[key] for key in group})
        for first, group in groupby(sorted(keys), lambda key: key[0])
    }
    if is_list([key[0] for key in keys]):
        alike = set(inner.values())
        if len(inner) > 1 and len(alike) == 1:
            return f"nn.ModuleList({alike.pop()} for _ in range({len(inner)}))"
        counted = {re.sub(rf"=({number})(?=[,)])", "=k", inner[number]) for number in inner}
        if len(inner) > 2 and len(counted) == 1:
            return f"nn.ModuleList({counted.pop()} for k in range({len(inner)}))"
        return f"nn.ModuleList([{', '.join(_runs(list(inner.values())))}])"
    items = (f'"{first}": {text}' for first, text in inner.items())
    return f"nn.ModuleDict({{{', '.join(items)}}})"


def _runs(texts: Sequence[str]) -> list[str]:
    """The items of a list, many equal neighbors as one."""
    items: list[str] = []
    for text, group in groupby(texts):
        count = len(list(group))
        items += [f"*({text} for _ in range({count}))"] if count > 2 else [text] * count
    return items


# ── tensors ────────────────────────────────────────────────────────────────────────────────────


def family_depth(tensors: ParameterAccess) -> int:
    """The most subscripts of the tensors that a `_Family` holds."""
    held = (each for each in tensors.parameters if each.family not in tensors.lists)
    return max((len(each.subscripts) for each in held), default=0)


def _tensors(tensors: ParameterAccess) -> list[str]:
    lines: list[str] = []
    names = Names(["self", "device", "dtype", "empty_int64", "h", "i", "j", "k"])
    for family, group in groupby(tensors.parameters, lambda parameter: parameter.family):
        members = list(group)
        if not members[0].subscripts:
            lines += fitted(_single(members[0]))
        elif family in tensors.lists:
            texts = [_empty(member) for member in members]
            inside = f"[{', '.join(texts)}]"
            if len(texts) > 1 and len(set(texts)) == 1:
                inside = f"{texts[0]} for _ in range({len(texts)})"
            lines += fitted(f"self.{family} = nn.ParameterList({inside})")
        else:
            lines += networks.declare(members, names)
    return lines


def _single(tensor: Parameter) -> str:
    name, empty = tensor.family, _empty(tensor)
    match hidden(name), tensor.frozen:
        case True, True:
            return f"self._buffers[{string(name)}] = {empty}"
        case True, False:
            return f"self._parameters[{string(name)}] = nn.Parameter({empty})"
        case False, True:
            return f"self.register_buffer({string(name)}, {empty})"
        case _:
            return f"self.{name} = nn.Parameter({empty})"


def _empty(tensor: Parameter) -> str:
    sizes = ", ".join(map(str, tensor.shape)) if tensor.shape else "()"
    dtype = "_complex(dtype)" if tensor.complex else "dtype"
    if isinstance(tensor, Codes):
        dtype = f"torch.{tensor.dtype}"
    return f"torch.empty({sizes}, device=device, dtype={dtype})"
