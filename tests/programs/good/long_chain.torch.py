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

    Contracted in 200 steps, 1,734,912 multiply-adds for a batch of 64, the largest:
        [101] [2] · [3]    13,824  -> ..., a[0], a[2]
        [102] [4] · [5]    13,824  -> ..., a[2], a[4]
        [103] [6] · [7]    13,824  -> ..., a[4], a[6]
        [104] [8] · [9]    13,824  -> ..., a[6], a[8]
        [105] [10] · [11]  13,824  -> ..., a[8], a[10]
        [106] [12] · [13]  13,824  -> ..., a[10], a[12]

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis, ranges are half open (`p[0..3]` is p[0] to
    p[2]), `#0` counts equal products that are done together. `[1]` is the contraction above that a
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
        t = torch.mm(x[:, 0], self.A[0])  # [1] (B, a[0])
        A = torch.stack([self.A[k] for k in range(1, 100)])  # (#0, a[0], p[1], a[1])
        A = A.permute(0, 2, 1, 3).reshape(99, 2, 36)  # (#0, p[1], a[0] a[1])
        t1 = torch.bmm(x[:, 1:100].permute(1, 0, 2), A)  # [2] (#0, B, a[0] a[1])
        del A
        t1 = t1.reshape(99, B, 6, 6)  # (#0, B, a[0], a[1])
        t2 = t1[:97:2].reshape(B * 49, 6, 6)  # (#1 B, a[0], a[1])
        t3 = t1[1:98:2].reshape(B * 49, 6, 6)  # (#1 B, a[1], a[2])
        t2 = torch.bmm(t2, t3)  # [101] (#1 B, a[0], a[2])
        del t3
        t2 = t2.reshape(49, B, 6, 6)  # (#1, B, a[0], a[2])
        t3 = t2[:47:2].reshape(B * 24, 6, 6)  # (#2 B, a[0], a[2])
        t4 = t2[1:48:2].reshape(B * 24, 6, 6)  # (#2 B, a[2], a[4])
        t3 = torch.bmm(t3, t4)  # [150] (#2 B, a[0], a[4])
        del t4
        t3 = t3.reshape(24, B, 6, 6)  # (#2, B, a[0], a[4])
        t4 = t3[:23:2].reshape(B * 12, 6, 6)  # (#3 B, a[0], a[4])
        t3 = t3[1:24:2].reshape(B * 12, 6, 6)  # (#3 B, a[4], a[8])
        t4 = torch.bmm(t4, t3)  # [174] (#3 B, a[0], a[8])
        del t3
        t4 = t4.reshape(12, B, 6, 6)  # (#3, B, a[0], a[8])
        t3 = t4[:11:2].reshape(B * 6, 6, 6)  # (#4 B, a[0], a[8])
        t4 = t4[1:12:2].reshape(B * 6, 6, 6)  # (#4 B, a[8], a[16])
        t3 = torch.bmm(t3, t4)  # [186] (#4 B, a[0], a[16])
        del t4
        t3 = t3.reshape(6, B, 6, 6)  # (#4, B, a[0], a[16])
        t = torch.bmm(t.reshape(B, 1, 6), t3[0])  # [192] (B, 1, a[16])
        t = torch.bmm(t, t3[1])  # [193] (B, 1, a[32])
        t = torch.bmm(t, t3[2])  # [194] (B, 1, a[48])
        t = torch.bmm(t, t3[3])  # [195] (B, 1, a[64])
        t = torch.bmm(t, t3[4])  # [196] (B, 1, a[80])
        t = torch.bmm(t, t3[5])  # [197] (B, 1, a[96])
        del t3
        t = torch.bmm(t, t2[48])  # [198] (B, 1, a[98])
        del t2
        t = torch.bmm(t, t1[98])  # [199] (B, 1, a[99])
        del t1
        t = torch.mm(t.reshape(B, 6), self.Top)  # [200] (B, label)
        return t.reshape(*lead, 4)
