# Made by tncompile from Amplitude.
# Planned for the least time of a training step with a batch of 64, machine profile builtin-2core.

import math
from collections.abc import Iterator
from operator import index as _index
from typing import SupportsIndex, overload

import torch
from torch import Tensor, nn


def _described(tensor: Tensor) -> str:
    """`Parameter containing: [torch.float32 of size 4x8]`."""
    kind = "Parameter" if isinstance(tensor, nn.Parameter) else "Tensor"
    where = "" if tensor.device.type == "cpu" else f" ({tensor.device})"
    return f"{kind} containing: [{tensor.dtype} of size {'x'.join(map(str, tensor.shape))}{where}]"


class _Family(nn.Module):
    """Tensors of one name, as a list: `G[2]` is `G.2` in the state dict.

    Subscripts are those of the declaration; below zero they count back from the last one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[int, str] = {}

    def add(self, tensor: Tensor, subscript: int) -> None:
        """Append a member: a parameter, or a buffer where it is frozen."""
        self._names[subscript] = name = str(subscript)
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)

    @overload
    def __getitem__(self, subscript: SupportsIndex) -> Tensor: ...

    @overload
    def __getitem__(self, subscript: slice) -> list[Tensor]: ...

    def __getitem__(self, subscript: SupportsIndex | slice) -> Tensor | list[Tensor]:
        tensor: Tensor | None = self._parameters.get(str(subscript))
        if tensor is not None:
            return tensor
        if isinstance(subscript, slice):
            places = range(max(self._names) + 1)[subscript]
            return [self[place] for place in places if place in self._names]
        member: Tensor = getattr(self, self._name(subscript))
        return member

    def __setitem__(self, subscript: SupportsIndex, tensor: Tensor) -> None:
        setattr(self, self._name(subscript), tensor)

    def __contains__(self, item: object) -> bool:
        """Whether it is the subscript of a member, or a member itself."""
        if isinstance(item, int):
            return item in self._names
        return any(item is tensor for tensor in self)

    def extra_repr(self) -> str:
        return "\n".join(f"({k}): {_described(self[k])}" for k in self._names)

    def at(self, subscripts: range | list[int]) -> list[Tensor]:
        """Several members, which is faster than one by one."""
        parameters = self._parameters
        return [
            self[k] if (tensor := parameters.get(str(k))) is None else tensor for k in subscripts
        ]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[subscript] for subscript in self._names)

    def __reversed__(self) -> Iterator[Tensor]:
        return (self[subscript] for subscript in reversed(self._names))

    def _name(self, subscript: SupportsIndex) -> str:
        """The attribute that holds a member."""
        number = _index(subscript)
        if number in self._names:
            return self._names[number]
        first, last = min(self._names), max(self._names)
        if number < 0 <= first and last + 1 + number in self._names:
            return self._names[last + 1 + number]
        raise IndexError(f"no member {number}: there are {first} to {last}")


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


def _magnitude(t: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A power of two near the largest magnitude of `t` over `axes`, without a gradient."""
    size = t.detach().abs()
    size = size.amax(axes, keepdim=True) if axes else size
    size = size.clamp(min=2 * torch.finfo(size.dtype).tiny)  # zeros stay zeros
    return size.log2().sub(0.5).floor().exp2()  # without the half, large numbers round up to inf


def _log_scale(scale: Tensor) -> Tensor:
    """The logarithm of a magnitude, in float32 at least."""
    return scale.to(torch.promote_types(scale.dtype, torch.float32)).log()


def _log(t: Tensor) -> Tensor:
    """The logarithm of `|t|`: minus infinity at zero, where no gradient flows."""
    size = torch.where(t == 0, 1, t).abs()
    log = size.to(torch.promote_types(size.dtype, torch.float32)).log()
    return torch.where(t == 0, -math.inf, log)


class Amplitude(nn.Module):
    """Amplitudes of many sites as sign and logarithm, so that they never underflow.

    amplitude(...) log = the sum over s[0..4], b[0..3] of x A[0..4], as its sign and the logarithm
        of its magnitude.

    Parameters, by key in the state dict:
        A.0        2x3    s[0], b[0]
        A.1 … A.2  3x2x3  b[0], s[1], b[1] …
        A.3        3x2    b[2], s[3]

    7 contractions, 26 B + 120 multiply-adds:
        [1] x@0 · x@1     4 B  -> ..., s[0], s[1]
        [2] A[0] · A[1]    36  -> s[0], s[1], b[1]
        [3] A[2] · A[3]    36  -> b[1], s[2], s[3]
        [4] [2] · [3]      48  -> s[0..4]
        [5] [1] · [4]    16 B  -> ..., s[2], s[3]
        [6] x@2 · [5]     4 B  -> ..., s[3]
        [7] x@3 · [6]     2 B  -> ...

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis, ranges are half open (`s[0..3]` is s[0] to
    s[2]). `[1]` is the contraction above that a product belongs to.
    """

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        # A[k in 0..sites](b[k - 1]?, s[k], b[k]?)
        self.A = _Family()
        self.A.add(nn.Parameter(empty(2, 3)), 0)
        for k in range(1, 3):
            self.A.add(nn.Parameter(empty(3, 2, 3)), k)
        self.A.add(nn.Parameter(empty(3, 2)), 3)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on features of norm 1.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [self.A[0], self.A[3]]:
            tensor.normal_(std=0.6623377821)
        for tensor in [self.A[1], self.A[2]]:
            tensor.normal_(std=0.5032678828)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((1.673976434 - log_square_norm) / 8)  # of each of 4 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in self.A.at(range(4)):
            tensor.mul_(scale)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.A[0].dtype, torch.float32)
        # (s[0], s[1] b[1]')
        t = torch.mm(self.A[0].to(dtype).conj(), self.A[1].to(dtype).conj().reshape(3, 6))
        t1 = torch.mm(self.A[2].to(dtype).reshape(6, 3), self.A[3].to(dtype))  # (b[1] s[2], s[3])
        # (b[1]' s[2], s[3])
        t2 = torch.mm(self.A[2].to(dtype).conj().reshape(6, 3), self.A[3].to(dtype).conj())
        # (b[1], b[1]')
        t1 = torch.mm(t1.reshape(3, 4), t2.reshape(3, 2, 2).permute(1, 2, 0).reshape(4, 3))
        del t2
        t = torch.mm(t.reshape(4, 3), t1.t())  # (s[0] s[1], b[1])
        del t1
        t1 = t.reshape(2, 2, 3).permute(1, 2, 0).reshape(6, 2)  # (s[1] b[1], s[0])
        t = torch.mm(self.A[1].to(dtype).reshape(3, 6), t1)  # (b[0], s[0])
        del t1
        t = t.t().reshape(6, 1)  # (s[0] b[0], 1)
        t = torch.mm(self.A[0].to(dtype).reshape(1, 6), t)  # (1, 1)
        return t.reshape(()).abs().log()

    def extra_repr(self) -> str:
        return (
            "(..., 4, 2) -> (...), x(..., k in 0..sites, s[k]) -> amplitude(...) log, 48 parameters"
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """amplitude(...) log of x(..., k in 0..sites, s[k])."""
        if x.dim() < 2 or x.shape[-2] != 4 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..sites, s[k]): the last 2 axes must be 4 (slices), 2 (s[0]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self._modules["A"], "0", "x(..., k in 0..sites, s[k])")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 4, 2)
        scale = _magnitude(x, (2,))  # (B, 4, 1)
        t = x / scale  # (B, 4, s[0])
        log = _log_scale(scale).squeeze(2).sum(1)  # (B)
        t_slices = t.unbind(1)  # 4 × (B, s[0])
        del t
        t = t_slices[0].reshape(B, 2, 1) * t_slices[1].reshape(B, 1, 2)  # [1] (B, s[0], s[1])
        scale = _magnitude(t, (1, 2))  # (B, 1, 1)
        t = t / scale  # (B, s[0], s[1])
        log = log + _log_scale(scale).squeeze((1, 2))  # (B)
        scale = _magnitude(self.A[0], (0, 1))  # (1, 1)
        t1 = self.A[0] / scale  # (s[0], b[0])
        log1 = _log_scale(scale).squeeze((0, 1))  # ()
        scale = _magnitude(self.A[1], (0, 1, 2))  # (1, 1, 1)
        t2 = self.A[1] / scale  # (b[0], s[1], b[1])
        log1 = log1.reshape(1) + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
        t1 = torch.mm(t1, t2.reshape(3, 6))  # [2] (s[0], s[1] b[1])
        del t2
        t1 = t1.reshape(2, 2, 3)  # (s[0], s[1], b[1])
        scale = _magnitude(t1, (0, 1, 2))  # (1, 1, 1)
        t1 = t1 / scale  # (s[0], s[1], b[1])
        log1 = log1 + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
        scale = _magnitude(self.A[2], (0, 1, 2))  # (1, 1, 1)
        t2 = self.A[2] / scale  # (b[1], s[2], b[2])
        log1 = log1 + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
        scale = _magnitude(self.A[3], (0, 1))  # (1, 1)
        t3 = self.A[3] / scale  # (b[2], s[3])
        log1 = log1 + _log_scale(scale).squeeze((0, 1)).reshape(1)  # (1)
        t2 = torch.mm(t2.reshape(6, 3), t3)  # [3] (b[1] s[2], s[3])
        del t3
        t2 = t2.reshape(3, 2, 2)  # (b[1], s[2], s[3])
        scale = _magnitude(t2, (0, 1, 2))  # (1, 1, 1)
        t2 = t2 / scale  # (b[1], s[2], s[3])
        log1 = log1 + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
        t1 = torch.mm(t1.reshape(4, 3), t2.reshape(3, 4))  # [4] (s[0] s[1], s[2] s[3])
        del t2
        t1 = t1.reshape(2, 2, 2, 2)  # (s[0], s[1], s[2], s[3])
        scale = _magnitude(t1, (0, 1, 2, 3))  # (1, 1, 1, 1)
        t1 = t1 / scale  # (s[0], s[1], s[2], s[3])
        log1 = log1 + _log_scale(scale).squeeze((0, 1, 2, 3)).reshape(1)  # (1)
        t = torch.mm(t.reshape(B, 4), t1.reshape(4, 4))  # [5] (B, s[2] s[3])
        del t1
        t = t.reshape(B, 2, 2)  # (B, s[2], s[3])
        scale = _magnitude(t, (1, 2))  # (B, 1, 1)
        t = t / scale  # (B, s[2], s[3])
        log = log + _log_scale(scale).squeeze((1, 2))  # (B)
        t = torch.bmm(t_slices[2].reshape(B, 1, 2), t)  # [6] (B, 1, s[3])
        t = t.reshape(B, 2)  # (B, s[3])
        scale = _magnitude(t, (1,))  # (B, 1)
        t = t / scale  # (B, s[3])
        log = log + _log_scale(scale).squeeze(1)  # (B)
        t = torch.bmm(t_slices[3].reshape(B, 1, 2), t.reshape(B, 2, 1))  # [7] (B, 1, 1)
        del t_slices
        log1 = log1 + log  # (B)
        t1 = t.reshape(B)
        sign = t1.sgn() if t1.is_complex() else t1.sign()
        log = _log(t1) + log1
        sign = sign.reshape(lead)
        log = log.reshape(lead)
        return sign, log

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "AmplitudeFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.A[0].is_meta else self.A[0].device.type
        with torch.autocast(kind, enabled=False):
            scale = _magnitude(self.A[0], (0, 1))  # (1, 1)
            t = self.A[0] / scale  # (s[0], b[0])
            log = _log_scale(scale).squeeze((0, 1))  # ()
            scale = _magnitude(self.A[1], (0, 1, 2))  # (1, 1, 1)
            t1 = self.A[1] / scale  # (b[0], s[1], b[1])
            log = log.reshape(1) + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
            t = torch.mm(t, t1.reshape(3, 6))  # (s[0], s[1] b[1])
            del t1
            t = t.reshape(2, 2, 3)  # (s[0], s[1], b[1])
            scale = _magnitude(t, (0, 1, 2))  # (1, 1, 1)
            t = t / scale  # (s[0], s[1], b[1])
            log = log + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
            scale = _magnitude(self.A[2], (0, 1, 2))  # (1, 1, 1)
            t1 = self.A[2] / scale  # (b[1], s[2], b[2])
            log = log + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
            scale = _magnitude(self.A[3], (0, 1))  # (1, 1)
            t2 = self.A[3] / scale  # (b[2], s[3])
            log = log + _log_scale(scale).squeeze((0, 1)).reshape(1)  # (1)
            t1 = torch.mm(t1.reshape(6, 3), t2)  # (b[1] s[2], s[3])
            del t2
            t1 = t1.reshape(3, 2, 2)  # (b[1], s[2], s[3])
            scale = _magnitude(t1, (0, 1, 2))  # (1, 1, 1)
            t1 = t1 / scale  # (b[1], s[2], s[3])
            log = log + _log_scale(scale).squeeze((0, 1, 2)).reshape(1)  # (1)
            t = torch.mm(t.reshape(4, 3), t1.reshape(3, 4))  # (s[0] s[1], s[2] s[3])
            del t1
            t = t.reshape(2, 2, 2, 2)  # (s[0], s[1], s[2], s[3])
            scale = _magnitude(t, (0, 1, 2, 3))  # (1, 1, 1, 1)
            log = log + _log_scale(scale).squeeze((0, 1, 2, 3)).reshape(1)  # (1)
            t = t / scale  # (s[0], s[1], s[2], s[3])
        return AmplitudeFolded(log_A_0_to_3=log, A_0_to_3=t.reshape(2, 8))


class AmplitudeFolded(nn.Module):
    """Amplitude for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        log_A_0_to_3  1    A.0, A.1, A.2, A.3
        A_0_to_3      2x8  A.0, A.1, A.2, A.3

    7 contractions, 3 done ahead, 30 B multiply-adds:
        [1] A[0] · A[1]  ahead  -> s[0], s[1], b[1]
        [2] A[2] · A[3]  ahead  -> b[1], s[2], s[3]
        [3] [1] · [2]    ahead  -> s[0..4]
        [4] x@0 · [3]     16 B  -> ..., s[1..4]
        [5] x@1 · [4]      8 B  -> ..., s[2], s[3]
        [6] x@2 · [5]      4 B  -> ..., s[3]
        [7] x@3 · [6]      2 B  -> ...
    """

    log_A_0_to_3: Tensor
    A_0_to_3: Tensor

    def __init__(self, *, log_A_0_to_3: Tensor, A_0_to_3: Tensor) -> None:
        super().__init__()
        self.register_buffer("log_A_0_to_3", log_A_0_to_3)  # 1
        self.register_buffer("A_0_to_3", A_0_to_3)  # s[0], s[1] s[2] s[3]

    def extra_repr(self) -> str:
        return (
            "(..., 4, 2) -> (...), x(..., k in 0..sites, s[k]) -> amplitude(...) log, folded: "
            "log_A_0_to_3 1, A_0_to_3 2x8"
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """amplitude(...) log of x(..., k in 0..sites, s[k])."""
        if x.dim() < 2 or x.shape[-2] != 4 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..sites, s[k]): the last 2 axes must be 4 (slices), 2 (s[0]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A_0_to_3", "x(..., k in 0..sites, s[k])")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 4, 2)
        scale = _magnitude(x, (2,))  # (B, 4, 1)
        t = x / scale  # (B, 4, s[0])
        log = _log_scale(scale).squeeze(2).sum(1)  # (B)
        t_slices = t.unbind(1)  # 4 × (B, s[0])
        del t
        t = torch.mm(t_slices[0], self.A_0_to_3)  # [4] (B, s[1..4])
        t = t.reshape(B, 2, 2, 2)  # (B, s[1], s[2], s[3])
        scale = _magnitude(t, (1, 2, 3))  # (B, 1, 1, 1)
        t = t / scale  # (B, s[1], s[2], s[3])
        log = log + _log_scale(scale).squeeze((1, 2, 3))  # (B)
        t = torch.bmm(t_slices[1].reshape(B, 1, 2), t.reshape(B, 2, 4))  # [5] (B, 1, s[2] s[3])
        t = t.reshape(B, 2, 2)  # (B, s[2], s[3])
        scale = _magnitude(t, (1, 2))  # (B, 1, 1)
        t = t / scale  # (B, s[2], s[3])
        log = log + _log_scale(scale).squeeze((1, 2))  # (B)
        t = torch.bmm(t_slices[2].reshape(B, 1, 2), t)  # [6] (B, 1, s[3])
        t = t.reshape(B, 2)  # (B, s[3])
        scale = _magnitude(t, (1,))  # (B, 1)
        t = t / scale  # (B, s[3])
        log = log + _log_scale(scale).squeeze(1)  # (B)
        t = torch.bmm(t_slices[3].reshape(B, 1, 2), t.reshape(B, 2, 1))  # [7] (B, 1, 1)
        del t_slices
        t1 = self.log_A_0_to_3 + log  # (B)
        t2 = t.reshape(B)
        sign = t2.sgn() if t2.is_complex() else t2.sign()
        log = _log(t2) + t1
        sign = sign.reshape(lead)
        log = log.reshape(lead)
        return sign, log
