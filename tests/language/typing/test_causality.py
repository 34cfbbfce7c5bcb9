"""Causal sizes: what may be done along them, what may not, and where that is reported."""

from __future__ import annotations

import pytest

from tests.support.causal_blocks import BLOCKS, CAUSAL, DECLARED
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


def problems(output: str, declared: str = "") -> tuple[Diagnostic, ...]:
    text = f"{BLOCKS}model M() {{{DECLARED}{declared}  output {output}\n}}\n"
    try:
        model = resolve(link(SourceFile("main.tn", text)), "M()")
    except CompileError as error:
        return error.diagnostics
    assert isinstance(model, ResolvedModel)
    return ()


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


def test_whether_a_size_is_causal_may_be_decided_by_a_parameter() -> None:
    text = """
model Block(d: int = 4, decoder: bool = true) {
  batch t = 8 causal if decoder and d > 2, s
  input x(..., t, d)
  input y(..., s)
  output (attention(x, x, x, causal = decoder), y)
}
model M() {
  part encoder = Block(decoder = false)
  part decoder = Block()
  batch t causal, s
  input x(..., t, 4)
  input y(..., s)
  output CALLED(x, y)
}
"""
    linked = link(SourceFile("a.tn", text.replace("CALLED", "decoder")))
    for target, causal in (("Block", [True, False]), ("Block(decoder = false)", [False, False])):
        found = resolve(linked, target)
        assert isinstance(found, ResolvedModel)
        assert [size.causal for size in found.sizes] == causal
    assert resolve(linked, "M")
    with pytest.raises(CompileError) as caught:
        resolve(link(SourceFile("a.tn", text.replace("CALLED", "encoder"))), "M")
    assert caught.value.diagnostics[0].code == Code.NOT_CAUSAL
