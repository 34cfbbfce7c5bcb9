"""A Monarch matrix of 64 blocks of 64."""

from collections.abc import Callable, Sequence

from torch import Tensor

from benchmarks.byhand import products
from benchmarks.contract import Contender, Network, Run
from benchmarks.workloads.block_tensor_train import NO_BLOCKS
from benchmarks.workloads.linear import LIBRARY, by_hand, plain, written

SIDES = (64, 64)


def of_rank_one(name: str, build: Callable[[Sequence[Tensor]], Run]) -> Contender:
    """A version of a BTT for the same tensors without the bond of size 1."""

    def loaded(held: Sequence[Tensor]) -> Run:
        def run(x: Tensor) -> Tensor:
            return build((held[0].unsqueeze(-1), held[1].unsqueeze(1)))(x)

        return run

    return by_hand(name, loaded)


WORKLOADS = (
    plain(
        "monarch-4096",
        "Monarch 4096 → 4096, 64 blocks of 64",
        Network(
            LIBRARY,
            f"Monarch(ins = {written(SIDES)}, outs = {written(SIDES)}, with_bias = false)",
        ),
        SIDES,
        (("i0", "i1", "o1"), ("o1", "i0", "o0")),
        ("o0", "o1"),
        (
            of_rank_one("batch as columns", products.blocks_by_columns),
            of_rank_one("batch as rows", products.blocks_by_rows),
            of_rank_one("mixed", products.blocks_mixed),
        ),
        (1, 256),
        omitted=NO_BLOCKS,
        quick=(256,),
    ),
)
