"""How each operation of a tensor program is spelled in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import TAB, WIDTH, call, listings
from tncompile.program.operations import (
    Add,
    Arange,
    Argument,
    Cat,
    Chunk,
    ConcatChunks,
    Contiguous,
    ContiguousGrad,
    Copy,
    Embedding,
    Expand,
    Gather,
    IndexSelect,
    LoadParameter,
    Mask,
    MatMul,
    Multiply,
    OneHot,
    Ones,
    Operation,
    Pad,
    Permute,
    RavelIndex,
    Rescale,
    Select,
    Slice,
    Split,
    Stack,
    StackParameters,
    Sum,
    Times,
    Unbind,
    UnravelIndex,
    View,
)
from tncompile.program.program import Extent, TensorProgram, Value


@dataclass(frozen=True)
class Scope:
    """What emitted steps may refer to, as expressions.

    `arguments` holds each input, checked, its batch axes flattened; `sizes` the run-time sizes by
    index; `dtype` and `device` are those of constants.
    """

    names: Names
    members: ParameterAccess
    arguments: Mapping[str, str]
    sizes: Mapping[str, str]
    dtype: str
    device: str

    def extent(self, extent: Extent) -> str:
        """The size as an expression: `B * 12`."""
        factors = [self.sizes[name] for name in extent.names]
        if extent.factor != 1 or not factors:
            factors.append(str(extent.factor))
        return " * ".join(factors)

    def shape(self, value: Value) -> tuple[str, ...]:
        """The lengths of the axes of a value."""
        return tuple(self.extent(length) for length in value.shape)


@dataclass(frozen=True)
class Text:
    """An expression: `head`, what stands between the last brackets, and `tail`."""

    head: str
    items: tuple[str, ...] = ()
    tail: str = ""

    @property
    def flat(self) -> str:
        """All on one line."""
        return f"{self.head}{', '.join(self.items)}{self.tail}"


def is_chained(operation: Operation) -> bool:
    """Whether it is written behind its source, `x.reshape(…)`, and so fits inside another call."""
    return isinstance(
        operation, LoadParameter | View | Copy | Contiguous | Permute | Expand | Slice | Select
    )


def is_copy(operation: Operation) -> bool:
    """Whether a chained operation takes memory of its own."""
    match operation:
        case Copy() | Contiguous():
            return True
        case LoadParameter(_, _, conjugate):
            return conjugate
        case _:
            return False


def expression(
    operation: Operation, program: TensorProgram, read: Callable[[str], str], scope: Scope
) -> Text:
    """The operation as Python; `read` gives the expression of an operand."""
    match operation:
        case Argument(_, name):
            return Text(scope.arguments[name])
        case LoadParameter(_, key, conjugate):
            return Text(scope.members.read(key) + (".conj()" if conjugate else ""))
        case View(name, source) | Copy(name, source):
            return Text(f"{read(source)}.reshape(", _shape(program.values[name], scope), ")")
        case Contiguous(_, source):
            return Text(f"{read(source)}.contiguous()")
        case Permute(_, source, order):
            if order == (1, 0):
                return Text(f"{read(source)}.t()")
            return Text(f"{read(source)}.permute(", tuple(map(str, order)), ")")
        case Expand(name, source):
            return Text(f"{read(source)}.expand(", _shape(program.values[name], scope), ")")
        case ContiguousGrad(_, source):
            return Text(f"_settled({read(source)})")
        case Slice(_, source, axis, start, stop, step):
            return Text(f"{read(source)}[{':, ' * axis}{_span(start, stop, step)}]")
        case Select(_, source, axis, position):
            return Text(f"{read(source)}[{':, ' * axis}{position}]")
        case MatMul(name, left, right, str(bias)):
            kind = "addmm" if len(program.values[name].shape) == 2 else "baddbmm"
            return Text(f"torch.{kind}(", (read(bias), read(left), read(right)), ")")
        case MatMul(name, left, right):
            kind = "mm" if len(program.values[name].shape) == 2 else "bmm"
            return Text(f"torch.{kind}(", (read(left), read(right)), ")")
        case Multiply(_, left, right):
            return Text(f"{read(left)} * {read(right)}")
        case Add(_, left, right):
            return Text(f"{read(left)} + {read(right)}")
        case Sum(_, source, axes):
            return Text(f"{read(source)}.sum({_axes(axes)})")
        case Times(_, source, count):
            return Text(f"{read(source)} * {count}")
        case Pad(name, source, axis):
            return _pad(program.values[name], program.values[source], axis, read(source))
        case Split(_, source, axis, lengths):
            along = (f"{axis}",) if axis else ()
            items = (read(source), f"[{', '.join(map(str, lengths))}]", *along)
            return Text("torch.split(", items, ")")
        case Rescale(_, _, source, axes):
            return Text("_rescaled(", (read(source), _tuple(axes)), ")")
        case (
            Stack()
            | StackParameters()
            | Cat()
            | Unbind()
            | IndexSelect()
            | Chunk()
            | ConcatChunks()
        ):
            raise AssertionError("written by the printer itself, it takes several lines")
        case _:
            return _constant_or_ids(operation, program, read, scope)


def _constant_or_ids(
    operation: Mask | Ones | Arange | UnravelIndex | RavelIndex | Embedding | Gather | OneHot,
    program: TensorProgram,
    read: Callable[[str], str],
    scope: Scope,
) -> Text:
    """Constants, and what is done with ids."""
    value = program.values[operation.result]
    match operation:
        case Mask(_, width):
            size = scope.extent(value.size)
            text = f"(torch.arange({size}, device={scope.device}) < {width}).to({scope.dtype})"
            return Text(text + _reshaped(value, scope))
        case Ones():
            shape = _tuple(_shape(value, scope))
            return Text(f"torch.ones({shape}, dtype={scope.dtype}, device={scope.device})")
        case Arange(_, length):
            return Text(f"torch.arange({length}, device={scope.device})" + _reshaped(value, scope))
        case UnravelIndex(_, source, divisor, size, last):
            divided = f" // {divisor}" if divisor != 1 else ""
            return Text(f"{read(source)}{divided}" + ("" if last else f" % {size}"))
        case RavelIndex(_, major, minor, size):
            return Text(f"{read(major)} * {size} + {read(minor)}")
        case Embedding(_, table, ids):
            match len(program.values[ids].shape):
                case 0:  # indexing by a scalar tensor would compile its value in
                    row = f"{read(ids)}.reshape(1)"
                    return Text(f"{read(table)}.index_select(", ("0", row), ").squeeze(0)")
                case 1:
                    return Text(f"{read(table)}.index_select(", ("0", read(ids)), ")")
                case _:
                    return Text(f"{read(table)}[{read(ids)}]")
        case Gather(_, table, ids):
            return _pick(program.values[table], program.values[ids], value, read, scope)
        case OneHot(_, ids, size):
            return Text("_one_hot(", (read(ids), str(size), scope.dtype), ")")
        case _:
            assert_never(operation)


def _pick(
    table: Value, ids: Value, result: Value, read: Callable[[str], str], scope: Scope
) -> Text:
    """`gather` along the last axis; what broadcasts is expanded (`take_along_dim` fixes sizes)."""
    shape = list(_shape(result, scope))

    def expanded(value: Value, last: str) -> str:
        wide = value.shape[:-1] != result.shape
        return read(value.name) + (f".expand({', '.join([*shape, last])})" if wide else "")

    return Text(f"{expanded(table, '-1')}.gather(", ("-1", expanded(ids, "1")), ").squeeze(-1)")


def listed(head: str, texts: Sequence[str], holders: Sequence[str | None]) -> Text:
    """A call on a list of values; neighbors that were unbound together are a slice."""
    holder = holders[0] if len(set(holders)) == 1 else None
    if holder is not None and len(texts) > 2:
        numbers = [int(text.rsplit("[", 1)[1][:-1]) for text in texts]
        step = numbers[1] - numbers[0]
        if step > 0 and all(b - a == step for a, b in pairwise(numbers)):
            by = f":{step}" if step != 1 else ""
            return Text(f"{head}{holder}[{numbers[0]}:{numbers[-1] + 1}{by}])")
    return Text(f"{head}[", tuple(texts), "])")


def positions_lines(positions: tuple[int, ...], device: str, indent: int) -> list[str]:
    """`positions = torch.tensor([…], device=…)`, the positions of a gather."""
    items = _positions(positions)
    flat = f"[{', '.join(items)}]"
    head = "positions = torch.tensor("
    if indent + len(TAB) + len(flat) < WIDTH:
        return call(head, [flat, f"device={device}"], indent=indent)
    exploded = [f"{TAB}[", *(f"{TAB}{TAB}{item}," for item in items), f"{TAB}],"]
    return [head, *exploded, f"{TAB}device={device},", ")"]


def _positions(positions: tuple[int, ...]) -> list[str]:
    """The items of a list of positions, ranges starred, and what fits a line of many short ones."""
    lines = listings(positions)
    if len(lines) == 1:
        return lines[0]
    return [f"*({', '.join(line)})" if len(line) > 1 else line[0] for line in lines]


def _shape(value: Value, scope: Scope) -> tuple[str, ...]:
    """The arguments of `reshape` and `expand`; `()` makes a scalar."""
    return scope.shape(value) or ("()",)


def _reshaped(value: Value, scope: Scope) -> str:
    """What turns a vector into the value."""
    return "" if len(value.shape) == 1 else f".reshape({', '.join(_shape(value, scope))})"


def _span(start: int, stop: int, step: int) -> str:
    """A slice as it is written in brackets."""
    return f"{start or ''}:{stop}" + (f":{step}" if step != 1 else "")


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else _tuple(axes)


def _tuple(items: tuple[int, ...] | tuple[str, ...]) -> str:
    """A tuple display."""
    if items == ("()",):
        return "()"
    return f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"


def _pad(result: Value, source: Value, axis: int, given: str) -> Text:
    """Zeros behind the last entry of one axis: `pad` counts the axes from the last."""
    held, wanted = source.shape[axis], result.shape[axis]
    assert held.names == wanted.names == ()
    sides = "0, 0, " * (len(result.shape) - 1 - axis) + f"0, {wanted.factor - held.factor}"
    return Text("nn.functional.pad(", (given, f"({sides})"), ")")
