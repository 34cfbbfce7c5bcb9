"""The leaves of a tree: arguments, weights and lookups as split values, alone or stacked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.lowering.rescaling import Logarithm
from tncompile.lowering.stacking.axes import members, select, unbind
from tncompile.network.contraction import Lookup as Digits
from tncompile.network.contraction import Operand
from tncompile.network.model import Tensor
from tncompile.program import operations as op
from tncompile.program.program import Value


class LeafLoader:
    """Loads operands of the tree into values of a program; arguments and digits are loaded once."""

    def __init__(
        self,
        builder: ProgramBuilder,
        operands: Sequence[Operand],
        alone: Sequence[Operand] = (),
        log: Logarithm | None = None,
    ) -> None:
        """`operands` are all of the tree, `alone` those that are used one by one.

        With `log`, inputs are rescaled slice by slice as they are loaded.
        """
        self._builder, self._network, self._log = builder, builder.network, log
        tensors = [self._network.tensors[operand.tensor] for operand in alone]
        self._alone = Counter(t.source for t in tensors if t.role == "input" and t.position)
        self._used: dict[str, list[int]] = {}  # the slices that go into the result, every use
        for operand in operands:
            tensor = self._network.tensors[operand.tensor]
            if tensor.role == "input" and not operand.indicator and not operand.lookups:
                number = self._network.slice_number(tensor) if tensor.position else 0
                self._used.setdefault(tensor.source, []).append(number)
        self._arguments: dict[str, Value] = {}
        self._rescaled: dict[str, Value] = {}
        self._slices: dict[str, tuple[Value, ...]] = {}
        self._digits: dict[tuple[str, int, int], Value] = {}

    # ── one operand ────────────────────────────────────────────────────────────────────────────

    def load(self, operand: Operand) -> Value:
        """The operand as a split value: one axis for each of its legs."""
        tensor = self._network.tensors[operand.tensor]
        if operand.indicator:
            (lookup, *_), builder = operand.lookups, self._builder
            ids = self._digit((self._network.tensors[lookup.ids],), lookup.divisor, lookup.size, "")
            onehot = builder.value("onehot", (*ids.axes, (lookup.index,)), (ids,))
            if builder.mixed:  # its dtype is that of a parameter which `Module.to` may change
                onehot = replace(onehot, complex=None)
            return builder.add(op.OneHot(onehot.name, ids.name, lookup.size), onehot)
        if tensor.role == "mask":
            mask = self._builder.value("mask", tensor.axes)
            self._builder.add(op.Mask(mask.name, int(tensor.source)), mask)
            return self._builder.split(mask)
        if tensor.role == "input":
            if operand.lookups:
                return self._picked(self._entry(tensor, self._argument(tensor.source)), operand)
            return self._slice(tensor)
        value = self._weights((tensor,))
        return self.pick(value, (operand.lookups,))

    def raw(self, operand: Operand) -> bool:
        """Whether what is loaded may be of any magnitude: neither a constant nor rescaled."""
        tensor = self._network.tensors[operand.tensor]
        picked = tensor.role == "input" and operand.lookups and not operand.indicator
        return tensor.role == "parameter" or bool(picked)

    def stack(self, operands: tuple[Operand, ...], index: str) -> Value:
        """Equal operands as one split value with the legs of the first, stacked along `index`.

        Uses of one and the same parameter are not stacked: the value then lacks `index`.
        """
        tensors = tuple(self._network.tensors[operand.tensor] for operand in operands)
        if tensors[0].role == "input":
            return self._stacked_slices(tensors, index)
        shared = len({(tensor.source, tensor.conjugate) for tensor in tensors}) == 1
        value = self._weights(tensors[:1] if shared else tensors, index)
        return self.pick(value, tuple(operand.lookups for operand in operands), index)

    # ── weights ────────────────────────────────────────────────────────────────────────────────

    def _weights(self, tensors: tuple[Tensor, ...], index: str = "") -> Value:
        builder, first = self._builder, tensors[0]
        parameter = self._network.parameter[first.source]
        if len(tensors) == 1:
            stem = "_".join((parameter.family, *map(str, parameter.subscripts)))
            value = builder.value(stem, first.axes, parametric=True, complex=parameter.complex)
            builder.add(op.LoadParameter(value.name, first.source, first.conjugate), value)
        else:
            axes = ((index,), *first.axes)
            kind = parameter.complex
            value = builder.value(parameter.family, axes, parametric=True, complex=kind)
            keys = tuple(tensor.source for tensor in tensors)
            builder.add(op.StackParameters(value.name, keys, first.conjugate), value)
        return builder.split(value)

    # ── inputs ─────────────────────────────────────────────────────────────────────────────────

    def _argument(self, name: str) -> Value:
        """An input with padded axes padded, and one axis over all its slices if it has any."""
        if name in self._arguments:
            return self._arguments[name]
        builder, source = self._builder, self._network.input[name]
        slices: list[str] = []
        axes: list[tuple[str, ...]] = []
        padded: dict[int, tuple[str, ...]] = {}  # what an axis runs over then, by position
        for axis in source.axes:
            if axis.kind == "slices":
                slices.append(builder.pseudo("@", axis.length or 0))
                axes.append((slices[-1],))
            elif axis.kind == "legs" and axis.width is not None and axis.width != axis.size:
                padded[len(axes)] = axis.indices
                axes.append((builder.pseudo("|", axis.width),))
            elif axis.kind != "onehot":
                axes.append(axis.indices)
        stem = "_".join((source.family, *map(str, source.subscripts)))
        value = builder.argument(stem, name, tuple(axes), integer=source.integer)
        for position, indices in padded.items():
            wide = (*value.axes[:position], indices, *value.axes[position + 1 :])
            result = builder.value(value.name, wide, (value,))
            value = builder.add(op.Pad(result.name, value.name, position), result)
        self._arguments[name] = self._joined(value, slices) if len(slices) > 1 else value
        return self._arguments[name]

    def _factor(self, name: str) -> Value:
        """An input as operands of the tree have it: in logarithms rescaled slice by slice."""
        value = self._argument(name)
        if self._log is None or self._network.input[name].integer or name not in self._used:
            return value
        if name not in self._rescaled:
            self._builder.note, note = name, self._builder.note
            axis = self._slice_axis(value)
            self._rescaled[name] = self._log.take_slices(value, axis, self._used[name])
            self._builder.note = note
        return self._rescaled[name]

    def _joined(self, value: Value, slices: list[str]) -> Value:
        """All `slices` axes as one, where the first of them stands."""
        first = value.axes.index((slices[0],))
        others = [axis for axis in value.axes if axis[:1] not in [(name,) for name in slices]]
        order = [*others[:first], *((name,) for name in slices), *others[first:]]
        moved = self._builder.permute(value, tuple(value.axes.index(axis) for axis in order))
        return self._builder.view(moved, (*others[:first], tuple(slices), *others[first:]))

    def _slice_axis(self, value: Value) -> int | None:
        return next((k for k, axis in enumerate(value.axes) if axis and axis[0][0] == "@"), None)

    def _own_axes(self, tensor: Tensor) -> Axes:
        """The axes of a tensor as `forward` has them: without the one that ids run over."""
        kinds = [axis.kind for axis in self._network.input[tensor.source].axes]
        own = [kind for kind in kinds if kind != "slices"]
        return tuple(axis for axis, kind in zip(tensor.axes, own, strict=True) if kind != "onehot")

    def _slice(self, tensor: Tensor) -> Value:
        value = self._factor(tensor.source)
        axis = self._slice_axis(value)
        alone = self._alone[tensor.source]
        if axis is not None and alone > 2 and 2 * alone >= value.shape[axis].factor:
            if tensor.source not in self._slices:
                self._slices[tensor.source] = unbind(self._builder, value, axis)
            chosen = self._slices[tensor.source][self._network.slice_number(tensor)]
            return self._builder.split(replace(chosen, axes=self._own_axes(tensor)))
        return self._entry(tensor, value)

    def _entry(self, tensor: Tensor, value: Value) -> Value:
        """A slice of an input, or all of an input without slices."""
        axis = self._slice_axis(value)
        if axis is not None:
            value = select(self._builder, value, axis, self._network.slice_number(tensor))
        return self._builder.split(replace(value, axes=self._own_axes(tensor)))

    def _stacked_slices(self, tensors: tuple[Tensor, ...], index: str) -> Value:
        builder, own = self._builder, self._own_axes(tensors[0])
        value = self._factor(tensors[0].source)
        axis = self._slice_axis(value)
        if axis is None or len({tensor.source for tensor in tensors}) > 1:
            parts = [self._slice(tensor) for tensor in tensors]
            axes = ((index,), *parts[0].axes)
            stacked = builder.value("stack", axes, parts, integer=parts[0].integer)
            return builder.add(op.Stack(stacked.name, tuple(part.name for part in parts)), stacked)
        positions = tuple(self._network.slice_number(tensor) for tensor in tensors)
        chosen = members(builder, value, axis, positions, index)
        axis = chosen.axes.index((index,))
        return builder.split(replace(chosen, axes=(*own[:axis], (index,), *own[axis:])))

    # ── lookups ────────────────────────────────────────────────────────────────────────────────

    def _digit(self, ids: tuple[Tensor, ...], divisor: int, size: int, index: str) -> Value:
        """Digits of the ids of one tensor, or of several stacked along `index`."""
        builder = self._builder
        key = (ids[0].name, divisor, size)
        if len(ids) == 1 and key in self._digits:
            return self._digits[key]
        value = self._stacked_slices(ids, index) if len(ids) > 1 else self._slice(ids[0])
        onehot = next(a for a in self._network.input[ids[0].source].axes if a.kind == "onehot")
        if size != onehot.size:
            digit = builder.value("digit", value.axes, (value,), integer=True, elementwise=True)
            last = divisor * size == onehot.size
            value = builder.add(op.UnravelIndex(digit.name, value.name, divisor, size, last), digit)
        if len(ids) == 1:
            self._digits[key] = value
        return value

    def pick(self, table: Value, lookups: tuple[tuple[Digits, ...], ...], index: str = "") -> Value:
        """Rows of a table by the digits of ids: a parameter, or parameters merged.

        `lookups` are those of the table, or those of all members of a stack along `index`: then a
        table that carries it has a row for each member and digit, one that lacks it is the same for
        all.
        """
        order = _order(lookups[0])
        if not order:
            return table
        builder = self._builder
        stacked = (index,) in table.axes
        digits: list[tuple[Value, int]] = []
        runtime: dict[str, None] = dict.fromkeys([index] if stacked else [])
        for run in _neighbors(lookups, order):
            ids = tuple(self._network.tensors[member[run[-1]].ids] for member in lookups)
            size = math.prod(lookups[0][k].size for k in run)
            value = self._digit(ids, lookups[0][run[-1]].divisor, size, index)
            digits.append((value, size))
            runtime.update((name, None) for axis in value.axes for name in axis)
        axes = tuple((name,) for name in runtime)
        rows = tuple(lookups[0][k].index for k in order)
        if stacked:
            rows = (index, *rows)
            member = builder.value("member", ((index,), *((),) * (len(axes) - 1)), integer=True)
            digits.insert(0, (builder.add(op.Arange(member.name, len(lookups)), member), 0))
        ids_value = self._mixed(digits, axes)
        rest = tuple(axis for axis in table.axes if axis[0] not in rows)
        arranged = builder.arrange(table, (rows, *rest))
        chosen = builder.value(table.name, (*ids_value.axes, *rest), (arranged, ids_value))
        return builder.add(op.Embedding(chosen.name, arranged.name, ids_value.name), chosen)

    def _mixed(self, digits: list[tuple[Value, int]], axes: Axes) -> Value:
        """Several digits as the ids of one flattened axis, over all run-time axes."""
        builder = self._builder
        first = digits[0][0]
        mixed = first if len(first.axes) == len(axes) else builder.arrange(first, axes)
        for value, size in digits[1:]:
            minor = builder.arrange(value, axes)
            both = tuple(a or b for a, b in zip(mixed.axes, minor.axes, strict=True))
            row = builder.value("row", both, (mixed, minor), integer=True, elementwise=True)
            mixed = builder.add(op.RavelIndex(row.name, mixed.name, minor.name, size), row)
        return builder.contiguous(mixed)

    def _picked(self, value: Value, operand: Operand) -> Value:
        """Entries of a float input by ids that share batch axes with it."""
        builder = self._builder
        for lookup in operand.lookups:
            ids = self._digit((self._network.tensors[lookup.ids],), lookup.divisor, lookup.size, "")
            axes = [axis for axis in value.axes if axis != (lookup.index,)]
            extra = [axis for axis in ids.axes if axis not in axes]
            order = (*extra, *axes)
            table = builder.arrange(value, (*order, (lookup.index,)))
            wide = builder.arrange(ids, (*order, ()))
            picked = builder.value("t", order, (table, wide))
            value = builder.add(op.Gather(picked.name, table.name, wide.name), picked)
        return value


def table_rows(lookups: tuple[Digits, ...]) -> tuple[str, ...]:
    """The indices of a table that its rows are numbered by, the most significant first."""
    return tuple(lookups[k].index for k in _order(lookups))


def _order(lookups: tuple[Digits, ...]) -> list[int]:
    """Lookups by ids, as these come first, and by falling divisor."""
    places = list(dict.fromkeys(lookup.ids for lookup in lookups))
    return sorted(
        range(len(lookups)), key=lambda k: (places.index(lookups[k].ids), -lookups[k].divisor)
    )


def _neighbors(digits: tuple[tuple[Digits, ...], ...], order: list[int]) -> list[list[int]]:
    """Lookups in this order, neighboring digits of the same ids in one group."""
    runs: list[list[int]] = []
    for k in order:
        if runs and all(
            lookups[runs[-1][-1]].ids == lookups[k].ids
            and lookups[runs[-1][-1]].divisor == lookups[k].divisor * lookups[k].size
            for lookups in digits
        ):
            runs[-1].append(k)
        else:
            runs.append([k])
    return runs
