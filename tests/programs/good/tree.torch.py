# Made by tncompile from Tree.
# Planned for the least time of a training step with a batch of 64, machine profile builtin-2core.

import math

import torch
from torch import Tensor, nn


class _Family(nn.Module):
    """Tensors of one name by subscripts: `V[2, 5]` is `V.2.5` in the state dict."""

    def __setitem__(self, subscripts: int | tuple[int, ...], tensor: Tensor) -> None:
        first, *rest = subscripts if isinstance(subscripts, tuple) else (subscripts,)
        if rest:
            if str(first) not in self._modules:
                self.add_module(str(first), _Family())
            getattr(self, str(first))[tuple(rest)] = tensor
        elif isinstance(tensor, nn.Parameter):
            self.register_parameter(str(first), tensor)
        else:
            self.register_buffer(str(first), tensor)

    def __getitem__(self, subscripts: int | tuple[int, ...]) -> Tensor:
        first, *rest = subscripts if isinstance(subscripts, tuple) else (subscripts,)
        held = getattr(self, str(first))
        tensor: Tensor = held[tuple(rest)] if rest else held
        return tensor

    def extra_repr(self) -> str:
        return f"{len(self._parameters) + len(self._buffers) + len(self._modules)} members"


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

    Contracted in 11 steps, 26,496 multiply-adds for a batch of 64:
        [1] Node[3, 0] · Top     192  -> v[2, 0], v[2, 1], label
        [2] x@4 · Pair[2]      1,024  -> ..., v[1, 2]
        [3] Node[2, 1] · [1]     192  -> v[1, 2], v[2, 0], label
        [4] Node[2, 0] · [3]     768  -> v[1, 0..3], label
        [5] x@0 · x@1          1,024  -> ..., p[0], p[1]
        [6] Pair[0] · [5]      4,096  -> v[1, 0], ...
        [7] x@2 · x@3          1,024  -> ..., p[2], p[3]
        [8] Pair[1] · [7]      4,096  -> v[1, 1], ...
        [9] [2] · [6]          1,024  -> ..., v[1, 2], v[1, 0]
        [10] [4] · [9]        12,288  -> v[1, 1], label, ...
        [11] [8] · [10]          768  -> ..., label

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis, ranges are half open (`p[0..3]` is p[0] to
    p[2]). `[1]` is the contraction above that a product belongs to.
    """

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        # Pair[j in 0..ceil_div(sites, 2)](p[2 * j], p[2 * j + 1]?, v[1, j])
        self.Pair = _Family()
        for k in range(2):
            self.Pair[k] = nn.Parameter(empty(4, 4, 4))
        self.Pair[2] = nn.Parameter(empty(4, 4))
        # Node[l in 2..depth + 1, j in 0..ceil_div(sites, 2 ** l)](v[l - 1, 2 * j], v[l - 1, 2 * j +
        # 1]?, v[l, j])
        self.Node = _Family()
        self.Node[2, 0] = nn.Parameter(empty(4, 4, 4))
        self.Node[2, 1] = nn.Parameter(empty(4, 4))
        self.Node[3, 0] = nn.Parameter(empty(4, 4, 4))
        self.Top = nn.Parameter(empty(4, 3))  # v[3, 0], label
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters for outputs of mean square 1/3 on features of norm 1.

        A product of random factors is rarely as large as its mean over draws, so they are rescaled
        together until the whole is.
        """
        tensor: Tensor
        for tensor in [*(self.Pair[k] for k in range(3)), self.Top]:
            tensor.normal_(std=0.65373978)
        for tensor in [self.Node[2, 0], self.Node[3, 0]]:
            tensor.normal_(std=0.32686989)
        self.Node[2, 1].normal_(std=0.4622638316)
        log_square_norm = self._log_square_norm()
        scale = torch.exp((6.931471806 - log_square_norm) / 14)  # of each of 7 factors
        scale = torch.where(log_square_norm.isfinite(), scale, 1.0)
        for tensor in [
            *(self.Pair[k] for k in range(3)),
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
        # (v[3, 0], v[2, 0] v[2, 1])
        Node = self.Node[3, 0].to(dtype).permute(2, 0, 1).reshape(4, 16)
        t2 = torch.mm(self.Top.to(dtype).t(), Node)  # (label, v[2, 0] v[2, 1])
        # (v[1, 2], v[1, 2]')
        t3 = torch.mm(self.Pair[2].to(dtype).t(), self.Pair[2].to(dtype).conj())
        Node = self.Node[3, 0].to(dtype).conj().reshape(16, 4)  # (v[2, 0]' v[2, 1]', v[3, 0]')
        t4 = torch.mm(Node, self.Top.to(dtype).conj())  # (v[2, 0]' v[2, 1]', label)
        t3 = torch.mm(self.Node[2, 1].to(dtype).conj().t(), t3.t())  # (v[2, 1]', v[1, 2])
        t3 = torch.mm(self.Node[2, 1].to(dtype).t(), t3.t())  # (v[2, 1], v[2, 1]')
        # (v[2, 1]', label v[2, 0])
        t3 = torch.mm(t3.t(), t2.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12))
        del t2
        t4 = torch.mm(t4.reshape(4, 12), t3.reshape(12, 4))  # (v[2, 0]', v[2, 0])
        del t3
        # (v[2, 0]', v[1, 0]' v[1, 1]')
        Node = self.Node[2, 0].to(dtype).conj().permute(2, 0, 1).reshape(4, 16)
        t4 = torch.mm(t4.t(), Node)  # (v[2, 0], v[1, 0]' v[1, 1]')
        # (v[1, 1], v[2, 0] v[1, 0]')
        t1 = torch.mm(t1, t4.reshape(4, 4, 4).permute(2, 0, 1).reshape(4, 16))
        del t4
        # (v[1, 0], v[1, 0]')
        t1 = torch.mm(self.Node[2, 0].to(dtype).reshape(4, 16), t1.reshape(16, 4))
        t = torch.mm(t.reshape(1, 16), t1.reshape(16, 1))  # (1, 1)
        del t1
        return t.reshape(()).abs().log()

    def extra_repr(self) -> str:
        return "x(..., k in 0..sites, p[k]) -> y(..., label), 300 parameters"

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 5 or x.shape[-1] != 4:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 5 (slices), 4 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        lead = x.shape[:-2]
        B = math.prod(lead)
        x = x.reshape(B, 5, 4)
        # [1] (label, v[2, 0] v[2, 1])
        t = torch.mm(self.Top.t(), self.Node[3, 0].permute(2, 0, 1).reshape(4, 16))
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t1 = torch.mm(x_slices[4], self.Pair[2])  # [2] (B, v[1, 2])
        # [3] (v[1, 2], label v[2, 0])
        t = torch.mm(self.Node[2, 1], t.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12))
        t2 = t.reshape(4, 3, 4).permute(2, 0, 1).reshape(4, 12)  # (v[2, 0], v[1, 2] label)
        t = torch.mm(self.Node[2, 0].reshape(16, 4), t2)  # [4] (v[1, 0] v[1, 1], v[1, 2] label)
        del t2
        t2 = x_slices[0].reshape(B, 4, 1) * x_slices[1].reshape(B, 1, 4)  # [5] (B, p[0], p[1])
        t2 = torch.mm(t2.reshape(B, 16), self.Pair[0].reshape(16, 4))  # [6] (B, v[1, 0])
        t3 = x_slices[2].reshape(B, 4, 1) * x_slices[3].reshape(B, 1, 4)  # [7] (B, p[2], p[3])
        t3 = torch.mm(t3.reshape(B, 16), self.Pair[1].reshape(16, 4))  # [8] (B, v[1, 1])
        t1 = t1.reshape(B, 4, 1) * t2.reshape(B, 1, 4)  # [9] (B, v[1, 2], v[1, 0])
        del t2
        # (v[1, 2] v[1, 0], v[1, 1] label)
        t = t.reshape(4, 4, 4, 3).permute(2, 0, 1, 3).reshape(16, 12)
        t1 = torch.mm(t1.reshape(B, 16), t)  # [10] (B, v[1, 1] label)
        del t
        t3 = torch.bmm(t3.reshape(B, 1, 4), t1.reshape(B, 4, 3))  # [11] (B, 1, label)
        del t1
        return t3.reshape(*lead, 3)
