"""What can be said of the values of a program before any of it is written."""

from __future__ import annotations

from tncompile.emission.steps.expressions import is_chained, is_copy
from tncompile.program.operations import (
    Argument,
    Contiguous,
    Copy,
    LoadParameter,
    Log,
    Magnitude,
    results,
    sources,
)
from tncompile.program.program import TensorProgram
from tncompile.program.queries import count_reads, logarithms_of_scales, loop_body


def lowered_by_autocast(program: TensorProgram) -> tuple[set[str], int]:
    """Values that come out of matrix products, and the step of the last of these.

    Logarithms stay in single precision at least.
    """
    found: set[str] = set()
    last = len(program.steps)
    for k, step in enumerate(program.steps):
        if step.operation.autocasts:
            last = k
        read = () if isinstance(step.operation, Log) else sources(step.operation)
        if step.operation.autocasts or found.intersection(read):
            found.update(results(step.operation))
    return found, last


def inlined_steps(program: TensorProgram) -> list[bool]:
    """Which steps may be written inside the call that reads them.

    A chained operation with one reader: a view keeps alive no more than it would under a name of
    its own. A copy only where nothing else is executed before the reader (or it is one of a
    parameter, which is there anyway), and nothing that it reads would be dead by then. What turns
    of the loop read is made once, before it.
    """
    reads = count_reads(program)
    end = len(program.steps)
    sink = dict.fromkeys(program.returns, end)  # the step in whose line a value is read
    body = loop_body(program)
    fixed = parameter_chains(program)
    frees = freeing_chains(program)
    inlined = [False] * end
    executed = end  # the next step that has a line of its own
    for k in range(end - 1, -1, -1):
        operation = program.steps[k].operation
        made = results(operation)
        reader = sink.get(made[0], k)
        waits = reader == executed or made[0] in fixed
        inlined[k] = (
            is_chained(operation)
            and reads[made[0]] == 1
            and (k in body or reader not in body)
            and (not is_copy(operation) or (waits and not frees[made[0]]))
        )
        if not inlined[k] and not isinstance(operation, Argument):
            executed = k
        for name in sources(operation):
            sink[name] = reader if inlined[k] else k
    return inlined


def freeing_chains(program: TensorProgram) -> dict[str, bool]:
    """For each result of a chained operation, whether memory is freed along its chain."""
    found: dict[str, bool] = {}
    unfreed = unfreed_values(program)
    for step in program.steps:
        if is_chained(step.operation):
            freed = any(program.values[name].storage not in unfreed for name in step.drops)
            before = any(found.get(name, False) for name in sources(step.operation))
            found[results(step.operation)[0]] = freed or before
    return found


def unfreed_values(program: TensorProgram) -> set[str]:
    """Values not worth deleting: those of the caller or the module, scales and logarithms."""
    return logarithms_of_scales(program) | {
        name
        for step in program.steps
        if step.operation.is_borrowed or isinstance(step.operation, Magnitude)
        for name in results(step.operation)
    }


def lender(program: TensorProgram, result: str) -> tuple[str, str]:
    """The argument or parameter whose memory a result may lie in, and the last copy on the way.

    Who gets a result may work in place on it, so it is to have memory of its own. A copy may turn
    out to be none at run time: `reshape` and `contiguous` return what they are given where it fits
    (axes of length 1, an input that was transposed before). Both are empty where there is no such.
    """
    made = {name: step.operation for step in program.steps for name in results(step.operation)}
    name, copied = result, ""
    while (operation := made[name]).is_view or operation.may_alias:
        if not copied and isinstance(operation, Copy | Contiguous):
            copied = name
        (name,) = sources(operation)
    return (name, copied) if operation.is_borrowed else ("", "")


def parameter_chains(program: TensorProgram) -> set[str]:
    """Values that are chains of operations on one parameter."""
    found: set[str] = set()
    for step in program.steps:
        operation = step.operation
        chained = is_chained(operation)
        if chained and (isinstance(operation, LoadParameter) or set(sources(operation)) <= found):
            found.update(results(operation))
    return found
