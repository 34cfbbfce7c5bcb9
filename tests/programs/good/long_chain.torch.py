# Made by tncompile from Chain.
# Planned for the least time of a training step with a batch of 64, machine profile builtin-2core.

import math

import torch
from torch import Tensor, nn


class _Family(nn.Module):
    """Tensors of one name by subscript: `G[2]` is `G.2` in the state dict."""

    def __setitem__(self, subscript: int, tensor: Tensor) -> None:
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(str(subscript), tensor)
        else:
            self.register_buffer(str(subscript), tensor)

    def __getitem__(self, subscript: int) -> Tensor:
        tensor: Tensor = getattr(self, str(subscript))
        return tensor

    def extra_repr(self) -> str:
        return f"{len(self._parameters) + len(self._buffers) + len(self._modules)} members"


class Chain(nn.Module):
    """A chain of 100 sites with a label at its end: long enough to be written as batched products.

    y(..., label) = the sum over p[0..100], a[0..100] of x A[0..100] Top.

    Parameters, by key in the state dict:
        A.0         2x6    p[0], a[0]
        A.1 … A.99  6x2x6  a[0], p[1], a[1] …
        Top         6x4    a[99], label

    `forward` runs `_contract` or `_infer`, depending on whether gradients are enabled; compilers
    see `_contract` alone.

    With `batch_invariant` it is `_contract` at every size: the same operations in the same order.

    Comments in methods give the axes of each result: `B` is the product of all leading axes, names
    without a comma between them are one axis, ranges are half open (`p[0..3]` is p[0] to p[2]),
    `#0` counts equal products that are done together. `[1]` is the contraction in its docstring
    that a product belongs to.
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

        # A[k in 0..sites](a[k - 1]?, p[k], a[k])
        self.A = _Family()
        self.A[0] = nn.Parameter(empty(2, 6))
        for k in range(1, 100):
            self.A[k] = nn.Parameter(empty(6, 2, 6))
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
        for tensor in [self.A[k] for k in range(1, 100)]:
            tensor.normal_(std=0.02020023943)
            tensor.diagonal(dim1=0, dim2=2).add_(0.9945413049)
        self.Top.normal_(std=0.02020023943)
        self.Top.select(0, 0).add_(0.9945413049)

    def extra_repr(self) -> str:
        return "x(..., k in 0..sites, p[k]) -> y(..., label), 7,164 parameters"

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 100 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 100 (slices), 2 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        lead = x.shape[:-2]
        B = math.prod(lead)
        x = x.reshape(B, 100, 2)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        if torch.is_grad_enabled():
            # levels down to 4, inputs first: predicted 3.30 ms at 64
            return self._contract(x, lead, B)
        return self._infer(x, lead, B)  # levels down to 24, inputs first: predicted 932 µs at 64

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients; under `torch.compile` and in exports.

        151 contractions in 16 steps, 27,084 B multiply-adds:
            [1] x@1 · A[1]        7,056 B  -> ..., a[0], a[1] and 97 equal ones
            [2] [50] · [1]       10,584 B  -> ..., a[0], a[2] and 48 equal ones
            [99] [51] · [53]      5,184 B  -> ..., a[0], a[4] and 23 equal ones
            [123] [148] · [149]   2,592 B  -> ..., a[0], a[8] and 11 equal ones
            [135] [172] · [173]   1,296 B  -> ..., a[0], a[16] and 5 equal ones
            [141] x@0 · A[0]         12 B  -> ..., a[0]
            [142] [190] · [184]      36 B  -> ..., a[16]
            [143] [191] · [185]      36 B  -> ..., a[32]
            [144] [192] · [186]      36 B  -> ..., a[48]
            [145] [193] · [187]      36 B  -> ..., a[64]
            [146] [194] · [188]      36 B  -> ..., a[80]
            [147] [195] · [189]      36 B  -> ..., a[96]
            [148] [196] · [147]      36 B  -> ..., a[98]
            [149] x@99 · [197]       12 B  -> ..., p[99], a[98]
            [150] [198] · A[99]      72 B  -> ..., a[99]
            [151] [199] · Top        24 B  -> label, ...
        """
        A = torch.stack([self.A[k] for k in range(1, 99)])  # (#0, a[0], p[1], a[1])
        A = A.permute(0, 2, 1, 3).reshape(98, 2, 36)  # (#0, p[1], a[0] a[1])
        t = torch.bmm(x[:, 1:99].permute(1, 0, 2), A)  # [1] (#0, B, a[0] a[1])
        del A
        t = t.reshape(98, B, 6, 6)  # (#0, B, a[0], a[1])
        t1 = t[:97:2].reshape(B * 49, 6, 6)  # (#1 B, a[0], a[1])
        t = t[1:98:2].reshape(B * 49, 6, 6)  # (#1 B, a[1], a[2])
        t1 = torch.bmm(t1, t)  # [2] (#1 B, a[0], a[2])
        del t
        t1 = t1.reshape(49, B, 6, 6)  # (#1, B, a[0], a[2])
        t = t1[:47:2].reshape(B * 24, 6, 6)  # (#2 B, a[0], a[2])
        t2 = t1[1:48:2].reshape(B * 24, 6, 6)  # (#2 B, a[2], a[4])
        t = torch.bmm(t, t2)  # [99] (#2 B, a[0], a[4])
        del t2
        t = t.reshape(24, B, 6, 6)  # (#2, B, a[0], a[4])
        t2 = t[:23:2].reshape(B * 12, 6, 6)  # (#3 B, a[0], a[4])
        t = t[1:24:2].reshape(B * 12, 6, 6)  # (#3 B, a[4], a[8])
        t2 = torch.bmm(t2, t)  # [123] (#3 B, a[0], a[8])
        del t
        t2 = t2.reshape(12, B, 6, 6)  # (#3, B, a[0], a[8])
        t = t2[:11:2].reshape(B * 6, 6, 6)  # (#4 B, a[0], a[8])
        t2 = t2[1:12:2].reshape(B * 6, 6, 6)  # (#4 B, a[8], a[16])
        t = torch.bmm(t, t2)  # [135] (#4 B, a[0], a[16])
        del t2
        t = t.reshape(6, B, 6, 6)  # (#4, B, a[0], a[16])
        t2 = torch.mm(x[:, 0], self.A[0])  # [141] (B, a[0])
        t2 = torch.bmm(t2.reshape(B, 1, 6), t[0])  # [142] (B, 1, a[16])
        t2 = torch.bmm(t2, t[1])  # [143] (B, 1, a[32])
        t2 = torch.bmm(t2, t[2])  # [144] (B, 1, a[48])
        t2 = torch.bmm(t2, t[3])  # [145] (B, 1, a[64])
        t2 = torch.bmm(t2, t[4])  # [146] (B, 1, a[80])
        t2 = torch.bmm(t2, t[5])  # [147] (B, 1, a[96])
        del t
        t2 = torch.bmm(t2, t1[48])  # [148] (B, 1, a[98])
        del t1
        t2 = t2.reshape(B, 6, 1) * x[:, 99].reshape(B, 1, 2)  # [149] (B, a[98], p[99])
        t2 = torch.mm(t2.reshape(B, 12), self.A[99].reshape(12, 6))  # [150] (B, a[99])
        t2 = torch.mm(t2, self.Top)  # [151] (B, label)
        return t2.reshape(*lead, 4)

    def _infer(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs without gradients.

        151 contractions in 32 steps, 23,844 B multiply-adds, the largest:
            [1] x@1 · A[1]        7,056 B  -> ..., a[0], a[1] and 97 equal ones
            [2] [50] · [1]       10,584 B  -> ..., a[0], a[2] and 48 equal ones
            [99] [51] · [53]      5,184 B  -> ..., a[0], a[4] and 23 equal ones
            [124] [172] · [148]      36 B  -> ..., a[4]
            [125] [173] · [149]      36 B  -> ..., a[8]
            [150] [198] · A[99]      72 B  -> ..., a[99]
        """
        A = torch.stack([self.A[k] for k in range(1, 99)])  # (#0, a[0], p[1], a[1])
        A = A.permute(0, 2, 1, 3).reshape(98, 2, 36)  # (#0, p[1], a[0] a[1])
        t = torch.bmm(x[:, 1:99].permute(1, 0, 2), A)  # [1] (#0, B, a[0] a[1])
        del A
        t = t.reshape(98, B, 6, 6)  # (#0, B, a[0], a[1])
        t1 = t[:97:2].reshape(B * 49, 6, 6)  # (#1 B, a[0], a[1])
        t = t[1:98:2].reshape(B * 49, 6, 6)  # (#1 B, a[1], a[2])
        t1 = torch.bmm(t1, t)  # [2] (#1 B, a[0], a[2])
        del t
        t1 = t1.reshape(49, B, 6, 6)  # (#1, B, a[0], a[2])
        t = t1[:47:2].reshape(B * 24, 6, 6)  # (#2 B, a[0], a[2])
        t2 = t1[1:48:2].reshape(B * 24, 6, 6)  # (#2 B, a[2], a[4])
        t = torch.bmm(t, t2)  # [99] (#2 B, a[0], a[4])
        del t2
        t = t.reshape(24, B, 6, 6)  # (#2, B, a[0], a[4])
        t2 = torch.mm(x[:, 0], self.A[0])  # [123] (B, a[0])
        t2 = torch.bmm(t2.reshape(B, 1, 6), t[0])  # [124] (B, 1, a[4])
        t2 = torch.bmm(t2, t[1])  # [125] (B, 1, a[8])
        t2 = torch.bmm(t2, t[2])  # [126] (B, 1, a[12])
        t2 = torch.bmm(t2, t[3])  # [127] (B, 1, a[16])
        t2 = torch.bmm(t2, t[4])  # [128] (B, 1, a[20])
        t2 = torch.bmm(t2, t[5])  # [129] (B, 1, a[24])
        t2 = torch.bmm(t2, t[6])  # [130] (B, 1, a[28])
        t2 = torch.bmm(t2, t[7])  # [131] (B, 1, a[32])
        t2 = torch.bmm(t2, t[8])  # [132] (B, 1, a[36])
        t2 = torch.bmm(t2, t[9])  # [133] (B, 1, a[40])
        t2 = torch.bmm(t2, t[10])  # [134] (B, 1, a[44])
        t2 = torch.bmm(t2, t[11])  # [135] (B, 1, a[48])
        t2 = torch.bmm(t2, t[12])  # [136] (B, 1, a[52])
        t2 = torch.bmm(t2, t[13])  # [137] (B, 1, a[56])
        t2 = torch.bmm(t2, t[14])  # [138] (B, 1, a[60])
        t2 = torch.bmm(t2, t[15])  # [139] (B, 1, a[64])
        t2 = torch.bmm(t2, t[16])  # [140] (B, 1, a[68])
        t2 = torch.bmm(t2, t[17])  # [141] (B, 1, a[72])
        t2 = torch.bmm(t2, t[18])  # [142] (B, 1, a[76])
        t2 = torch.bmm(t2, t[19])  # [143] (B, 1, a[80])
        t2 = torch.bmm(t2, t[20])  # [144] (B, 1, a[84])
        t2 = torch.bmm(t2, t[21])  # [145] (B, 1, a[88])
        t2 = torch.bmm(t2, t[22])  # [146] (B, 1, a[92])
        t2 = torch.bmm(t2, t[23])  # [147] (B, 1, a[96])
        del t
        t2 = torch.bmm(t2, t1[48])  # [148] (B, 1, a[98])
        del t1
        t2 = t2.reshape(B, 6, 1) * x[:, 99].reshape(B, 1, 2)  # [149] (B, a[98], p[99])
        t2 = torch.mm(t2.reshape(B, 12), self.A[99].reshape(12, 6))  # [150] (B, a[99])
        t2 = torch.mm(t2, self.Top)  # [151] (B, label)
        return t2.reshape(*lead, 4)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "ChainFolded":
        """A module for inference: what depends on parameters alone is computed here, once.

        It holds results, not parameters: what becomes of these later does not change it.
        """
        kind = "cpu" if self.A[0].is_meta else self.A[0].device.type
        with torch.autocast(kind, enabled=False):
            # (a[0] p[1], p[2] a[2])
            t = torch.mm(self.A[1].reshape(12, 6), self.A[2].reshape(6, 12))
            # (a[2] p[3], p[4] a[4])
            t1 = torch.mm(self.A[3].reshape(12, 6), self.A[4].reshape(6, 12))
            t = torch.mm(t.reshape(24, 6), t1.reshape(6, 24))  # (a[0] p[1] p[2], p[3] p[4] a[4])
            del t1
            # (p[1..5], a[0] a[4])
            t = t.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[4] p[5], p[6] a[6])
            t1 = torch.mm(self.A[5].reshape(12, 6), self.A[6].reshape(6, 12))
            # (a[6] p[7], p[8] a[8])
            t2 = torch.mm(self.A[7].reshape(12, 6), self.A[8].reshape(6, 12))
            t1 = torch.mm(t1.reshape(24, 6), t2.reshape(6, 24))  # (a[4] p[5] p[6], p[7] p[8] a[8])
            del t2
            # (p[5..9], a[4] a[8])
            t1 = t1.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[8] p[9], p[10] a[10])
            t2 = torch.mm(self.A[9].reshape(12, 6), self.A[10].reshape(6, 12))
            # (a[10] p[11], p[12] a[12])
            t3 = torch.mm(self.A[11].reshape(12, 6), self.A[12].reshape(6, 12))
            # (a[8] p[9] p[10], p[11] p[12] a[12])
            t2 = torch.mm(t2.reshape(24, 6), t3.reshape(6, 24))
            del t3
            # (p[9..13], a[8] a[12])
            t2 = t2.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[12] p[13], p[14] a[14])
            t3 = torch.mm(self.A[13].reshape(12, 6), self.A[14].reshape(6, 12))
            # (a[14] p[15], p[16] a[16])
            t4 = torch.mm(self.A[15].reshape(12, 6), self.A[16].reshape(6, 12))
            # (a[12] p[13] p[14], p[15] p[16] a[16])
            t3 = torch.mm(t3.reshape(24, 6), t4.reshape(6, 24))
            del t4
            # (p[13..17], a[12] a[16])
            t3 = t3.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[16] p[17], p[18] a[18])
            t4 = torch.mm(self.A[17].reshape(12, 6), self.A[18].reshape(6, 12))
            # (a[18] p[19], p[20] a[20])
            t5 = torch.mm(self.A[19].reshape(12, 6), self.A[20].reshape(6, 12))
            # (a[16] p[17] p[18], p[19] p[20] a[20])
            t4 = torch.mm(t4.reshape(24, 6), t5.reshape(6, 24))
            del t5
            # (p[17..21], a[16] a[20])
            t4 = t4.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[20] p[21], p[22] a[22])
            t5 = torch.mm(self.A[21].reshape(12, 6), self.A[22].reshape(6, 12))
            # (a[22] p[23], p[24] a[24])
            t6 = torch.mm(self.A[23].reshape(12, 6), self.A[24].reshape(6, 12))
            # (a[20] p[21] p[22], p[23] p[24] a[24])
            t5 = torch.mm(t5.reshape(24, 6), t6.reshape(6, 24))
            del t6
            # (p[21..25], a[20] a[24])
            t5 = t5.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[24] p[25], p[26] a[26])
            t6 = torch.mm(self.A[25].reshape(12, 6), self.A[26].reshape(6, 12))
            # (a[26] p[27], p[28] a[28])
            t7 = torch.mm(self.A[27].reshape(12, 6), self.A[28].reshape(6, 12))
            # (a[24] p[25] p[26], p[27] p[28] a[28])
            t6 = torch.mm(t6.reshape(24, 6), t7.reshape(6, 24))
            del t7
            # (p[25..29], a[24] a[28])
            t6 = t6.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[28] p[29], p[30] a[30])
            t7 = torch.mm(self.A[29].reshape(12, 6), self.A[30].reshape(6, 12))
            # (a[30] p[31], p[32] a[32])
            t8 = torch.mm(self.A[31].reshape(12, 6), self.A[32].reshape(6, 12))
            # (a[28] p[29] p[30], p[31] p[32] a[32])
            t7 = torch.mm(t7.reshape(24, 6), t8.reshape(6, 24))
            del t8
            # (p[29..33], a[28] a[32])
            t7 = t7.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[32] p[33], p[34] a[34])
            t8 = torch.mm(self.A[33].reshape(12, 6), self.A[34].reshape(6, 12))
            # (a[34] p[35], p[36] a[36])
            t9 = torch.mm(self.A[35].reshape(12, 6), self.A[36].reshape(6, 12))
            # (a[32] p[33] p[34], p[35] p[36] a[36])
            t8 = torch.mm(t8.reshape(24, 6), t9.reshape(6, 24))
            del t9
            # (p[33..37], a[32] a[36])
            t8 = t8.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[36] p[37], p[38] a[38])
            t9 = torch.mm(self.A[37].reshape(12, 6), self.A[38].reshape(6, 12))
            # (a[38] p[39], p[40] a[40])
            t10 = torch.mm(self.A[39].reshape(12, 6), self.A[40].reshape(6, 12))
            # (a[36] p[37] p[38], p[39] p[40] a[40])
            t9 = torch.mm(t9.reshape(24, 6), t10.reshape(6, 24))
            del t10
            # (p[37..41], a[36] a[40])
            t9 = t9.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[40] p[41], p[42] a[42])
            t10 = torch.mm(self.A[41].reshape(12, 6), self.A[42].reshape(6, 12))
            # (a[42] p[43], p[44] a[44])
            t11 = torch.mm(self.A[43].reshape(12, 6), self.A[44].reshape(6, 12))
            # (a[40] p[41] p[42], p[43] p[44] a[44])
            t10 = torch.mm(t10.reshape(24, 6), t11.reshape(6, 24))
            del t11
            # (p[41..45], a[40] a[44])
            t10 = t10.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[44] p[45], p[46] a[46])
            t11 = torch.mm(self.A[45].reshape(12, 6), self.A[46].reshape(6, 12))
            # (a[46] p[47], p[48] a[48])
            t12 = torch.mm(self.A[47].reshape(12, 6), self.A[48].reshape(6, 12))
            # (a[44] p[45] p[46], p[47] p[48] a[48])
            t11 = torch.mm(t11.reshape(24, 6), t12.reshape(6, 24))
            del t12
            # (p[45..49], a[44] a[48])
            t11 = t11.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[48] p[49], p[50] a[50])
            t12 = torch.mm(self.A[49].reshape(12, 6), self.A[50].reshape(6, 12))
            # (a[50] p[51], p[52] a[52])
            t13 = torch.mm(self.A[51].reshape(12, 6), self.A[52].reshape(6, 12))
            # (a[48] p[49] p[50], p[51] p[52] a[52])
            t12 = torch.mm(t12.reshape(24, 6), t13.reshape(6, 24))
            del t13
            # (p[49..53], a[48] a[52])
            t12 = t12.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[52] p[53], p[54] a[54])
            t13 = torch.mm(self.A[53].reshape(12, 6), self.A[54].reshape(6, 12))
            # (a[54] p[55], p[56] a[56])
            t14 = torch.mm(self.A[55].reshape(12, 6), self.A[56].reshape(6, 12))
            # (a[52] p[53] p[54], p[55] p[56] a[56])
            t13 = torch.mm(t13.reshape(24, 6), t14.reshape(6, 24))
            del t14
            # (p[53..57], a[52] a[56])
            t13 = t13.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[56] p[57], p[58] a[58])
            t14 = torch.mm(self.A[57].reshape(12, 6), self.A[58].reshape(6, 12))
            # (a[58] p[59], p[60] a[60])
            t15 = torch.mm(self.A[59].reshape(12, 6), self.A[60].reshape(6, 12))
            # (a[56] p[57] p[58], p[59] p[60] a[60])
            t14 = torch.mm(t14.reshape(24, 6), t15.reshape(6, 24))
            del t15
            # (p[57..61], a[56] a[60])
            t14 = t14.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[60] p[61], p[62] a[62])
            t15 = torch.mm(self.A[61].reshape(12, 6), self.A[62].reshape(6, 12))
            # (a[62] p[63], p[64] a[64])
            t16 = torch.mm(self.A[63].reshape(12, 6), self.A[64].reshape(6, 12))
            # (a[60] p[61] p[62], p[63] p[64] a[64])
            t15 = torch.mm(t15.reshape(24, 6), t16.reshape(6, 24))
            del t16
            # (p[61..65], a[60] a[64])
            t15 = t15.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[64] p[65], p[66] a[66])
            t16 = torch.mm(self.A[65].reshape(12, 6), self.A[66].reshape(6, 12))
            # (a[66] p[67], p[68] a[68])
            t17 = torch.mm(self.A[67].reshape(12, 6), self.A[68].reshape(6, 12))
            # (a[64] p[65] p[66], p[67] p[68] a[68])
            t16 = torch.mm(t16.reshape(24, 6), t17.reshape(6, 24))
            del t17
            # (p[65..69], a[64] a[68])
            t16 = t16.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[68] p[69], p[70] a[70])
            t17 = torch.mm(self.A[69].reshape(12, 6), self.A[70].reshape(6, 12))
            # (a[70] p[71], p[72] a[72])
            t18 = torch.mm(self.A[71].reshape(12, 6), self.A[72].reshape(6, 12))
            # (a[68] p[69] p[70], p[71] p[72] a[72])
            t17 = torch.mm(t17.reshape(24, 6), t18.reshape(6, 24))
            del t18
            # (p[69..73], a[68] a[72])
            t17 = t17.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[72] p[73], p[74] a[74])
            t18 = torch.mm(self.A[73].reshape(12, 6), self.A[74].reshape(6, 12))
            # (a[74] p[75], p[76] a[76])
            t19 = torch.mm(self.A[75].reshape(12, 6), self.A[76].reshape(6, 12))
            # (a[72] p[73] p[74], p[75] p[76] a[76])
            t18 = torch.mm(t18.reshape(24, 6), t19.reshape(6, 24))
            del t19
            # (p[73..77], a[72] a[76])
            t18 = t18.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[76] p[77], p[78] a[78])
            t19 = torch.mm(self.A[77].reshape(12, 6), self.A[78].reshape(6, 12))
            # (a[78] p[79], p[80] a[80])
            t20 = torch.mm(self.A[79].reshape(12, 6), self.A[80].reshape(6, 12))
            # (a[76] p[77] p[78], p[79] p[80] a[80])
            t19 = torch.mm(t19.reshape(24, 6), t20.reshape(6, 24))
            del t20
            # (p[77..81], a[76] a[80])
            t19 = t19.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[80] p[81], p[82] a[82])
            t20 = torch.mm(self.A[81].reshape(12, 6), self.A[82].reshape(6, 12))
            # (a[82] p[83], p[84] a[84])
            t21 = torch.mm(self.A[83].reshape(12, 6), self.A[84].reshape(6, 12))
            # (a[80] p[81] p[82], p[83] p[84] a[84])
            t20 = torch.mm(t20.reshape(24, 6), t21.reshape(6, 24))
            del t21
            # (p[81..85], a[80] a[84])
            t20 = t20.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[84] p[85], p[86] a[86])
            t21 = torch.mm(self.A[85].reshape(12, 6), self.A[86].reshape(6, 12))
            # (a[86] p[87], p[88] a[88])
            t22 = torch.mm(self.A[87].reshape(12, 6), self.A[88].reshape(6, 12))
            # (a[84] p[85] p[86], p[87] p[88] a[88])
            t21 = torch.mm(t21.reshape(24, 6), t22.reshape(6, 24))
            del t22
            # (p[85..89], a[84] a[88])
            t21 = t21.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[88] p[89], p[90] a[90])
            t22 = torch.mm(self.A[89].reshape(12, 6), self.A[90].reshape(6, 12))
            # (a[90] p[91], p[92] a[92])
            t23 = torch.mm(self.A[91].reshape(12, 6), self.A[92].reshape(6, 12))
            # (a[88] p[89] p[90], p[91] p[92] a[92])
            t22 = torch.mm(t22.reshape(24, 6), t23.reshape(6, 24))
            del t23
            # (p[89..93], a[88] a[92])
            t22 = t22.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[92] p[93], p[94] a[94])
            t23 = torch.mm(self.A[93].reshape(12, 6), self.A[94].reshape(6, 12))
            # (a[94] p[95], p[96] a[96])
            t24 = torch.mm(self.A[95].reshape(12, 6), self.A[96].reshape(6, 12))
            # (a[92] p[93] p[94], p[95] p[96] a[96])
            t23 = torch.mm(t23.reshape(24, 6), t24.reshape(6, 24))
            del t24
            # (p[93..97], a[92] a[96])
            t23 = t23.reshape(6, 2, 2, 2, 2, 6).permute(1, 2, 3, 4, 0, 5).reshape(16, 36)
            # (a[96] p[97], p[98] a[98])
            t24 = torch.mm(self.A[97].reshape(12, 6), self.A[98].reshape(6, 12))
        return ChainFolded(
            A_0=self.A[0].clone(),
            A_1_to_4=t,
            A_5_to_8=t1,
            A_9_to_12=t2,
            A_13_to_16=t3,
            A_17_to_20=t4,
            A_21_to_24=t5,
            A_25_to_28=t6,
            A_29_to_32=t7,
            A_33_to_36=t8,
            A_37_to_40=t9,
            A_41_to_44=t10,
            A_45_to_48=t11,
            A_49_to_52=t12,
            A_53_to_56=t13,
            A_57_to_60=t14,
            A_61_to_64=t15,
            A_65_to_68=t16,
            A_69_to_72=t17,
            A_73_to_76=t18,
            A_77_to_80=t19,
            A_81_to_84=t20,
            A_85_to_88=t21,
            A_89_to_92=t22,
            A_93_to_96=t23,
            A_97_98=t24.reshape(24, 6),
            A_99=self.A[99].reshape(12, 6).clone(),
            Top=self.Top.clone(),
        )


class ChainFolded(nn.Module):
    """Chain for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        A_0         2x6    A.0
        A_1_to_4    16x36  A.1, A.2, A.3, A.4
        A_5_to_8    16x36  A.5, A.6, A.7, A.8
        A_9_to_12   16x36  A.9, A.10, A.11, A.12
        A_13_to_16  16x36  A.13, A.14, A.15, A.16
        A_17_to_20  16x36  A.17, A.18, A.19, A.20
        A_21_to_24  16x36  A.21, A.22, A.23, A.24
        A_25_to_28  16x36  A.25, A.26, A.27, A.28
        A_29_to_32  16x36  A.29, A.30, A.31, A.32
        A_33_to_36  16x36  A.33, A.34, A.35, A.36
        A_37_to_40  16x36  A.37, A.38, A.39, A.40
        A_41_to_44  16x36  A.41, A.42, A.43, A.44
        A_45_to_48  16x36  A.45, A.46, A.47, A.48
        A_49_to_52  16x36  A.49, A.50, A.51, A.52
        A_53_to_56  16x36  A.53, A.54, A.55, A.56
        A_57_to_60  16x36  A.57, A.58, A.59, A.60
        A_61_to_64  16x36  A.61, A.62, A.63, A.64
        A_65_to_68  16x36  A.65, A.66, A.67, A.68
        A_69_to_72  16x36  A.69, A.70, A.71, A.72
        A_73_to_76  16x36  A.73, A.74, A.75, A.76
        A_77_to_80  16x36  A.77, A.78, A.79, A.80
        A_81_to_84  16x36  A.81, A.82, A.83, A.84
        A_85_to_88  16x36  A.85, A.86, A.87, A.88
        A_89_to_92  16x36  A.89, A.90, A.91, A.92
        … and 4 more

    200 contractions, 73 done ahead, 15,556 B multiply-adds, the largest:
        [99] [1] · [2]     ahead  -> a[0], p[1..5], a[4]
        [100] [3] · [4]    ahead  -> a[4], p[5..9], a[8]
        [101] [5] · [6]    ahead  -> a[8], p[9..13], a[12]
        [102] [7] · [8]    ahead  -> a[12], p[13..17], a[16]
        [103] [9] · [10]   ahead  -> a[16], p[17..21], a[20]
        [104] [11] · [12]  ahead  -> a[20], p[21..25], a[24]
    """

    A_0: Tensor
    A_1_to_4: Tensor
    A_5_to_8: Tensor
    A_9_to_12: Tensor
    A_13_to_16: Tensor
    A_17_to_20: Tensor
    A_21_to_24: Tensor
    A_25_to_28: Tensor
    A_29_to_32: Tensor
    A_33_to_36: Tensor
    A_37_to_40: Tensor
    A_41_to_44: Tensor
    A_45_to_48: Tensor
    A_49_to_52: Tensor
    A_53_to_56: Tensor
    A_57_to_60: Tensor
    A_61_to_64: Tensor
    A_65_to_68: Tensor
    A_69_to_72: Tensor
    A_73_to_76: Tensor
    A_77_to_80: Tensor
    A_81_to_84: Tensor
    A_85_to_88: Tensor
    A_89_to_92: Tensor
    A_93_to_96: Tensor
    A_97_98: Tensor
    A_99: Tensor
    Top: Tensor

    def __init__(self, **buffers: Tensor) -> None:
        super().__init__()
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)

    def extra_repr(self) -> str:
        return (
            "x(..., k in 0..sites, p[k]) -> y(..., label), folded: A_0 2x6, A_1_to_4 16x36, "
            "A_5_to_8 16x36, A_9_to_12 16x36 and 24 more"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 100 or x.shape[-1] != 2:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 100 (slices), 2 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        lead = x.shape[:-2]
        B = math.prod(lead)
        x = x.reshape(B, 100, 2)
        x_slices = x.unbind(1)  # 100 × (B, p[0])
        t = x_slices[1].reshape(B, 2, 1) * x_slices[2].reshape(B, 1, 2)  # [50] (B, p[1], p[2])
        t1 = x_slices[3].reshape(B, 2, 1) * x_slices[4].reshape(B, 1, 2)  # [51] (B, p[3], p[4])
        t2 = x_slices[5].reshape(B, 2, 1) * x_slices[6].reshape(B, 1, 2)  # [52] (B, p[5], p[6])
        t3 = x_slices[7].reshape(B, 2, 1) * x_slices[8].reshape(B, 1, 2)  # [53] (B, p[7], p[8])
        t4 = x_slices[9].reshape(B, 2, 1) * x_slices[10].reshape(B, 1, 2)  # [54] (B, p[9], p[10])
        t5 = x_slices[11].reshape(B, 2, 1) * x_slices[12].reshape(B, 1, 2)  # [55] (B, p[11], p[12])
        t6 = x_slices[13].reshape(B, 2, 1) * x_slices[14].reshape(B, 1, 2)  # [56] (B, p[13], p[14])
        t7 = x_slices[15].reshape(B, 2, 1) * x_slices[16].reshape(B, 1, 2)  # [57] (B, p[15], p[16])
        t8 = x_slices[17].reshape(B, 2, 1) * x_slices[18].reshape(B, 1, 2)  # [58] (B, p[17], p[18])
        t9 = x_slices[19].reshape(B, 2, 1) * x_slices[20].reshape(B, 1, 2)  # [59] (B, p[19], p[20])
        # [60] (B, p[21], p[22])
        t10 = x_slices[21].reshape(B, 2, 1) * x_slices[22].reshape(B, 1, 2)
        # [61] (B, p[23], p[24])
        t11 = x_slices[23].reshape(B, 2, 1) * x_slices[24].reshape(B, 1, 2)
        # [62] (B, p[25], p[26])
        t12 = x_slices[25].reshape(B, 2, 1) * x_slices[26].reshape(B, 1, 2)
        # [63] (B, p[27], p[28])
        t13 = x_slices[27].reshape(B, 2, 1) * x_slices[28].reshape(B, 1, 2)
        # [64] (B, p[29], p[30])
        t14 = x_slices[29].reshape(B, 2, 1) * x_slices[30].reshape(B, 1, 2)
        # [65] (B, p[31], p[32])
        t15 = x_slices[31].reshape(B, 2, 1) * x_slices[32].reshape(B, 1, 2)
        # [66] (B, p[33], p[34])
        t16 = x_slices[33].reshape(B, 2, 1) * x_slices[34].reshape(B, 1, 2)
        # [67] (B, p[35], p[36])
        t17 = x_slices[35].reshape(B, 2, 1) * x_slices[36].reshape(B, 1, 2)
        # [68] (B, p[37], p[38])
        t18 = x_slices[37].reshape(B, 2, 1) * x_slices[38].reshape(B, 1, 2)
        # [69] (B, p[39], p[40])
        t19 = x_slices[39].reshape(B, 2, 1) * x_slices[40].reshape(B, 1, 2)
        # [70] (B, p[41], p[42])
        t20 = x_slices[41].reshape(B, 2, 1) * x_slices[42].reshape(B, 1, 2)
        # [71] (B, p[43], p[44])
        t21 = x_slices[43].reshape(B, 2, 1) * x_slices[44].reshape(B, 1, 2)
        # [72] (B, p[45], p[46])
        t22 = x_slices[45].reshape(B, 2, 1) * x_slices[46].reshape(B, 1, 2)
        # [73] (B, p[47], p[48])
        t23 = x_slices[47].reshape(B, 2, 1) * x_slices[48].reshape(B, 1, 2)
        # [74] (B, p[49], p[50])
        t24 = x_slices[49].reshape(B, 2, 1) * x_slices[50].reshape(B, 1, 2)
        # [75] (B, p[51], p[52])
        t25 = x_slices[51].reshape(B, 2, 1) * x_slices[52].reshape(B, 1, 2)
        # [76] (B, p[53], p[54])
        t26 = x_slices[53].reshape(B, 2, 1) * x_slices[54].reshape(B, 1, 2)
        # [77] (B, p[55], p[56])
        t27 = x_slices[55].reshape(B, 2, 1) * x_slices[56].reshape(B, 1, 2)
        # [78] (B, p[57], p[58])
        t28 = x_slices[57].reshape(B, 2, 1) * x_slices[58].reshape(B, 1, 2)
        # [79] (B, p[59], p[60])
        t29 = x_slices[59].reshape(B, 2, 1) * x_slices[60].reshape(B, 1, 2)
        # [80] (B, p[61], p[62])
        t30 = x_slices[61].reshape(B, 2, 1) * x_slices[62].reshape(B, 1, 2)
        # [81] (B, p[63], p[64])
        t31 = x_slices[63].reshape(B, 2, 1) * x_slices[64].reshape(B, 1, 2)
        # [82] (B, p[65], p[66])
        t32 = x_slices[65].reshape(B, 2, 1) * x_slices[66].reshape(B, 1, 2)
        # [83] (B, p[67], p[68])
        t33 = x_slices[67].reshape(B, 2, 1) * x_slices[68].reshape(B, 1, 2)
        # [84] (B, p[69], p[70])
        t34 = x_slices[69].reshape(B, 2, 1) * x_slices[70].reshape(B, 1, 2)
        # [85] (B, p[71], p[72])
        t35 = x_slices[71].reshape(B, 2, 1) * x_slices[72].reshape(B, 1, 2)
        # [86] (B, p[73], p[74])
        t36 = x_slices[73].reshape(B, 2, 1) * x_slices[74].reshape(B, 1, 2)
        # [87] (B, p[75], p[76])
        t37 = x_slices[75].reshape(B, 2, 1) * x_slices[76].reshape(B, 1, 2)
        # [88] (B, p[77], p[78])
        t38 = x_slices[77].reshape(B, 2, 1) * x_slices[78].reshape(B, 1, 2)
        # [89] (B, p[79], p[80])
        t39 = x_slices[79].reshape(B, 2, 1) * x_slices[80].reshape(B, 1, 2)
        # [90] (B, p[81], p[82])
        t40 = x_slices[81].reshape(B, 2, 1) * x_slices[82].reshape(B, 1, 2)
        # [91] (B, p[83], p[84])
        t41 = x_slices[83].reshape(B, 2, 1) * x_slices[84].reshape(B, 1, 2)
        # [92] (B, p[85], p[86])
        t42 = x_slices[85].reshape(B, 2, 1) * x_slices[86].reshape(B, 1, 2)
        # [93] (B, p[87], p[88])
        t43 = x_slices[87].reshape(B, 2, 1) * x_slices[88].reshape(B, 1, 2)
        # [94] (B, p[89], p[90])
        t44 = x_slices[89].reshape(B, 2, 1) * x_slices[90].reshape(B, 1, 2)
        # [95] (B, p[91], p[92])
        t45 = x_slices[91].reshape(B, 2, 1) * x_slices[92].reshape(B, 1, 2)
        # [96] (B, p[93], p[94])
        t46 = x_slices[93].reshape(B, 2, 1) * x_slices[94].reshape(B, 1, 2)
        # [97] (B, p[95], p[96])
        t47 = x_slices[95].reshape(B, 2, 1) * x_slices[96].reshape(B, 1, 2)
        # [98] (B, p[97], p[98])
        t48 = x_slices[97].reshape(B, 2, 1) * x_slices[98].reshape(B, 1, 2)
        # [123] (B, p[1], p[2], p[3], p[4])
        t = t.reshape(B, 2, 2, 1, 1) * t1.reshape(B, 1, 1, 2, 2)
        del t1
        # [124] (B, p[5], p[6], p[7], p[8])
        t2 = t2.reshape(B, 2, 2, 1, 1) * t3.reshape(B, 1, 1, 2, 2)
        del t3
        # [125] (B, p[9], p[10], p[11], p[12])
        t4 = t4.reshape(B, 2, 2, 1, 1) * t5.reshape(B, 1, 1, 2, 2)
        del t5
        # [126] (B, p[13], p[14], p[15], p[16])
        t6 = t6.reshape(B, 2, 2, 1, 1) * t7.reshape(B, 1, 1, 2, 2)
        del t7
        # [127] (B, p[17], p[18], p[19], p[20])
        t8 = t8.reshape(B, 2, 2, 1, 1) * t9.reshape(B, 1, 1, 2, 2)
        del t9
        # [128] (B, p[21], p[22], p[23], p[24])
        t10 = t10.reshape(B, 2, 2, 1, 1) * t11.reshape(B, 1, 1, 2, 2)
        del t11
        # [129] (B, p[25], p[26], p[27], p[28])
        t12 = t12.reshape(B, 2, 2, 1, 1) * t13.reshape(B, 1, 1, 2, 2)
        del t13
        # [130] (B, p[29], p[30], p[31], p[32])
        t14 = t14.reshape(B, 2, 2, 1, 1) * t15.reshape(B, 1, 1, 2, 2)
        del t15
        # [131] (B, p[33], p[34], p[35], p[36])
        t16 = t16.reshape(B, 2, 2, 1, 1) * t17.reshape(B, 1, 1, 2, 2)
        del t17
        # [132] (B, p[37], p[38], p[39], p[40])
        t18 = t18.reshape(B, 2, 2, 1, 1) * t19.reshape(B, 1, 1, 2, 2)
        del t19
        # [133] (B, p[41], p[42], p[43], p[44])
        t20 = t20.reshape(B, 2, 2, 1, 1) * t21.reshape(B, 1, 1, 2, 2)
        del t21
        # [134] (B, p[45], p[46], p[47], p[48])
        t22 = t22.reshape(B, 2, 2, 1, 1) * t23.reshape(B, 1, 1, 2, 2)
        del t23
        # [135] (B, p[49], p[50], p[51], p[52])
        t24 = t24.reshape(B, 2, 2, 1, 1) * t25.reshape(B, 1, 1, 2, 2)
        del t25
        # [136] (B, p[53], p[54], p[55], p[56])
        t26 = t26.reshape(B, 2, 2, 1, 1) * t27.reshape(B, 1, 1, 2, 2)
        del t27
        # [137] (B, p[57], p[58], p[59], p[60])
        t28 = t28.reshape(B, 2, 2, 1, 1) * t29.reshape(B, 1, 1, 2, 2)
        del t29
        # [138] (B, p[61], p[62], p[63], p[64])
        t30 = t30.reshape(B, 2, 2, 1, 1) * t31.reshape(B, 1, 1, 2, 2)
        del t31
        # [139] (B, p[65], p[66], p[67], p[68])
        t32 = t32.reshape(B, 2, 2, 1, 1) * t33.reshape(B, 1, 1, 2, 2)
        del t33
        # [140] (B, p[69], p[70], p[71], p[72])
        t34 = t34.reshape(B, 2, 2, 1, 1) * t35.reshape(B, 1, 1, 2, 2)
        del t35
        # [141] (B, p[73], p[74], p[75], p[76])
        t36 = t36.reshape(B, 2, 2, 1, 1) * t37.reshape(B, 1, 1, 2, 2)
        del t37
        # [142] (B, p[77], p[78], p[79], p[80])
        t38 = t38.reshape(B, 2, 2, 1, 1) * t39.reshape(B, 1, 1, 2, 2)
        del t39
        # [143] (B, p[81], p[82], p[83], p[84])
        t40 = t40.reshape(B, 2, 2, 1, 1) * t41.reshape(B, 1, 1, 2, 2)
        del t41
        # [144] (B, p[85], p[86], p[87], p[88])
        t42 = t42.reshape(B, 2, 2, 1, 1) * t43.reshape(B, 1, 1, 2, 2)
        del t43
        # [145] (B, p[89], p[90], p[91], p[92])
        t44 = t44.reshape(B, 2, 2, 1, 1) * t45.reshape(B, 1, 1, 2, 2)
        del t45
        # [146] (B, p[93], p[94], p[95], p[96])
        t46 = t46.reshape(B, 2, 2, 1, 1) * t47.reshape(B, 1, 1, 2, 2)
        del t47
        t = torch.mm(t.reshape(B, 16), self.A_1_to_4)  # [147] (B, a[0] a[4])
        t1 = torch.mm(x_slices[0], self.A_0)  # [148] (B, a[0])
        t1 = torch.bmm(t1.reshape(B, 1, 6), t.reshape(B, 6, 6))  # [149] (B, 1, a[4])
        del t
        t2 = torch.mm(t2.reshape(B, 16), self.A_5_to_8)  # [150] (B, a[4] a[8])
        t1 = torch.bmm(t1, t2.reshape(B, 6, 6))  # [151] (B, 1, a[8])
        del t2
        t4 = torch.mm(t4.reshape(B, 16), self.A_9_to_12)  # [152] (B, a[8] a[12])
        t1 = torch.bmm(t1, t4.reshape(B, 6, 6))  # [153] (B, 1, a[12])
        del t4
        t6 = torch.mm(t6.reshape(B, 16), self.A_13_to_16)  # [154] (B, a[12] a[16])
        t1 = torch.bmm(t1, t6.reshape(B, 6, 6))  # [155] (B, 1, a[16])
        del t6
        t8 = torch.mm(t8.reshape(B, 16), self.A_17_to_20)  # [156] (B, a[16] a[20])
        t1 = torch.bmm(t1, t8.reshape(B, 6, 6))  # [157] (B, 1, a[20])
        del t8
        t10 = torch.mm(t10.reshape(B, 16), self.A_21_to_24)  # [158] (B, a[20] a[24])
        t1 = torch.bmm(t1, t10.reshape(B, 6, 6))  # [159] (B, 1, a[24])
        del t10
        t12 = torch.mm(t12.reshape(B, 16), self.A_25_to_28)  # [160] (B, a[24] a[28])
        t1 = torch.bmm(t1, t12.reshape(B, 6, 6))  # [161] (B, 1, a[28])
        del t12
        t14 = torch.mm(t14.reshape(B, 16), self.A_29_to_32)  # [162] (B, a[28] a[32])
        t1 = torch.bmm(t1, t14.reshape(B, 6, 6))  # [163] (B, 1, a[32])
        del t14
        t16 = torch.mm(t16.reshape(B, 16), self.A_33_to_36)  # [164] (B, a[32] a[36])
        t1 = torch.bmm(t1, t16.reshape(B, 6, 6))  # [165] (B, 1, a[36])
        del t16
        t18 = torch.mm(t18.reshape(B, 16), self.A_37_to_40)  # [166] (B, a[36] a[40])
        t1 = torch.bmm(t1, t18.reshape(B, 6, 6))  # [167] (B, 1, a[40])
        del t18
        t20 = torch.mm(t20.reshape(B, 16), self.A_41_to_44)  # [168] (B, a[40] a[44])
        t1 = torch.bmm(t1, t20.reshape(B, 6, 6))  # [169] (B, 1, a[44])
        del t20
        t22 = torch.mm(t22.reshape(B, 16), self.A_45_to_48)  # [170] (B, a[44] a[48])
        t1 = torch.bmm(t1, t22.reshape(B, 6, 6))  # [171] (B, 1, a[48])
        del t22
        t24 = torch.mm(t24.reshape(B, 16), self.A_49_to_52)  # [172] (B, a[48] a[52])
        t1 = torch.bmm(t1, t24.reshape(B, 6, 6))  # [173] (B, 1, a[52])
        del t24
        t26 = torch.mm(t26.reshape(B, 16), self.A_53_to_56)  # [174] (B, a[52] a[56])
        t1 = torch.bmm(t1, t26.reshape(B, 6, 6))  # [175] (B, 1, a[56])
        del t26
        t28 = torch.mm(t28.reshape(B, 16), self.A_57_to_60)  # [176] (B, a[56] a[60])
        t1 = torch.bmm(t1, t28.reshape(B, 6, 6))  # [177] (B, 1, a[60])
        del t28
        t30 = torch.mm(t30.reshape(B, 16), self.A_61_to_64)  # [178] (B, a[60] a[64])
        t1 = torch.bmm(t1, t30.reshape(B, 6, 6))  # [179] (B, 1, a[64])
        del t30
        t32 = torch.mm(t32.reshape(B, 16), self.A_65_to_68)  # [180] (B, a[64] a[68])
        t1 = torch.bmm(t1, t32.reshape(B, 6, 6))  # [181] (B, 1, a[68])
        del t32
        t34 = torch.mm(t34.reshape(B, 16), self.A_69_to_72)  # [182] (B, a[68] a[72])
        t1 = torch.bmm(t1, t34.reshape(B, 6, 6))  # [183] (B, 1, a[72])
        del t34
        t36 = torch.mm(t36.reshape(B, 16), self.A_73_to_76)  # [184] (B, a[72] a[76])
        t1 = torch.bmm(t1, t36.reshape(B, 6, 6))  # [185] (B, 1, a[76])
        del t36
        t38 = torch.mm(t38.reshape(B, 16), self.A_77_to_80)  # [186] (B, a[76] a[80])
        t1 = torch.bmm(t1, t38.reshape(B, 6, 6))  # [187] (B, 1, a[80])
        del t38
        t40 = torch.mm(t40.reshape(B, 16), self.A_81_to_84)  # [188] (B, a[80] a[84])
        t1 = torch.bmm(t1, t40.reshape(B, 6, 6))  # [189] (B, 1, a[84])
        del t40
        t42 = torch.mm(t42.reshape(B, 16), self.A_85_to_88)  # [190] (B, a[84] a[88])
        t1 = torch.bmm(t1, t42.reshape(B, 6, 6))  # [191] (B, 1, a[88])
        del t42
        t44 = torch.mm(t44.reshape(B, 16), self.A_89_to_92)  # [192] (B, a[88] a[92])
        t1 = torch.bmm(t1, t44.reshape(B, 6, 6))  # [193] (B, 1, a[92])
        del t44
        t46 = torch.mm(t46.reshape(B, 16), self.A_93_to_96)  # [194] (B, a[92] a[96])
        t1 = torch.bmm(t1, t46.reshape(B, 6, 6))  # [195] (B, 1, a[96])
        del t46
        t1 = t1.reshape(B, 6, 1, 1) * t48.reshape(B, 1, 2, 2)  # [196] (B, a[96], p[97], p[98])
        del t48
        t1 = torch.mm(t1.reshape(B, 24), self.A_97_98)  # [197] (B, a[98])
        t1 = t1.reshape(B, 6, 1) * x_slices[99].reshape(B, 1, 2)  # [198] (B, a[98], p[99])
        t1 = torch.mm(t1.reshape(B, 12), self.A_99)  # [199] (B, a[99])
        t1 = torch.mm(t1, self.Top)  # [200] (B, label)
        return t1.reshape(*lead, 4)
