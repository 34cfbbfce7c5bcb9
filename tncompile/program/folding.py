"""Programs divided into what parameters alone decide, computed once, and what runs at each call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from tncompile.emission.steps.lifetimes import stem_of
from tncompile.emission.text.identifiers import Names, hidden
from tncompile.program.layout import contiguous
from tncompile.program.operations import (
    Contiguous,
    LoadParameter,
    Operation,
    StackParameters,
    parameter_keys,
    renamed,
    results,
    sources,
)
from tncompile.program.program import ONE, Step, TensorProgram, Value
from tncompile.program.queries import logarithms_of_scales, returned_values
from tncompile.program.rewriting import computation, finished, free


@dataclass(frozen=True)
class Buffer:
    """A value that is computed ahead: its name in the module and in the program `ahead`.

    It is made of the parameters `keys`. `shared` says that its memory may be that of a parameter,
    or of more than itself. A `logarithm` is real and of single precision at least.
    """

    name: str
    value: Value
    keys: tuple[str, ...]
    shared: bool
    logarithm: bool


@dataclass(frozen=True)
class Folding:
    """Several programs: what is computed ahead, once for all of them, and what is left of each.

    `ahead` makes every buffer, its `result` means nothing. The rests read buffers by
    `LoadParameter`.
    """

    ahead: TensorProgram
    buffers: tuple[Buffer, ...]
    rests: tuple[TensorProgram, ...]


def fold(programs: tuple[TensorProgram, ...], parameters: tuple[str, ...]) -> Folding:
    """Divide the programs; equal computations in several of them are done once.

    `parameters` are all keys in the order of their declarations, which is that of buffers, too.

    A buffer is what calls read, made contiguous, where nothing else is read of its memory: no view
    is left to the calls, and products of few rows run faster on contiguous matrices. Else it is all
    of the memory, and calls look at it in their ways.
    """
    order = {key: k for k, key in enumerate(parameters)}
    identities: dict[Hashable, int] = {}
    halves = [_Half(program, identities) for program in programs]
    readings: dict[int, list[tuple[_Half, str]]] = {}  # by the memory that is read
    for half in halves:
        for name in half.frontier:
            readings.setdefault(half.identity[half.owner(name)], []).append((half, name))
    names = Names(["self", "batch_invariant"])
    ahead = _Ahead()
    chosen: dict[int, Buffer] = {}
    for read in readings.values():
        half, name = read[0]
        alike = len({half.identity[name] for half, name in read}) == 1
        held = half.unrepeated(name) if alike else half.owner(name)
        keys = tuple(sorted(half.keys(held), key=order.__getitem__))
        called = _name(names, keys, logarithm=held in half.logarithms)
        chosen[half.identity[held]] = ahead.take(half, held, called, keys, row_major=alike)
    rests = tuple(half.rest(chosen) for half in halves)
    buffers = sorted(chosen.values(), key=lambda held: [order[key] for key in held.keys])
    return Folding(ahead.program(), tuple(buffers), rests)


def _name(names: Names, keys: tuple[str, ...], *, logarithm: bool) -> str:
    """What a buffer is called: by the parameters that it is made of."""
    families = list(dict.fromkeys(key.split(".")[0] for key in keys))
    if len(keys) <= 2 and len(families) == 1:
        stem = "_".join([keys[0], *(key.split(".", 1)[1] for key in keys[1:])])
    elif len(families) == 1:
        stem = f"{keys[0]}_to_{keys[-1].split('.', 1)[1]}"
    elif families:
        stem = "_".join(keys) if len(keys) <= 3 else "merged"
    else:
        stem = "constant"
    stem = f"log_{stem}" if logarithm else stem
    while hidden(name := names.fresh(stem)):
        stem = f"{stem}_"
    return name


class _Half:
    """A program and which of its values can be computed ahead.

    `identity` is a number for each of these, the same for equal computations in all programs.
    """

    def __init__(self, program: TensorProgram, identities: dict[Hashable, int]) -> None:
        self.program = program
        self.position: dict[str, int] = {}  # the step that makes a value
        self.identity: dict[str, int] = {}
        for k, step in enumerate(program.steps):
            made = results(step.operation)
            self.position.update(dict.fromkeys(made, k))
            read = sources(step.operation)
            values = [program.values[name] for name in made]
            fixed = all(not value.varying and not _at_run_time(value) for value in values)
            if not fixed or not all(name in self.identity for name in read):
                continue
            what = computation(step.operation)
            given = tuple(self.identity[name] for name in read)
            for place, value in enumerate(values):
                key = (what, given, value.shape, place)
                self.identity[value.name] = identities.setdefault(key, len(identities))

    @cached_property
    def frontier(self) -> tuple[str, ...]:
        """The values computed ahead that calls read; ids among them are made anew by each call."""
        returned = returned_values(self.program)
        found: dict[str, None] = {}
        needed = set(returned)
        for step in reversed(self.program.steps):
            made = results(step.operation)
            if not needed.intersection(made):
                continue
            ahead = [name for name in made if name in self.identity]
            if ahead and not any(self.program.values[name].integer for name in ahead):
                found.update(dict.fromkeys(name for name in ahead if name in needed))
            else:
                needed.update(sources(step.operation))
        return tuple(sorted(found, key=self.position.__getitem__))

    def operation(self, name: str) -> Operation:
        """What makes a value."""
        return self.program.steps[self.position[name]].operation

    def owner(self, name: str) -> str:
        """The value whose memory a value looks at."""
        return self._looked_at(name)[-1]

    def _looked_at(self, name: str) -> list[str]:
        """The value, what it is a view of, and so on."""
        seen = [name]
        while (operation := self.operation(seen[-1])).is_view:
            seen += sources(operation)
        return seen

    def unrepeated(self, name: str) -> str:
        """The value itself or, where entries of it lie at the same place, what it repeats."""
        return next(one for one in self._looked_at(name) if not _repeats(self.program.values[one]))

    @cached_property
    def logarithms(self) -> set[str]:
        """Values that are logarithms of scales."""
        return logarithms_of_scales(self.program)

    def keys(self, name: str) -> tuple[str, ...]:
        """The parameters that a value depends on."""
        steps = self.upstream(name)
        return tuple(dict.fromkeys(k for step in steps for k in parameter_keys(step.operation)))

    def upstream(self, name: str) -> list[Step]:
        """The steps that make a value, in their order."""
        found: dict[int, Step] = {}
        waiting = [name]
        while waiting:
            position = self.position[waiting.pop()]
            if position not in found:
                found[position] = self.program.steps[position]
                waiting += sources(found[position].operation)
        return [found[position] for position in sorted(found)]

    def rest(self, chosen: Mapping[int, Buffer]) -> TensorProgram:
        """What runs at each call, buffers read as parameters."""
        program = self.program
        bought = {name: chosen[k] for name, k in self.identity.items() if k in chosen}
        needed = set(returned_values(program))
        kept: list[int] = []
        for k, step in reversed(list(enumerate(program.steps))):
            made = needed.intersection(results(step.operation))
            if made - bought.keys():
                needed.update(sources(step.operation))
                kept.append(k)
        kept.reverse()
        read = [name for name in bought if name in needed]
        values = dict(program.values)
        for name in read:
            strides = bought[name].value.strides
            values[name] = replace(values[name], strides=strides, storage=name)
        called = {name: free(bought[name].name, values) for name in read}
        for name, other in called.items():
            values[other] = replace(values[name], name=other, storage=other)
        for k in kept:
            operation = program.steps[k].operation
            if operation.is_view:
                held = values[sources(operation)[0]].storage
                storage = called.get(held, held)
                for name in results(operation):
                    values[name] = replace(values[name], storage=storage)
        steps = [Step(LoadParameter(called[name], bought[name].name)) for name in read]
        for k in kept:
            step = program.steps[k]
            steps.append(replace(step, operation=renamed(step.operation, called)))
        loop = program.loop
        if loop is not None:
            start = len(read) + sum(k < loop.start for k in kept)
            inside = sum(loop.start <= k < loop.stop for k in kept)
            loop = replace(loop, start=start, stop=start + inside)
        result = called.get(program.result, program.result)
        log = None if program.log is None else called.get(program.log, program.log)
        rest = replace(program, values=values, loop=loop, result=result, log=log)
        return finished(rest, steps, returned_values(rest))


class _Ahead:
    """The program that makes all buffers, in the making."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._steps: list[Step] = []
        self._named: dict[int, str] = {}  # by identity
        self._taken: Counter[str] = Counter()
        self._returned: list[str] = []

    def take(
        self, half: _Half, name: str, buffer: str, keys: tuple[str, ...], *, row_major: bool
    ) -> Buffer:
        """A value of a program as a buffer of this name, contiguous where it has to be."""
        for step in half.upstream(name):
            made = results(step.operation)
            if half.identity[made[0]] in self._named:
                continue
            for one in made:
                self._named[half.identity[one]] = self._fresh(one)
            read = (*made, *sources(step.operation))
            other = {one: self._named[half.identity[one]] for one in read}
            self._steps.append(replace(step, operation=renamed(step.operation, other)))
            for one in made:
                value = half.program.values[one]
                storage = self._named[half.identity[half.owner(one)]]
                self._values[other[one]] = replace(value, name=other[one], storage=storage)
        value = self._values[self._named[half.identity[name]]]
        owner = half.owner(name)
        lent = isinstance(half.operation(owner), LoadParameter | StackParameters)
        shared = lent or value.size != half.program.values[owner].size
        if row_major and not _row_major(value):
            given = value.name
            again = self._fresh(given)
            value = replace(value, name=again, strides=contiguous(value.shape), storage=again)
            self._values[again] = value
            self._steps.append(Step(Contiguous(again, given)))
            shared = False
        self._returned.append(value.name)
        return Buffer(buffer, value, keys, shared, name in half.logarithms)

    def _fresh(self, name: str) -> str:
        """A name that begins as the given one does."""
        stem = stem_of(name)
        count = self._taken[stem]
        self._taken[stem] += 1
        return stem if not count else f"{stem}{count}" if stem == "t" else f"{stem}_{count}"

    def program(self) -> TensorProgram:
        """The finished program; what it returns are the buffers."""
        returned = tuple(self._returned)
        program = TensorProgram(self._values, (), returned[0] if returned else "", None, ())
        return finished(program, self._steps, returned)


def _at_run_time(value: Value) -> bool:
    """Whether its shape is known at run time only."""
    return any(extent.names for extent in value.shape)


def _repeats(value: Value) -> bool:
    """Whether entries of it lie at the same place."""
    pairs = zip(value.shape, value.strides, strict=True)
    return any(stride.factor == 0 and length != ONE for length, stride in pairs)


def _row_major(value: Value) -> bool:
    """Whether its entries lie as those of a contiguous tensor."""
    due = contiguous(value.shape)
    given = zip(value.shape, value.strides, due, strict=True)
    return all(stride == wanted or length == ONE for length, stride, wanted in given)
