# Made by tncompile from CPConv.
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


class CPConv(nn.Module):
    """The tensor network CPConv.

    y(..., o, h.out, w.out) = the sum over i, h.in, w.in, r, h.kernel, w.kernel of x A B C D.

    Parameters, by key in the state dict:
        A  64x32   i, r
        B  3x32    h.kernel, r
        C  3x32    w.kernel, r
        D  32x128  r, o

    `forward` runs `_contract` or `_infer`, depending on whether gradients are enabled;
    `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `N` is the product of all leading axes, `h` is
    the length of h.in and of h.out, names without a comma between them are one axis. `[1]` is the
    contraction in its docstring that a product belongs to.
    """

    in_channels: int = 64
    out_channels: int = 128
    kernel_size: tuple[int, ...] = (3, 3)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
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

        self.A = nn.Parameter(empty(64, 32))  # i, r
        self.B = nn.Parameter(empty(3, 32))  # h.kernel, r
        self.C = nn.Parameter(empty(3, 32))  # w.kernel, r
        self.D = nn.Parameter(empty(32, 128))  # r, o
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance, away from
        the borders.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [self.A, self.B, self.C, self.D]:
            tensor.normal_(std=0.2553661244)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((3.753417975 - log_square_norm) / 8)  # of each of 4 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [self.A, self.B, self.C, self.D]:
            tensor.mul_(scale)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.A.dtype, torch.float32)
        t = torch.mm(self.A.to(dtype).t(), self.A.to(dtype).conj())  # (r, r')
        t1 = torch.mm(self.B.to(dtype).t(), self.B.to(dtype).conj())  # (r, r')
        t2 = torch.mm(self.D.to(dtype), self.D.to(dtype).conj().t())  # (r, r')
        t1 = t1 * t2  # (r, r')
        del t2
        t = t * t1  # (r, r')
        del t1
        t = torch.mm(self.C.to(dtype), t)  # (w.kernel, r')
        t = torch.mm(self.C.to(dtype).conj().reshape(1, 96), t.reshape(96, 1))  # (1, 1)
        return t.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 128x64x3x3 as in nn.Conv2d: contracted whenever it is read."""
        kind = "cpu" if self.A.is_meta else self.A.device.type
        with torch.autocast(kind, enabled=False):
            t = self.A.reshape(64, 32, 1) * self.B.t().reshape(1, 32, 3)  # (i, r, h.kernel)
            t1 = self.D.reshape(32, 128, 1) * self.C.t().reshape(32, 1, 3)  # (r, o, w.kernel)
            # (i h.kernel, o w.kernel)
            t = torch.mm(t.permute(0, 2, 1).reshape(192, 32), t1.reshape(32, 384))
            del t1
            # (o, i, h.kernel, w.kernel)
            t = t.reshape(64, 3, 128, 3).permute(2, 0, 1, 3).contiguous()
        return t

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def extra_repr(self) -> str:
        return (
            "in_channels=64, out_channels=128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
            "bias=False, x(..., i, h.in, w.in) -> y(..., o, h.out, w.out), 6,336 parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o, h.out, w.out) of x(..., i, h.in, w.in)."""
        if x.dim() < 3 or x.shape[-3] != 64 or x.shape[-2] < 1 or x.shape[-1] < 1:
            raise ValueError(
                "x(..., i, h.in, w.in): the last 3 axes must be 64 (i), at least 1 (window h), at "
                f"least 1 (window w), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A", "x(..., i, h.in, w.in)")
        h = x.shape[-2]
        w = x.shape[-1]
        lead = x.shape[:-3]
        N = math.prod(lead)
        if x.dim() != 4:
            x = x.reshape(N, 64, h, w)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, h, w, N)
        if torch.is_grad_enabled():
            # A, convolution with B C along h and w, D: predicted 45.4 ms at B = 64
            return self._contract(x, lead, h, w, N)
        # A, convolution with B C along h and w, D: predicted 15.6 ms at B = 64
        return self._infer(x, lead, h, w, N)

    def _contract(self, x: Tensor, lead: tuple[int, ...], h: int, w: int, N: int) -> Tensor:
        """Runs with gradients; under `torch.compile` and in exports.

        4 contractions, 6,432 N h w + 288 multiply-adds:
            [1] x · A      2,048 N h w  -> ..., h.in, w.in, r
            [2] B · C              288  -> h.kernel, r, w.kernel
            [3] [1] · [2]    288 N h w  -> ..., h.out, w.out, r
            [4] D · [3]    4,096 N h w  -> o, ..., h.out, w.out
        """
        t = torch.bmm(self.A.t().expand(N, 32, 64), x.reshape(N, 64, h * w))  # [1] (N, r, h w)
        t1 = self.B.reshape(3, 32, 1) * self.C.t().reshape(1, 32, 3)  # [2] (h.kernel, r, w.kernel)
        t1 = t1.permute(1, 0, 2).reshape(32, 1, 3, 3).contiguous()  # (r, 1, h.kernel, w.kernel)
        # [3] (N, r, h, w)
        t = nn.functional.conv2d(t.reshape(N, 32, h, w), t1, padding=1, groups=32)
        del t1
        t = torch.bmm(self.D.t().expand(N, 128, 32), t.reshape(N, 32, h * w))  # [4] (N, o, h w)
        return t.reshape(*lead, 128, h, w)

    def _infer(self, x: Tensor, lead: tuple[int, ...], h: int, w: int, N: int) -> Tensor:
        """Runs without gradients.

        4 contractions, 6,432 N h w + 288 multiply-adds:
            [1] x · A      2,048 N h w  -> ..., h.in, w.in, r
            [2] B · C              288  -> h.kernel, r, w.kernel
            [3] [1] · [2]    288 N h w  -> ..., h.out, w.out, r
            [4] D · [3]    4,096 N h w  -> o, ..., h.out, w.out
        """
        # [1] (N, h w, r)
        t = torch.bmm(x.permute(0, 2, 3, 1).reshape(N, h * w, 64), self.A.expand(N, 64, 32))
        t1 = self.B.reshape(3, 32, 1) * self.C.t().reshape(1, 32, 3)  # [2] (h.kernel, r, w.kernel)
        t1 = t1.permute(1, 0, 2).reshape(32, 3, 3, 1).contiguous()  # (r, h.kernel, w.kernel, 1)
        t2 = t.reshape(N, h, w, 32).permute(0, 3, 1, 2)  # (N, r, h, w)
        # [3] (N, r, h, w)
        t = nn.functional.conv2d(t2, t1.permute(0, 3, 1, 2), padding=1, groups=32)
        del t2, t1
        t = torch.bmm(self.D.t().expand(N, 128, 32), t.reshape(N, 32, h * w))  # [4] (N, o, h w)
        return t.reshape(*lead, 128, h, w)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "CPConvFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        t = self.B.reshape(3, 32, 1) * self.C.t().reshape(1, 32, 3)  # (h.kernel, r, w.kernel)
        t = t.permute(1, 0, 2).reshape(32, 3, 3, 1).contiguous()  # (r, h.kernel, w.kernel, 1)
        return CPConvFolded(A=self.A.clone(), B_C=t, D=self.D.t().contiguous())


class CPConvFolded(nn.Module):
    """CPConv for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        A    64x32     A
        B_C  32x3x3x1  B, C
        D    128x32    D

    4 contractions, 1 done ahead, 6,432 N h w multiply-adds:
        [1] x · A      2,048 N h w  -> ..., h.in, w.in, r
        [2] B · C            ahead  -> h.kernel, r, w.kernel
        [3] [1] · [2]    288 N h w  -> ..., h.out, w.out, r
        [4] D · [3]    4,096 N h w  -> o, ..., h.out, w.out
    """

    A: Tensor
    B_C: Tensor
    D: Tensor
    in_channels: int = 64
    out_channels: int = 128
    kernel_size: tuple[int, ...] = (3, 3)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"

    def __init__(self, *, A: Tensor, B_C: Tensor, D: Tensor) -> None:
        super().__init__()
        self.register_buffer("A", A)  # i, r
        self.register_buffer("B_C", B_C)  # r, h.kernel, w.kernel, 1
        self.register_buffer("D", D)  # o, r

    @property
    def weight(self) -> Tensor:
        """The dense map, 128x64x3x3 as in nn.Conv2d: contracted whenever it is read."""
        kind = "cpu" if self.A.is_meta else self.A.device.type
        with torch.autocast(kind, enabled=False):
            # (i, r, h.kernel, w.kernel)
            t = self.A.reshape(64, 32, 1, 1) * self.B_C.reshape(1, 32, 3, 3)
            t = t.permute(1, 0, 2, 3).reshape(32, 576)  # (r, i h.kernel w.kernel)
            t = torch.mm(self.D, t)  # (o, i h.kernel w.kernel)
        return t.reshape(128, 64, 3, 3)

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def extra_repr(self) -> str:
        return (
            "in_channels=64, out_channels=128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
            "bias=False, x(..., i, h.in, w.in) -> y(..., o, h.out, w.out), folded: A 64x32, B_C "
            "32x3x3x1, D 128x32"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o, h.out, w.out) of x(..., i, h.in, w.in)."""
        if x.dim() < 3 or x.shape[-3] != 64 or x.shape[-2] < 1 or x.shape[-1] < 1:
            raise ValueError(
                "x(..., i, h.in, w.in): the last 3 axes must be 64 (i), at least 1 (window h), at "
                f"least 1 (window w), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A", "x(..., i, h.in, w.in)")
        h = x.shape[-2]
        w = x.shape[-1]
        lead = x.shape[:-3]
        N = math.prod(lead)
        if x.dim() != 4:
            x = x.reshape(N, 64, h, w)
        # [1] (N, h w, r)
        t = torch.bmm(x.permute(0, 2, 3, 1).reshape(N, h * w, 64), self.A.expand(N, 64, 32))
        t1 = t.reshape(N, h, w, 32).permute(0, 3, 1, 2)  # (N, r, h, w)
        # [3] (N, r, h, w)
        t = nn.functional.conv2d(t1, self.B_C.permute(0, 3, 1, 2), padding=1, groups=32)
        del t1
        t = torch.bmm(self.D.expand(N, 128, 32), t.reshape(N, 32, h * w))  # [4] (N, o, h w)
        return t.reshape(*lead, 128, h, w)
