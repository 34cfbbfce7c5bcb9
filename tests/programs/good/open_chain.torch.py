# Made by tncompile from Chain.
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


class Chain(nn.Module):
    """Open boundaries, a shared inside, a flattened tensor axis and a size-1 index.

    y(..., label) = the sum over f[0..5], one, b[0..4], t of x gate First Inner[1..4] Last Top + c.

    Parameters, by key in the state dict:
        First  2x3x1  f[0], b[0], one
        Inner  3x2x3  b[0], f[1], b[1] (used 3 times)
        Last   3x18   b[3], f[4] t
        Top    9x2    t, label (frozen)
        c      2      label

    `forward` runs `_contract` or `_infer_to_62`, depending on the batch size `B` and on whether
    gradients are enabled; `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, names
    without a comma between them are one axis, ranges are half open (`f[0..3]` is f[0] to f[2]).
    `[1]` is the contraction in its docstring that a product belongs to.
    """

    Top: Tensor

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

        self.First = nn.Parameter(empty(2, 3, 1))  # f[0], b[0], one
        self.Inner = nn.Parameter(empty(3, 2, 3))  # b[0], f[1], b[1]
        self.Last = nn.Parameter(empty(3, 18))  # b[3], f[4] t
        self.register_buffer("Top", empty(9, 2))  # t, label
        self.c = nn.Parameter(empty(2))  # label
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on features of norm 1.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        self.First.normal_(std=0.5)
        self.Inner.zero_()
        self.Inner.view(6, 3).diagonal().fill_(1)
        self.Last.normal_(std=0.6910764331)
        self.Top.normal_(std=0.9095077345)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((3.060270795 - log_square_norm) / 4)  # of each of 2 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [self.Last, self.Top]:
            tensor.mul_(scale)
        self.c.zero_()

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.First.dtype, torch.float32)
        # (f[0], f[1] b[1])
        t = torch.mm(self.First.to(dtype).reshape(2, 3), self.Inner.to(dtype).reshape(3, 6))
        t1 = torch.mm(self.Last.to(dtype).reshape(6, 9), self.Top.to(dtype))  # (b[3] f[4], label)
        # (b[3]' f[4], label)
        t2 = torch.mm(self.Last.to(dtype).conj().reshape(6, 9), self.Top.to(dtype).conj())
        # (b[3], b[3]')
        t1 = torch.mm(t1.reshape(3, 4), t2.reshape(3, 2, 2).permute(1, 2, 0).reshape(4, 3))
        del t2
        t1 = torch.mm(self.Inner.to(dtype).reshape(6, 3), t1)  # (b[2] f[3], b[3]')
        t2 = t1.reshape(3, 2, 3).permute(1, 2, 0).reshape(6, 3)  # (f[3] b[3]', b[2])
        t1 = torch.mm(self.Inner.to(dtype).conj().reshape(3, 6), t2)  # (b[2]', b[2])
        del t2
        t1 = torch.mm(self.Inner.to(dtype).conj().reshape(6, 3), t1)  # (b[1]' f[2], b[2])
        t2 = t1.reshape(3, 2, 3).permute(1, 2, 0).reshape(6, 3)  # (f[2] b[2], b[1]')
        t1 = torch.mm(self.Inner.to(dtype).reshape(3, 6), t2)  # (b[1], b[1]')
        del t2
        t = torch.mm(t.reshape(4, 3), t1)  # (f[0] f[1], b[1]')
        del t1
        t1 = t.reshape(2, 2, 3).permute(1, 2, 0).reshape(6, 2)  # (f[1] b[1]', f[0])
        t = torch.mm(self.Inner.to(dtype).conj().reshape(3, 6), t1)  # (b[0]', f[0])
        del t1
        t = t.t().reshape(6, 1)  # (f[0] b[0]', 1)
        t = torch.mm(self.First.to(dtype).conj().reshape(1, 6), t)  # (1, 1)
        return t.reshape(()).abs().log()

    def extra_repr(self) -> str:
        return (
            "(..., 5, 2), (1,) -> (..., 2), x(..., k in 0..n, f[k]), gate(one) -> y(..., label), "
            "98 parameters"
        )

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..n, f[k]), gate(one)."""
        if x.dim() < 2 or x.shape[-2] != 5 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..n, f[k]): the last 2 axes must be 5 (slices), 2 (f[0]), got shape "
                f"{tuple(x.shape)}"
            )
        _check_dtype(x, self, "First", "x(..., k in 0..n, f[k])")
        if gate.shape != (1,):
            raise ValueError(
                f"gate(one): its only axis must have 1 entries (one), got shape {tuple(gate.shape)}"
            )
        _check_dtype(gate, self, "First", "gate(one)")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 5, 2)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, gate, lead, B)
        if torch.is_grad_enabled():
            # materialize dense, inputs first: predicted 267 µs at B = 64
            return self._contract(x, gate, lead, B)
        # split after core 5, second half first, inputs first: predicted 63.1 µs at B = 1
        # (materialize dense, inputs first: 71.6 µs)
        if B <= 62:
            return self._infer_to_62(x, gate, lead, B)
        # materialize dense, inputs first: predicted 74.6 µs at B = 64 (split after core 5, second
        # half first, inputs first: 72.7 µs)
        return self._contract(x, gate, lead, B)

    def _contract(self, x: Tensor, gate: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients; without gradients for B > 62; under `torch.compile` and in
        exports.

        11 contractions, 98 B + 480 multiply-adds:
            [1] x@0 · x@1          4 B  -> ..., f[0], f[1]
            [2] First · Inner[1]    36  -> f[0], f[1], b[1]
            [3] Inner[2] · [2]      72  -> f[2], b[2], f[0], f[1]
            [4] Last · Top         108  -> b[3], f[4], label
            [5] Inner[3] · [4]      72  -> b[2], f[3], f[4], label
            [6] [3] · [5]          192  -> f[2], f[0], f[1], f[3], f[4], label
            [7] [1] · [6]         64 B  -> ..., f[2..5], label
            [8] x@2 · [7]         16 B  -> ..., f[3], f[4], label
            [9] x@3 · [8]          8 B  -> ..., f[4], label
            [10] x@4 · [9]         4 B  -> ..., label
            [11] gate · [10]       2 B  -> ..., label
        """
        x_slices = x.unbind(1)  # 5 × (B, f[0])
        t = x_slices[0].reshape(B, 2, 1) * x_slices[1].reshape(B, 1, 2)  # [1] (B, f[0], f[1])
        t1 = torch.mm(self.First.reshape(2, 3), self.Inner.reshape(3, 6))  # [2] (f[0], f[1] b[1])
        t1 = torch.mm(t1.reshape(4, 3), self.Inner.reshape(3, 6))  # [3] (f[0] f[1], f[2] b[2])
        t2 = torch.mm(self.Last.reshape(6, 9), self.Top)  # [4] (b[3] f[4], label)
        t2 = torch.mm(self.Inner.reshape(6, 3), t2.reshape(3, 4))  # [5] (b[2] f[3], f[4] label)
        t1 = torch.mm(t1.reshape(8, 3), t2.reshape(3, 8))  # [6] (f[0..3], f[3] f[4] label)
        del t2
        t = torch.mm(t.reshape(B, 4), t1.reshape(4, 16))  # [7] (B, f[2..5] label)
        del t1
        # [8] (B, 1, f[3] f[4] label)
        t = torch.bmm(x_slices[2].reshape(B, 1, 2), t.reshape(B, 2, 8))
        t = torch.bmm(x_slices[3].reshape(B, 1, 2), t.reshape(B, 2, 4))  # [9] (B, 1, f[4] label)
        t = torch.bmm(x_slices[4].reshape(B, 1, 2), t.reshape(B, 2, 2))  # [10] (B, 1, label)
        t = t.reshape(B, 2) * gate.reshape(1, 1)  # [11] (B, label)
        t = t + self.c.reshape(1, 2).to(t.dtype)  # (B, label)
        return t if len(lead) == 1 else t.reshape(*lead, 2)

    def _infer_to_62(self, x: Tensor, gate: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs without gradients for B <= 62.

        11 contractions, 156 B + 18 multiply-adds:
            [1] x@0 · First      6 B  -> ..., b[0]
            [2] [1] · x@1        6 B  -> ..., b[0], f[1]
            [3] [2] · Inner[1]  18 B  -> ..., b[1]
            [4] [3] · x@2        6 B  -> ..., b[1], f[2]
            [5] [4] · Inner[2]  18 B  -> ..., b[2]
            [6] [5] · x@3        6 B  -> ..., b[2], f[3]
            [7] [6] · Inner[3]  18 B  -> ..., b[3]
            [8] [7] · x@4        6 B  -> ..., b[3], f[4]
            [9] [8] · Last      54 B  -> ..., t
            [10] gate · Top       18  -> t, label
            [11] [10] · [9]     18 B  -> label, ...
        """
        x_slices = x.unbind(1)  # 5 × (B, f[0])
        t = torch.mm(x_slices[0], self.First.reshape(2, 3))  # [1] (B, b[0])
        t = t.reshape(B, 3, 1) * x_slices[1].reshape(B, 1, 2)  # [2] (B, b[0], f[1])
        t = torch.mm(t.reshape(B, 6), self.Inner.reshape(6, 3))  # [3] (B, b[1])
        t = t.reshape(B, 3, 1) * x_slices[2].reshape(B, 1, 2)  # [4] (B, b[1], f[2])
        t = torch.mm(t.reshape(B, 6), self.Inner.reshape(6, 3))  # [5] (B, b[2])
        t = t.reshape(B, 3, 1) * x_slices[3].reshape(B, 1, 2)  # [6] (B, b[2], f[3])
        t = torch.mm(t.reshape(B, 6), self.Inner.reshape(6, 3))  # [7] (B, b[3])
        t = t.reshape(B, 3, 1) * x_slices[4].reshape(B, 1, 2)  # [8] (B, b[3], f[4])
        t = torch.mm(t.reshape(B, 6), self.Last.reshape(6, 9))  # [9] (B, t)
        t1 = self.Top * gate.reshape(1, 1)  # [10] (t, label)
        t = torch.addmm(self.c, t, t1)  # [11] (B, label)
        del t1
        return t if len(lead) == 1 else t.reshape(*lead, 2)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "ChainFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.First.is_meta else self.First.device.type
        with torch.autocast(kind, enabled=False):
            Inner = self.Inner.reshape(3, 6)  # (b[0], f[1] b[1])
            t = torch.mm(self.First.reshape(2, 3), Inner)  # (f[0], f[1] b[1])
            t = torch.mm(t.reshape(4, 3), Inner)  # (f[0] f[1], f[2] b[2])
            t1 = torch.mm(self.Last.reshape(6, 9), self.Top)  # (b[3] f[4], label)
            t1 = torch.mm(self.Inner.reshape(6, 3), t1.reshape(3, 4))  # (b[2] f[3], f[4] label)
            t = torch.mm(t.reshape(8, 3), t1.reshape(3, 8))  # (f[0..3], f[3] f[4] label)
            del t1
        return ChainFolded(merged=t.reshape(4, 16), c=self.c.reshape(1, 2).clone())


class ChainFolded(nn.Module):
    """Chain for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        merged  4x16  First, Inner, Last, Top
        c       1x2   c

    11 contractions, 5 done ahead, 98 B multiply-adds:
        [1] x@0 · x@1           4 B  -> ..., f[0], f[1]
        [2] First · Inner[1]  ahead  -> f[0], f[1], b[1]
        [3] Inner[2] · [2]    ahead  -> f[2], b[2], f[0], f[1]
        [4] Last · Top        ahead  -> b[3], f[4], label
        [5] Inner[3] · [4]    ahead  -> b[2], f[3], f[4], label
        [6] [3] · [5]         ahead  -> f[2], f[0], f[1], f[3], f[4], label
        [7] [1] · [6]          64 B  -> ..., f[2..5], label
        [8] x@2 · [7]          16 B  -> ..., f[3], f[4], label
        [9] x@3 · [8]           8 B  -> ..., f[4], label
        [10] x@4 · [9]          4 B  -> ..., label
        [11] gate · [10]        2 B  -> ..., label
    """

    merged: Tensor
    c: Tensor

    def __init__(self, *, merged: Tensor, c: Tensor) -> None:
        super().__init__()
        self.register_buffer("merged", merged)  # f[0] f[1], f[2] f[3] f[4] label
        self.register_buffer("c", c)  # 1, label

    def extra_repr(self) -> str:
        return (
            "(..., 5, 2), (1,) -> (..., 2), x(..., k in 0..n, f[k]), gate(one) -> y(..., label), "
            "folded: merged 4x16, c 1x2"
        )

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..n, f[k]), gate(one)."""
        if x.dim() < 2 or x.shape[-2] != 5 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..n, f[k]): the last 2 axes must be 5 (slices), 2 (f[0]), got shape "
                f"{tuple(x.shape)}"
            )
        _check_dtype(x, self, "merged", "x(..., k in 0..n, f[k])")
        if gate.shape != (1,):
            raise ValueError(
                f"gate(one): its only axis must have 1 entries (one), got shape {tuple(gate.shape)}"
            )
        _check_dtype(gate, self, "merged", "gate(one)")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 5, 2)
        x_slices = x.unbind(1)  # 5 × (B, f[0])
        t = x_slices[0].reshape(B, 2, 1) * x_slices[1].reshape(B, 1, 2)  # [1] (B, f[0], f[1])
        t = torch.mm(t.reshape(B, 4), self.merged)  # [7] (B, f[2..5] label)
        # [8] (B, 1, f[3] f[4] label)
        t = torch.bmm(x_slices[2].reshape(B, 1, 2), t.reshape(B, 2, 8))
        t = torch.bmm(x_slices[3].reshape(B, 1, 2), t.reshape(B, 2, 4))  # [9] (B, 1, f[4] label)
        t = torch.bmm(x_slices[4].reshape(B, 1, 2), t.reshape(B, 2, 2))  # [10] (B, 1, label)
        t = t.reshape(B, 2) * gate.reshape(1, 1)  # [11] (B, label)
        t = t + self.c.to(t.dtype)  # (B, label)
        return t if len(lead) == 1 else t.reshape(*lead, 2)
