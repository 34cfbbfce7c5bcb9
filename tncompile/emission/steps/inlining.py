"""What can be said of the values of a program before any of it is written."""

from __future__ import annotations

from tncompile.emission.steps.expressions import is_chained, is_copy
from tncompile.program import operations as op
from tncompile.program.operation import results, sources
from tncompile.program.program import TensorProgram
from tncompile.program.queries import count_reads, is_row, logarithms_of_scales, loop_body


def lowered_by_autocast(program: TensorProgram) -> tuple[set[str], int]:
    """Values that come out of matrix products, and the step of the last of these.

    Logarithms stay in single precision at least.
    """
    low: set[str] = set()
    last = len(program.steps)
    for k, step in enumerate(program.steps):
        operation = step.operation
        if operation.autocasts:
            last = k
        read = () if isinstance(operation, op.Log) else sources(operation)
        if operation.autocasts or low.intersection(read):
            values = program.values
            low.update(name for name in results(operation) if values[name].complex is not True)
    return low, last


def inlined_steps(program: TensorProgram) -> list[bool]:
    """Which steps may be written inside the call that reads them.

    A chained operation with one reader: a view keeps alive no more than it would under a name of
    its own. A copy only where nothing else is executed before the reader (or it is one of a
    parameter, which is there anyway), and nothing that it reads would be dead by then. What
    iterations of the loop read is made once, before it.
    """
    reads = count_reads(program)
    end = len(program.steps)
    sink = dict.fromkeys(program.returns, end)  # the step in whose line a value is read
    body = loop_body(program)
    chains = _chains(program)
    inlined = [False] * end
    executed = end  # the next step that has a line of its own
    for k in range(end - 1, -1, -1):
        operation = program.steps[k].operation
        result = results(operation)[0]
        reader = sink.get(result, k)
        if is_chained(operation) and reads[result] == 1 and (k in body or reader not in body):
            of_parameter, frees = chains[result]
            waits = (reader == executed or of_parameter) and not frees
            inlined[k] = waits or not is_copy(operation)
        if not inlined[k] and not isinstance(operation, op.Argument):
            executed = k
        for name in sources(operation):
            sink[name] = reader if inlined[k] else k
    return inlined


def _chains(program: TensorProgram) -> dict[str, tuple[bool, bool]]:
    """Of each result of a chained operation: is it one of a parameter, is memory freed on its way.

    A chain of a parameter consists of chained operations only.
    """
    chains: dict[str, tuple[bool, bool]] = {}
    unfreed = unfreed_values(program)
    for step in program.steps:
        if is_chained(step.operation):
            before = [chains.get(name, (False, False)) for name in sources(step.operation)]
            freed = any(program.values[name].storage not in unfreed for name in step.drops)
            chains[results(step.operation)[0]] = (
                all(of_parameter for of_parameter, _ in before),
                freed or any(frees for _, frees in before),
            )
    return chains


def unfreed_values(program: TensorProgram) -> set[str]:
    """Values not worth deleting: those of the caller or the module, scales and logarithms."""
    return logarithms_of_scales(program) | {
        name
        for step in program.steps
        if step.operation.is_borrowed or isinstance(step.operation, op.Magnitude)
        for name in results(step.operation)
    }


def lender(program: TensorProgram, result: str) -> tuple[str, str]:
    """The argument or parameter whose memory a result may lie in, and the last copy on the way.

    Who gets a result may work in place on it, so it is to have memory of its own. A copy may turn
    out to be none at run time: `reshape` and `contiguous` return what they are given where it fits
    (axes of length 1, an input that was transposed before), and a row is a view where its id is a
    number. Both are empty where there is no such.
    """
    origin = {name: step.operation for step in program.steps for name in results(step.operation)}
    name, copied = result, ""
    while (operation := origin[name]).is_view or operation.may_alias or is_row(program, operation):
        if isinstance(operation, op.Embedding):
            return name, copied or name
        if not copied and isinstance(operation, op.Copy | op.Contiguous):
            copied = name
        (name,) = sources(operation)
    return (name, copied) if operation.is_borrowed else ("", "")
