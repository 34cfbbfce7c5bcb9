# Made by tncompile from MPO.
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


class MPO(nn.Module):
    """A linear layer of 784 inputs and 256 outputs as a tensor train.

    y(..., (o[*])) = the sum over i[0], i[1], b[0] of x G[0] G[1] + c.

    Parameters, by key in the state dict:
        G.0  28x16x8  i[0], o[0], b[0]
        G.1  8x28x16  b[0], i[1], o[1]
        c    16x16    o[0], o[1]

    `forward` runs `_contract` or `_contract_above_358`, depending on the batch size `B` and on
    whether gradients are enabled; `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, names
    without a comma between them are one axis. `[1]` is the contraction in its docstring that a
    product belongs to.
    """

    in_features: int = 784
    out_features: int = 256

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

        # G[k in 0..n](b[k - 1]?, i[k], o[k], b[k]?)
        self.G = _Family()
        self.G.add(nn.Parameter(empty(28, 16, 8)), 0)
        self.G.add(nn.Parameter(empty(8, 28, 16)), 1)
        self.c = nn.Parameter(empty(16, 16))  # o[0], o[1]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on inputs of unit variance.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [self.G[0], self.G[1]]:
            tensor.normal_(std=0.08538236378)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((4.446565156 - log_square_norm) / 4)  # of each of 2 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [self.G[0], self.G[1]]:
            tensor.mul_(scale)
        self.c.uniform_(-0.03571428571, 0.03571428571)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.G[0].dtype, torch.float32)
        G = self.G[0].to(dtype).permute(2, 0, 1).reshape(8, 448)  # (b[0], i[0] o[0])
        t = torch.mm(G, self.G[0].to(dtype).conj().reshape(448, 8))  # (b[0], b[0]')
        G = self.G[1].to(dtype).conj().permute(1, 2, 0).reshape(448, 8)  # (i[1] o[1], b[0]')
        t1 = torch.mm(self.G[1].to(dtype).reshape(8, 448), G)  # (b[0], b[0]')
        t = torch.mm(t.reshape(1, 64), t1.reshape(64, 1))  # (1, 1)
        del t1
        return t.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 256x784 as in nn.Linear: contracted whenever it is read."""
        kind = "cpu" if self.G[0].is_meta else self.G[0].device.type
        with torch.autocast(kind, enabled=False):
            # (i[0] o[0], i[1] o[1])
            t = torch.mm(self.G[0].reshape(448, 8), self.G[1].reshape(8, 448))
            # (o[0], i[0], i[1], o[1])
            t = t.reshape(28, 16, 28, 16).permute(1, 0, 2, 3).contiguous()
            t = t.permute(0, 3, 1, 2).reshape(256, 784)  # (o[0] o[1], i[0] i[1])
        return t

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c.reshape(256)

    def extra_repr(self) -> str:
        return (
            "in_features=784, out_features=256, bias=True, x(..., (i[*])) -> y(..., (o[*])), "
            "7,424 parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (o[*])) of x(..., (i[*]))."""
        if x.dim() < 1 or x.shape[-1] != 784:
            raise ValueError(
                "x(..., (i[*])): the last axis must have 784 = 28·28 entries (i[0], i[1]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "c", "x(..., (i[*]))")
        lead = x.shape[:-1]
        B = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(B, 784)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        if torch.is_grad_enabled():
            if B <= 358:  # sweep forward: predicted 587 µs at B = 64 (materialize dense: 813 µs)
                return self._contract(x, lead, B)
            # materialize dense: predicted 27.3 ms at B = 4,096 (sweep forward: 89.1 ms)
            return self._contract_above_358(x, lead)
        if B <= 484:  # sweep forward: predicted 169 µs at B = 64 (materialize dense: 235 µs)
            return self._contract(x, lead, B)
        # materialize dense: predicted 8.45 ms at B = 4,096 (sweep forward: 28.2 ms)
        return self._contract_above_358(x, lead)

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients for B <= 358; without gradients for B <= 484; under
        `torch.compile` and in exports.

        2 contractions, 157,696 B multiply-adds:
            [1] x · G[0]    100,352 B  -> ..., i[1], o[0], b[0]
            [2] [1] · G[1]   57,344 B  -> ..., o[0], o[1]
        """
        G = self.G[0].permute(1, 2, 0).reshape(128, 28).expand(B, 128, 28)  # (B, o[0] b[0], i[0])
        t = torch.bmm(G, x.reshape(B, 28, 28))  # [1] (B, o[0] b[0], i[1])
        t = torch.mm(t.reshape(B * 16, 224), self.G[1].reshape(224, 16))  # [2] (B o[0], o[1])
        t = t.reshape(B, 256) + self.c.reshape(1, 256).to(t.dtype)  # (B, o[0] o[1])
        return t if len(lead) == 1 else t.reshape(*lead, 256)

    def _contract_above_358(self, x: Tensor, lead: tuple[int, ...]) -> Tensor:
        """Runs with gradients for B > 358; without gradients for B > 484.

        2 contractions, 200,704 B + 1,605,632 multiply-adds:
            [1] G[0] · G[1]  1,605,632  -> i[0], o[0], i[1], o[1]
            [2] x · [1]      200,704 B  -> ..., o[0], o[1]
        """
        G = self.G[1].reshape(8, 448).expand(16, 8, 448)  # (o[0], b[0], i[1] o[1])
        t = torch.bmm(self.G[0].permute(1, 0, 2), G)  # [1] (o[0], i[0], i[1] o[1])
        # (i[0] i[1], o[0] o[1])
        t = t.reshape(16, 28, 28, 16).permute(1, 2, 0, 3).reshape(784, 256)
        t = torch.addmm(self.c.reshape(256), x, t)  # [2] (B, o[0] o[1])
        return t if len(lead) == 1 else t.reshape(*lead, 256)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "MPOFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.G[0].is_meta else self.G[0].device.type
        with torch.autocast(kind, enabled=False):
            # (i[0] o[0], i[1] o[1])
            t = torch.mm(self.G[0].reshape(448, 8), self.G[1].reshape(8, 448))
            # (i[0] i[1], o[0] o[1])
            t = t.reshape(28, 16, 28, 16).permute(0, 2, 1, 3).reshape(784, 256)
        return MPOFolded(
            G_0=self.G[0].permute(1, 0, 2).reshape(16, 224),
            G_0_1=t,
            G_1=self.G[1].permute(1, 0, 2).reshape(28, 128),
            c=self.c.clone(),
            batch_invariant=self.batch_invariant,
        )


class MPOFolded(nn.Module):
    """MPO for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        G_0    16x224   G.0
        G_0_1  784x256  G.0, G.1
        G_1    28x128   G.1
        c      16x16    c
    """

    G_0: Tensor
    G_0_1: Tensor
    G_1: Tensor
    c: Tensor
    in_features: int = 784
    out_features: int = 256

    def __init__(
        self, *, G_0: Tensor, G_0_1: Tensor, G_1: Tensor, c: Tensor, batch_invariant: bool = False
    ) -> None:
        super().__init__()
        self.batch_invariant = batch_invariant
        self.register_buffer("G_0", G_0)  # o[0], i[0] b[0]
        self.register_buffer("G_0_1", G_0_1)  # i[0] i[1], o[0] o[1]
        self.register_buffer("G_1", G_1)  # i[1], b[0] o[1]
        self.register_buffer("c", c)  # o[0], o[1]

    @property
    def weight(self) -> Tensor:
        """The dense map, 256x784 as in nn.Linear: contracted whenever it is read."""
        kind = "cpu" if self.G_0.is_meta else self.G_0.device.type
        with torch.autocast(kind, enabled=False):
            G = self.G_1.reshape(28, 8, 16).permute(1, 0, 2).reshape(8, 448)  # (b[0], i[1] o[1])
            t = torch.mm(self.G_0.reshape(448, 8), G)  # (o[0] i[0], i[1] o[1])
            del G
            # (o[0] o[1], i[0] i[1])
            t = t.reshape(16, 28, 28, 16).permute(0, 3, 1, 2).reshape(256, 784)
        return t

    @property
    def bias(self) -> Tensor:
        """What is added to the output, as one axis."""
        return self.c.reshape(256)

    def extra_repr(self) -> str:
        return (
            "in_features=784, out_features=256, bias=True, x(..., (i[*])) -> y(..., (o[*])), "
            "folded: G_0 16x224, G_0_1 784x256, G_1 28x128, c 16x16"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (o[*])) of x(..., (i[*]))."""
        if x.dim() < 1 or x.shape[-1] != 784:
            raise ValueError(
                "x(..., (i[*])): the last axis must have 784 = 28·28 entries (i[0], i[1]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "G_0", "x(..., (i[*]))")
        lead = x.shape[:-1]
        B = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(B, 784)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        if B <= 99:  # sweep backward: predicted 154 µs at B = 64 (materialize dense: 162 µs)
            return self._contract(x, lead, B)
        # materialize dense: predicted 8.37 ms at B = 4,096 (sweep backward: 27.8 ms)
        return self._contract_above_99(x, lead)

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs for B <= 99; under `torch.compile` and in exports.

        2 contractions, 157,696 B multiply-adds:
            [1] x · G[1]    100,352 B  -> ..., i[0], b[0], o[1]
            [2] G[0] · [1]   57,344 B  -> o[0], ..., o[1]
        """
        t = torch.mm(x.reshape(B * 28, 28), self.G_1)  # [1] (B i[0], b[0] o[1])
        # [2] (B, o[0], o[1])
        t = torch.baddbmm(self.c, self.G_0.expand(B, 16, 224), t.reshape(B, 224, 16))
        return t.reshape(*lead, 256)

    def _contract_above_99(self, x: Tensor, lead: tuple[int, ...]) -> Tensor:
        """Runs for B > 99.

        2 contractions, 1 done ahead, 200,704 B multiply-adds:
            [1] G[0] · G[1]      ahead  -> i[0], o[0], i[1], o[1]
            [2] x · [1]      200,704 B  -> ..., o[0], o[1]
        """
        t = torch.addmm(self.c.reshape(256), x, self.G_0_1)  # [2] (B, o[0] o[1])
        return t if len(lead) == 1 else t.reshape(*lead, 256)
