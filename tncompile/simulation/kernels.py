"""Kernels on symbolic tensors: they allocate what torch's do and count the work."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.machine.profile import SMALL_PRODUCT, MachineProfile
from tncompile.simulation import tensors
from tncompile.simulation.tensors import Allocator, Shape, SymbolicTensor, blas_takes

ID_WIDTH = 8
"""Bytes of an integer id."""

CHECKPOINT_FORWARD, CHECKPOINT_BACKWARD = 30, 60
"""Cost of `torch.utils.checkpoint` in each pass, in calls of a module."""


_COUNTED = ("multiply_adds", "flops", "moved", "copied", "seconds", "calls")


@dataclass(slots=True)
class OpCost:
    """The cost of one step of a program: predicted seconds, the rest is counted."""

    multiply_adds: int = 0
    flops: int = 0
    moved: int = 0  # bytes read and written
    copied: int = 0  # bytes written only to change a layout
    largest: int = 0  # elements of the largest result
    seconds: float = 0.0
    calls: float = 0.0  # the host's part of the seconds: calling, recording, looking up
    peak: int = 0  # bytes alive while it runs, at the most
    before: int = 0  # bytes alive when that run of it began

    def add(self, other: OpCost) -> None:
        """Add another cost, of a step that runs at another time."""
        if other.peak > self.peak:
            self.peak, self.before = other.peak, other.before
        self.largest = max(self.largest, other.largest)  # field by field: a search adds often
        self.multiply_adds += other.multiply_adds
        self.flops += other.flops
        self.moved += other.moved
        self.copied += other.copied
        self.seconds += other.seconds
        self.calls += other.calls

    def spend(self, seconds: float) -> None:
        """Add seconds of the host."""
        self.seconds += seconds
        self.calls += seconds

    def overlapped(self) -> float:
        """Seconds where launches and kernels overlap: the larger of host and device time."""
        return max(self.calls, self.seconds - self.calls)

    def repeat(self, before: OpCost, times: int) -> None:
        """Count what was added since `before` as often as `times`."""
        for name in _COUNTED:
            count = getattr(self, name)
            setattr(self, name, count + (count - getattr(before, name)) * (times - 1))


class KernelModel:
    """Kernels that allocate what torch's allocate and count their work in `work`."""

    def __init__(self, profile: MachineProfile, width: int) -> None:
        """`width` is the bytes of a number."""
        self.profile = profile
        self.width = width
        self.memory = Allocator(profile.fresh, profile.kept)
        self.work = OpCost()
        self.overhead = 0.0  # seconds that belong to no step
        self.backward = False  # which pass is under way
        self.recording = False  # whether autograd records the calls
        self.noncontiguous_gradient = False  # BLAS did not take the last product's gradient as is
        self._before = 0  # bytes alive when the step under way began

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def begin(self, work: OpCost) -> None:
        """Count in `work` from here on; what was counted in until now keeps its peak.

        The peak of the memory is that of the step under way, then.
        """
        memory, ended = self.memory, self.work
        if memory.peak > ended.peak:
            ended.peak, ended.before = memory.peak, self._before
        memory.peak = self._before = memory.live
        self.work = work

    def call(self, *, view: bool = False) -> None:
        """Count the overhead of an operation, or of its node in the backward pass."""
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

    def begin_forward(self) -> None:
        """Count the call of a module; what is alive now stays alive."""
        self.memory.mark_baseline()
        self.overhead += self.profile.forward_start

    def checkpoint(self) -> None:
        """Count `torch.utils.checkpoint` around a part, or its second run in the backward pass."""
        calls = CHECKPOINT_BACKWARD if self.backward else CHECKPOINT_FORWARD
        self.work.spend(calls * self.profile.forward_start)

    def begin_backward(self) -> None:
        """Count the start of the backward pass, which is under way from here on."""
        self.backward = True
        self.overhead += self.profile.backward_start

    def stream(self, *streamed: SymbolicTensor, flops: int = 0) -> None:
        """Count one pass over these tensors."""
        moved = sum(tensor.bytes for tensor in streamed)
        self.work.moved += moved
        self.work.flops += flops
        if moved:
            self.work.seconds += self.profile.pass_seconds(moved)

    def copied(self, copy: SymbolicTensor, run: int | None = None) -> None:
        """Count the making of a copy.

        `run` elements are contiguous both in the source and in the copy, all of them by default.
        """
        size = copy.count * copy.width
        self.work.copied += size
        self.work.moved += 2 * size
        if size:
            run_bytes = size if run is None else run * copy.width
            self.work.seconds += self.profile.copy_seconds(size, run_bytes)

    def new(
        self, shape: Shape, width: int | None = None, strides: Shape | None = None
    ) -> SymbolicTensor:
        """Allocate a tensor, row-major unless there are strides."""
        tensor = self.scratch(shape, self.width if width is None else width, strides)
        self.work.largest = max(self.work.largest, tensor.count)
        return tensor

    def scratch(self, shape: Shape, width: int, strides: Shape | None = None) -> SymbolicTensor:
        """Allocate memory that is no result, of a call for itself."""
        before = self.memory.faulted
        tensor = self.memory.new(shape, width, strides)
        if self.memory.faulted > before:
            self.work.seconds += self.profile.fault_seconds(self.memory.faulted - before)
        return tensor

    def view(self, source: SymbolicTensor, shape: Shape, strides: Shape) -> SymbolicTensor:
        """A view of the same memory, one more holder of it."""
        return self.memory.keep(source.as_strided(shape, strides))

    # ── kernels ────────────────────────────────────────────────────────────────────────────────

    def clone(self, source: SymbolicTensor) -> SymbolicTensor:
        """A row-major copy."""
        copy = self.new(source.shape, source.width)
        self.copied(copy, tensors.shared_run(source, copy.strides))
        return copy

    def resolved(self, source: SymbolicTensor) -> SymbolicTensor:
        """The tensor itself, or where it is marked as conjugate, a copy without the mark."""
        if not source.conjugate:
            return self.memory.keep(source)
        copy = self.new(source.shape, source.width, source.strides if source.dense else None)
        self.copied(copy)
        return copy

    def contiguous(self, source: SymbolicTensor) -> SymbolicTensor:
        """The tensor itself where it is row-major, else a copy."""
        return self.memory.keep(source) if source.contiguous else self.clone(source)

    def is_complex(self, tensor: SymbolicTensor) -> bool:
        """Whether a tensor, not of ids, holds complex numbers: two real ones an element."""
        return tensor.width > self.width

    def arithmetic(self, *tensors: SymbolicTensor) -> int:
        """Real multiply-adds of one of a product of some factors, gradients among them.

        Four where two of them are complex and the third one, their product or gradient, is too; two
        where one of the three is real, and nothing is spent on an imaginary part that is not there.
        """
        return (1, 1, 2, 4)[sum(self.is_complex(tensor) for tensor in tensors)]

    def widened(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """A real tensor as a complex one, a copy."""
        copy = self.new(tensor.shape, 2 * self.width, tensor.strides if tensor.dense else None)
        self.stream(tensor, copy)
        return copy

    def zeros(self, shape: Shape, width: int | None = None) -> SymbolicTensor:
        """A new tensor filled with a constant."""
        tensor = self.new(shape, width)
        self.stream(tensor)
        return tensor

    def matmul(
        self, left: SymbolicTensor, right: SymbolicTensor, width: int | None = None
    ) -> SymbolicTensor:
        """`mm` or `bmm`, with the copies of operands that BLAS does not take as they are.

        The result has elements of `width`, by default as wide as those of the wider operand.
        """
        batch, (rows, inner), columns = left.shape[:-2], left.shape[-2:], right.shape[-1]
        matrices = batch[0] if batch else 1
        result = self.new((*batch, rows, columns), width or max(left.width, right.width))
        copies = []
        if left.conjugate and (batch or not tensors.column_major(left)):
            copies.append(left := self.resolved(left))  # else BLAS conjugates as it transposes
        if right.conjugate and (batch or not tensors.column_major(right)):
            copies.append(right := self.resolved(right))
        work, arithmetic = self.work, self.arithmetic(left, right, result)
        multiply_adds = arithmetic * matrices * rows * inner * columns
        one_by_one = False  # whether torch multiplies the matrices of a batch one by one
        if self.profile.overlaps:  # cuBLAS: all matrices of an operand are copied at once
            for operand in (left, right):
                if not blas_takes(operand, "bmm" if batch else "mm"):
                    self.memory.free(self.clone(operand))
                    work.spend(self.profile.call)
        else:
            small = rows * inner * columns < SMALL_PRODUCT
            uncopied = small or (blas_takes(left, "bmm") and blas_takes(right, "bmm"))
            one_by_one = bool(batch) and not uncopied
            for operand in (left, right) if one_by_one or not batch else ():
                if not blas_takes(operand, "mm"):  # each matrix is copied before its product
                    self.memory.free(self.memory.new(operand.shape[-2:], operand.width))
                    self.copied(operand, 1)
                    work.spend(matrices * self.profile.call)
        work.multiply_adds += multiply_adds
        work.flops += 2 * multiply_adds
        work.moved += left.bytes + right.bytes + result.bytes
        if one_by_one:
            work.spend(matrices * (self.profile.call + 2 * self.profile.view_call))
        work.seconds += (
            (matrices if one_by_one else 1)
            * arithmetic
            * self.profile.product_seconds(
                1 if one_by_one else matrices,
                rows,
                inner,
                columns,
                shared=(
                    bool(batch) and left.strides[0] == 0,
                    bool(batch) and right.strides[0] == 0,
                ),
                transposed=(tensors.column_major(left), tensors.column_major(right)),
                width=self.width,
            )
        )
        for tensor in copies:
            self.memory.free(tensor)
        return result

    def reshape(self, source: SymbolicTensor, shape: Shape) -> SymbolicTensor:
        """The same elements in another shape: a view where the strides allow it, else a copy."""
        strides = tensors.viewed_strides(source.shape, source.strides, shape)
        if strides is not None:
            return self.view(source, shape, strides)
        copy = self.new(shape, source.width)
        self.copied(copy, tensors.shared_run(source, tensors.contiguous_strides(source.shape)))
        return copy

    def elementwise(
        self, left: SymbolicTensor, right: SymbolicTensor, flops: int = 1
    ) -> SymbolicTensor:
        """A sum or product of two tensors of equal rank, axes of length 1 broadcast."""
        shape = tuple(map(max, left.shape, right.shape))
        conjugate = left.conjugate or right.conjugate
        resolved = [self.resolved(each) for each in (left, right)] if conjugate else []
        left, right = resolved or (left, right)
        strides = tensors.elementwise_strides(shape, (left, right))
        result = self.new(shape, max(left.width, right.width), strides)
        self.stream(left, right, result, flops=flops * result.count)
        wide = [tensors.broadcast_strides(operand, shape) for operand in (left, right)]
        run = tensors.common_run(shape, result.strides, wide)
        if run < result.count:
            self.work.seconds += self.profile.run_seconds(result.count, run)
        for tensor in resolved:
            self.memory.free(tensor)
        return result

    def sum_to(self, source: SymbolicTensor, shape: Shape, added: int = 0) -> SymbolicTensor:
        """The sum over the axes along which `shape` was expanded; `source` itself without any.

        torch also sums over the first `added` axes, which an expansion has put in front, even
        where they are of length 1.
        """
        pairs = zip(source.shape, shape, strict=True)
        axes = tuple(k for k, (wide, length) in enumerate(pairs) if wide != length or k < added)
        return self.sum(source, axes, shape) if axes else self.memory.keep(source)

    def sum(self, source: SymbolicTensor, axes: tuple[int, ...], shape: Shape) -> SymbolicTensor:
        """The sum over some axes, a tensor of this shape; short contiguous rows are slower."""
        result = self.new(shape, source.width)
        if not source.count:
            return result
        moved = source.bytes + result.bytes
        self.work.moved += moved
        self.work.flops += source.count
        row = 1
        for step, k in sorted((step, k) for k, step in enumerate(source.strides)):
            if source.shape[k] == 1:
                continue
            if k not in axes or step != row:
                break
            row *= source.shape[k]
        if row > 1:
            self.work.seconds += self.profile.reduction_seconds(source.bytes, row * source.width)
        else:
            self.work.seconds += self.profile.pass_seconds(moved)
        return result
