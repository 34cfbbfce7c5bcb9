"""A Tucker decomposition of three sites a side."""

from dataclasses import replace
from functools import partial

from benchmarks.byhand import products
from benchmarks.contenders import tensorly_torch
from benchmarks.contract import Network
from benchmarks.workloads.linear import LIBRARY, by_hand, plain, written

SIDES, RANK = (8, 8, 16), 4
P, Q = ("p0", "p1", "p2"), ("q0", "q1", "q2")

_held = plain(
    "tucker-1024-r4",
    f"Tucker 1024 → 1024, {written(SIDES)}, ranks {RANK}",
    Network(
        LIBRARY,
        f"Tucker(ins = {written(SIDES)}, outs = {written(SIDES)}, in_ranks = {RANK}, "
        f"out_ranks = {RANK}, with_bias = false)",
    ),
    SIDES,
    (
        *((f"i{k}", P[k]) for k in range(3)),
        (*P, *Q),
        *((Q[k], f"o{k}") for k in range(3)),
    ),
    ("o0", "o1", "o2"),
    (
        by_hand(
            "two products",
            partial(products.tucker, inputs=3),
            partial(products.folded_tucker, inputs=3),
        ),
    ),
    (1, 256),
    peers=tensorly_torch.tucker(SIDES, SIDES, (RANK,) * 6),
    omitted={"tednet": "its Tucker-2 layer decomposes three input legs and one output leg"},
)

WORKLOADS = (replace(_held, order=("U", "Core", "V")),)
