"""Programs whose parameters are integers times scales: dequantized where they are read.

Rows of a table are looked up as integers first. What is computed of a parameter stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tncompile.network.model import Parameter
from tncompile.network.packing import Packing
from tncompile.program import operations as op
from tncompile.program.layout import contiguous
from tncompile.program.operation import Operation, sources
from tncompile.program.program import Extent, Step, TensorProgram, Value
from tncompile.program.rewriting import finished, free

Axes = tuple[tuple[str, ...], ...]


def dequantized(program: TensorProgram, packed: Mapping[str, Packing]) -> TensorProgram:
    """The program on codes and scales in place of the parameters that are `packed`, by key."""
    if not packed:
        return program
    return _Rewriting(program, packed).run()


@dataclass
class _Rewriting:
    """The steps so far, their values, and the tables whose rows are looked up as codes."""

    program: TensorProgram
    packed: Mapping[str, Packing]
    values: dict[str, Value] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    storages: dict[str, str] = field(default_factory=dict)
    tables: dict[str, tuple[Value, Value, Packing]] = field(default_factory=dict)
    varying: bool = False  # whether new values depend on inputs

    def run(self) -> TensorProgram:
        """The whole program; its loop moves with its steps."""
        program, loop = self.program, self.program.loop
        self.values |= program.values
        start = stop = 0
        for k, step in enumerate(program.steps):
            before = len(self.steps)
            self._step(step)
            if loop is not None:
                start += (len(self.steps) - before) * (k < loop.start)
                stop += (len(self.steps) - before) * (k < loop.stop)
        values = {
            name: replace(value, storage=self.storages.get(value.storage, value.storage))
            for name, value in self.values.items()
        }
        moved = None if loop is None else replace(loop, start=start, stop=stop)
        return finished(replace(program, values=values, loop=moved), self.steps)

    def _step(self, step: Step) -> None:
        match step.operation:
            case op.LoadParameter(result, key) if key in self.packed:
                self._load(step, result, self.packed[key])
            case op.StackParameters(result, keys) if any(key in self.packed for key in keys):
                self._stack(step, result, keys)
            case op.Embedding(result, table, ids) if table in self.tables:
                self._look_up(step, result, table, ids)
            case _:
                self.steps.append(step)

    def _load(self, step: Step, result: str, packing: Packing) -> None:
        """Codes and scale; the product of them where something else than rows is read."""
        codes = self._stored(step, packing.codes)
        scale = self._stored(step, packing.scale)
        readers = [
            each.operation for each in self.program.steps if result in sources(each.operation)
        ]
        lookups = [
            each for each in readers
            if isinstance(each, op.Embedding) and each.table == result and each.ids != result
        ]  # fmt: skip
        if lookups and packing.by_rows:
            self.tables[result] = codes, scale, packing
            if len(lookups) == len(readers) and result not in self.program.returns:
                return
        self._dequantize(step, self.values[result], codes, scale, packing)

    def _stack(self, step: Step, result: str, keys: Sequence[str]) -> None:
        """Stacks of codes and of scales, where all members are stored alike."""
        value = self.values[result]
        found = [self.packed[key] for key in keys if key in self.packed]
        layouts = {(each.codes.shape, each.scale.shape, each.group) for each in found}
        if len(found) == len(keys) and len(layouts) == 1:
            count = value.shape[0]
            stacks: list[Value] = []
            for members in ([p.codes for p in found], [p.scale for p in found]):
                axes = (value.axes[0], *members[0].axes)
                stack = self._value(members[0].family, axes, (count, *_extents(members[0].shape)))
                own = tuple(member.key for member in members)
                self._add(step, op.StackParameters(stack.name, own))
                stacks.append(stack)
            self._dequantize(step, value, stacks[0], stacks[1], found[0])
            return
        parts: list[str] = []
        for key in keys:
            part = self._value("member", value.axes[1:], value.shape[1:])
            parts.append(part.name)
            if key in self.packed:
                packing = self.packed[key]
                codes = self._stored(step, packing.codes)
                scale = self._stored(step, packing.scale)
                self._dequantize(step, part, codes, scale, packing)
            else:
                self._add(step, op.LoadParameter(part.name, key))
        self._add(step, op.Stack(result, tuple(parts)))

    def _look_up(self, step: Step, result: str, table: str, ids: str) -> None:
        """Rows of codes and of scales; a scale that all rows have is not looked up."""
        codes, scale, packing = self.tables[table]
        value, places = self.values[result], self.values[ids]
        self.varying = value.varying
        rows: list[Value] = []
        for part in (codes, scale):
            axes, shape = (*places.axes, *part.axes[1:]), (*places.shape, *part.shape[1:])
            if part.shape[0] == codes.shape[0]:
                row = self._value("rows", axes, shape)
                self._add(step, op.Embedding(row.name, part.name, ids))
            elif len(places.shape) == 1:
                row = part
            else:  # of another rank
                axes = (*(() for _ in places.axes), *part.axes[1:])
                shape = (*(Extent() for _ in places.shape), *part.shape[1:])
                row = self._value("scale", axes, shape, storage=part.name)
                self._add(step, op.View(row.name, part.name))
            rows.append(row)
        self._dequantize(step, value, rows[0], rows[1], packing)
        self.varying = False

    def _dequantize(
        self, step: Step, value: Value, codes: Value, scale: Value, packing: Packing
    ) -> None:
        """The steps from codes and scale to the value: of one tensor, of a stack, of rows."""
        if packing.group is None:
            self._add(step, op.Dequantize(value.name, codes.name, scale.name))
            return
        front, lead = codes.axes[:-2], codes.shape[:-2]
        if packing.bits == 4:
            shape = (*codes.shape[:-1], Extent(packing.group))
            unpacked = self._value(codes.name, codes.axes, shape)
            self._add(step, op.Unpack(unpacked.name, codes.name))
            codes = unpacked
        wide = self._value(value.name, codes.axes, codes.shape)
        self._add(step, op.Dequantize(wide.name, codes.name, scale.name))
        filled = packing.groups * packing.group
        if filled != packing.columns:  # zeros fill the last group of each row
            flat = self._value(
                value.name, (*front, ("|groups",)), (*lead, Extent(filled)), storage=wide.storage
            )
            self._add(step, op.View(flat.name, wide.name))
            cut = self._value(
                value.name,
                (*front, ("|columns",)),
                (*lead, Extent(packing.columns)),
                storage=wide.storage,
                strides=flat.strides,
            )
            self._add(step, op.Slice(cut.name, flat.name, len(lead), 0, packing.columns))
            wide = self._value(value.name, cut.axes, cut.shape)
            self._add(step, op.Contiguous(wide.name, cut.name))
        self._add(step, op.View(value.name, wide.name))
        self.storages[value.storage] = wide.storage

    # ── values and steps ───────────────────────────────────────────────────────────────────────

    def _stored(self, step: Step, parameter: Parameter) -> Value:
        """What is stored under a key."""
        value = self._value(parameter.family, parameter.axes, _extents(parameter.shape))
        self._add(step, op.LoadParameter(value.name, parameter.key))
        return value

    def _value(
        self,
        stem: str,
        axes: Axes,
        shape: tuple[Extent, ...],
        *,
        storage: str = "",
        strides: tuple[Extent, ...] = (),
    ) -> Value:
        """A new value, row-major in memory of its own unless it is a view."""
        name = free(stem, self.values)
        strides = strides or contiguous(shape)
        value = Value(name, axes, shape, strides, storage or name, False, self.varying)
        self.values[name] = value
        return value

    def _add(self, step: Step, operation: Operation) -> None:
        self.steps.append(replace(step, operation=operation, drops=()))


def _extents(shape: Sequence[int]) -> tuple[Extent, ...]:
    return tuple(map(Extent, shape))
