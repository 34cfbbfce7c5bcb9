"""Tensor programs run operation by operation on real tensors: the reference of what they mean.

One of the files that import torch. It shares no code with the emitter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never, cast, get_args

import torch
from torch import Tensor
from torch.nn import functional

from tncompile.machine.profile import CPU
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.program import operations as op
from tncompile.program.operation import results, sources
from tncompile.program.program import Loop, TensorProgram
from tncompile.program.registry import Registry

Tensors = Mapping[str, Tensor]


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
    sizes: dict[str, int] = {}
    leading: list[tuple[int, ...]] = []
    trailing: dict[str, tuple[int, ...]] = {}  # the shapes of inputs with `...`, without it
    for declared in network.inputs:
        shape = tuple(inputs[declared.name].shape)
        own = [axis for axis in declared.axes if axis.kind in ("legs", "slices")]
        split = len(shape) - len(own)
        if any(axis.kind == "dots" for axis in declared.axes):
            leading.append(shape[:split])
            trailing[declared.name] = shape[split:]
        for axis, length in zip(own, shape[split:], strict=True):
            if axis.kind == "legs" and axis.size is None:
                sizes[axis.indices[0]] = length
    sizes = network.with_window_sizes(sizes)
    broadcast = cast(Callable[..., torch.Size], torch.broadcast_shapes)  # torch does not type it
    dots = tuple(broadcast(*leading))
    if DOTS in network.index:
        sizes[DOTS] = math.prod(dots)
    flat = dict(inputs)
    for name, rest in trailing.items():
        flat[name] = inputs[name].expand(*dots, *rest).reshape(math.prod(dots), *rest)
    numbers = (x for x in inputs.values() if x.is_floating_point() or x.is_complex())
    values = (*parameters.values(), *numbers)
    dtype = values[0].dtype if values else torch.get_default_dtype()
    if network.complex:  # constants are real
        dtype = values[0].real.dtype
    returned = Interpreter(program, flat, parameters, sizes, dtype, check=check).run()
    return returned if len(returned) > 1 else returned[0]


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
        loop, steps = self.program.loop, range(len(self.program.steps))
        if loop is not None:
            self._run_steps(steps[: loop.start])
            self._run_loop(loop)
            steps = steps[loop.stop - 1 :]
        self._run_steps(steps)
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


Leaf = op.Argument | op.LoadParameter | op.StackParameters | op.Mask | op.Ones | op.Arange


@evaluates(*get_args(Leaf))
def _leaf(state: Interpreter, operation: Leaf) -> Tensor:
    """What is read from outside of the program, or constant."""
    shape = state.shape(operation.result)
    match operation:
        case op.Argument(_, name):
            return state.inputs[name].reshape(shape)
        case op.LoadParameter(_, key, conjugate):
            parameter = state.parameters[key]
            return parameter.conj().resolve_conj() if conjugate else parameter
        case op.StackParameters(_, keys, conjugate):
            stack = torch.stack([state.parameters[key] for key in keys])
            return stack.conj().resolve_conj() if conjugate else stack
        case op.Mask(_, width):
            flags = torch.arange(math.prod(shape), device=state.device) < width
            return flags.to(state.dtype).reshape(shape)
        case op.Ones():
            return torch.ones(shape, dtype=state.dtype, device=state.device)
        case op.Arange(_, length):
            return torch.arange(length, device=state.device).reshape(shape)
        case _:
            assert_never(operation)


@evaluates(op.Stack, op.Cat)
def _listed(state: Interpreter, operation: op.Stack | op.Cat) -> Tensor:
    tensors = [state.names[name] for name in operation.sources]
    return torch.stack(tensors) if isinstance(operation, op.Stack) else torch.cat(tensors)


class RowMajorGradient(torch.autograd.Function):
    """The value itself; its gradient is made contiguous in backward."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


_with_row_major_gradient: Callable[[Tensor], object] = RowMajorGradient.apply

Layout = (
    op.View | op.Copy | op.Contiguous | op.Permute | op.Expand | op.ContiguousGrad
    | op.Slice | op.Crop | op.Select | op.Unbind | op.Split | op.Pad | op.IndexSelect | op.Chunk
)  # fmt: skip


@evaluates(*get_args(Layout))
def _layout(state: Interpreter, operation: Layout) -> Tensor | Sequence[Tensor]:
    """What takes, repeats or moves entries of one tensor."""
    source = state.names[operation.source]
    match operation:
        case op.View(result) | op.Copy(result):
            return source.reshape(state.shape(result))
        case op.Contiguous():
            return source.contiguous()
        case op.Permute(_, _, order):
            return source.permute(order)
        case op.Expand(result):
            return source.expand(state.shape(result))
        case op.ContiguousGrad():
            return cast(Tensor, _with_row_major_gradient(source))
        case op.Slice(_, _, axis, start, stop, step):
            return source[(*[slice(None)] * axis, slice(start, stop, step))]
        case op.Crop(_, _, axis, before, after):
            return source.narrow(axis, before, source.shape[axis] - before - after)
        case op.Select(_, _, axis, position):
            return source.select(axis, position)
        case op.Unbind(_, _, axis):
            return source.unbind(axis)
        case op.Split(_, _, axis, lengths):
            return torch.split(source, list(lengths), axis)
        case op.Pad(result, _, axis):  # `pad` counts the axes from the last
            missing = state.shape(result)[axis] - source.shape[axis]
            return functional.pad(source, [0, 0] * (source.dim() - 1 - axis) + [0, missing])
        case op.IndexSelect(_, _, positions):
            return source.index_select(0, torch.tensor(positions, device=state.device))
        case op.Chunk(result, _, axis):
            return source.narrow(axis, state.start, state.shape(result)[axis])
        case _:
            assert_never(operation)


@evaluates(op.ConcatChunks)
def _concat_chunks(state: Interpreter, operation: op.ConcatChunks) -> Tensor:
    return torch.cat(state.chunks, operation.axis)


def _alike(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Two factors in one dtype: where one is complex, so is the other."""
    common = torch.promote_types(left.dtype, right.dtype)
    return (left.to(common), right.to(common)) if common.is_complex else (left, right)


@evaluates(op.MatMul)
def _matmul(state: Interpreter, operation: op.MatMul) -> Tensor:
    left, right = _alike(state.names[operation.left], state.names[operation.right])
    if operation.bias is not None:
        added = torch.baddbmm if left.dim() == 3 else torch.addmm
        return added(state.names[operation.bias], left, right)
    return torch.bmm(left, right) if left.dim() == 3 else torch.mm(left, right)


_CONVOLUTIONS: dict[tuple[int, bool], Callable[..., Tensor]] = {
    (1, False): functional.conv1d,
    (2, False): functional.conv2d,
    (3, False): functional.conv3d,
    (1, True): functional.conv_transpose1d,
    (2, True): functional.conv_transpose2d,
    (3, True): functional.conv_transpose3d,
}


@evaluates(op.Convolve)
def _convolve(state: Interpreter, operation: op.Convolve) -> Tensor:
    source, weight = _alike(state.names[operation.source], state.names[operation.weight])
    bias = None if operation.bias is None else state.names[operation.bias]
    call = _CONVOLUTIONS[len(operation.stride), operation.transposed]
    numbers: dict[str, object] = {
        "stride": operation.stride,
        "padding": operation.padding,
        "dilation": operation.dilation,
    }
    if operation.transposed:
        numbers["output_padding"] = operation.output_padding
        groups = state.shape(operation.result)[1] // weight.shape[1]
    else:
        groups = source.shape[1] // weight.shape[1]
    return call(source, weight, bias, groups=groups, **numbers)


@evaluates(op.PadBorders)
def _pad_borders(state: Interpreter, operation: op.PadBorders) -> Tensor:
    borders = zip(reversed(operation.before), reversed(operation.after), strict=True)
    pads = [entries for pair in borders for entries in pair]  # `pad` counts from the last axis
    return functional.pad(state.names[operation.source], pads, operation.mode)


@evaluates(*get_args(op.Arithmetic))
def _arithmetic(state: Interpreter, operation: op.Arithmetic) -> Tensor:
    values = state.names
    match operation:
        case op.Multiply(_, left, right):
            return values[left] * values[right]
        case op.Add(_, left, right):
            return values[left] + values[right]
        case op.Sum(_, source, axes):
            return values[source].sum(axes)
        case op.Times(_, source, count):
            return values[source] * count
        case op.Magnitude(_, source, axes):
            size = values[source].detach().abs()
            size = size.amax(axes, keepdim=True) if axes else size
            least = 2 * torch.finfo(size.dtype).tiny
            return size.clamp(min=least).log2().sub(0.5).floor().exp2()
        case op.Divide(_, source, scale):
            return values[source] / values[scale]
        case op.Log(_, source, axes):
            scales = values[source]
            log = scales.to(torch.promote_types(scales.dtype, torch.float32)).log()
            if any(scales.shape[k] != 1 for k in axes):
                return log.sum(axes)
            return log.squeeze(axes) if axes else log
        case op.UnravelIndex(_, source, divisor, size, last):
            digit = values[source] // divisor
            return digit if last else digit % size
        case op.RavelIndex(_, major, minor, size):
            return values[major] * size + values[minor]
        case _:
            assert_never(operation)


@evaluates(op.Unpack, op.Dequantize)
def _dequantized(state: Interpreter, operation: op.Unpack | op.Dequantize) -> Tensor:
    match operation:
        case op.Unpack(_, source):
            packed = state.names[source].to(torch.int16)
            return torch.cat([packed % 16, packed // 16], -1).to(torch.int8) - 8
        case op.Dequantize(_, codes, scale):
            scales = state.names[scale]
            return state.names[codes].to(scales.dtype) * scales
        case _:
            assert_never(operation)


@evaluates(op.Embedding, op.Gather, op.OneHot)
def _looked_up(state: Interpreter, operation: op.Embedding | op.Gather | op.OneHot) -> Tensor:
    ids = state.names[operation.ids]
    match operation:
        case op.Embedding(result, table):
            rows = state.names[table].index_select(0, ids.reshape(-1))
            return rows.reshape(state.shape(result))
        case op.Gather(_, table):
            return state.names[table].take_along_dim(ids, -1).squeeze(-1)
        case op.OneHot(_, _, size):
            classes = torch.arange(size, device=state.device)
            return (ids.unsqueeze(-1) == classes).to(state.dtype)
        case _:
            assert_never(operation)
