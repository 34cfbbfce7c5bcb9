"""Sizes of maps that are estimated, and what draws depend on."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

import tncompile
from tests.support.seeds import another_seed
from tests.support.started import TRAIN, architecture, chain, estimated, sum_of_products
from tncompile.compiler import lower_network
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import (
    Matrix,
    Normal,
)
from tncompile.initialization.estimates import Estimate
from tncompile.initialization.norm import linear_map, norm_network
from tncompile.network.verifying import verify_network

# ── what it costs ──────────────────────────────────────────────────────────────────────────────


def test_where_it_costs_too_much_the_size_is_estimated() -> None:
    network = architecture(TRAIN).network
    rescaling = estimated(network).rescaling
    assert rescaling is not None
    assert isinstance(rescaling.measure, Estimate)
    assert rescaling.log_wanted == pytest.approx(math.log(1 / 3))


GRID = """
network N() {
  index  p[r in 0..3, c in 0..3] = 2
  index  label[r in 1..2, c in 1..2] = 3
  bond   h[r in 0..3, c in 0..2] = 2
  bond   v[r in 0..2, c in 0..3] = 2
  input  x(..., r in 0..3, c in 0..3, p[r, c])
  tensor S[r in 0..3, c in 0..3](
    p[r, c], h[r, c - 1]?, h[r, c]?, v[r - 1, c]?, v[r, c]?, label[r, c]?,
  )
  output y(..., label[*])
}
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TRAIN, 1 / 3),
        (TRAIN.replace("output y(..., (o[*]))", "output y(..., (o[*])) log"), 1 / 3),
        (TRAIN.replace("output", "bias c(o[*])\n  output"), 1 / 3),
        (TRAIN.replace("x(..., (i[*]))", "x(..., onehot(i[*]))"), 1),
        (TRAIN.replace("x(..., (i[*]))", "x(k in 0..4, i[k])").replace("(..., ", "("), 1 / 3),
        (GRID, 1 / 3),
    ],
    ids=["linear", "log", "bias", "ids", "slices without a batch", "grid"],
)
def test_an_estimate_is_near_and_says_so(text: str, wanted: float) -> None:
    made = architecture(text)
    program = lower_network(made.network, made.plan())
    generated = emit(made.network, made.plan(), program, estimated(made.network))
    assert "costs too much here" in generated.source
    ratios: list[float] = []
    for seed in range(4):
        held = instantiate(generated, dtype=torch.float64, device=None, seed=seed)
        scaled = norm_network(linear_map(made.network))
        exact = sum_of_products(scaled, held.state_dict()).item()
        mean_square = exact / math.exp(linear_map(made.network).log_divisor)
        ratios.append(math.log(mean_square / wanted))
    assert max(map(abs, ratios)) < 1
    assert abs(sum(ratios)) / len(ratios) < 0.5


def test_a_network_without_inputs_is_its_own_estimate() -> None:
    text = """
    network N() {
      index  s[k in 0..4] = 3
      bond   b[k in 0..3] = 4
      tensor A[k in 0..4](b[k - 1]?, s[k], b[k]?)
      output y(s[*])
    }
    """
    made = architecture(text)
    program = lower_network(made.network, made.plan())
    generated = emit(made.network, made.plan(), program, estimated(made.network))
    held = instantiate(generated, dtype=None, device=None, seed=0)
    assert held().square().sum().item() == pytest.approx(1, rel=1e-4)


def test_doubled_networks_are_legal() -> None:
    for text in (TRAIN, chain(5), GRID):
        network = norm_network(linear_map(architecture(text).network))
        assert list(verify_network(network)) == []
        assert network.output.axes == ()


def test_draws_alone_are_right_on_average() -> None:
    draws = estimated(architecture(TRAIN).network).draws
    total = 0.0
    for draw in draws.values():
        assert isinstance(draw, Normal)
        total += 2 * math.log(draw.std)
    # inputs 3 ** 4 and bonds 4 ** 3 are summed over, for one output
    assert total + 4 * math.log(3) + 3 * math.log(4) == pytest.approx(math.log(1 / 3))


def test_a_matrix_is_split_at_the_later_of_two_equal_places() -> None:
    text = """
    network N() {
      index  a = 4, b = 4, c = 4
      input  x(..., a, b)
      tensor w(a, b, c) init orthogonal
      output y(..., c)
    }
    """
    draw = estimated(architecture(text).network).draws["w"]
    assert draw == Matrix(orthogonal=True, rows=16, columns=4)


def test_the_source_is_the_same_under_any_hash_seed() -> None:
    """Here and in a process with another one."""
    script = (
        f"import tncompile\nprint(tncompile.loads({TRAIN!r}).instantiate('N').source(), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=another_seed(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == tncompile.loads(TRAIN).instantiate("N").source()


def test_a_width_over_an_index_that_no_tensor_carries() -> None:
    text = """network N() {
  index i = 2, g = 3, f = 2
  input x(..., g, f, i)
  tensor A(i)
  output y(..., (g f) as 5)
}"""
    module = tncompile.loads(text).instantiate("N").module(search="fast", seed=0)
    a = module.get_parameter("A").detach()
    assert float(a.square().sum()) == pytest.approx(1 / 3, rel=1e-4)  # each of 5 entries is x · A
