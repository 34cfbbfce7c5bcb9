"""Tensor programs run operation by operation on real tensors: the reference of what they mean.

One of the files that import torch. It shares no code with the emitter. `time_steps` times each
operation by itself: a module that runs the same program also checks its input, and under `no_grad`
writes some results in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional

from tncompile.machine.host import synchronize
from tncompile.machine.profile import CPU
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.program import operations as op
from tncompile.program.operations import parameter_keys, results, sources
from tncompile.program.program import Loop, TensorProgram
from tncompile.program.registry import Registry

Tensors = Mapping[str, Tensor]
T = TypeVar("T")

READINGS = 15
"""How often an operation is timed at most."""

ENOUGH = 0.06
"""Seconds after which an operation is timed no further, three readings at least."""


def run_program(
    network: TensorNetwork,
    program: TensorProgram,
    parameters: Tensors,
    inputs: Tensors,
    check: Callable[[str, Tensor], None] | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """What the program returns; `...` stays one flattened axis.

    `parameters` are by key, `inputs` by name. `check` sees every value by its name.

    Raises:
        ValueError: a value does not have the shape that the program says.
    """
    sizes, dots = _bind_sizes(network, inputs)
    flat: dict[str, Tensor] = {}
    for declared in network.inputs:
        value = inputs[declared.name]
        if any(axis.kind == "dots" for axis in declared.axes):
            own = sum(axis.kind in ("legs", "slices") for axis in declared.axes)
            rest = value.shape[value.dim() - own :]
            value = value.expand(*dots, *rest).reshape(math.prod(dots), *rest)
        flat[declared.name] = value
    values = (*parameters.values(), *(x for x in inputs.values() if x.is_floating_point()))
    dtype = values[0].dtype if values else torch.get_default_dtype()
    returned = Interpreter(program, flat, parameters, sizes, dtype, check=check).run()
    return returned if len(returned) > 1 else returned[0]


def _bind_sizes(network: TensorNetwork, inputs: Tensors) -> tuple[dict[str, int], tuple[int, ...]]:
    """The run-time sizes of these inputs, and the broadcast shape of `...`."""
    sizes: dict[str, int] = {}
    leading: list[tuple[int, ...]] = []
    for declared in network.inputs:
        shape = tuple(inputs[declared.name].shape)
        own = [axis for axis in declared.axes if axis.kind in ("legs", "slices")]
        if any(axis.kind == "dots" for axis in declared.axes):
            leading.append(shape[: len(shape) - len(own)])
        for axis, length in zip(own, shape[len(shape) - len(own) :], strict=True):
            if axis.kind == "legs" and axis.size is None:
                sizes[axis.indices[0]] = length
    broadcast = cast(Callable[..., torch.Size], torch.broadcast_shapes)  # torch does not type it
    dots = tuple(broadcast(*leading))
    if DOTS in network.index:
        sizes[DOTS] = math.prod(dots)
    return sizes, dots


@dataclass
class Interpreter:
    """A program under way: the values that are alive, by name."""

    program: TensorProgram
    inputs: Tensors
    parameters: Tensors
    sizes: dict[str, int]
    dtype: torch.dtype
    device: str = CPU
    check: Callable[[str, Tensor], None] | None = None
    names: dict[str, Tensor] = field(default_factory=dict)
    start: int = 0  # where the chunk of the iteration under way begins
    chunks: list[Tensor] = field(default_factory=list)

    def run(self) -> tuple[Tensor, ...]:
        """What the program returns."""
        loop, end = self.program.loop, len(self.program.steps)
        if loop is None:
            self._run_steps(range(end))
        else:
            self._run_steps(range(loop.start))
            self._run_loop(loop)
            self._run_steps(range(loop.stop - 1, end))
        return tuple(self.names[name] for name in self.program.returns)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value at the run-time sizes."""
        return tuple(extent.at(self.sizes) for extent in self.program.values[name].shape)

    def evaluate(self, number: int) -> dict[str, Tensor]:
        """The results of a step by name."""
        operation = self.program.steps[number].operation
        value = EVALUATED[type(operation)](self, operation)
        values = (value,) if isinstance(value, Tensor) else value
        return dict(zip(results(operation), values, strict=True))

    def _run_steps(self, numbers: range) -> None:
        for number in numbers:
            for name, value in self.evaluate(number).items():
                if tuple(value.shape) != self.shape(name):
                    raise ValueError(f"{name} is of {tuple(value.shape)}, not {self.shape(name)}")
                self.names[name] = value
                if self.check is not None:
                    self.check(name, value)
            for name in self.program.steps[number].drops:
                del self.names[name]

    def _run_loop(self, loop: Loop) -> None:
        """All iterations; the chunks that they make are left for `ConcatChunks`."""
        before, size = self.names, self.sizes[loop.index]
        (chunk,) = sources(self.program.steps[loop.stop - 1].operation)
        for self.start in range(0, max(size, 1), loop.rows):
            self.names = dict(before)
            self.sizes[loop.part] = min(loop.rows, size - self.start)
            self._run_steps(range(loop.start, loop.stop - 1))
            self.chunks.append(self.names[chunk])
        self.start = 0


# ── operations ──────────────────────────────────────────────────────────────────────────────────

EVALUATED: Registry[Tensor | Sequence[Tensor]] = Registry()
"""What each operation computes: a function of the interpreter and the operation."""

evaluates = EVALUATED.register


@evaluates(op.Argument)
def _argument(state: Interpreter, operation: op.Argument) -> Tensor:
    return state.inputs[operation.input].reshape(state.shape(operation.result))


@evaluates(op.LoadParameter)
def _load(state: Interpreter, operation: op.LoadParameter) -> Tensor:
    parameter = state.parameters[operation.key]
    return parameter.conj().resolve_conj() if operation.conjugate else parameter


@evaluates(op.StackParameters)
def _stack_parameters(state: Interpreter, operation: op.StackParameters) -> Tensor:
    stack = torch.stack([state.parameters[key] for key in operation.keys])
    return stack.conj().resolve_conj() if operation.conjugate else stack


@evaluates(op.Chunk)
def _chunk(state: Interpreter, operation: op.Chunk) -> Tensor:
    length = state.shape(operation.result)[operation.axis]
    return state.names[operation.source].narrow(operation.axis, state.start, length)


@evaluates(op.ConcatChunks)
def _concat_chunks(state: Interpreter, operation: op.ConcatChunks) -> Tensor:
    return torch.cat(state.chunks, operation.axis)


@evaluates(op.Stack, op.Cat)
def _listed(state: Interpreter, operation: op.Stack | op.Cat) -> Tensor:
    tensors = [state.names[name] for name in operation.sources]
    return torch.stack(tensors) if isinstance(operation, op.Stack) else torch.cat(tensors)


@evaluates(op.View, op.Copy)
def _reshape(state: Interpreter, operation: op.View | op.Copy) -> Tensor:
    return state.names[operation.source].reshape(state.shape(operation.result))


@evaluates(
    op.Contiguous, op.Permute, op.Expand, op.Slice, op.Select, op.Sum, op.Times
)  # fmt: skip
def _unary(state: Interpreter, operation: op.Unary) -> Tensor:
    source = state.names[operation.source]
    match operation:
        case op.Permute(order=order):
            return source.permute(order)
        case op.Expand(result=result):
            return source.expand(state.shape(result))
        case op.Slice(axis=axis, start=start, stop=stop, step=step):
            return source[(*[slice(None)] * axis, slice(start, stop, step))]
        case op.Select(axis=axis, position=position):
            return source.select(axis, position)
        case op.Sum(axes=axes):
            return source.sum(axes)
        case op.Times(count=count):
            return source * count
        case _:
            return source.contiguous()


class RowMajorGradient(torch.autograd.Function):
    """The value itself; its gradient is made contiguous in backward."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


_with_row_major_gradient: Callable[[Tensor], object] = RowMajorGradient.apply


@evaluates(op.ContiguousGrad)
def _contiguous_grad(state: Interpreter, operation: op.ContiguousGrad) -> Tensor:
    return cast(Tensor, _with_row_major_gradient(state.names[operation.source]))


@evaluates(op.Unbind)
def _unbind(state: Interpreter, operation: op.Unbind) -> Sequence[Tensor]:
    return state.names[operation.source].unbind(operation.axis)


@evaluates(op.Split)
def _split(state: Interpreter, operation: op.Split) -> Sequence[Tensor]:
    return torch.split(state.names[operation.source], list(operation.lengths), operation.axis)


@evaluates(op.MatMul)
def _matmul(state: Interpreter, operation: op.MatMul) -> Tensor:
    left, right = state.names[operation.left], state.names[operation.right]
    if operation.bias is not None:
        added = torch.baddbmm if left.dim() == 3 else torch.addmm
        return added(state.names[operation.bias], left, right)
    return torch.bmm(left, right) if left.dim() == 3 else torch.mm(left, right)


@evaluates(op.Multiply, op.Add)
def _binary(state: Interpreter, operation: op.Multiply | op.Add) -> Tensor:
    left, right = state.names[operation.left], state.names[operation.right]
    return left * right if isinstance(operation, op.Multiply) else left + right


@evaluates(op.Magnitude)
def _magnitude(state: Interpreter, operation: op.Magnitude) -> Tensor:
    size = state.names[operation.source].detach().abs()
    size = size.amax(operation.axes, keepdim=True) if operation.axes else size
    return size.clamp(min=torch.finfo(size.dtype).tiny)


@evaluates(op.Divide)
def _divide(state: Interpreter, operation: op.Divide) -> Tensor:
    return state.names[operation.source] / state.names[operation.scale]


@evaluates(op.Log)
def _log(state: Interpreter, operation: op.Log) -> Tensor:
    scale = state.names[operation.source]
    log = scale.to(torch.promote_types(scale.dtype, torch.float32)).log()
    return log.squeeze(operation.axes) if operation.axes else log


@evaluates(op.IndexSelect)
def _index_select(state: Interpreter, operation: op.IndexSelect) -> Tensor:
    positions = torch.tensor(operation.positions, device=state.device)
    return state.names[operation.source].index_select(0, positions)


@evaluates(op.Pad)
def _pad(state: Interpreter, operation: op.Pad) -> Tensor:
    source, shape = state.names[operation.source], state.shape(operation.result)
    missing = shape[operation.axis] - source.shape[operation.axis]
    return functional.pad(source, [0, 0] * (len(shape) - 1 - operation.axis) + [0, missing])


@evaluates(op.Mask)
def _mask(state: Interpreter, operation: op.Mask) -> Tensor:
    shape = state.shape(operation.result)
    flags = torch.arange(math.prod(shape), device=state.device) < operation.width
    return flags.to(state.dtype).reshape(shape)


@evaluates(op.Ones)
def _ones(state: Interpreter, operation: op.Ones) -> Tensor:
    return torch.ones(state.shape(operation.result), dtype=state.dtype, device=state.device)


@evaluates(op.Arange)
def _arange(state: Interpreter, operation: op.Arange) -> Tensor:
    ids = torch.arange(operation.length, device=state.device)
    return ids.reshape(state.shape(operation.result))


@evaluates(op.UnravelIndex)
def _unravel_index(state: Interpreter, operation: op.UnravelIndex) -> Tensor:
    digit = state.names[operation.source] // operation.divisor
    return digit if operation.last else digit % operation.size


@evaluates(op.RavelIndex)
def _ravel_index(state: Interpreter, operation: op.RavelIndex) -> Tensor:
    return state.names[operation.major] * operation.size + state.names[operation.minor]


@evaluates(op.Embedding)
def _embedding(state: Interpreter, operation: op.Embedding) -> Tensor:
    rows = state.names[operation.table].index_select(0, state.names[operation.ids].reshape(-1))
    return rows.reshape(state.shape(operation.result))


@evaluates(op.Gather)
def _gather(state: Interpreter, operation: op.Gather) -> Tensor:
    return state.names[operation.table].take_along_dim(state.names[operation.ids], -1).squeeze(-1)


@evaluates(op.OneHot)
def _one_hot(state: Interpreter, operation: op.OneHot) -> Tensor:
    classes = torch.arange(operation.size, device=state.device)
    return (state.names[operation.ids].unsqueeze(-1) == classes).to(state.dtype)


# ── times ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Spent:
    """Seconds of one step, forward and backward, all iterations of a loop together."""

    forward: float = 0.0
    backward: float = 0.0


def time_steps(
    network: TensorNetwork,
    program: TensorProgram,
    weights: Tensors,
    inputs: Sequence[Tensor],
    sizes: Mapping[str, int],
    *,
    training: bool,
    device: str = CPU,
) -> tuple[Tensor, tuple[Spent, ...]]:
    """The result of a program, and the seconds of each of its steps; `weights` are by key.

    Inputs and weights are on `device`, whose work is waited for after every step. With `training`
    every operation records what it needs to go back, and goes back once for each reading. In a loop
    the first iteration is timed and counts for all.
    """
    named = {declared.name: x for declared, x in zip(network.inputs, inputs, strict=True)}
    parameters = {key: weight.detach() for key, weight in weights.items()}
    dtype = torch.get_default_dtype()
    timer = _Timer(program, named, parameters, dict(sizes), dtype, device)
    timer.training, timer.spent = training, tuple(Spent() for _ in program.steps)
    return timer.run()[0], timer.spent


class _Timer(Interpreter):
    """Runs each operation several times, its operands cut off from what was before."""

    training: bool
    spent: tuple[Spent, ...]

    def evaluate(self, number: int) -> dict[str, Tensor]:
        operation, loop = self.program.steps[number].operation, self.program.loop
        if self.start or isinstance(operation, op.Chunk):
            return super().evaluate(number)
        leaves: list[Tensor] = []
        parameters = self.parameters
        if self.training:
            for name in dict.fromkeys(sources(operation)):
                value = self.names[name]
                if self.program.values[name].parametric and value.is_floating_point():
                    leaves.append(value.detach().requires_grad_())
                    self.names[name] = leaves[-1]
            if isinstance(operation, op.StackParameters):
                keys = parameter_keys(operation)
                tracked = {key: parameters[key].detach().requires_grad_() for key in keys}
                leaves += tracked.values()
                self.parameters = {**parameters, **tracked}
        with torch.set_grad_enabled(bool(leaves)):
            forward, values = _median(lambda: super(_Timer, self).evaluate(number))
            outputs = [value for value in values.values() if value.requires_grad]
            backward = 0.0
            if leaves and outputs:
                gradients = [torch.ones_like(value) for value in outputs]
                backward, _ = _median(
                    lambda: torch.autograd.grad(
                        outputs, leaves, gradients, retain_graph=True, allow_unused=True
                    )
                )
        self.parameters = parameters
        count = 1.0
        if loop is not None and loop.start <= number < loop.stop - 1:
            count = self.sizes[loop.index] / loop.rows
            backward += forward if loop.recompute and self.training else 0.0
        self.spent[number].forward += forward * count
        self.spent[number].backward += backward * count
        return {name: value.detach() for name, value in values.items()}


def _median(action: Callable[[], T]) -> tuple[float, T]:
    """The median seconds of some runs, and what the last one returned."""
    value = action()
    synchronize()
    readings: list[float] = []
    while len(readings) < 3 or (len(readings) < READINGS and sum(readings) < ENOUGH):
        start = perf_counter()
        value = action()
        synchronize()
        readings.append(perf_counter() - start)
    return median(readings), value
