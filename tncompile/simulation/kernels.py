"""Symbolic kernels: they allocate what those of torch do, and count the work they would do."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.machine.profile import SMALL_PRODUCT, MachineProfile
from tncompile.simulation.strides import (
    batch_takes,
    blas_takes,
    broadcast_strides,
    column_major,
    common_run,
    elementwise_strides,
    shared_run,
    viewed_strides,
)
from tncompile.simulation.tensors import Allocator, Shape, SymbolicTensor, contiguous_strides

ID_WIDTH = 8
"""Bytes of an integer id."""

LISTED = 0.3
"""Looking up a member of a family among many, as a share of looking up a parameter."""

KEEPING, RERUNNING = 30, 60
"""What `torch.utils.checkpoint` takes forward and backward, in calls of a module."""


@dataclass(slots=True)
class OpCost:
    """What one step of the program costs; seconds are predicted, the rest is counted.

    `calls` are those of the seconds that the host takes to call, record and look up.
    """

    multiply_adds: int = 0
    flops: int = 0
    moved: int = 0  # bytes read and written
    copied: int = 0  # bytes written only to change a layout
    largest: int = 0  # elements of the largest tensor made
    seconds: float = 0.0
    calls: float = 0.0

    def add(self, other: OpCost) -> None:
        """Count the other's work as well."""
        self.multiply_adds += other.multiply_adds
        self.flops += other.flops
        self.moved += other.moved
        self.copied += other.copied
        self.largest = max(self.largest, other.largest)
        self.seconds += other.seconds
        self.calls += other.calls

    def spend(self, seconds: float) -> None:
        """Count seconds of the host."""
        self.seconds += seconds
        self.calls += seconds

    def overlapped(self) -> float:
        """The seconds where calls do not wait for their work: whichever takes longer hides all."""
        return max(self.calls, self.seconds - self.calls)

    def repeat(self, before: OpCost, times: int) -> None:
        """Count what came since `before` several times over."""
        if times > 1:
            self.multiply_adds += (self.multiply_adds - before.multiply_adds) * (times - 1)
            self.flops += (self.flops - before.flops) * (times - 1)
            self.moved += (self.moved - before.moved) * (times - 1)
            self.copied += (self.copied - before.copied) * (times - 1)
            self.seconds += (self.seconds - before.seconds) * (times - 1)
            self.calls += (self.calls - before.calls) * (times - 1)


class KernelModel:
    """Symbolic kernels: they allocate what torch's allocate and count the work they would do.

    `backward` says which pass is under way, `recording` whether autograd notes what is called,
    `overhead` are the seconds that no single step takes.
    """

    def __init__(self, profile: MachineProfile, width: int) -> None:
        self.profile = profile
        self.width = width
        self.memory = Allocator(profile.fresh, profile.kept)
        self.work = OpCost()
        self.overhead = 0.0
        self.backward = False
        self.awkward = False  # the last product went back from a gradient that BLAS does not take
        self.recording = False

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def call(self, *, view: bool = False) -> None:
        """Count the overhead of one operation, in the backward pass that of its node."""
        profile = self.profile
        if self.backward:
            overhead = profile.backward_view_call if view else profile.backward_call
        else:
            overhead = profile.view_call if view else profile.call
            overhead += profile.recording if self.recording else 0.0
        self.work.spend(overhead)

    def inner_call(self) -> None:
        """Count the overhead of a second operation in the same call or node."""
        self.work.spend(self.profile.call)

    def read(self, key: str) -> None:
        """Count the look-up of a parameter; members of a family are in a module of their own."""
        self.work.spend(self.profile.parameter * (1 + min(1, key.count("."))))

    def read_several(self, count: int) -> None:
        """Count the look-up of members of families, many at a time."""
        self.work.spend(self.profile.parameter * (1 + LISTED * count))

    def begin_forward(self) -> None:
        """Count what calling a module takes; what is alive now stays alive."""
        self.memory.settle()
        self.overhead += self.profile.forward_start

    def again(self) -> None:
        """Count what it takes to keep a part from being saved and, going back, to run it again."""
        calls = RERUNNING if self.backward else KEEPING
        self.work.spend(calls * self.profile.forward_start)

    def begin_backward(self) -> None:
        """Count what it takes until the first node runs; the passes differ from here on."""
        self.backward = True
        self.overhead += self.profile.backward_start

    def stream(self, *ghosts: SymbolicTensor, flops: int = 0) -> None:
        """Count one pass over these tensors."""
        moved = sum(ghost.bytes for ghost in ghosts)
        self.work.moved += moved
        self.work.flops += flops
        if moved:
            self.work.seconds += self.profile.pass_seconds(moved)

    def copied(self, made: SymbolicTensor, run: int | None = None) -> None:
        """Count the bytes of a copy (a tensor read and written once).

        `run` are the elements that lie together in the source and in the copy; all without it.
        """
        size = made.count * made.width
        self.work.copied += size
        self.work.moved += 2 * size
        if size:
            run_bytes = size if run is None else run * made.width
            self.work.seconds += self.profile.copy_seconds(size, run_bytes)

    def new(
        self, shape: Shape, width: int | None = None, strides: Shape | None = None
    ) -> SymbolicTensor:
        """Allocate a tensor."""
        before = self.memory.faulted
        made = self.memory.new(shape, self.width if width is None else width, strides)
        self.work.largest = max(self.work.largest, made.count)
        if self.memory.faulted > before:
            self.work.seconds += self.profile.fault_seconds(self.memory.faulted - before)
        return made

    def view(self, source: SymbolicTensor, shape: Shape, strides: Shape) -> SymbolicTensor:
        """Another look at the same memory."""
        return self.memory.keep(SymbolicTensor(shape, strides, source.block, source.width))

    # ── kernels ────────────────────────────────────────────────────────────────────────────────

    def clone(self, source: SymbolicTensor) -> SymbolicTensor:
        """A contiguous copy."""
        made = self.new(source.shape, source.width)
        self.copied(made, shared_run(source, made.strides))
        return made

    def zeros(self, shape: Shape) -> SymbolicTensor:
        """A tensor filled with zeros."""
        made = self.new(shape)
        self.stream(made)
        return made

    def matmul(self, left: SymbolicTensor, right: SymbolicTensor) -> SymbolicTensor:
        """`mm` or `bmm`, what it copies inside included."""
        batch, (rows, inner), columns = left.shape[:-2], left.shape[-2:], right.shape[-1]
        matrices = batch[0] if batch else 1
        made = self.new((*batch, rows, columns))
        own = bool(batch) and rows * inner * columns < SMALL_PRODUCT
        fits = own or not batch or (batch_takes(left) and batch_takes(right))
        apart: tuple[SymbolicTensor, ...] = (
            left,
            right,
        )  # copied matrix by matrix if BLAS takes none
        if self.profile.overlaps:
            self._straighten(left, right)
            fits, apart = True, ()
        for ghost in apart:
            if (fits and batch) or blas_takes(ghost):
                continue
            inside = self.memory.new(ghost.shape[-2:], ghost.width)  # one matrix at a time
            self.memory.free(inside)
            size = ghost.count * ghost.width
            self.work.copied += size
            self.work.moved += 2 * size
            self.work.seconds += self.profile.copy_seconds(size, ghost.width)
            self.work.spend(matrices * self.profile.call)
        multiply_adds = matrices * rows * inner * columns
        self.work.multiply_adds += multiply_adds
        self.work.flops += 2 * multiply_adds
        self.work.moved += left.bytes + right.bytes + made.bytes
        if not fits:  # then torch takes the matrices apart and multiplies them one by one
            self.work.spend(matrices * (self.profile.call + 2 * self.profile.view_call))
        self.work.seconds += (1 if fits else matrices) * self.profile.product_seconds(
            matrices if fits else 1,
            rows,
            inner,
            columns,
            left_shared=bool(batch) and left.strides[0] == 0,
            right_shared=bool(batch) and right.strides[0] == 0,
            left_transposed=column_major(left),
            right_transposed=column_major(right),
            width=self.width,
        )
        return made

    def _straighten(self, *operands: SymbolicTensor) -> None:
        """Copy what cuBLAS does not take as it lies, all matrices of it at once."""
        for ghost in operands:
            if not (batch_takes(ghost) if len(ghost.shape) == 3 else blas_takes(ghost)):
                self.memory.free(self.clone(ghost))
                self.work.spend(self.profile.call)

    def reshape(self, source: SymbolicTensor, shape: Shape) -> SymbolicTensor:
        """The same elements in another shape: a view where strides allow it, else a copy."""
        strides = viewed_strides(source.shape, source.strides, shape)
        if strides is not None:
            return self.view(source, shape, strides)
        made = self.new(shape, source.width)
        self.copied(made, shared_run(source, contiguous_strides(source.shape)))
        return made

    def elementwise(
        self, left: SymbolicTensor, right: SymbolicTensor, flops: int = 1
    ) -> SymbolicTensor:
        """A sum or product of two tensors of equal rank, axes of length 1 repeated."""
        shape = tuple(map(max, left.shape, right.shape))
        made = self.new(shape, left.width, elementwise_strides(shape, (left, right)))
        self.stream(left, right, made, flops=flops * made.count)
        wide = [broadcast_strides(operand, shape) for operand in (left, right)]
        run = common_run(shape, made.strides, wide)
        if run < made.count:
            self.work.seconds += self.profile.run_seconds(made.count, run)
        return made

    def sum(self, source: SymbolicTensor, axes: tuple[int, ...]) -> SymbolicTensor:
        """The sum over some axes, which are gone afterwards."""
        kept = tuple(length for k, length in enumerate(source.shape) if k not in axes)
        made = self.new(kept, source.width)
        self._reduce(source, made, axes)
        return made

    def sum_to(self, source: SymbolicTensor, shape: Shape, added: int = 0) -> SymbolicTensor:
        """The sum over the axes along which `shape` was repeated, none of them maybe.

        torch sums over the first axes that repeating `added`, even where they are of length 1.
        """
        axes = tuple(
            k
            for k, (wide, length) in enumerate(zip(source.shape, shape, strict=True))
            if wide != length or k < added
        )
        if not axes:
            return self.memory.keep(source)
        made = self.new(shape, source.width)
        self._reduce(source, made, axes)
        return made

    def _reduce(self, source: SymbolicTensor, made: SymbolicTensor, axes: tuple[int, ...]) -> None:
        """Count a sum over some axes; short rows that each give one number take longer."""
        if not source.count:
            return
        self.work.moved += source.bytes + made.bytes
        self.work.flops += source.count
        row, stride = 1, 1
        for step, k in sorted((step, k) for k, step in enumerate(source.strides)):
            if source.shape[k] == 1:
                continue
            if k not in axes or step != stride:
                break
            row, stride = row * source.shape[k], stride * source.shape[k]
        if row > 1:
            row_bytes = row * source.width
            self.work.seconds += self.profile.reduction_seconds(source.bytes, row_bytes)
        else:
            self.work.seconds += self.profile.pass_seconds(source.bytes + made.bytes)

    def repeat(self, source: SymbolicTensor, shape: Shape) -> SymbolicTensor:
        """A view that repeats axes of length 1."""
        return self.view(source, shape, broadcast_strides(source, shape))
