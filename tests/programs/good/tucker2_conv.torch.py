# Made by tncompile from Tucker2.
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


class Tucker2(nn.Module):
    """The tensor network Tucker2.

    y(..., o, h.out, w.out) = the sum over i, h.in, w.in, a, b, h.kernel, w.kernel of x U K V + c.

    Parameters, by key in the state dict:
        U  64x16      i, a
        K  16x32x3x3  a, b, h.kernel, w.kernel
        V  32x128     b, o
        c  128        o

    `forward` runs `_contract` or `_infer`, depending on whether gradients are enabled;
    `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, `h` is
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

        self.U = nn.Parameter(empty(64, 16))  # i, a
        self.K = nn.Parameter(empty(16, 32, 3, 3))  # a, b, h.kernel, w.kernel
        self.V = nn.Parameter(empty(32, 128))  # b, o
        self.c = nn.Parameter(empty(128))  # o
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance, away from
        the borders.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        self.U.normal_(std=0.1443375673)
        self.K.normal_(std=0.06068647146)
        self.V.normal_(std=0.1213729429)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((3.753417975 - log_square_norm) / 6)  # of each of 3 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [self.U, self.K, self.V]:
            tensor.mul_(scale)
        self.c.uniform_(-0.04166666667, 0.04166666667)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.U.dtype, torch.float32)
        t = torch.mm(self.U.to(dtype).t(), self.U.to(dtype).conj())  # (a, a')
        t1 = torch.mm(self.V.to(dtype), self.V.to(dtype).conj().t())  # (b, b')
        # (a' h.kernel w.kernel, b)
        t1 = torch.mm(self.K.to(dtype).conj().permute(0, 2, 3, 1).reshape(144, 32), t1.t())
        # (b h.kernel w.kernel, a')
        t1 = t1.reshape(16, 3, 3, 32).permute(3, 1, 2, 0).reshape(288, 16)
        t1 = torch.mm(self.K.to(dtype).reshape(16, 288), t1)  # (a, a')
        t = torch.mm(t.reshape(1, 256), t1.reshape(256, 1))  # (1, 1)
        del t1
        return t.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 128x64x3x3 as in nn.Conv2d: contracted whenever it is read."""
        kind = "cpu" if self.U.is_meta else self.U.device.type
        with torch.autocast(kind, enabled=False):
            # (a h.kernel w.kernel, o)
            t = torch.mm(self.K.permute(0, 2, 3, 1).reshape(144, 32), self.V)
            t = torch.mm(self.U, t.reshape(16, 1152))  # (i, h.kernel w.kernel o)
            # (o, i, h.kernel, w.kernel)
            t = t.reshape(64, 3, 3, 128).permute(3, 0, 1, 2).contiguous()
        return t

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c

    def extra_repr(self) -> str:
        return (
            "in_channels=64, out_channels=128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
            "bias=True, x(..., i, h.in, w.in) -> y(..., o, h.out, w.out), 9,856 parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o, h.out, w.out) of x(..., i, h.in, w.in)."""
        if x.dim() < 3 or x.shape[-3] != 64 or x.shape[-2] < 1 or x.shape[-1] < 1:
            raise ValueError(
                "x(..., i, h.in, w.in): the last 3 axes must be 64 (i), at least 1 (window h), at "
                f"least 1 (window w), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "U", "x(..., i, h.in, w.in)")
        h = x.shape[-2]
        w = x.shape[-1]
        lead = x.shape[:-3]
        B = math.prod(lead)
        if x.dim() != 4:
            x = x.reshape(B, 64, h, w)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, h, w, B)
        if torch.is_grad_enabled():
            # U, convolution with K along h and w, V: predicted 49.2 ms at B = 64
            return self._contract(x, lead, h, w, B)
        # U, convolution with K along h and w, V: predicted 18.0 ms at B = 64
        return self._infer(x, lead, h, w, B)

    def _contract(self, x: Tensor, lead: tuple[int, ...], h: int, w: int, B: int) -> Tensor:
        """Runs with gradients; under `torch.compile` and in exports.

        3 contractions, 9,728 B h w multiply-adds:
            [1] x · U    1,024 B h w  -> ..., h.in, w.in, a
            [2] K · [1]  4,608 B h w  -> b, ..., h.out, w.out
            [3] V · [2]  4,096 B h w  -> o, ..., h.out, w.out
        """
        t = torch.bmm(self.U.t().expand(B, 16, 64), x.reshape(B, 64, h * w))  # [1] (B, a, h w)
        K = self.K.permute(1, 0, 2, 3).contiguous()  # (b, a, h.kernel, w.kernel)
        t = nn.functional.conv2d(t.reshape(B, 16, h, w), K, padding=1)  # [2] (B, b, h, w)
        del K
        V = self.V.t().expand(B, 128, 32)  # (B, o, b)
        t = torch.baddbmm(self.c.reshape(128, 1), V, t.reshape(B, 32, h * w))  # [3] (B, o, h w)
        return t.reshape(*lead, 128, h, w)

    def _infer(self, x: Tensor, lead: tuple[int, ...], h: int, w: int, B: int) -> Tensor:
        """Runs without gradients.

        3 contractions, 9,728 B h w multiply-adds:
            [1] x · U    1,024 B h w  -> ..., h.in, w.in, a
            [2] K · [1]  4,608 B h w  -> b, ..., h.out, w.out
            [3] V · [2]  4,096 B h w  -> o, ..., h.out, w.out
        """
        # [1] (B, h w, a)
        t = torch.bmm(x.permute(0, 2, 3, 1).reshape(B, h * w, 64), self.U.expand(B, 64, 16))
        # (b, a, h.kernel, w.kernel)
        K = self.K.permute(1, 2, 3, 0).contiguous().permute(0, 3, 1, 2)
        # [2] (B, b, h, w)
        t = nn.functional.conv2d(t.reshape(B, h, w, 16).permute(0, 3, 1, 2), K, padding=1)
        del K
        V = self.V.t().expand(B, 128, 32)  # (B, o, b)
        t = torch.baddbmm(self.c.reshape(128, 1), V, t.reshape(B, 32, h * w))  # [3] (B, o, h w)
        return t.reshape(*lead, 128, h, w)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "Tucker2Folded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        return Tucker2Folded(
            U=self.U.clone(),
            K=self.K.permute(1, 2, 3, 0).contiguous(),
            V=self.V.t().contiguous(),
            c=self.c.reshape(128, 1).clone(),
        )


class Tucker2Folded(nn.Module):
    """Tucker2 for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        U  64x16      U
        K  32x3x3x16  K
        V  128x32     V
        c  128x1      c

    3 contractions, 9,728 B h w multiply-adds:
        [1] x · U    1,024 B h w  -> ..., h.in, w.in, a
        [2] K · [1]  4,608 B h w  -> b, ..., h.out, w.out
        [3] V · [2]  4,096 B h w  -> o, ..., h.out, w.out
    """

    U: Tensor
    K: Tensor
    V: Tensor
    c: Tensor
    in_channels: int = 64
    out_channels: int = 128
    kernel_size: tuple[int, ...] = (3, 3)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"

    def __init__(self, *, U: Tensor, K: Tensor, V: Tensor, c: Tensor) -> None:
        super().__init__()
        self.register_buffer("U", U)  # i, a
        self.register_buffer("K", K)  # b, h.kernel, w.kernel, a
        self.register_buffer("V", V)  # o, b
        self.register_buffer("c", c)  # o, 1

    @property
    def weight(self) -> Tensor:
        """The dense map, 128x64x3x3 as in nn.Conv2d: contracted whenever it is read."""
        kind = "cpu" if self.U.is_meta else self.U.device.type
        with torch.autocast(kind, enabled=False):
            t = torch.mm(self.V, self.K.reshape(32, 144))  # (o, h.kernel w.kernel a)
            # (a, o h.kernel w.kernel)
            t = t.reshape(128, 3, 3, 16).permute(3, 0, 1, 2).reshape(16, 1152)
            t = torch.mm(self.U, t)  # (i, o h.kernel w.kernel)
            # (o, i, h.kernel, w.kernel)
            t = t.reshape(64, 128, 3, 3).permute(1, 0, 2, 3).contiguous()
        return t

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c.reshape(128)

    def extra_repr(self) -> str:
        return (
            "in_channels=64, out_channels=128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
            "bias=True, x(..., i, h.in, w.in) -> y(..., o, h.out, w.out), folded: U 64x16, K "
            "32x3x3x16, V 128x32, c 128x1"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o, h.out, w.out) of x(..., i, h.in, w.in)."""
        if x.dim() < 3 or x.shape[-3] != 64 or x.shape[-2] < 1 or x.shape[-1] < 1:
            raise ValueError(
                "x(..., i, h.in, w.in): the last 3 axes must be 64 (i), at least 1 (window h), at "
                f"least 1 (window w), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "U", "x(..., i, h.in, w.in)")
        h = x.shape[-2]
        w = x.shape[-1]
        lead = x.shape[:-3]
        B = math.prod(lead)
        if x.dim() != 4:
            x = x.reshape(B, 64, h, w)
        # [1] (B, h w, a)
        t = torch.bmm(x.permute(0, 2, 3, 1).reshape(B, h * w, 64), self.U.expand(B, 64, 16))
        t1 = t.reshape(B, h, w, 16).permute(0, 3, 1, 2)  # (B, a, h, w)
        t = nn.functional.conv2d(t1, self.K.permute(0, 3, 1, 2), padding=1)  # [2] (B, b, h, w)
        del t1
        # [3] (B, o, h w)
        t = torch.baddbmm(self.c, self.V.expand(B, 128, 32), t.reshape(B, 32, h * w))
        return t.reshape(*lead, 128, h, w)
