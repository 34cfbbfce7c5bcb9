# Made by tncompile from Tied.
# Planned for the least time of a training step with a batch of 64, machine profile builtin-2core.

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


def _orthogonal(like: Tensor, rows: int, columns: int) -> Tensor:
    """A random matrix with orthonormal columns (or rows, if fewer), in the shape of `like`."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    normal = torch.randn(max(rows, columns), min(rows, columns), dtype=dtype, device=like.device)
    q, r = torch.linalg.qr(normal)
    q = q * r.diagonal().sgn()  # every orthogonal matrix is equally likely
    matrix: Tensor = q if rows >= columns else q.mH
    return matrix.reshape(like.shape).to(like.dtype)


class Tied(nn.Module):
    """A symmetric map: its second half is the conjugate of the first, around shared cores and a
    fixed one.

    y(..., o) = the sum over i, r[0..4], s of x A M[0..3] F conj(B); B is A.

    Parameters, by key in the state dict:
        A  6x3  i, r[0] (used 2 times)
        M  3x3  r[0], r[1] (used 3 times)
        F  3x3  r[3], s (frozen)

    6 contractions, 36 N + 324 multiply-adds:
        [1] F · B         54  -> r[3], o
        [2] M[2] · [1]    54  -> r[2], o
        [3] M[1] · [2]    54  -> r[1], o
        [4] M[0] · [3]    54  -> r[0], o
        [5] A · [4]      108  -> i, o
        [6] x · [5]     36 N  -> ..., o

    Comments in `forward` give the axes of each result: `N` is the product of all leading axes,
    names without a comma between them are one axis, ranges are half open (`r[0..3]` is r[0] to
    r[2]). `[1]` is the contraction above that a product belongs to.
    """

    F: Tensor
    in_features: int = 6
    out_features: int = 6

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        self.A = nn.Parameter(empty(6, 3))  # i, r[0]
        self.M = nn.Parameter(empty(3, 3))  # r[0], r[1]
        self.register_buffer("F", empty(3, 3))  # r[3], s
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        self.A.normal_(std=0.3688939732)
        self.M.zero_()
        self.M.view(3, 3).diagonal().fill_(1)
        self.F.copy_(_orthogonal(self.F, 3, 3))
        log_square_norm = self._log_square_norm()
        scale = torch.exp((0.6931471806 - log_square_norm) / 4)  # of each of 2 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        self.A.mul_(scale)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.A.dtype, torch.float32)
        t = torch.mm(self.A.to(dtype).t(), self.A.to(dtype).conj())  # (r[0], r[0]')
        t1 = torch.mm(t.t(), self.M.to(dtype))  # (r[0]', r[1])
        t1 = torch.mm(t1.t(), self.M.to(dtype).conj())  # (r[1], r[1]')
        t1 = torch.mm(t1.t(), self.M.to(dtype))  # (r[1]', r[2])
        t1 = torch.mm(t1.t(), self.M.to(dtype).conj())  # (r[2], r[2]')
        t = torch.mm(t.t(), self.F.to(dtype).conj().t())  # (s, r[3]')
        t = torch.mm(t.t(), self.F.to(dtype).t())  # (r[3]', r[3])
        t = torch.mm(t.t(), self.M.to(dtype).conj().t())  # (r[3], r[2]')
        t = torch.mm(t.t(), self.M.to(dtype).t())  # (r[2]', r[2])
        t = t.t().reshape(9, 1)  # (r[2] r[2]', 1)
        t1 = torch.mm(t1.reshape(1, 9), t)  # (1, 1)
        del t
        return t1.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 6x6 as in nn.Linear: contracted whenever it is read."""
        kind = "cpu" if self.A.is_meta else self.A.device.type
        with torch.autocast(kind, enabled=False):
            t = torch.mm(self.M, self.F)  # (r[2], s)
            t = torch.mm(self.M, t)  # (r[1], s)
            t = torch.mm(self.M, t)  # (r[0], s)
            t = torch.mm(self.A.conj(), t.t())  # (o, r[0])
            t = torch.mm(t, self.A.t())  # (o, i)
        return t

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def extra_repr(self) -> str:
        return "in_features=6, out_features=6, bias=False, x(..., i) -> y(..., o), 36 parameters"

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o) of x(..., i)."""
        if x.dim() < 1 or x.shape[-1] != 6:
            raise ValueError(
                f"x(..., i): the last axis must have 6 entries (i), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A", "x(..., i)")
        lead = x.shape[:-1]
        N = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(N, 6)
        t = torch.mm(self.F, self.A.conj().t())  # [1] (r[3], o)
        t = torch.mm(self.M, t)  # [2] (r[2], o)
        t = torch.mm(self.M, t)  # [3] (r[1], o)
        t = torch.mm(self.M, t)  # [4] (r[0], o)
        t = torch.mm(self.A, t)  # [5] (i, o)
        t = torch.mm(x, t)  # [6] (N, o)
        return t if len(lead) == 1 else t.reshape(*lead, 6)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "TiedFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.A.is_meta else self.A.device.type
        with torch.autocast(kind, enabled=False):
            t = torch.mm(self.F, self.A.conj().t())  # (r[3], o)
            t = torch.mm(self.M, t)  # (r[2], o)
            t = torch.mm(self.M, t)  # (r[1], o)
            t = torch.mm(self.M, t)  # (r[0], o)
            t = torch.mm(self.A, t)  # (i, o)
        return TiedFolded(A_M_F=t)


class TiedFolded(nn.Module):
    """Tied for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        A_M_F  6x6  A, M, F

    6 contractions, 5 done ahead, 36 N multiply-adds:
        [1] F · B       ahead  -> r[3], o
        [2] M[2] · [1]  ahead  -> r[2], o
        [3] M[1] · [2]  ahead  -> r[1], o
        [4] M[0] · [3]  ahead  -> r[0], o
        [5] A · [4]     ahead  -> i, o
        [6] x · [5]      36 N  -> ..., o
    """

    A_M_F: Tensor
    in_features: int = 6
    out_features: int = 6

    def __init__(self, *, A_M_F: Tensor) -> None:
        super().__init__()
        self.register_buffer("A_M_F", A_M_F)  # i, o

    @property
    def weight(self) -> Tensor:
        """The dense map, 6x6 as in nn.Linear: what unit vectors become."""
        kind = "cpu" if self.A_M_F.is_meta else self.A_M_F.device.type
        with torch.autocast(kind, enabled=False):
            y = self.forward(torch.eye(6, dtype=self.A_M_F.dtype, device=self.A_M_F.device))
        return y.movedim(-1, 0)

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def extra_repr(self) -> str:
        return (
            "in_features=6, out_features=6, bias=False, x(..., i) -> y(..., o), folded: A_M_F 6x6"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o) of x(..., i)."""
        if x.dim() < 1 or x.shape[-1] != 6:
            raise ValueError(
                f"x(..., i): the last axis must have 6 entries (i), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A_M_F", "x(..., i)")
        lead = x.shape[:-1]
        N = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(N, 6)
        t = torch.mm(x, self.A_M_F)  # [6] (N, o)
        return t if len(lead) == 1 else t.reshape(*lead, 6)
