# Made by tncompile from Tree.
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
    """Tensors of one name by subscripts: `V[2, 5]` is `V.2.5` in the state dict.

    `V[2]` is a row, a family of its own, and so is what iteration over `V` gives. Subscripts are
    those of the declaration; below zero they count back from the last one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[int, str] = {}

    def add(self, tensor: Tensor, *subscripts: int) -> None:
        """Append a member: a parameter, or a buffer where it is frozen."""
        first, *rest = subscripts
        self._names[first] = name = str(first)
        if rest:
            if name not in self._modules:
                self.add_module(name, _Family())
            self.of(first).add(tensor, *rest)
        elif isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)

    @overload
    def __getitem__(self, subscripts: SupportsIndex | tuple[SupportsIndex, ...]) -> Tensor: ...

    @overload
    def __getitem__(self, subscripts: slice) -> list[Tensor]: ...

    def __getitem__(
        self, subscripts: SupportsIndex | tuple[SupportsIndex, ...] | slice
    ) -> Tensor | list[Tensor]:
        if isinstance(subscripts, tuple):
            *outer, last = subscripts
            return self.of(*outer)[last]
        tensor: Tensor | None = self._parameters.get(str(subscripts))
        if tensor is not None:
            return tensor
        if isinstance(subscripts, slice):
            places = range(max(self._names) + 1)[subscripts]
            return [self[place] for place in places if place in self._names]
        member: Tensor = getattr(self, self._name(subscripts))
        return member

    def of(self, *subscripts: SupportsIndex) -> "_Family":
        """The members that begin with these subscripts."""
        family = self
        for subscript in subscripts:
            row = family._modules.get(str(subscript))
            if row is None:
                row = getattr(family, family._name(subscript))
            if not isinstance(row, _Family):
                raise IndexError(f"a subscript too many: {subscripts}")
            family = row
        return family

    def __setitem__(
        self, subscripts: SupportsIndex | tuple[SupportsIndex, ...], tensor: Tensor
    ) -> None:
        *outer, last = subscripts if isinstance(subscripts, tuple) else (subscripts,)
        family = self.of(*outer)
        setattr(family, family._name(last), tensor)

    def __contains__(self, item: object) -> bool:
        """Whether it is the subscripts of a member or of a row, or a member or a row itself."""
        if not isinstance(item, int | tuple):
            rows = (row for row in self if isinstance(row, _Family))
            return any(item is row for row in self) or any(item in row for row in rows)
        first, *rest = item if isinstance(item, tuple) else (item,)
        if not rest:
            return first in self._names
        row = self._modules.get(str(first))
        return isinstance(row, _Family) and tuple(rest) in row

    def extra_repr(self) -> str:
        leaves = (k for k, name in self._names.items() if name not in self._modules)
        return "\n".join(f"({k}): {_described(self[k])}" for k in leaves)

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


class Tree(nn.Module):
    """Five sites: the last is handed up alone.

    y(..., label) = the sum over p[0..5], v[1, 0..3], v[2, 0], v[2, 1], v[3, 0] of x Pair[0..3]
        Node[2, 0] Node[2, 1] Node[3, 0] Top.

    Parameters, by key in the state dict:
        Pair.0 … Pair.1  4x4x4  p[0], p[1], v[1, 0] …
        Pair.2           4x4    p[4], v[1, 2]
        Node.2.0         4x4x4  v[1, 0], v[1, 1], v[2, 0]
        Node.2.1         4x4    v[1, 2], v[2, 1]
        Node.3.0         4x4x4  v[2, 0], v[2, 1], v[3, 0]
        Top              4x3    v[3, 0], label

    `forward` runs `_contract` or `_contract_above_225`, depending on the batch size `B` and on
    whether gradients are enabled; `torch.compile` and exports run `_contract`.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, names
    without a comma between them are one axis, ranges are half open (`p[0..3]` is p[0] to p[2]),
    `#0` runs over equal products that are batched. `[1]` is the contraction in its docstring that a
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

        # Pair[j in 0..ceil_div(sites, 2)](p[2 * j], p[2 * j + 1]?, v[1, j])
        self.Pair = _Family()
        for k in range(2):
            self.Pair.add(nn.Parameter(empty(4, 4, 4)), k)
        self.Pair.add(nn.Parameter(empty(4, 4)), 2)
        # Node[l in 2..depth + 1, j in 0..ceil_div(sites, 2 ** l)](v[l - 1, 2 * j], v[l - 1, 2 * j +
        # 1]?, v[l, j])
        self.Node = _Family()
        self.Node.add(nn.Parameter(empty(4, 4, 4)), 2, 0)
        self.Node.add(nn.Parameter(empty(4, 4)), 2, 1)
        self.Node.add(nn.Parameter(empty(4, 4, 4)), 3, 0)
        self.Top = nn.Parameter(empty(4, 3))  # v[3, 0], label
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on features of norm 1.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [*self.Pair.at(range(3)), self.Top]:
            tensor.normal_(std=0.65373978)
        for tensor in [self.Node[2, 0], self.Node[3, 0]]:
            tensor.normal_(std=0.32686989)
        self.Node[2, 1].normal_(std=0.4622638316)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((6.931471806 - log_square_norm) / 14)  # of each of 7 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [
            *self.Pair.at(range(3)),
            self.Node[2, 0],
            self.Node[2, 1],
            self.Node[3, 0],
            self.Top,
        ]:
            tensor.mul_(scale)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.Pair[0].dtype, torch.float32)
        Pair = self.Pair[0].to(dtype).permute(2, 0, 1).reshape(4, 16)  # (v[1, 0], p[0] p[1])
        t = torch.mm(Pair, self.Pair[0].to(dtype).conj().reshape(16, 4))  # (v[1, 0], v[1, 0]')
        Pair = self.Pair[1].to(dtype).permute(2, 0, 1).reshape(4, 16)  # (v[1, 1], p[2] p[3])
        t1 = torch.mm(Pair, self.Pair[1].to(dtype).conj().reshape(16, 4))  # (v[1, 1], v[1, 1]')
        # (v[1, 0]' v[2, 0]', v[1, 1]')
        Node = self.Node[2, 0].to(dtype).conj().permute(0, 2, 1).reshape(16, 4)
        t1 = torch.mm(Node, t1.t())  # (v[1, 0]' v[2, 0]', v[1, 1])
        del Node
        # (v[2, 0]' v[1, 1], v[1, 0])
        t1 = torch.mm(t1.reshape(4, 4, 4).permute(1, 2, 0).reshape(16, 4), t.t())
        del t
        t1 = t1.reshape(4, 4, 4).permute(2, 1, 0).reshape(16, 4)  # (v[1, 0] v[1, 1], v[2, 0]')
        # (v[2, 0], v[2, 0]')
        t1 = torch.mm(self.Node[2, 0].to(dtype).permute(2, 0, 1).reshape(4, 16), t1)
        # (v[3, 0]', v[2, 0]' v[2, 1]')
        Node = self.Node[3, 0].to(dtype).conj().permute(2, 0, 1).reshape(4, 16)
        t = torch.mm(self.Top.to(dtype).conj().t(), Node)  # (label, v[2, 0]' v[2, 1]')
        # (p[4], v[2, 1]')
        t2 = torch.mm(self.Pair[2].to(dtype).conj(), self.Node[2, 1].to(dtype).conj())
        t2 = torch.mm(self.Pair[2].to(dtype).t(), t2)  # (v[1, 2], v[2, 1]')
        t2 = torch.mm(self.Node[2, 1].to(dtype).t(), t2)  # (v[2, 1], v[2, 1]')
        # (v[2, 1], label v[2, 0]')
        t2 = torch.mm(t2, t.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12))
        del t
        # (v[2, 0], v[2, 1] label)
        t1 = torch.mm(t1, t2.reshape(4, 3, 4).permute(2, 0, 1).reshape(4, 12))
        del t2
        # (v[3, 0], v[2, 0] v[2, 1])
        Node = self.Node[3, 0].to(dtype).permute(2, 0, 1).reshape(4, 16)
        t1 = torch.mm(Node, t1.reshape(16, 3))  # (v[3, 0], label)
        t1 = torch.mm(self.Top.to(dtype).reshape(1, 12), t1.reshape(12, 1))  # (1, 1)
        return t1.reshape(()).abs().log()

    def extra_repr(self) -> str:
        return (
            "(..., 5, 4) -> (..., 3), x(..., k in 0..sites, p[k]) -> y(..., label), 300 parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 5 or x.shape[-1] != 4:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 5 (slices), 4 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "Top", "x(..., k in 0..sites, p[k])")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 5, 4)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        if torch.is_grad_enabled():
            # levels of 4+ pairs, inputs first, equal steps batched: predicted 259 µs at B = 64
            # (search (flops): 292 µs)
            if B <= 246:
                return self._contract(x, lead, B)
            # search (flops): predicted 768 µs at B = 4,096 (levels of 4+ pairs, inputs first, equal
            # steps batched: 1.18 ms)
            return self._contract_above_225(x, lead, B)
        # levels of 4+ pairs, inputs first, equal steps batched: predicted 72.7 µs at B = 64 (search
        # (flops): 82.8 µs)
        if B <= 225:
            return self._contract(x, lead, B)
        # search (flops): predicted 304 µs at B = 4,096 (levels of 4+ pairs, inputs first, equal
        # steps batched: 454 µs)
        return self._contract_above_225(x, lead, B)

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients for B <= 246; without gradients for B <= 225; under
        `torch.compile` and in exports.

        11 contractions in 9 steps, 364 B multiply-adds:
            [1] x@0 · x@1          32 B  -> ..., p[0], p[1] and 1 equal ones
            [2] [1] · Pair[0]     128 B  -> ..., v[1, 0] and 1 equal ones
            [5] [2] · [4]          16 B  -> ..., v[1, 1], v[1, 0]
            [6] [5] · Node[2, 0]   64 B  -> ..., v[2, 0]
            [7] [6] · Node[3, 0]   64 B  -> v[2, 1], v[3, 0], ...
            [8] x@4 · Pair[2]      16 B  -> ..., v[1, 2]
            [9] [8] · Node[2, 1]   16 B  -> ..., v[2, 1]
            [10] [9] · [7]         16 B  -> ..., v[3, 0]
            [11] [10] · Top        12 B  -> label, ...
        """
        # [1] (B, #0, p[0], p[1])
        t = x[:, :3:2].reshape(B, 2, 4, 1) * x[:, 1:4:2].reshape(B, 2, 1, 4)
        Pair = torch.stack([self.Pair[0], self.Pair[1]])  # (#1, p[0], p[1], v[1, 0])
        # [2] (#1, B, v[1, 0])
        t = torch.bmm(t.permute(1, 0, 2, 3).reshape(2, B, 16), Pair.reshape(2, 16, 4))
        del Pair
        t_slices = t.unbind()  # 2 × (B, v[1, 0])
        del t
        t = t_slices[0].reshape(B, 4, 1) * t_slices[1].reshape(B, 1, 4)  # [5] (B, v[1, 0], v[1, 1])
        del t_slices
        t = torch.mm(t.reshape(B, 16), self.Node[2, 0].reshape(16, 4))  # [6] (B, v[2, 0])
        t = torch.mm(t, self.Node[3, 0].reshape(4, 16))  # [7] (B, v[2, 1] v[3, 0])
        t1 = torch.mm(x[:, 4], self.Pair[2])  # [8] (B, v[1, 2])
        t1 = torch.mm(t1, self.Node[2, 1])  # [9] (B, v[2, 1])
        t1 = torch.bmm(t1.reshape(B, 1, 4), t.reshape(B, 4, 4))  # [10] (B, 1, v[3, 0])
        del t
        t1 = torch.mm(t1.reshape(B, 4), self.Top)  # [11] (B, label)
        return t1 if len(lead) == 1 else t1.reshape(*lead, 3)

    def _contract_above_225(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients for B > 246; without gradients for B > 225.

        11 contractions, 300 B + 448 multiply-adds:
            [1] x@0 · Pair[0]         64 B  -> ..., p[1], v[1, 0]
            [2] x@1 · [1]             16 B  -> ..., v[1, 0]
            [3] x@2 · x@3             16 B  -> ..., p[2], p[3]
            [4] Pair[1] · [3]         64 B  -> v[1, 1], ...
            [5] Node[2, 0] · [4]      64 B  -> v[1, 0], v[2, 0], ...
            [6] [2] · [5]             16 B  -> ..., v[2, 0]
            [7] Pair[2] · Node[2, 1]    64  -> p[4], v[2, 1]
            [8] Node[3, 0] · Top       192  -> v[2, 0], v[2, 1], label
            [9] [7] · [8]              192  -> p[4], v[2, 0], label
            [10] x@4 · [9]            48 B  -> ..., v[2, 0], label
            [11] [6] · [10]           12 B  -> ..., label
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t = torch.mm(x_slices[0], self.Pair[0].reshape(4, 16))  # [1] (B, p[1] v[1, 0])
        t = torch.bmm(x_slices[1].reshape(B, 1, 4), t.reshape(B, 4, 4))  # [2] (B, 1, v[1, 0])
        t1 = x_slices[2].reshape(B, 4, 1) * x_slices[3].reshape(B, 1, 4)  # [3] (B, p[2], p[3])
        Pair = self.Pair[1].permute(2, 0, 1).reshape(4, 16)  # (v[1, 1], p[2] p[3])
        t1 = torch.mm(Pair, t1.permute(1, 2, 0).reshape(16, B))  # [4] (v[1, 1], B)
        # [5] (B, v[1, 0] v[2, 0])
        t1 = torch.mm(t1.t(), self.Node[2, 0].permute(1, 0, 2).reshape(4, 16))
        t = torch.bmm(t, t1.reshape(B, 4, 4))  # [6] (B, 1, v[2, 0])
        del t1
        t1 = torch.mm(self.Pair[2], self.Node[2, 1])  # [7] (p[4], v[2, 1])
        # [8] (label, v[2, 0] v[2, 1])
        t2 = torch.mm(self.Top.t(), self.Node[3, 0].permute(2, 0, 1).reshape(4, 16))
        # [9] (p[4], label v[2, 0])
        t1 = torch.mm(t1, t2.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12))
        del t2
        t1 = torch.mm(x_slices[4], t1)  # [10] (B, label v[2, 0])
        t1 = torch.bmm(t1.reshape(B, 3, 4), t.reshape(B, 4, 1))  # [11] (B, label, 1)
        del t
        return t1.reshape(*lead, 3)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "TreeFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.Pair[0].is_meta else self.Pair[0].device.type
        with torch.autocast(kind, enabled=False):
            # (label, v[2, 0] v[2, 1])
            t = torch.mm(self.Top.t(), self.Node[3, 0].permute(2, 0, 1).reshape(4, 16))
            t = t.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12)  # (v[2, 1], label v[2, 0])
            t1 = torch.mm(self.Node[2, 1], t)  # (v[1, 2], label v[2, 0])
            Node = self.Node[2, 0].permute(2, 0, 1).reshape(4, 16)  # (v[2, 0], v[1, 0] v[1, 1])
            t1 = torch.mm(t1.reshape(12, 4), Node)  # (v[1, 2] label, v[1, 0] v[1, 1])
            # (label v[1, 0] v[1, 1], v[1, 2])
            t2 = t1.reshape(4, 3, 4, 4).permute(1, 2, 3, 0).reshape(48, 4)
            t1 = torch.mm(t2, self.Pair[2].t())  # (label v[1, 0] v[1, 1], p[4])
            del t2
            # (p[4], label v[1, 0] v[1, 1])
            t1 = t1.reshape(3, 4, 4, 4).permute(3, 0, 1, 2).reshape(4, 48).contiguous()
            t2 = torch.mm(self.Pair[2], self.Node[2, 1])  # (p[4], v[2, 1])
            t = torch.mm(t2, t)  # (p[4], label v[2, 0])
            t = torch.mm(t.reshape(12, 4), Node)  # (p[4] label, v[1, 0] v[1, 1])
            # (v[1, 1], p[4] label v[1, 0])
            t3 = t.reshape(4, 3, 4, 4).permute(3, 0, 1, 2).reshape(4, 48)
            t = torch.mm(self.Pair[1].reshape(16, 4), t3)  # (p[2] p[3], p[4] label v[1, 0])
            del t3
            # (v[1, 0], p[2..5] label)
            t = t.reshape(4, 4, 4, 3, 4).permute(4, 0, 1, 2, 3).reshape(4, 192)
            t = torch.mm(self.Pair[0].reshape(16, 4), t)  # (p[0] p[1], p[2..5] label)
            t3 = torch.mm(self.Node[3, 0].reshape(16, 4), self.Top)  # (v[2, 0] v[2, 1], label)
            t3 = t3.reshape(4, 4, 3).permute(1, 0, 2).reshape(4, 12)  # (v[2, 1], v[2, 0] label)
            t2 = torch.mm(t2, t3)  # (p[4], v[2, 0] label)
            del t3
        return TreeFolded(
            Pair_0=self.Pair[0].reshape(4, 16).clone(),
            merged1=t,
            Pair_1=self.Pair[1].clone(),
            merged=t1,
            merged2=t2,
            Node_2_0=self.Node[2, 0].permute(1, 0, 2).reshape(4, 16),
            batch_invariant=self.batch_invariant,
        )


class TreeFolded(nn.Module):
    """Tree for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        Pair_0    4x16    Pair.0
        merged1   16x192  Pair.0, Pair.1, Pair.2, … Top
        Pair_1    4x4x4   Pair.1
        merged    4x48    Pair.2, Node.2.0, Node.2.1, Node.3.0, Top
        merged2   4x12    Pair.2, Node.2.1, Node.3.0, Top
        Node_2_0  4x16    Node.2.0
    """

    Pair_0: Tensor
    merged1: Tensor
    Pair_1: Tensor
    merged: Tensor
    merged2: Tensor
    Node_2_0: Tensor

    def __init__(
        self,
        *,
        Pair_0: Tensor,
        merged1: Tensor,
        Pair_1: Tensor,
        merged: Tensor,
        merged2: Tensor,
        Node_2_0: Tensor,
        batch_invariant: bool = False,
    ) -> None:
        super().__init__()
        self.batch_invariant = batch_invariant
        self.register_buffer("Pair_0", Pair_0)  # p[0], p[1] v[1, 0]
        self.register_buffer("merged1", merged1)  # p[0] p[1], p[2] p[3] p[4] label
        self.register_buffer("Pair_1", Pair_1)  # p[2], p[3], v[1, 1]
        self.register_buffer("merged", merged)  # p[4], label v[1, 0] v[1, 1]
        self.register_buffer("merged2", merged2)  # p[4], v[2, 0] label
        self.register_buffer("Node_2_0", Node_2_0)  # v[1, 1], v[1, 0] v[2, 0]

    def extra_repr(self) -> str:
        return (
            "(..., 5, 4) -> (..., 3), x(..., k in 0..sites, p[k]) -> y(..., label), folded: "
            "Pair_0 4x16, merged1 16x192, Pair_1 4x4x4, merged 4x48 and 2 more"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 5 or x.shape[-1] != 4:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 5 (slices), 4 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "Pair_0", "x(..., k in 0..sites, p[k])")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 5, 4)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        # materialize dense, inputs first: predicted 33.0 µs at B = 1 (sweep backward: 37.4 µs)
        if B <= 7:
            return self._contract_to_7(x, lead, B)
        if B <= 260:  # sweep backward: predicted 44.3 µs at B = 64 (search (flops): 49.2 µs)
            return self._contract(x, lead, B)
        # search (flops): predicted 270 µs at B = 4,096 (sweep backward: 300 µs)
        return self._contract_above_260(x, lead, B)

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs for 7 < B <= 260; under `torch.compile` and in exports.

        11 contractions, 4 done ahead, 412 B multiply-adds:
            [1] Top · Node[3, 0]  ahead  -> label, v[2, 0], v[2, 1]
            [2] [1] · Node[2, 1]  ahead  -> label, v[2, 0], v[1, 2]
            [3] [2] · Node[2, 0]  ahead  -> label, v[1, 2], v[1, 0], v[1, 1]
            [4] [3] · Pair[2]     ahead  -> label, v[1, 0], v[1, 1], p[4]
            [5] [4] · x@4         192 B  -> label, v[1, 0], v[1, 1], ...
            [6] x@2 · Pair[1]      64 B  -> ..., p[3], v[1, 1]
            [7] x@3 · [6]          16 B  -> ..., v[1, 1]
            [8] [5] · [7]          48 B  -> label, v[1, 0], ...
            [9] x@0 · Pair[0]      64 B  -> ..., p[1], v[1, 0]
            [10] x@1 · [9]         16 B  -> ..., v[1, 0]
            [11] [8] · [10]        12 B  -> label, ...
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t = torch.mm(x_slices[4], self.merged)  # [5] (B, label v[1, 0] v[1, 1])
        t1 = torch.mm(x_slices[2], self.Pair_1.reshape(4, 16))  # [6] (B, p[3] v[1, 1])
        t1 = torch.bmm(x_slices[3].reshape(B, 1, 4), t1.reshape(B, 4, 4))  # [7] (B, 1, v[1, 1])
        t = torch.bmm(t.reshape(B, 12, 4), t1.reshape(B, 4, 1))  # [8] (B, label v[1, 0], 1)
        del t1
        t1 = torch.mm(x_slices[0], self.Pair_0)  # [9] (B, p[1] v[1, 0])
        t1 = torch.bmm(x_slices[1].reshape(B, 1, 4), t1.reshape(B, 4, 4))  # [10] (B, 1, v[1, 0])
        t = torch.bmm(t.reshape(B, 3, 4), t1.reshape(B, 4, 1))  # [11] (B, label, 1)
        del t1
        return t.reshape(*lead, 3)

    def _contract_to_7(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs for B <= 7.

        11 contractions, 6 done ahead, 3,340 B multiply-adds:
            [1] x@0 · x@1                16 B  -> ..., p[0], p[1]
            [2] Pair[2] · Node[2, 1]    ahead  -> p[4], v[2, 1]
            [3] Node[3, 0] · Top        ahead  -> v[2, 0], v[2, 1], label
            [4] [2] · [3]               ahead  -> p[4], v[2, 0], label
            [5] Node[2, 0] · [4]        ahead  -> v[1, 0], v[1, 1], p[4], label
            [6] Pair[1] · [5]           ahead  -> p[2], p[3], v[1, 0], p[4], label
            [7] Pair[0] · [6]           ahead  -> p[0..5], label
            [8] [1] · [7]             3,072 B  -> ..., p[2..5], label
            [9] x@2 · [8]               192 B  -> ..., p[3], p[4], label
            [10] x@3 · [9]               48 B  -> ..., p[4], label
            [11] x@4 · [10]              12 B  -> ..., label
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t = x_slices[0].reshape(B, 4, 1) * x_slices[1].reshape(B, 1, 4)  # [1] (B, p[0], p[1])
        t = torch.mm(t.reshape(B, 16), self.merged1)  # [8] (B, p[2..5] label)
        # [9] (B, 1, p[3] p[4] label)
        t = torch.bmm(x_slices[2].reshape(B, 1, 4), t.reshape(B, 4, 48))
        t = torch.bmm(x_slices[3].reshape(B, 1, 4), t.reshape(B, 4, 12))  # [10] (B, 1, p[4] label)
        t = torch.bmm(x_slices[4].reshape(B, 1, 4), t.reshape(B, 4, 3))  # [11] (B, 1, label)
        return t.reshape(*lead, 3)

    def _contract_above_260(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs for B > 260.

        11 contractions, 3 done ahead, 300 B multiply-adds:
            [1] x@0 · Pair[0]          64 B  -> ..., p[1], v[1, 0]
            [2] x@1 · [1]              16 B  -> ..., v[1, 0]
            [3] x@2 · x@3              16 B  -> ..., p[2], p[3]
            [4] Pair[1] · [3]          64 B  -> v[1, 1], ...
            [5] Node[2, 0] · [4]       64 B  -> v[1, 0], v[2, 0], ...
            [6] [2] · [5]              16 B  -> ..., v[2, 0]
            [7] Pair[2] · Node[2, 1]  ahead  -> p[4], v[2, 1]
            [8] Node[3, 0] · Top      ahead  -> v[2, 0], v[2, 1], label
            [9] [7] · [8]             ahead  -> p[4], v[2, 0], label
            [10] x@4 · [9]             48 B  -> ..., v[2, 0], label
            [11] [6] · [10]            12 B  -> ..., label
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t = torch.mm(x_slices[0], self.Pair_0)  # [1] (B, p[1] v[1, 0])
        t = torch.bmm(x_slices[1].reshape(B, 1, 4), t.reshape(B, 4, 4))  # [2] (B, 1, v[1, 0])
        t1 = x_slices[2].reshape(B, 4, 1) * x_slices[3].reshape(B, 1, 4)  # [3] (B, p[2], p[3])
        Pair = self.Pair_1.permute(2, 0, 1).reshape(4, 16)  # (v[1, 1], p[2] p[3])
        t1 = torch.mm(Pair, t1.permute(1, 2, 0).reshape(16, B))  # [4] (v[1, 1], B)
        t1 = torch.mm(t1.t(), self.Node_2_0)  # [5] (B, v[1, 0] v[2, 0])
        t = torch.bmm(t, t1.reshape(B, 4, 4))  # [6] (B, 1, v[2, 0])
        del t1
        t1 = torch.mm(x_slices[4], self.merged2)  # [10] (B, v[2, 0] label)
        t = torch.bmm(t, t1.reshape(B, 4, 3))  # [11] (B, 1, label)
        del t1
        return t.reshape(*lead, 3)
