"""Block tensor trains: two block-diagonal products of rank 4 with a transposition between."""

from benchmarks.byhand import products
from benchmarks.contract import Network, Workload
from benchmarks.workloads.linear import LIBRARY, by_hand, plain, written

NO_BLOCKS = {
    "tensorly-torch": "it has no block-diagonal factors",
    "tednet": "its block-term layers are sums of Tucker layers",
}


def block_train(
    name: str,
    ins: tuple[int, int],
    outs: tuple[int, int],
    rank: int,
    batches: tuple[int, ...],
    quick: tuple[int, ...] = (),
) -> Workload:
    """L is (i0, i1, o1, r), R is (o1, r, i0, o0)."""
    return plain(
        name,
        f"BTT {ins[0] * ins[1]} → {outs[0] * outs[1]}, {written(ins)} → {written(outs)}, "
        f"rank {rank}",
        Network(
            LIBRARY,
            f"BTT(ins = {written(ins)}, outs = {written(outs)}, rank = {rank}, with_bias = false)",
        ),
        ins,
        (("i0", "i1", "o1", "r"), ("o1", "r", "i0", "o0")),
        ("o0", "o1"),
        (
            by_hand("batch as columns", products.blocks_by_columns),
            by_hand("batch as rows", products.blocks_by_rows),
            by_hand("mixed", products.blocks_mixed),
        ),
        batches,
        omitted=NO_BLOCKS,
        quick=quick,
    )


WORKLOADS = (block_train("btt-4096-r4", (64, 64), (64, 64), 4, (1, 256)),)
