"""`window`: the numbers of a convolution axis, its three indices, and which way it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from typing import cast

from tncompile.language.checking.window_rules import WINDOW, argument
from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.evaluating.arithmetic import wrong_type
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import (
    LARGEST_SIZE,
    IndexKind,
    PaddingMode,
    ResolvedAxis,
    ResolvedIndex,
    ResolvedInput,
    ResolvedOutput,
    ResolvedWindow,
    Value,
    member_name,
    value_text,
)
from tncompile.language.resolving.declarations import positive
from tncompile.language.resolving.resolution import IndexFamily, Resolution
from tncompile.language.syntax import tree

_Choice = Callable[[Frame], CompiledExpression | tree.String]
"""Which of the values of an argument counts for a member."""

_NOTES = {
    "size": "the kernel of a window has one entry or more",
    "stride": "the stride is how far the kernel moves from one entry of the output to the next",
    "dilation": "the dilation is how far the entries of the kernel are from each other",
    "padding": "padding is entries that are added at the ends; none is 0",
    "extra": "`extra` is entries that come out more at the end; none is 0",
}


def resolve_window(declaration: tree.WindowDeclaration, state: Resolution) -> None:
    """Unroll one declaration of a `window` statement."""
    family = IndexFamily(declaration.name, "window")
    state.families[declaration.name.text] = family
    try:
        _declare_members(declaration, family, state)
    except Failed as failed:
        family.poisoned = True
        state.report(failed)


def _declare_members(
    declaration: tree.WindowDeclaration, family: IndexFamily, state: Resolution
) -> None:
    """The members, each with its three indices; a number that fails is reported once."""
    name, subscripts = declaration.name, declaration.subscripts
    members = state.members("window", subscripts, None, name.span)
    family.prefixes.update((prefix, []) for prefix in members.prefixes)
    variables = frozenset(subscript.name.text for subscript in subscripts)
    numbers: _Numbers | None = None
    try:
        numbers = _Numbers(declaration, state.scope, variables)
        state.scope.budget.charge(numbers.steps * len(members.keys), name.span)
    except Failed as failed:
        state.report(failed)
    for key, frame in members.frames():
        full = member_name(name.text, key)
        family.members[key] = full
        for depth in range(1, len(key)):
            family.prefixes[key[:depth]].append(full)
        window = None
        try:
            window = None if numbers is None else numbers.window(full, key, frame)
        except Failed as failed:
            numbers = None
            state.report(failed)
        if window is not None:
            state.windows.append(window)
        size = None if window is None else window.size
        legs: tuple[tuple[str, IndexKind, int | None], ...] = (
            ("in", "window", None),
            ("kernel", "kernel", size),
            ("out", "window", None),
        )
        for face, kind, extent in legs:
            leg = f"{full}.{face}"
            state.sizes[leg] = extent
            state.indices.append(
                ResolvedIndex(leg, kind, extent, name.text, key, declared=name.span)
            )


class _Numbers:
    """The arguments of a declaration, compiled; `steps` is what one member costs."""

    def __init__(
        self, declaration: tree.WindowDeclaration, scope: Scope, variables: Set[str]
    ) -> None:
        self._declaration = declaration
        self._scope = scope
        self._choices: dict[str, _Choice] = {}
        self.steps = 1
        for name in WINDOW.names:
            if (written := argument(declaration, name)) is not None:
                self._choices[name], steps = _choice(written.value, scope, variables)
                self.steps += steps

    def window(self, name: str, key: tuple[int, ...], frame: Frame) -> ResolvedWindow:
        """The member `name`; raises `Failed`."""
        size = self._positive("size", name, frame)
        stride = self._positive("stride", name, frame)
        dilation = self._positive("dilation", name, frame)
        left, right = self._padding(name, frame, dilation * (size - 1), stride)
        mode = self._choices["mode"](frame) if "mode" in self._choices else None
        extra = 0
        if "extra" in self._choices:
            written = self._number("extra", frame)
            extra = self._entries(written, written.run(frame), f"`extra` of `{name}`", "extra")
        return ResolvedWindow(
            name,
            self._declaration.name.text,
            key,
            size,
            stride,
            dilation,
            left,
            right,
            cast(PaddingMode, mode.value if isinstance(mode, tree.String) else "zeros"),
            extra,
            self._declaration,
        )

    def _number(self, argument: str, frame: Frame) -> CompiledExpression:
        chosen = self._choices[argument](frame)
        if isinstance(chosen, tree.String):
            raise InternalError("a word passed the check of the arguments of windows")
        return chosen

    def _positive(self, argument: str, name: str, frame: Frame) -> int:
        if argument not in self._choices:
            return 1
        what, hint = f"the {argument} of `{name}`", f"give it a {argument} of at least 1"
        formula = self._number(argument, frame)
        return positive(formula, what, frame, self._scope, _NOTES[argument], hint)

    def _padding(self, name: str, frame: Frame, reach: int, stride: int) -> tuple[int, int]:
        """The entries added at both ends."""
        chosen = self._choices["padding"](frame) if "padding" in self._choices else None
        if chosen is None:
            return 0, 0
        if isinstance(chosen, tree.String):
            if chosen.value == "same" and stride != 1:
                raise self._same_with_stride(chosen, name, stride)
            before = {"valid": 0, "same": reach // 2, "causal": reach}[chosen.value]
            return before, (0 if chosen.value != "same" else reach - before)
        value, what = chosen.run(frame), f"the padding of `{name}`"
        if not isinstance(value, tuple):
            entries = self._entries(chosen, value, what, "padding")
            return entries, entries
        if len(value) != 2:
            message = f"{what} has {counted(len(value), 'item')}, not 2"
            note = "a list of paddings is `[left, right]`"
            hint = "write `[left, right]`, or one number for both sides"
            span, label = chosen.node.span, counted(len(value), "item")
            raise failure(Code.LENGTH_MISMATCH, message, span, label, note, hint)
        left, right = (self._entries(chosen, side, what, "padding") for side in value)
        return left, right

    def _same_with_stride(self, word: tree.String, name: str, stride: int) -> Failed:
        written = argument(self._declaration, "stride")
        place = () if written is None else (Label(written.value.span, f"the stride is {stride}"),)
        message = f'`"same"` padding needs the stride 1, `{name}` has {stride}'
        note = "with another stride the output is shorter than the input, whatever the padding"
        hint = "write the entries that are added: `padding = 1`, or `padding = [0, 1]`"
        return failure(Code.WRONG_TYPE, message, word.span, "not here", note, hint, place)

    def _entries(self, formula: CompiledExpression, value: Value, what: str, argument: str) -> int:
        """A number of entries that may be none; raises `Failed`."""
        node = formula.node
        if type(value) is not int:
            wanted = "an int or `[left, right]`" if argument == "padding" else "an int"
            raise wrong_type(node.span, value, wanted)
        if 0 <= value <= LARGEST_SIZE:
            return value
        notes = (_NOTES[argument], *self._scope.known(node))
        origin = self._scope.origin(node)
        if value < 0:
            message, label = f"{what} is negative", f"this is {value_text(value)}"
            hint = "give the number of entries, 0 or more"
            raise failure(Code.BAD_SIZE, message, node.span, label, notes, hint, origin)
        message, label = f"{what} is {value}", "larger than 2**40"
        hint = "make it smaller"
        raise failure(Code.TOO_MANY, message, node.span, label, notes, hint, origin)


def _choice(node: tree.Expression, scope: Scope, variables: Set[str]) -> tuple[_Choice, int]:
    """An argument, which may be a word or an `if` between words and numbers, and what it costs."""
    if isinstance(node, tree.String):
        word = node
        return (lambda frame: word), 0
    if not isinstance(node, tree.Conditional):
        formula = compile_expression(node, scope, variables)
        return (lambda frame: formula), formula.steps
    condition = compile_expression(node.condition, scope, variables)
    chosen, cost = _choice(node.chosen, scope, variables)
    otherwise, other_cost = _choice(node.otherwise, scope, variables)

    def choose(frame: Frame) -> CompiledExpression | tree.String:
        return (chosen if condition.truth(frame) else otherwise)(frame)

    return choose, condition.steps + cost + other_cost


def directed(
    windows: Iterable[ResolvedWindow], inputs: Sequence[ResolvedInput], output: ResolvedOutput
) -> tuple[ResolvedWindow, ...]:
    """The windows, those transposed whose `.out` is on an input and whose `.in` is on the output.

    Where only some faces are there, or too many, the convolution is what fits more of them.
    """

    def legs(axes: Iterable[ResolvedAxis]) -> set[str]:
        return {leg for axis in axes for leg in axis.indices}

    given = legs(axis for each in inputs for part in each.slices for axis in part.axes)
    made = legs(output.axes)

    def transposed(name: str) -> bool:
        forward = (f"{name}.in" in given) + (f"{name}.out" in made)
        backward = (f"{name}.out" in given) + (f"{name}.in" in made)
        return backward > forward

    return tuple(replace(window, transposed=transposed(window.name)) for window in windows)
