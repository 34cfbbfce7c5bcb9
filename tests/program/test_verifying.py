"""Damaged programs are refused, with the step that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import tncompile
from tests.support.strategies import random_tree
from tncompile.lowering import lower
from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.schedule import Schedule
from tncompile.program import operations as op
from tncompile.program.folding import fold, remainder
from tncompile.program.layout import contiguous
from tncompile.program.operation import Operation, results
from tncompile.program.program import ONE, Extent, Step, TensorProgram, Value
from tncompile.program.verifying import ProgramError, verify_program

TEXT = """
network Layer() {
  index a = 4, b = 5, c = 3
  bond p = 6
  input x(..., a, b)
  tensor A(a, p)
  tensor B(p, b, c)
  output y(..., c)
}
"""


def program(rows: int = 0) -> TensorProgram:
    network = tncompile.loads(TEXT).instantiate().network
    return lower(network, random_tree(network, 0), Schedule(chunk_rows=rows))


def with_step(program: TensorProgram, number: int, operation: Operation) -> TensorProgram:
    steps = list(program.steps)
    steps[number] = replace(steps[number], operation=operation)
    return replace(program, steps=tuple(steps))


def place(program: TensorProgram, kind: type[Operation]) -> int:
    """The last step of a kind."""
    return max(k for k, step in enumerate(program.steps) if isinstance(step.operation, kind))


def undefined(program: TensorProgram) -> TensorProgram:
    number = place(program, op.MatMul)
    operation = program.steps[number].operation
    assert isinstance(operation, op.MatMul)
    return with_step(program, number, replace(operation, left="nothing"))


def twice(program: TensorProgram) -> TensorProgram:
    steps = (program.steps[0], *program.steps)
    return replace(program, steps=steps)


def early(program: TensorProgram) -> TensorProgram:
    steps = (replace(program.steps[0], drops=results(program.steps[0].operation)),)
    return replace(program, steps=(*steps, *program.steps[1:]))


def never(program: TensorProgram) -> TensorProgram:
    return replace(program, steps=tuple(replace(step, drops=()) for step in program.steps))


def nowhere(program: TensorProgram) -> TensorProgram:
    return replace(program, returns=("nothing",))


def reshaped(program: TensorProgram) -> TensorProgram:
    name = results(program.steps[place(program, op.MatMul)].operation)[0]
    value = program.values[name]
    shape = (*value.shape[:-1], value.shape[-1] * Extent(2))
    return replace(program, values={**program.values, name: replace(value, shape=shape)})


def strided(program: TensorProgram) -> TensorProgram:
    name = results(program.steps[place(program, op.MatMul)].operation)[0]
    value = program.values[name]
    strides = (ONE,) * len(value.strides)
    return replace(program, values={**program.values, name: replace(value, strides=strides)})


def elsewhere(program: TensorProgram) -> TensorProgram:
    number = next(k for k, step in enumerate(program.steps) if step.operation.is_view)
    name = results(program.steps[number].operation)[0]
    value = replace(program.values[name], storage=name)
    return replace(program, values={**program.values, name: value})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (undefined, "MatMul.*`nothing` is read undefined"),
        (twice, r"step 1, .* is defined a second time"),
        (early, "is read after it was dropped"),
        (never, "after step .* is never dropped"),
        (nowhere, "`nothing` is returned, but not there"),
        (reshaped, "MatMul.*which should be"),
        (strided, "MatMul.*which no fresh result has"),
        (elsewhere, "not in the memory of"),
    ],
)
def test_damage_is_named(damage: Callable[[TensorProgram], TensorProgram], message: str) -> None:
    whole = program()
    verify_program(whole)
    with pytest.raises(ProgramError, match=message):
        verify_program(damage(whole))


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        (1, 0, "Chunk.*outside of a loop"),
        (0, -1, "MatMul.*stands where the loop ends"),
        (0, 1, "ConcatChunks.*ends the loop before its last step"),
    ],
)
def test_a_loop_begins_with_chunks_and_ends_with_their_concatenation(
    start: int, stop: int, message: str
) -> None:
    looped = program(rows=8)
    verify_program(looped)
    loop = looped.loop
    assert loop is not None
    moved = replace(loop, start=loop.start + start, stop=loop.stop + stop)
    with pytest.raises(ProgramError, match=message):
        verify_program(replace(looped, loop=moved))


def test_an_iteration_keeps_what_the_next_one_reads() -> None:
    looped = program(rows=8)
    loop = looped.loop
    assert loop is not None
    outer = next(
        name
        for name in looped.steps[loop.stop - 1].drops
        if any(name in results(step.operation) for step in looped.steps[: loop.start])
    )
    steps = list(looped.steps)
    drops = tuple(k for k in steps[loop.stop - 1].drops if k != outer)
    steps[loop.stop - 1] = replace(steps[loop.stop - 1], drops=drops)
    steps[loop.stop - 2] = replace(steps[loop.stop - 2], drops=(*steps[loop.stop - 2].drops, outer))
    with pytest.raises(ProgramError, match="but the next iteration reads it"):
        verify_program(replace(looped, steps=tuple(steps)))


@pytest.mark.parametrize("rows", [0, 8])
def test_folded_programs_are_as_well_formed(rows: int) -> None:
    whole = program(rows)
    folding = fold((whole,), ("A", "B"), lambda keys, logarithm: f"{keys} {logarithm}")
    for part in (folding.precomputed, *folding.remainders, remainder(whole)):
        verify_program(part)
    for damage in (reshaped, strided):
        with pytest.raises(ProgramError, match="MatMul"):
            verify_program(damage(folding.remainders[0]))


def test_views_of_a_buffer_that_was_made_contiguous_have_its_strides() -> None:
    builder = ProgramBuilder(tncompile.loads(TEXT).instantiate().network, {})
    x = builder.argument("x", "x", (("a",), ("b",)), integer=False)
    weight = builder.value("A", (("b",), ("a",)), parametric=True)
    builder.add(op.LoadParameter("A", "A"), weight)
    axes = (("c",), ("a",), ("b",))
    wide = builder.expand(builder.permute(weight, (1, 0)), axes)
    product = builder.elementwise(op.Multiply, builder.expand(x, axes), wide)
    whole = builder.program(product)
    assert whole.values[wide.name].strides == (Extent(0), ONE, Extent(4))
    rest = remainder(whole)
    verify_program(rest)
    assert rest.values[wide.name].strides == (Extent(0), Extent(5), ONE)


def convolved(columns: int = 6, groups: int = 1, stride: tuple[int, ...] = (1,)) -> TensorProgram:
    """A convolution along one axis of 4 channels, from a weight of `columns` channels."""

    def value(name: str, *shape: Extent) -> Value:
        axes = tuple((f"{name}{k}",) for k in range(len(shape)))
        return Value(
            name, axes, shape, contiguous(shape), name, parametric=name == "K", varying=name != "K"
        )

    rows, length = Extent(1, ("n",)), Extent(1, ("h.in",))
    values = [
        value("x", rows, Extent(4), length),
        value("K", Extent(columns), Extent(4 // groups), Extent(3)),
        value("y", rows, Extent(6), Extent(1, ("h.out",))),
    ]
    ones = (1,) * len(stride)
    steps = (
        Step(op.Argument("x", "x")),
        Step(op.LoadParameter("K", "K")),
        Step(op.Convolve("y", "x", "K", stride, ones, ones), drops=("x", "K")),
    )
    return TensorProgram({one.name: one for one in values}, steps, ("y",), ("n",))


def test_convolutions_fit_their_operands() -> None:
    verify_program(convolved())
    verify_program(convolved(groups=2))
    with pytest.raises(ProgramError, match=r"Convolve.*which should be"):
        verify_program(convolved(columns=8))
    with pytest.raises(ProgramError, match=r"Convolve.*along 2 axes"):
        verify_program(convolved(stride=(1, 1)))
    whole = convolved()
    weight = whole.values["K"]
    last = replace(weight, strides=(Extent(12), ONE, Extent(4)))
    with pytest.raises(ProgramError, match="no fresh result has"):  # it makes the result so, too
        verify_program(replace(whole, values={**whole.values, "K": last}))
