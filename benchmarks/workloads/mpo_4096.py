"""Square tensor trains of 4,096 features: four sites of 8, and three of 16."""

from benchmarks.workloads.linear import tensor_train

EIGHTS, SIXTEENS = (8, 8, 8, 8), (16, 16, 16)

WORKLOADS = (
    tensor_train("mpo-4096-r8", EIGHTS, EIGHTS, 8, batches=(1, 256), quick=(1, 256)),
    tensor_train("mpo-4096-r32", EIGHTS, EIGHTS, 32, batches=(64,)),
    tensor_train("mpo-4096-sixteens-r16", SIXTEENS, SIXTEENS, 16, batches=(1, 256)),
    tensor_train("mpo-4096-sixteens-r64", SIXTEENS, SIXTEENS, 64, batches=(1, 256)),
)
