# Made by tncompile from Scores.
# Planned for the least time of a training step with a batch of 64, s = 64, t = 64, machine profile
# builtin-2core.

import math

import torch
from torch import Tensor, nn


def _broadcast(**leads: torch.Size) -> tuple[int, ...]:
    """The common leading axes of several inputs; axes of length 1 are repeated."""
    common = [1] * max(len(lead) for lead in leads.values())
    for lead in leads.values():
        for axis in range(-len(lead), 0):
            if lead[axis] != 1 and common[axis] != 1 and lead[axis] != common[axis]:
                given = ", ".join(f"{tuple(lead)} of {name}" for name, lead in leads.items())
                raise ValueError(f"the leading axes (...) do not broadcast: {given}")
            if lead[axis] != 1:
                common[axis] = lead[axis]
    return tuple(common)


class Scores(nn.Module):
    """Scores between queries and keys under a metric of low rank, two batch axes of their own.

    score(..., s, t) = the sum over i, j, r of query key Q K.

    Parameters, by key in the state dict:
        Q  32x4  i, r
        K  32x4  j, r

    Contracted in 3 steps, 12,587,008 multiply-adds for a batch of 64, s = 64, t = 64:
        [1] Q · K            4,096  -> i, j
        [2] query · [1]  4,194,304  -> ..., s, j
        [3] key · [2]    8,388,608  -> ..., t, s

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis. `[1]` is the contraction above that a product
    belongs to.
    """

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        self.Q = nn.Parameter(empty(32, 4))  # i, r
        self.K = nn.Parameter(empty(32, 4))  # j, r
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [self.Q, self.K]:
            tensor.normal_(std=0.09497946071)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((-1.098612289 - log_square_norm) / 4)  # of each of 2 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [self.Q, self.K]:
            tensor.mul_(scale)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.Q.dtype, torch.float32)
        t = torch.mm(self.Q.to(dtype).t(), self.Q.to(dtype).conj())  # (r, r')
        t1 = torch.mm(self.K.to(dtype).t(), self.K.to(dtype).conj())  # (r, r')
        t = torch.mm(t.reshape(1, 16), t1.reshape(16, 1))  # (1, 1)
        del t1
        return t.reshape(()).abs().log()

    def extra_repr(self) -> str:
        return "query(..., s, i), key(..., t, j) -> score(..., s, t), 256 parameters"

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """score(..., s, t) of query(..., s, i), key(..., t, j)."""
        if query.dim() < 2 or query.shape[-1] != 32:
            raise ValueError(
                "query(..., s, i): the last 2 axes must be (s: any size), 32 (i), got shape "
                f"{tuple(query.shape)}"
            )
        s = query.shape[-2]
        if key.dim() < 2 or key.shape[-1] != 32:
            raise ValueError(
                "key(..., t, j): the last 2 axes must be (t: any size), 32 (j), got shape "
                f"{tuple(key.shape)}"
            )
        t = key.shape[-2]
        lead = _broadcast(query=query.shape[:-2], key=key.shape[:-2])
        B = math.prod(lead)
        query = query.expand(*lead, s, 32).reshape(B, s, 32)
        key = key.expand(*lead, t, 32).reshape(B, t, 32)
        t1 = torch.mm(self.Q, self.K.t())  # [1] (i, j)
        t1 = torch.mm(query.reshape(B * s, 32), t1)  # [2] (B s, j)
        t1 = torch.bmm(t1.reshape(B, s, 32), key.permute(0, 2, 1))  # [3] (B, s, t)
        return t1.reshape(*lead, s, t)
