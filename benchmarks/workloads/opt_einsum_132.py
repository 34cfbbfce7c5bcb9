"""The network of dgasmith/opt_einsum#132: is a path that is fast forward fast backward?"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Network, Parameters, Run, Workload
from benchmarks.workloads.linear import by_hand

SITES, FEATURES, RANK, CLASSES, BATCH = 9, 2, 7, 10, 512

TEXT = """
network Chain(sites: int, features: int, rank: int, classes: int) {
  index  p[k in 0..sites] = features
  index  label[k in sites // 2..sites // 2 + 1] = classes
  bond   b[k in 0..sites - 1] = rank
  input  x(..., k in 0..sites, p[k])
  tensor A[k in 0..sites](b[k - 1]?, p[k], label[k]?, b[k]?)
  output y(..., label[*])
}
"""

TERMS = tuple(
    (
        *([f"b{k - 1}"] if k else []),
        f"p{k}",
        *(["label"] if k == SITES // 2 else []),
        *([f"b{k}"] if k < SITES - 1 else []),
    )
    for k in range(SITES)
)


def vectors(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Standard normal features."""
    return (torch.randn(batch, SITES, FEATURES, generator=generator),)


def at_once(parameters: Parameters, x: Tensor) -> Tensor:
    """Site by site from the left."""
    state = torch.ones(x.shape[0], 1, 1, dtype=x.dtype)  # (n, label, bond)
    for k, core in enumerate(parameters.values()):
        full = core.unsqueeze(0) if k == 0 else core
        full = full.unsqueeze(-1) if k == SITES - 1 else full
        full = full if full.dim() == 4 else full.unsqueeze(2)
        state = torch.einsum("nla,np,apmb->nlmb", state, x[:, k], full).flatten(1, 2)
    return state.squeeze(-1)


def from_both_ends(leaves: list[Tensor]) -> Run:
    """Vectors from both ends: the outer product with the pixel, then one product a site."""
    half = SITES // 2

    def run(x: Tensor) -> Tensor:
        pixels = x.unbind(1)
        left, right = pixels[0] @ leaves[0], pixels[-1] @ leaves[-1].t()
        for k in range(1, half):
            pairs = (left[:, :, None] * pixels[k][:, None]).flatten(1)
            left = pairs @ leaves[k].view(-1, RANK)
        for k in range(SITES - 2, half, -1):
            pairs = (pixels[k][:, :, None] * right[:, None]).flatten(1)
            right = pairs @ leaves[k].view(RANK, -1).t()
        pairs = (left[:, :, None] * pixels[half][:, None]).flatten(1)
        scores = (pairs @ leaves[half].view(RANK * FEATURES, -1)).view(-1, CLASSES, RANK)
        return torch.bmm(scores, right.unsqueeze(-1)).squeeze(-1)

    return run


WORKLOADS = (
    Workload(
        name="opt-einsum-132",
        title="opt_einsum#132: chain of 9 sites, rank 7, label in the middle",
        networks=(
            Network(
                TEXT,
                f"Chain(sites = {SITES}, features = {FEATURES}, rank = {RANK}, "
                f"classes = {CLASSES})",
            ),
        ),
        batches=(BATCH,),
        inputs=vectors,
        reference=at_once,
        contenders=(
            *equations(
                Equation(
                    tuple(("n", f"p{k}") for k in range(SITES)),
                    TERMS,
                    ("n", "label"),
                    lambda x: x.unbind(1),
                )
            ),
            by_hand("from both ends", lambda held: from_both_ends(list(held))),
        ),
        omitted={
            "nn.Linear": "the map is no matrix",
            "tensorly-torch": "it has no such layer",
            "tednet": "it has no such layer",
            "TensorKrowch": "its chain has the label on a tensor without a pixel",
        },
        quick=(BATCH,),
    ),
)
