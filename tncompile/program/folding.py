"""Constant folding: split programs into a parameter-only part, computed once by `fold()`, and the
part that runs per call.

`fold` splits the programs of a module together, for what is emitted. `remainder` gives the part of
one program that runs per call, for what its cost is predicted from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from tncompile.program import operations as op
from tncompile.program.layout import contiguous, view_strides
from tncompile.program.operation import Operation, parameter_keys, renamed, results, sources
from tncompile.program.program import ONE, Extent, Step, TensorProgram, Value
from tncompile.program.queries import logarithms_of_scales
from tncompile.program.rewriting import computation, finished, free, without_hooks

BufferName = Callable[[tuple[str, ...], bool], str]
"""A new name for a buffer: from the keys of its parameters, and whether it is a logarithm."""


@dataclass(frozen=True)
class Buffer:
    """A precomputed value: its name in the module, and the value in the program that computes it.

    `keys` are the parameters that it depends on. With `shared` its memory may be that of a
    parameter, or of more than itself. A `logarithm` is real and of single precision at least.
    """

    name: str
    value: Value
    keys: tuple[str, ...]
    shared: bool
    logarithm: bool


@dataclass(frozen=True)
class Folding:
    """Several programs, folded together.

    `precomputed` returns every buffer. The `remainders`, one for each
    program, load buffers as if they were parameters.
    """

    precomputed: TensorProgram
    buffers: tuple[Buffer, ...]
    remainders: tuple[TensorProgram, ...]


def fold(
    programs: tuple[TensorProgram, ...], parameters: tuple[str, ...], buffer_name: BufferName
) -> Folding:
    """Split the programs; equal computations in several of them are done once.

    `parameters` are all keys in the order of their declarations; buffers are sorted by it.
    """
    order = {key: k for k, key in enumerate(parameters)}
    identities: dict[Hashable, int] = {}
    splits = [_SplitProgram(without_hooks(program), identities) for program in programs]
    precomputed = _PrecomputedProgram()
    buffers: dict[int, Buffer] = {}
    for k, (split, name, row_major) in _choose_buffers(splits).items():
        read = {key for step in split.upstream(name) for key in parameter_keys(step.operation)}
        keys = tuple(sorted(read, key=order.__getitem__))
        logarithm = name in split.logarithms
        value, shared = precomputed.add(split, name, row_major=row_major)
        buffers[k] = Buffer(buffer_name(keys, logarithm), value, keys, shared, logarithm)
    loads = {k: (buffer.name, buffer.value.strides) for k, buffer in buffers.items()}
    remainders = tuple(split.remainder(loads) for split in splits)
    ordered = sorted(buffers.values(), key=lambda buffer: [order[key] for key in buffer.keys])
    return Folding(precomputed.program(), tuple(ordered), remainders)


def remainder(program: TensorProgram) -> TensorProgram:
    """What runs per call of a program that is folded alone; buffers have the names of values."""
    split = _SplitProgram(without_hooks(program))
    loads = {
        k: (name, _buffer_strides(split.program.values[name], row_major=row_major))
        for k, (_, name, row_major) in _choose_buffers([split]).items()
    }
    return split.remainder(loads)


class _SplitProgram:
    """A program, and which of its values can be precomputed.

    `identity` numbers these; with `identities`, which several programs share, equal computations
    have equal numbers.
    """

    def __init__(
        self, program: TensorProgram, identities: dict[Hashable, int] | None = None
    ) -> None:
        self.program = program
        self.position: dict[str, int] = {}  # the step that computes a value
        self.identity: dict[str, int] = {}
        for k, step in enumerate(program.steps):
            names = results(step.operation)
            self.position.update(dict.fromkeys(names, k))
            values = [program.values[name] for name in names]
            operands = sources(step.operation)
            runtime = any(value.varying or any(k.names for k in value.shape) for value in values)
            if runtime or not self.identity.keys() >= set(operands):
                continue
            if identities is None:  # a lowered program computes nothing twice
                self.identity |= {name: len(self.identity) + j for j, name in enumerate(names)}
                continue
            key = computation(step.operation), tuple(self.identity[name] for name in operands)
            for j, value in enumerate(values):
                number = identities.setdefault((key, value.shape, j), len(identities))
                self.identity[value.name] = number

    @cached_property
    def weights(self) -> set[str]:
        """The weights of convolutions."""
        operations = (step.operation for step in self.program.steps)
        return {each.weight for each in operations if isinstance(each, op.Convolve)}

    @cached_property
    def logarithms(self) -> set[str]:
        """Values that are logarithms of scales."""
        return logarithms_of_scales(self.program)

    def frontier(self) -> list[str]:
        """The precomputed values that calls read; calls compute constant ids anew."""
        needed = set(self.program.returns)
        frontier: list[str] = []
        for step in reversed(self.program.steps):
            read = [name for name in results(step.operation) if name in needed]
            if read and read[0] in self.identity and not self.program.values[read[0]].integer:
                frontier += reversed(read)
            elif read:
                needed.update(sources(step.operation))
        return frontier[::-1]

    def operation(self, name: str) -> Operation:
        """What computes a value."""
        return self.program.steps[self.position[name]].operation

    def viewed(self, name: str) -> list[str]:
        """The value, what it is a view of, and so on up to the owner of the memory."""
        names = [name]
        while (operation := self.operation(names[-1])).is_view:
            names += sources(operation)
        return names

    def upstream(self, name: str) -> list[Step]:
        """The steps that compute a value, in their order."""
        positions: set[int] = set()
        waiting = [name]
        while waiting:
            position = self.position[waiting.pop()]
            if position not in positions:
                positions.add(position)
                waiting += sources(self.program.steps[position].operation)
        return [self.program.steps[position] for position in sorted(positions)]

    def remainder(self, loads: Mapping[int, tuple[str, tuple[Extent, ...]]]) -> TensorProgram:
        """What runs per call; `loads` are key and strides of the buffers by identity."""
        program = self.program
        buffers = {name: loads[k] for name, k in self.identity.items() if k in loads}
        needed = set(program.returns)
        positions: list[int] = []
        for k in range(len(program.steps) - 1, -1, -1):
            operation = program.steps[k].operation
            if any(name in needed and name not in buffers for name in results(operation)):
                needed.update(sources(operation))
                positions.append(k)
        positions.reverse()
        values = dict(program.values)
        loaded: dict[str, str] = {}  # the new name of a value that is loaded
        for name, (key, strides) in buffers.items():
            if name in needed:
                loaded[name] = new = name if key == name else free(key, values)
                values[new] = replace(values[name], name=new, strides=strides, storage=new)
        steps = [Step(op.LoadParameter(new, buffers[name][0])) for name, new in loaded.items()]
        new_names = {name: new for name, new in loaded.items() if new != name}
        for k in positions:
            step = program.steps[k]
            operation = step.operation
            if operation.is_view:
                (source,) = sources(operation)
                read = values[loaded.get(source, source)]
                for name in results(operation):
                    value = replace(values[name], storage=read.storage)
                    due = view_strides(operation, read, value.shape)
                    if due and read.strides != program.values[source].strides:
                        value = replace(value, strides=due)
                    values[name] = value
            if not new_names.keys().isdisjoint(sources(operation)):
                step = replace(step, operation=renamed(operation, new_names))
            steps.append(step)
        loop = program.loop
        if loop is not None:
            start = len(loaded) + sum(k < loop.start for k in positions)
            length = sum(loop.start <= k < loop.stop for k in positions)
            loop = replace(loop, start=start, stop=start + length)
        returns = tuple(loaded.get(name, name) for name in program.returns)
        return finished(replace(program, values=values, loop=loop, returns=returns), steps)


def _choose_buffers(splits: Iterable[_SplitProgram]) -> dict[int, tuple[_SplitProgram, str, bool]]:
    """The values that become buffers, by identity, and whether they are made contiguous.

    A buffer is what calls read, made contiguous, where nothing else is read of its memory: no view
    is left to the calls, and products of few rows run faster on contiguous matrices. Else it is all
    of the memory, and calls take views of it. Strides of the weight of a convolution say in which
    format that runs: its buffer is what lies contiguous already, if anything does, and calls take a
    view of it.
    """
    reads: dict[int, list[tuple[_SplitProgram, str]]] = {}  # by the memory that is read
    for split in splits:
        for name in split.frontier():
            reads.setdefault(split.identity[split.viewed(name)[-1]], []).append((split, name))
    chosen: dict[int, tuple[_SplitProgram, str, bool]] = {}
    for readers in reads.values():
        split, name = readers[0]
        viewed = split.viewed(name)
        alone = len({other.identity[read] for other, read in readers}) == 1
        values = split.program.values
        if alone and any(read in other.weights for other, read in readers):
            dense = (k for k in viewed if values[k].strides == contiguous(values[k].shape))
            buffer, alone = next(dense, viewed[-1]), False
        elif alone:
            buffer = next(k for k in viewed if not _repeats(values[k]))
        else:
            buffer = viewed[-1]
        chosen[split.identity[buffer]] = split, buffer, alone
    return chosen


class _PrecomputedProgram:
    """The program that computes all buffers, while it is built."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._steps: list[Step] = []
        self._names: dict[int, str] = {}  # by identity
        self._returned: list[str] = []

    def add(self, split: _SplitProgram, name: str, *, row_major: bool) -> tuple[Value, bool]:
        """Compute a value of a program, and whether its memory may be more than its own."""
        identity = split.identity
        for step in split.upstream(name):
            names = results(step.operation)
            if identity[names[0]] in self._names:
                continue
            for result in names:
                new = self._names[identity[result]] = free(result, self._values)
                storage = self._names[identity[split.viewed(result)[-1]]]
                value = split.program.values[result]
                self._values[new] = replace(value, name=new, storage=storage)
            new_names = {k: self._names[identity[k]] for k in (*names, *sources(step.operation))}
            self._steps.append(replace(step, operation=renamed(step.operation, new_names)))
        value = self._values[self._names[identity[name]]]
        owner = split.viewed(name)[-1]
        shared = (
            isinstance(split.operation(owner), op.LoadParameter | op.StackParameters)
            or value.size != split.program.values[owner].size
        )
        strides = _buffer_strides(value, row_major=row_major)
        if strides != value.strides:
            copy = free(value.name, self._values)
            self._steps.append(Step(op.Contiguous(copy, value.name)))
            value = self._values[copy] = replace(value, name=copy, strides=strides, storage=copy)
            shared = False
        self._returned.append(value.name)
        return value, shared

    def program(self) -> TensorProgram:
        """The finished program; it returns the buffers."""
        return finished(TensorProgram(self._values, (), tuple(self._returned), ()), self._steps)


def _repeats(value: Value) -> bool:
    """Whether several entries of it lie at the same place."""
    pairs = zip(value.shape, value.strides, strict=True)
    return any(stride.factor == 0 and length != ONE for length, stride in pairs)


def _buffer_strides(value: Value, *, row_major: bool) -> tuple[Extent, ...]:
    """The strides of a value as a buffer, contiguous where it is to be `row_major`."""
    due = contiguous(value.shape)
    axes = zip(value.shape, value.strides, due, strict=True)
    if row_major and any(stride != new and length != ONE for length, stride, new in axes):
        return due
    return value.strides
