"""Convolutions as tensor trains of the kernel and the digits of the channels."""

from functools import partial

from benchmarks.byhand import train_convolutions
from benchmarks.contenders import tednet_convolutions
from benchmarks.contract import Network, Workload
from benchmarks.workloads.convolution import LIBRARY, SIZE, convolution, versions
from benchmarks.workloads.linear import by_hand, written

OTHER_TRAIN = "its trains leave the channels whole"


def train(
    channels: int, digits: tuple[int, int], rank: int, quick: tuple[int, ...] = ()
) -> Workload:
    """As many channels out as in, all bonds alike."""
    target = (
        f"TTConv(ins = {written(digits)}, outs = {written(digits)}, ranks = {rank}, "
        f"padding = {SIZE // 2}, with_bias = false)"
    )
    return convolution(
        f"conv-tt-{channels}-r{rank}",
        f"TT convolution, {written(digits)}, rank {rank}",
        Network(LIBRARY, target),
        channels,
        1,
        "hwa,aipb,bjq->pqijhw",
        [("matrix first, ", partial(train_convolutions.kernel_last, stride=1))],
        peers=(tednet_convolutions.train(digits, rank),),
        more=(
            *versions([("", partial(train_convolutions.kernel_first, stride=1))], first_step=False),
            by_hand("core by core", partial(train_convolutions.core_by_core, stride=1)),
            by_hand(
                "core by core, kernel last",
                partial(train_convolutions.core_by_core_backward, stride=1),
            ),
        ),
        omitted={"tensorly-torch": OTHER_TRAIN},
        quick=quick,
    )


WORKLOADS = (
    train(64, (8, 8), 4),
    train(128, (8, 16), 4, quick=(16,)),
    train(256, (16, 16), 4),
    train(512, (16, 32), 4),
)
