"""The classes of models: keys, parts handed on, constants, and what `forward` refuses."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.small_models import drawn, module, source

MODELS = Path(__file__).parents[1] / "acceptance" / "models"

# ── names and keys ─────────────────────────────────────────────────────────────────────────────

TAKEN = (
    """
model M() {
  part half[l in 0..2] = Linear(4, 4)
  part forward = N()
  part lambda = LayerNorm(4)
  tensor train(4) init ones
  tensor state_dict[l in 1..3](4) init ones
  input self(..., 4)
  output self |> half[0] |> half[1] |> forward |> lambda
}
""".replace(" |> identity", "")
    + ""
)


def test_names_that_modules_use_themselves_are_keys_all_the_same() -> None:
    one, other = (module(TAKEN, seed=seed) for seed in (0, 1))
    parts = {"half.0.weight", "half.1.bias", "forward.A", "lambda.weight"}
    assert parts | {"train", "state_dict.1", "state_dict.2"} <= set(one.state_dict())
    assert {key for key, _ in one.named_parameters()} == set(one.state_dict())
    other.load_state_dict(one.state_dict(), strict=True)
    x = drawn(3, 4)
    assert torch.equal(one(x), other(x))
    assert one.half() is one


def test_exports_know_parts_of_such_names() -> None:
    text = "model M() { part half = Linear(4, 4)\n input x(..., 4)\n output half(x) }"
    made, x = module(text), drawn(3, 4)
    torch.testing.assert_close(torch.export.export(made, (x,)).module()(x), made(x))


GAPS = """
model M() {
  part a[k in 1..3] = Linear(4, 4)
  part b[k in 0..3, j in 0..k] = Linear(4, 4, bias = j == 0)
  tensor g[k in 0..2](4) init ones
  tensor h[k in 0..2, j in 0..2](4) init ones
  tensor f[k in 0..2](4) init ones frozen
  input x(..., 4)
  output (x |> repeat k in 1..3 { a[k] } |> repeat j in 0..2 { b[2, j] } |> b[1, 0])
    * g[1] * h[0, 1] * f[0]
}
"""


def test_subscripts_are_keys_also_where_they_have_gaps() -> None:
    keys = set(module(GAPS).state_dict())
    assert {"a.1.weight", "a.2.bias", "b.1.0.bias", "b.2.1.weight", "h.1.0", "f.1", "g.0"} <= keys
    assert not {"a.0.weight", "b.0.0.weight", "b.2.1.bias"} & keys
    assert not {"f.0", "f.1"} & {key for key, _ in module(GAPS).named_parameters()}


# ── classes ────────────────────────────────────────────────────────────────────────────────────


def test_models_that_compute_the_same_are_one_class() -> None:
    text = source("""
model Inner(d: int, spare: int = 1) {
  part n = N(d)
  input x(..., d)
  output n(x)
}
model M() {
  part one = Inner(4)
  part two = Inner(4, 2)
  part three = Inner(2 * 3)
  input x(..., 4)
  input y(..., 6)
  output (x |> one |> two, three(y))
}
""")
    names = [line.split("(")[0] for line in text.splitlines() if line.startswith("class ")]
    assert names == [f"class {name}" for name in (
        "N", "NFolded", "Inner", "N2", "N2Folded", "Inner2", "M"
    )]  # fmt: skip


def test_numbers_for_parts_are_arguments_of_one_class() -> None:
    text = """
network Pick(d: int = 4) {
  index i = d, k = 3, o = d
  input x(..., i)
  input l(onehot(k))
  tensor A(i, k, o)
  output y(..., o)
}
model Block(pick: part, l: int) {
  input x(..., 4)
  output pick(x, l) + pick(x, 1) + pick(x, l)
}
model M() {
  part pick = Pick()
  part block[l in 0..3] = Block(pick, 2 - l)
  part more[l in 0..3] = Block(pick, l)
  input x(..., 4)
  output x |> repeat l in 0..3 { block[l] |> more[l] }
}
"""
    assert source(text).count("class Block") == 1
    assert "Block(l=k, device=device, dtype=dtype) for k in range(3)" in source(text)
    made, x = module(text), drawn(2, 4)
    due = x
    for l in range(3):
        for number in (2 - l, l):
            due = 2 * due @ made.pick.A[:, number] + due @ made.pick.A[:, 1]
    torch.testing.assert_close(made(x), due)
    moved = copy.deepcopy(made).to("meta").to_empty(device="cpu")
    moved.load_state_dict(made.state_dict())
    assert torch.equal(moved(x), made(x))


def test_equal_turns_are_a_loop() -> None:
    text = """
model M() {
  part two[l in 0..3] = Linear(4, 4)
  part other[l in 0..4] = N()
  batch t
  input x(..., t, 4)
  let y = x |> repeat l in 0..3 { two[l] |> relu }
  let z = y |> repeat l in 0..3 { repeat k in 0..2 { two[l] } |> other[l + 1] }
  output y + z + x
}
"""
    assert "for linear" not in source(text)
    assert "for two in self.two:" in source(text)
    assert "for l in range(3):" in source(text)
    made, x = module(text), drawn(2, 3, 4)
    y = x
    for layer in made.two:
        y = layer(y).relu()
    z = y
    for l, layer in enumerate(made.two):
        z = made.other[l + 1](layer(layer(z)))
    torch.testing.assert_close(made(x), y + z + x)


def test_turns_that_differ_are_written_one_by_one() -> None:
    text = """
model M() {
  part a[l in 0..3] = Linear(4, 4)
  input x(..., 4)
  output x |> repeat l in 0..3 { a[(2 * l) % 3] |> (if l == 1 then relu else tanh) }
}
"""
    assert "for " not in source(text).split("def forward")[1]
    made, x = module(text), drawn(2, 4)
    y = made.a[1](made.a[2](made.a[0](x).tanh()).relu()).tanh()
    torch.testing.assert_close(made(x), y)


def test_parts_handed_on_have_what_they_need() -> None:
    made = module("""
model Wrap(inner: part) { input x(..., 4)
  output inner(x) + 1 }
model Inside(deep: part, also: part) {
  part own = Linear(4, 4)
  part wrap = Wrap(deep)
  input x(..., 4)
  output x |> own |> wrap |> also
}
model M() {
  part base = Linear(4, 4)
  part one = Wrap(base)
  part many[k in 0..2] = Inside(base, one)
  part last = Wrap(one)
  input x(..., 4)
  output x |> repeat k in 0..2 { many[k] } |> last
}
""")
    x = y = drawn(2, 4)
    for inside in made.many:
        y = made.base(made.base(inside.own(y)) + 1) + 1
    torch.testing.assert_close(made(x), made.base(y) + 2)
    assert not [key for key in made.state_dict() if key.startswith(("one", "last"))]


# ── values ─────────────────────────────────────────────────────────────────────────────────────


def test_layers_of_real_numbers_take_complex_ones() -> None:
    made = module("""
model M() {
  part lin = Linear(4, 3)
  part net = N()
  tensor w(4) init normal(1.0) complex
  input z(..., 4) complex
  output (lin(z), net(z * w))
}
""")
    z = torch.complex(drawn(2, 4), drawn(2, 4).flip(0))
    one, two = made(z)
    weight = made.lin.weight.to(z.dtype)
    torch.testing.assert_close(one, z @ weight.mT + made.lin.bias)
    net = made.net
    torch.testing.assert_close(two, (z * made.w) @ net.A.to(z.dtype) + net.c)


CONVOLUTION = """
model M() {
  part conv = Conv2d(2, 3, 3, padding = 1)
  part norm = BatchNorm2d(3)
  batch h, w
  input x(..., 2, h, w)
  output x |> conv |> norm
}
"""


def test_any_number_of_axes_stand_in_front_of_images() -> None:
    made, x = module(CONVOLUTION), drawn(2, 3, 2, 4, 5)
    due = made.norm(made.conv(x.flatten(0, 1))).unflatten(0, (2, 3))
    torch.testing.assert_close(made(x), due)
    torch.testing.assert_close(made(x[0]), due[0])
    torch.testing.assert_close(made(x[0, 0]), due[0, 0])


CONSTANTS = """
model M() {
  batch t
  input x(..., t, 4)
  let rates = 10000.0 ** (-arange(4) / 4)
  output x * cos(reshape(arange(t), (t, 1)) * rates) + linspace(0.0, 1.0, 4)
}
"""


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_constants_keep_their_digits_until_they_meet_a_value(dtype: torch.dtype) -> None:
    def due(x: Tensor) -> Tensor:
        wide = torch.promote_types(dtype, torch.float32)
        rates = 10000.0 ** (-torch.arange(4).to(wide) / 4)
        angle = torch.arange(x.shape[-2]).unsqueeze(-1) * rates
        return x * angle.cos().to(dtype) + torch.linspace(0, 1, 4, dtype=wide).to(dtype)

    x = drawn(300, 4, dtype=dtype)
    for made in (module(CONSTANTS, dtype), module(CONSTANTS, torch.float32).to(dtype)):
        assert not made.state_dict()
        assert torch.equal(made(x), due(x))
        assert torch.equal(made.to("meta").to_empty(device="cpu")(x), due(x))


@torch.no_grad()
def test_tensors_start_as_declared() -> None:
    made = module("""
model M() {
  tensor a(500, 400) init normal(0.5)
  tensor b[k in 0..2](500, 400) init uniform(0.5)
  tensor c() init constant(2.5) frozen
  tensor d(4, 6) init orthogonal complex
  tensor e(2, 2, 4) init eye
  input x(...)
  output x * c
}
""")
    assert abs(float(made.a.std()) - 0.5) < 0.01
    assert 0.49 < float(made.b[1].max()) <= 0.5
    assert float(made.c) == 2.5
    assert not made.c.requires_grad
    torch.testing.assert_close(made.d @ made.d.mH, torch.eye(4, dtype=made.d.dtype))
    assert torch.equal(made.e.reshape(4, 4), torch.eye(4, dtype=torch.float64))


# ── what is refused ────────────────────────────────────────────────────────────────────────────

CHECKED = """
model M() {
  batch s, t
  require t <= 8, "quotes \\" and {t}"
  input x(..., s, 4)
  input y(..., t, 4)
  input z(..., 2 * t)
  input ids(t) int
  output (x, y, z, ids)
}
"""


@pytest.mark.parametrize(
    ("error", "message", "changed"),
    [
        (ValueError, r"x\(\.\.\., s, 4\): got shape \(2, 3, 5\)", {"x": drawn(2, 3, 5)}),
        (TypeError, r"x\(.*\): expected float, got torch.int64", {"x": drawn(2, 3, 4).long()}),
        (ValueError, r"`2 \* t` must have 4 entries, got shape \(2, 3\)", {"z": drawn(2, 3)}),
        (ValueError, r"every other input: \(2,\), got shape \(1, 2, 4\)", {"y": drawn(1, 2, 4)}),
        (TypeError, r"ids\(t\) int: expected int, got torch.bool", {"ids": drawn(2) > 0}),
        (
            ValueError,
            r'quotes " and \{t\}: `t <= 8` is false: 9 <= 8 \(t = 9\)',
            {"y": drawn(2, 9, 4), "z": drawn(2, 18), "ids": torch.arange(9)},
        ),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(
    error: type[Exception], message: str, changed: dict[str, Tensor]
) -> None:
    made = module(CHECKED)
    given = {"x": drawn(2, 3, 4), "y": drawn(2, 2, 4), "z": drawn(2, 4), "ids": torch.arange(2)}
    made(*given.values())
    with pytest.raises(error, match=message):
        made(*(given | changed).values())


def test_what_comes_from_elsewhere_is_compared() -> None:
    text = """
model M() {
  part f = extern "torch.nn.Linear"(in_features = 4, out_features = 5) -> (..., 6)
  input x(..., 4)
  output f(x)
}
"""
    with pytest.raises(ValueError, match=r"f: expected float of shape \(2, 6\), got float"):
        module(text)(drawn(2, 4))


def test_texts_of_others_are_no_code() -> None:
    text = '"""Says \\"\\"\\" and\n\\\\ raise SystemExit."""\n' + CHECKED.lstrip()
    made = source(text)
    compile(made, "made.py", "exec")
    assert "SystemExit" in made
