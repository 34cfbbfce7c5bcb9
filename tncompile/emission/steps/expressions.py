"""How each operation of a tensor program is spelled in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import TAB, WIDTH, call, listings
from tncompile.program import operations as op
from tncompile.program.operations import Operation
from tncompile.program.program import Extent, TensorProgram, Value
from tncompile.program.registry import Registry


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
    """Whether it is written around its source, `x.reshape(…)`, and so fits inside another call."""
    return isinstance(
        operation,
        op.LoadParameter
        | op.View
        | op.Copy
        | op.Contiguous
        | op.Permute
        | op.Expand
        | op.Slice
        | op.Select
        | op.Log,
    )


def is_copy(operation: Operation) -> bool:
    """Whether a chained operation takes memory of its own."""
    match operation:
        case op.Copy() | op.Contiguous() | op.Log():
            return True
        case op.LoadParameter(_, _, conjugate):
            return conjugate
        case _:
            return False


@dataclass(frozen=True)
class Site:
    """Where an operation is written: `read` gives the expression of an operand.

    `holder` gives the tuple that an operand is an item of, None for one with a name of its own.
    """

    program: TensorProgram
    read: Callable[[str], str]
    scope: Scope
    holder: Callable[[str], str | None] = lambda name: None

    def shape(self, name: str) -> tuple[str, ...]:
        """The arguments of `reshape` and `expand`; `()` makes a scalar."""
        return _shape(self.program.values[name], self.scope)


WRITTEN: Registry[Text] = Registry()
"""How each operation is spelled: a function of the operation and its `Site`."""

writes = WRITTEN.register


def expression(operation: Operation, site: Site) -> Text:
    """The operation as Python."""
    return WRITTEN[type(operation)](operation, site)


@writes(op.Argument)
def _argument(operation: op.Argument, site: Site) -> Text:
    return Text(site.scope.arguments[operation.input])


@writes(op.LoadParameter)
def _load(operation: op.LoadParameter, site: Site) -> Text:
    conjugated = ".conj()" if operation.conjugate else ""
    return Text(site.scope.members.read(operation.key) + conjugated)


@writes(op.StackParameters)
def _stack_parameters(operation: op.StackParameters, site: Site) -> Text:
    head, items, tail = site.scope.members.stack(operation.keys)
    return Text(head, items, tail + (".conj()" if operation.conjugate else ""))


@writes(op.Stack, op.Cat)
def _listed(operation: op.Stack | op.Cat, site: Site) -> Text:
    head = "torch.stack(" if isinstance(operation, op.Stack) else "torch.cat("
    texts = [site.read(name) for name in operation.sources]
    return listed(head, texts, [site.holder(name) for name in operation.sources])


@writes(op.View, op.Copy)
def _reshape(operation: op.View | op.Copy, site: Site) -> Text:
    return Text(f"{site.read(operation.source)}.reshape(", site.shape(operation.result), ")")


@writes(op.Contiguous)
def _contiguous(operation: op.Contiguous, site: Site) -> Text:
    return Text(f"{site.read(operation.source)}.contiguous()")


@writes(op.Permute)
def _permute(operation: op.Permute, site: Site) -> Text:
    source = site.read(operation.source)
    if operation.order == (1, 0):
        return Text(f"{source}.t()")
    return Text(f"{source}.permute(", tuple(map(str, operation.order)), ")")


@writes(op.Expand)
def _expand(operation: op.Expand, site: Site) -> Text:
    return Text(f"{site.read(operation.source)}.expand(", site.shape(operation.result), ")")


@writes(op.ContiguousGrad)
def _contiguous_grad(operation: op.ContiguousGrad, site: Site) -> Text:
    return Text(f"_contiguous_grad({site.read(operation.source)})")


@writes(op.Slice)
def _slice(operation: op.Slice, site: Site) -> Text:
    span = _span(operation.start, operation.stop, operation.step)
    return Text(f"{site.read(operation.source)}[{':, ' * operation.axis}{span}]")


@writes(op.Select)
def _select(operation: op.Select, site: Site) -> Text:
    source = site.read(operation.source)
    return Text(f"{source}[{':, ' * operation.axis}{operation.position}]")


@writes(op.Unbind)
def _unbind(operation: op.Unbind, site: Site) -> Text:
    return Text(f"{site.read(operation.source)}.unbind({operation.axis or ''})")


@writes(op.Split)
def _split(operation: op.Split, site: Site) -> Text:
    lengths = f"[{', '.join(map(str, operation.lengths))}]"
    along = (f"{operation.axis}",) if operation.axis else ()
    return Text("torch.split(", (site.read(operation.source), lengths, *along), ")")


@writes(op.MatMul)
def _matmul(operation: op.MatMul, site: Site) -> Text:
    matrices = len(site.program.values[operation.result].shape) == 2
    factors = site.read(operation.left), site.read(operation.right)
    if operation.bias is None:
        return Text(f"torch.{'mm' if matrices else 'bmm'}(", factors, ")")
    kind = "addmm" if matrices else "baddbmm"
    return Text(f"torch.{kind}(", (site.read(operation.bias), *factors), ")")


@writes(op.Multiply)
def _multiply(operation: op.Multiply, site: Site) -> Text:
    return Text(f"{site.read(operation.left)} * {site.read(operation.right)}")


@writes(op.Add)
def _add(operation: op.Add, site: Site) -> Text:
    return Text(f"{site.read(operation.left)} + {site.read(operation.right)}")


@writes(op.Sum)
def _sum(operation: op.Sum, site: Site) -> Text:
    return Text(f"{site.read(operation.source)}.sum({_axes(operation.axes)})")


@writes(op.Times)
def _times(operation: op.Times, site: Site) -> Text:
    return Text(f"{site.read(operation.source)} * {operation.count}")


@writes(op.Magnitude)
def _magnitude(operation: op.Magnitude, site: Site) -> Text:
    return Text("_magnitude(", (site.read(operation.source), _tuple(operation.axes)), ")")


@writes(op.Divide)
def _divide(operation: op.Divide, site: Site) -> Text:
    return Text(f"{site.read(operation.source)} / {site.read(operation.scale)}")


@writes(op.Log)
def _log(operation: op.Log, site: Site) -> Text:
    squeezed = f".squeeze({_axes(operation.axes)})" if operation.axes else ""
    return Text(f"_log_scale({site.read(operation.source)}){squeezed}")


@writes(op.Pad)
def _padded(operation: op.Pad, site: Site) -> Text:
    """Zeros behind the last entry of one axis: `pad` counts the axes from the last."""
    axis, values = operation.axis, site.program.values
    length, padded = (values[k].shape[axis] for k in (operation.source, operation.result))
    assert length.names == padded.names == ()
    later = len(values[operation.result].shape) - 1 - axis
    sides = "0, 0, " * later + f"0, {padded.factor - length.factor}"
    return Text("nn.functional.pad(", (site.read(operation.source), f"({sides})"), ")")


@writes(op.IndexSelect)
def _index_select(operation: op.IndexSelect, site: Site) -> Text:
    return Text(f"{site.read(operation.source)}.index_select(", ("0", "positions"), ")")


@writes(op.Mask)
def _mask(operation: op.Mask, site: Site) -> Text:
    value, scope = site.program.values[operation.result], site.scope
    ones = f"torch.arange({scope.extent(value.size)}, device={scope.device}) < {operation.width}"
    return Text(f"({ones}).to({scope.dtype})" + _reshaped(value, scope))


@writes(op.Ones)
def _ones(operation: op.Ones, site: Site) -> Text:
    shape, scope = _tuple(site.shape(operation.result)), site.scope
    return Text(f"torch.ones({shape}, dtype={scope.dtype}, device={scope.device})")


@writes(op.Arange)
def _arange(operation: op.Arange, site: Site) -> Text:
    text = f"torch.arange({operation.length}, device={site.scope.device})"
    return Text(text + _reshaped(site.program.values[operation.result], site.scope))


@writes(op.UnravelIndex)
def _unravel_index(operation: op.UnravelIndex, site: Site) -> Text:
    divided = f" // {operation.divisor}" if operation.divisor != 1 else ""
    remainder = "" if operation.last else f" % {operation.size}"
    return Text(f"{site.read(operation.source)}{divided}{remainder}")


@writes(op.RavelIndex)
def _ravel_index(operation: op.RavelIndex, site: Site) -> Text:
    major, minor = site.read(operation.major), site.read(operation.minor)
    return Text(f"{major} * {operation.size} + {minor}")


@writes(op.Embedding)
def _embedding(operation: op.Embedding, site: Site) -> Text:
    table, ids = site.read(operation.table), site.read(operation.ids)
    match len(site.program.values[operation.ids].shape):
        case 0:  # indexing by a scalar tensor would compile its value in
            return Text(f"{table}.index_select(", ("0", f"{ids}.reshape(1)"), ").squeeze(0)")
        case 1:
            return Text(f"{table}.index_select(", ("0", ids), ")")
        case _:
            return Text(f"{table}[{ids}]")


@writes(op.Gather)
def _gather(operation: op.Gather, site: Site) -> Text:
    """`gather` along the last axis; what broadcasts is expanded (`take_along_dim` fixes sizes)."""
    values = site.program.values
    result = values[operation.result]
    shape = list(site.shape(operation.result))

    def expanded(name: str, last: str) -> str:
        wide = values[name].shape[:-1] != result.shape
        return site.read(name) + (f".expand({', '.join([*shape, last])})" if wide else "")

    ids = expanded(operation.ids, "1")
    return Text(f"{expanded(operation.table, '-1')}.gather(", ("-1", ids), ").squeeze(-1)")


@writes(op.OneHot)
def _one_hot(operation: op.OneHot, site: Site) -> Text:
    items = (site.read(operation.ids), str(operation.size), site.scope.dtype)
    return Text("_one_hot(", items, ")")


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
