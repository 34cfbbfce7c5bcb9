"""How parameters start: every scheme, and the exact size of the whole map."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import opt_einsum
import pytest
import torch
from torch import Tensor, nn

import tncompile
from tncompile.compiler import lower_network
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.chains import long_chains
from tncompile.initialization.draws import (
    Initialization,
    Matrix,
    NearIdentity,
    Normal,
    initialize,
)
from tncompile.initialization.estimates import Estimate
from tncompile.initialization.norm import linear_map, norm_network
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.planning import ContractionPlan


def architecture(text: str, target: str = "N") -> tncompile.Architecture:
    return tncompile.loads(text).instantiate(target)


def module(text: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    return architecture(text).module(seed=seed, dtype=dtype)


def parameter(held: nn.Module, key: str) -> Tensor:
    return held.state_dict()[key]


def estimated(network: TensorNetwork) -> Initialization:
    """The initialization where the network times itself costs too much."""
    return initialize(network, lambda _: None)


# ── the whole map ──────────────────────────────────────────────────────────────────────────────

TRAIN = """
network N() {
  index  i[k in 0..4] = 3, o[k in 0..4] = 2
  bond   b[k in 0..3] = 4
  input  x(..., (i[*]))
  tensor G[k in 0..4](b[k - 1]?, i[k], o[k], b[k]?)
  output y(..., (o[*]))
}
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64], ids=str)
def test_each_draw_has_the_mean_square_of_a_linear_layer(dtype: torch.dtype) -> None:
    for seed in range(4):
        weight = module(TRAIN, seed, dtype)(torch.eye(81, dtype=dtype))
        assert weight.abs().square().sum().item() / 16 == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_measured_in_single(dtype: torch.dtype) -> None:
    weight = module(TRAIN, 0, dtype).float()(torch.eye(81))
    assert weight.square().sum().item() / 16 == pytest.approx(1 / 3, rel=2e-2)


@pytest.mark.parametrize("kind", ["", "complex"])
@pytest.mark.parametrize("log", ["", "log"])
def test_sums_of_millions_of_squares_are_exact(kind: str, log: str) -> None:
    text = f"""network N() {{
      index  i = 1500, o = 1500
      input  x(..., i)
      tensor W(o, i) {kind}
      output y(..., o) {log}
    }}"""
    weight = parameter(architecture(text).module(seed=0, search="fast"), "W").abs().double()
    assert weight.square().sum().item() / 1500 == pytest.approx(1 / 3, rel=1e-6)


def test_draws_depend_on_the_seed_alone() -> None:
    first, second, other = (module(TRAIN, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_a_module_on_meta_starts_later() -> None:
    held = architecture(TRAIN).module(device="meta")
    held.to_empty(device="cpu")
    torch.manual_seed(0)
    held.reset_parameters()
    weight = held(torch.eye(81))
    assert weight.square().sum().item() / 16 == pytest.approx(1 / 3, rel=1e-4)


def test_padding_is_left_out() -> None:
    text = TRAIN.replace("(..., (i[*]))", "(..., (i[*]) as 50)").replace(
        "y(..., (o[*]))", "y(..., (o[*]) as 11)"
    )
    weight = module(text)(torch.eye(50))
    assert weight.shape == (50, 11)
    assert weight.square().sum().item() / 11 == pytest.approx(1 / 3, rel=1e-4)


def test_ids_have_the_mean_square_of_an_embedding() -> None:
    text = TRAIN.replace("x(..., (i[*]))", "x(..., onehot(i[*]) as 50)")
    table = module(text)(torch.arange(50))
    assert table.square().mean().item() == pytest.approx(1, rel=1e-4)


def test_a_network_without_inputs_has_norm_one() -> None:
    text = """
    network N() {
      index  s[k in 0..4] = 3
      bond   b[k in 0..3] = 4
      tensor A[k in 0..4](b[k - 1]?, s[k], b[k]?)
      output y(s[*])
    }
    """
    assert module(text)().square().sum().item() == pytest.approx(1, rel=1e-4)


def test_slices_count_as_unit_vectors() -> None:
    text = """
    network N() {
      index  p[k in 0..4] = 3
      index  o = 5
      bond   b[k in 0..4] = 4
      input  x(..., k in 0..4, p[k])
      tensor A[k in 0..4](b[k - 1]?, p[k], b[k])
      tensor T(b[3], o)
      output y(..., o)
    }
    """
    every = torch.stack([torch.stack(f) for f in itertools.product(torch.eye(3), repeat=4)])
    assert module(text)(every).square().mean().item() == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize(
    "tensors",
    [
        "tensor A(i, r)\n tensor B(o, s) tie A\n tensor M(r, s)",
        "tensor A(i, r)\n tensor B(o, s) tie A conj\n tensor M(r, s)",
        "tensor A(i, r) init normal(2.0)\n tensor M(r, s)\n tensor B(s, o)",
        "tensor A(i, r) init uniform(0.01) frozen\n tensor M(r, s)\n tensor B(s, o)",
        "tensor A(i, r) init orthogonal\n tensor M(r, s) init eye frozen\n tensor B(s, o)",
        "tensor A(i, r) frozen\n tensor M(r, s) init ones\n tensor B(s, o)",
    ],
)
def test_ties_schemes_and_frozen_tensors_are_counted(tensors: str) -> None:
    text = f"""
    network N() {{
      index  i = 6, o = 6
      bond   r = 4, s = 4
      input  x(..., i)
      {tensors}
      output y(..., o)
    }}
    """
    for dtype in (torch.float32, torch.complex64):
        weight = module(text, 1, dtype)(torch.eye(6, dtype=dtype))
        assert weight.abs().square().sum().item() / 6 == pytest.approx(1 / 3, rel=1e-4)


def test_inputs_that_share_an_index_are_independent() -> None:
    text = """
    network N() {
      index  i = 7, j = 4, o = 3
      input  q(..., i)
      input  gate(i)
      input  k(..., j)
      tensor W(i, j, o)
      output y(..., o)
    }
    """
    held = module(text)
    assert parameter(held, "W").square().sum().item() / 3 == pytest.approx(1 / 3, rel=1e-4)


def test_an_index_that_inputs_alone_carry_is_counted() -> None:
    text = """
    network N() {
      index  i = 7, o = 3
      input  q(..., i)
      input  k(..., i)
      tensor w(o)
      output y(..., o)
    }
    """
    w = parameter(module(text), "w")
    assert 7 * w.square().sum().item() / 3 == pytest.approx(1 / 3, rel=1e-4)


def test_a_factor_of_zeros_leaves_the_rest_at_its_own_size() -> None:
    """As LoRA starts: A like a linear layer onto r, B at zero."""
    text = """
    network N() {
      index  i = 40, o = 30
      bond   r = 5
      input  x(..., i)
      tensor A(i, r)
      tensor B(r, o) init zeros
      output y(..., o)
    }
    """
    held = module(text)
    assert parameter(held, "A").square().sum().item() / 5 == pytest.approx(1 / 3, rel=1e-4)
    assert not parameter(held, "B").any()


def test_a_bias_starts_as_that_of_a_linear_layer() -> None:
    text = """
    network N() {
      index  g = 2, i = 50, o = 400
      input  x(..., (g i))
      tensor W(g, i, o)
      bias   c(g, o)
      output y(..., (g o))
    }
    """
    bias = parameter(module(text), "c")
    bound = 1 / math.sqrt(50)  # the features that an output sums over: groups left out
    assert 0.95 * bound < bias.abs().max().item() <= bound


# ── schemes ────────────────────────────────────────────────────────────────────────────────────


def schemes(scheme: str, legs: str = "i, j, o") -> Tensor:
    """The parameter of a network of one tensor."""
    text = f"""
    network N() {{
      index  i = 6, j = 4, o = 5
      input  x(..., i, j)
      tensor A({legs}) init {scheme}
      output y(..., o)
    }}
    """
    return parameter(module(text), "A")


def test_explicit_schemes() -> None:
    assert torch.equal(schemes("ones"), torch.ones(6, 4, 5))
    assert torch.equal(schemes("zeros"), torch.zeros(6, 4, 5))
    assert 0.25 < schemes("normal(0.3)").std().item() < 0.35
    assert 0.25 < schemes("uniform(0.3)").abs().max().item() <= 0.3


def test_matrices_split_the_axes_where_the_sides_are_nearest_in_size() -> None:
    assert torch.equal(schemes("eye"), torch.eye(6, 20).reshape(6, 4, 5))
    assert torch.equal(schemes("eye", "(i j), o"), torch.eye(24, 5))
    rows = schemes("orthogonal").reshape(6, 20)
    torch.testing.assert_close(rows @ rows.T, torch.eye(6))
    columns = schemes("orthogonal", "(i j), o")
    torch.testing.assert_close(columns.T @ columns, torch.eye(5))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bfloat16], ids=str)
def test_orthogonal_in_every_dtype(dtype: torch.dtype) -> None:
    text = """
    network N() {
      index  i = 6, o = 6
      input  x(..., i)
      tensor A(i, o) init orthogonal
      output y(..., o)
    }
    """
    a = parameter(module(text, 0, dtype), "A").to(torch.complex64)
    torch.testing.assert_close(a.mH @ a, torch.eye(6).to(a.dtype), atol=2e-2, rtol=0)


PLANS: dict[tuple[int, ...], ContractionPlan] = {}


def plan_of(arch: tncompile.Architecture, sizes: tuple[int, ...]) -> ContractionPlan:
    """The plan for these sizes of `A`; orders of contraction do not depend on the scheme."""
    if sizes not in PLANS:
        PLANS[sizes] = arch.plan()
    return PLANS[sizes]


@pytest.mark.parametrize(
    "scheme",
    ["auto", "normal(0.3)", "normal(0)", "uniform(0.3)", "ones", "zeros", "orthogonal", "eye"],
)
def test_every_scheme_on_tensors_of_every_order(scheme: str) -> None:
    for order in range(6):
        log = " log" * (order % 2)
        for sizes in {tuple([2, 3, 1, 2, 1][:order]), (1,) * order}:
            listed = ", ".join(f"l[{k}]" for k in range(order))
            text = f"""
            network N() {{
              index  i = 3, o = 2
              index  l[k in 0..{max(order, 1)}] = [{", ".join(map(str, sizes)) or 1}][k]
              input  x(..., i)
              tensor A({listed}) init {scheme}
              tensor W(i, o)
              output y(..., {listed}{", " * bool(order)}o){log}
            }}
            """
            if not order:
                text = text.replace("index  l[k in 0..1] = [1][k]", "")
            arch = architecture(text)
            held = arch.module(seed=0, plan=plan_of(arch, sizes))
            a = parameter(held, "A").detach()
            assert a.shape == sizes
            assert a.isfinite().all()
            splits = [(math.prod(sizes[:k]), math.prod(sizes[k:])) for k in range(1, order)]
            rows, columns = min(
                reversed(splits or [(a.numel(), 1)]), key=lambda one: max(one) / min(one)
            )
            matrix = a.reshape(rows, columns)
            if scheme == "eye":
                assert torch.equal(matrix, torch.eye(rows, columns))
            if scheme == "orthogonal":
                gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
                torch.testing.assert_close(gram, torch.eye(min(rows, columns)))


STAR = """
network N(n: int, p: int, r: int) {
  index  s[k in 0..n] = p, o = 5
  hyper  h = r
  input  x(..., k in 0..n, s[k])
  tensor A[k in 0..n](s[k], h) SHARED
  tensor W(h, o)
  output y(..., o)
}
"""


@pytest.mark.parametrize("shared", ["", "share k"])
@pytest.mark.parametrize(("n", "p"), [(15, 1000), (65, 4), (128, 4)])
def test_products_of_many_sites_start_exactly_too(n: int, p: int, shared: str) -> None:
    """Whatever is shared, and where |W|² itself is beyond float32."""
    text = STAR.replace("SHARED", shared)
    arch = tncompile.loads(text).instantiate("N", n=n, p=p, r=3)
    held = arch.module(seed=0, search="fast")
    family = [parameter(held, f"A.{k}") for k in range(n)] if not shared else []
    family = family or [parameter(held, "A")] * n
    logs, signs = torch.zeros(3, 3, dtype=torch.float64), torch.ones(3, 3)
    for one in family:
        gram = one.detach().double().T @ one.detach().double() / p
        logs, signs = logs + gram.abs().log(), signs * gram.sign()
    w = parameter(held, "W").detach().double()
    top = logs.max()
    mean_square = (signs * (logs - top).exp() * (w @ w.T)).sum() / 5
    assert (mean_square.log() + top).exp().item() == pytest.approx(1 / 3, rel=2e-3)


# ── long chains ────────────────────────────────────────────────────────────────────────────────


def chain(sites: int, rank: int = 10, attributes: str = "") -> str:
    return f"""
    network N() {{
      index  p[k in 0..{sites}] = 2
      index  label = 3
      bond   b[k in 0..{sites + 1}] = {rank}
      input  x(..., k in 0..{sites}, p[k])
      tensor First(b[0])
      tensor A[k in 0..{sites}](b[k], p[k], b[k + 1]) {attributes}
      tensor Label(b[{sites}], label)
      output y(..., label)
    }}
    """


def images(sites: int) -> Tensor:
    """Black, white, gray and three random images, as features `1 - u, u`."""
    u = torch.rand(6, sites)
    u[0], u[1], u[2] = 0.0, 1.0, 0.5
    return torch.stack([1 - u, u], -1)


@pytest.mark.parametrize(
    ("sites", "rank", "attributes"),
    [(40, 10, ""), (784, 10, ""), (784, 32, ""), (784, 10, "share k")],
)
def test_long_chains_hand_every_image_through(sites: int, rank: int, attributes: str) -> None:
    torch.manual_seed(0)
    scores = module(chain(sites, rank, attributes))(images(sites))
    assert scores.isfinite().all()
    assert 0.3 < scores.square().mean().sqrt().item() < 1.0


def test_what_counts_as_a_long_chain() -> None:
    def lengths(text: str) -> list[int]:
        found = long_chains(linear_map(architecture(text).network))
        return [len(one.tensors) for one in found]

    assert lengths(chain(31)) == [33]
    assert lengths(chain(30)) == []
    ladder = """
    network N() {
      bond   a[k in 0..39] = 2, b[k in 0..39] = 2, s[k in 0..40] = 2
      tensor A[k in 0..40](a[k - 1]?, s[k], a[k]?)
      tensor B[k in 0..40](b[k - 1]?, s[k], b[k]?) tie A conj
      output y() log
    }
    """
    assert lengths(ladder) == []
    ring = """
    network N() {
      index  p[k in 0..40] = 2
      bond   b[k in 0..40] = 3
      input  x(..., k in 0..40, p[k])
      tensor A[k in 0..40](b[k], p[k], b[(k + 1) % 40])
      output y(...)
    }
    """
    assert lengths(ring) == [40]


def test_a_long_chain_is_near_the_identity() -> None:
    held = initialize(architecture(chain(40)).network, lambda _: None)
    assert held.rescaling is None
    draw = held.draws["A.7"]
    assert isinstance(draw, NearIdentity)
    assert draw.bonds == (0, 2)
    assert draw.scale == pytest.approx(1, abs=0.05)
    first = held.draws["First"]
    assert isinstance(first, NearIdentity)
    assert first.bonds == (0,)


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


def sum_of_products(network: TensorNetwork, state: dict[str, Tensor]) -> Tensor:
    """A scalar network without inputs and masks."""
    number = {index.name: k for k, index in enumerate(network.indices)}
    operands: list[object] = []
    for tensor in network.tensors:
        value = state[tensor.source]
        operands += [value.conj() if tensor.conjugate else value, [number[i] for i in tensor.legs]]
    result: Tensor = opt_einsum.contract(*operands, [])
    return result


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
    script = (
        "import tncompile, hashlib;"
        f"print(hashlib.sha256(tncompile.loads({TRAIN!r}).instantiate('N').source().encode())"
        ".hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1


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
