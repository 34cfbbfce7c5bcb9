"""Two halves with a backward pass of their own, which recomputes what it needs chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from benchmarks.byhand.chunks import rows_in_cache, spans
from benchmarks.byhand.trains import cores, halves
from benchmarks.contract import Run


class RightFirst(torch.autograd.Function):
    """y[n] = A u[n] with u = x C: A is (P, I·b), C is (J, b·Q), x is (n·I, J)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, left: Tensor, right: Tensor, shape: tuple[int, ...]) -> Tensor:
        A, C = left, right
        ctx.save_for_backward(x, A, C)
        ctx.shape = shape
        I, b, Q, rows = shape
        batch, P = x.shape[0], A.shape[0]
        y = x.new_empty(batch, P, Q)
        scratch = x.new_empty(min(rows, batch) * I, b * Q)
        for start, end in spans(batch, rows):
            u = torch.mm(x[start:end].view(-1, C.shape[0]), C, out=scratch[: (end - start) * I])
            torch.bmm(A.expand(end - start, -1, -1), u.view(-1, I * b, Q), out=y[start:end])
        return y.view(batch, P * Q)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, A, C = ctx.saved_tensors
        I, b, Q, rows = ctx.shape
        (batch, P), J = (x.shape[0], A.shape[0]), C.shape[0]
        gradient = gradient.reshape(batch, P, Q)
        dx, dA, dC = torch.empty_like(x), torch.zeros_like(A), torch.zeros_like(C)
        for start, end in spans(batch, rows):
            n = end - start
            rows_of_x = x[start:end].view(n * I, J)
            g = gradient[start:end].transpose(0, 1).reshape(P, n * Q)
            u = (rows_of_x @ C).view(n, I * b, Q).transpose(0, 1).reshape(I * b, n * Q)
            dA.addmm_(g, u.t())
            du = torch.mm(A.t(), g, out=u).view(I, b, n, Q).permute(2, 0, 1, 3)
            du = du.reshape(n * I, b * Q)
            dC.addmm_(rows_of_x.t(), du)
            torch.mm(du, C.t(), out=dx[start:end].view(n * I, J))
        return dx, dA, dC, None


def right_first_recomputed(leaves: Sequence[Tensor], split: int) -> Run:
    """Two halves; nothing is saved for the backward pass but the input and the halves."""

    def run(x: Tensor) -> Tensor:
        left, right = halves(cores(leaves), split)
        I, P, b = left.shape
        J, Q = right.shape[1:]
        A = left.permute(1, 0, 2).reshape(P, I * b)
        C = right.transpose(0, 1).reshape(J, b * Q)
        held: Tensor = RightFirst.apply(x, A, C, (I, b, Q, rows_in_cache(I * b * Q)))
        return held

    return run
