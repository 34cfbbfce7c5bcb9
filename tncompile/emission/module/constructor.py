"""`__init__` of an emitted class: every declared tensor under its name, families in loops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tncompile.emission.steps.complex_numbers import APPLY
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names, hidden
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import INDENT, TAB, comment_lines, indented, string
from tncompile.network.model import Parameter
from tncompile.network.packing import Codes

DESCRIBED = '''\
def _described(tensor: Tensor) -> str:
    """`Parameter containing: [torch.float32 of size 4x8]`."""
    kind = "Parameter" if isinstance(tensor, nn.Parameter) else "Tensor"
    where = "" if tensor.device.type == "cpu" else f" ({tensor.device})"
    return f"{kind} containing: [{tensor.dtype} of size {'x'.join(map(str, tensor.shape))}{where}]"
'''

FAMILY_HEAD = '''\
class _Family(nn.Module):
    """Tensors of one name, as a list: `G[2]` is `G.2` in the state dict.

    Subscripts are those of the declaration; below zero they count back from the last one.
    """
'''

NESTED_HEAD = '''\
class _Family(nn.Module):
    """Tensors of one name by subscripts: `V[2, 5]` is `V.2.5` in the state dict.

    `V[2]` is a row, a family of its own, and so is what iteration over `V` gives. Subscripts are
    those of the declaration; below zero they count back from the last one.
    """
'''

FAMILY_INIT = """
    def __init__(self) -> None:
        super().__init__()
        self._names: dict[int, str] = {}
"""

FAMILY_ITEMS = '''
    def add(self, tensor: Tensor, subscript: int) -> None:
        """Append a member: a parameter, or a buffer where it is frozen."""
        self._names[subscript] = name = str(subscript)
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)

    @overload
    def __getitem__(self, subscript: SupportsIndex) -> Tensor: ...

    @overload
    def __getitem__(self, subscript: slice) -> list[Tensor]: ...

    def __getitem__(self, subscript: SupportsIndex | slice) -> Tensor | list[Tensor]:
        tensor: Tensor | None = self._parameters.get(str(subscript))
        if tensor is not None:
            return tensor
        if isinstance(subscript, slice):
            places = range(max(self._names) + 1)[subscript]
            return [self[place] for place in places if place in self._names]
        member: Tensor = getattr(self, self._name(subscript))
        return member

    def __setitem__(self, subscript: SupportsIndex, tensor: Tensor) -> None:
        setattr(self, self._name(subscript), tensor)

    def __contains__(self, item: object) -> bool:
        """Whether it is the subscript of a member, or a member itself."""
        if isinstance(item, int):
            return item in self._names
        return any(item is tensor for tensor in self)

    def extra_repr(self) -> str:
        return "\\n".join(f"({k}): {_described(self[k])}" for k in self._names)
'''

NESTED_ITEMS = '''
    def add(self, tensor: Tensor, *subscripts: int) -> None:
        """Append a member: a parameter, or a buffer where it is frozen."""
        first, *rest = subscripts
        self._names[first] = name = str(first)
        if rest:
            if name not in self._modules:
                self.add_module(name, _Family())
            self.of(first).add(tensor, *rest)
        elif isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)

    @overload
    def __getitem__(self, subscripts: SupportsIndex | tuple[SupportsIndex, ...]) -> Tensor: ...

    @overload
    def __getitem__(self, subscripts: slice) -> list[Tensor]: ...

    def __getitem__(
        self, subscripts: SupportsIndex | tuple[SupportsIndex, ...] | slice
    ) -> Tensor | list[Tensor]:
        if isinstance(subscripts, tuple):
            *outer, last = subscripts
            return self.of(*outer)[last]
        tensor: Tensor | None = self._parameters.get(str(subscripts))
        if tensor is not None:
            return tensor
        if isinstance(subscripts, slice):
            places = range(max(self._names) + 1)[subscripts]
            return [self[place] for place in places if place in self._names]
        member: Tensor = getattr(self, self._name(subscripts))
        return member

    def of(self, *subscripts: SupportsIndex) -> "_Family":
        """The members that begin with these subscripts."""
        family = self
        for subscript in subscripts:
            row = family._modules.get(str(subscript))
            if row is None:
                row = getattr(family, family._name(subscript))
            if not isinstance(row, _Family):
                raise IndexError(f"a subscript too many: {subscripts}")
            family = row
        return family

    def __setitem__(
        self, subscripts: SupportsIndex | tuple[SupportsIndex, ...], tensor: Tensor
    ) -> None:
        *outer, last = subscripts if isinstance(subscripts, tuple) else (subscripts,)
        family = self.of(*outer)
        setattr(family, family._name(last), tensor)

    def __contains__(self, item: object) -> bool:
        """Whether it is the subscripts of a member or of a row, or a member or a row itself."""
        if not isinstance(item, int | tuple):
            rows = (row for row in self if isinstance(row, _Family))
            return any(item is row for row in self) or any(item in row for row in rows)
        first, *rest = item if isinstance(item, tuple) else (item,)
        if not rest:
            return first in self._names
        row = self._modules.get(str(first))
        return isinstance(row, _Family) and tuple(rest) in row

    def extra_repr(self) -> str:
        leaves = (k for k, name in self._names.items() if name not in self._modules)
        return "\\n".join(f"({k}): {_described(self[k])}" for k in leaves)
'''

FAMILY_SEQUENCE = '''
    def at(self, subscripts: range | list[int]) -> list[Tensor]:
        """Several members, which is faster than one by one."""
        parameters = self._parameters
        return [
            self[k] if (tensor := parameters.get(str(k))) is None else tensor for k in subscripts
        ]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[subscript] for subscript in self._names)

    def __reversed__(self) -> Iterator[Tensor]:
        return (self[subscript] for subscript in reversed(self._names))

    def _name(self, subscript: SupportsIndex) -> str:
        """The attribute that holds a member."""
        number = _index(subscript)
        if number in self._names:
            return self._names[number]
        first, last = min(self._names), max(self._names)
        if number < 0 <= first and last + 1 + number in self._names:
            return self._names[last + 1 + number]
        raise IndexError(f"no member {number}: there are {first} to {last}")
'''

FAMILY = FAMILY_HEAD + FAMILY_INIT + FAMILY_ITEMS + FAMILY_SEQUENCE
NESTED_FAMILY = NESTED_HEAD + FAMILY_INIT + NESTED_ITEMS + FAMILY_SEQUENCE

HIDDEN = '''\
def _hidden(self, name: str) -> Tensor:
    """A tensor whose name nn.Module or Python has other uses for."""
    tensor = self._parameters[name] if name in self._parameters else self._buffers[name]
    assert tensor is not None
    return tensor
'''

HIDDEN_FAMILY = '''\
def _hidden_family(self, name: str) -> _Family:
    """A family whose name nn.Module or Python has other uses for."""
    family = self._modules[name]
    assert isinstance(family, _Family)
    return family
'''


TRAINING = '''\
def __setattr__(self, name: str, value: Tensor | nn.Module) -> None:
    """Keep the flag `training` of `nn.Module` beside the tensor of that name."""
    if name == "training" and isinstance(value, bool):
        self.__dict__[name] = value
    else:
        super().__setattr__(name, value)
'''


def family_depth(members: ParameterAccess) -> int:
    """The most subscripts that a tensor has."""
    return max((len(parameter.subscripts) for parameter in members.parameters), default=0)


def family_class(depth: int) -> str:
    """The container of families, as simple as so many subscripts allow."""
    return f"{DESCRIBED}\n\n{FAMILY if depth == 1 else NESTED_FAMILY}"


def write_accessors(members: ParameterAccess) -> list[list[str]]:
    """The methods that reach tensors with names that cannot be attributes."""
    names = {
        (parameter.family, not parameter.subscripts)
        for parameter in members.parameters
        if hidden(parameter.family)
    }
    needed = {
        TRAINING: any(parameter.family == "training" for parameter in members.parameters),
        HIDDEN: any(single for _, single in names),
        HIDDEN_FAMILY: any(not single for _, single in names),
    }
    return [text.splitlines() for text, need in needed.items() if need]


def write_annotations(members: ParameterAccess) -> list[str]:
    """Annotations of buffers, which type checkers cannot see in `register_buffer`."""
    buffers = (
        parameter.family
        for parameter in members.parameters
        if parameter.frozen and not parameter.subscripts
    )
    return [f"{family}: Tensor" for family in dict.fromkeys(buffers) if not hidden(family)]


def write_init(
    members: ParameterAccess, *, like: bool = False, branching: bool = False
) -> list[str]:
    """The method, without indentation; `like` adds an empty buffer for the dtype of results.

    A `branching` module can be told to do the same at every batch size.
    """
    parameters = ["device: torch.device | str | None = None", "dtype: torch.dtype | None = None"]
    parameters += ["batch_invariant: bool = False"] * branching
    body = ["super().__init__()"] + ["self.batch_invariant = batch_invariant"] * branching
    body += write_empty(members.parameters)
    if like:
        empty = "torch.empty(0, device=device, dtype=dtype)"
        body.append(f'self.register_buffer("_like", {empty}, persistent=False)')
    names = Names(["self", "device", "dtype", "batch_invariant", "empty", "h", "i", "j", "k"])
    for kind in ("complex", "int8", "uint8", "int64"):
        names.exactly(f"empty_{kind}")
    for _, group in groupby(members.parameters, lambda parameter: parameter.family):
        body += declare(list(group), names)
    body.append("self.reset_parameters()")
    return writer.function("__init__", ["self", "*", *parameters], "None", body)


def write_empty(parameters: Sequence[Parameter]) -> list[str]:
    """The functions that `declare` calls for these parameters."""
    lines: list[str] = []
    if parameters:
        lines += [
            "",
            "def empty(*shape: int) -> Tensor:",
            "    return torch.empty(shape, device=device, dtype=dtype)",
            "",
        ]
    if any(parameter.complex for parameter in parameters):
        lines += [
            "def empty_complex(*shape: int) -> Tensor:",
            "    return torch.empty(shape, device=device, dtype=_complex(dtype))",
            "",
        ]
    for dtype in dict.fromkeys(each.dtype for each in parameters if isinstance(each, Codes)):
        lines += [
            f"def empty_{dtype}(*shape: int) -> Tensor:",
            f"    return torch.empty(shape, device=device, dtype=torch.{dtype})",
            "",
        ]
    return lines


def write_conversion(members: ParameterAccess) -> list[list[str]]:
    """The method behind `to`, `double` and so on, where tensors are complex."""
    return [APPLY.splitlines()] if members.complex else []


Member = tuple[tuple[int, ...], tuple[int, ...]]
"""Subscripts and shape."""


def declare(members: list[Parameter], names: Names) -> list[str]:
    """A tensor, or a family as `self.G.add(…, k)` in loops over equal shapes."""
    first = members[0]
    name, empty = first.family, "empty_complex" if first.complex else "empty"
    if isinstance(first, Codes):
        empty = f"empty_{first.dtype}"
    if first.subscripts:
        lines = comment_lines(first.written, indent=INDENT)
        holder = f"self.{name}"
        if hidden(name):
            holder = names.fresh(name)
            lines.append(f"{holder} = self._modules[{string(name)}] = _Family()")
        else:
            lines.append(f"{holder} = _Family()")
        shapes = [(parameter.subscripts, parameter.shape) for parameter in members]
        return lines + _additions(shapes, holder, (), first.frozen, empty)
    match hidden(name), first.frozen:
        case True, True:
            head, tail = f"self._buffers[{string(name)}] = {empty}(", ")"
        case True, False:
            head, tail = f"self._parameters[{string(name)}] = nn.Parameter({empty}(", "))"
        case False, True:
            head, tail = f"self.register_buffer({string(name)}, {empty}(", "))"
        case _:
            head, tail = f"self.{name} = nn.Parameter({empty}(", "))"
    legs = ", ".join(" ".join(axis).lstrip("|") or "1" for axis in first.axes)
    return writer.assignment(head, [str(size) for size in first.shape], tail, legs)


def _additions(
    members: Sequence[Member],
    holder: str,
    outer: tuple[str, ...],
    frozen: bool,
    empty: str,
    indent: int = INDENT,
) -> list[str]:
    """A call for each member, in nested loops over subscripts of which the rest is alike."""
    loops: list[tuple[range, list[Member]]] = []
    for number, group in groupby(members, lambda member: member[0][0]):
        inner = [(subscripts[1:], shape) for subscripts, shape in group]
        start = number
        if loops and loops[-1] == (range(loops[-1][0].start, number), inner):
            start = loops.pop()[0].start
        loops.append((range(start, number + 1), inner))
    lines: list[str] = []
    for numbers, inner in loops:
        single = len(numbers) == 1  # written without `for`
        variable = str(numbers.start)
        if not single:
            variable = next((name for name in "kjih" if name not in outer), f"k{len(outer)}")
        inside = indent if single else indent + len(TAB)
        subscripts = (*outer, variable)
        if inner[0][0]:
            body = _additions(inner, holder, subscripts, frozen, empty, inside)
        else:
            tensor = f"{empty}({', '.join(map(str, inner[0][1]))})"
            value = tensor if frozen else f"nn.Parameter({tensor})"
            body = writer.call(f"{holder}.add(", [value, *subscripts], indent=inside)
        head = f"for {variable} in {writer.range_text(numbers)}:"
        lines += body if single else [head, *indented(body)]
    return lines
