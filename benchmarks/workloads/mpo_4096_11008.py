"""The wide layer of a LLaMA block as a tensor train of three sites."""

from benchmarks.workloads.linear import tensor_train

INS, OUTS = (16, 16, 16), (16, 16, 43)

WORKLOADS = (
    tensor_train("mpo-4096-11008-r16", INS, OUTS, 16, batches=(1, 256)),
    tensor_train("mpo-4096-11008-r64", INS, OUTS, 64, batches=(1, 256)),
)
