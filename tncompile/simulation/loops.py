"""A loop on ghosts: its turns, the joining of what they make, and turns run again going back."""

from __future__ import annotations

from dataclasses import replace

from tncompile.program.operations import Chunk, ConcatChunks, results, sources
from tncompile.program.program import Loop, TensorProgram
from tncompile.simulation.derivatives import Gradients, only
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.tape import RecomputedIteration, Tape, TapeNode, on_tape, run_steps
from tncompile.simulation.tensors import Shape, SymbolicTensor


def run_loop(state: Tape, program: TensorProgram, loop: Loop, works: tuple[OpCost, ...]) -> None:
    """Every turn of the loop, then the joining of what they made.

    One turn stands for all that are like it: its work counts as often, and so does the memory
    that it leaves behind.
    """
    device, memory = state.device, state.device.memory
    *body, last = range(loop.start, loop.stop)
    join = program.steps[last].operation
    assert isinstance(join, ConcatChunks)
    state.inside = frozenset(name for k in body for name in results(program.steps[k].operation))
    made: list[SymbolicTensor] = []
    copies: list[SymbolicTensor] = []
    turns = _turns(state.sizes[loop.index], loop.rows)
    _split(state, program, loop, len(turns))
    for turn, (length, times) in enumerate(turns):
        state.sizes[loop.part], state.turn = length, turn
        before, live = tuple(replace(works[k]) for k in body), memory.live
        recorded = len(state.nodes)
        run_steps(state, program, range(loop.start, last), works)
        part = state.names.pop(join.source)
        made.append(part)
        for name in [name for name in state.names if name in state.inside]:
            memory.free(state.names.pop(name))
        if loop.recompute:
            device.work = works[loop.start]
            _forget(state, program, loop, recorded, length)
        if times == 1:
            continue
        for k, held in zip(body, before, strict=True):
            works[k].repeat(held, times)
        left = memory.live - live - part.bytes
        copies.append(memory.new(((times - 1) * part.count,), part.width))
        state.repeated[turn] = times, memory.new((max(left, 0) * (times - 1),), 1)
    state.turn = None
    device.work = works[last]
    _join(state, program, last, join, made)
    for ghost in (*made, *copies):
        memory.free(ghost)
    for name in program.steps[last].drops:
        if name in state.names:
            memory.free(state.names.pop(name))


def _turns(size: int, rows: int) -> tuple[tuple[int, int], ...]:
    """Lengths of the turns worth running, and how many turns each stands for.

    The first and the last are run as they are: what they allocate and free shows in the peak.
    """
    whole, rest = divmod(size, rows)
    if not rest and whole:
        whole, rest = whole - 1, rows
    last = ((rest, 1),) if rest else ((0, 1),)
    if whole <= 1:
        return ((rows, 1),) * whole + last
    return ((rows, 1), (rows, whole - 1), *last)


def _split(state: Tape, program: TensorProgram, loop: Loop, turns: int) -> None:
    """Remember what is cut into parts: their gradients are copied together in the end."""
    device = state.device
    for number in range(loop.start, loop.stop):
        operation = program.steps[number].operation
        if not isinstance(operation, Chunk) or operation.source not in state.differentiable:
            continue
        slots = tuple(f"{operation.result} {turn}" for turn in range(turns))
        shape = state.names[operation.source].shape

        def back(gradients: Gradients, shape: Shape = shape) -> Gradients:
            device.call()
            made = device.new(shape)
            device.copied(made)
            return [made]

        sources = (state.slot(operation.source),)
        state.cut.update(slots)
        state.nodes.append(TapeNode(number, None, slots, sources, (True,), (), back))


@on_tape(ConcatChunks)
def _join(
    state: Tape, program: TensorProgram, number: int, join: ConcatChunks, made: list[SymbolicTensor]
) -> None:
    """`torch.cat` of the parts; the gradients of the parts are views of its own."""
    device = state.device
    result = device.new(state.shape(program.values[join.result].shape), made[0].width)
    device.call()
    device.copied(result)
    state.names[join.result] = result
    shapes = [ghost.shape for ghost in made]

    def back(gradients: list[SymbolicTensor | None]) -> list[SymbolicTensor | None]:
        gradient = only(gradients)
        device.call()
        return [device.view(gradient, shape, gradient.strides) for shape in shapes]

    if join.source in state.differentiable:
        state.differentiable.add(join.result)
        sources = tuple(f"{join.source} {turn}" for turn in range(len(made)))
        needs = (True,) * len(made)
        state.nodes.append(TapeNode(number, None, (join.result,), sources, needs, (), back))


# ── turns run again ─────────────────────────────────────────────────────────────────────────────


def _forget(state: Tape, program: TensorProgram, loop: Loop, recorded: int, length: int) -> None:
    """Let go of what the turn under way has saved, but for what it was given."""
    memory = state.device.memory
    nodes = tuple(node for node in state.nodes[recorded:] if isinstance(node, TapeNode))
    assert state.turn is not None
    if not nodes:
        return
    state.device.again()
    del state.nodes[recorded:]
    read = {k for step in program.steps[loop.start : loop.stop] for k in sources(step.operation)}
    given = {name: memory.keep(state.names[name]) for name in sorted(read - state.inside)}
    for node in nodes:
        for ghost in node.saved:
            memory.free(ghost)
    stop = max((node.step for node in nodes if node.saved), default=loop.start)
    state.nodes.append(RecomputedIteration(state.turn, length, given, nodes, stop))


def rerun(
    state: Tape, program: TensorProgram, held: RecomputedIteration, works: tuple[OpCost, ...]
) -> tuple[TapeNode, ...]:
    """Run a turn again as its forward pass did; the nodes to go back through, all saved."""
    device, memory, loop = state.device, state.device.memory, program.loop
    assert loop is not None
    device.work = works[loop.start]
    device.again()
    recorded, names = len(state.nodes), state.names
    state.sizes[loop.part], state.turn = held.length, held.turn
    state.names = {name: memory.keep(ghost) for name, ghost in held.given.items()}
    device.backward = False
    run_steps(state, program, range(loop.start, held.stop), works)
    peak = memory.peak
    run_steps(state, program, range(held.stop, loop.stop - 1), tuple(OpCost() for _ in works))
    memory.peak = peak
    device.backward, state.turn = True, None
    for ghost in (*state.names.values(), *held.given.values()):
        memory.free(ghost)
    state.names = names
    nodes = tuple(node for node in state.nodes[recorded:] if isinstance(node, TapeNode))
    del state.nodes[recorded:]
    return nodes
