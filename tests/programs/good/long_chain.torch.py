# Made by tncompile from Chain.
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


class Chain(nn.Module):
    """A chain of 100 sites with a label at its end: long enough to be written as batched products.

    y(..., label) = the sum over p[0..100], a[0..100] of x A[0..100] Top.

    Parameters, by key in the state dict:
        A.0         2x6    p[0], a[0]
        A.1 … A.99  6x2x6  a[0], p[1], a[1] …
        Top         6x4    a[99], label

    200 contractions in 102 steps, 10,728 B multiply-adds, the largest:
        [2] x@1 · A[1]      7,128 B  -> ..., a[0], a[1] and 98 equal ones
        [101] [1] · [2]        36 B  -> ..., a[1]
        [102] [101] · [3]      36 B  -> ..., a[2]
        [103] [102] · [4]      36 B  -> ..., a[3]
        [104] [103] · [5]      36 B  -> ..., a[4]
        [105] [104] · [6]      36 B  -> ..., a[5]
        [106] [105] · [7]      36 B  -> ..., a[6]
        [107] [106] · [8]      36 B  -> ..., a[7]
        [108] [107] · [9]      36 B  -> ..., a[8]
        [109] [108] · [10]     36 B  -> ..., a[9]
        [110] [109] · [11]     36 B  -> ..., a[10]
        [111] [110] · [12]     36 B  -> ..., a[11]
        [112] [111] · [13]     36 B  -> ..., a[12]
        [113] [112] · [14]     36 B  -> ..., a[13]
        [114] [113] · [15]     36 B  -> ..., a[14]
        [115] [114] · [16]     36 B  -> ..., a[15]
        [116] [115] · [17]     36 B  -> ..., a[16]
        [117] [116] · [18]     36 B  -> ..., a[17]
        [118] [117] · [19]     36 B  -> ..., a[18]
        [119] [118] · [20]     36 B  -> ..., a[19]

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis, ranges are half open (`p[0..3]` is p[0] to
    p[2]), `#0` runs over equal products that are batched. `[1]` is the contraction above that a
    product belongs to.
    """

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        # A[k in 0..sites](a[k - 1]?, p[k], a[k])
        self.A = _Family()
        self.A.add(nn.Parameter(empty(2, 6)), 0)
        for k in range(1, 100):
            self.A.add(nn.Parameter(empty(6, 2, 6)), k)
        self.Top = nn.Parameter(empty(6, 4))  # a[99], label
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start near the identity: outputs of mean square 1/3 on features of norm 1.

        Along a long chain every slice is the identity between the bonds plus a little noise, so
        that features that sum to one are handed through, however many the sites.
        """
        self.A[0].normal_(std=0.02020023943)
        self.A[0].select(1, 0).add_(0.9945413049)
        for tensor in self.A.at(range(1, 100)):
            tensor.normal_(std=0.02020023943)
            tensor.diagonal(dim1=0, dim2=2).add_(0.9945413049)
        self.Top.normal_(std=0.02020023943)
        self.Top.select(0, 0).add_(0.9945413049)

    def extra_repr(self) -> str:
        return (
            "(..., 100, 2) -> (..., 4), x(..., k in 0..sites, p[k]) -> y(..., label), 7,164 "
            "parameters"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 100 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 100 (slices), 2 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "Top", "x(..., k in 0..sites, p[k])")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 100, 2)
        t = torch.mm(x[:, 0], self.A[0])  # [1] (B, a[0])
        A = torch.stack(self.A.at(range(1, 100)))  # (#0, a[0], p[1], a[1])
        A = A.permute(0, 2, 1, 3).reshape(99, 2, 36)  # (#0, p[1], a[0] a[1])
        t1 = torch.bmm(x[:, 1:100].permute(1, 0, 2), A)  # [2] (#0, B, a[0] a[1])
        del A
        t_slices = t1.reshape(99, B, 6, 6).unbind()  # 99 × (B, a[0], a[1])
        del t1
        t = torch.bmm(t.reshape(B, 1, 6), t_slices[0])  # [101] (B, 1, a[1])
        t = torch.bmm(t, t_slices[1])  # [102] (B, 1, a[2])
        t = torch.bmm(t, t_slices[2])  # [103] (B, 1, a[3])
        t = torch.bmm(t, t_slices[3])  # [104] (B, 1, a[4])
        t = torch.bmm(t, t_slices[4])  # [105] (B, 1, a[5])
        t = torch.bmm(t, t_slices[5])  # [106] (B, 1, a[6])
        t = torch.bmm(t, t_slices[6])  # [107] (B, 1, a[7])
        t = torch.bmm(t, t_slices[7])  # [108] (B, 1, a[8])
        t = torch.bmm(t, t_slices[8])  # [109] (B, 1, a[9])
        t = torch.bmm(t, t_slices[9])  # [110] (B, 1, a[10])
        t = torch.bmm(t, t_slices[10])  # [111] (B, 1, a[11])
        t = torch.bmm(t, t_slices[11])  # [112] (B, 1, a[12])
        t = torch.bmm(t, t_slices[12])  # [113] (B, 1, a[13])
        t = torch.bmm(t, t_slices[13])  # [114] (B, 1, a[14])
        t = torch.bmm(t, t_slices[14])  # [115] (B, 1, a[15])
        t = torch.bmm(t, t_slices[15])  # [116] (B, 1, a[16])
        t = torch.bmm(t, t_slices[16])  # [117] (B, 1, a[17])
        t = torch.bmm(t, t_slices[17])  # [118] (B, 1, a[18])
        t = torch.bmm(t, t_slices[18])  # [119] (B, 1, a[19])
        t = torch.bmm(t, t_slices[19])  # [120] (B, 1, a[20])
        t = torch.bmm(t, t_slices[20])  # [121] (B, 1, a[21])
        t = torch.bmm(t, t_slices[21])  # [122] (B, 1, a[22])
        t = torch.bmm(t, t_slices[22])  # [123] (B, 1, a[23])
        t = torch.bmm(t, t_slices[23])  # [124] (B, 1, a[24])
        t = torch.bmm(t, t_slices[24])  # [125] (B, 1, a[25])
        t = torch.bmm(t, t_slices[25])  # [126] (B, 1, a[26])
        t = torch.bmm(t, t_slices[26])  # [127] (B, 1, a[27])
        t = torch.bmm(t, t_slices[27])  # [128] (B, 1, a[28])
        t = torch.bmm(t, t_slices[28])  # [129] (B, 1, a[29])
        t = torch.bmm(t, t_slices[29])  # [130] (B, 1, a[30])
        t = torch.bmm(t, t_slices[30])  # [131] (B, 1, a[31])
        t = torch.bmm(t, t_slices[31])  # [132] (B, 1, a[32])
        t = torch.bmm(t, t_slices[32])  # [133] (B, 1, a[33])
        t = torch.bmm(t, t_slices[33])  # [134] (B, 1, a[34])
        t = torch.bmm(t, t_slices[34])  # [135] (B, 1, a[35])
        t = torch.bmm(t, t_slices[35])  # [136] (B, 1, a[36])
        t = torch.bmm(t, t_slices[36])  # [137] (B, 1, a[37])
        t = torch.bmm(t, t_slices[37])  # [138] (B, 1, a[38])
        t = torch.bmm(t, t_slices[38])  # [139] (B, 1, a[39])
        t = torch.bmm(t, t_slices[39])  # [140] (B, 1, a[40])
        t = torch.bmm(t, t_slices[40])  # [141] (B, 1, a[41])
        t = torch.bmm(t, t_slices[41])  # [142] (B, 1, a[42])
        t = torch.bmm(t, t_slices[42])  # [143] (B, 1, a[43])
        t = torch.bmm(t, t_slices[43])  # [144] (B, 1, a[44])
        t = torch.bmm(t, t_slices[44])  # [145] (B, 1, a[45])
        t = torch.bmm(t, t_slices[45])  # [146] (B, 1, a[46])
        t = torch.bmm(t, t_slices[46])  # [147] (B, 1, a[47])
        t = torch.bmm(t, t_slices[47])  # [148] (B, 1, a[48])
        t = torch.bmm(t, t_slices[48])  # [149] (B, 1, a[49])
        t = torch.bmm(t, t_slices[49])  # [150] (B, 1, a[50])
        t = torch.bmm(t, t_slices[50])  # [151] (B, 1, a[51])
        t = torch.bmm(t, t_slices[51])  # [152] (B, 1, a[52])
        t = torch.bmm(t, t_slices[52])  # [153] (B, 1, a[53])
        t = torch.bmm(t, t_slices[53])  # [154] (B, 1, a[54])
        t = torch.bmm(t, t_slices[54])  # [155] (B, 1, a[55])
        t = torch.bmm(t, t_slices[55])  # [156] (B, 1, a[56])
        t = torch.bmm(t, t_slices[56])  # [157] (B, 1, a[57])
        t = torch.bmm(t, t_slices[57])  # [158] (B, 1, a[58])
        t = torch.bmm(t, t_slices[58])  # [159] (B, 1, a[59])
        t = torch.bmm(t, t_slices[59])  # [160] (B, 1, a[60])
        t = torch.bmm(t, t_slices[60])  # [161] (B, 1, a[61])
        t = torch.bmm(t, t_slices[61])  # [162] (B, 1, a[62])
        t = torch.bmm(t, t_slices[62])  # [163] (B, 1, a[63])
        t = torch.bmm(t, t_slices[63])  # [164] (B, 1, a[64])
        t = torch.bmm(t, t_slices[64])  # [165] (B, 1, a[65])
        t = torch.bmm(t, t_slices[65])  # [166] (B, 1, a[66])
        t = torch.bmm(t, t_slices[66])  # [167] (B, 1, a[67])
        t = torch.bmm(t, t_slices[67])  # [168] (B, 1, a[68])
        t = torch.bmm(t, t_slices[68])  # [169] (B, 1, a[69])
        t = torch.bmm(t, t_slices[69])  # [170] (B, 1, a[70])
        t = torch.bmm(t, t_slices[70])  # [171] (B, 1, a[71])
        t = torch.bmm(t, t_slices[71])  # [172] (B, 1, a[72])
        t = torch.bmm(t, t_slices[72])  # [173] (B, 1, a[73])
        t = torch.bmm(t, t_slices[73])  # [174] (B, 1, a[74])
        t = torch.bmm(t, t_slices[74])  # [175] (B, 1, a[75])
        t = torch.bmm(t, t_slices[75])  # [176] (B, 1, a[76])
        t = torch.bmm(t, t_slices[76])  # [177] (B, 1, a[77])
        t = torch.bmm(t, t_slices[77])  # [178] (B, 1, a[78])
        t = torch.bmm(t, t_slices[78])  # [179] (B, 1, a[79])
        t = torch.bmm(t, t_slices[79])  # [180] (B, 1, a[80])
        t = torch.bmm(t, t_slices[80])  # [181] (B, 1, a[81])
        t = torch.bmm(t, t_slices[81])  # [182] (B, 1, a[82])
        t = torch.bmm(t, t_slices[82])  # [183] (B, 1, a[83])
        t = torch.bmm(t, t_slices[83])  # [184] (B, 1, a[84])
        t = torch.bmm(t, t_slices[84])  # [185] (B, 1, a[85])
        t = torch.bmm(t, t_slices[85])  # [186] (B, 1, a[86])
        t = torch.bmm(t, t_slices[86])  # [187] (B, 1, a[87])
        t = torch.bmm(t, t_slices[87])  # [188] (B, 1, a[88])
        t = torch.bmm(t, t_slices[88])  # [189] (B, 1, a[89])
        t = torch.bmm(t, t_slices[89])  # [190] (B, 1, a[90])
        t = torch.bmm(t, t_slices[90])  # [191] (B, 1, a[91])
        t = torch.bmm(t, t_slices[91])  # [192] (B, 1, a[92])
        t = torch.bmm(t, t_slices[92])  # [193] (B, 1, a[93])
        t = torch.bmm(t, t_slices[93])  # [194] (B, 1, a[94])
        t = torch.bmm(t, t_slices[94])  # [195] (B, 1, a[95])
        t = torch.bmm(t, t_slices[95])  # [196] (B, 1, a[96])
        t = torch.bmm(t, t_slices[96])  # [197] (B, 1, a[97])
        t = torch.bmm(t, t_slices[97])  # [198] (B, 1, a[98])
        t = torch.bmm(t, t_slices[98])  # [199] (B, 1, a[99])
        del t_slices
        t = torch.mm(t.reshape(B, 6), self.Top)  # [200] (B, label)
        return t if len(lead) == 1 else t.reshape(*lead, 4)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "ChainFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        A = torch.stack(self.A.at(range(1, 100)))  # (#0, a[0], p[1], a[1])
        A = A.permute(0, 2, 1, 3).reshape(99, 2, 36)  # (#0, p[1], a[0] a[1])
        return ChainFolded(A_0=self.A[0].clone(), A_1_to_99=A, Top=self.Top.clone())


class ChainFolded(nn.Module):
    """Chain for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        A_0        2x6      A.0
        A_1_to_99  99x2x36  A.1, A.2, A.3, … A.99
        Top        6x4      Top

    200 contractions in 102 steps, 10,728 B multiply-adds, the largest:
        [2] x@1 · A[1]      7,128 B  -> ..., a[0], a[1] and 98 equal ones
        [101] [1] · [2]        36 B  -> ..., a[1]
        [102] [101] · [3]      36 B  -> ..., a[2]
        [103] [102] · [4]      36 B  -> ..., a[3]
        [104] [103] · [5]      36 B  -> ..., a[4]
        [105] [104] · [6]      36 B  -> ..., a[5]
        [106] [105] · [7]      36 B  -> ..., a[6]
        [107] [106] · [8]      36 B  -> ..., a[7]
        [108] [107] · [9]      36 B  -> ..., a[8]
        [109] [108] · [10]     36 B  -> ..., a[9]
        [110] [109] · [11]     36 B  -> ..., a[10]
        [111] [110] · [12]     36 B  -> ..., a[11]
        [112] [111] · [13]     36 B  -> ..., a[12]
        [113] [112] · [14]     36 B  -> ..., a[13]
        [114] [113] · [15]     36 B  -> ..., a[14]
        [115] [114] · [16]     36 B  -> ..., a[15]
        [116] [115] · [17]     36 B  -> ..., a[16]
        [117] [116] · [18]     36 B  -> ..., a[17]
        [118] [117] · [19]     36 B  -> ..., a[18]
        [119] [118] · [20]     36 B  -> ..., a[19]
    """

    A_0: Tensor
    A_1_to_99: Tensor
    Top: Tensor

    def __init__(self, *, A_0: Tensor, A_1_to_99: Tensor, Top: Tensor) -> None:
        super().__init__()
        self.register_buffer("A_0", A_0)  # p[0], a[0]
        self.register_buffer("A_1_to_99", A_1_to_99)  # #0, p[1], a[0] a[1]
        self.register_buffer("Top", Top)  # a[99], label

    def extra_repr(self) -> str:
        return (
            "(..., 100, 2) -> (..., 4), x(..., k in 0..sites, p[k]) -> y(..., label), folded: A_0 "
            "2x6, A_1_to_99 99x2x36, Top 6x4"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 100 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 100 (slices), 2 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A_0", "x(..., k in 0..sites, p[k])")
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 100, 2)
        t = torch.mm(x[:, 0], self.A_0)  # [1] (B, a[0])
        t1 = torch.bmm(x[:, 1:100].permute(1, 0, 2), self.A_1_to_99)  # [2] (#0, B, a[0] a[1])
        t_slices = t1.reshape(99, B, 6, 6).unbind()  # 99 × (B, a[0], a[1])
        del t1
        t = torch.bmm(t.reshape(B, 1, 6), t_slices[0])  # [101] (B, 1, a[1])
        t = torch.bmm(t, t_slices[1])  # [102] (B, 1, a[2])
        t = torch.bmm(t, t_slices[2])  # [103] (B, 1, a[3])
        t = torch.bmm(t, t_slices[3])  # [104] (B, 1, a[4])
        t = torch.bmm(t, t_slices[4])  # [105] (B, 1, a[5])
        t = torch.bmm(t, t_slices[5])  # [106] (B, 1, a[6])
        t = torch.bmm(t, t_slices[6])  # [107] (B, 1, a[7])
        t = torch.bmm(t, t_slices[7])  # [108] (B, 1, a[8])
        t = torch.bmm(t, t_slices[8])  # [109] (B, 1, a[9])
        t = torch.bmm(t, t_slices[9])  # [110] (B, 1, a[10])
        t = torch.bmm(t, t_slices[10])  # [111] (B, 1, a[11])
        t = torch.bmm(t, t_slices[11])  # [112] (B, 1, a[12])
        t = torch.bmm(t, t_slices[12])  # [113] (B, 1, a[13])
        t = torch.bmm(t, t_slices[13])  # [114] (B, 1, a[14])
        t = torch.bmm(t, t_slices[14])  # [115] (B, 1, a[15])
        t = torch.bmm(t, t_slices[15])  # [116] (B, 1, a[16])
        t = torch.bmm(t, t_slices[16])  # [117] (B, 1, a[17])
        t = torch.bmm(t, t_slices[17])  # [118] (B, 1, a[18])
        t = torch.bmm(t, t_slices[18])  # [119] (B, 1, a[19])
        t = torch.bmm(t, t_slices[19])  # [120] (B, 1, a[20])
        t = torch.bmm(t, t_slices[20])  # [121] (B, 1, a[21])
        t = torch.bmm(t, t_slices[21])  # [122] (B, 1, a[22])
        t = torch.bmm(t, t_slices[22])  # [123] (B, 1, a[23])
        t = torch.bmm(t, t_slices[23])  # [124] (B, 1, a[24])
        t = torch.bmm(t, t_slices[24])  # [125] (B, 1, a[25])
        t = torch.bmm(t, t_slices[25])  # [126] (B, 1, a[26])
        t = torch.bmm(t, t_slices[26])  # [127] (B, 1, a[27])
        t = torch.bmm(t, t_slices[27])  # [128] (B, 1, a[28])
        t = torch.bmm(t, t_slices[28])  # [129] (B, 1, a[29])
        t = torch.bmm(t, t_slices[29])  # [130] (B, 1, a[30])
        t = torch.bmm(t, t_slices[30])  # [131] (B, 1, a[31])
        t = torch.bmm(t, t_slices[31])  # [132] (B, 1, a[32])
        t = torch.bmm(t, t_slices[32])  # [133] (B, 1, a[33])
        t = torch.bmm(t, t_slices[33])  # [134] (B, 1, a[34])
        t = torch.bmm(t, t_slices[34])  # [135] (B, 1, a[35])
        t = torch.bmm(t, t_slices[35])  # [136] (B, 1, a[36])
        t = torch.bmm(t, t_slices[36])  # [137] (B, 1, a[37])
        t = torch.bmm(t, t_slices[37])  # [138] (B, 1, a[38])
        t = torch.bmm(t, t_slices[38])  # [139] (B, 1, a[39])
        t = torch.bmm(t, t_slices[39])  # [140] (B, 1, a[40])
        t = torch.bmm(t, t_slices[40])  # [141] (B, 1, a[41])
        t = torch.bmm(t, t_slices[41])  # [142] (B, 1, a[42])
        t = torch.bmm(t, t_slices[42])  # [143] (B, 1, a[43])
        t = torch.bmm(t, t_slices[43])  # [144] (B, 1, a[44])
        t = torch.bmm(t, t_slices[44])  # [145] (B, 1, a[45])
        t = torch.bmm(t, t_slices[45])  # [146] (B, 1, a[46])
        t = torch.bmm(t, t_slices[46])  # [147] (B, 1, a[47])
        t = torch.bmm(t, t_slices[47])  # [148] (B, 1, a[48])
        t = torch.bmm(t, t_slices[48])  # [149] (B, 1, a[49])
        t = torch.bmm(t, t_slices[49])  # [150] (B, 1, a[50])
        t = torch.bmm(t, t_slices[50])  # [151] (B, 1, a[51])
        t = torch.bmm(t, t_slices[51])  # [152] (B, 1, a[52])
        t = torch.bmm(t, t_slices[52])  # [153] (B, 1, a[53])
        t = torch.bmm(t, t_slices[53])  # [154] (B, 1, a[54])
        t = torch.bmm(t, t_slices[54])  # [155] (B, 1, a[55])
        t = torch.bmm(t, t_slices[55])  # [156] (B, 1, a[56])
        t = torch.bmm(t, t_slices[56])  # [157] (B, 1, a[57])
        t = torch.bmm(t, t_slices[57])  # [158] (B, 1, a[58])
        t = torch.bmm(t, t_slices[58])  # [159] (B, 1, a[59])
        t = torch.bmm(t, t_slices[59])  # [160] (B, 1, a[60])
        t = torch.bmm(t, t_slices[60])  # [161] (B, 1, a[61])
        t = torch.bmm(t, t_slices[61])  # [162] (B, 1, a[62])
        t = torch.bmm(t, t_slices[62])  # [163] (B, 1, a[63])
        t = torch.bmm(t, t_slices[63])  # [164] (B, 1, a[64])
        t = torch.bmm(t, t_slices[64])  # [165] (B, 1, a[65])
        t = torch.bmm(t, t_slices[65])  # [166] (B, 1, a[66])
        t = torch.bmm(t, t_slices[66])  # [167] (B, 1, a[67])
        t = torch.bmm(t, t_slices[67])  # [168] (B, 1, a[68])
        t = torch.bmm(t, t_slices[68])  # [169] (B, 1, a[69])
        t = torch.bmm(t, t_slices[69])  # [170] (B, 1, a[70])
        t = torch.bmm(t, t_slices[70])  # [171] (B, 1, a[71])
        t = torch.bmm(t, t_slices[71])  # [172] (B, 1, a[72])
        t = torch.bmm(t, t_slices[72])  # [173] (B, 1, a[73])
        t = torch.bmm(t, t_slices[73])  # [174] (B, 1, a[74])
        t = torch.bmm(t, t_slices[74])  # [175] (B, 1, a[75])
        t = torch.bmm(t, t_slices[75])  # [176] (B, 1, a[76])
        t = torch.bmm(t, t_slices[76])  # [177] (B, 1, a[77])
        t = torch.bmm(t, t_slices[77])  # [178] (B, 1, a[78])
        t = torch.bmm(t, t_slices[78])  # [179] (B, 1, a[79])
        t = torch.bmm(t, t_slices[79])  # [180] (B, 1, a[80])
        t = torch.bmm(t, t_slices[80])  # [181] (B, 1, a[81])
        t = torch.bmm(t, t_slices[81])  # [182] (B, 1, a[82])
        t = torch.bmm(t, t_slices[82])  # [183] (B, 1, a[83])
        t = torch.bmm(t, t_slices[83])  # [184] (B, 1, a[84])
        t = torch.bmm(t, t_slices[84])  # [185] (B, 1, a[85])
        t = torch.bmm(t, t_slices[85])  # [186] (B, 1, a[86])
        t = torch.bmm(t, t_slices[86])  # [187] (B, 1, a[87])
        t = torch.bmm(t, t_slices[87])  # [188] (B, 1, a[88])
        t = torch.bmm(t, t_slices[88])  # [189] (B, 1, a[89])
        t = torch.bmm(t, t_slices[89])  # [190] (B, 1, a[90])
        t = torch.bmm(t, t_slices[90])  # [191] (B, 1, a[91])
        t = torch.bmm(t, t_slices[91])  # [192] (B, 1, a[92])
        t = torch.bmm(t, t_slices[92])  # [193] (B, 1, a[93])
        t = torch.bmm(t, t_slices[93])  # [194] (B, 1, a[94])
        t = torch.bmm(t, t_slices[94])  # [195] (B, 1, a[95])
        t = torch.bmm(t, t_slices[95])  # [196] (B, 1, a[96])
        t = torch.bmm(t, t_slices[96])  # [197] (B, 1, a[97])
        t = torch.bmm(t, t_slices[97])  # [198] (B, 1, a[98])
        t = torch.bmm(t, t_slices[98])  # [199] (B, 1, a[99])
        del t_slices
        t = torch.mm(t.reshape(B, 6), self.Top)  # [200] (B, label)
        return t if len(lead) == 1 else t.reshape(*lead, 4)
