"""`attention(q, k, v, mask, causal, …)`: what fits, and the shape it gives."""

from __future__ import annotations

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.functions.declaring.arguments import written_at, wrong_type
from tncompile.language.typing.functions.declaring.binding import Bound, bind
from tncompile.language.typing.functions.declaring.kinds import PlacedValue, wrong_kind
from tncompile.language.typing.functions.table import ATTENTION
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Misfit, Typing
from tncompile.language.typing.values import Shape, Value

_NAMES = ("q", "k", "v")
_SHAPES = "q (L, s, e), k (M, t, e) and v (M, t, f) give (L, s, f)"
_PAIRS = "keys and values are pairs: one value for each key"
_ENTRIES = "queries and keys are compared entry by entry"
_LEADING = "of the leading axes only the last may differ: neighboring queries share a key"


def apply_attention(typing: Typing, call: Call) -> Value:
    """softmax(q kᵀ · scale) v; raises `Failed`.

    Beside its arguments its options are `mask` and `relative` (whether there are such operands,
    behind the three), `grouped` (how many queries share a key) and `aligned` (whether there are as
    many queries as keys). Where `scale` is None it is e ** -0.5.
    """
    bound = bind(typing, ATTENTION, call)
    shape = _shape(bound)
    _check_options(bound)
    operands = [operand.value for operand in bound.operands]
    return typing.apply("attention", operands, "float", shape, call.span, bound.options)


def _shape(bound: Bound) -> Shape:
    """The shape of the result; TN601, TN603 and TN208 where the arguments do not fit."""
    typing = bound.typing
    q, k, v, *others = bound.operands
    masks, tables = others[: "mask" in bound.given], others["mask" in bound.given :]
    for operand in (q, k, v):
        if operand.value.kind != "float":
            raise wrong_kind("attention", operand, ("float",))
    for mask in masks:
        if mask.value.kind not in ("bool", "float"):
            raise wrong_kind("attention", mask, ("bool", "float"))
    for table in tables:
        if table.value.kind != "float":
            raise wrong_kind("attention", table, ("float",))
    _check_axes(bound.operands[:3])
    count = len(q.value.shape.sizes)
    _agree(typing, ("v", v, -2), ("k", k, -2), _PAIRS)
    _agree(typing, ("k", k, -1), ("q", q, -1), _ENTRIES)
    for axis in range(-count, -2):
        _agree(typing, ("v", v, axis), ("k", k, axis), _PAIRS)
    for axis in range(-count, -3):
        _agree(typing, ("k", k, axis), ("q", q, axis), _LEADING)
    queries, keys = q.value.shape.axis(-2), k.value.shape.axis(-2)
    for mask in masks:
        scores = Shape((*q.value.shape.sizes[:-1], keys), q.value.shape.dots)
        _check_mask(typing, mask, scores, q)
    for table in tables:
        _check_relative(typing, table, q)
    bound.options["mask"], bound.options["relative"] = bool(masks), bool(tables)
    bound.options["grouped"] = _grouped(typing, q, k)
    bound.options["aligned"] = typing.facts.compare(queries, keys) == "equal"
    return q.value.shape.replaced(-1, v.value.shape.axis(-1))


def _check_options(bound: Bound) -> None:
    """TN606 for a reach in run-time sizes, TN208 for one without `causal`, TN305."""
    given, options = bound.given, bound.options
    if "reach" in given:
        options["reach"] = bound.size("reach").value
        if options["reach"] is None:
            bound.typing.number(given["reach"])
        if not options["causal"]:
            message = "`reach` is for causal attention"
            note = "the keys that a query reaches end at its own"
            hint = "write `causal = true` as well, or say with a `mask` what may look where"
            span, label = written_at(given["reach"]), "without `causal`"
            raise failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)
    if "relative" in given and not options["causal"]:
        message = "`relative` is for causal attention"
        note = "it has a score for each distance from a query back to a key"
        hint = "write `causal = true` as well, or add scores for each query and key by a `mask`"
        span, label = written_at(given["relative"]), "without `causal`"
        raise failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)
    dropout = options["dropout"]
    if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        argument = given["dropout"]
        raise wrong_type(argument.span, argument.term, "a number from 0 to 1")


def _check_axes(operands: list[PlacedValue]) -> None:
    """TN601 where there are not two axes, or not as many leading ones everywhere."""
    first = operands[0].value.shape
    for name, operand in zip(_NAMES, operands, strict=True):
        shape = operand.value.shape
        label = f"this is {shape}"
        if len(shape.sizes) < 2:
            message = f"`{name}` of `attention` is {shape}; it has two axes or more"
            hint = "bring it into shape: `network { … }`, or `reshape`"
            raise failure(Code.MODEL_SHAPES, message, operand.place, label, _SHAPES, hint)
        if (len(shape.sizes), shape.dots) != (len(first.sizes), first.dots):
            message = f"`{name}` of `attention` is {shape}, `q` is {first}: "
            message += "they have the same leading axes"
            hint = "bring it into shape: `network { … }`, or `expand`"
            there = Label(operands[0].place, f"`q` is {first}")
            raise failure(Code.MODEL_SHAPES, message, operand.place, label, _SHAPES, hint, there)


Axis = tuple[str, PlacedValue, int]
"""An argument by its name, and one of its axes."""


def _agree(typing: Typing, left: Axis, right: Axis, note: str) -> None:
    """TN601 at the left one where the axes are not equally long."""
    (name, operand, axis), (other, wanted, there) = left, right
    size, due = operand.value.shape.axis(axis), wanted.value.shape.axis(there)
    message = f"`{name}` of `attention` is {operand.value.shape}, `{other}` is "
    message += f"{wanted.value.shape}: axis {axis} is {size}, not {due}"
    hint = None
    if size.value is not None or due.value is not None:
        hint = "q is (L, s, e), k is (M, t, e) and v is (M, t, f)"
    label = Label(wanted.place, f"{due} here")
    misfit = Misfit(message, operand.place, f"{size} here", (label,), note, hint)
    typing.same(size, due, misfit)


def _grouped(typing: Typing, q: PlacedValue, k: PlacedValue) -> int | Size:
    """How many queries share a key: by the axis in front of the last two."""
    if len(q.value.shape.sizes) < 3:
        return 1
    times = typing.facts.quotient(q.value.shape.axis(-3), k.value.shape.axis(-3))
    if times is None:
        _agree(typing, ("k", k, -3), ("q", q, -3), _LEADING)
        return 1
    return times if times.value is None else times.value


def _check_mask(typing: Typing, mask: PlacedValue, scores: Shape, q: PlacedValue) -> None:
    """TN601 where the mask does not broadcast to a number for each query and each key."""
    shape = mask.value.shape
    message = f"`mask` of `attention` is {shape}, which does not broadcast to {scores}"
    label = f"this is {shape}"
    there = (Label(q.place, f"the scores are {scores}"),)
    note = "a mask has an entry, or 1 for all, for each query (axis -2) and each key (axis -1)"
    hint = "give it the shape of the scores: `reshape(mask, (…))`"
    surplus = len(shape.sizes) - len(scores.sizes)
    if surplus > 0 or (shape.dots and (surplus or not scores.dots)):
        raise failure(Code.MODEL_SHAPES, message, mask.place, label, note, hint, there)
    for axis in range(-len(shape.sizes), 0):
        size, due = shape.axis(axis), scores.axis(axis)
        if size.value != 1:
            text = f"{message}: axis {axis} is {size}, not {due}"
            typing.same(size, due, Misfit(text, mask.place, label, there, note, hint))


def _check_relative(typing: Typing, table: PlacedValue, q: PlacedValue) -> None:
    """TN601 where the axes before the distances do not broadcast to those before the queries."""
    shape, queries = table.value.shape, q.value.shape
    lead, due = Shape(shape.sizes[:-1], shape.dots), Shape(queries.sizes[:-2], queries.dots)
    message = f"`relative` of `attention` is {shape}, `q` is {queries}: "
    message += f"what stands before the distances does not broadcast to {due}"
    label, there = f"this is {shape}", (Label(q.place, f"`q` is {queries}"),)
    note = "it has a score for each distance, on its last axis, for all heads or for each"
    hint = "give it the shape (heads, distances)"
    surplus = len(lead.sizes) - len(due.sizes)
    if not shape.sizes or surplus > 0 or (lead.dots and (surplus or not due.dots)):
        raise failure(Code.MODEL_SHAPES, message, table.place, label, note, hint, there)
    for axis in range(-len(lead.sizes), 0):
        if lead.axis(axis).value != 1:
            misfit = Misfit(message, table.place, label, there, note, hint)
            typing.same(lead.axis(axis), due.axis(axis), misfit)
