"""What the parser says of mistakes: habits from elsewhere, brackets left open."""

from __future__ import annotations

import pytest

from tests.support.mutating import SAMPLE
from tests.support.parsed import BODY, places, value
from tests.support.parsing import block, problems, program
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.rendering import render
from tncompile.language.parsing.tables import load_tables
from tncompile.language.syntax.tree import (
    ListOf,
    ModelOutput,
    Number,
)

# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────

HABITS = [
    ("  tensor A[i, o]", (4, 11), "legs stand in parentheses"),
    ("  tensor A[k](i[k])", (4, 13), "a family needs a range"),
    ("  bias c[o]", (4, 9), "legs stand in parentheses"),
    ("  tensor A", (5, 3), "`tensor A` has no legs"),
    ("  tensor A(i o)", (4, 14), "put a `,`"),
    ("  tensor A(i, ...)", (4, 15), "the dots come first"),
    ("  tensor A(v[*, l])", (4, 17), "`*` is the last"),
    ("  tensr A(i, o)", (4, 3), "did you mean `tensor`"),
    ("  tensor A(i) for k in 0..n", (4, 15), "no loops"),
    ("  for k in range(n):\n    tensor A(i, o)", (4, 3), "no loops"),
    ("  tensor A(i, o);", (4, 17), "`;` is not part"),
    ('  tensor A = einsum("bi,ir->bo", x)', (4, 12), "einsum string"),
    ("  require d = 4", (4, 13), "`==` compares"),
    ("  bond j == 4", (4, 10), "write `=`"),
    ("  bond j: 4", (4, 9), "follows `=`"),
    ("  // words", (4, 3), "begins with `#`"),
    ("  tensor G[k in range(3)](i)", (4, 25), "`0..n`"),
    ("  tensor G[k in 0:3](i)", (4, 18), "`0..n`"),
    ("  bond j = 4 if d else 3", (4, 19), "`if c then a else b`"),
    ("  bond j = 1 + if d then 1 else 2", (4, 16), "in parentheses"),
    ("  let tensor n = 3", (4, 7), "cannot be a name"),
    ("  let let n = 3", (4, 7), "delete it"),
    ("  let n = 1 + bias", (4, 15), "declare the part, value or parameter `bias` before"),
    ("  input z(h.input)", (4, 13), "write `.in`"),
    ("  tensor A(h.output)", (4, 14), "write `.out`"),
    ("  tensor A(h.window)", (4, 14), "no face `window`"),
    ("  part p = Linear(3)", (4, 3), "no statement of a network"),
    ("  weight A(i, o)", (4, 3), "did you mean `tensor`"),
    ("  return x", (4, 3), "did you mean `output`"),
    ("  a = 3", (4, 3), "`let a = …`"),
    ("  tensor A(i -> o)", (4, 14), "an arrow stands in"),
    ("  tensor A(i, o))", (4, 17), "nothing is open"),
    ("  let a = 3d", (4, 12), "`3 * d`"),
    ("  let a = .5", (4, 11), "write `0.5`"),
    ("  let a = 1.", (4, 12), "write `1.0`"),
    ("  tensor A(i, o) = 3", (4, 18), "`init SCHEME`"),
    ("  let a = 'x'", (4, 11), "double quotes"),
    ("  let a = 2^3", (4, 12), "`**`"),
    ('  let a = "C:\\dir"', (4, 14), "unknown escape"),
    ("  share k", (4, 3), "does not belong here"),
    ('  """doc"""', (4, 3), "a doc stands before"),
]


@pytest.mark.parametrize(("line", "at", "said"), HABITS, ids=[habit[0] for habit in HABITS])
def test_foreign_syntax_is_recognized(line: str, at: tuple[int, int], said: str) -> None:
    (problem,) = problems(BODY % line)
    assert problem.primary.span.source.position(problem.primary.span.start) == at
    assert said in render([problem])


TOPS = [
    ("net N() {}", (1, 1), "did you mean `network`"),
    ("network N { output y() }", (1, 11), "write `()`"),
    ("network N(d = 4) {}", (1, 13), "`d: int = …`"),
    ("network N(d: integer) {}", (1, 14), "did you mean `int`"),
    ("network N(d: int):\n  output y()", (1, 18), "blocks stand in braces"),
    ("def f(x):\n  return x", (1, 1), "did you mean `network`"),
    ("index i = 3", (1, 1), "outside of a block"),
    ('"""doc""" import "a.tn"', (1, 11), "an import has no doc"),
    ("}", (1, 1), "nothing is open"),
    ("model M() { index i = 4 }", (1, 13), "no statement of a model"),
    ('rewrite R { lnear "a" -> keep }', (1, 13), "did you mean `linear`"),
    ('x = einsum("ab,bc->ac", a, b)', (1, 1), "from_einsum"),
]


@pytest.mark.parametrize(("text", "at", "said"), TOPS, ids=[top[0] for top in TOPS])
def test_foreign_syntax_between_blocks(text: str, at: tuple[int, int], said: str) -> None:
    (problem,) = problems(text)
    assert problem.primary.span.source.position(problem.primary.span.start) == at
    assert said in render([problem])


@pytest.mark.parametrize(
    ("line", "opened"),
    [("  tensor A(i, o", (4, 11)), ("  let a = [1, 2", (4, 11)), ("  tensor A(i, o]", (4, 11))],
)
def test_the_bracket_left_open_is_marked(line: str, opened: tuple[int, int]) -> None:
    (problem,) = problems(BODY % line)
    (label,) = problem.secondary
    assert label.span.source.position(label.span.start) == opened


def test_the_end_of_the_file_is_where_it_is() -> None:
    (problem,) = problems("network N() {\n  output y()\n")
    assert problem.code == Code.UNEXPECTED_END
    assert problem.primary.span.start == len("network N() {\n  output y()\n")
    assert problem.secondary[0].span.text == "{"


def test_independent_mistakes_are_all_reported() -> None:
    text = BODY % "  tensr A(i, o)\n  tensor B[i]\n  tensor C(i, o)\n  let = 3\n"
    text += "network M() {\n  index i = = 3\n}\nnetwork O() {\n  output y(\n}\n"
    assert [place[1:] for place in places(text)] == [(4, 3), (5, 11), (7, 7), (12, 13), (16, 1)]


@pytest.mark.parametrize(
    "text",
    [
        BODY % "  for k in 0..n {\n    tensor A(i)\n    tensor B(o)\n  }",
        BODY % "  tensor A(i, o\n      frozen $ $ $",
        BODY.replace("\n", ";\n") % "  tensor A(i, o)",
        "network N(d int) {\n  index i = 3\n  output y(i)\n}\n",
        "network N() {\n  output y()\n\nnetwork M() {\n  output y()\n}\n",
        "networ N() {\n  index i = 3\n}\nnetwork M() {\n  output y()\n}\n",
        "network N() {\n  index ö = 3\n  output y(ö)\n}\n",
        "model M() {\n  part p = Linear(\n    3 4,\n    bias = false,\n  )\n  output p(x)\n}\n",
        'import "std/linear.tn\nnetwork N = MPO(ins = [4])\n',
    ],
)
def test_one_mistake_is_one_message(text: str) -> None:
    assert len(problems(text)) == 1


def test_carriage_returns_and_marks() -> None:
    assert program("\ufeffnetwork N() {\r\n\tindex i = 3\r\n}\r\n") == program(
        "network N() { index i = 3 }"
    )
    assert places("network N() {\r}") == [("TN103", 1, 14)]
    assert places("network N() {\n# a \0 in a comment\n}") == [("TN103", 2, 5)]
    assert places('"""a \ud800"""\nnetwork N() {}') == [("TN103", 1, 6)]
    assert problems("let\u00a0a")[0].code in (Code.UNEXPECTED_TOKEN, Code.UNKNOWN_CHARACTER)


def test_the_sample_has_every_kind_of_node() -> None:
    built = {rule.builder for rule in load_tables().rules if rule.builder}
    assert SAMPLE.exists()
    assert {"window", "extern", "repeat", "rewrite_rule", "tie"} <= built
    assert isinstance(value("[1]"), ListOf)
    assert isinstance(value("1e-3"), Number)
    found = block("model M() { output (x, y) }").statements[0]
    assert isinstance(found, ModelOutput)
