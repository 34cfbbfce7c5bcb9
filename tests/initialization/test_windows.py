"""How convolutions start: the exact size away from the borders, kernels that are the identity."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.support.started import estimated, parameter
from tests.support.started_windows import mean_square
from tncompile.compiler import initialization, lower_network
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import IdentityKernel, NearIdentity, Uniform
from tncompile.initialization.estimates import Estimate, clear_of_borders
from tncompile.initialization.norm import linear_map, norm_network
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.network.windows import Window


def network(text: str, **arguments: object) -> TensorNetwork:
    return tncompile.loads(text).instantiate("N", **arguments).network


def measured(held: nn.Module, made: TensorNetwork, rows: int = 4, repeats: int = 24) -> float:
    """That of the output for random images, where no border reaches."""
    kept = {w.input_leg: clear_of_borders(w) for w in made.windows}
    longer = {
        w.input_leg: repeats * w.stride if not w.transposed else repeats for w in made.windows
    }
    shape = [rows]
    for axis in made.inputs[0].axes[1:]:
        leg = axis.indices[0] if axis.indices else ""
        shape.append(axis.length or kept[leg][0] + longer[leg])
    y: Tensor = held(torch.randn(shape))
    for k, axis in enumerate(made.output.axes):
        window = made.window.get(axis.indices[0]) if axis.indices else None
        if window is not None:
            _, first, last = kept[window.input_leg]
            count = repeats * (window.stride if window.transposed else 1)
            y = y.narrow(k, first, last - first + count)
    return y.square().mean().item()


TUCKER = """
network N(stride: int = 1, dilation: int = 1, padding: int = 1) {
  window h[a in 0..2] = conv(size = 3 + a, stride = stride, padding = padding, dilation = dilation)
  index  i = 8, o = 12
  bond   p = 3, q = 5
  input  x(..., i, FACE)
  tensor U(i, p)
  tensor K(p, q, h[*].kernel)
  tensor V(q, o)
  bias   c(o) init zeros
  output y(..., o, OTHER)
}
"""


FORWARD = TUCKER.replace("FACE", "h[*].in").replace("OTHER", "h[*].out")


LOGARITHM = FORWARD.replace("(..., o, h[*].out)", "(..., h[0].out, o, h[1].out) log").replace(
    "bias   c(o) init zeros", ""
)


TRANSPOSED = TUCKER.replace("FACE", "h[*].out").replace("OTHER", "h[*].in")


@pytest.mark.parametrize("text", [FORWARD, TRANSPOSED], ids=["convolution", "transposed"])
@pytest.mark.parametrize(("stride", "dilation", "padding"), [(1, 1, 1), (2, 1, 0), (3, 2, 2)])
def test_each_draw_has_the_size_of_a_layer(
    text: str, stride: int, dilation: int, padding: int
) -> None:
    arguments = {"stride": stride, "dilation": dilation, "padding": padding}
    arch = tncompile.loads(text).instantiate("N", **arguments)
    for seed in range(3):
        held = arch.module(seed=seed, search="fast")
        assert mean_square(arch.network, held.state_dict()) == pytest.approx(1 / 3, rel=1e-3)
        torch.manual_seed(seed)
        assert measured(held, arch.network) == pytest.approx(1 / 3, rel=0.1)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "transposed"),
    list(itertools.product([1, 3, 4], [1, 2, 5], [1, 2], [False, True])),
)
def test_the_squared_norm_is_that_of_one_place(
    size: int, stride: int, dilation: int, transposed: bool
) -> None:
    """Against torch: the sum over what each entry of an image gives, away from the borders."""
    face, other = ("h.out", "h.in") if transposed else ("h.in", "h.out")
    made = network(
        f"""
        network N() {{
          window h = conv(size = {size}, stride = {stride}, dilation = {dilation})
          index  i = 2, o = 3
          input  x(..., i, {face})
          tensor K(i, o, h.kernel)
          output y(..., o, {other})
        }}
        """
    )
    kernel = torch.randn(2, 3, size, dtype=torch.float64)
    length, first, last = clear_of_borders(made.windows[0])
    images = torch.eye(2 * length, dtype=torch.float64).reshape(-1, 2, length)
    if transposed:
        y = nn.functional.conv_transpose1d(images, kernel, None, stride, dilation=dilation)
    else:
        y = nn.functional.conv1d(images, kernel.transpose(0, 1), None, stride, 0, dilation)
    inside = y[..., first:last]
    due = inside.square().sum().item() / (3 * inside.shape[-1])
    assert mean_square(made, {"K": kernel}) == pytest.approx(due, rel=1e-9)


@pytest.mark.parametrize(
    "window",
    [
        Window(name="h", family="h", size=size, stride=stride, dilation=dilation, left=left,
               right=right, transposed=transposed, extra=extra)
        for size, stride, dilation in [(1, 1, 1), (3, 1, 1), (3, 2, 2), (4, 3, 1), (2, 5, 3)]
        for left, right in [(0, 0), (1, 1), (4, 0), (0, 7), (9, 2)]
        for transposed, extra in [(False, 0), (True, 0), (True, 3)]
    ],
    ids=lambda w: f"{w.size}-{w.stride}-{w.dilation}-{w.left}-{w.right}-{w.transposed}{w.extra}",
)  # fmt: skip
def test_clear_of_borders_is_the_shortest_input(window: Window) -> None:
    def reached(length: int, q: int) -> bool:
        """Whether every entry of the input that the one at q has exists."""
        taps = [k * window.dilation for k in range(window.size)]
        if not window.transposed:
            return all(0 <= q * window.stride + tap - window.left < length for tap in taps)
        places = [q + window.left - tap for tap in taps]
        return all(0 <= p // window.stride < length for p in places if p % window.stride == 0)

    length, first, last = clear_of_borders(window)
    assert last - first == (window.stride if window.transposed else 1)
    assert 0 <= first < last <= window.output_length(length)
    assert all(reached(length, q) for q in range(first, last))
    assert length > max(window.left, window.right) or window.transposed


# ── what else networks have ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statements",
    [
        "tensor K(c, i, o, h.kernel, w.kernel)",
        "tensor K(c, h.kernel, w.kernel)\n tensor A(i, o)",
        "hyper r = 4\n tensor A(c, i, r)\n tensor B(h.kernel, r)\n tensor C(w.kernel, r)"
        "\n tensor D(o, r)",
        "bond r = 4\n tensor A(c, i, h.kernel, r)\n tensor B(r, o, h.kernel, w.kernel)",
        "tensor A(i, h.kernel) init constant(0.3) frozen\n tensor B(c, o, w.kernel)",
        "tensor A(i, h.kernel) init constant(-2.5)\n tensor B(c, o, w.kernel)",
        "tensor A(c, i, o, h.kernel) init eye frozen\n tensor B(c, w.kernel)",
        "tensor A(c, i, o, h.kernel) init orthogonal\n tensor B(c, w.kernel)",
        "tensor A(c, i, o)\n tensor B(h.kernel)\n tensor C(w.kernel) tie B",
    ],
    ids=["grouped", "depthwise", "CP", "twice", "constant", "negative", "eye", "orthogonal", "tie"],
)
def test_groups_schemes_and_ties_are_counted(statements: str) -> None:
    text = f"""
    network N() {{
      window h = conv(size = 3, padding = 1, mode = "circular")
      window w = conv(size = 3, stride = 2, padding = [2, 0])
      index  c = 4, i = 3, o = 2
      input  x(..., (c i), h.in, w.in)
      {statements}
      output y(..., (c o), h.out, w.out)
    }}
    """
    arch = tncompile.loads(text).instantiate("N")
    for seed in range(3):
        held = arch.module(seed=seed, search="fast")
        assert mean_square(arch.network, held.state_dict()) == pytest.approx(1 / 3, rel=1e-3)


def test_padding_of_channels_is_left_out() -> None:
    text = """
    network N() {
      window h = conv(size = 3, padding = 1)
      index  i[k in 0..2] = 3, o[k in 0..2] = 3
      bond   b[k in 0..2] = 4
      input  x(..., (i[*]) as 7, h.in)
      tensor K(h.kernel, b[0])
      tensor G[k in 0..2](b[k], i[k], o[k], b[k + 1]?)
      output y(..., (o[*]) as 5, h.out)
    }
    """
    held = tncompile.loads(text).instantiate("N").module(seed=0, search="fast")
    every = torch.eye(7 * 3).reshape(-1, 7, 3)
    assert held(every)[..., 1].square().sum().item() / 5 == pytest.approx(1 / 3, rel=1e-3)


def test_a_factor_of_zeros_leaves_the_rest_at_its_own_size() -> None:
    """A convolution onto r, and nothing from there on."""
    text = """
    network N() {
      window h = conv(size = 3, padding = 1)
      index  i = 7, o = 5
      bond   r = 4
      input  x(..., i, h.in)
      tensor A(i, r, h.kernel)
      tensor B(r, o) init SCHEME
      output y(..., o, h.out)
    }
    """
    for scheme in ("zeros", "constant(0)"):
        held = tncompile.loads(text.replace("SCHEME", scheme)).instantiate("N").module(seed=0)
        size = parameter(held, "A").square().sum().item() / 4
        assert size == pytest.approx(1 / 3, rel=1e-4)
        assert not parameter(held, "B").any()


def test_complex_kernels_count_by_their_magnitude() -> None:
    text = """
    network N() {
      window h = conv(size = 3, padding = 1)
      index  i = 7, o = 5
      bond   r = 4
      input  x(..., i, h.in)
      tensor A(i, r)
      tensor B(r, o, h.kernel) complex
      output y(..., o, h.out)
    }
    """
    arch = tncompile.loads(text).instantiate("N")
    for seed in range(3):
        held = arch.module(seed=seed)
        assert parameter(held, "B").imag.abs().min() > 0
        assert mean_square(arch.network, held.state_dict()) == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize(
    ("face", "other", "sizes"),
    [("in", "out", [3, 3]), ("in", "out", [5]), ("in", "out", [1, 2, 3]), ("out", "in", [3, 3])],
)
def test_a_bias_starts_as_that_of_a_convolution(
    face: str, other: str, sizes: Sequence[int]
) -> None:
    """The bound is one over the square root of the features that one entry sums over."""
    made = network(
        f"""
        network N() {{
          window h[a in 0..{len(sizes)}] = conv(size = {list(sizes)}[a], stride = 2)
          index  g = 2, i = 10, o = 400
          input  x(..., (g i), h[*].{face})
          tensor K(g, i, o, h[*].kernel)
          bias   c(g, o)
          output y(..., (g o), h[*].{other})
        }}
        """
    )
    features = 10 * math.prod(sizes) / (1 if face == "in" else 2 ** len(sizes))
    drawn = initialization(made).draws["c"]
    assert drawn == Uniform(1 / math.sqrt(features))
    if face == "in":
        kinds: tuple[Callable[..., nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
        layer = kinds[len(sizes) - 1](20, 800, tuple(sizes), groups=2)
        assert layer.get_parameter("bias").abs().max().item() == pytest.approx(
            drawn.bound, rel=0.02
        )


# ── where it costs too much ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        (FORWARD, ((1, 2), (1, 2))),
        (TRANSPOSED, ((3, 5), (5, 7))),
        (LOGARITHM, ((1, 2), None, (1, 2))),
    ],
    ids=["convolution", "transposed", "log"],
)
def test_an_estimate_is_near_and_says_so(
    text: str, spans: tuple[tuple[int, int] | None, ...]
) -> None:
    arch = tncompile.loads(text).instantiate("N", stride=2, dilation=2)
    start = estimated(arch.network)
    assert start.rescaling is not None
    assert isinstance(start.rescaling.measure, Estimate)
    assert start.rescaling.measure.inside == spans
    plan = arch.plan()
    generated = emit(arch.network, plan, lower_network(arch.network, plan), start)
    assert "costs too much here" in generated.source
    for seed in range(3):
        held = instantiate(generated, dtype=None, device=None, seed=seed)
        assert mean_square(arch.network, held.state_dict()) == pytest.approx(1 / 3, rel=0.2)


def test_a_long_chain_of_kernels_is_near_the_identity() -> None:
    text = """
    network N() {
      window h = conv(size = 3, padding = 1)
      index  c = 4, s[k in 0..40] = 1
      bond   b[k in 0..41] = 5
      input  x(..., c, s[*], h.in)
      tensor First(c, h.kernel, b[0])
      tensor A[k in 0..40](b[k], s[k], b[k + 1])
      tensor Last(b[40])
      output y(..., h.out)
    }
    """
    made = network(text)
    drawn = initialization(made).draws
    first = drawn["First"]
    assert isinstance(first, NearIdentity)
    assert first.bonds == (2,)
    assert list(verify_network(norm_network(linear_map(made)))) == []


def test_the_identity_kernel_of_a_group_of_legs() -> None:
    made = network(
        """
        network N() {
          window h = conv(size = 2)
          index  g = 2, i = 3, j = 4, o = 5
          input  x(..., g, i, j, h.in)
          tensor K((i j), g, h.kernel, o) init eye
          output y(..., g, o, h.out)
        }
        """
    )
    due = IdentityKernel((None, None, 1, None), (12, 1, 5), 12, 5)
    assert initialization(made).draws["K"] == due
