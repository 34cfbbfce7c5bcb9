# Made by tncompile from Other.
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


class Other(nn.Module):
    """Every operator and function, in sizes that come out small.

    y(..., o) = the sum over i of x A.

    Parameters, by key in the state dict:
        A  4x3  i, o

    One contraction, 12 B multiply-adds:
        [1] x · A  12 B  -> ..., o

    Comments in `forward` give the axes of each result: `B` is the product of all leading axes,
    names without a comma between them are one axis. `[1]` is the contraction above that a product
    belongs to.
    """

    in_features: int = 4
    out_features: int = 3

    def __init__(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        self.A = nn.Parameter(empty(4, 3))  # i, o
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start the parameters as declared."""
        self.A.uniform_(-0.0, 0.0)

    @property
    def weight(self) -> Tensor:
        """The dense map, 3x4 as in nn.Linear: contracted whenever it is read."""
        return self.A.t().clone(memory_format=torch.contiguous_format)

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def extra_repr(self) -> str:
        return "in_features=4, out_features=3, bias=False, x(..., i) -> y(..., o), 12 parameters"

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o) of x(..., i)."""
        if x.dim() < 1 or x.shape[-1] != 4:
            raise ValueError(
                f"x(..., i): the last axis must have 4 entries (i), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A", "x(..., i)")
        lead = x.shape[:-1]
        B = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(B, 4)
        t = torch.mm(x, self.A)  # [1] (B, o)
        return t if len(lead) == 1 else t.reshape(*lead, 3)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "OtherFolded":
        """A module for inference: what depends on parameters alone is computed once, here.

        It holds copies: later changes of the parameters do not reach it.
        """
        return OtherFolded(A=self.A.clone())


class OtherFolded(nn.Module):
    """Other for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        A  4x3  A

    One contraction, 12 B multiply-adds:
        [1] x · A  12 B  -> ..., o
    """

    A: Tensor
    in_features: int = 4
    out_features: int = 3

    def __init__(self, *, A: Tensor) -> None:
        super().__init__()
        self.register_buffer("A", A)  # i, o

    @property
    def weight(self) -> Tensor:
        """The dense map, 3x4 as in nn.Linear: contracted whenever it is read."""
        return self.A.t().clone(memory_format=torch.contiguous_format)

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def extra_repr(self) -> str:
        return "in_features=4, out_features=3, bias=False, x(..., i) -> y(..., o), folded: A 4x3"

    def forward(self, x: Tensor) -> Tensor:
        """y(..., o) of x(..., i)."""
        if x.dim() < 1 or x.shape[-1] != 4:
            raise ValueError(
                f"x(..., i): the last axis must have 4 entries (i), got shape {tuple(x.shape)}"
            )
        _check_dtype(x, self, "A", "x(..., i)")
        lead = x.shape[:-1]
        B = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(B, 4)
        t = torch.mm(x, self.A)  # [1] (B, o)
        return t if len(lead) == 1 else t.reshape(*lead, 3)
