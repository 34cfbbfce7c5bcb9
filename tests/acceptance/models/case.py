"""What a case is, how inputs are drawn, and the layers that twins are written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

State = Mapping[str, Tensor]
Result = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class Case:
    """An architecture, what to call it with, and what it must return.

    inputs: draws the arguments of `forward` from a generator; its other arguments are sizes.
    twin: the result, in plain torch, from the module's state dict and the same inputs. It reads
        every key of the state dict but `num_batches_tracked`, and no other.
    loose: other sizes for `inputs`, for a second call of the same module.
    refused: sizes for which `forward` raises a `ValueError`.
    step: the axis of the inputs and the axis of the (first) result along which `step`, given
        pieces of uneven length, must return what `forward` returns for the whole.
    held: positions of the inputs that every step is given whole.
    reordered: whether rows of the state are rows of the result (models with `...`).
    frozen: beginnings of the keys that are not trained.
    warnings: codes TN6xx that instantiating gives.
    eager: not tried under torch.compile and torch.export: so long that they take minutes.
    fixed: sizes that torch.export may hold at their value (it unrolls loops over them).
    """

    name: str
    file: str
    block: str
    inputs: Callable[..., tuple[Tensor, ...]]
    twin: Callable[..., Result]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    loose: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    step: tuple[int, int] | None = None
    held: tuple[int, ...] = ()
    reordered: bool = True
    frozen: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    eager: bool = False
    fixed: tuple[str, ...] = ()


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────


def real(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def ids(generator: Generator, count: int, *shape: int) -> Tensor:
    return torch.randint(count, shape, generator=generator)


def flags(generator: Generator, *shape: int) -> Tensor:
    """Booleans, the first of each row true."""
    drawn = torch.rand(*shape, generator=generator) < 0.6
    drawn[..., 0] = True
    return drawn


def imaginary(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.complex128)


# ── layers, by the key of the part ───────────────────────────────────────────────────────────────


def linear(state: State, part: str, x: Tensor, bias: bool = True) -> Tensor:
    return functional.linear(x, state[f"{part}.weight"], state[f"{part}.bias"] if bias else None)


def layer_norm(state: State, part: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    return functional.layer_norm(
        x, x.shape[-1:], state[f"{part}.weight"], state[f"{part}.bias"], eps
    )


def rms_norm(state: State, part: str, x: Tensor, eps: float | None = None) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:], state[f"{part}.weight"], eps)


def batch_norm(state: State, part: str, x: Tensor) -> Tensor:
    """In evaluation: with the running statistics."""
    mean, variance = state[f"{part}.running_mean"], state[f"{part}.running_var"]
    return functional.batch_norm(x, mean, variance, state[f"{part}.weight"], state[f"{part}.bias"])


def group_norm(state: State, part: str, x: Tensor, groups: int) -> Tensor:
    return functional.group_norm(x, groups, state[f"{part}.weight"], state[f"{part}.bias"])


def convolution(state: State, part: str, x: Tensor, bias: bool = True, **options: Any) -> Tensor:
    """Over one axis or two, as many as the kernel has."""
    kernel = state[f"{part}.weight"]
    over = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}[kernel.dim()]
    return over(x, kernel, state[f"{part}.bias"] if bias else None, **options)


def heads(x: Tensor, count: int) -> Tensor:
    """(…, t, count · e) to (…, count, t, e)."""
    return torch.unflatten(x, -1, (count, -1)).transpose(-3, -2)


def joined(x: Tensor) -> Tensor:
    """(…, heads, t, e) to (…, t, heads · e)."""
    return x.transpose(-3, -2).flatten(-2)


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Softmax attention; causal at the last key; `mask` may be bool (true may look) or float."""
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    if causal:
        queries, keys = scores.shape[-2:]
        later = torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1)
        scores = scores.masked_fill(later, -torch.inf)
    return torch.matmul(scores.softmax(-1), v)


def train_matrix(state: State, part: str) -> Tensor:
    """The matrix (inputs, outputs) of a tensor train with cores (bond?, in, out, bond?)."""
    prefix = f"{part}.G."
    last = sum(key.startswith(prefix) for key in state) - 1
    matrix = None
    for k in range(last + 1):
        core = state[f"{prefix}{k}"]
        core = core if k > 0 else core[None]
        core = core if k < last else core[..., None]
        if matrix is None:
            matrix = core
        else:
            grown = torch.einsum("aiob,bjpc->aijopc", matrix, core)
            matrix = grown.flatten(3, 4).flatten(1, 2)
    assert matrix is not None
    return matrix[0, :, :, 0]


def train(state: State, part: str, x: Tensor, bias: bool = True) -> Tensor:
    """A tensor-train map of the library, with its bias (axes as the outputs of the cores)."""
    y = x @ train_matrix(state, part)
    return y + state[f"{part}.c"].flatten() if bias else y


def gru_direction(state: State, part: str, suffix: str, x: Tensor, h: Tensor) -> list[Tensor]:
    """The states of one layer and direction of torch's GRU ("l0", "l0_reverse"), by time."""
    length = x.shape[1]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [state[f"{part}.{name}_{suffix}"] for name in names]
    back = suffix.endswith("reverse")
    states = []
    for t in reversed(range(length)) if back else range(length):
        h = torch.gru_cell(x[:, t], h, *weights)
        states.append(h)
    return states[::-1] if back else states
