"""Text to tree: the language, the mistakes that are recognized."""

from __future__ import annotations

import pytest

from tests.acceptance import ACCEPTANCE
from tests.support.mutating import good_texts
from tests.support.parsed import BODY, places, statement, value
from tests.support.parsing import block, problems, program
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.parsing import parse_target
from tncompile.language.parsing.tables import load_tables
from tncompile.language.syntax.tree import (
    Binary,
    Call,
    GroupLeg,
    IndexLeg,
    IndexStatement,
    Let,
    LetTuple,
    OutputStatement,
    PartStatement,
    Pipe,
    Reference,
    Repeat,
    Rewrite,
    Scheme,
    Share,
    Star,
    String,
    Subscript,
    TensorStatement,
    Tie,
    TupleOf,
    Unary,
    UnknownAttribute,
)

# ── the language ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", good_texts(), ids=lambda text: text[:30])
def test_good_programs_parse(text: str) -> None:
    assert program(text).declarations


def test_the_acceptance_programs_that_are_wrong_otherwise_parse() -> None:
    for path in sorted(ACCEPTANCE.glob("bad/*.tn")):
        text = path.read_text(encoding="utf-8")
        if not path.name.startswith("TN1"):
            program(text)
            continue
        (at,) = (line for line in text.splitlines() if line.startswith("# at: "))
        line, column = map(int, at.removeprefix("# at: ").split(":"))
        assert places(text) == [(path.name[:5], line, column)], path.name


def test_attribute_words_are_names_elsewhere() -> None:
    words = "init share tie frozen conj log as onehot extern repeat keep linear conv embedding any"
    for word in [*words.split(), "int", "bool", "float"]:
        text = f"network {word}({word}: int = 4) {{ index {word} = {word} tensor {word}({word}) "
        text += f"input x(({word} a), {word}, {word}[{word}]?) let {word} = {word}({word} = 3) + 1"
        text += " output y() }"
        assert len(block(text).statements) == 5
        assert parse_target(f"{word}({word} = {word})").arguments[0].name is not None
    assert isinstance(statement("tensor init(i) init init frozen"), TensorStatement)


def test_reserved_words_are_no_names() -> None:
    for word in sorted(load_tables().reserved):
        assert problems(f"network N() {{ let {word} = 3 }}")[0].code == Code.UNEXPECTED_TOKEN


@pytest.mark.parametrize("word", sorted(load_tables().opening))
def test_words_of_statements_are_names_where_no_statement_begins(word: str) -> None:
    text = f"model M({word}: part, d: int = 4) {{ part {word}[{word}_ in 0..2] = N({word} = d) "
    text += f"tensor {word}(d) init zeros\n input {word}(..., d)\n let {word} = d + {word}[1](d)\n"
    text += (
        f"output concat(\n{word},\nd |> {word}({word}) |> repeat k in 0..2 {{ {word} }}, {word})"
    )
    text += "}"
    assert len(block(text).statements) == 5
    text = f"network {word}({word}: int = 4) {{ index {word} = 3\n batch {word}\n"
    text += f"tensor {word}({word}, {word}[0]?, ({word} {word})) tie {word}\n output {word}() }}"
    assert len(block(text).statements) == 4
    assert parse_target(f"{word}({word} = 3)").arguments[0].name is not None


def test_a_word_of_a_statement_that_names_nothing_begins_one() -> None:
    text = "model M() {\n  let y = x |>\n  output y\n}"
    assert places(text) == [("TN101", 3, 3)]
    assert len(block("model M(output: part) { let y = x output\n  y |> output\n}").statements) == 2


def test_attributes_in_any_order() -> None:
    text = "tensor A(i) if a == b tie G[0] conj share k, l init normal(0.1) frozen"
    found = statement(text)
    assert isinstance(found, TensorStatement)
    _, tie, share, scheme, _ = found.attributes
    assert isinstance(tie, Tie)
    assert (tie.name.text, tie.conjugate, len(tie.subscripts)) == ("G", True, 1)
    assert isinstance(share, Share)
    assert [name.text for name in share.names] == ["k", "l"]
    assert isinstance(scheme, Scheme)
    assert scheme.arguments[0].value == value("0.1")


def test_an_unknown_word_on_the_line_is_kept_for_the_resolver() -> None:
    found = statement("tensor A(i) frzen shre k(3) frozen")
    assert isinstance(found, TensorStatement)
    unknown, _ = found.attributes
    assert isinstance(unknown, UnknownAttribute)
    assert (unknown.name.text, len(unknown.rest)) == ("frzen", 2)
    assert unknown.span.text == "frzen shre k(3)"


def test_an_unknown_word_at_the_start_of_a_line_is_no_statement() -> None:
    assert places(BODY % "  tensor A(i, o)\n  frzen") == [("TN101", 5, 3)]


def test_legs() -> None:
    found = statement(
        "input x(..., p in 0..n, (a b), (c, d[*]) as 3 + w, v[l, *], b[k - 1]?, h.in)"
    )
    assert not isinstance(found, str)
    dots, slices, group, cut, star, optional, face = found.legs
    assert dots.span.text == "..."
    assert isinstance(slices, Subscript)
    assert isinstance(group, GroupLeg)
    assert [leg.name.text for leg in group.legs] == ["a", "b"]
    assert isinstance(cut.width, Binary)
    assert isinstance(star, IndexLeg)
    assert star.subscripts == (value("l"), star.subscripts[1])
    assert isinstance(star.subscripts[1], Star)
    assert optional.optional
    assert face.face.text == "in"


def test_output_with_log() -> None:
    found = statement("output y(o) log")
    assert isinstance(found, OutputStatement)
    assert found.log is not None
    assert found.log.span.text == "log"


def test_several_declarations_share_a_line() -> None:
    found = statement("index a = p, b[k in 0..n] = q[k] if c,")
    assert isinstance(found, IndexStatement)
    assert [each.name.text for each in found.declarations] == ["a", "b"]
    assert found.declarations[1].condition is not None


def test_binding_strength() -> None:
    assert value("1 + 2 * 3") == value("1 + (2 * 3)")
    assert value("1 - 2 - 3") == value("(1 - 2) - 3")
    assert value("2 ** 3 ** 4") == value("2 ** (3 ** 4)")
    assert value("-a ** 2") == value("-(a ** 2)")
    assert value("not a == b and c or d") == value("((not (a == b)) and c) or d")
    assert value("x |> f or g") == value("x |> (f or g)")
    assert value("if a then b else c + d") == value("if a then b else (c + d)")
    assert value("-f(1)[2]") == value("-((f(1))[2])")
    assert value("1 + 2") != value("2 + 1")


def test_values_of_models() -> None:
    piped = value("x |> repeat l in 0..3 { block[l] |> repeat } |> softmax(dim = -1)")
    assert isinstance(piped, Pipe)
    assert isinstance(piped.value, Pipe)
    assert isinstance(piped.value.stage, Repeat)
    assert isinstance(value("x |> repeat").stage, Reference)
    assert isinstance(value("(..., t, 4) |> f").value, TupleOf)
    assert value("(a)") == value("a")
    assert isinstance(value("(a,)"), TupleOf)
    part = statement("part up = Linear(3, 4, bias = false) tie q frozen if c")
    assert isinstance(part, PartStatement)
    assert len(part.attributes) == 3
    taken = statement("let (y, h) = scan(cell, x, h)")
    assert isinstance(taken, LetTuple)
    assert [name.text for name in taken.names] == ["y", "h"]
    assert taken.parenthesis.text == "(y, h)"


def test_rewrites() -> None:
    text = 'rewrite R { linear "a.*" -> MPO(ins = [1]) conv "b" -> keep any "c" -> N }'
    (found,) = program(text).declarations
    assert isinstance(found, Rewrite)
    assert [rule.kind for rule in found.rules] == ["linear", "conv", "any"]
    assert [rule.target is None for rule in found.rules] == [False, True, False]


def test_strings_and_docs() -> None:
    assert isinstance(value(r'"a \"b\" \\ c"'), String)
    assert value(r'"a \"b\" \\ c"').value == 'a "b" \\ c'
    assert block('"""two\r\nlines with "quotes" and \\n"""network N() {}').doc == (
        'two\nlines with "quotes" and \\n'
    )


def test_spans_are_tight() -> None:
    text = "network N() { let a = 1 + f(2)[3] * -c }"
    (let,) = block(text).statements
    assert let.span.text == "let a = 1 + f(2)[3] * -c"
    assert isinstance(let, Let)
    total = let.value
    assert isinstance(total, Binary)
    assert total.operator_span.text == "+"
    assert isinstance(total.right, Binary)
    assert total.right.left.span.text == "f(2)[3]"
    assert isinstance(total.right.right, Unary)
    assert total.right.right.span.text == "-c"


def test_a_target_is_a_call() -> None:
    target = parse_target("MPO(ins = [4, 8], ranks = 3)")
    assert isinstance(target, Call)
    assert [a.name.text for a in target.arguments if a.name] == ["ins", "ranks"]
    assert parse_target(" MPO ") == parse_target("MPO()")


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [("", "TN102", 1), ("MPO(3) x", "TN101", 8), ("MPO(3", "TN102", 6), ("3", "TN101", 1)],
)
def test_a_target_that_is_none(text: str, code: str, column: int) -> None:
    with pytest.raises(CompileError) as caught:
        parse_target(text)
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert problem.primary.span.source.name == "<target>"
    assert problem.primary.span.start == column - 1
