"""How each operation of a tensor program is spelled in PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never, get_args

from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import TAB, WIDTH, call, indented, listings
from tncompile.program import operations as op
from tncompile.program.operation import Operation
from tncompile.program.program import Extent, TensorProgram, Value
from tncompile.program.queries import is_mixed, multiplies_parts, only_multiplied
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
    views = op.View | op.Permute | op.Expand | op.Slice | op.Crop | op.Select
    return isinstance(operation, op.LoadParameter | op.Copy | op.Contiguous | op.Log | views)


def is_copy(operation: Operation) -> bool:
    """Whether a chained operation takes memory of its own."""
    if isinstance(operation, op.LoadParameter):
        return operation.conjugate
    return isinstance(operation, op.Copy | op.Contiguous | op.Log)


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
        return self.scope.shape(self.program.values[name]) or ("()",)

    def reshaped(self, name: str) -> str:
        """What turns a vector into the value."""
        shape = self.shape(name)
        return "" if len(shape) == 1 and shape != ("()",) else f".reshape({', '.join(shape)})"


WRITTEN: Registry[Text] = Registry()
"""How each operation is spelled: a function of the operation and its `Site`."""

writes = WRITTEN.register


def expression(operation: Operation, site: Site) -> Text:
    """The operation as Python."""
    text = WRITTEN[type(operation)](operation, site)
    return _of_parts(operation, site, text) if is_mixed(site.program, operation) else text


def _of_parts(operation: Operation, site: Site, text: Text) -> Text:
    """A product whose factors may be real and complex."""
    if isinstance(operation, op.MatMul):
        parts = ("parts=True",) if multiplies_parts(site.program, operation) else ()
        return Text("_product(", (*text.items, *parts), text.tail)
    return Text("_by_parts(", (text.head.removesuffix("("), *text.items), text.tail)


@writes(op.Argument, op.LoadParameter, op.StackParameters)
def _load(operation: op.Argument | op.LoadParameter | op.StackParameters, site: Site) -> Text:
    if isinstance(operation, op.Argument):
        return Text(site.scope.arguments[operation.input])
    conjugated = ".conj()" if operation.conjugate else ""
    if isinstance(operation, op.LoadParameter):
        return Text(site.scope.members.read(operation.key) + conjugated)
    head, items, tail = site.scope.members.stack(operation.keys)
    return Text(head, items, tail + conjugated)


@writes(op.Stack, op.Cat)
def _listed(operation: op.Stack | op.Cat, site: Site) -> Text:
    head = "torch.stack(" if isinstance(operation, op.Stack) else "torch.cat("
    texts = [site.read(name) for name in operation.sources]
    return listed(head, texts, [site.holder(name) for name in operation.sources])


Layout = (
    op.View | op.Copy | op.Contiguous | op.Permute | op.Expand | op.ContiguousGrad
    | op.Slice | op.Crop | op.Select | op.Unbind | op.Split | op.Pad | op.IndexSelect | op.Chunk
    | op.ConcatChunks
)  # fmt: skip


@writes(*get_args(Layout))
def _layout(operation: Layout, site: Site) -> Text:
    """What takes, repeats or moves entries of one tensor."""
    source = site.read(operation.source)
    match operation:
        case op.View(result) | op.Copy(result):
            return Text(f"{source}.reshape(", site.shape(result), ")")
        case op.Contiguous():
            return Text(f"{source}.contiguous()")
        case op.Permute(order=(1, 0)):
            return Text(f"{source}.t()")
        case op.Permute(order=order):
            return Text(f"{source}.permute(", tuple(map(str, order)), ")")
        case op.Expand(result):
            return Text(f"{source}.expand(", site.shape(result), ")")
        case op.ContiguousGrad():
            return Text(f"_contiguous_grad({source})")
        case op.Slice(_, _, axis, start, stop, step):
            span = f"{start or ''}:{stop}" + (f":{step}" if step != 1 else "")
            return Text(f"{source}[{':, ' * axis}{span}]")
        case op.Crop(_, _, axis, before, after):
            span = f"{before or ''}:{-after if after else ''}"
            return Text(f"{source}[{':, ' * axis}{span}]")
        case op.Select(_, _, axis, position):
            return Text(f"{source}[{':, ' * axis}{position}]")
        case op.Unbind(_, _, axis):
            return Text(f"{source}.unbind({axis or ''})")
        case op.Split(_, _, axis, lengths):
            items = (source, f"[{', '.join(map(str, lengths))}]", *([str(axis)] if axis else []))
            return Text("torch.split(", items, ")")
        case op.Chunk(_, _, axis):
            assert site.program.loop is not None
            along = f", dim={axis}" if axis else ""
            return Text(f"torch.split({source}, {site.program.loop.rows}{along})")
        case op.ConcatChunks(_, _, axis):
            return Text(f"torch.cat({source}{f', dim={axis}' if axis else ''})")
        case op.Pad(result, name, axis):  # `pad` counts the axes from the last
            padded, unpadded = (site.program.values[k].shape for k in (result, name))
            assert padded[axis].names == unpadded[axis].names == ()
            later = "0, 0, " * (len(padded) - 1 - axis)
            sides = f"({later}0, {padded[axis].factor - unpadded[axis].factor})"
            return Text("nn.functional.pad(", (source, sides), ")")
        case op.IndexSelect():
            return Text(f"{source}.index_select(", ("0", "positions"), ")")
        case _:
            assert_never(operation)


@writes(*get_args(op.Arithmetic))
def _arithmetic(operation: op.Arithmetic, site: Site) -> Text:
    match operation:
        case op.Multiply(_, left, right):
            return Text(f"{site.read(left)} * {site.read(right)}")
        case op.Add(_, left, right):
            return Text(f"{site.read(left)} + {site.read(right)}")
        case op.Sum(_, source, axes):
            return Text(f"{site.read(source)}.sum({_axes(axes)})")
        case op.Times(_, source, count):
            return Text(f"{site.read(source)} * {count}")
        case op.Magnitude(_, source, axes):
            return Text("_magnitude(", (site.read(source), _tuple(axes)), ")")
        case op.Divide(_, source, scale):
            return Text(f"{site.read(source)} / {site.read(scale)}")
        case op.Log(_, source, axes):
            shape = site.program.values[source].shape
            call = "squeeze" if all(shape[k] == Extent() for k in axes) else "sum"
            reduced = f".{call}({_axes(axes)})" if axes else ""
            return Text(f"_log_scale({site.read(source)}){reduced}")
        case op.UnravelIndex(_, source, divisor, size, last):
            divided = f" // {divisor}" if divisor != 1 else ""
            return Text(f"{site.read(source)}{divided}{'' if last else f' % {size}'}")
        case op.RavelIndex(_, major, minor, size):
            return Text(f"{site.read(major)} * {size} + {site.read(minor)}")
        case _:
            assert_never(operation)


@writes(op.Unpack, op.Dequantize)
def _dequantized(operation: op.Unpack | op.Dequantize, site: Site) -> Text:
    match operation:
        case op.Unpack(_, source):
            return Text("_int4(", (site.read(source),), ")")
        case op.Dequantize(_, codes, scale):
            return Text(f"{site.read(codes)} * {site.read(scale)}")
        case _:
            assert_never(operation)


@writes(op.MatMul)
def _matmul(operation: op.MatMul, site: Site) -> Text:
    matrices = len(site.program.values[operation.result].shape) == 2
    factors = site.read(operation.left), site.read(operation.right)
    if operation.bias is None:
        return Text(f"torch.{'mm' if matrices else 'bmm'}(", factors, ")")
    kind = "addmm" if matrices else "baddbmm"
    return Text(f"torch.{kind}(", (site.read(operation.bias), *factors), ")")


@writes(op.Convolve)
def _convolve(operation: op.Convolve, site: Site) -> Text:
    """The call; numbers that torch assumes by itself are left out."""
    groups = _groups(site.program, operation)
    operands = [operation.source, operation.weight]
    operands += [] if operation.bias is None else [operation.bias]
    items = [site.read(name) for name in operands]
    items += _number("stride", operation.stride, 1) + _number("padding", operation.padding, 0)
    items += _number("output_padding", operation.output_padding, 0)
    items += [f"groups={site.scope.extent(groups)}"] * (groups != Extent())
    items += _number("dilation", operation.dilation, 1)
    kind = "conv_transpose" if operation.transposed else "conv"
    call = f"nn.functional.{kind}{len(operation.stride)}d"
    return Text(f"_grouped({call})(" if groups.names else f"{call}(", tuple(items), ")")


def _number(name: str, numbers: tuple[int, ...], default: int) -> list[str]:
    """A keyword argument with a number for each axis, one where they are equal."""
    if set(numbers) <= {default}:
        return []
    return [f"{name}={numbers[0] if len(set(numbers)) == 1 else _tuple(numbers)}"]


def is_grouped(program: TensorProgram, operation: Operation) -> bool:
    """Whether the batch decides how many groups a convolution has."""
    return isinstance(operation, op.Convolve) and bool(_groups(program, operation).names)


def _groups(program: TensorProgram, operation: op.Convolve) -> Extent:
    grouped = operation.result if operation.transposed else operation.source
    channels = program.values[operation.weight].shape[1]
    return _ratio(program.values[grouped].shape[1], channels)


def _ratio(whole: Extent, part: Extent) -> Extent:
    """How often a part goes into the whole."""
    names = Counter(whole.names) - Counter(part.names)
    return Extent(whole.factor // part.factor, tuple(sorted(names.elements())))


@writes(op.PadBorders)
def _pad_borders(operation: op.PadBorders, site: Site) -> Text:
    """`pad` counts the axes from the last; only zeros may leave out the first of the lengths."""
    sides = list(zip(reversed(operation.before), reversed(operation.after), strict=True))
    while operation.mode == "constant" and not any(sides[-1]):
        sides.pop()
    items = [
        site.read(operation.source),
        _tuple(tuple(entries for pair in sides for entries in pair)),
    ]
    if operation.mode != "constant":
        items.append(f'mode="{operation.mode}"')
    return Text("nn.functional.pad(", tuple(items), ")")


@writes(op.Mask, op.Ones, op.Arange)
def _constant(operation: op.Mask | op.Ones | op.Arange, site: Site) -> Text:
    device, dtype, result = site.scope.device, site.scope.dtype, operation.result
    match operation:
        case op.Mask(_, width):
            size = site.scope.extent(site.program.values[result].size)
            inside = f"(torch.arange({size}, device={device}) < {width})"
            return Text(f"{inside}.to({dtype}){site.reshaped(result)}")
        case op.Ones():
            return Text(f"torch.ones({_tuple(site.shape(result))}, dtype={dtype}, device={device})")
        case op.Arange(_, length):
            return Text(f"torch.arange({length}, device={device}){site.reshaped(result)}")
        case _:
            assert_never(operation)


@writes(op.Embedding)
def _embedding(operation: op.Embedding, site: Site) -> Text:
    table, ids = site.read(operation.table), site.read(operation.ids)
    match len(site.program.values[operation.ids].shape):
        case 0:
            only = only_multiplied(site.program, operation.result)
            return Text("_row(", (table, ids), ")" if only else ").contiguous()")
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
    """`positions = torch.tensor([…], device=…)`, the positions of an `IndexSelect`.

    Ranges are starred, and so are short lists, of which each takes a line.
    """
    groups = listings(positions)
    items = groups[0]
    if len(groups) > 1:
        items = [f"*({', '.join(group)})" if len(group) > 1 else group[0] for group in groups]
    flat = f"[{', '.join(items)}]"
    head = "positions = torch.tensor("
    if indent + len(TAB) + len(flat) < WIDTH:
        return call(head, [flat, f"device={device}"], indent=indent)
    exploded = ["[", *(f"{TAB}{item}," for item in items), "],", f"device={device},"]
    return [head, *indented(exploded), ")"]


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else _tuple(axes)


def _tuple(items: tuple[int, ...] | tuple[str, ...]) -> str:
    """A tuple display."""
    if items == ("()",):
        return "()"
    return f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"
