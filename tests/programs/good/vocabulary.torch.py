# Made by tncompile from Vocabulary.
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


def _under_vmap(ids: Tensor) -> bool:
    """Whether `vmap` hides the values of a tensor."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(ids):
        if functorch.is_batchedtensor(ids):
            return True
        ids = functorch.get_unwrapped(ids)
    return False


def _checked_ids(ids: Tensor, classes: int, leg: str) -> Tensor:
    """The ids as int64; an IndexError names the leg where one is not in [0, classes)."""
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{leg}: ids must be integers, got {ids.dtype}")
    if torch.compiler.is_compiling():
        inside = ((ids >= 0) & (ids < classes)).all()
        torch._assert_async(inside, f"{leg}: ids must be in [0, {classes})")
    elif ids.numel() and not ids.is_meta and not _under_vmap(ids):
        low, high = (int(end) for end in ids.aminmax())
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            raise IndexError(f"{leg}: ids must be in [0, {classes}), got {wrong}")
    return ids.long()


def _distinct(ids: Tensor, share: float) -> tuple[Tensor, Tensor] | None:
    """The ids that differ, and where each one is among them; None if they are more than `share`.

    Their number is a number of the host: compilers, `vmap` and devices have no such shapes.
    """
    if not ids.is_cpu or torch.jit.is_tracing() or _under_vmap(ids):
        return None
    distinct, places = torch.unique(ids, return_inverse=True)
    return (distinct, places) if len(distinct) <= share * len(ids) else None


class Vocabulary(nn.Module):
    """An embedding of 30522 words, each looked up by its three digits.

    y(..., (e[*])) = the sum over v[0..3], b[0], b[1] of ids G[0..3].

    Parameters, by key in the state dict:
        G.0  30x8x8    v[0], e[0], b[0]
        G.1  8x32x8x8  b[0], v[1], e[1], b[1]
        G.2  8x32x12   b[1], v[2], e[2]

    `forward` runs `_contract` or `_infer_above_512`, depending on the batch size `B` and on whether
    gradients are enabled; `torch.compile` and exports run `_contract`. Ids that are equal are
    contracted once.

    With `batch_invariant`, `_contract` runs at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, names
    without a comma between them are one axis, ranges are half open (`v[0..3]` is v[0] to v[2]).
    `[1]` is the contraction in its docstring that a product belongs to.
    """

    num_embeddings: int = 30522
    embedding_dim: int = 768

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

        # G[k in 0..3](b[k - 1]?, v[k], e[k], b[k]?)
        self.G = _Family()
        self.G.add(nn.Parameter(empty(30, 8, 8)), 0)
        self.G.add(nn.Parameter(empty(8, 32, 8, 8)), 1)
        self.G.add(nn.Parameter(empty(8, 32, 12)), 2)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1, as nn.Embedding's.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [self.G[0], self.G[2]]:
            tensor.normal_(std=0.5946035575)
        self.G[1].normal_(std=0.3535533906)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((16.96999275 - log_square_norm) / 6)  # of each of 3 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in self.G.at(range(3)):
            tensor.mul_(scale)

    def _log_square_norm(self) -> Tensor:
        """The logarithm of the squared norm of the whole map, by contracting it with itself."""
        dtype = torch.promote_types(self.G[0].dtype, torch.float32)
        # (v[1], e[1], b[0]' b[1]')
        G = self.G[1].to(dtype).conj().permute(1, 2, 0, 3).reshape(32, 8, 64)
        # (v[1], b[0] b[1], b[0]' b[1]')
        t = torch.bmm(self.G[1].to(dtype).permute(1, 0, 3, 2).reshape(32, 64, 8), G)
        del G
        G = self.G[2].to(dtype).conj().permute(1, 2, 0)  # (v[2], e[2], b[1]')
        t1 = torch.bmm(self.G[2].to(dtype).permute(1, 0, 2), G)  # (v[2], b[1], b[1]')
        mask = (torch.arange(30720, device=self.G[0].device) < 30522).to(dtype)  # (v[0..3])
        t1 = torch.mm(mask.reshape(960, 32), t1.reshape(32, 64))  # (v[0] v[1], b[1] b[1]')
        del mask
        # (v[1], b[1], b[0], b[0]', b[1]')
        t = t.reshape(32, 8, 8, 8, 8).permute(0, 2, 1, 3, 4).contiguous()
        t = t.permute(0, 1, 4, 2, 3).reshape(2048, 64)  # (v[1] b[1] b[1]', b[0] b[0]')
        t1 = torch.mm(t1.reshape(30, 2048), t)  # (v[0], b[0] b[0]')
        del t
        # (v[0], e[0], b[0])
        t1 = torch.bmm(self.G[0].to(dtype).conj(), t1.reshape(30, 8, 8).permute(0, 2, 1))
        t1 = torch.mm(self.G[0].to(dtype).reshape(1, 1920), t1.reshape(1920, 1))  # (1, 1)
        return t1.reshape(()).abs().log()

    @property
    def weight(self) -> Tensor:
        """The dense map, 30522x768 as in nn.Embedding: contracted whenever it is read."""
        kind = "cpu" if self.G[0].is_meta else self.G[0].device.type
        with torch.autocast(kind, enabled=False):
            # (v[0] e[0], v[1] e[1] b[1])
            t = torch.mm(self.G[0].reshape(240, 8), self.G[1].reshape(8, 2048))
            # (b[1], v[0] e[0] v[1] e[1])
            t = t.reshape(30, 8, 32, 8, 8).permute(4, 0, 1, 2, 3).reshape(8, 61440)
            # (v[2] e[2], v[0] e[0] v[1] e[1])
            t = torch.mm(self.G[2].permute(1, 2, 0).reshape(384, 8), t)
            # (v[0], v[1], v[2], e[0], e[2], e[1])
            t = t.reshape(32, 12, 30, 8, 32, 8).permute(2, 4, 0, 3, 1, 5).contiguous()
            t = t.permute(0, 1, 2, 3, 5, 4).reshape(30720, 768)  # (v[0..3], e[0..3])
        return t[:30522]

    def extra_repr(self) -> str:
        return (
            "num_embeddings=30522, embedding_dim=768, ids(..., onehot(v[*]) as words) -> y(..., "
            "(e[*])), 21,376 parameters"
        )

    def forward(self, ids: Tensor) -> Tensor:
        """y(..., (e[*])) of ids(..., onehot(v[*]) as words)."""
        lead = ids.shape
        B = math.prod(lead)
        ids = _checked_ids(ids, 30522, "ids(..., onehot(v[*]) as words)")
        if ids.dim() != 1:
            ids = ids.reshape(B)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(ids, lead, B)
        repeated = None
        # equal ids once, a training step: predicted 4.34 ms at B = 4,096 where 2,048 differ (all of
        # them: 6.94 ms)
        if torch.is_grad_enabled() and B > 127:
            repeated = _distinct(ids, 0.5)
        if repeated is None:
            return self._by_size(ids, lead, B)
        ids, places = repeated
        rows = self._by_size(ids, ids.shape, len(ids))
        return rows.index_select(0, places).reshape(*lead, *rows.shape[1:])

    def _by_size(self, ids: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """The rows of `B` positions, as the mode and their number say."""
        if torch.is_grad_enabled():
            return self._contract(ids, lead, B)  # sweep forward: predicted 225 µs at B = 64
        if B <= 512:  # sweep forward: predicted 61.6 µs at B = 64 (G[0] G[1] merged: 130 µs)
            return self._contract(ids, lead, B)
        # G[0] G[1] merged: predicted 1.34 ms at B = 4,096 (sweep forward: 1.86 ms)
        return self._infer_above_512(ids, lead, B)

    def _contract(self, ids: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients; without gradients for B <= 512; under `torch.compile` and in
        exports.

        2 contractions, 10,240 B multiply-adds:
            [1] G[0] · G[1]  4,096 B  -> ..., e[0], e[1], b[1]
            [2] G[2] · [1]   6,144 B  -> ..., e[2], e[0], e[1]
        """
        digit = ids // 1024  # (B)
        G = self.G[0].index_select(0, digit)  # (B, e[0], b[0])
        del digit
        digit = ids // 32 % 32  # (B)
        G1 = self.G[1].permute(1, 0, 2, 3).index_select(0, digit)  # (B, b[0], e[1], b[1])
        del digit
        t = torch.bmm(G, G1.reshape(B, 8, 64))  # [1] (B, e[0], e[1] b[1])
        del G, G1
        digit = ids % 32  # (B)
        G = self.G[2].permute(1, 0, 2).index_select(0, digit)  # (B, b[1], e[2])
        del digit
        t = torch.bmm(t.reshape(B, 64, 8), G)  # [2] (B, e[0] e[1], e[2])
        del G
        return t.reshape(*lead, 768)

    def _infer_above_512(self, ids: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs without gradients for B > 512.

        2 contractions, 6,144 B + 3,932,160 multiply-adds:
            [1] G[0] · G[1]  3,932,160  -> ..., e[0], e[1], b[1], looked up
            [2] [1] · G[2]     6,144 B  -> ..., e[0..3]
        """
        G = self.G[1].reshape(8, 2048).expand(8, 8, 2048)  # (e[0], b[0], v[1] e[1] b[1])
        t = torch.bmm(self.G[0].permute(1, 0, 2), G)  # [1] (e[0], v[0], v[1] e[1] b[1])
        digit = ids // 32  # (B)
        # (v[0] v[1], e[0], e[1], b[1])
        t = t.reshape(8, 30, 32, 8, 8).permute(1, 2, 0, 3, 4).reshape(960, 8, 8, 8)
        t = t.index_select(0, digit)  # (B, e[0], e[1], b[1])
        del digit
        digit = ids % 32  # (B)
        G = self.G[2].permute(1, 0, 2).index_select(0, digit)  # (B, b[1], e[2])
        del digit
        t = torch.bmm(t.reshape(B, 64, 8), G)  # [2] (B, e[0] e[1], e[2])
        del G
        return t.reshape(*lead, 768)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "VocabularyFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        kind = "cpu" if self.G[0].is_meta else self.G[0].device.type
        with torch.autocast(kind, enabled=False):
            # (v[0] e[0], v[1] e[1] b[1])
            t = torch.mm(self.G[0].reshape(240, 8), self.G[1].reshape(8, 2048))
            # (v[0] e[0] v[1] e[1], v[2] e[2])
            t = torch.mm(t.reshape(61440, 8), self.G[2].reshape(8, 384))
            # (v[0], v[1], v[2], e[0], e[1], e[2])
            t1 = t.reshape(30, 8, 32, 8, 32, 12).permute(0, 2, 4, 1, 3, 5)
            t = t1.reshape(30720, 8, 8, 12)  # (v[0..3], e[0], e[1], e[2])
            del t1
        return VocabularyFolded(G_0_to_2=t)


class VocabularyFolded(nn.Module):
    """Vocabulary for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        G_0_to_2  30720x8x8x12  G.0, G.1, G.2

    2 contractions, done ahead:
        [1] G[0] · G[1]  ahead  -> v[0], e[0], v[1], e[1], b[1]
        [2] G[2] · [1]   ahead  -> ..., e[2], e[0], e[1], looked up
    """

    G_0_to_2: Tensor
    num_embeddings: int = 30522
    embedding_dim: int = 768

    def __init__(self, *, G_0_to_2: Tensor) -> None:
        super().__init__()
        self.register_buffer("G_0_to_2", G_0_to_2)  # v[0] v[1] v[2], e[0], e[1], e[2]

    @property
    def weight(self) -> Tensor:
        """The dense map, 30522x768 as in nn.Embedding: contracted whenever it is read."""
        return self.G_0_to_2.reshape(30720, 768)[:30522].clone()

    def extra_repr(self) -> str:
        return (
            "num_embeddings=30522, embedding_dim=768, ids(..., onehot(v[*]) as words) -> y(..., "
            "(e[*])), folded: G_0_to_2 30720x8x8x12"
        )

    def forward(self, ids: Tensor) -> Tensor:
        """y(..., (e[*])) of ids(..., onehot(v[*]) as words)."""
        lead = ids.shape
        B = math.prod(lead)
        ids = _checked_ids(ids, 30522, "ids(..., onehot(v[*]) as words)")
        if ids.dim() != 1:
            ids = ids.reshape(B)
        t = self.G_0_to_2.index_select(0, ids)  # (B, e[0], e[1], e[2])
        return t.reshape(*lead, 768)
