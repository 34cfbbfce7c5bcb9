"""A matrix product state over the pixels of a digit, label in the middle."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.byhand import chains
from benchmarks.contenders import tensorkrowch_models
from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Network, Parameters, Workload
from benchmarks.workloads.linear import by_hand

SITES, FEATURES, RANK, CLASSES = 784, 2, 10, 10


def pixels(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Images: every pixel u, uniform between 0 and 1, as (1 - u, u)."""
    u = torch.rand(batch, SITES, generator=generator)
    return (torch.stack([1 - u, u], dim=-1),)


def sweep(parameters: Parameters, x: Tensor) -> Tensor:
    """Two vectors that walk to the label, site by site."""
    cores = list(parameters.values())
    middle = SITES // 2
    left = x[:, 0] @ cores[0]
    for k in range(1, middle):
        left = torch.einsum("na,np,apb->nb", left, x[:, k], cores[k])
    right = x[:, -1] @ cores[-1].t()
    for k in range(SITES - 2, middle - 1, -1):
        right = torch.einsum("nb,np,apb->na", right, x[:, k], cores[k + 1])
    return torch.einsum("na,alb,nb->nl", left, cores[middle], right)


def equation() -> Equation:
    """One factor of the input a site."""
    middle, p = SITES // 2, [f"p{k}" for k in range(SITES)]
    left = [(*([f"a{k - 1}"] if k else []), p[k], f"a{k}") for k in range(middle)]
    right = [
        (f"d{k}", p[k], *([f"d{k + 1}"] if k < SITES - 1 else [])) for k in range(middle, SITES)
    ]
    return Equation(
        tuple(("n", name) for name in p),
        (*left, (f"a{middle - 1}", "label", f"d{middle}"), *right),
        ("n", "label"),
        lambda x: x.unbind(1),
    )


WORKLOADS = (
    Workload(
        name="mps-784-r10",
        title=f"MPS classifier, {SITES} sites, rank {RANK}",
        networks=(
            Network(
                "std/classifier.tn",
                f"MPSClassifier(sites = {SITES}, features = {FEATURES}, rank = {RANK}, "
                f"classes = {CLASSES})",
            ),
        ),
        batches=(1, 100),
        inputs=pixels,
        reference=sweep,
        contenders=(
            tensorkrowch_models.chain(SITES, FEATURES, RANK, CLASSES),
            *(replace(one, suits=lambda batch: batch == 1) for one in equations(equation())),
            *(
                by_hand(
                    f"tree of groups, {levels} more levels",
                    partial(chains.chain, levels=levels),
                    partial(chains.chain, levels=levels, folded=True),
                )
                for levels in (0, 1)
            ),
        ),
        omitted={
            "nn.Linear": "the map is no matrix",
            "torch.einsum": "it has 52 letters, the network 1,569 indices",
            "tensorly-torch": "it has no such layer",
            "tednet": "it has no such layer",
        },
        quick=(100,),
        order=("A", "Label", "D"),
        input_gradients=False,
        note="orders found by cotengra and opt_einsum asked for more than 20 GB at batch 100; they "
        "run at batch 1 alone",
    ),
)
