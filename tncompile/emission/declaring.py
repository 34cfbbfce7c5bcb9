"""`__init__` of an emitted class: every declared tensor under its name, families in loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tncompile.emission.naming import Members, Names, hidden, range_text
from tncompile.emission.writer import WIDTH, call, comment_lines, indented, statement
from tncompile.network.model import Parameter

INDENT = 8

FAMILY = '''\
class _Family(nn.Module):
    """Tensors of one name by subscript: `G[2]` is `G.2` in the state dict."""

    def __setitem__(self, subscript: int, tensor: Tensor) -> None:
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(str(subscript), tensor)
        else:
            self.register_buffer(str(subscript), tensor)

    def __getitem__(self, subscript: int) -> Tensor:
        tensor: Tensor | None = self._parameters.get(str(subscript))
        return getattr(self, str(subscript)) if tensor is None else tensor

    def at(self, subscripts: range | list[int]) -> list[Tensor]:
        """Several members, which is faster than one by one."""
        held = self._parameters
        return [self[k] if (tensor := held.get(str(k))) is None else tensor for k in subscripts]

    def extra_repr(self) -> str:
        return f"{len(self._parameters) + len(self._buffers) + len(self._modules)} members"
'''

NESTED_FAMILY = '''\
class _Family(nn.Module):
    """Tensors of one name by subscripts: `V[2, 5]` is `V.2.5` in the state dict."""

    def __setitem__(self, subscripts: int | tuple[int, ...], tensor: Tensor) -> None:
        first, *rest = subscripts if isinstance(subscripts, tuple) else (subscripts,)
        if rest:
            if str(first) not in self._modules:
                self.add_module(str(first), _Family())
            getattr(self, str(first))[tuple(rest)] = tensor
        elif isinstance(tensor, nn.Parameter):
            self.register_parameter(str(first), tensor)
        else:
            self.register_buffer(str(first), tensor)

    def __getitem__(self, subscripts: int | tuple[int, ...]) -> Tensor:
        if isinstance(subscripts, tuple):
            *outer, last = subscripts
            return self.of(*outer)[last]
        tensor: Tensor | None = self._parameters.get(str(subscripts))
        return getattr(self, str(subscripts)) if tensor is None else tensor

    def of(self, *subscripts: int) -> "_Family":
        """The members that begin with these subscripts."""
        family = self
        for subscript in subscripts:
            family = getattr(family, str(subscript))
        return family

    def at(self, subscripts: range | list[int]) -> list[Tensor]:
        """Several members, which is faster than one by one."""
        held = self._parameters
        return [self[k] if (tensor := held.get(str(k))) is None else tensor for k in subscripts]

    def extra_repr(self) -> str:
        return f"{len(self._parameters) + len(self._buffers) + len(self._modules)} members"
'''

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


def write_family_class(members: Members) -> list[str]:
    """The container of families, as simple as the subscripts allow; nothing without families."""
    depth = max((len(parameter.subscripts) for parameter in members.parameters), default=0)
    if not depth:
        return []
    return (FAMILY if depth == 1 else NESTED_FAMILY).splitlines()


def write_accessors(members: Members) -> list[list[str]]:
    """The methods that reach tensors with names that cannot be attributes."""
    held = [parameter for parameter in members.parameters if hidden(parameter.family)]
    single = [not parameter.subscripts for parameter in held]
    methods: list[list[str]] = []
    if any(single):
        methods.append(HIDDEN.splitlines())
    if not all(single):
        methods.append(HIDDEN_FAMILY.splitlines())
    return methods


def write_annotations(members: Members) -> list[str]:
    """Annotations of buffers, which type checkers cannot see in `register_buffer`."""
    held = {
        parameter.family: None
        for parameter in members.parameters
        if parameter.frozen and not parameter.subscripts
    }
    return [f"{family}: Tensor" for family in held if not hidden(family)]


def write_init(members: Members, *, like: bool = False, branching: bool = False) -> list[str]:
    """The method, without indentation; `like` adds an empty buffer for the dtype of results.

    A `branching` module can be told to do the same at every batch size.
    """
    given = ["device: torch.device | str | None = None", "dtype: torch.dtype | None = None"]
    if branching:
        given.append("batch_invariant: bool = False")
    head = call("def __init__(", ["self", "*", *given], ") -> None:", indent=4)
    body = ["super().__init__()"]
    if branching:
        body.append("self.batch_invariant = batch_invariant")
    if members.parameters:
        body += [
            "",
            "def empty(*shape: int) -> Tensor:",
            "    return torch.empty(shape, device=device, dtype=dtype)",
            "",
        ]
    if like:
        made = "torch.empty(0, device=device, dtype=dtype)"
        body.append(f'self.register_buffer("_like", {made}, persistent=False)')
    names = Names(["self", "device", "dtype", "batch_invariant", "empty", "h", "i", "j", "k"])
    for _, group in groupby(members.parameters, lambda parameter: parameter.family):
        body += _declare(list(group), names)
    return [*head, *indented([*body, "self.reset_parameters()"])]


def _declare(members: list[Parameter], names: Names) -> list[str]:
    """A tensor, or a family as `self.G[k] = …` in loops over equal shapes."""
    first = members[0]
    name = first.family
    legs = ", ".join(" ".join(axis) for axis in first.axes)
    if not first.subscripts:
        return _tensor(name, first.shape, first.frozen, legs)
    holder = f"self.{name}"
    lines = comment_lines(first.written, indent=INDENT)
    if hidden(name):
        holder = names.fresh(name)
        lines.append(f'{holder} = self._modules["{name}"] = _Family()')
    else:
        lines.append(f"{holder} = _Family()")
    given = [(parameter.subscripts, parameter.shape) for parameter in members]
    return lines + _assignments(_nest(given), holder, (), first.frozen)


def _tensor(name: str, shape: tuple[int, ...], frozen: bool, comment: str) -> list[str]:
    """One tensor, a buffer where it is frozen."""
    if hidden(name) and frozen:
        head, tail = f'self._buffers["{name}"] = empty(', ")"
    elif hidden(name):
        head, tail = f'self._parameters["{name}"] = nn.Parameter(empty(', "))"
    elif frozen:
        head, tail = f'self.register_buffer("{name}", empty(', "))"
    else:
        head, tail = f"self.{name} = nn.Parameter(empty(", "))"
    flat = head + _sizes(shape) + tail
    if INDENT + len(flat) <= WIDTH:
        return statement(flat, comment, indent=INDENT)
    laid_out = call(head, tuple(map(str, shape)), tail, indent=INDENT)
    return [*comment_lines(comment, indent=INDENT), *laid_out]


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


# ── loops ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Loop:
    """Consecutive values of a subscript with equal bodies: deeper loops, or a shape."""

    numbers: range
    body: tuple[_Loop, ...] | tuple[int, ...]
    last: bool


Member = tuple[tuple[int, ...], tuple[int, ...]]


def _nest(members: Sequence[Member]) -> tuple[_Loop, ...]:
    """The members (subscripts, shape) in their order as nested loops."""
    loops: list[_Loop] = []
    for number, group in groupby(members, lambda member: member[0][0]):
        inner = list(group)
        last = len(inner[0][0]) == 1
        body = inner[0][1] if last else _nest([(rest[1:], shape) for rest, shape in inner])
        before = loops[-1] if loops else None
        if before is not None and before.numbers.stop == number and before.body == body:
            loops[-1] = _Loop(range(before.numbers.start, number + 1), body, last)
        else:
            loops.append(_Loop(range(number, number + 1), body, last))
    return tuple(loops)


VARIABLES = ("k", "j", "i", "h")


def _assignments(
    loops: tuple[_Loop, ...], holder: str, outer: tuple[str, ...], frozen: bool
) -> list[str]:
    """The statements of some loops; a loop over one value is written without `for`."""
    lines: list[str] = []
    for loop in loops:
        single = len(loop.numbers) == 1
        variable = str(loop.numbers.start) if single else _variable(outer)
        subscripts = (*outer, variable)
        if loop.last:
            shape = tuple(size for size in loop.body if isinstance(size, int))
            tensor = f"empty({_sizes(shape)})"
            value = tensor if frozen else f"nn.Parameter({tensor})"
            inner = [f"{holder}[{', '.join(subscripts)}] = {value}"]
        else:
            deeper = tuple(body for body in loop.body if isinstance(body, _Loop))
            inner = _assignments(deeper, holder, subscripts, frozen)
        if single:
            lines += inner
        else:
            lines += [f"for {variable} in {range_text(loop.numbers)}:", *indented(inner)]
    return lines


def _variable(outer: tuple[str, ...]) -> str:
    """A loop variable that the outer loops do not use."""
    free = [name for name in VARIABLES if name not in outer]
    return free[0] if free else f"k{len(outer)}"
