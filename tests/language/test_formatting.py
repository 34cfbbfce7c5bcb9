"""The canonical text: it means the same, keeps every comment, and does not change again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mutating import SAMPLE, good_texts, mutated_programs
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.formatting import format_program
from tncompile.language.parsing import parse
from tncompile.language.parsing.lexer import tokenize
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.tree import (
    Binary,
    Block,
    Expression,
    Let,
    Name,
    Number,
    Program,
    Reference,
    Unary,
)


def program(text: str) -> Program:
    return parse(SourceFile("a.tn", text))


def formatted(text: str) -> str:
    """The canonical text, after checking that it keeps its promises."""
    first = program(text)
    again = format_program(first)
    second = program(again)
    assert second == first
    assert [c.text for c in second.comments] != [] or not first.comments
    assert sorted(c.text for c in second.comments) == sorted(c.text for c in first.comments)
    assert format_program(second) == again
    return again


def body(text: str) -> list[str]:
    """The lines between the braces of a network that holds these statements."""
    return formatted(f"network N() {{\n{text}\n}}\n").splitlines()[1:-1]


@pytest.mark.parametrize("text", good_texts(), ids=lambda text: text[:30])
def test_programs_keep_their_meaning(text: str) -> None:
    formatted(text)


@pytest.mark.parametrize("path", sorted((SAMPLE.parents[2] / "tncompile" / "std").glob("*.tn")))
def test_the_standard_library_is_canonical(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


def test_the_canonical_layout() -> None:
    text = '''\
# A header.

import "std/linear.tn" { MPO }

"""A tensor train."""
network TT(ins: int[n], outs: int[n], rank: int = 16, with_bias: bool = true) {  # four
  index  i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
  bond   b[k in 0..n - 1] = rank  # b[k] joins G[k] and G[k + 1]
  input  x(..., (i[*]))           # the last axis

  tensor G[k in 0..n](b[k - 1]?, i[k], o[k], b[k]?) init normal(0.1) share k
  bias   c(o[*]) if with_bias
  output y(..., (o[*]) as 13)
}

network Small = TT(ins = [2, 3], outs = [3, 2])

model Stack(depth: int = 6) {
  part norm = LayerNorm(768, bias = false)
  part block[l in 0..depth] = TT(ins = [4, 8]) frozen
  input x(..., 768)
  let (y, h) = x |> norm |> repeat l in 0..depth { block[l] }
  output y + h
}

rewrite R {
  linear    "a.*.b" -> TT(ins = [4, 8])
  embedding "c"     -> keep
}
'''
    assert formatted(text) == text


def test_layout_does_not_depend_on_the_layout() -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    source = SourceFile("a.tn", text)
    tokens, _ = tokenize(source)
    squeezed = " ".join(token.text for token in tokens)
    spread = "\n".join(token.text for token in tokens)
    first = format_program(program(squeezed))
    assert program(first) == program(text)
    assert format_program(program(spread)) == first


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("((1 + 2)) * 3", "(1 + 2) * 3"),
        ("(1 * 2) + 3", "1 * 2 + 3"),
        ("1 - (2 - 3)", "1 - (2 - 3)"),
        ("(2 ** 3) ** 4", "(2 ** 3) ** 4"),
        ("2 ** (3 ** -4)", "2 ** 3 ** -4"),
        ("(-a) ** 2", "(-a) ** 2"),
        ("-(a ** 2)", "-a ** 2"),
        ("not (a and b)", "not (a and b)"),
        ("(not a) and b", "not a and b"),
        ("(a < b) == c", "a < b == c"),
        ("a < (b == c)", "a < (b == c)"),
        ("(if a then b else c) + 1", "(if a then b else c) + 1"),
        ("f((if a then b else c))", "f(if a then b else c)"),
        ("(x |> f)(3)", "(x |> f)(3)"),
        ("x |> (f |> g)", "x |> (f |> g)"),
        ("((f)(1))[2]", "f(1)[2]"),
        ("(a,)", "(a,)"),
        ("(..., t,)", "(..., t)"),
        ("[1,2,]", "[1, 2]"),
        ("1e-3", "1e-3"),
        ("007", "007"),
        (r'"a\"b\\c"', r'"a\"b\\c"'),
    ],
)
def test_parentheses_stand_where_they_are_needed(written: str, canonical: str) -> None:
    assert body(f"let a = {written}") == [f"  let a = {canonical}"]


def test_groups_are_written_as_in_einops() -> None:
    assert body("input x((a, b), (c d[*]), onehot(a b), (a? b) as 2 * n)") == [
        "  input  x((a b), (c, d[*]), onehot(a, b), (a? b) as 2 * n)"
    ]


def test_long_statements_break() -> None:
    legs = ", ".join(f"some_leg[r, c + {k}]?" for k in range(8))
    lines = body(f"tensor S[r in 0..rows, c in 0..columns]({legs}) init normal(0.1) frozen")
    assert lines[0] == "  tensor S[r in 0..rows, c in 0..columns]("
    assert lines[-1] == "  ) init normal(0.1) frozen"
    assert all(len(line) <= 100 for line in lines)
    assert lines[1].startswith("    some_leg[r, c + 0]?, some_leg")


def test_long_parameters_stand_below_each_other() -> None:
    names = ", ".join(f"parameter_{k}: int = {k}" for k in range(6))
    lines = formatted(f"network N({names}) {{}}").splitlines()
    assert lines[:3] == ["network N(", "  parameter_0: int = 0,", "  parameter_1: int = 1,"]
    assert lines[-2:] == [") {", "}"]


def test_long_lists_and_sums_break() -> None:
    numbers = body("let a = [" + ", ".join(map(str, range(100))) + "]")
    assert len(numbers) < 10
    assert all(len(line) <= 100 for line in numbers)
    terms = body("let a = " + " + ".join(f"a_long_name_{k}" for k in range(20)))
    assert terms[1].strip().startswith("+ a_long_name")
    assert body("let a = " + " + ".join(["1"] * 10_000))


def test_comments_in_lists_keep_their_places() -> None:
    lines = body(
        "tensor A(  # first\n    i,  # the rows\n    # the columns\n    o  # last\n    # end\n)"
    )
    assert lines == [
        "  tensor A(",
        "    # first",
        "    i,  # the rows",
        "    # the columns",
        "    o,  # last",
        "    # end",
        "  )",
    ]


def test_comments_inside_an_expression_move_above() -> None:
    assert body("let a = 1 +  # one\n  2  # two") == ["  # one", "  let a = 1 + 2  # two"]


def test_comments_of_a_file_without_blocks() -> None:
    assert formatted("# a\n\n\n# b") == "# a\n\n# b\n"
    assert formatted("") == ""


def test_the_canonical_layout_of_models() -> None:
    text = """\
# Parts, values and networks of values.
model M(inner: part, d: int = 4, deep: bool = false) {
  let n = 3
  part up = if deep then Linear(d, d) else Identity() tie q frozen if d > 3
  part tied = Head(d) tie inner[0, n - 1].decoder = up.table[k].weight frozen tie up.b[0]
  part choice = if deep then Linear(a_very_long_argument, another_very_long_argument)
    else if d == 4 then Linear(in_features = d, out_features = d)
    else Identity()
  part many[k in 0..n] = extern function "package.module.function"(mode = "a_long_argument")
    ((..., t, d), (..., d) bool) -> (..., t, d), (t) int
  tensor place(n, d) init normal(0.02)
  tensor gate[l in 0..n]() init zeros share l
  batch s, t = 128 causal
  require t % 2 == 0, "even"
  input x(..., t, d)
  input ids[k in 0..n](..., t) int if deep
  let (a, b) = x |> up |> chunk(2, dim = -1)
  let h[l in 0..n + 1] = if l == 0 then x + place[0..t, *]
    else h[l - 1] + gate[l - 1] * inner(h[l - 1]) |> repeat k in 0..n { many[k] |> tanh }
  let last = h[n][..., t - 1, 0..d // 2] @ network { a(..., t, (heads e)), gate[0]() -> (..., t) }
  let cut = up(x)
    |> network { (..., (rows p), (columns q), e) -> (..., rows, columns, (p q), e) }
    |> transpose(-2, -1)
    |> softmax(dim = -1)
  let wide = network {
    first_operand(..., first, second, third), second_operand(..., third, fourth, fifth),
    third_operand(fifth, sixth)
    -> (..., first, second, fourth, sixth)
  }
  let y = attention(
    cut[..., *, *, 0, *, *, *],
    cut[..., *, *, 1, *, *, *],
    cut[..., *, *, 2, *, *, *],
    mask = where(allowed, place, -inf),
  )
  output (y, last)
}
"""
    assert formatted(text) == text


def test_comments_in_models_keep_their_places() -> None:
    text = """\
model M() {
  let (
    # first
    a,  # the first
    b,
  ) = f(x)
  part p = extern "a.b"(
    # mode
    3,
  )
    (
      (..., t) int,  # ids
    ) -> (
      ...,
      t,
      # last
    ) int
  # inside
  let y = network {
    a(
      i,  # rows
      j,
    ),
    G[
      0,  # the first
    ](j, k)
    -> (
      i,
      k,  # columns
    )
  }
  let z = x[
    ...,
    0..3,  # three
  ]
  output y
}
"""
    assert formatted(text) == text
    inside = text.replace("  # inside\n", "").replace("network {\n", "network { # inside\n")
    assert formatted(inside) == text


def test_models_are_not_set_in_columns() -> None:
    text = """model M(d: int = 4) {
  part norm = LayerNorm(d)
  part e # before the sign
    = Linear(d, d)
  part other = Linear(d, d)
  input  x(..., d)
  output x |> norm |> e |> other
}
"""
    assert formatted(text).splitlines()[2:6] == [
        "  # before the sign",
        "  part e = Linear(d, d)",
        "  part other = Linear(d, d)",
        "  input x(..., d)",
    ]


def test_empty_lines_are_kept_once() -> None:
    assert body("\n\nlet a = 1\n\n\nlet b = 2\nlet c = 3\n\n") == [
        "  let a = 1",
        "",
        "  let b = 2",
        "  let c = 3",
    ]


def test_a_program_without_a_source_is_formatted() -> None:
    span = Span(SourceFile("<made>", ""), 0, 0)
    one = Number("1", span=span)
    total: Expression = one
    for _ in range(5_000):
        total = Binary("+", total, one, operator_span=span, span=span)
    negative = Unary("-", total, span=span)
    named = Reference(Name("b", span=span), span=span)
    lets = tuple(Let(Name("a", span=span), value, span=span) for value in (negative, named))
    made = Program(
        (Block("network", Name("N", span=span), (), lets, span=span),), source=span.source
    )
    assert program(format_program(made)) == made


@settings(max_examples=200)
@given(mutated_programs())
def test_whatever_parses_is_kept(text: str) -> None:
    try:
        program(text)
    except CompileError:
        return
    formatted(text)


@settings(max_examples=100)
@given(st.sampled_from(good_texts()), st.data())
def test_comments_anywhere_are_kept(text: str, data: st.DataObject) -> None:
    tokens, _ = tokenize(SourceFile("a.tn", text))
    places = data.draw(st.lists(st.sampled_from(tokens), max_size=4, unique=True))
    for k, token in enumerate(sorted(places, key=lambda token: -token.span.start)):
        newline = data.draw(st.sampled_from(("", "\n")))
        text = f"{text[: token.span.start]}{newline}# note {k}\n{text[token.span.start :]}"
    try:
        program(text)
    except CompileError:
        return  # an unknown word has come to the start of a line
    formatted(text)
