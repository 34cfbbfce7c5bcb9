"""Causal sizes: what may be done along them, what may not, and where that is reported."""

from __future__ import annotations

import pytest

from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.causality.functions import MAKERS, RULES
from tncompile.language.typing.causality.parts import LAYER_RULES
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.layers import LAYERS
from tncompile.language.typing.model import ResolvedModel

BLOCKS = """
network Map() {
  index i = 4, o = 3
  input x(..., i)
  tensor A(i, o)
  output y(..., o)
}

network Rows() {
  batch n, r
  index i = 4, o = 3
  input x(r, n, i)
  tensor A(i, o)
  output y(r, o, n)
}

network Window(padding: int = 0, stride: int = 1, causal: bool = true, wrap: bool = false) {
  window h = conv(
    3, stride,
    padding = if causal then "causal" else padding,
    mode = if wrap then "circular" else "zeros"
  )
  index i = 4, o = 3
  input x(..., i, h.in)
  tensor K(i, o, h.kernel)
  output y(..., o, h.out)
}

network Transposed() {
  window h = conv(3)
  index i = 4, o = 3
  input x(..., i, h.out)
  tensor K(i, o, h.kernel)
  output y(..., o, h.in)
}

model Cell() {
  part map = Linear(4, 5)
  input x(..., 4)
  input h(..., 5)
  output tanh(map(x) + h)
}

model Causal() {
  batch n causal
  input x(..., n, 4)
  input w(4)
  output (cumsum(x * w, dim = n), w)
}

model Free() {
  batch n
  input x(..., n, 4)
  output mean(x, -2)
}

model Along() {
  input x(..., 4)
  input w(4)
  output (softmax(x, -1), w)
}

model Last() {
  part gru = GRU(4, 5, batch_first = true)
  batch b, n causal
  input x(b, n, 4)
  let (y, h) = gru(x)
  output (y, h)
}
"""

DECLARED = """
  part map = Map()
  part rows = Rows()
  part win = Window()
  part wide = Window(padding = 1, causal = false)
  part stepping = Window(stride = 2)
  part around = Window(wrap = true)
  part back = Transposed()
  part cell = Cell()
  part causal = Causal()
  part free = Free()
  part along = Along()
  part last = Last()
  part linear = Linear(4, 5)
  part embed = Embedding(9, 4)
  part norm = LayerNorm(4)
  part norms = RMSNorm([4, 2])
  part drop = Dropout(0.1)
  part one = Conv1d(4, 5, 1)
  part two = Conv1d(4, 5, 2)
  part same = Conv1d(4, 5, 3, padding = "same")
  part strided = Conv1d(4, 5, 1, stride = 2)
  part grow = ConvTranspose1d(4, 5, 1)
  part image = Conv2d(4, 5, 3)
  part pool = MaxPool1d(2)
  part batches = BatchNorm1d(4)
  part planes = BatchNorm2d(4)
  part singles = InstanceNorm2d(4)
  part groups = GroupNorm(2, 4)
  part flat = Flatten()
  part all = Flatten(start_dim = 0)
  part like = extern "a.B"() ((..., 4))
  part lstm = LSTM(4, 5, batch_first = true)
  part both = GRU(4, 5, batch_first = true, bidirectional = true)
  part look = MultiheadAttention(4, 2, batch_first = true)
  part bag = EmbeddingBag(9, 4)
  part other = extern "a.B"() ((..., 4)) -> (..., 6)
  part known = extern "a.B"() -> (..., 6)
  part unknown = extern "a.B"()
  part fixed = extern "a.B"() ((t, 4)) -> (t, 4)
  tensor w(4) init zeros
  tensor table(9, 4) init zeros
  tensor place(100, 4) init zeros
  tensor square(4, 4) init zeros
  batch b, s, t causal
  input x(..., t, 4)
  input xt(..., 4, t)
  input ids(..., t) int
  input at(t) int
  input vec(..., 4)
  input memory(..., s, 4)
  input y(b, t, 4)
  input yt(b, 4, t)
  input m(t, b, 4)
  input mt(t, 4, b)
  input words(b, t) int
  input few(b, 3) int
  input queries(..., 2, t, 4)
  input pictures(t, 4, 8, 8)
  input pair(..., t, 4, 2)
  input h(..., 5)
"""
# Of `x` and the others, `t` is -2; of `xt`, `yt` it is -1; of `m`, `mt` it is the first of three.


def problems(output: str, declared: str = "") -> tuple[Diagnostic, ...]:
    text = f"{BLOCKS}model M() {{{DECLARED}{declared}  output {output}\n}}\n"
    try:
        model = resolve(link(SourceFile("main.tn", text)), "M()")
    except CompileError as error:
        return error.diagnostics
    assert isinstance(model, ResolvedModel)
    return ()


CAUSAL = [
    # entry by entry
    "-gelu(x) * w + x / 2",
    "where(x > 0, maximum(x, w), cumsum(x, dim = t))",
    "x * reshape(arange(t), (t, 1)) + place[0..t, *]",
    "zeros((..., 4, t)) + xt + ones((t)) + full((4, t), 2)",
    "expand(w, (..., t, 4)) + expand(x, (..., t, 4))",
    # along other axes
    "(softmax(x, -1), normalize(x, dim = -1), cumsum(x, -1))",
    "(mean(x, -1), mean(x, -1, keepdim = true), sum(pair, [-2, -1]), argmax(xt, -2))",
    "topk(x, 2)",
    "(flip(x, -1), roll(x, 1, -1), pad(x, 1, 1, -1), fft(x))",
    "(x @ square, square @ xt, m @ square)",
    "(concat(x, x, dim = -1), concat(xt, xt, dim = -2))",
    "(stack(x, x, dim = -1), stack(x, x, dim = -2), stack(x, x, dim = -3))",
    "split(x, [1, 3], dim = -1)",
    "chunk(xt, 2, dim = -2)",
    "interpolate(mt, scale = [2])",
    # the axis elsewhere
    "(transpose(x, -2, -1), permute(pair, [-1, -3, -2]), reshape(x, (..., t, 2, 2)))",
    "(reshape(xt, (..., 2, 2, t)), flatten(pair, -2))",
    "flatten(reshape(xt, (..., 4, 1, t)), -2)",
    "(x[..., *, 0], x[..., *, 1..3], xt[..., 2, *], pair[..., 0..t, *, 0])",
    # lookups
    "(take(table, ids), take(table, at), onehot(ids, 9))",
    "gather(place, expand(reshape(at, (t, 1)), (t, 4)), dim = -2)",
    # attention
    "attention(x, x, x, causal = true)",
    "attention(queries, queries, queries, causal = true, reach = 3)",
    "attention(queries, queries, queries, causal = true, relative = ones((2, 9)))",
    "attention(x, x, x, reshape(ids > 0, (..., 1, t)), causal = true)",
    "(attention(x, memory, memory), attention(m, m, m))",
    # networks
    "network { x(..., t, i), square(i, j) -> (..., j, t) }",
    "network { pair(..., t, a, c), x(..., t, (a d)) -> (..., d, t, c) }",
    "(map(x), map(y), rows(y), win(xt))",
    # layers
    "(linear(x), norm(x), drop(x), embed(ids), one(xt), norms(pair))",
    "(groups(mt), two(mt), pool(mt), singles(pictures), flat(m), look(m, m, m))",
    "(image(pictures), bag(transpose(words, 0, 1)))",
    "both(m)",
    "lstm(y)",
    # models, externs, scans
    "causal(x, w)",
    "along(x, w)",
    "(other(x), known(x), like(x))",
    "scan(cell, x, zeros((..., 5)), dim = t)",
    "scan(cell, m, zeros((t, 5)), dim = b)",
    "scan(cell, m, zeros((t, 5)), dim = b, reverse = true)",
    # the last state is one of everything so far
    "last(y)",
    "relu(scan(cell, x, h, dim = t)[1]) * h",
    "(vec, mean(memory, -2))",
]


@pytest.mark.parametrize("output", CAUSAL)
def test_what_is_causal(output: str) -> None:
    assert problems(output) == ()


@pytest.mark.parametrize(
    "output",
    [
        # along the axis
        "softmax(x, -2)",
        "sum(x, -2, keepdim = true)",
        "mean(pair, [-3, -1])",
        "argmax(xt, dim = t)",
        "topk(xt, 2)",
        "flip(x, -2)",
        "roll(x, 1, -2)",
        "pad(x, 1, 0, dim = t)",
        "fft(xt)",
        "concat(x, x, dim = -2)",
        "chunk(x, 1, dim = -2)",
        "interpolate(yt, scale = [2])",
        "attention(x, x, x, causal = true, relative = sin(arange(t)))",
        "xt @ x",
        "x @ xt",
        "network { x(..., t, i) -> (..., i) }",
        "network { x(..., t, i) -> (..., (t i)) }",
        "network { x(..., t, i), xt(..., i, u) -> (..., t, u) }",
        "network { x(..., t, i), xt(..., i, u) -> (..., (t u)) }",
        # the axis is lost, or another one
        "reshape(x, (..., 2, t, 2))",
        "reshape(x, (..., 4 * t))",
        "reshape(x, (..., 4, t))",
        "flatten(x, -2)",
        "flatten(xt, -2)",
        "reshape(at, (t, 1)) + at",
        # as a number
        "arange(2 * t)",
        "linspace(0.0, 1.0, t)",
        "eye(t)",
        "ones((t, t))",
        "place[0..t + 1, *]",
        "expand(w, (t, t, 4))",
        "roll(vec, t, -1)",
        # lookups
        "take(m, at)",
        "take(place[0..t, *], ids)",
        "gather(xt, topk(xt, 2)[1], dim = -1)",
        "segment_sum(m, at)",
        "scatter_sum(m[*, 0, *], at, 9)",
        # attention
        "attention(x, x, x)",
        "attention(x, x, x, ids > 0 |> reshape((..., 1, t)))",
        "attention(memory, x, x, causal = true)",
        "attention(m, reshape(m[*, 0, *], (1, t, 4)), ones((1, t, 4)))",
        "attention(x, memory, memory, causal = true)",
        "attention(xt, xt, xt, causal = true)",
        # parts
        "wide(xt)",
        "stepping(xt)",
        "around(xt)",
        "back(xt)",
        "two(xt)",
        "same(xt)",
        "strided(xt)",
        "grow(xt)",
        "pool(xt)",
        "batches(m[*, 0, *])",
        "batches(yt)",
        "planes(pictures)",
        "groups(yt)",
        "flat(yt)",
        "all(mt)",
        "both(y)",
        "look(y, y, y)",
        "bag(words)",
        "free(x)",
        "unknown(x)",
        "fixed(m[*, 0, *])",
        "scan(cell, x, h, dim = t, reverse = true)",
    ],
)
def test_what_is_not(output: str) -> None:
    (found,) = problems(output)
    assert found.code == Code.NOT_CAUSAL
    assert found.message
    assert found.hint
    assert [label.span.text for label in found.secondary] == ["t"]


@pytest.mark.parametrize(
    ("output", "there"),
    [
        ("softmax(x, -2) + 1", "softmax(x, -2)"),
        ("x |> norm |> free |> drop", "free"),
        ("relu(x @ xt)", "x @ xt"),
        ("x * t", "t"),
        ("x / (2 * t)", "2 * t"),
        ("x[..., 0, *]", "0"),
        ("x[..., 0..t - 1, 0]", "0..t - 1"),
        ("x[..., 1..t, 0]", "1..t"),
        ("place[t - 1, *]", "t - 1"),
        ("place[1..t + 1, *]", "1..t + 1"),
        ("network { x(..., t, i) -> (..., i) } + w", "network { x(..., t, i) -> (..., i) }"),
    ],
)
def test_where_it_is_reported(output: str, there: str) -> None:
    (found,) = problems(output)
    assert found.code == Code.NOT_CAUSAL
    assert found.primary.span.text == there


def test_the_last_state_does_not_meet_single_entries() -> None:
    declared = "  let (ys, end) = scan(cell, x, h, dim = t)\n"
    assert problems("(ys, end + h)", declared) == ()
    for meeting in (
        "ys + reshape(end, (..., 1, 5))",
        "y + reshape(last(y)[1], (b, 1, 5))[..., 0..4]",
    ):
        (found,) = problems(meeting, declared)
        assert (found.code, found.primary.span.text) == (Code.NOT_CAUSAL, meeting)

    spread = "expand(reshape(end, (..., 1, 5)), (..., t, 5))"
    (found,) = problems(spread, declared)
    assert (found.code, found.primary.span.text) == (Code.NOT_CAUSAL, spread)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("free(x)", "`free` is not causal along its axis `n`, which is `t`"),
        ("wide(xt)", "the window `h` of `wide` looks at later entries"),
        ("unknown(x)", "what `unknown` does along `t` is not known"),
        ("flip(x, -2)", "`flip` along `t` looks at later entries"),
        ("reshape(x, (..., 2, t, 2))", "does not keep the axis `t`"),
        ("network { x(..., t, i) -> (..., (t i)) }", "in a group with other legs"),
        ("network { x(..., t, i) -> (..., i) }", "the sum over the leg `t`"),
        ("interpolate(yt, scale = [2])", "`interpolate` along `t`"),
        ("eye(t)", "used as a number"),
        ("both(y)", "`GRU` runs from the end as well"),
        ("bag(words)", "`EmbeddingBag` along `t`"),
        ("scan(cell, x, h, dim = t, reverse = true)", "runs along `t` from the end"),
    ],
)
def test_messages_say_what_looks_ahead(output: str, words: str) -> None:
    (found,) = problems(output)
    assert words in found.message


def test_a_mistake_silences_what_uses_it() -> None:
    declared = "  let z = softmax(x, -2)\n  let (p, q) = (flip(x, -2), flip(z, -2))\n"
    assert [each.primary.span.text for each in problems("z + p + q", declared)] == [
        "softmax(x, -2)",
        "flip(x, -2)",
    ]


def test_a_size_that_is_required_to_be_equal_is_causal_too() -> None:
    declared = "  batch u\n  input z(..., u, 4)\n  require u == t\n"
    assert problems("x + z", declared) == ()
    (found,) = problems("softmax(z, -2)", declared)
    assert found.code == Code.NOT_CAUSAL


@pytest.mark.parametrize("legs", ["(t, t)", "(t, t + 1)", "(2 * t)", "(t // 2)"])
def test_an_input_has_the_size_once(legs: str) -> None:
    (found,) = problems("z + 1.0", f"  input z{legs}\n")
    assert found.code == Code.NOT_CAUSAL
    assert found.primary.span.text.startswith("z")


def test_the_tables_have_every_function_and_every_layer() -> None:
    along = {"linspace", "eye", "scan"}
    assert set(FUNCTIONS) <= {*RULES, *MAKERS, *along}
    assert set(LAYERS) - set(LAYER_RULES) == {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d"}
    assert set(LAYER_RULES) <= set(LAYERS)
