"""Parts: members and keys, sharing, ties, choices, what is handed on, and what is wrong."""

from __future__ import annotations

import pytest

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.model import Extern, Layer, ResolvedModel
from tncompile.language.typing.values import Numbers, Strings

BLOCKS = """
network Map(d: int, rank: int = 2, with_bias: bool = true) {
  index i = d, o = d
  bond r = rank
  input x(..., i)
  tensor A(i, r)
  tensor B(r, o) frozen
  bias c(o) if with_bias
  output y(..., o)
}

network Wave(d: int) {
  index i = d, o = d
  bond r = 2
  input x(..., i)
  tensor A(i, r) complex
  tensor B(r, o)
  output y(..., o)
}

network Narrow = Map(d = 6, rank = 1)

model Scaled(inner: part, d: int, factor: float = 1.0, sizes: int[n] = [2]) {
  require factor > 0 and sum(sizes) > 0
  part own = Linear(d, d)
  tensor gate[k in 0..n](d) init zeros
  tensor shift() init ones
  input x(..., d)
  output x |> inner |> own
}

model Nest(d: int) {
  tensor shift(d) init zeros
  part map = Map(d)
  part lin[k in 0..2] = Linear(d, d)
  part twin = Linear(d, d) tie weight = lin[0].weight
  part last = Linear(d, d) tie twin
  input x(..., d)
  output x |> map |> lin[0] |> lin[1] |> twin |> last
}
"""


def model(body: str, target: str = "M()") -> ResolvedModel:
    """The model with these statements, which takes and returns a value."""
    text = f"model M(d: int = 6, n: int = 3) {{\n{body}\n  input x(..., d)\n  output x\n}}\n"
    found = resolve(link(SourceFile("main.tn", BLOCKS + text)), target)
    assert isinstance(found, ResolvedModel)
    return found


def problems(body: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(CompileError) as caught:
        model(body)
    return caught.value.diagnostics


def paths(found: ResolvedModel) -> list[str]:
    return [part.path for part in found.parts]


# ── members ────────────────────────────────────────────────────────────────────────────────────


def test_families_have_a_part_for_each_member() -> None:
    found = model("  part p[k in 0..n, j in 0..k] = Linear(d, d + k)\n  part q = Narrow()")
    assert paths(found) == ["p.1.0", "p.2.0", "p.2.1", "q"]
    layer, network = found.parts[1].callee, found.parts[-1].callee
    assert isinstance(layer, Layer)
    assert layer.parameters == {"weight": (8, 6), "bias": (8,)}
    assert isinstance(network, ResolvedNetwork)
    assert network.target == "Narrow"


def test_only_the_branch_that_is_taken_is_looked_at() -> None:
    found = model(
        "  part p[k in 0..n] = if k == 0 then Map(d) else if k == 1 then Linear(d, d // k)\n"
        '    else extern "a.B"(0.5, [1, 2], name = "w", list = [0.5, 1], s = ["a"])\n'
        "  part q[k in 0..2] = Linear(d, if k == 0 then d else 1 // k)"
    )
    network, layer, extern = (part.callee for part in found.parts[:3])
    assert isinstance(network, ResolvedNetwork)
    assert isinstance(layer, Layer)
    assert isinstance(extern, Extern)
    assert (extern.path, extern.positional) == ("a.B", (0.5, (1, 2)))
    assert extern.named == {"name": "w", "list": Numbers((0.5, 1)), "s": Strings(("a",))}


def test_members_that_an_if_takes_away_are_not_there() -> None:
    found = model("  part p[k in 0..n] = Linear(d, d) if k % 2 == 0\n  part q = Map(0) if n == 4")
    assert paths(found) == ["p.0", "p.2"]
    (found_problem,) = problems("  part p = Linear(d, d) if n == 4\n  part q = Map(d) tie p")
    assert found_problem.code == "TN205"
    assert [label.span.text for label in found_problem.secondary] == ["if n == 4"]


def test_shared_members_are_one_part() -> None:
    found = model("  part p[k in 0..n, j in 0..2] = Map(d, rank = j + 1) share k")
    assert paths(found) == ["p.0", "p.1"]
    (part,) = model("  part p[k in 0..n] = Map(d) share k frozen").parts
    assert (part.path, part.frozen) == ("p", True)


# ── ties ───────────────────────────────────────────────────────────────────────────────────────


def test_ties_are_by_key() -> None:
    found = model(
        "  part p[k in 0..2] = Linear(d, d, bias = k == 1)\n"
        "  part q[k in 0..2] = Linear(d, d) tie p\n"
        "  part r[k in 0..2] = Linear(d, d) tie q[0]\n"
        "  part one = Map(d)\n"
        "  part all[k in 0..2] = Map(d, with_bias = false) tie one\n"
    )
    assert {part.path: part.tied for part in found.parts if part.tied} == {
        "q.0": {"weight": "p.0.weight"},
        "q.1": {"weight": "p.1.weight", "bias": "p.1.bias"},
        "r.0": {"weight": "p.0.weight", "bias": "q.0.bias"},
        "r.1": {"weight": "p.0.weight", "bias": "q.0.bias"},
        "all.0": {"A": "one.A", "B": "one.B"},
        "all.1": {"A": "one.A", "B": "one.B"},
    }


def test_ties_lead_inside_of_parts_to_where_a_tensor_has_its_key() -> None:
    found = model(
        "  part nest = Nest(d)\n"
        "  part a = Linear(d, d) tie nest.lin[1]\n"
        "  part b = Linear(d, d, bias = false) tie weight = nest.lin[1].weight\n"
        "  part c = Nest(d) tie lin[0] = nest.twin tie map.c = nest.shift\n"
        "  part e = Map(d) tie A = c.map.A\n"
        "  part f = Nest(d) tie c\n"
        "  part g = Linear(d, d) tie weight = c.last.weight tie bias = a.bias\n"
    )
    assert {part.path: part.tied for part in found.parts if part.tied} == {
        "a": {"weight": "nest.lin.1.weight", "bias": "nest.lin.1.bias"},
        "b": {"weight": "nest.lin.1.weight"},
        "c": {
            "lin.0.weight": "nest.lin.0.weight",
            "lin.0.bias": "nest.twin.bias",
            "map.c": "nest.shift",
        },
        "e": {"A": "c.map.A"},
        "f": {
            "shift": "c.shift",
            "map.A": "c.map.A",
            "map.B": "c.map.B",
            "map.c": "nest.shift",
            "lin.0.weight": "nest.lin.0.weight",
            "lin.0.bias": "nest.twin.bias",
            "lin.1.weight": "c.lin.1.weight",
            "lin.1.bias": "c.lin.1.bias",
            "twin.bias": "c.twin.bias",
        },
        "g": {"weight": "nest.lin.0.weight", "bias": "nest.lin.1.bias"},
    }


def test_parts_are_handed_on() -> None:
    found = model(
        "  part p[k in 0..2] = Linear(d, d)\n"
        "  part q[k in 0..2] = Scaled(if k == 0 then p[1] else p[0], d, 0.5 + k)\n"
        "  part r = Scaled(d = d, inner = q[0])\n"
    )
    by_path = {part.path: part for part in found.parts}
    assert by_path["q.0"].handed == {"inner": by_path["p.1"]}
    assert by_path["r"].handed == {"inner": by_path["q.0"]}
    inside = by_path["q.1"].callee
    assert isinstance(inside, ResolvedModel)
    assert inside.values["factor"] == 1.5


# ── what is wrong ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "code", "place", "labels"),
    [
        # sharing
        ("part p[k in 0..n] = Linear(d, d + k) share k", "TN306", "k", ["d + k"]),
        (
            "part p[j in 0..2, k in 0..n] = if k < 2 then Map(d) else Map(d) share k",
            "TN306",
            "k",
            ["Map(d)"],
        ),
        ('part p[k in 0..n] = extern "a.B"() -> (..., d + k) share k', "TN306", "k",
         ['extern "a.B"() -> (..., d + k)']),
        ("part p[k in 0..n] = Map(d)\n part q[k in 0..n] = Map(d) share k tie p", "TN306", "k",
         ["tie p"]),
        # ties
        ("part p = Linear(d, d)\n part q = Linear(d, 5) tie p", "TN306", "p", ["p"]),
        ("part p = Map(d)\n part q = Wave(d) tie p", "TN306", "p", ["p"]),
        ("part p = Map(d)\n part q = Linear(d, d) tie p", "TN612", "p", ["p"]),
        ('part p = extern "a.B"()\n part q = Linear(d, d) tie p', "TN612", "p", ["p"]),
        ("part p[k in 0..2] = Map(d)\n part q = Map(d) tie p", "TN205", "p", ["p"]),
        ("part p[k in 0..2] = Map(d)\n part q[k in 0..n] = Map(d) tie p", "TN205", "p", ["p"]),
        ("part p = Map(d)\n part q = Map(d) tie p conj", "TN207", "tie p conj", []),
        ("part p = Nest(d)\n part q = Map(d) tie p.mop", "TN201", "mop", ["p"]),
        ("part p = Nest(d)\n part q = Map(d) tie p.map.D", "TN201", "D", ["map"]),
        ("part p = Nest(d)\n part q = Map(d) tie r = p.map", "TN201", "r", ["q"]),
        ("part p = Nest(d)\n part q = Nest(d) tie shift.a = p.map", "TN201", "a", []),
        ("part p = Nest(d)\n part q = Linear(d, d) tie p.lin", "TN205", "lin", ["lin"]),
        ("part p = Nest(d)\n part q = Linear(d, d) tie p.lin[2]", "TN205", "lin", ["lin"]),
        ("part p = Nest(d)\n part q = Linear(d, d) tie p.lin[s]", "TN201", "s", []),
        ("part p = Nest(d)\n part q = Linear(d, 7) tie p.lin[0]", "TN306", "lin", ["lin"]),
        ("part p = Nest(d)\n part q = Map(d) tie c = p.map.A", "TN306", "A", ["map"]),
        ("part p = Nest(d)\n part q = Linear(d, d) tie p.map", "TN612", "map", ["map"]),
        ("part p = Nest(d)\n part q = Linear(d, d) tie p.shift", "TN612", "shift", ["shift"]),
        ('part p = extern "a.B"()\n part q = Linear(d, d) tie p.a', "TN612", "a", []),
        ('part p = Map(d)\n part q = extern "a.B"() tie a = p', "TN612", "a", []),
        ("part f = Map(d)\n part p = Scaled(f, d)\n part q = Map(d) tie p.inner", "TN201", "inner",
         []),
        ("part p = Nest(d)\n tensor s(d) tie p.shift", "TN207", "tie p.shift", []),
        ("part p = Linear(d, d) tie p.weight", "TN201", "p", []),
        ("part p = Linear(d, d)\n part q = Linear(d, d) tie p tie bias = p.bias", "TN207",
         "tie bias = p.bias", []),
        # arguments of blocks
        ("part p = Map()", "TN208", "Map", ["d"]),
        ("part p = Map(d, 2, true, 4)", "TN208", "4", ["Map"]),
        ("part p = Map(d, ranks = 2)", "TN208", "ranks", ["rank"]),
        ("part p = Map(d, d = 2)", "TN208", "d", ["d"]),
        ("part p = Map(rank = 1, d)", "TN208", "d", ["Map"]),
        ("part p = Map(d, rank = 0.5)", "TN305", "0.5", []),
        ('part p = Map("d")', "TN305", '"d"', []),
        ("part p = Map([0.5])", "TN305", "[0.5]", []),
        ("part p = Map(d // 0)", "TN304", "0", []),
        ("part p = Map(d, rank = 0)", "TN301", "rank", ["0"]),
        ("part p = Narrow(d)", "TN208", "d", ["Narrow"]),
        # parts and numbers
        ("part p = Map(d)\n part q = Map(p)", "TN305", "p", ["d"]),
        ("part p = Map(d)\n part q = Linear(d, p)", "TN305", "p", ["p"]),
        ('part p = Map(d)\n part q = extern "a.B"(p)', "TN305", "p", ["p"]),
        ("part p = Scaled(2, d)", "TN305", "2", ["inner"]),
        ("part p = Scaled(d = d)", "TN208", "Scaled", ["inner"]),
        ("part p[k in 0..2] = Map(d)\n part q = Scaled(p, d)", "TN205", "p", ["p"]),
        ("batch t\n input y(t)\n part p = Map(t)", "TN606", "t", ["t"]),
        ("input y(d)\n part p = Map(y)", "TN607", "y", []),
        ("batch t\n input y(t)\n part p[k in 0..t] = Map(d)", "TN606", "t", ["t"]),
        ("input y(d)\n part p = if y then Map(d) else Map(d)", "TN607", "y", []),
        # externs
        ('part p = extern "os"()', "TN305", '"os"', []),
        ('part p = extern "a.B(); import os"()', "TN305", '"a.B(); import os"', []),
        ('part p = extern "a.class"()', "TN305", '"a.class"', []),
        ('part p = extern function "a.b"(2)', "TN208", "2", []),
        ('part p = extern "a.B"(["a", 1])', "TN305", '"a"', []),
        ('part p = Linear(["a"], 1)', "TN305", '["a"]', []),
        ('part p = extern "a.B"(k = 1, k = 2)', "TN208", "k", []),
        ('part p = extern "a.B"(k = 1, 2)', "TN208", "2", []),
        ('part p = extern "a.B"(lambda = 1)', "TN208", "lambda", []),
        ('part p = extern "a.B"() -> (..., m)', "TN201", "m", []),
        ('part p = extern "a.B"() ((m), (2 * k))', "TN201", "k", []),
        ('part p = extern "a.B"() ((m)) -> (..., m)', "TN405", "(..., m)", ['"a.B"']),
        ('part p = extern "a.B"() ()', "TN208", '"a.B"', []),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_its_place(
    body: str, code: str, place: str, labels: list[str]
) -> None:
    (found,) = problems(f"  {body}")
    texts = [label.span.text for label in found.secondary if label.text != "instantiated here"]
    assert (found.code, found.primary.span.text, texts) == (code, place, labels)
    assert found.notes
    assert found.hint


def test_mistakes_inside_a_block_are_reported_there_once() -> None:
    body = "  part p = Map(d)\n  part q[k in 0..n] = Scaled(p, d, factor = -1.0 - k)"
    (found,) = problems(body)
    assert (found.code, found.primary.span.text) == ("TN302", "factor > 0 and sum(sizes) > 0")
    assert found.secondary


def test_named_instances_cannot_take_parts() -> None:
    text = f"{BLOCKS}\nmodel Alone = Scaled(d = 4)\n"
    with pytest.raises(CompileError) as caught:
        link(SourceFile("main.tn", text))
    (found,) = caught.value.diagnostics
    assert (found.code, found.primary.span.text) == ("TN305", "Scaled")
    assert [label.span.text for label in found.secondary] == ["inner"]


def test_there_is_a_limit_to_parts() -> None:
    for body in (
        "  part p[k in 0..60000] = Identity()\n  part q[k in 0..60000] = Identity()",
        "  part p[k in 0..200000] = Identity()",
    ):
        (found,) = problems(body)
        assert found.code == "TN501"


def test_nested_parts_are_limited_before_they_are_counted_out() -> None:
    blocks = ["model A0() {\n  part p[k in 0..100] = Identity()\n  input x(...)\n  output x\n}\n"]
    blocks += [block.replace("A0", f"A{k}").replace("Identity", f"A{k - 1}")
               for k in range(1, 9) for block in blocks[:1]]  # fmt: skip
    with pytest.raises(CompileError) as caught:
        resolve(link(SourceFile("main.tn", "\n".join(blocks))), "A8()")
    assert {found.code for found in caught.value.diagnostics} == {"TN501"}


def test_there_is_a_limit_to_parts_of_parts() -> None:
    first = "model A0() {\n  input x(...)\n  output x\n}\n"
    others = "".join(
        f"model A{k}() {{\n  part p = A{k - 1}()\n  input x(...)\n  output p(x)\n}}\n"
        for k in range(1, 2000)
    )
    linked = link(SourceFile("main.tn", first + others))
    resolve(linked, "A39()")
    with pytest.raises(CompileError) as caught:
        resolve(linked, "A1999()")
    assert [found.code for found in caught.value.diagnostics] == ["TN501"]


def test_members_that_are_made_of_the_same_are_one_callee() -> None:
    first, second, other = (part.callee for part in model(
        "  part p[k in 0..n] = Linear(d, d, bias = k < 2)").parts)  # fmt: skip
    assert first is second
    assert other is not first
