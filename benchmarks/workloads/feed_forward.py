"""The feed-forward block of GPT-2, both layers as tensor trains; biases are left out."""

from benchmarks.contract import in_sequence
from benchmarks.workloads.linear import tensor_train

NARROW, WIDE = (8, 8, 12), (12, 16, 16)

WORKLOADS = (
    in_sequence(
        "feed-forward-768-r16",
        "Feed-forward 768 → 3072 → 768, tensor trains of rank 16",
        (
            tensor_train("up", NARROW, WIDE, 16, batches=(1, 1024)),
            tensor_train("down", WIDE, NARROW, 16, batches=(1, 1024)),
        ),
        quick=(),
    ),
)
