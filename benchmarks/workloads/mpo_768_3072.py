"""The wide layer of a GPT-2 block as a tensor train of three sites."""

from benchmarks.workloads.linear import tensor_train

INS, OUTS = (8, 8, 12), (12, 16, 16)

WORKLOADS = (
    tensor_train(
        "mpo-768-3072-r16",
        INS,
        OUTS,
        16,
        batches=(1, 128, 1024, 2048),
        quick=(1, 128),
    ),
    tensor_train("mpo-768-3072-r64", INS, OUTS, 64, batches=(1, 128, 2048)),
)
