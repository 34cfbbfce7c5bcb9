"""A table of 32,000 words of 1,024 features as a tensor train, looked up by digits."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.byhand import tables
from benchmarks.contenders import tensorly_torch
from benchmarks.contenders.dense import dense_table
from benchmarks.contract import Network, Parameters, Workload
from benchmarks.workloads.linear import by_hand, train_weight, written

ROWS, COLUMNS, RANK, WORDS = (32, 25, 40), (8, 8, 16), 16, 32000


def ids(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Words at random."""
    return (torch.randint(WORDS, (batch,), generator=generator),)


def looked_up(parameters: Parameters, words: Tensor) -> Tensor:
    """Rows of the whole table."""
    return train_weight(parameters)[words]


WORKLOADS = (
    Workload(
        name="embedding-32000-1024-r16",
        title=f"TT embedding 32000 × 1024, {written(ROWS)} × {written(COLUMNS)}, rank {RANK}",
        networks=(
            Network(
                "std/embedding.tn",
                f"TTEmbedding(rows = {written(ROWS)}, columns = {written(COLUMNS)}, "
                f"ranks = {RANK})",
            ),
        ),
        batches=(1, 2048),
        inputs=ids,
        reference=looked_up,
        contenders=(
            dense_table(train_weight),
            tensorly_torch.table(ROWS, COLUMNS, WORDS, (RANK, RANK)),
            by_hand("cores looked up", tables.lookup),
            *(
                by_hand(
                    f"pairs of tables at {split}",
                    partial(tables.paired, split=split),
                    partial(tables.paired, split=split, folded=True),
                    suits=lambda batch: batch > 1,
                )
                for split in (1, 2)
            ),
        ),
        omitted={
            "torch.einsum": "it has no look-ups",
            "opt_einsum": "it has no look-ups",
            "cotengra": "it has no look-ups",
            "tednet": "it has no embeddings",
            "TensorKrowch": "it has no embeddings",
        },
        quick=(2048,),
        input_gradients=False,
    ),
)
