"""The arguments of a call of a part, matched to its inputs by place, name, kind and shape."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, counted, failure, listed
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.resolving.matching import Slip, matched
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Misfit, Typed, Typing
from tncompile.language.typing.values import Kind, Shape, Tuple, Value

_LETTERS = "ijklmnpqrsuvwxyz"

Types = list[tuple[Kind, Shape]]
"""The kinds and shapes of results."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An input of a part: the kinds it takes (all where there are none), its shape, its place.

    `spans` say where the last axes of `shape` are written.
    """

    name: str
    kinds: tuple[Kind, ...]
    shape: Shape
    declared: Span
    spans: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        """What messages call it: `x`, or the number of an argument that has no name."""
        return f"argument {int(self.name) + 1}" if self.name.isdigit() else f"`{self.name}`"

    def leg(self, dim: int) -> Span:
        """Where an axis is written, counted from the right."""
        return self.spans[dim] if -dim <= len(self.spans) else self.declared


@dataclass(frozen=True, slots=True)
class Taken:
    """An input and the value that a call gives it; `place` is where its mistakes are reported."""

    slot: Slot
    value: Value
    place: Span

    @property
    def lead(self) -> Shape:
        """The axes that `...` of the input takes."""
        sizes = self.value.shape.sizes
        return Shape(sizes[: len(sizes) - len(self.slot.shape.sizes)], self.value.shape.dots)


@dataclass(slots=True)
class BoundSizes:
    """What a call binds: the run-time sizes of the part, and the axes of its `...`."""

    sizes: dict[str, Size] = field(default_factory=dict)
    lead: Shape = field(default_factory=Shape)

    def shape(self, shape: Shape) -> Shape:
        """A shape of the part, as the caller sees it."""
        sizes = tuple([size.bound(self.sizes) for size in shape.sizes])
        return Shape((*self.lead.sizes, *sizes), self.lead.dots) if shape.dots else Shape(sizes)


# ── which argument is for which input ──────────────────────────────────────────────────────────


_HINTS = {
    "unnamed": "name this one, too",
    "surplus": "leave it out",
    "repeated": "leave one of the two out",
}


def in_order(
    call: Call,
    part: str,
    slots: Sequence[Slot],
    declared: Span,
    *,
    by_name: bool,
    surplus: str | None = None,
) -> list[tuple[Slot, Typed]]:
    """The arguments in the order of the inputs; TN208 where they are not as many.

    `part` is what the part is called, `declared` where what it is made of is; `surplus` is what to
    do about more of them.
    """
    by_names = {slot.name: slot for slot in slots}
    given: dict[str, Typed] = {}

    def wrong(slip: Slip[Typed]) -> None:
        message, label, there = slip.message, slip.label, declared
        if slip.kind == "unknown" and slip.argument.name is not None:
            names = [name for name in by_names if name not in given]
            raise _no_input(part, slots, slip.argument.name, names if by_name else None)
        if slip.kind == "surplus":
            takes = counted(len(slots), "input") if slots else "no inputs"
            message = f"`{part}` takes {takes}, not {len(call.arguments)}"
        hint, place = _HINTS[slip.kind], call.place(slip.argument)
        if slip.kind == "surplus":
            hint = surplus or call.spread or hint
        if slip.kind == "repeated" and slip.argument.name is not None:
            place, there = slip.argument.name.span, by_names[slip.name].declared
        raise _wrong(part, slots, message, place, label, hint, there)

    written = by_names if by_name else ()
    for name, argument in matched(part, call.arguments, [*by_names], written, wrong):
        assert name is not None
        given[name] = argument
    missing = [slot for slot in slots if slot.name not in given]
    if missing:
        names = listed(slot.name for slot in missing)
        message = f"`{part}` needs {counted(len(slots), 'input')}: {names} {_is(missing)} missing"
        hint = f"give what is missing: {', '.join(_written(slot) for slot in missing[:8])}"
        label = "an input is missing" if len(missing) == 1 else "inputs are missing"
        there = missing[0].declared
        raise _wrong(part, slots, message, call.name, label, hint, there)
    return [(slot, given[slot.name]) for slot in slots]


def _no_input(
    part: str, slots: Sequence[Slot], name: tree.Name, names: Sequence[str] | None
) -> Failed:
    """TN208 for an input by a name that none has; `names` are left, None where all are in order."""
    if names is None:
        message, label = f"the inputs of `{part}` are given in order", "by name"
        hint = "write the value alone; models alone take their inputs by name"
    else:
        close = closest(name.text, names)
        message, label = f"`{part}` has no input `{name.text}`", "unknown input"
        hint = f"did you mean `{close}`?" if close else "leave it out"
    return _wrong(part, slots, message, name.span, label, hint, None)


def _is(slots: Sequence[Slot]) -> str:
    return "is" if len(slots) == 1 else "are"


def _written(slot: Slot) -> str:
    kind = "" if not slot.kinds or "float" in slot.kinds else f" {slot.kinds[0]}"
    name = "" if slot.name.isdigit() else slot.name
    return f"`{name}{slot.shape}{kind}`"


def _wrong(
    part: str,
    slots: Sequence[Slot],
    message: str,
    span: Span,
    label: str,
    hint: str,
    declared: Span | None,
) -> Failed:
    note = f"`{part}` takes {', '.join(map(_written, slots[:8]))}" if slots else "it has no inputs"
    there = () if declared is None else Label(declared, "declared here")
    return failure(Code.WRONG_ARGUMENT, message, span, label, note, hint, there)


# ── kinds ──────────────────────────────────────────────────────────────────────────────────────


def taken(
    typing: Typing, call: Call, part: str, pairs: Sequence[tuple[Slot, Typed]]
) -> list[Taken]:
    """The values of the arguments; TN603 for another kind than the input has, TN610 for tuples."""
    result: list[Taken] = []
    for slot, argument in pairs:
        place = call.place(argument)
        if isinstance(argument.term, Tuple):
            count = len(argument.term.items)
            message = f"`{part}` takes one value as {slot.text}, not a tuple of {count}"
            note = "only `|>` spreads a tuple over the inputs of a part"
            hint = "take it apart first: `let (a, b) = …`"
            there = Label(slot.declared, "one value is taken here")
            if (output := output_of(argument.term)) is not None:
                there = Label(output, f"{count} values come from here")
            code = Code.NUMBER_OF_VALUES
            raise failure(code, message, place, "a tuple", note, hint, there)
        value = typing.as_value(argument)
        if slot.kinds and value.kind not in slot.kinds:
            raise _other_kind(part, slot, value, argument.span, place)
        result.append(Taken(slot, value, place))
    return result


def _other_kind(part: str, slot: Slot, value: Value, written: Span, place: Span) -> Failed:
    wanted = " or ".join(slot.kinds)
    message = f"`{part}` takes {wanted} as {slot.text}, not {value.kind}"
    text = one_line(written)
    text = text if text.isidentifier() or text.isdigit() else "x"
    hint = f"declare the value as {wanted}, or another kind for the input"
    match slot.kinds[0], value.kind:
        case "float", "bool" | "int":
            hint = f"make it float by arithmetic: `1.0 * {text}`"
            if value.constant and text.isdigit():
                hint = f"write `{text}.0`"
        case "float", "complex":
            hint = f"take its real part, `real({text})`, or its size, `abs({text})`"
        case "complex", _:
            hint = f"make it complex: `complex({text}, 0 * {text})`"
        case "int", "float":
            hint = "give it ids: an input that is declared as `int`"
        case "bool", _:
            hint = f"compare it: `{text} != 0`"
    note = "the inputs of parts are never converted to another kind"
    there = Label(slot.declared, f"{wanted} is taken here")
    return failure(Code.KINDS, message, place, f"this is {value.kind}", note, hint, there)


def output_of(results: Tuple) -> Span | None:
    """Where the block that these are the results of says what they are."""
    first = next((item for item in results.items if isinstance(item, Value)), None)
    callee = (
        first.operation.part.callee if first and isinstance(first.operation, CallPart) else None
    )
    match callee:
        case ResolvedModel(block=block):
            outputs = (each for each in block.statements if isinstance(each, tree.ModelOutput))
            return next((output.span for output in outputs), None)
        case ResolvedNetwork(output=output):
            return output.statement.name.span
    return None


# ── shapes ─────────────────────────────────────────────────────────────────────────────────────


def bind(
    typing: Typing, part: str, inputs: Sequence[Taken], names: Collection[str], *, stretch: bool
) -> BoundSizes:
    """Bind the run-time sizes `names` of the part to those of the values; TN601, TN608.

    The axes that `...` takes are equal in all inputs, or broadcast where they `stretch`.
    """
    bound = BoundSizes()
    for each in inputs:
        _check_axes(part, each)
    compared: list[tuple[Taken, int, str | None]] = []
    for each in inputs:
        sizes = each.slot.shape.sizes
        for dim in range(-1, -len(sizes) - 1, -1):
            alone = next((n for n in sizes[dim].names if sizes[dim] == Size.name(n)), None)
            if alone is None or alone not in names or alone in bound.sizes:
                compared.append((each, dim, alone))
            else:
                bound.sizes[alone] = each.value.shape.axis(dim)
    for each, dim, alone in compared:
        wanted = each.slot.shape.axis(dim).bound(bound.sizes)
        typing.same(each.value.shape.axis(dim), wanted, _misfit(part, each, dim, wanted, alone))
    dotted = [each for each in inputs if each.slot.shape.dots]
    for k, each in enumerate(dotted):
        if not k:
            bound.lead = each.lead
        elif stretch:
            bound.lead = _stretched(typing, bound.lead, each, dotted[0])
        else:
            _same_lead(typing, each, dotted[0])
    return bound


def _check_axes(part: str, each: Taken) -> None:
    """TN601 for a value that has not as many axes as the input."""
    slot, shape = each.slot, each.value.shape
    count, wanted = len(shape.sizes), len(slot.shape.sizes)
    if count >= wanted if slot.shape.dots else (count == wanted and not shape.dots):
        return
    label = f"this is {shape}"
    note = "`...` takes any leading axes; all other axes are there one by one"
    hint = f"give it a value of the shape {slot.shape}"
    if shape.dots and not slot.shape.dots:
        note = "`...` of a value is any number of axes, and this input has none to take them"
        hint = "declare the input with `...`, or the input of this model without"
    raise failure(
        Code.MODEL_SHAPES,
        f"`{part}` takes {slot.shape} as {slot.text}, not {shape}",
        each.place,
        label,
        note,
        _flattened(each) or hint,
        Label(slot.declared, f"{slot.shape} is taken here"),
    )


def _misfit(part: str, each: Taken, dim: int, wanted: Size, alone: str | None) -> Misfit:
    slot, shape = each.slot, each.value.shape
    axis = "the last axis" if dim == -1 else f"axis {dim}"
    message = (
        f"`{part}` takes {slot.shape} as {slot.text}, not {shape}: {axis} is {shape.axis(dim)}"
    )
    written = slot.shape.axis(dim)
    label = f"`{written}` is {wanted} in this call" if written != wanted else f"{wanted} here"
    note = "axes that meet have equal sizes"
    if alone is not None:
        note = f"`{alone}` is one size: the first axis that it stands for says what it is"
    hint = _flattened(each) or _equal_axes(shape.axis(dim), wanted)
    there, here = Label(slot.leg(dim), label), f"{axis} is {shape.axis(dim)}, not {wanted}"
    return Misfit(message, each.place, here, (there,), note, hint)


def _equal_axes(size: Size, wanted: Size) -> str | None:
    """What to do about two sizes that differ; None where both are run-time sizes: `require`."""
    runs = size.value is None and wanted.value is None
    return None if runs else f"make this axis {wanted}, or the other one {size}"


def _flattened(each: Taken) -> str | None:
    """The `network { … }` that would flatten the last axes to the one that the input has."""
    wanted, shape = each.slot.shape, each.value.shape
    if len(wanted.sizes) != 1 or len(shape.sizes) > len(_LETTERS):
        return None
    product, group = 1, 0
    for size in reversed(shape.sizes):
        product, group = product * (size.value or 0), group + 1
        if not product or (group > 1 and product == wanted.sizes[0].value):
            break
    if not product or product != wanted.sizes[0].value:
        return None
    if not wanted.dots and (shape.dots or group < len(shape.sizes)):
        return None
    names = list(_LETTERS[: len(shape.sizes)])
    dots = ["..."] * shape.dots
    before = ", ".join((*dots, *names))
    after = ", ".join((*dots, *names[:-group], f"({' '.join(names[-group:])})"))
    return f"flatten it: `|> network {{ ({before}) -> ({after}) }}`"


def _same_lead(typing: Typing, each: Taken, first: Taken) -> None:
    """`...` is the same axes in all inputs that have it."""
    here, there = each.lead, first.lead
    message = f"`...` is {there} in {first.slot.text} and {here} in {each.slot.text}"
    note = "`...` is the same axes in every input that has it"
    label, other = f"`...` is {here} here", Label(first.place, f"`...` is {there} here")
    if here.dots != there.dots or len(here.sizes) != len(there.sizes):
        hint = "use `batch` names for inputs that differ"
        if here.dots != there.dots and not (here.sizes or there.sizes):
            hint = "give both the leading axes: `expand(…, (..., n))`, or `zeros((..., n))`"
        raise failure(Code.MODEL_SHAPES, message, each.place, label, note, hint, other)
    for size, wanted in zip(here.sizes, there.sizes, strict=True):
        equal = _equal_axes(size, wanted)
        typing.same(size, wanted, Misfit(message, each.place, label, (other,), note, equal))


def _stretched(typing: Typing, lead: Shape, each: Taken, first: Taken) -> Shape:
    """The axes that `...` takes in several inputs of a network, aligned at the right."""
    here = each.lead
    message = f"`...` is {lead} in the inputs before and {here} in {each.slot.text}"
    label, other = f"`...` is {here} here", Label(first.place, f"`...` is {first.lead} here")
    note = "the axes of `...` broadcast, aligned at the right: only an axis of size 1 stretches"
    few = (len(here.sizes) > len(lead.sizes) and lead.dots) or (
        len(lead.sizes) > len(here.sizes) and here.dots
    )
    if few:
        hint = "write axes of size 1 with `reshape`"
        raise failure(Code.MODEL_SHAPES, message, each.place, label, note, hint, other)
    longer, shorter = sorted((lead.sizes, here.sizes), key=len, reverse=True)
    sizes = list(longer)
    for dim in range(-len(shorter), 0):
        left, right = longer[dim], shorter[dim]
        if left.value == 1:
            sizes[dim] = right
        elif right.value != 1:
            equal = _equal_axes(right, left)
            typing.same(right, left, Misfit(message, each.place, label, (other,), note, equal))
    return Shape(tuple(sizes), lead.dots or here.dots)
