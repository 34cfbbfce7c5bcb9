"""What tensorly/torch#35 measured: a layer so small that overhead is all there is."""

from dataclasses import replace
from functools import partial

from benchmarks.byhand import products
from benchmarks.contenders import tensorly_torch
from benchmarks.contract import Network
from benchmarks.workloads.linear import LIBRARY, by_hand, plain, written

INS, OUTS = (4, 4), (2, 5)
IN_RANKS, OUT_RANKS = (1, 1), (1, 1)  # what its rank = 0.1 comes to

_held = plain(
    "tensorly-torch-35",
    "tensorly/torch#35: Tucker 16 → 10",
    Network(
        LIBRARY,
        f"Tucker(ins = {written(INS)}, outs = {written(OUTS)}, in_ranks = {written(IN_RANKS)}, "
        f"out_ranks = {written(OUT_RANKS)}, with_bias = false)",
    ),
    INS,
    (("i0", "p0"), ("i1", "p1"), ("p0", "p1", "q0", "q1"), ("q0", "o0"), ("q1", "o1")),
    ("o0", "o1"),
    (
        by_hand(
            "two products",
            partial(products.tucker, inputs=2),
            partial(products.folded_tucker, inputs=2),
        ),
    ),
    (4,),
    peers=tensorly_torch.tucker(INS, OUTS, (*IN_RANKS, *OUT_RANKS)),
    omitted={"tednet": "its Tucker-2 layer decomposes three input legs and one output leg"},
    quick=(4,),
    note="reported there: 2.74 ms factorized, 0.88 ms reconstructed, 0.039 ms dense",
)

WORKLOADS = (replace(_held, order=("U", "Core", "V")),)
