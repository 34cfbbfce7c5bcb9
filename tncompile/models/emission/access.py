"""How an emitted class holds its parts and tensors, and how its methods read them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tncompile.emission.text.identifiers import hidden, identifier
from tncompile.emission.text.members import ParameterAccess
from tncompile.language.typing.model import Extern, Key, Part, PlainTensor, ResolvedModel
from tncompile.models.graph.forms import form_of
from tncompile.network.model import Init, Parameter
from tncompile.network.packing import Codes, Packing, Quantization, packings_of, stored

Members = Mapping[Key, Part]

_OF_GRAPHS = """
    add_submodule code delete_all_unused_submodules delete_submodule graph meta print_readable
    range_constraints recompile shape_env to_folder validate_inputs"""
OF_GRAPHS = frozenset(_OF_GRAPHS.split())
"""What `torch.fx.GraphModule` calls its own attributes: exported modules have no such parts."""


def is_list(numbers: Collection[int]) -> bool:
    """Whether members are counted from zero without gaps.

    >>> is_list([0, 1]), is_list([1, 2])
    (True, False)
    """
    return set(numbers) == set(range(len(set(numbers))))


@dataclass(frozen=True)
class Access:
    """The parts and tensors of a model by family.

    `functions` are the names of foreign functions by path; `replaced` are parts that a loop has
    other names for. Large tensors of networks, and of a model that is a matrix of low rank, are not
    there as such where they are `quantized`.
    """

    model: ResolvedModel
    functions: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    quantized: Quantization | None = None
    families: dict[str, dict[Key, Part]] = field(default_factory=dict, init=False)
    """The parts of the model that are modules of its own; shared ones once."""
    levels: dict[tuple[str, Key], list[int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for part in self.model.parts:
            if not part.outer and not (isinstance(part.callee, Extern) and part.callee.function):
                self.families.setdefault(part.family, {}).setdefault(part.key, part)
        for family, members in self.families.items():
            for key in members:
                for depth, number in enumerate(key):
                    level = self.levels.setdefault((family, key[:depth]), [])
                    if number not in level[-1:]:
                        level.append(number)

    @cached_property
    def renamed(self) -> dict[str, str]:
        """The attributes of parts whose names are taken, or no names in Python."""
        taken = {*self.families, *(tensor.family for tensor in self.model.tensors)}
        attributes: dict[str, str] = {}
        for family in self.families:
            if not hidden(family) and family not in OF_GRAPHS:
                continue
            attribute = f"{family}_"
            while attribute in taken:
                attribute += "_"
            taken.add(attribute)
            attributes[family] = attribute
        return attributes

    @cached_property
    def tensors(self) -> ParameterAccess:
        """The tensors that have a key, as those of a network are known."""
        stored_tensors = {tensor.path: tensor for tensor in self.model.tensors}
        parameters = tuple(_parameter(tensor) for tensor in stored_tensors.values())
        packed: dict[str, Packing] = {}
        if self.quantized is not None and form_of(self.model) is not None:
            packed = packings_of(parameters, (), self.quantized)
        held = stored(parameters, packed)
        return ParameterAccess(held, lists=_lists(held), packed=packed)

    def tensor(self, tensor: PlainTensor) -> str:
        """The expression of a tensor; of one that is packed, the call that dequantizes it."""
        packing = self.tensors.packed.get(tensor.path)
        if packing is None:
            return self.tensors.read(tensor.path)
        items = [self.tensors.read(each.key) for each in (packing.codes, packing.scale)]
        if packing.group is not None:
            items += map(str, (packing.rows, *tensor.shape))
        return f"_dequantized({', '.join(items)})"

    def part(self, part: Part) -> str:
        """The expression of a part: `self.h[2]`, `inner`."""
        if part.outer:
            return parameter_name(part.family)
        if isinstance(part.callee, Extern) and part.callee.function:
            return self.functions[part.callee.path]
        if part.path in self.replaced:
            return self.replaced[part.path]
        return self.member(part.family, part.key)

    def member(self, family: str, key: Key) -> str:
        """The expression of a member of a family, or of its first levels."""
        text = self.whole(family)
        for depth, number in enumerate(key):
            text += f"[{number}]" if self.is_list(family, key[:depth]) else f'["{number}"]'
        return text

    def is_list(self, family: str, before: Key) -> bool:
        """Whether the members whose keys begin like this are held by a list, not by a dict."""
        return self.levels[family, before] == list(range(len(self.levels[family, before])))

    def whole(self, family: str) -> str:
        """The attribute that holds a part or a family."""
        return f"self.{self.renamed.get(family, family)}"

    def within(self, replaced: Mapping[str, str]) -> Access:
        """The same in a loop, with names for the parts of a turn."""
        inner = copy.copy(self)
        object.__setattr__(inner, "replaced", {**self.replaced, **replaced})
        return inner


def _lists(parameters: Iterable[Parameter]) -> dict[str, int]:
    """The families that are an `nn.ParameterList`: of one subscript, without gaps, trained."""
    families: dict[str, list[Parameter]] = {}
    for parameter in parameters:
        families.setdefault(parameter.family, []).append(parameter)
    return {
        family: len(members)
        for family, members in families.items()
        if all(len(each.subscripts) == 1 and not each.frozen for each in members)
        and not hidden(family)
        and is_list([each.subscripts[0] for each in members])
    }


def _parameter(tensor: PlainTensor) -> Parameter:
    init = Init(scheme=tensor.init.scheme, argument=tensor.init.argument)
    written = f"{tensor.family}: {', '.join(map(str, tensor.shape)) or 'a scalar'}"
    parameter = Parameter(
        key=tensor.path,
        family=tensor.family,
        subscripts=tensor.key,
        axes=((),) * len(tensor.shape),
        shape=tensor.shape,
        init=init,
        frozen=tensor.frozen,
        complex=tensor.complex,
        written=written,
    )
    return Codes(**dict(parameter), dtype="int64") if tensor.integer else parameter


def parameter_name(name: str) -> str:
    """What `forward` calls a part that is handed on: its callers know it by this name."""
    text = identifier(name)
    return f"{text}_" if text in ("F", "partial") else text
