"""Calls of networks, models and externs: what is taken, what is given, what does not fit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

import tncompile
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.values import Shape

NETWORKS = """
network Flat(ins: int[n] = [2, 3], outs: int[n] = [4, 5]) {
  index i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
  input x(..., (i[*]))
  tensor A(i[*], o[*])
  output y(..., (o[*]))
}

network Open() {
  index i[k in 0..2] = 2 + k, o = 4
  input x(..., i[*])
  tensor A(i[*], o)
  output y(..., o)
}

network Cut() {
  index i[k in 0..2] = 3, o[k in 0..2] = 4
  input x(..., (i[*]) as 7)
  tensor A(i[*], o[*])
  output y(..., (o[*]) as 13)
}

network Ids() {
  index v[k in 0..2] = 3, o = 4
  input ids(..., onehot(v[*]) as 8)
  tensor A(v[*], o)
  output y(..., o)
}

network Both() {
  batch s
  index i = 2, j = 3, o = 4, v = 5
  input x(..., s, i)
  input y(..., j)
  input k(..., onehot(v))
  tensor A(i, j, v, o)
  output z(..., s, o)
}

network Slices() {
  index f[k in 0..3] = 2, o = 4
  input x(..., k in 0..3, f[k])
  tensor A(f[*], o)
  output y(..., o)
}

network Logged() {
  index i = 3, o = 2
  input x(..., i)
  tensor A(i, o)
  output y(..., o) log
}

network Wave() {
  index i = 2, o = 3
  input x(..., i)
  tensor A(i, o) complex
  output y(..., o)
}

network Windows(stride: int = 2, padding: int = 1, dilation: int = 2) {
  window h = conv(size = 3, stride = stride, padding = padding, dilation = dilation)
  window s[a in 0..2] = conv(size = 2 + a, padding = "causal", mode = "replicate")
  index c = 2, o = 3
  input x(..., c, h.in, s[*].in)
  tensor K(c, o, h.kernel, s[*].kernel)
  output y(..., o, h.out, s[*].out)
}

network Grown() {
  window h = conv(size = 4, stride = 3, padding = [2, 1], extra = 1)
  index c = 2, o = 3
  input x(..., c, h.out)
  tensor K(c, o, h.kernel)
  output y(..., o, h.in)
}

network State() {
  index a = 2, b = 3
  tensor A(a, b)
  output y(b, a)
}
"""


def model(text: str, target: str = "M()") -> ResolvedModel:
    found = resolve(link(SourceFile("main.tn", NETWORKS + text)), target)
    assert isinstance(found, ResolvedModel)
    return found


def problem(text: str) -> Diagnostic:
    """The only error."""
    with pytest.raises(CompileError) as caught:
        model(text)
    (found,) = caught.value.diagnostics
    return found


def calling(part: str, inputs: Sequence[str], call: str = "") -> str:
    """A model that calls a part with its inputs."""
    names = [legs.partition("(")[0] for legs in inputs]
    declared = "\n".join(f"  input {legs}" for legs in inputs)
    output = call or f"p({', '.join(names)})"
    sizes = "  batch t, u, v\n  input sizes(t, u, v)\n"
    return f"model M() {{\n  part p = {part}\n{sizes}{declared}\n  output {output}\n}}\n"


def texts(found: ResolvedModel) -> list[str]:
    return [value.text for value in found.output]


# ── networks ───────────────────────────────────────────────────────────────────────────────────


def at(shape: Shape, lead: tuple[int, ...], sizes: dict[str, int]) -> tuple[int, ...]:
    """A shape in numbers."""
    return (*(lead if shape.dots else ()), *(size.at(sizes) for size in shape.sizes))


@pytest.mark.parametrize(
    ("target", "inputs"),
    [
        ("Flat()", ["x(..., 6)"]),
        ("Flat()", ["x(..., t, u, 6)"]),
        ("Flat(ins = [5], outs = [7])", ["x(t, 5)"]),
        ("Open()", ["x(..., t, 2, 3)"]),
        ("Cut()", ["x(..., 7)"]),
        ("Ids()", ["x(..., t) int"]),
        ("Both()", ["x(..., t, 2)", "y(..., 3)", "k(...) int"]),
        ("Both()", ["x(..., 4, u, 2)", "y(..., 1, 3)", "k(4) int"]),
        ("Both()", ["x(t, 2)", "y(u, 1, 3)", "k(v) int"]),
        ("Slices()", ["x(..., t, 3, 2)"]),
        ("Logged()", ["x(..., 3)"]),
        ("Wave()", ["x(..., t, 3 - 1)"]),
        ("Windows()", ["x(..., 2, t, u, v)"]),
        ("Windows(stride = 3, dilation = 1)", ["x(t, 2, u, v, 9)"]),
        ("Windows(stride = 1, padding = 0)", ["x(..., u, 2, 2 * t, v, t)"]),
        ("Grown()", ["x(..., 2, t)"]),
        ("State()", []),
    ],
)
def test_shapes_are_those_that_the_module_gives(target: str, inputs: list[str]) -> None:
    found = model(calling(target, inputs))
    spec, lead = tncompile.loads(NETWORKS), (2, 4)
    module = spec.instantiate(target).module()
    for sizes in ({"t": 7, "u": 8, "v": 9}, {"t": 16, "u": 5, "v": 6}):
        given = [
            torch.zeros(at(source.shape, lead, sizes), dtype=torch.int64)
            if source.kind == "int"
            else torch.randn(at(source.shape, lead, sizes))
            for source in found.inputs[1:]
        ]
        results = module(*given)
        results = results if isinstance(results, tuple) else (results,)
        shapes = [at(value.shape, lead, sizes) for value in found.output]
        assert [tuple(result.shape) for result in results] == shapes
        kinds = ["complex" if result.is_complex() else "float" for result in results]
        assert [value.kind for value in found.output] == kinds


def test_operations_of_calls_know_their_inputs_and_sizes() -> None:
    found = model(calling("Windows()", ["x(..., 2, t, 2 * u, v)"]))
    (call,) = (each for each in found.operations if isinstance(each, CallPart))
    assert call.inputs == ("x",)
    assert {name: str(size) for name, size in call.bindings.items()} == {
        "h": "t",
        "s.0": "2 * u",
        "s.1": "v",
    }
    assert not any(value.constant for value in found.output)


@pytest.mark.parametrize("complex_input", ["complex", ""])
def test_linear_maps_take_complex_values(complex_input: str) -> None:
    found = model(calling("Logged()", [f"x(..., 3) {complex_input}"]))
    assert texts(found) == [f"(..., 2) {complex_input}".strip(), "(..., 2)"]


def test_a_number_is_a_constant_id() -> None:
    assert texts(model(calling("Ids()", [], "p(7)"))) == ["(4)"]
    found = problem(calling("Ids()", [], "p(8)"))
    assert (found.code, found.primary.span.text) == ("TN601", "8")
    found = problem(calling("Ids()", [], "p(1.0)"))
    assert (found.code, found.primary.span.text) == ("TN603", "1.0")


@pytest.mark.parametrize(
    ("target", "inputs", "code", "place", "label"),
    [
        ("Flat()", ["x(..., t)"], "TN601", "x", "(i[*])"),
        ("Flat()", ["x(..., 2, 3)"], "TN601", "x", "(i[*])"),
        ("Open()", ["x(..., 6)"], "TN601", "x", "x"),
        ("Open()", ["x(..., 3, 3)"], "TN601", "x", "i[*]"),
        ("Both()", ["x(..., t, 2)", "y(..., 7, 3)", "k(...) int"], "TN601", "y", "x"),
        ("Both()", ["x(t, 4, 2)", "y(u, 3)", "k() int"], "TN601", "y", "x"),
        ("Both()", ["x(4, t, 2)", "y(5, 3)", "k() int"], "TN601", "y", "x"),
        ("Logged()", ["x(..., 3) int"], "TN603", "x", "x"),
        ("Ids()", ["x(...)"], "TN603", "x", "ids"),
        ("Windows()", ["x(..., 2, 2, t, u)"], "TN601", "x", "h"),
        ("Flat()", [], "TN208", "p", "x"),
        ("Flat()", ["x(..., 6)", "y(..., 6)"], "TN208", "y", "Flat"),
    ],
)
def test_what_does_not_fit_a_network(
    target: str, inputs: list[str], code: str, place: str, label: str
) -> None:
    found = problem(calling(target, inputs))
    assert (found.code, found.primary.span.text) == (code, place)
    assert [each.span.text for each in found.secondary] == [label]
    assert found.notes
    assert found.hint


def test_the_hint_flattens() -> None:
    found = problem(calling("Flat()", ["x(..., t, 2, 3)"]))
    assert found.hint == "flatten it: `|> network { (..., i, j, k) -> (..., i, (j k)) }`"


def test_networks_take_their_inputs_in_order_alone() -> None:
    found = problem(calling("Logged()", ["x(..., 3)"], "p(x = x)"))
    assert (found.code, found.message) == ("TN208", "the inputs of `p` are given in order")


def test_logarithms_are_two_values() -> None:
    found = problem(calling("Logged()", ["x(..., 3)"], "p(p(x))"))
    assert (found.code, found.primary.span.text) == ("TN610", "p(x)")
    assert [label.span.text for label in found.secondary] == ["y"]
    text = calling("Logged()", ["x(..., 3)"], "y").replace(
        "  output", "  let (y, z, w) = p(x)\n  output"
    )
    found = problem(text)
    assert (found.code, found.primary.span.text) == ("TN610", "(y, z, w)")
    assert [label.span.text for label in found.secondary] == ["y"]
    found = problem(calling("Logged()", ["x(..., 3)"], "x |> p |> p"))
    assert (found.code, found.message) == ("TN208", "`p` takes 1 input, not 2")


# ── models ─────────────────────────────────────────────────────────────────────────────────────

INNER = """
model Inner(d: int = 4, halves: bool = false) {
  batch s, r
  require s % 2 == 0
  input x(..., s, d)
  input m(..., s, r) bool
  input n(d, s // 2)
  output (x, m, n)
}

model Late() {
  batch s
  input x(2 * s)
  input y(s)
  output (y, x)
}
"""


def test_models_bind_their_sizes_from_the_right() -> None:
    inputs = ["x(..., t, 2 * u, 4)", "m(..., t, 2 * u, v) bool", "n(4, u)"]
    found = model(INNER + calling("Inner()", inputs))
    assert texts(found) == ["(..., t, 2 * u, 4)", "(..., t, 2 * u, v) bool", "(4, u)"]
    (call,) = (each for each in found.operations if isinstance(each, CallPart))
    assert {name: str(size) for name, size in call.bindings.items()} == {"s": "2 * u", "r": "v"}
    assert call.inputs == ("x", "m", "n")


def test_models_take_their_inputs_by_name() -> None:
    inputs = ["a(8, 4)", "b(8, v) bool", "c(4, 4)"]
    text = INNER + calling("Inner()", inputs, "p(a, n = c, m = b)")
    assert texts(model(text)) == ["(8, 4)", "(8, v) bool", "(4, 4)"]


def test_sizes_are_bound_before_others_are_compared() -> None:
    assert texts(model(INNER + calling("Late()", ["x(2 * t)", "y(t)"]))) == ["(t)", "(2 * t)"]
    assert problem(INNER + calling("Late()", ["x(t)", "y(t)"])).code == "TN601"


def test_what_is_not_decided_is_checked() -> None:
    found = model(INNER + calling("Late()", ["x(2 * (t // 2))", "y(t // 2)", "z(t)"], "p(x, y)"))
    assert not found.warnings
    found = model(INNER + calling("Inner()", ["x(t, 4)", "m(t, v) bool", "n(4, u // 3)"]))
    assert [str(warning.code) for warning in found.warnings] == ["TN608"]
    (check,) = found.checks
    assert {str(check.comparison.left), str(check.comparison.right)} == {"u // 3", "t // 2"}


@pytest.mark.parametrize(
    ("inputs", "code", "place", "label"),
    [
        (["x(..., t, 5)", "m(..., t, v) bool", "n(4, t)"], "TN601", "x", "d"),
        (["x(..., t, 4)", "m(..., u, v) bool", "n(4, t // 2)"], "TN601", "m", "s"),
        (["x(..., t, 4)", "m(..., 2, t, v) bool", "n(4, t // 2)"], "TN601", "m", "x"),
        (["x(t, 4)", "m(..., t, v) bool", "n(4, t // 2)"], "TN601", "m", "x"),
        (["x(..., t, 4)", "m(..., t, v)", "n(4, t // 2)"], "TN603", "m", "m"),
        (["x(..., t, 4)", "m(..., t, v) bool", "n(..., 4, t // 2)"], "TN601", "n", "n"),
        (["x(..., t, 4)", "m(..., t, v) bool"], "TN208", "p", "n"),
    ],
)
def test_what_does_not_fit_a_model(inputs: list[str], code: str, place: str, label: str) -> None:
    found = problem(INNER + calling("Inner()", inputs))
    assert (found.code, found.primary.span.text) == (code, place)
    assert [each.span.text for each in found.secondary] == [label]
    assert found.notes
    assert found.hint


@pytest.mark.parametrize(
    ("call", "place", "hint"),
    [
        ("p(x, m, mask = n)", "mask", "leave it out"),
        ("p(x, m, nn = n)", "nn", "did you mean `n`?"),
        ("p(x, m, x = n)", "x", "leave one of the two out"),
        ("p(x, m = m, n)", "n", "name this one, too"),
    ],
)
def test_names_of_inputs(call: str, place: str, hint: str) -> None:
    inputs = ["x(t, 4)", "m(t, v) bool", "n(4, t // 2)"]
    found = problem(INNER + calling("Inner()", inputs, call))
    assert (found.code, found.primary.span.text, found.hint) == ("TN208", place, hint)


def test_what_is_piped_is_reported_at_the_stage() -> None:
    found = problem(calling("Flat()", ["x(..., 7)"], "x |> p"))
    assert (found.code, found.primary.span.text) == ("TN601", "p")


# ── externs ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("extern", "inputs", "given"),
    [
        ('"a.B"()', ["x(..., t) int"], ["(..., t) int"]),
        ('"a.B"() -> (..., 7)', ["x(..., t, u)"], ["(..., t, 7)"]),
        ('"a.B"() -> (...) bool, (3) int', ["x(..., t)"], ["(..., t) bool", "(3) int"]),
        ('"a.B"() ((..., n, m)) -> (..., m, 2 * n)', ["x(..., t, 5)"], ["(..., 5, 2 * t)"]),
        (
            '"a.B"() ((..., n, 4), (..., n) bool) -> (..., n // 2)',
            ["x(..., u, t, 4)", "y(..., u, t) bool"],
            ["(..., u, t // 2)"],
        ),
        ('"a.B"() () -> (8, 8)', [], ["(8, 8)"]),
    ],
)
def test_externs_give_what_they_say(extern: str, inputs: list[str], given: list[str]) -> None:
    assert texts(model(calling(f"extern {extern}", inputs))) == given


@pytest.mark.parametrize(
    ("extern", "inputs", "code", "place"),
    [
        ('"a.B"()', ["x(t)", "y(t)"], "TN208", "y"),
        ('"a.B"() ((..., n), (..., n))', ["x(t)"], "TN208", "p"),
        ('"a.B"() ((..., n), (n))', ["x(t)", "y(u)"], "TN601", "y"),
        ('"a.B"() ((..., n), (..., n))', ["x(..., t)", "y(t)"], "TN601", "y"),
        ('"a.B"() ((..., n) int)', ["x(..., t)"], "TN603", "x"),
        ('"a.B"() -> (..., 3, 4)', ["x(t)"], "TN601", "x"),
    ],
)
def test_what_does_not_fit_an_extern(extern: str, inputs: list[str], code: str, place: str) -> None:
    found = problem(calling(f"extern {extern}", inputs))
    assert (found.code, found.primary.span.text) == (code, place)


def test_names_in_the_legs_of_an_extern_are_used() -> None:
    text = (
        'model M(n: int = 3) {\n  part p = extern "a.B"() -> (n)\n  input x()\n  output p(x)\n}\n'
    )
    linked = link(SourceFile("main.tn", text))
    assert not linked.warnings
    found = resolve(linked, "M()")
    assert isinstance(found, ResolvedModel)
    assert texts(found) == ["(3)"]
