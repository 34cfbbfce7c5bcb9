"""A grid classifier (PEPS) of four rows and four columns."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.byhand import grids
from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Network, Parameters, Workload
from benchmarks.workloads.linear import by_hand

ROWS = COLUMNS = 4
FEATURES, RANK, CLASSES = 2, 3, 10


def pixels(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Every pixel u, uniform between 0 and 1, as (1 - u, u)."""
    u = torch.rand(batch, ROWS, COLUMNS, generator=generator)
    return (torch.stack([1 - u, u], dim=-1),)


def sites() -> list[tuple[str, ...]]:
    """The indices of every tensor, as the block declares them."""
    made = []
    for r in range(ROWS):
        for c in range(COLUMNS):
            center = (r, c) == (ROWS // 2, COLUMNS // 2)
            legs = [
                (f"p{r}.{c}", True),
                (f"h{r}.{c - 1}", c > 0),
                (f"h{r}.{c}", c < COLUMNS - 1),
                (f"v{r - 1}.{c}", r > 0),
                (f"v{r}.{c}", r < ROWS - 1),
                ("label", center),
            ]
            made.append(tuple(name for name, there in legs if there))
    return made


def row_by_row(parameters: Parameters, x: Tensor) -> Tensor:
    """A boundary that takes in one site after another; every index has a letter of its own."""
    names = dict.fromkeys(name for term in sites() for name in term)
    numbers = {name: k for k, name in enumerate(names)}
    batch, tensors = len(numbers), list(zip(parameters.values(), sites(), strict=True))
    state, open_legs = x.new_ones(x.shape[0]), ["batch"]
    numbers["batch"] = batch
    for k, (tensor, term) in enumerate(tensors):
        later = {"batch", "label"}.union(*(other for _, other in tensors[k + 1 :]))
        kept = [name for name in dict.fromkeys((*open_legs, *term)) if name in later]
        pixel = x[:, k // COLUMNS, k % COLUMNS]
        state = torch.einsum(
            state,
            [numbers[n] for n in open_legs],
            pixel,
            [batch, numbers[term[0]]],
            tensor,
            [numbers[n] for n in term],
            [numbers[n] for n in kept],
        )
        open_legs = kept
    return torch.einsum(state, [numbers[n] for n in open_legs], [batch, numbers["label"]])


WORKLOADS = (
    Workload(
        name="peps-4x4-r3",
        title=f"PEPS classifier, {ROWS} × {COLUMNS}, rank {RANK}",
        networks=(
            Network(
                "std/classifier.tn",
                f"PEPSClassifier(rows = {ROWS}, columns = {COLUMNS}, features = {FEATURES}, "
                f"rank = {RANK}, classes = {CLASSES})",
            ),
        ),
        batches=(1, 256),
        inputs=pixels,
        reference=row_by_row,
        contenders=(
            *equations(
                Equation(
                    tuple(("n", term[0]) for term in sites()),
                    tuple(sites()),
                    ("n", "label"),
                    lambda x: x.flatten(1, 2).unbind(1),
                )
            ),
            by_hand("from both sides", partial(grids.peps, rows=ROWS, columns=COLUMNS)),
        ),
        omitted={
            "nn.Linear": "the map is no matrix",
            "tensorly-torch": "it has no such layer",
            "tednet": "it has no such layer",
            "TensorKrowch": "its PEPS has no output leg",
        },
        quick=(),
        input_gradients=False,
    ),
)
