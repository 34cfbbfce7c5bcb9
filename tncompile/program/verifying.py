"""Checks that a tensor program is well formed: names, lifetimes, loop, shapes, strides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, zip_longest

from tncompile.program import operations as op
from tncompile.program.layout import (
    Shape,
    channels_last,
    contiguous,
    equal_strides,
    results_channels_last,
    view_strides,
)
from tncompile.program.operation import Operation, results, sources
from tncompile.program.program import (
    ONE,
    Extent,
    Loop,
    Step,
    TensorProgram,
    Value,
    joined_complex,
)

DEBUG = bool(os.environ.get("TNCOMPILE_VERIFY"))
"""Whether every program is verified once it is lowered or rewritten, as in the tests."""


class ProgramError(ValueError):
    """A program that no lowering may make; the message names the step."""


def checked(program: TensorProgram) -> TensorProgram:
    """The program, verified first where `DEBUG` is set."""
    if DEBUG:
        verify_program(program)
    return program


def verify_program(program: TensorProgram) -> None:
    """Check that a program can be run.

    Values are defined once, before they are read, and dropped once, after; what is left in the end
    is what is returned. Chunks open the loop, one concatenation closes it, and a value from before
    the loop is dropped at its end. Results have the shapes and strides that follow from those of
    the operands.

    Raises:
        ProgramError: the first thing that is wrong, and at which step.
    """
    expected = set(program.returns)
    alive: set[str] = set()
    defined: set[str] = set()
    before: set[str] = set()
    loop = program.loop
    for number, step in enumerate(program.steps):
        if loop is not None and number == loop.start:
            before = set(alive)
        for problem in chain(
            _name_problems(program, step, alive, defined),
            _loop_problems(loop, number, step, before),
            _layout_problems(program, step.operation),
            _number_problems(program, step.operation),
        ):
            raise ProgramError(f"step {number}, {_text(step.operation)}: {problem}")
        defs = set(results(step.operation))
        defined |= defs
        alive = (alive | defs).difference(step.drops)
        if loop is not None and number == loop.stop - 1 and alive - before - defs:
            left = ", ".join(sorted(alive - before - defs))
            raise ProgramError(f"step {number}, {_text(step.operation)}: {left} outlives the loop")
    for name in sorted(expected ^ alive):
        problem = "is never dropped" if name in alive else "is returned, but not there"
        raise ProgramError(f"after step {len(program.steps) - 1}: `{name}` {problem}")


def _text(operation: Operation) -> str:
    operands = ", ".join(sources(operation))
    return f"{', '.join(results(operation))} = {type(operation).__name__}({operands})"


def _name_problems(
    program: TensorProgram, step: Step, alive: set[str], defined: set[str]
) -> Iterator[str]:
    for name in sources(step.operation):
        if name not in alive:
            yield f"`{name}` is read {'after it was dropped' if name in defined else 'undefined'}"
    for name in results(step.operation):
        if name in defined:
            yield f"`{name}` is defined a second time"
        if name not in program.values or program.values[name].name != name:
            yield f"`{name}` has no entry of this name in `values`"
    for k, name in enumerate(step.drops):
        if name in step.drops[:k] or name not in {*alive, *results(step.operation)}:
            yield f"`{name}` is dropped, but not alive"


def _loop_problems(loop: Loop | None, number: int, step: Step, before: set[str]) -> Iterator[str]:
    """What is wrong with a step by its place inside or outside of the loop."""
    chunk, concat = (isinstance(step.operation, kind) for kind in (op.Chunk, op.ConcatChunks))
    if loop is None or not loop.start <= number < loop.stop:
        if chunk or concat:
            yield "stands outside of a loop"
        return
    if number == loop.start and not chunk:
        yield "begins the loop in place of a `Chunk`"
    if concat != (number == loop.stop - 1):
        yield "stands where the loop ends" if not concat else "ends the loop before its last step"
    if number < loop.stop - 1:
        for name in sorted(before.intersection(step.drops)):
            yield f"`{name}` is dropped, but the next iteration reads it"


# ── shapes and strides ──────────────────────────────────────────────────────────────────────────


def _layout_problems(program: TensorProgram, operation: Operation) -> Iterator[str]:
    values = program.values
    defined = [values[name] for name in results(operation)]
    for value in defined:
        if not len(value.axes) == len(value.shape) == len(value.strides):
            yield f"`{value.name}` has axes, shape and strides of different lengths"
            return
    operands = [values[name].shape for name in sources(operation)]
    try:
        shapes = tuple(derived_shapes(operation, operands, defined[0].shape, program.loop))
    except (IndexError, ValueError) as error:
        yield f"the operands do not fit: {error}"
        return
    for value, shape in zip_longest(defined, shapes):
        if shape is not None and value is not None and value.shape != shape:
            yield f"`{value.name}` is of shape {value.shape}, which should be {shape}"
            return
    if operation.is_view:
        source = values[sources(operation)[0]]
        for value in defined:
            if value.storage != source.storage:
                yield f"`{value.name}` is a view, but not in the memory of `{source.name}`"
            due = view_strides(operation, source, value.shape)
            if due is None:
                yield f"`{source.name}` has strides that take a copy"
            elif not _same(value, due):
                yield f"`{value.name}` has strides {value.strides}, which should be {due}"
    elif not operation.is_borrowed and not isinstance(operation, op.Chunk | op.ContiguousGrad):
        elementwise = operation.is_elementwise
        for value in defined:
            fits = _dense(value) if elementwise else _same(value, contiguous(value.shape))
            if isinstance(operation, op.PadBorders) or value.complex:
                fits = fits or _same(value, channels_last(value.shape))
            elif isinstance(operation, op.Convolve):
                source, weight = (values[name] for name in sources(operation)[:2])
                if results_channels_last(source, weight):
                    fits = _same(value, channels_last(value.shape))
            if not fits or value.storage != value.name:
                yield f"`{value.name}` has strides {value.strides}, which no fresh result has"


def _number_problems(program: TensorProgram, operation: Operation) -> Iterator[str]:
    """What is wrong with which results are complex."""
    operands = [program.values[name] for name in sources(operation)]
    if not operands or isinstance(operation, op.OneHot):
        return
    due = not isinstance(operation, op.Magnitude | op.Log) and joined_complex(operands)
    for value in (program.values[name] for name in results(operation)):
        if value.complex is not due:
            yield f"`{value.name}` has complex={value.complex}, which should be {due}"


def derived_shapes(
    operation: Operation, shapes: list[Shape], result: Shape, loop: Loop | None
) -> Iterator[Shape]:
    """The shapes of the results as far as they follow from the operands; `result` is the first.

    Raises:
        TypeError: nothing is known of the shape of such an operation.
    """
    match operation:
        case op.Expand():
            yield _broadcast(shapes[0], result)
        case op.Permute(_, _, order):
            if sorted(order) != list(range(len(shapes[0]))):
                raise ValueError(f"{order} permutes no {len(shapes[0])} axes")
            yield tuple(shapes[0][k] for k in order)
        case op.ContiguousGrad() | op.Contiguous():
            yield shapes[0]
        case op.Chunk(_, _, axis) if loop is not None:
            yield _with_axis(shapes[0], axis, Extent(1, (loop.part,)))
        case op.ConcatChunks(_, _, axis) if loop is not None:
            yield _with_axis(shapes[0], axis, Extent(1, (loop.index,)))
        case op.Slice(_, _, axis, start, stop, step):
            if not 0 <= start < stop <= shapes[0][axis].factor:
                raise ValueError(f"{start}:{stop} of an axis of {shapes[0][axis]}")
            yield _with_axis(shapes[0], axis, Extent(len(range(start, stop, step))))
        case op.Select(_, _, axis, position):
            if not 0 <= position < shapes[0][axis].factor:
                raise ValueError(f"entry {position} of an axis of {shapes[0][axis]}")
            yield _with_axis(shapes[0], axis)
        case op.Unbind(names, _, axis):
            if shapes[0][axis] != Extent(len(names)):
                raise ValueError(f"{len(names)} entries of an axis of {shapes[0][axis]}")
            yield from (_with_axis(shapes[0], axis) for _ in names)
        case op.Split(_, _, axis, lengths):
            if shapes[0][axis] != Extent(sum(lengths)):
                raise ValueError(f"parts {lengths} of an axis of {shapes[0][axis]}")
            yield from (_with_axis(shapes[0], axis, Extent(length)) for length in lengths)
        case op.MatMul(_, _, _, bias):
            left, right = shapes[:2]
            if left[:-2] != right[:-2] or left[-1] != right[-2]:
                raise ValueError(f"{left} @ {right}")
            yield (*left[:-1], right[-1])
            if bias is not None:
                _broadcast(shapes[2], (*left[:-1], right[-1]))
        case op.Convolve():
            yield _convolved(operation, shapes, result)
        case op.PadBorders(_, _, before, after, _):
            axes = len(shapes[0]) - len(before)
            if len(before) != len(after) or axes < 0:
                raise ValueError(f"{len(before)} and {len(after)} borders of {shapes[0]}")
            yield (*shapes[0][:axes], *result[axes:])
        case op.Crop(_, _, axis, before, after):
            if min(before, after) < 0:
                raise ValueError(f"a part that begins {before} before an axis ends {after} behind")
            yield _with_axis(shapes[0], axis, result[axis])
        case op.Sum(_, _, axes) | op.Log(_, _, axes):
            yield tuple(length for k, length in enumerate(shapes[0]) if k not in axes)
        case op.Magnitude(_, _, axes):
            yield tuple(ONE if k in axes else length for k, length in enumerate(shapes[0]))
        case op.Stack():
            if len(set(shapes)) > 1:
                raise ValueError("they have several shapes")
            yield (Extent(len(shapes)), *shapes[0])
        case op.IndexSelect(_, _, positions):
            if max(positions) >= shapes[0][0].factor:
                raise ValueError(f"position {max(positions)} of an axis of {shapes[0][0]}")
            yield (Extent(len(positions)), *shapes[0][1:])
        case op.Cat():
            yield (Extent(sum(shape[0].factor for shape in shapes)), *shapes[0][1:])
        case op.Embedding():
            yield shapes[1] + shapes[0][1:]
        case op.Gather():
            yield _broadcast(shapes[0][:-1], shapes[1][:-1])
        case op.OneHot(_, _, size):
            yield (*shapes[0], Extent(size))
        case _ if operation.is_elementwise:
            yield _broadcast(*shapes)
        case _ if not operation.has_free_shape:
            raise TypeError(f"no rule says the shape of {type(operation).__name__}")


def _convolved(operation: op.Convolve, shapes: list[Shape], result: Shape) -> Shape:
    """The shape of a convolution, whose lengths do not follow from those of the image."""
    source, weight, *bias = shapes
    axes = len(operation.stride)
    numbers = (operation.padding, operation.dilation, operation.output_padding)
    if any(len(each) not in (0, axes) for each in numbers) or not 1 <= axes <= 3:
        raise ValueError(f"numbers for {axes} axes and others")
    if not len(source) == len(weight) == len(result) == axes + 2:
        raise ValueError(f"a convolution of {source} and {weight} along {axes} axes")
    channels = result[1]
    if operation.transposed:
        if weight[0] != source[1]:
            raise ValueError(f"{source[1]} channels meet a weight for {weight[0]}")
    else:
        channels = weight[0]
    part, whole = (channels, weight[1]) if operation.transposed else (source[1], weight[1])
    if part.factor % whole.factor or not set(whole.names) <= set(part.names):
        raise ValueError(f"{part} channels are no groups of {whole}")
    if any(length != channels for shape in bias for length in shape) or len(bias and bias[0]) > 1:
        raise ValueError(f"a bias of {bias[0]} for {channels} channels")
    return (source[0], channels, *result[2:])


def _with_axis(shape: Shape, axis: int, *lengths: Extent) -> Shape:
    return (*shape[:axis], *lengths, *shape[axis + 1 :])


def _broadcast(*shapes: Shape) -> Shape:
    front = max(map(len, shapes))
    lengths: list[Extent] = []
    for axis in zip(*((ONE,) * (front - len(shape)) + shape for shape in shapes), strict=True):
        several = {length for length in axis if length != ONE}
        if len(several) > 1:
            raise ValueError(f"{' and '.join(map(str, shapes))} do not broadcast")
        lengths.append(several.pop() if several else ONE)
    return tuple(lengths)


def _same(value: Value, strides: tuple[Extent, ...]) -> bool:
    """Whether the value has these strides; those of axes of length 1 lead nowhere."""
    return len(strides) == len(value.strides) and all(
        length == ONE or equal_strides(own, other)
        for length, own, other in zip(value.shape, value.strides, strides, strict=True)
    )


def _dense(value: Value) -> bool:
    """Whether its entries fill its memory, in any order of axes."""
    pairs = zip(value.shape, value.strides, strict=True)
    lengths = {stride: length for length, stride in pairs if length != ONE}
    step = ONE
    while step in lengths:
        step = step * lengths.pop(step)
    return step == value.size
