"""What a convolution keeps of its kernel in Tucker form, for all ranks of all legs at once.

The kernel, seen through a metric of each axis by itself, is turned into the eigenbases of its axes
(HOSVD: De Lathauwer, De Moor and Vandewalle, "A Multilinear Singular Value Decomposition", 2000).
What is left of it by ranks (q, p, t…) is the box of the first q × p × t… entries: sums of squares
over boxes are the errors of all of them, exactly, without a fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from tncompile.tensorizing.moments import Metric, damped

FINEST = 16
"""Into how many steps the ranks of an axis of the kernel go, at least where it is as long."""


@dataclass(frozen=True, slots=True)
class Form:
    """Ranks of a kernel: how many numbers they take, how many multiply-adds a place of the output,
    and the squared error."""

    block: str
    out_rank: int
    in_rank: int
    kernel_ranks: tuple[int, ...]
    parameters: int
    work: int
    error: float


def seen_kernel(weight: torch.Tensor, metric: Metric | None) -> torch.Tensor:
    """A kernel (out, in, …) times the root of the moment of each axis, in float64.

    A moment of all inputs is taken for the Kronecker product of its partial traces.
    """
    seen = weight.detach().double()
    if metric is None:
        return seen
    moments = (metric.outputs, *(metric.axes or _partial(metric.inputs, seen.shape[1:])))
    for axis, moment in enumerate(moments):
        if moment is None:
            continue
        wide = damped(moment.to(seen), metric.damping)
        if wide.dim() == 1:
            seen = (seen.movedim(axis, -1) * wide.sqrt()).movedim(-1, axis)
            continue
        size = float(wide.diagonal().mean())
        if size < torch.finfo(wide.dtype).tiny:
            return torch.zeros_like(seen)  # nothing comes in, or nothing is heard
        root = torch.linalg.cholesky(wide / size) * math.sqrt(size)
        seen = torch.tensordot(seen, root, dims=([axis], [0])).movedim(-1, axis)
    return seen


def _partial(inputs: torch.Tensor | None, shape: Sequence[int]) -> tuple[torch.Tensor | None, ...]:
    """Moments of axes from that of all; the trace of their product is that of all."""
    if inputs is None:
        return (None,) * len(shape)
    if inputs.dim() == 1:
        inputs = inputs.diag()
    found = []
    for axis, size in enumerate(shape):
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        split = inputs.reshape(before, size, after, before, size, after)
        found.append(torch.einsum("aibajb->ij", split))
    total = found[0].trace()  # that of all
    return (found[0], *(each / total if total else each for each in found[1:]))


def boxes(kernel: torch.Tensor) -> torch.Tensor:
    """Σ of squares over the first entries along each axis, in the eigenbases of the axes.

    An axis of the result is longer by one: none of the entries, one, … all of them.
    """
    core = kernel
    for axis in range(kernel.dim()):
        flat = kernel.movedim(axis, 0).flatten(1)
        _, vectors = torch.linalg.eigh(flat @ flat.mT)
        core = torch.tensordot(core, vectors.flip(1), dims=([axis], [0])).movedim(-1, axis)
    sums = core.square()
    for axis in range(kernel.dim()):
        sums = sums.cumsum(axis)
    return torch.nn.functional.pad(sums, [1, 0] * kernel.dim())


def forms(
    kernel: torch.Tensor, least: tuple[int, int], multiple: int, blocks: Sequence[str]
) -> Iterator[Form]:
    """Tucker forms that none with fewer numbers is as near as; `least` are those of channels.

    Ranks of channels are multiples, or all of them; those of the kernel go in `FINEST` steps.
    """
    out, into, *lengths = kernel.shape
    table = boxes(kernel)
    steps = [_channels(low, size, multiple) for low, size in zip(least, (out, into), strict=True)]
    steps += [_lengths(size) for size in lengths]
    found: list[Form] = []
    if "TuckerConv" in blocks:
        found += _nearest(table, steps, (out, into, *lengths), "TuckerConv")
    if "Tucker2Conv" in blocks:
        whole = [*steps[:2], *(torch.tensor([size]) for size in lengths)]
        found += _nearest(table, whole, (out, into, *lengths), "Tucker2Conv")
    best = math.inf
    for form in sorted(found, key=lambda each: (each.parameters, each.error)):
        if form.error < best:
            best = form.error
            yield form


def _nearest(
    table: torch.Tensor, steps: Sequence[torch.Tensor], shape: Sequence[int], block: str
) -> Iterator[Form]:
    """The forms of a block that none of its with fewer numbers is as near as."""
    whole = table[(-1,) * table.dim()]
    kept = table
    for axis, ranks in enumerate(steps):
        kept = kept.index_select(axis, ranks.to(table.device))
    errors = (whole - kept).clamp(min=0).cpu().flatten()
    axes = [
        ranks.reshape([-1 if k == axis else 1 for k in range(len(steps))])
        for axis, ranks in enumerate(steps)
    ]
    q, p, *kernels = axes
    places = math.prod(shape[2:])
    sizes = q * shape[0] + p * shape[1]
    core, work = q * p, sizes + q * p * places
    for ranks, length in zip(kernels, shape[2:], strict=True):
        core = core * ranks
        if block == "TuckerConv":
            sizes = sizes + ranks * length
    counts = (sizes + core).expand(kept.shape).flatten()
    works = work.expand(kept.shape).flatten()
    grids = [each.expand(kept.shape).flatten() for each in axes]
    order = counts.argsort(stable=True)
    lows = errors[order].cummin(0).values
    first = torch.ones(len(order), dtype=torch.bool)
    first[1:] = lows[1:] < lows[:-1]
    for place in order[first].tolist():
        out_rank, in_rank, *kernel = (int(grid[place]) for grid in grids)
        yield Form(
            block,
            out_rank,
            in_rank,
            tuple(kernel),
            int(counts[place]),
            int(works[place]),
            float(errors[place]),
        )


def _channels(least: int, size: int, multiple: int) -> torch.Tensor:
    """Ranks of channels: multiples from the least on, and all of them."""
    ranks = [*range(min(least, size), size, multiple), size]
    return torch.tensor(ranks)


def _lengths(size: int) -> torch.Tensor:
    """Ranks of an axis of the kernel."""
    step = max(1, size // FINEST)
    return torch.tensor(sorted({*range(step, size, step), size}))
