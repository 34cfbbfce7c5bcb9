# Made by tncompile from MPO.
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


class MPO(nn.Module):
    """A linear layer of 784 inputs and 256 outputs as a tensor train.

    y(..., (o[*])) = the sum over i[0], i[1], b[0] of x G[0] G[1] + c.

    Parameters, by key in the state dict:
        G.0  28x16x8  i[0], o[0], b[0]
        G.1  8x28x16  b[0], i[1], o[1]
        c    16x16    o[0], o[1]

    Contracted in 2 steps, 10,092,544 multiply-adds for a batch of 64:
        [1] x · G[0]    6,422,528  -> ..., i[1], o[0], b[0]
        [2] [1] · G[1]  3,670,016  -> ..., o[0], o[1]

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis. `[1]` is the contraction above that a product
    belongs to.
    """

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        # G[k in 0..n](b[k - 1]?, i[k], o[k], b[k]?)
        self.G = _Family()
        self.G[0] = nn.Parameter(empty(28, 16, 8))
        self.G[1] = nn.Parameter(empty(8, 28, 16))
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

    def extra_repr(self) -> str:
        return "x(..., (i[*])) -> y(..., (o[*])), 7,424 parameters"

    def forward(self, x: Tensor) -> Tensor:
        """y(..., (o[*])) of x(..., (i[*]))."""
        if x.dim() < 1 or x.shape[-1] != 784:
            raise ValueError(
                "x(..., (i[*])): the last axis must have 784 = 28·28 entries (i[0], i[1]), got "
                f"shape {tuple(x.shape)}"
            )
        lead = x.shape[:-1]
        B = math.prod(lead)
        x = x.reshape(B, 784)
        x1 = x.reshape(B, 28, 28).permute(0, 2, 1).reshape(B * 28, 28)  # (B i[1], i[0])
        t = torch.mm(x1, self.G[0].reshape(28, 128))  # [1] (B i[1], o[0] b[0])
        del x1
        t = t.reshape(B, 28, 16, 8).permute(0, 2, 3, 1).reshape(B * 16, 224)  # (B o[0], b[0] i[1])
        t = torch.mm(t, self.G[1].reshape(224, 16))  # [2] (B o[0], o[1])
        t = t.reshape(B, 256) + self.c.reshape(1, 256).to(t.dtype)  # (B, o[0] o[1])
        return t.reshape(*lead, 256)
