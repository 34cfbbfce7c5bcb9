"""The workloads in plain PyTorch, written by hand for speed: the yardstick of emitted modules.

Every version treats its parameters as an emitted module has them and returns a contiguous result.
The rules they follow: no temporary of 32 MB or more, chunks of the batch whose temporaries stay in
the second-level cache, one wide product instead of several narrow ones, no copies of large
operands, in place where no gradient is wanted.
"""
