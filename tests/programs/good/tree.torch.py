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
        if isinstance(subscripts, tuple):
            *outer, last = subscripts
            return self.of(*outer)[last]
        tensor: Tensor | None = self._parameters.get(str(subscripts))
        return getattr(self, str(subscripts)) if tensor is None else tensor

    def of(self, *subscripts: int) -> "_Family":
        """The members that begin with these subscripts."""
        family = self
        for subscript in subscripts:
            family = getattr(family, str(subscript))
        return family

    def at(self, subscripts: range | list[int]) -> list[Tensor]:
        """Several members, which is faster than one by one."""
        held = self._parameters
        return [self[k] if (tensor := held.get(str(k))) is None else tensor for k in subscripts]

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

    `forward` runs `_contract`, `_train_above_484` or `_infer`, depending on the batch size `B` and
    on whether gradients are enabled; compilers see `_contract` alone.

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
        t = torch.mm(self.Pair[2].to(dtype), self.Node[2, 1].to(dtype))  # (p[4], v[2, 1])
        # (p[4], v[2, 1]')
        t1 = torch.mm(self.Pair[2].to(dtype).conj(), self.Node[2, 1].to(dtype).conj())
        t = torch.mm(t.t(), t1)  # (v[2, 1], v[2, 1]')
        del t1
        # (v[3, 0]', v[2, 0]' v[2, 1]')
        Node = self.Node[3, 0].to(dtype).conj().permute(2, 0, 1).reshape(4, 16)
        t1 = torch.mm(self.Top.to(dtype).conj().t(), Node)  # (label, v[2, 0]' v[2, 1]')
        # (v[2, 0] v[2, 1], label)
        t2 = torch.mm(self.Node[3, 0].to(dtype).reshape(16, 4), self.Top.to(dtype))
        Pair = self.Pair[0].to(dtype).permute(2, 0, 1).reshape(4, 16)  # (v[1, 0], p[0] p[1])
        t3 = torch.mm(Pair, self.Pair[0].to(dtype).conj().reshape(16, 4))  # (v[1, 0], v[1, 0]')
        # (v[1, 0]', v[1, 1] v[2, 0])
        t3 = torch.mm(t3.t(), self.Node[2, 0].to(dtype).reshape(4, 16))
        Pair = self.Pair[1].to(dtype).permute(2, 0, 1).reshape(4, 16)  # (v[1, 1], p[2] p[3])
        t4 = torch.mm(Pair, self.Pair[1].to(dtype).conj().reshape(16, 4))  # (v[1, 1], v[1, 1]')
        # (v[1, 1]', v[1, 0]' v[2, 0]')
        Node = self.Node[2, 0].to(dtype).conj().permute(1, 0, 2).reshape(4, 16)
        t4 = torch.mm(t4, Node)  # (v[1, 1], v[1, 0]' v[2, 0]')
        del Node
        t4 = t4.reshape(4, 4, 4).permute(1, 0, 2).reshape(16, 4)  # (v[1, 0]' v[1, 1], v[2, 0]')
        # (v[2, 0], v[2, 0]')
        t3 = torch.mm(t3.reshape(4, 4, 4).permute(2, 0, 1).reshape(4, 16), t4)
        del t4
        # (v[2, 1] label, v[2, 0]')
        t2 = torch.mm(t2.reshape(4, 4, 3).permute(1, 2, 0).reshape(12, 4), t3)
        del t3
        t3 = t2.reshape(4, 3, 4).permute(1, 2, 0).reshape(12, 4)  # (label v[2, 0]', v[2, 1])
        # (v[2, 1]', v[2, 1])
        t1 = torch.mm(t1.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12), t3)
        del t2, t3
        t1 = t1.t().reshape(16, 1)  # (v[2, 1] v[2, 1]', 1)
        t = torch.mm(t.reshape(1, 16), t1)  # (1, 1)
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
        if x.dim() != 3:
            x = x.reshape(B, 5, 4)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        if torch.is_grad_enabled():
            # levels down to 4, inputs first, equal steps together: predicted 259 µs at 64, where
            # search (combo) takes 330 µs
            if B <= 484:
                return self._contract(x, lead, B)
            # search (combo): predicted 806 µs at 4,096, where levels down to 4, inputs first, equal
            # steps together takes 1.18 ms
            return self._train_above_484(x, lead, B)
        return self._infer(x, lead, B)  # levels down to 4: predicted 70.7 µs at 64

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients for B <= 484; under `torch.compile` and in exports.

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

    def _train_above_484(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs with gradients for B > 484.

        11 contractions, 428 B + 1,472 multiply-adds:
            [1] x@3 · Pair[1]          64 B  -> ..., p[2], v[1, 1]
            [2] x@2 · [1]              16 B  -> ..., v[1, 1]
            [3] x@1 · [2]              16 B  -> ..., p[1], v[1, 1]
            [4] Pair[0] · Node[2, 0]  1,024  -> p[0], p[1], v[1, 1], v[2, 0]
            [5] [3] · [4]             256 B  -> ..., p[0], v[2, 0]
            [6] x@0 · [5]              16 B  -> ..., v[2, 0]
            [7] Pair[2] · Node[2, 1]     64  -> p[4], v[2, 1]
            [8] Node[3, 0] · Top        192  -> v[2, 0], v[2, 1], label
            [9] [7] · [8]               192  -> p[4], v[2, 0], label
            [10] [6] · [9]             48 B  -> ..., p[4], label
            [11] x@4 · [10]            12 B  -> ..., label
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        # [1] (B, p[2] v[1, 1])
        t = torch.mm(x_slices[3], self.Pair[1].permute(1, 0, 2).reshape(4, 16))
        t = torch.bmm(x_slices[2].reshape(B, 1, 4), t.reshape(B, 4, 4))  # [2] (B, 1, v[1, 1])
        t = x_slices[1].reshape(B, 4, 1) * t  # [3] (B, p[1], v[1, 1])
        # [4] (p[0] p[1], v[1, 1] v[2, 0])
        t1 = torch.mm(self.Pair[0].reshape(16, 4), self.Node[2, 0].reshape(4, 16))
        # (p[1] v[1, 1], p[0] v[2, 0])
        t1 = t1.reshape(4, 4, 4, 4).permute(1, 2, 0, 3).reshape(16, 16)
        t = torch.mm(t.reshape(B, 16), t1)  # [5] (B, p[0] v[2, 0])
        del t1
        t = torch.bmm(x_slices[0].reshape(B, 1, 4), t.reshape(B, 4, 4))  # [6] (B, 1, v[2, 0])
        t1 = torch.mm(self.Pair[2], self.Node[2, 1])  # [7] (p[4], v[2, 1])
        t2 = torch.mm(self.Node[3, 0].reshape(16, 4), self.Top)  # [8] (v[2, 0] v[2, 1], label)
        t2 = t2.reshape(4, 4, 3).permute(1, 0, 2).reshape(4, 12)  # (v[2, 1], v[2, 0] label)
        t1 = torch.mm(t1, t2)  # [9] (p[4], v[2, 0] label)
        del t2
        t1 = t1.reshape(4, 4, 3).permute(1, 0, 2).reshape(4, 12)  # (v[2, 0], p[4] label)
        t = torch.mm(t.reshape(B, 4), t1)  # [10] (B, p[4] label)
        del t1
        t = torch.bmm(x_slices[4].reshape(B, 1, 4), t.reshape(B, 4, 3))  # [11] (B, 1, label)
        return t.reshape(*lead, 3)

    def _infer(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs without gradients.

        11 contractions, 364 B multiply-adds:
            [1] x@4 · Pair[2]     16 B  -> ..., v[1, 2]
            [2] Node[2, 1] · [1]  16 B  -> v[2, 1], ...
            [3] x@0 · Pair[0]     64 B  -> ..., p[1], v[1, 0]
            [4] x@1 · [3]         16 B  -> ..., v[1, 0]
            [5] x@2 · Pair[1]     64 B  -> ..., p[3], v[1, 1]
            [6] x@3 · [5]         16 B  -> ..., v[1, 1]
            [7] Node[2, 0] · [6]  64 B  -> v[1, 0], v[2, 0], ...
            [8] [4] · [7]         16 B  -> ..., v[2, 0]
            [9] Node[3, 0] · [8]  64 B  -> v[2, 1], v[3, 0], ...
            [10] [2] · [9]        16 B  -> ..., v[3, 0]
            [11] Top · [10]       12 B  -> label, ...
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t = torch.mm(x_slices[4], self.Pair[2])  # [1] (B, v[1, 2])
        t = torch.mm(t, self.Node[2, 1])  # [2] (B, v[2, 1])
        t1 = torch.mm(x_slices[0], self.Pair[0].reshape(4, 16))  # [3] (B, p[1] v[1, 0])
        t1 = torch.bmm(x_slices[1].reshape(B, 1, 4), t1.reshape(B, 4, 4))  # [4] (B, 1, v[1, 0])
        t2 = torch.mm(x_slices[2], self.Pair[1].reshape(4, 16))  # [5] (B, p[3] v[1, 1])
        t2 = torch.bmm(x_slices[3].reshape(B, 1, 4), t2.reshape(B, 4, 4))  # [6] (B, 1, v[1, 1])
        # [7] (B, v[1, 0] v[2, 0])
        t2 = torch.mm(t2.reshape(B, 4), self.Node[2, 0].permute(1, 0, 2).reshape(4, 16))
        t1 = torch.bmm(t1, t2.reshape(B, 4, 4))  # [8] (B, 1, v[2, 0])
        del t2
        t1 = torch.mm(t1.reshape(B, 4), self.Node[3, 0].reshape(4, 16))  # [9] (B, v[2, 1] v[3, 0])
        t = torch.bmm(t.reshape(B, 1, 4), t1.reshape(B, 4, 4))  # [10] (B, 1, v[3, 0])
        del t1
        t = torch.mm(t.reshape(B, 4), self.Top)  # [11] (B, label)
        return t if len(lead) == 1 else t.reshape(*lead, 3)

    @torch.inference_mode(False)
    @torch.no_grad()
    def fold(self) -> "TreeFolded":
        """A module for inference: what depends on parameters alone is computed here, once.

        It holds results, not parameters: what becomes of these later does not change it.
        """
        kind = "cpu" if self.Pair[0].is_meta else self.Pair[0].device.type
        with torch.autocast(kind, enabled=False):
            Pair = self.Pair[0].reshape(16, 4)  # (p[0] p[1], v[1, 0])
            t = torch.mm(Pair, self.Node[2, 0].reshape(4, 16))  # (p[0] p[1], v[1, 1] v[2, 0])
            # (p[1] v[1, 1], p[0] v[2, 0])
            t = t.reshape(4, 4, 4, 4).permute(1, 2, 0, 3).reshape(16, 16)
            t1 = torch.mm(self.Pair[2], self.Node[2, 1])  # (p[4], v[2, 1])
            t2 = torch.mm(self.Node[3, 0].reshape(16, 4), self.Top)  # (v[2, 0] v[2, 1], label)
            t2 = t2.reshape(4, 4, 3).permute(1, 0, 2).reshape(4, 12)  # (v[2, 1], v[2, 0] label)
            t2 = torch.mm(t1, t2)  # (p[4], v[2, 0] label)
            t2 = t2.reshape(4, 4, 3).permute(1, 0, 2).reshape(4, 12)  # (v[2, 0], p[4] label)
            # (label, v[2, 0] v[2, 1])
            t3 = torch.mm(self.Top.t(), self.Node[3, 0].permute(2, 0, 1).reshape(4, 16))
            # (p[4], label v[2, 0])
            t1 = torch.mm(t1, t3.reshape(3, 4, 4).permute(2, 0, 1).reshape(4, 12))
            del t3
            # (p[4] label, v[1, 0] v[1, 1])
            t1 = torch.mm(t1.reshape(12, 4), self.Node[2, 0].permute(2, 0, 1).reshape(4, 16))
            # (v[1, 1], p[4] label v[1, 0])
            t3 = t1.reshape(4, 3, 4, 4).permute(3, 0, 1, 2).reshape(4, 48)
            t1 = torch.mm(self.Pair[1].reshape(16, 4), t3)  # (p[2] p[3], p[4] label v[1, 0])
            del t3
            # (v[1, 0], p[2..5] label)
            t1 = t1.reshape(4, 4, 4, 3, 4).permute(4, 0, 1, 2, 3).reshape(4, 192)
            t1 = torch.mm(Pair, t1)  # (p[0] p[1], p[2..5] label)
        return TreeFolded(
            merged1=t1,
            Pair_0_Node_2_0=t,
            Pair_1=self.Pair[1].permute(1, 0, 2).reshape(4, 16),
            merged=t2,
            batch_invariant=self.batch_invariant,
        )


class TreeFolded(nn.Module):
    """Tree for inference, made by its method `fold`: parameters merged in advance.

    Buffers, by key in the state dict, and what they are made of:
        merged1          16x192  Pair.0, Pair.1, Pair.2, … Top
        Pair_0_Node_2_0  16x16   Pair.0, Node.2.0
        Pair_1           4x16    Pair.1
        merged           4x12    Pair.2, Node.2.1, Node.3.0, Top
    """

    merged1: Tensor
    Pair_0_Node_2_0: Tensor
    Pair_1: Tensor
    merged: Tensor

    def __init__(
        self,
        *,
        merged1: Tensor,
        Pair_0_Node_2_0: Tensor,
        Pair_1: Tensor,
        merged: Tensor,
        batch_invariant: bool = False,
    ) -> None:
        super().__init__()
        self.batch_invariant = batch_invariant
        self.register_buffer("merged1", merged1)  # p[0] p[1], p[2] p[3] p[4] label
        self.register_buffer("Pair_0_Node_2_0", Pair_0_Node_2_0)  # p[1] v[1, 1], p[0] v[2, 0]
        self.register_buffer("Pair_1", Pair_1)  # p[3], p[2] v[1, 1]
        self.register_buffer("merged", merged)  # v[2, 0], p[4] label

    def extra_repr(self) -> str:
        return (
            "x(..., k in 0..sites, p[k]) -> y(..., label), folded: merged1 16x192, "
            "Pair_0_Node_2_0 16x16, Pair_1 4x16, merged 4x12"
        )

    def forward(self, x: Tensor) -> Tensor:
        """y(..., label) of x(..., k in 0..sites, p[k])."""
        if x.dim() < 2 or x.shape[-2] != 5 or x.shape[-1] != 4:
            raise ValueError(
                "x(..., k in 0..sites, p[k]): the last 2 axes must be 5 (slices), 4 (p[0]), got "
                f"shape {tuple(x.shape)}"
            )
        lead = x.shape[:-2]
        B = math.prod(lead)
        if x.dim() != 3:
            x = x.reshape(B, 5, 4)
        if self.batch_invariant or torch.compiler.is_compiling():
            return self._contract(x, lead, B)
        # materialize dense, inputs first: predicted 32.2 µs at 1, where search (combo) takes 36.4
        # µs
        if B <= 7:
            return self._contract_to_7(x, lead, B)
        # search (combo): predicted 43.4 µs at 64, where materialize dense, inputs first takes 57.1
        # µs
        return self._contract(x, lead, B)

    def _contract(self, x: Tensor, lead: tuple[int, ...], B: int) -> Tensor:
        """Runs for B > 7; under `torch.compile` and in exports.

        11 contractions, 4 done ahead, 428 B multiply-adds:
            [1] x@3 · Pair[1]          64 B  -> ..., p[2], v[1, 1]
            [2] x@2 · [1]              16 B  -> ..., v[1, 1]
            [3] x@1 · [2]              16 B  -> ..., p[1], v[1, 1]
            [4] Pair[0] · Node[2, 0]  ahead  -> p[0], p[1], v[1, 1], v[2, 0]
            [5] [3] · [4]             256 B  -> ..., p[0], v[2, 0]
            [6] x@0 · [5]              16 B  -> ..., v[2, 0]
            [7] Pair[2] · Node[2, 1]  ahead  -> p[4], v[2, 1]
            [8] Node[3, 0] · Top      ahead  -> v[2, 0], v[2, 1], label
            [9] [7] · [8]             ahead  -> p[4], v[2, 0], label
            [10] [6] · [9]             48 B  -> ..., p[4], label
            [11] x@4 · [10]            12 B  -> ..., label
        """
        x_slices = x.unbind(1)  # 5 × (B, p[0])
        t = torch.mm(x_slices[3], self.Pair_1)  # [1] (B, p[2] v[1, 1])
        t = torch.bmm(x_slices[2].reshape(B, 1, 4), t.reshape(B, 4, 4))  # [2] (B, 1, v[1, 1])
        t = x_slices[1].reshape(B, 4, 1) * t  # [3] (B, p[1], v[1, 1])
        t = torch.mm(t.reshape(B, 16), self.Pair_0_Node_2_0)  # [5] (B, p[0] v[2, 0])
        t = torch.bmm(x_slices[0].reshape(B, 1, 4), t.reshape(B, 4, 4))  # [6] (B, 1, v[2, 0])
        t = torch.mm(t.reshape(B, 4), self.merged)  # [10] (B, p[4] label)
        t = torch.bmm(x_slices[4].reshape(B, 1, 4), t.reshape(B, 4, 3))  # [11] (B, 1, label)
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
