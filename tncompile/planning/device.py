"""Ghost kernels: they allocate what torch's kernels allocate and count the work they would do."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.planning.ghosts import (
    Ghost,
    Memory,
    Shape,
    batch_takes,
    blas_takes,
    broadcast_strides,
    elementwise_strides,
    viewed_strides,
)
from tncompile.planning.machine import MachineProfile

ID_WIDTH = 8
"""Bytes of an integer id."""

SMALL_PRODUCT = 400
"""`bmm` computes matrix products of fewer multiply-adds by itself, whatever the strides."""


@dataclass(slots=True)
class Work:
    """What one step of the program costs; seconds are predicted, the rest is counted."""

    multiply_adds: int = 0
    flops: int = 0
    moved: int = 0  # bytes read and written
    copied: int = 0  # bytes written only to change a layout
    largest: int = 0  # elements of the largest tensor made
    seconds: float = 0.0

    def add(self, other: Work) -> None:
        """Count the other's work as well."""
        self.multiply_adds += other.multiply_adds
        self.flops += other.flops
        self.moved += other.moved
        self.copied += other.copied
        self.largest = max(self.largest, other.largest)
        self.seconds += other.seconds


class Device:
    """Ghost kernels: they allocate what torch's allocate and count the work they would do."""

    def __init__(self, profile: MachineProfile, width: int) -> None:
        self.profile = profile
        self.width = width
        self.memory = Memory()
        self.work = Work()
        self.backward = False

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def call(self, *, view: bool = False) -> None:
        """Count the overhead of one operation."""
        overhead = self.profile.view_call if view else self.profile.call
        if self.backward:
            overhead = self.profile.backward_view_call if view else self.profile.backward_call
        self.work.seconds += overhead

    def stream(self, *ghosts: Ghost, flops: int = 0) -> None:
        """Count one pass over these tensors."""
        moved = sum(ghost.bytes for ghost in ghosts)
        self.work.moved += moved
        self.work.flops += flops
        self.work.seconds += self.profile.pass_seconds(moved)

    def copied(self, made: Ghost, rate: float | None = None) -> None:
        """Count the bytes of a copy (a tensor read and written once)."""
        size = made.count * made.width
        self.work.copied += size
        self.work.moved += 2 * size
        within = 2 * size <= self.profile.cache
        bandwidth = self.profile.cached_bandwidth / 4 if within else self.profile.copy_bandwidth
        self.work.seconds += size / (rate or bandwidth)

    def new(self, shape: Shape, width: int | None = None, strides: Shape | None = None) -> Ghost:
        """Allocate a tensor."""
        made = self.memory.new(shape, self.width if width is None else width, strides)
        self.work.largest = max(self.work.largest, made.count)
        return made

    def view(self, source: Ghost, shape: Shape, strides: Shape) -> Ghost:
        """Another look at the same memory."""
        return self.memory.keep(Ghost(shape, strides, source.block, source.width))

    # ── kernels ────────────────────────────────────────────────────────────────────────────────

    def clone(self, source: Ghost) -> Ghost:
        """A contiguous copy."""
        made = self.new(source.shape, source.width)
        self.copied(made)
        return made

    def zeros(self, shape: Shape) -> Ghost:
        """A tensor filled with zeros."""
        made = self.new(shape)
        self.stream(made)
        return made

    def matmul(self, left: Ghost, right: Ghost) -> Ghost:
        """`mm` or `bmm`, what it copies inside included."""
        batch, (rows, inner), columns = left.shape[:-2], left.shape[-2:], right.shape[-1]
        matrices = batch[0] if batch else 1
        made = self.new((*batch, rows, columns))
        own = bool(batch) and rows * inner * columns < SMALL_PRODUCT
        fits = batch_takes(left) and batch_takes(right) if batch else True
        for ghost in (left, right):
            if own or (fits if batch else blas_takes(ghost)) or blas_takes(ghost):
                continue
            inside = self.memory.new(ghost.shape[-2:], ghost.width)  # one matrix at a time
            self.memory.free(inside)
            size = ghost.count * ghost.width
            self.work.copied += size
            self.work.moved += 2 * size
            self.work.seconds += size / self.profile.copy_bandwidth
        multiply_adds = matrices * rows * inner * columns
        moved = left.bytes + right.bytes + made.bytes
        rate = self.profile.gemm_rate(max(1, min(rows, inner, columns)))
        self.work.multiply_adds += multiply_adds
        self.work.flops += 2 * multiply_adds
        self.work.moved += moved
        self.work.seconds += max(2 * multiply_adds / rate, self.profile.pass_seconds(moved))
        self.work.seconds += self.profile.matrix * matrices if batch else 0.0
        return made

    def reshape(self, source: Ghost, shape: Shape) -> Ghost:
        """The same elements in another shape: a view where strides allow it, else a copy."""
        strides = viewed_strides(source.shape, source.strides, shape)
        if strides is not None:
            return self.view(source, shape, strides)
        made = self.new(shape, source.width)
        self.copied(made)
        return made

    def elementwise(self, left: Ghost, right: Ghost, flops: int = 1) -> Ghost:
        """A sum or product of two tensors of equal rank, axes of length 1 repeated."""
        shape = tuple(map(max, left.shape, right.shape))
        made = self.new(shape, left.width, elementwise_strides(shape, (left, right)))
        self.stream(left, right, made, flops=flops * made.count)
        return made

    def sum(self, source: Ghost, axes: tuple[int, ...]) -> Ghost:
        """The sum over some axes, which are gone afterwards."""
        kept = tuple(length for k, length in enumerate(source.shape) if k not in axes)
        made = self.new(kept, source.width)
        self.stream(source, made, flops=source.count)
        return made

    def sum_to(self, source: Ghost, shape: Shape) -> Ghost:
        """The sum over the axes along which `shape` was repeated, none of them maybe."""
        axes = tuple(
            k
            for k, (wide, length) in enumerate(zip(source.shape, shape, strict=True))
            if wide != length
        )
        if not axes:
            return self.memory.keep(source)
        made = self.new(shape, source.width)
        self.stream(source, made, flops=source.count)
        return made

    def repeat(self, source: Ghost, shape: Shape) -> Ghost:
        """A view that repeats axes of length 1."""
        return self.view(source, shape, broadcast_strides(source, shape))
