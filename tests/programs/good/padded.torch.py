# Made by tncompile from Padded.
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


class Padded(nn.Module):
    """Widths that do not factorize: 10 inputs of 12 and 13 outputs of 15.

    y(..., (o[*]) as outputs) = the sum over i[0], i[1], b of x L R + c.

    Parameters, by key in the state dict:
        L  3x5x2  i[0], o[0], b
        R  2x4x3  b, i[1], o[1]
        c  5x3    o[0], o[1]

    2 contractions, 180 B + 360 multiply-adds:
        [1] L · R      360  -> i[0], o[0], i[1], o[1]
        [2] x · [1]  180 B  -> ..., o[0], o[1]

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis. `[1]` is the contraction above that a product
    belongs to.
    """

    in_features: int = 10
    out_features: int = 13

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        self.L = nn.Parameter(empty(3, 5, 2))  # i[0], o[0], b
        self.R = nn.Parameter(empty(2, 4, 3))  # b, i[1], o[1]
        self.c = nn.Parameter(empty(5, 3))  # o[0], o[1]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [self.L, self.R]:
            tensor.normal_(std=0.359304112)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((1.466337069 - log_square_norm) / 4)  # of each of 2 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [self.L, self.R]:
            tensor.mul_(scale)
        self.c.uniform_(-0.316227766, 0.316227766)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.L.dtype, torch.float32)
        R = self.R.to(dtype).conj().permute(1, 2, 0).reshape(1, 4, 3, 2)  # (1, i[1], o[1], b')
        t = self.R.to(dtype).reshape(2, 4, 3, 1) * R  # (b, i[1], o[1], b')
        L = self.L.to(dtype).conj().reshape(3, 5, 1, 2)  # (i[0], o[0], 1, b')
        t1 = self.L.to(dtype).reshape(3, 5, 2, 1) * L  # (i[0], o[0], b, b')
        mask = (torch.arange(15, device=self.L.device) < 13).to(dtype)  # (o[0] o[1])
        t1 = t1.permute(0, 2, 3, 1).reshape(12, 5)  # (i[0] b b', o[0])
        t1 = torch.mm(t1, mask.reshape(5, 3))  # (i[0] b b', o[1])
        del mask
        t = t.permute(1, 0, 3, 2).reshape(4, 12)  # (i[1], b b' o[1])
        t = torch.mm(t, t1.reshape(3, 2, 2, 3).permute(1, 2, 3, 0).reshape(12, 3))  # (i[1], i[0])
        del t1
        mask = (torch.arange(12, device=self.L.device) < 10).to(dtype)  # (i[0] i[1])
        t = t.t().reshape(12, 1)  # (i[0] i[1], 1)
        t = torch.mm(mask.reshape(1, 12), t)  # (1, 1)
        del mask
        return t.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 13x10 as in nn.Linear: contracted whenever it is read."""
        kind = "cpu" if self.L.is_meta else self.L.device.type
        with torch.autocast(kind, enabled=False):
            t = torch.mm(self.L.reshape(15, 2), self.R.reshape(2, 12))  # (i[0] o[0], i[1] o[1])
            t = t.reshape(3, 5, 4, 3).permute(1, 3, 0, 2).reshape(15, 12)  # (o[0] o[1], i[0] i[1])
            t = t[:13][:, :10].contiguous()  # (13, 10)
        return t

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c.reshape(15)[:13]

    def extra_repr(self) -> str:
        return (
            "in_features=10, out_features=13, bias=True, x(..., (i[*]) as inputs) -> y(..., "
            "(o[*]) as outputs), 69 parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (o[*]) as outputs) of x(..., (i[*]) as inputs)."""
        if x.dim() < 1 or x.shape[-1] != 10:
            raise ValueError(
                "x(..., (i[*]) as inputs): the last axis must have 10 entries (the first of 12 = "
                f"3·4: i[0], i[1]), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "L", "x(..., (i[*]) as inputs)")
        lead = x.shape[:-1]
        B = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(B, 10)
        t = torch.mm(self.L.reshape(15, 2), self.R.reshape(2, 12))  # [1] (i[0] o[0], i[1] o[1])
        x1 = nn.functional.pad(x, (0, 2))  # (B, i[0] i[1])
        t = t.reshape(3, 5, 4, 3).permute(0, 2, 1, 3).reshape(12, 15)  # (i[0] i[1], o[0] o[1])
        t = torch.addmm(self.c.reshape(15), x1, t)  # [2] (B, o[0] o[1])
        del x1
        t = t[:, :13].contiguous()  # (B, 13)
        return t if len(lead) == 1 else t.reshape(*lead, 13)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "PaddedFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.L.is_meta else self.L.device.type
        with torch.autocast(kind, enabled=False):
            t = torch.mm(self.L.reshape(15, 2), self.R.reshape(2, 12))  # (i[0] o[0], i[1] o[1])
            t = t.reshape(3, 5, 4, 3).permute(0, 2, 1, 3).reshape(12, 15)  # (i[0] i[1], o[0] o[1])
        return PaddedFolded(L_R=t, c=self.c.reshape(15).clone())


class PaddedFolded(nn.Module):
    """Padded for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        L_R  12x15  L, R
        c    15     c

    2 contractions, 1 done ahead, 180 B multiply-adds:
        [1] L · R    ahead  -> i[0], o[0], i[1], o[1]
        [2] x · [1]  180 B  -> ..., o[0], o[1]
    """

    L_R: Tensor
    c: Tensor
    in_features: int = 10
    out_features: int = 13

    def __init__(self, *, L_R: Tensor, c: Tensor) -> None:
        super().__init__()
        self.register_buffer("L_R", L_R)  # i[0] i[1], o[0] o[1]
        self.register_buffer("c", c)  # o[0] o[1]

    @property
    def weight(self) -> Tensor:
        """The dense map, 13x10 as in nn.Linear: contracted whenever it is read."""
        # (o[0] o[1], i[0] i[1])
        L_R = self.L_R.reshape(3, 4, 5, 3).permute(2, 3, 0, 1).reshape(15, 12)
        L_R = L_R[:13][:, :10].clone(memory_format=torch.contiguous_format)  # (13, 10)
        return L_R

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c[:13]

    def extra_repr(self) -> str:
        return (
            "in_features=10, out_features=13, bias=True, x(..., (i[*]) as inputs) -> y(..., "
            "(o[*]) as outputs), folded: L_R 12x15, c 15"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (o[*]) as outputs) of x(..., (i[*]) as inputs)."""
        if x.dim() < 1 or x.shape[-1] != 10:
            raise ValueError(
                "x(..., (i[*]) as inputs): the last axis must have 10 entries (the first of 12 = "
                f"3·4: i[0], i[1]), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "L_R", "x(..., (i[*]) as inputs)")
        lead = x.shape[:-1]
        B = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(B, 10)
        x1 = nn.functional.pad(x, (0, 2))  # (B, i[0] i[1])
        t = torch.addmm(self.c, x1, self.L_R)  # [2] (B, o[0] o[1])
        del x1
        t = t[:, :13].contiguous()  # (B, 13)
        return t if len(lead) == 1 else t.reshape(*lead, 13)
