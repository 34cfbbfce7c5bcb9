"""Two thin matrices."""

from benchmarks.byhand import products
from benchmarks.contract import Network, Workload
from benchmarks.workloads.linear import LIBRARY, by_hand, plain


def low_rank(rank: int, batches: tuple[int, ...]) -> Workload:
    """A square map of low rank."""
    return plain(
        f"low-rank-4096-r{rank}",
        f"Low rank 4096 → 4096, rank {rank}",
        Network(
            LIBRARY,
            f"LowRank(in_features = 4096, out_features = 4096, rank = {rank}, with_bias = false)",
        ),
        (4096,),
        (("i0", "r"), ("r", "o0")),
        ("o0",),
        (by_hand("two products", products.low_rank),),
        batches,
        omitted={
            "tensorly-torch": "CP of one site a side would be the same two products",
            "tednet": "CP of one site a side: a parameter for every column",
        },
    )


WORKLOADS = (low_rank(16, (1, 256)), low_rank(64, (1, 256)))
