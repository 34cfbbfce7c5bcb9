"""What HazyResearch/fly#11 measured: Monarch layers in the network of a recommender."""

from torch.nn.functional import relu

from benchmarks.contract import in_sequence
from benchmarks.workloads.block_tensor_train import block_train

WORKLOADS = (
    in_sequence(
        "fly-11-16-blocks",
        "fly#11: Monarch 10000 → 1024 → 512, 16 blocks",
        (
            block_train("first", (16, 625), (64, 16), 4, (10, 1000)),
            block_train("second", (16, 64), (32, 16), 2, (10, 1000)),
        ),
        quick=(10,),
        between=relu,
        note="reported there on a CPU: batch 1000 dense 26.6 ms, Monarch 5.7; "
        "batch 10 dense 0.59 ms, Monarch 1.37",
    ),
)
