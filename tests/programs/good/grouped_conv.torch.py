# Made by tncompile from Grouped.
# Planned for the least time of a training step with a batch of 64, h = 32, w = 32, machine profile
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


class Grouped(nn.Module):
    """The tensor network Grouped.

    y(..., (g o), h.out, w.out) = the sum over i, h.in, w.in, h.kernel, w.kernel of x K + c.

    Parameters, by key in the state dict:
        K  4x16x16x3x3  g, o, i, h.kernel, w.kernel
        c  4x16         g, o

    `forward` runs `_contract` or `_contract_above_62`, depending on the batch size `B` and on
    whether gradients are enabled; `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, `n` is
    as much of it as one iteration of a loop takes, `h` is the length of h.in and of h.out, names
    without a comma between them are one axis. `[1]` is the contraction in its docstring that a
    product belongs to.
    """

    in_channels: int = 64
    out_channels: int = 64
    kernel_size: tuple[int, ...] = (3, 3)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 4
    padding_mode: str = "zeros"

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

        self.K = nn.Parameter(empty(4, 16, 16, 3, 3))  # g, o, i, h.kernel, w.kernel
        self.c = nn.Parameter(empty(4, 16))  # g, o
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance, away from
        the borders.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        self.K.normal_(std=0.04811252243)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((3.060270795 - log_square_norm) / 2)  # of each of 1 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        self.K.mul_(scale)
        self.c.uniform_(-0.08333333333, 0.08333333333)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.K.dtype, torch.float32)
        K = self.K.to(dtype).conj().reshape(9216, 1)  # (g o i h.kernel w.kernel, 1)
        t = torch.mm(self.K.to(dtype).reshape(1, 9216), K)  # (1, 1)
        return t.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 64x16x3x3 as in nn.Conv2d: contracted whenever it is read."""
        return self.K.reshape(64, 16, 3, 3).clone()

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c.reshape(64)

    def extra_repr(self) -> str:
        return (
            "in_channels=64, out_channels=64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
            "groups=4, bias=True, x(..., (g i), h.in, w.in) -> y(..., (g o), h.out, w.out), 9,280 "
            "parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (g o), h.out, w.out) of x(..., (g i), h.in, w.in)."""
        if x.dim() < 3 or x.shape[-3] != 64 or x.shape[-2] < 1 or x.shape[-1] < 1:
            raise ValueError(
                "x(..., (g i), h.in, w.in): the last 3 axes must be 64 = 4·16 (g, i), at least 1 "
                f"(window h), at least 1 (window w), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "K", "x(..., (g i), h.in, w.in)")
        h = x.shape[-2]
        w = x.shape[-1]
        lead = x.shape[:-3]
        B = math.prod(lead)
        if x.dim() != 4:
            x = x.reshape(B, 64, h, w)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, h, w)
        if torch.is_grad_enabled():
            # convolution with K along h and w: predicted 599 µs at B = 1 (chunks of 8: 618 µs)
            if B <= 62:
                return self._contract(x, lead, h, w)
            # convolution with K along h and w, chunks of 8: predicted 27.5 ms at B = 64 (all at
            # once: 36.0 ms)
            return self._contract_above_62(x, lead, h, w)
        # convolution with K along h and w: predicted 7.97 ms at B = 64 (chunks of 8: 8.69 ms)
        if B <= 127:
            return self._contract(x, lead, h, w)
        # convolution with K along h and w, chunks of 8: predicted 860 ms at B = 4,096 (all at once:
        # 1.44 s)
        return self._contract_above_62(x, lead, h, w)

    def _contract(self, x: Tensor, lead: tuple[int, ...], h: int, w: int) -> Tensor:
        """Runs with gradients for B <= 62; without gradients for B <= 127; under `torch.compile`
        and in exports.

        One contraction, 9,216 B h w multiply-adds:
            [1] x · K  9,216 B h w  -> ..., g, h.out, w.out, o
        """
        K = self.K.reshape(64, 16, 3, 3)  # (g o, i, h.kernel, w.kernel)
        # [1] (B, g o, h, w)
        t = nn.functional.conv2d(x, K, self.c.reshape(64), padding=1, groups=4)
        return t if len(lead) == 1 else t.reshape(*lead, 64, h, w)

    def _contract_above_62(self, x: Tensor, lead: tuple[int, ...], h: int, w: int) -> Tensor:
        """Runs with gradients for B > 62; without gradients for B > 127.

        One contraction, 9,216 B h w multiply-adds, 8 of B at a time:
            [1] x · K  9,216 B h w  -> ..., g, h.out, w.out, o
        """
        K = self.K.reshape(64, 16, 3, 3)  # (g o, i, h.kernel, w.kernel)
        c = self.c.reshape(64)  # (g o)
        parts = []
        for x1 in torch.split(x, 8):  # (n, g i, h, w)
            t = nn.functional.conv2d(x1, K, c, padding=1, groups=4)  # [1] (n, g o, h, w)
            parts.append(t)
        t = torch.cat(parts)  # (B, g o, h, w)
        return t if len(lead) == 1 else t.reshape(*lead, 64, h, w)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "GroupedFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        return GroupedFolded(
            K=self.K.reshape(64, 16, 3, 3).clone(),
            c=self.c.reshape(64).clone(),
            batch_invariant=self.batch_invariant,
        )


class GroupedFolded(nn.Module):
    """Grouped for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        K  64x16x3x3  K
        c  64         c
    """

    K: Tensor
    c: Tensor
    in_channels: int = 64
    out_channels: int = 64
    kernel_size: tuple[int, ...] = (3, 3)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 4
    padding_mode: str = "zeros"

    def __init__(self, *, K: Tensor, c: Tensor, batch_invariant: bool = False) -> None:
        super().__init__()
        self.batch_invariant = batch_invariant
        self.register_buffer("K", K)  # g o, i, h.kernel, w.kernel
        self.register_buffer("c", c)  # g o

    @property
    def weight(self) -> Tensor:
        """The dense map, 64x16x3x3 as in nn.Conv2d: contracted whenever it is read."""
        return self.K.clone()

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c

    def extra_repr(self) -> str:
        return (
            "in_channels=64, out_channels=64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
            "groups=4, bias=True, x(..., (g i), h.in, w.in) -> y(..., (g o), h.out, w.out), "
            "folded: K 64x16x3x3, c 64"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (g o), h.out, w.out) of x(..., (g i), h.in, w.in)."""
        if x.dim() < 3 or x.shape[-3] != 64 or x.shape[-2] < 1 or x.shape[-1] < 1:
            raise ValueError(
                "x(..., (g i), h.in, w.in): the last 3 axes must be 64 = 4·16 (g, i), at least 1 "
                f"(window h), at least 1 (window w), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "K", "x(..., (g i), h.in, w.in)")
        h = x.shape[-2]
        w = x.shape[-1]
        lead = x.shape[:-3]
        B = math.prod(lead)
        if x.dim() != 4:
            x = x.reshape(B, 64, h, w)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, h, w)
        # convolution with K along h and w: predicted 7.96 ms at B = 64 (chunks of 8: 8.68 ms)
        if B <= 127:
            return self._contract(x, lead, h, w)
        # convolution with K along h and w, chunks of 8: predicted 860 ms at B = 4,096 (all at once:
        # 1.44 s)
        return self._contract_above_127(x, lead, h, w)

    def _contract(self, x: Tensor, lead: tuple[int, ...], h: int, w: int) -> Tensor:
        """Runs for B <= 127; under `torch.compile` and in exports.

        One contraction, 9,216 B h w multiply-adds:
            [1] x · K  9,216 B h w  -> ..., g, h.out, w.out, o
        """
        t = nn.functional.conv2d(x, self.K, self.c, padding=1, groups=4)  # [1] (B, g o, h, w)
        return t if len(lead) == 1 else t.reshape(*lead, 64, h, w)

    def _contract_above_127(self, x: Tensor, lead: tuple[int, ...], h: int, w: int) -> Tensor:
        """Runs for B > 127.

        One contraction, 9,216 B h w multiply-adds, 8 of B at a time:
            [1] x · K  9,216 B h w  -> ..., g, h.out, w.out, o
        """
        K = self.K  # (g o, i, h.kernel, w.kernel)
        c = self.c  # (g o)
        parts = []
        for x1 in torch.split(x, 8):  # (n, g i, h, w)
            t = nn.functional.conv2d(x1, K, c, padding=1, groups=4)  # [1] (n, g o, h, w)
            parts.append(t)
        t = torch.cat(parts)  # (B, g o, h, w)
        return t if len(lead) == 1 else t.reshape(*lead, 64, h, w)
