"""Matrix product operators by hand: sweeps, two halves, and the dense weight.

A core G[k] is (b, i, o, b'), with bonds of size 1 at the ends. Merged cores are (b, I, O, b').
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from benchmarks.byhand.chunks import by_chunks, rows_in_cache, spans
from benchmarks.contract import Run


def cores(leaves: Sequence[Tensor]) -> list[Tensor]:
    """The leaves with their missing bonds at the ends: all (b, i, o, b')."""
    first, *middle, last = leaves
    return [first.unsqueeze(0), *middle, last.unsqueeze(-1)]


def merge(chain: Sequence[Tensor]) -> Tensor:
    """Neighboring cores as one, (b, I, O, b')."""
    merged = chain[0]
    for core in chain[1:]:
        b, I, O, m = merged.shape
        _, i, o, c = core.shape
        product = merged.reshape(b * I * O, m) @ core.reshape(m, i * o * c)
        split = product.view(b, I, O, i, o, c).transpose(2, 3)
        merged = split.reshape(b, I * i, O * o, c)
    return merged


def sweep(leaves: Sequence[Tensor]) -> Run:
    """Left to right on views: every step is one `bmm` without a copy."""

    def run(x: Tensor) -> Tensor:
        batch, state, done = x.shape[0], x, 1
        for core in cores(leaves):
            b, i, o, c = core.shape
            wide = core.reshape(b * i, o * c).t()
            held = state.view(batch * done, b * i, -1)
            if batch * done == 1:
                state = torch.mm(wide, held[0])
            else:
                state = torch.bmm(wide.expand(batch * done, -1, -1), held)
            done *= o
        return state.view(batch, done)

    return run


def sweep_by_rows(leaves: Sequence[Tensor]) -> Run:
    """Left to right with `mm` and small permutations: its gradients of cores are `mm` too."""

    def run(x: Tensor) -> Tensor:
        batch, state, done = x.shape[0], x, 1
        for core in cores(leaves):
            b, i, o, c = core.shape
            rows = state.reshape(batch * done, b * i, -1).transpose(1, 2)
            rest = rows.shape[1]
            product = rows.reshape(batch * done * rest, b * i) @ core.reshape(b * i, o * c)
            done *= o
            state = product.view(-1, rest, o * c).transpose(1, 2)
        return state.reshape(batch, done)

    return run


def halves(chain: Sequence[Tensor], split: int) -> tuple[Tensor, Tensor]:
    """The cores before and from `split` on, each merged: (I, P, b) and (b, J, Q)."""
    return merge(chain[:split])[0], merge(chain[split:])[..., 0]


def right_first(leaves: Sequence[Tensor], split: int, folded: bool = False) -> Run:
    """`mm` with the right half, then `bmm` with the left one, chunk by chunk."""
    with torch.no_grad():
        left, right = halves(cores(leaves), split)
    I, P, b = left.shape
    Q = right.shape[2]

    def relaid() -> tuple[Tensor, Tensor]:
        left, right = halves(cores(leaves), split)
        A = left.permute(1, 0, 2).reshape(P, I * b)
        return A, right.transpose(0, 1).reshape(-1, b * Q)

    kept = relaid() if folded else None
    rows = rows_in_cache(I * b * Q)

    def run(x: Tensor) -> Tensor:
        A, C = kept or relaid()
        if torch.is_grad_enabled():

            def step(chunk: Tensor) -> Tensor:
                u = (chunk.view(-1, C.shape[0]) @ C).view(-1, I * b, Q)
                return torch.bmm(A.expand(u.shape[0], -1, -1), u)

            return by_chunks(step, x, rows).view(x.shape[0], P * Q)
        y = x.new_empty(x.shape[0], P, Q)
        scratch = x.new_empty(min(rows, x.shape[0]) * I, b * Q)
        for start, end in spans(x.shape[0], rows):
            u = torch.mm(x[start:end].view(-1, C.shape[0]), C, out=scratch[: (end - start) * I])
            torch.bmm(A.expand(end - start, -1, -1), u.view(-1, I * b, Q), out=y[start:end])
        return y.view(x.shape[0], P * Q)

    return run


def left_first(leaves: Sequence[Tensor], split: int, folded: bool = False) -> Run:
    """`bmm` with the left half, then `mm` with the right one, chunk by chunk."""
    with torch.no_grad():
        left, right = halves(cores(leaves), split)
    I, P, b = left.shape
    J, Q = right.shape[1:]

    def relaid() -> tuple[Tensor, Tensor]:
        left, right = halves(cores(leaves), split)
        return left.permute(1, 2, 0).reshape(P * b, I), right.reshape(b * J, Q)

    kept = relaid() if folded else None
    rows = rows_in_cache(P * b * J)

    def run(x: Tensor) -> Tensor:
        A, C = kept or relaid()
        if torch.is_grad_enabled():

            def step(chunk: Tensor) -> Tensor:
                n = chunk.shape[0]
                v = torch.bmm(A.expand(n, -1, -1), chunk.view(n, I, J))
                return v.view(n * P, b * J) @ C

            return by_chunks(step, x, rows).view(x.shape[0], P * Q)
        y = x.new_empty(x.shape[0] * P, Q)
        scratch = x.new_empty(min(rows, x.shape[0]), P * b, J)
        for start, end in spans(x.shape[0], rows):
            n = end - start
            v = torch.bmm(A.expand(n, -1, -1), x[start:end].view(n, I, J), out=scratch[:n])
            torch.mm(v.view(n * P, b * J), C, out=y[start * P : end * P])
        return y.view(x.shape[0], P * Q)

    return run


def dense(leaves: Sequence[Tensor], split: int) -> Run:
    """The weight built by `bmm` over the digits of the right half, and the input permuted."""

    def run(x: Tensor) -> Tensor:
        left, right = halves(cores(leaves), split)
        I, P, b = left.shape
        J, Q = right.shape[1:]
        blocks = left.reshape(I * P, b).expand(J, -1, -1)
        weight = torch.bmm(blocks, right.transpose(0, 1)).view(J * I, P * Q)
        return x.view(-1, I, J).transpose(1, 2).reshape(-1, J * I) @ weight

    return run


def dense_in_blocks(leaves: Sequence[Tensor], split: int) -> Run:
    """The weight in blocks of output columns, each used while it is in cache."""

    def run(x: Tensor) -> Tensor:
        left, right = halves(cores(leaves), split)
        I, P, b = left.shape
        J, Q = right.shape[1:]
        wide = right.reshape(b, J * Q)
        if torch.is_grad_enabled():
            blocks = left.transpose(0, 1).unbind(0)
            return torch.cat([x @ (block @ wide).view(I * J, Q) for block in blocks], dim=1)
        y = x.new_empty(x.shape[0], P * Q)
        weight = x.new_empty(I, J * Q)
        for p in range(P):
            torch.mm(left[:, p], wide, out=weight)
            torch.mm(x, weight.view(I * J, Q), out=y[:, p * Q : (p + 1) * Q])
        return y

    return run


def folded_dense(leaves: Sequence[Tensor]) -> Run:
    """The weight, once."""
    weight = merge(cores(leaves))[0, :, :, 0].contiguous()
    return lambda x: x @ weight


def work(shapes: Sequence[tuple[int, ...]], split: int, batch: int) -> dict[str, int]:
    """Multiply-adds of each version, merging left out where it is small beside the batch."""
    ins = [shape[1] for shape in shapes]
    outs = [shape[2] for shape in shapes]
    bond = shapes[split][0]
    I, J, P, Q = (prod(ins[:split]), prod(ins[split:]), prod(outs[:split]), prod(outs[split:]))
    swept, rest, done = 0, prod(ins), 1
    for b, i, o, c in shapes:
        rest //= i
        swept += batch * done * rest * b * i * o * c
        done *= o
    return {
        "sweep": swept,
        "right first": batch * (I * J * bond * Q + P * I * bond * Q),
        "left first": batch * (P * bond * I * J + P * bond * J * Q),
        "dense": batch * I * J * P * Q + I * P * bond * J * Q,
    }
