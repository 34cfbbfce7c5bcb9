"""A tensor train of two wide sites."""

from benchmarks.workloads.linear import tensor_train

WORKLOADS = (tensor_train("mpo-4096-two-sites-r16", (64, 64), (64, 64), 16, batches=(1, 256)),)
