"""The syntax of models: what is built of it, and that networks refuse what only models have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance import ACCEPTANCE
from tests.support.parsing import block, problems, program
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.rendering import render
from tncompile.language.formatting import format_program
from tncompile.language.linking import link
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile

MODELS = sorted(ACCEPTANCE.glob("models/**/*.tn"))


def statement(text: str) -> Any:
    """The one statement of a model."""
    (found,) = block(f"model M() {{ {text} }}").statements
    return found


def value(text: str) -> Any:
    return statement(f"let a = {text}").value


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_acceptance_models_parse_and_are_formatted_once(path: Any) -> None:
    first = program(path.read_text(encoding="utf-8"))
    written = format_program(first)
    second = program(written)
    assert second == first
    assert format_program(second) == written
    assert [c.text for c in second.comments] == [c.text for c in first.comments]


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────


def test_values_and_their_families() -> None:
    plain, family = statement("let n = 3"), statement("let h[l in 0..n, k in 0..l] = x")
    assert isinstance(plain, tree.Let)
    assert plain.subscripts == ()
    assert [each.name.text for each in family.subscripts] == ["l", "k"]
    taken = statement("let (a, b,) = f(x)")
    assert isinstance(taken, tree.LetTuple)
    assert [name.text for name in taken.names] == ["a", "b"]
    assert taken.parenthesis.text == "(a, b,)"


def test_legs_are_expressions() -> None:
    (taken,) = block("model M() { input x[k in 0..2](..., t, 2 * d) int if k == 0 }").statements
    assert isinstance(taken, tree.InputStatement)
    dots, size, product = taken.legs
    assert isinstance(dots, tree.Dots)
    assert isinstance(size, tree.Reference)
    assert isinstance(product, tree.Binary)
    assert taken.kind is not None
    assert taken.kind.text == "int"
    assert isinstance(taken.condition, tree.Binary)
    for kind in ("bool", "float", "complex"):
        assert statement(f"input x({kind}) {kind}").kind.text == kind
    assert statement("input x()").kind is None
    made = statement("tensor w[k in 0..2](n, 3) init normal(0.02) complex share k frozen")
    assert isinstance(made, tree.TensorStatement)
    assert [type(leg) for leg in made.legs] == [tree.Reference, tree.Number]
    assert len(made.attributes) == 4


def test_choices_of_parts() -> None:
    part = statement('part p = if a then N(3) else if b then extern "m.f"() else M() tie q if c')
    choice = part.value
    assert isinstance(choice, tree.PartChoice)
    assert isinstance(choice.chosen, tree.Call)
    assert isinstance(choice.otherwise, tree.PartChoice)
    assert isinstance(choice.otherwise.chosen, tree.Extern)
    assert [type(each) for each in part.attributes] == [tree.Tie, tree.If]


def test_places_of_ties() -> None:
    part = statement("part p = N(3) tie a.b[0, k + 1].bias frozen tie bias.input = output[1].c")
    first, frozen, second = part.attributes
    assert isinstance(first, tree.Tie)
    assert isinstance(frozen, tree.Frozen)
    assert [each.name.text for each in first.place] == ["a", "b", "bias"]
    assert [len(each.subscripts) for each in first.place] == [0, 2, 0]
    assert (first.own, first.name.text, first.conjugate) == ((), "a", False)
    assert isinstance(second, tree.Tie)
    assert [each.name.text for each in second.own] == ["bias", "input"]
    assert [each.name.text for each in second.place] == ["output", "c"]


def test_shapes_of_externs() -> None:
    plain = statement('part p = extern "m.C"(3)').value
    assert plain.function is plain.takes is plain.gives is None
    part = statement('part p = extern function "m.f"() ((..., s) bool, (n, d)) -> (...) int, (s)')
    assert part.value.function is not None
    assert [len(shape.legs) for shape in part.value.takes] == [2, 2]
    assert [shape.kind and shape.kind.text for shape in part.value.takes] == ["bool", None]
    assert [shape.kind and shape.kind.text for shape in part.value.gives] == ["int", None]
    assert statement('part p = extern "m.C"() () -> (3)').value.takes == ()


def test_items() -> None:
    found = value("x[..., 0..t // 2, *, -1]")
    dots, part, whole, last = found.subscripts
    assert isinstance(dots, tree.Dots)
    assert isinstance(part, tree.Slice)
    assert part.span.text == "0..t // 2"
    assert isinstance(part.stop, tree.Binary)
    assert isinstance(whole, tree.Star)
    assert isinstance(last, tree.Unary)


def test_networks_without_a_name() -> None:
    found = value("network { q(..., t, (h e)), G[k, 0](i) -> (..., (t h)) } |> f")
    assert isinstance(found, tree.Pipe)
    network = found.value
    assert isinstance(network, tree.NetworkExpression)
    first, second = network.operands
    assert first.name.text == "q"
    assert [type(leg) for leg in first.legs] == [tree.Dots, tree.IndexLeg, tree.GroupLeg]
    assert len(second.subscripts) == 2
    assert [type(leg) for leg in network.output] == [tree.Dots, tree.GroupLeg]
    (piped,) = value("x |> network { ((i j)) -> (i) }").stage.operands
    assert piped.name is None
    assert value("2 * network { a() -> () }[0]").right.value.operands[0].legs == ()


def test_parts_as_parameters() -> None:
    found = block("model M(p: part, d: int) {}").parameters[0].type
    assert (found.name.text, found.length, found.span.text) == ("part", None, "part")


# ── what only models have ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("let a = [1, 2][0..1]", "0..1"),
        ("let a = [1, 2][*]", "*"),
        ("index i = [1, 2][..., 0]", "..."),
        ("require network { x(i[j]) -> () } == 3", "network { x(i[j]) -> () }"),
        ("let a = [3][network { (i) -> (i) }]", "network { (i) -> (i) }"),
        ("tensor A[k in 0..[1][*]]()", "*"),
        ("window h = conv(size = [3][0..1])", "0..1"),
    ],
)
def test_networks_refuse_it(text: str, marked: str) -> None:
    with pytest.raises(CompileError) as caught:
        link(SourceFile("a.tn", f"network N(d: int = 4) {{ {text} output y() }}"))
    found = [p.primary.span.text for p in caught.value.diagnostics if p.code == "TN207"]
    assert found == [marked]


def test_networks_and_their_instances_take_no_parts() -> None:
    with pytest.raises(CompileError) as caught:
        link(SourceFile("a.tn", "network N(p: part) { output y() }"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.primary.span.text) == ("TN207", "part")
    text = "network N(d: int) { index i = d } network M = N(d = [1, 2][0..1])"
    with pytest.raises(CompileError) as caught:
        link(SourceFile("a.tn", text))
    assert "0..1" in [p.primary.span.text for p in caught.value.diagnostics]


def test_imports_used_in_models_are_used() -> None:
    names = ("MPO", "CP", "Tucker", "TensorRing", "BlockTerm")
    uses = (
        "part a = if d == 1 then MPO(d) else CP(d)",
        "part b = Tucker(d)",
        "part c[k in 0..d] = TensorRing(d)",
        "part e = if d == 1 then Linear(3, 3) else BlockTerm(d)",
    )
    for used in range(len(uses) + 1):
        text = f'import "std/linear.tn" {{ {", ".join(names)} }} model M(d: int) {{ '
        text += " ".join(uses[:used]) + " output d }"
        found = link(SourceFile("a.tn", text), folder=None, root=None).warnings
        imports = [each for each in found if each.message.startswith("the import ")]
        assert len(imports) == (5, 3, 2, 1, 0)[used]


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────

MISTAKES = [
    ("input x(..., t) long", "long", "did you mean `int`?"),
    ("input x(..., t) text", "text", "write one of these, or nothing"),
    ("input x(..., t): bool", ":", "without the colon: `bool`"),
    ("input x(t, ...)", "...", "write them first"),
    ("let h[k in 0, n] = 3", ",", "write `0..n`"),
    ("let h[3] = 3", "3", "let h[k in 0..n]"),
    ("let (a, 3) = f(x)", "3", "let (a, b) = f(x)"),
    ("let y = x[1:2]", ":", "a slice is written with two dots"),
    ("let y = x[0...3]", "...", "a slice is written with two dots"),
    ("let y = x[0..3..2]", "..", "a slice has no step"),
    ("let y = x[0 1]", "1", "put a `,` or an operator before it"),
    ("let y = network { a(i, j), b(j, k) }", "}", "expected `,` or `->`"),
    ("let y = network { a(i, 3) -> (i) }", "3", "name the number: `let n = 3`"),
    ("let y = network { a(i, ...) -> (i) }", "...", "write them first"),
    ("let y = network a(i)", "network", "expected `{` after it"),
    ('let y = network { "ij->i" }', '"ij->i"', "legs are names"),
    ("network { a(i) -> (i) }", "network", "name the value"),
    ("part p = if c then N(3)", "output", "if condition then a else b"),
    ("part p = 3", "3", "expected `extern`, `if` or a name"),
    ("part p = extern torch.nn.Linear(3)", "torch", 'extern "torch.nn.Linear"(…)'),
    ("part p = nn.Linear(3, 4)", ".", "write `Linear(…)`"),
    ("part p: Linear(3, 4)", ":", "write `part p = Linear(…)`"),
    ("let y = x.mean(dim = -1)", ".", "functions are called: `mean(x, …)`"),
    ("let y = self.up(x)", ".", "by their own name: `up`"),
    ("let f = lambda y: y + 1", "lambda", "declare a `model`"),
    ("y += x", "y", "`let y2 = y + …`"),
    ('require d < 512 "too long"', '"too long"', "put a `,` between the condition and its reason"),
    ('part p = extern "a.b"() ((..., 3) long) -> (3)', "long", "did you mean `int`?"),
    ('part p = extern "a.b"() (x, 3)', "x", "write the axes"),
    ("tensor w(3): float", ":", "has no type of its own"),
    ("batch t causal = 3", "=", "`batch t = 128 causal if c`"),
    ("input z(4) int8", "int8", "an `int` is an int64"),
    ("input z(4) bfloat16", "bfloat16", "has the dtype of the module"),
    ("output x |>", "output", "write a part, a function"),
    ("output x -> y", "->", "what comes out is said by `output`"),
    ("for k in 0..3", "for", "there are no loops"),
    ("let y = x.shape", ".", "no attributes"),
    ("let y = x @ up.weight", ".", "tie the part to it: `tie weight = w`"),
    ("part p = N(body.table)", ".", "`part p = … tie q.inner`"),
    ("part p = N(3) tie q.\n  let y = x", "let", "`tie body.table`"),
    ("part p = N(3) tie weight =\n  let y = x", "let", "`tie weight = body.table.weight`"),
    ("index i = 4", "index", "no statement of a model"),
    ("return y", "return", "as in `output y`?"),
]


@pytest.mark.parametrize(("text", "marked", "said"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_mistakes_are_recognized(text: str, marked: str, said: str) -> None:
    found = problems(f"model M(d: int = 4) {{\n  {text}\n  output y\n}}")
    assert len(found) == 1
    assert found[0].primary.span.text == marked
    assert said in render(found)


def test_a_network_of_values_ends_no_block() -> None:
    text = "model M() {\n  let a = ]\n  let b =\n  network { x(i) -> (i) }\n  let c = ]\n}\n"
    first, second = problems(text)
    assert first.primary.span.source.position(first.primary.span.start) == (2, 11)
    assert second.primary.span.source.position(second.primary.span.start) == (5, 11)


def test_networks_expect_nothing_of_models() -> None:
    for text in ("let a = b[", "let a = ", "let a = b[1 ", "index i = f(d = "):
        (found,) = problems(f"network N(d: int) {{ {text} }}")
        for word in ("network", "..", "`*`"):
            assert word not in found.primary.text
    (found,) = problems("network N(d: 3) {}")
    assert "part" not in found.primary.text
    (found,) = problems("model N(d: 3) {}")
    assert "part" in found.primary.text


def test_deep_choices_are_limited_not_fatal() -> None:
    for depth, fits in ((150, True), (300, False)):
        text = "part p = " + "if a then " * depth + "N()" + " else M()" * depth
        text += " part q = " + "if a then N() else " * depth + "M()"
        text = f"model M() {{ {text} output 3 }}"
        if fits:
            assert program(format_program(program(text))) == program(text)
        else:
            assert "levels of nesting" in problems(text)[0].message
