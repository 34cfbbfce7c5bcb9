"""`attention(q, k, v, mask, causal, reach, scale, dropout)`: what fits, and the shape it gives."""

from __future__ import annotations

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax.source import Span
from tncompile.language.typing.binding import bound, flag, wrong
from tncompile.language.typing.operations import Option
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Misfit, Typed, Typing
from tncompile.language.typing.values import Kind, Shape, Value

NAMES = ("q", "k", "v", "mask", "causal", "reach", "scale", "dropout")

_SHAPES = "q (L, s, e), k (M, t, e) and v (M, t, f) give (L, s, f)"


def apply_attention(typing: Typing, call: Call) -> Value:
    """softmax(q kᵀ · scale) v; raises `Failed`.

    Its options are `mask` (whether there is a fourth operand), `causal`, `reach`, `scale` (None:
    e ** -0.5), `dropout`, `grouped` (how many queries share a key) and `aligned` (whether there are
    as many queries as keys).
    """
    arguments = bound(call, NAMES, 3)
    given = _Given(typing, call, arguments)
    q, k, v = (given.value(name, ("float",)) for name in "qkv")
    given.ranks(q, k, v)
    given.agree("v", v, -2, "k", k, -2, "keys and values are pairs: equally many")
    given.agree("k", k, -1, "q", q, -1, "queries and keys are compared entry by entry")
    for axis in range(-len(k.shape.sizes), -2):
        given.agree("v", v, axis, "k", k, axis, "keys and values are pairs: equal leading axes")
    for axis in range(-len(q.shape.sizes), -3):
        given.agree("k", k, axis, "q", q, axis, "only the axis in front of the last two may differ")
    grouped = given.grouped(q, k)
    queries, keys = q.shape.sizes[-2], k.shape.sizes[-2]
    operands = [q, k, v]
    if "mask" in arguments:
        mask = given.value("mask", ("bool", "float"))
        given.broadcasts(mask, Shape((*q.shape.sizes[:-1], keys), q.shape.dots))
        operands.append(mask)
    options: dict[str, Option] = {
        "mask": "mask" in arguments,
        "causal": flag(typing, arguments, "causal"),
        "reach": given.reach(),
        "scale": given.scale(),
        "dropout": given.dropout(),
        "grouped": grouped,
        "aligned": typing.facts.compare(queries, keys) == "equal",
    }
    if options["reach"] is not None and not options["causal"]:
        argument = arguments["reach"]
        message = "`reach` is for causal attention"
        note = "a window of w keys ends at the key of the query itself"
        span = argument.name.span if argument.name else argument.span
        hint = "write `causal = true` as well, or give a `mask`"
        raise failure(Code.WRONG_ARGUMENT, message, span, "without `causal`", note, hint)
    shape = q.shape.replaced(-1, v.shape.sizes[-1])
    return typing.apply("attention", operands, "float", shape, call.span, options)


class _Given:
    """The arguments of one call."""

    def __init__(self, typing: Typing, call: Call, arguments: dict[str, Typed]) -> None:
        self._typing = typing
        self._call = call
        self._arguments = arguments

    def value(self, name: str, kinds: tuple[Kind, ...]) -> Value:
        """An argument as a value; TN603 where its kind does not fit."""
        argument = self._arguments[name]
        value = self._typing.as_value(argument)
        if value.kind not in kinds:
            message = f"`{name}` of `attention` is {' or '.join(kinds)}, not {value.kind}"
            note = "a mask is bool (true: may look) or float (added)"
            hint = "compare it: `mask != 0`"
            if name != "mask":
                note = "queries, keys and values are real numbers"
                hint = "multiply it by 1.0" if value.kind != "complex" else "take its `real` part"
            label = f"this is {value.text}"
            raise failure(Code.KINDS, message, self._call.place(argument), label, note, hint)
        return value

    def ranks(self, q: Value, k: Value, v: Value) -> None:
        """TN601 where there are not two axes, or not the same leading ones."""
        for name, value in zip("qkv", (q, k, v), strict=True):
            count = len(value.shape.sizes)
            if count < 2:
                message = f"`{name}` of `attention` is {value.shape}: two axes are needed"
                raise self._misfit(name, message, f"this is {value.shape}")
            if (count, value.shape.dots) != (len(q.shape.sizes), q.shape.dots):
                message = f"`{name}` of `attention` is {value.shape}, `q` is {q.shape}: "
                message += "they need the same leading axes"
                raise self._misfit(name, message, f"this is {value.shape}", "q", q)

    def agree(
        self, name: str, value: Value, axis: int, other: str, wanted: Value, there: int, note: str
    ) -> None:
        """TN601 where an axis of one argument is not as long as that of another."""
        left, right = value.shape.sizes[axis], wanted.shape.sizes[there]
        message = f"`{name}` of `attention` is {value.shape}, `{other}` is {wanted.shape}: "
        message += f"the axis {axis} is {left}, not {right}"
        label = f"{left} here"
        labels = (Label(self._arguments[other].span, f"{right} here"),)
        self._typing.same(left, right, Misfit(message, self._span(name), label, labels, note))

    def grouped(self, q: Value, k: Value) -> int | Size:
        """How many queries share a key: the axis in front of the last two."""
        if len(q.shape.sizes) < 3:
            return 1
        queries, keys = q.shape.sizes[-3], k.shape.sizes[-3]
        if queries == keys:
            return 1
        times = self._typing.facts.quotient(queries, keys)
        if times is not None:
            return times if times.value is None else times.value
        note = "neighboring queries share a key, so the queries' axis is a multiple of the keys'"
        self.agree("k", k, -3, "q", q, -3, note)
        return 1

    def broadcasts(self, mask: Value, scores: Shape) -> None:
        """TN601 where the mask does not broadcast to a number for each query and key."""
        have, due = mask.shape, scores.sizes
        surplus = len(have.sizes) - len(due)
        message = f"`mask` of `attention` is {have}, which does not broadcast to {scores}"
        if surplus > 0 or (have.dots and (not scores.dots or surplus)):
            raise self._misfit("mask", message, f"this is {have}")
        for axis in range(-len(have.sizes), 0):
            size, wanted = have.sizes[axis], due[axis]
            if size.value != 1:
                text = f"{message}: the axis {axis} is {size}, not {wanted}"
                label = f"{size} here"
                there = (Label(self._arguments["q"].span, f"the scores are {scores}"),)
                note = "a mask has an entry for each query (axis -2) and key (axis -1), or 1"
                self._typing.same(
                    size, wanted, Misfit(text, self._span("mask"), label, there, note)
                )

    def reach(self) -> int | None:
        """How many keys a query looks at, at most."""
        if "reach" not in self._arguments:
            return None
        argument = self._arguments["reach"]
        number = self._typing.number(argument)
        if isinstance(number, int) and not isinstance(number, bool) and number >= 1:
            return number
        hint = "write how many keys a query looks at: `reach = 128`"
        raise wrong(argument, "`reach` is an int of at least 1", hint)

    def scale(self) -> float | int | None:
        """What the scores are multiplied by."""
        if "scale" not in self._arguments:
            return None
        argument = self._arguments["scale"]
        number = self._typing.number(argument)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return number
        hint = "for a value, multiply the queries by it and write `scale = 1.0`"
        raise wrong(argument, "`scale` is a number", hint)

    def dropout(self) -> float:
        """How likely a weight is dropped in training."""
        if "dropout" not in self._arguments:
            return 0.0
        argument = self._arguments["dropout"]
        number = self._typing.number(argument)
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 1:
            return float(number)
        raise wrong(argument, "`dropout` is a number from 0 to 1", "write, say, `dropout = 0.1`")

    def _span(self, name: str) -> Span:
        return self._call.place(self._arguments[name])

    def _misfit(
        self,
        name: str,
        message: str,
        label: str,
        other: str | None = None,
        there: Value | None = None,
    ) -> Failed:
        labels = ()
        if other is not None and there is not None:
            labels = (Label(self._arguments[other].span, f"`{other}` is {there.shape}"),)
        hint = "bring it into shape: `network { (…) -> (…) }`, `reshape`, or `expand`"
        span = self._span(name)
        return failure(Code.MODEL_SHAPES, message, span, label, _SHAPES, hint, labels)
