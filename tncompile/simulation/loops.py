"""Loops over chunks: iterations, the joining of their results, recomputation in backward."""

from __future__ import annotations

from dataclasses import replace

from tncompile.program.operation import results, sources
from tncompile.program.operations import Chunk, ConcatChunks
from tncompile.program.program import Loop, TensorProgram
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.rules import Call, Gradients, OpResult, concatenate
from tncompile.simulation.tape import RecomputedIteration, Tape, TapeNode, on_tape, run_steps
from tncompile.simulation.tensors import SymbolicTensor


def run_loop(tape: Tape, program: TensorProgram, loop: Loop, costs: tuple[OpCost, ...]) -> None:
    """Every iteration of the loop, then the joining of their results.

    One iteration stands for all that are like it: its cost counts as often, and so does the memory
    that it leaves behind.
    """
    kernels, memory = tape.kernels, tape.kernels.memory
    *body, last = range(loop.start, loop.stop)
    join = program.steps[last].operation
    assert isinstance(join, ConcatChunks)
    tape.loop_values = frozenset(name for k in body for name in results(program.steps[k].operation))
    parts: list[SymbolicTensor] = []
    copies: list[SymbolicTensor] = []
    iterations = _iterations(tape.sizes[loop.index], loop.rows)
    _record_chunks(tape, program, loop, len(iterations))
    for iteration, (length, times) in enumerate(iterations):
        tape.sizes[loop.part], tape.iteration = length, iteration
        before, live = tuple(replace(costs[k]) for k in body), memory.live
        recorded = len(tape.nodes)
        run_steps(tape, program, range(loop.start, last), costs)
        part = tape.values.pop(join.source)
        parts.append(part)
        for name in [name for name in tape.values if name in tape.loop_values]:
            memory.free(tape.values.pop(name))
        if loop.recompute:
            kernels.begin(costs[loop.start])
            _checkpoint(tape, program, loop, recorded, length)
        if times == 1:
            continue
        for k, earlier in zip(body, before, strict=True):
            costs[k].repeat(earlier, times)
        left_behind = memory.live - live - part.bytes
        copies.append(memory.new(((times - 1) * part.count,), part.width))
        left = memory.new((max(left_behind, 0) * (times - 1),), 1)
        tape.repeated[iteration] = times, left
    tape.iteration = None
    kernels.begin(costs[last])
    _join(tape, program, last, join, parts)
    for tensor in (*parts, *copies):
        memory.free(tensor)
    for name in program.steps[last].drops:
        if name in tape.values:
            memory.free(tape.values.pop(name))


def _iterations(size: int, rows: int) -> tuple[tuple[int, int], ...]:
    """The lengths of the iterations that are run, and how many each of them stands for.

    The first and the last are run themselves: what they allocate and free shows in the peak.
    """
    whole = int(max(size - 1, 0) // rows)  # a count of its own, whatever else sizes know
    rest = size - whole * rows
    if whole <= 1:
        return ((rows, 1),) * whole + ((rest, 1),)
    return ((rows, 1), (rows, whole - 1), (rest, 1))


def _record_chunks(tape: Tape, program: TensorProgram, loop: Loop, count: int) -> None:
    """Record what is cut into chunks: the gradients of all its chunks are copied into one."""
    kernels = tape.kernels
    for number in range(loop.start, loop.stop):
        operation = program.steps[number].operation
        if not isinstance(operation, Chunk) or operation.source not in tape.differentiable:
            continue
        slots = tuple(f"{operation.result} {iteration}" for iteration in range(count))
        whole = tape.values[operation.source]

        def backward(*_: SymbolicTensor | None, whole: SymbolicTensor = whole) -> Gradients:
            kernels.call()
            result = kernels.new(whole.shape, whole.width)
            kernels.copied(result)
            return [result]

        tape.chunk_slots.update(slots)
        source = tape.slot(operation.source)
        tape.nodes.append(TapeNode(number, None, slots, (source,), (True,), (), backward))


@on_tape(ConcatChunks)
def _join(
    tape: Tape, program: TensorProgram, number: int, join: ConcatChunks, parts: list[SymbolicTensor]
) -> None:
    """Concatenate the results of all iterations."""
    requires_grad = (join.source in tape.differentiable,) * len(parts)
    shape = tape.shape(program.values[join.result].shape)
    outcome: OpResult = concatenate(Call(tape.kernels, parts, requires_grad, shape), join)
    tape.values[join.result] = outcome.result
    slots = tuple(f"{join.source} {iteration}" for iteration in range(len(parts)))
    tape.record(number, (join.result,), slots, requires_grad, outcome)


# ── recomputation ───────────────────────────────────────────────────────────────────────────────


def _checkpoint(tape: Tape, program: TensorProgram, loop: Loop, recorded: int, length: int) -> None:
    """Free what the iteration under way has saved, but for its inputs."""
    memory = tape.kernels.memory
    nodes = tuple(node for node in tape.nodes[recorded:] if isinstance(node, TapeNode))
    assert tape.iteration is not None
    if not nodes:
        return
    tape.kernels.checkpoint()
    del tape.nodes[recorded:]
    read = {k for step in program.steps[loop.start : loop.stop] for k in sources(step.operation)}
    inputs = {name: memory.keep(tape.values[name]) for name in sorted(read - tape.loop_values)}
    for node in nodes:
        for tensor in node.saved:
            memory.free(tensor)
    stop = max((node.step for node in nodes if node.saved), default=loop.start)
    tape.nodes.append(RecomputedIteration(tape.iteration, length, inputs, nodes, stop))


def recompute(
    tape: Tape, program: TensorProgram, first: RecomputedIteration, costs: tuple[OpCost, ...]
) -> tuple[TapeNode, ...]:
    """Run an iteration again as its forward pass did; returns its nodes, which have saved all."""
    kernels, memory, loop = tape.kernels, tape.kernels.memory, program.loop
    assert loop is not None
    kernels.begin(costs[loop.start])
    kernels.checkpoint()
    recorded, values = len(tape.nodes), tape.values
    tape.sizes[loop.part], tape.iteration = first.length, first.iteration
    tape.values = {name: memory.keep(tensor) for name, tensor in first.inputs.items()}
    kernels.backward = False
    run_steps(tape, program, range(loop.start, first.stop), costs)
    run_steps(tape, program, range(first.stop, loop.stop - 1), tuple(OpCost() for _ in costs))
    kernels.backward, tape.iteration = True, None
    for tensor in (*tape.values.values(), *first.inputs.values()):
        memory.free(tensor)
    tape.values = values
    nodes = tuple(node for node in tape.nodes[recorded:] if isinstance(node, TapeNode))
    del tape.nodes[recorded:]
    return nodes
