"""A CP decomposition of two sites of 32."""

from functools import partial

from benchmarks.byhand import products
from benchmarks.contenders import tednet_layers, tensorly_torch
from benchmarks.contract import Network
from benchmarks.workloads.linear import LIBRARY, by_hand, plain, written

SIDES, RANK = (32, 32), 64

WORKLOADS = (
    plain(
        "cp-1024-r64",
        f"CP 1024 → 1024, {written(SIDES)}, rank {RANK}",
        Network(
            LIBRARY,
            f"CP(ins = {written(SIDES)}, outs = {written(SIDES)}, rank = {RANK}, "
            "with_bias = false)",
        ),
        SIDES,
        (("i0", "r"), ("i1", "r"), ("o0", "r"), ("o1", "r")),
        ("o0", "o1"),
        (
            by_hand(
                "two products",
                partial(products.cp, inputs=2),
                partial(products.folded_cp, inputs=2),
            ),
        ),
        (1, 256),
        peers=(*tensorly_torch.cp(SIDES, SIDES, RANK), tednet_layers.cp(SIDES, SIDES, RANK)),
        quick=(256,),
    ),
)
