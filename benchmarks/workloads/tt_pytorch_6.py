"""What KhrulkovV/tt-pytorch#6 ran into: activations that outweigh the dense weight."""

from benchmarks.workloads.linear import tensor_train

CUBE = (10, 10, 10)

WORKLOADS = (
    tensor_train(
        "tt-pytorch-6",
        CUBE,
        CUBE,
        16,
        batches=(4096,),
        note="the issue counts 2·B·r·d³ numbers of activations; look at peak memory",
    ),
)
