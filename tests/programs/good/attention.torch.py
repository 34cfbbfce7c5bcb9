# Made by tncompile from Scores.
# Planned for the least time of a training step with a batch of 64, s = 64, t = 64, machine profile
# builtin-2core.

import math

import torch
from torch import Tensor, nn


def _check_dtype(x: Tensor, module: nn.Module | None, key: str, declared: str) -> None:
    """Raise TypeError unless `x` has the dtype of the module; autocast may convert floats."""
    own: Tensor | None = None if module is None else module._parameters.get(key)
    if own is not None and x.dtype is own.dtype:
        return
    if own is None and module is not None:
        own = module._buffers.get(key)
    if own is None or x.dtype is own.dtype:
        return  # a parametrization computes the tensor of this key at each call
    floating, kind = x.is_floating_point(), x.device.type
    if floating and kind != "meta" and torch.is_autocast_enabled(kind):
        return
    fix = f"x.to({own.dtype})"
    if x.is_complex() or (floating and not own.is_complex()):
        fix += f" or module.to({x.dtype})"
    raise TypeError(f"{declared}: expected {own.dtype} as the module has, got {x.dtype}: {fix}")


def _broadcast(**leads: torch.Size) -> tuple[int, ...]:
    """Broadcast the leading axes of several inputs."""
    common = [1] * max(len(lead) for lead in leads.values())
    for lead in leads.values():
        for axis in range(-len(lead), 0):
            if lead[axis] != 1 and common[axis] != 1 and lead[axis] != common[axis]:
                shapes = ", ".join(f"{tuple(lead)} of {name}" for name, lead in leads.items())
                raise ValueError(f"the leading axes (...) do not broadcast: {shapes}")
            if lead[axis] != 1:
                common[axis] = lead[axis]
    return tuple(common)


class Scores(nn.Module):
    """Scores between queries and keys under a metric of low rank, two batch axes of their own.

    score(..., s, t) = the sum over i, j, r of query key Q K.

    Parameters, by key in the state dict:
        Q  32x4  i, r
        K  32x4  j, r

    `forward` runs `_contract` or `_contract_to_5`, depending on the batch size `B` and on whether
    gradients are enabled; `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, names
    without a comma between them are one axis. `[1]` is the contraction in its docstring that a
    product belongs to.
    """

    def __init__(
        self,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        batch_invariant: bool = False,
    ) -> None:
        super().__init__()
        self.batch_invariant = batch_invariant

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
        return (
            "(..., s, 32), (..., t, 32) -> (..., s, t), query(..., s, i), key(..., t, j) -> "
            "score(..., s, t), 256 parameters"
        )

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """score(..., s, t) of query(..., s, i), key(..., t, j)."""
        if query.dim() < 2 or query.shape[-1] != 32:
            raise ValueError(
                "query(..., s, i): the last 2 axes must be (s: any size), 32 (i), got shape "
                f"{tuple(query.shape)}"
            )
        _check_dtype(query, self, "Q", "query(..., s, i)")
        s = query.shape[-2]
        if key.dim() < 2 or key.shape[-1] != 32:
            raise ValueError(
                "key(..., t, j): the last 2 axes must be (t: any size), 32 (j), got shape "
                f"{tuple(key.shape)}"
            )
        _check_dtype(key, self, "Q", "key(..., t, j)")
        t = key.shape[-2]
        lead = _broadcast(query=query.shape[:-2], key=key.shape[:-2])
        B = math.prod(lead)
        query = query.expand(*lead, s, 32).reshape(B, s, 32)
        key = key.expand(*lead, t, 32).reshape(B, t, 32)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(query, key, lead, s, t, B)
        if torch.is_grad_enabled():
            if B <= 5:  # search (size): predicted 110 µs at B = 1 (sweep forward: 125 µs)
                return self._contract_to_5(query, key, lead, s, t, B)
            # sweep forward: predicted 328 µs at B = 64 (search (size): 617 µs)
            return self._contract(query, key, lead, s, t, B)
        if B <= 4:  # search (size): predicted 25.8 µs at B = 1 (sweep forward: 30.1 µs)
            return self._contract_to_5(query, key, lead, s, t, B)
        # sweep forward: predicted 92.0 µs at B = 64 (search (size): 195 µs)
        return self._contract(query, key, lead, s, t, B)

    def _contract(
        self, query: Tensor, key: Tensor, lead: tuple[int, ...], s: int, t: int, B: int
    ) -> Tensor:
        """Runs with gradients for B > 5; without gradients for B > 4; under `torch.compile` and
        in exports.

        3 contractions, 4 B s t + 128 B s + 128 B t multiply-adds:
            [1] query · Q  128 B s  -> ..., s, r
            [2] key · K    128 B t  -> ..., t, r
            [3] [1] · [2]  4 B s t  -> ..., s, t
        """
        t1 = torch.bmm(self.Q.t().expand(B, 4, 32), query.permute(0, 2, 1))  # [1] (B, r, s)
        t2 = torch.bmm(self.K.t().expand(B, 4, 32), key.permute(0, 2, 1))  # [2] (B, r, t)
        t1 = torch.bmm(t1.permute(0, 2, 1), t2)  # [3] (B, s, t)
        del t2
        return t1 if len(lead) == 1 else t1.reshape(*lead, s, t)

    def _contract_to_5(
        self, query: Tensor, key: Tensor, lead: tuple[int, ...], s: int, t: int, B: int
    ) -> Tensor:
        """Runs with gradients for B <= 5; without gradients for B <= 4.

        3 contractions, 32 B s t + 1,024 B t + 4,096 multiply-adds:
            [1] Q · K            4,096  -> i, j
            [2] key · [1]    1,024 B t  -> ..., t, i
            [3] query · [2]   32 B s t  -> ..., s, t
        """
        t1 = torch.mm(self.Q, self.K.t())  # [1] (i, j)
        t1 = torch.bmm(t1.expand(B, 32, 32), key.permute(0, 2, 1))  # [2] (B, i, t)
        t1 = torch.bmm(query, t1)  # [3] (B, s, t)
        return t1 if len(lead) == 1 else t1.reshape(*lead, s, t)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "ScoresFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.Q.is_meta else self.Q.device.type
        with torch.autocast(kind, enabled=False):
            K = self.K.t()  # (r, j)
            t = torch.mm(self.Q, K)  # (i, j)
        return ScoresFolded(
            Q=self.Q.t().contiguous(), Q_K=t, K=K.contiguous(), batch_invariant=self.batch_invariant
        )


class ScoresFolded(nn.Module):
    """Scores for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        Q    4x32   Q
        Q_K  32x32  Q, K
        K    4x32   K
    """

    Q: Tensor
    Q_K: Tensor
    K: Tensor

    def __init__(self, *, Q: Tensor, Q_K: Tensor, K: Tensor, batch_invariant: bool = False) -> None:
        super().__init__()
        self.batch_invariant = batch_invariant
        self.register_buffer("Q", Q)  # r, i
        self.register_buffer("Q_K", Q_K)  # i, j
        self.register_buffer("K", K)  # r, j

    def extra_repr(self) -> str:
        return (
            "(..., s, 32), (..., t, 32) -> (..., s, t), query(..., s, i), key(..., t, j) -> "
            "score(..., s, t), folded: Q 4x32, Q_K 32x32, K 4x32"
        )

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """score(..., s, t) of query(..., s, i), key(..., t, j)."""
        if query.dim() < 2 or query.shape[-1] != 32:
            raise ValueError(
                "query(..., s, i): the last 2 axes must be (s: any size), 32 (i), got shape "
                f"{tuple(query.shape)}"
            )
        _check_dtype(query, self, "Q", "query(..., s, i)")
        s = query.shape[-2]
        if key.dim() < 2 or key.shape[-1] != 32:
            raise ValueError(
                "key(..., t, j): the last 2 axes must be (t: any size), 32 (j), got shape "
                f"{tuple(key.shape)}"
            )
        _check_dtype(key, self, "Q", "key(..., t, j)")
        t = key.shape[-2]
        lead = _broadcast(query=query.shape[:-2], key=key.shape[:-2])
        B = math.prod(lead)
        query = query.expand(*lead, s, 32).reshape(B, s, 32)
        key = key.expand(*lead, t, 32).reshape(B, t, 32)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(query, key, lead, s, t, B)
        if B <= 5:  # search (size): predicted 21.2 µs at B = 1 (sweep forward: 27.0 µs)
            return self._contract_to_5(query, key, lead, s, t, B)
        # sweep forward: predicted 89.4 µs at B = 64 (search (size): 190 µs)
        return self._contract(query, key, lead, s, t, B)

    def _contract(
        self, query: Tensor, key: Tensor, lead: tuple[int, ...], s: int, t: int, B: int
    ) -> Tensor:
        """Runs for B > 5; under `torch.compile` and in exports.

        3 contractions, 4 B s t + 128 B s + 128 B t multiply-adds:
            [1] query · Q  128 B s  -> ..., s, r
            [2] key · K    128 B t  -> ..., t, r
            [3] [1] · [2]  4 B s t  -> ..., s, t
        """
        t1 = torch.bmm(self.Q.expand(B, 4, 32), query.permute(0, 2, 1))  # [1] (B, r, s)
        t2 = torch.bmm(self.K.expand(B, 4, 32), key.permute(0, 2, 1))  # [2] (B, r, t)
        t1 = torch.bmm(t1.permute(0, 2, 1), t2)  # [3] (B, s, t)
        del t2
        return t1 if len(lead) == 1 else t1.reshape(*lead, s, t)

    def _contract_to_5(
        self, query: Tensor, key: Tensor, lead: tuple[int, ...], s: int, t: int, B: int
    ) -> Tensor:
        """Runs for B <= 5.

        3 contractions, 1 done ahead, 32 B s t + 1,024 B t multiply-adds:
            [1] Q · K            ahead  -> i, j
            [2] key · [1]    1,024 B t  -> ..., t, i
            [3] query · [2]   32 B s t  -> ..., s, t
        """
        t1 = torch.bmm(self.Q_K.expand(B, 32, 32), key.permute(0, 2, 1))  # [2] (B, i, t)
        t1 = torch.bmm(query, t1)  # [3] (B, s, t)
        return t1 if len(lead) == 1 else t1.reshape(*lead, s, t)
