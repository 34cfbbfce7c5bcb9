"""The layer of torch that a block is like, and what it costs."""

from __future__ import annotations

import math

import pytest
import torch

import tncompile
from tests.support import small_networks as small
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning import BUILTIN, cost, plan
from tncompile.simulation.dense_layer import Twin, dense_parameters, dense_run, dense_twin

# ── the layer of torch that a block is like ─────────────────────────────────────────────────────

BILINEAR = tncompile.load("std/linear.tn").instantiate("BilinearTN(12, 20, 6, rank = 3)")


TWINS = {
    "MPO": (small.mpo([4, 4], [3, 5], 2), "nn.Linear"),
    "BilinearTN": (BILINEAR.network, "nn.Bilinear"),
    "one slice": (
        small.make_network(
            {DOTS: None, "p": 5, "o": 3},
            {},
            {"A": ["p", "o"]},
            [DOTS, "o"],
            slices={"x": [[DOTS, "p"]]},
        ),
        "nn.Linear",
    ),
    "slices": (small.mps(4, 2, 3, 3), "the 4 slices of `x`"),
    "norm": (small.norm(4, 2), "has no input"),
    "logarithm": (
        tncompile.loads(
            "network L() {\n  index i = 4, o = 3\n  input x(..., i)\n  tensor A(i, o)\n"
            "  output y(..., o) log\n}\n"
        )
        .instantiate()
        .network,
        "logarithm",
    ),
    "three inputs": (
        tncompile.from_einsum("bi,bj,bk,ijko->bo", *[(None, 2)] * 3, (2, 2, 2, 3), inputs=3),
        "no layer of 3 inputs",
    ),
    "batches apart": (
        tncompile.from_einsum("ai,bj,ijo->abo", (None, 2), (None, 3), (2, 3, 4), inputs=2),
        "different leading axes",
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_one_function_says_which_layer_of_torch_a_block_is_like(name: str) -> None:
    held, due = TWINS[name]
    network = held if isinstance(held, TensorNetwork) else held.network
    sizes = {index.name: 8 for index in network.indices if index.size is None}
    twin = dense_twin(network, sizes)
    found = cost(network, plan(network, batch=8, search="fast"), batch=8, mode="inference")
    if isinstance(twin, Twin):
        assert twin.kind == due == found.dense_layer
        assert f"dense layer, like {due}" in found.table()
        assert found.inference.dense_flops == twin.flops(training=False)
        assert "dense layer" not in found.reasons
    else:
        assert due in twin == found.reasons["dense layer"]
        assert found.dense_layer is None
        assert found.inference.dense_flops is None
        assert "dense layer, like" not in found.table()
        assert "Not compared:" in found.table()


@pytest.mark.parametrize("training", [False, True])
def test_operations_of_a_bilinear_layer_are_those_that_torch_runs(training: bool) -> None:
    twin = dense_twin(BILINEAR.network, {"...": 64})
    assert isinstance(twin, Twin)
    layer = torch.nn.Bilinear(12, 20, 6)
    assert sum(p.numel() for p in layer.parameters()) == dense_parameters(BILINEAR.network)
    first = torch.randn(64, 12, requires_grad=training)
    second = torch.randn(64, 20, requires_grad=training)
    with torch.profiler.profile(record_shapes=True) as seen, torch.set_grad_enabled(training):
        made = layer(first, second)
        if training:
            made.sum().backward()
    counted = 0
    for event in seen.events():
        if event.name == "aten::bmm":
            (batch, rows, inner), (_, _, columns) = event.input_shapes
            counted += 2 * batch * rows * inner * columns
        elif event.name == "aten::mul":
            one, other = (shape or [1] for shape in event.input_shapes)
            counted += math.prod(torch.broadcast_shapes(one, other))
    assert twin.flops(training=training) == counted
    run = dense_run(BILINEAR.network, {"...": 64}, BUILTIN, training=training)
    assert run is not None
    assert run.seconds > 6 * (4 if training else 2) * BUILTIN.call  # the outputs are made in turn
