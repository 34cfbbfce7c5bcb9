"""Blocks with arguments: values, families, legs, parameters; limits and speed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.resolved import network, problems, sized

LISTS = """
network N(ins: int[n], outs: int[n], ranks: int[n - 1] = 16, s: float = 0.1, b: bool = true) {
  index  i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
  bond   r[k in 0..n - 1] = ranks[k]
  input  x(..., (i[*]))
  tensor G[k in 0..n](r[k - 1]?, i[k], o[k], r[k]?) init normal(s)
  bias   c(o[*]) if b
  output y(..., (o[*]))
}
"""


# ── arguments ──────────────────────────────────────────────────────────────────────────────────


def test_arguments_from_the_target_and_from_python() -> None:
    wanted = "N(ins = [4, 8], outs = [2, 2], ranks = [3])"
    for resolved in (
        network(LISTS, "N(ins = [4, 8], outs = 2, ranks = 3)"),
        network(LISTS, "N([4, 8], 2, [3])"),
        network(LISTS, "N", ins=[4, 8], outs=2, ranks=3),
        network(LISTS, "", ins=(4, 8), outs=torch.Size([2, 2]), ranks=torch.tensor(3)),
        network(LISTS, "N(outs = [1 + 1] * 2, ins = [4, 8])", ranks=[3]),
    ):
        assert resolved.target == wanted
        assert resolved.values["ranks"] == (3,)
    assert network(LISTS, ins=[4], outs=[2]).target == "N(ins = [4], outs = [2])"
    assert network(LISTS, ins=[4], outs=[2], s=1).values["s"] == 1.0
    assert network(sized("d")).target == "N"


@pytest.mark.parametrize("s", [0.1, 1e-7, 2.5e30, 3.0])
def test_the_target_of_a_network_makes_it_again(s: float) -> None:
    resolved = network(LISTS, ins=[4, 8], outs=2, ranks=3, s=s, b=False)
    again = network(LISTS, resolved.target)
    assert again == resolved


@pytest.mark.parametrize(
    ("arguments", "code", "quoted"),
    [
        ({"ins": "ab", "outs": [1]}, "TN305", "ins = 'ab'"),
        ({"ins": None, "outs": [1]}, "TN305", "NoneType"),
        ({"ins": [2.5], "outs": [1]}, "TN305", "ins = [2.5]"),
        ({"ins": [2], "outs": [1], "b": 1}, "TN305", "b = 1"),
        ({"ins": [2], "outs": [1], "s": float("nan")}, "TN305", "s = nan"),
        ({"ins": [2], "outs": [10**5000]}, "TN304", "outs = "),
        ({"ins": [2], "outs": [1, 2]}, "TN303", "outs = [1, 2]"),
        ({"ins": range(10**9), "outs": [1]}, "TN305", "range"),
        ({"ins": torch.zeros(3), "outs": [1]}, "TN305", "Tensor"),
    ],
)
def test_wrong_arguments_point_at_the_parameter(
    arguments: dict[str, Any], code: str, quoted: str
) -> None:
    (diagnostic,) = problems(LISTS, **arguments)
    assert diagnostic.code == code
    assert diagnostic.primary.span.text in ("ins", "outs", "b", "s")
    assert quoted in diagnostic.notes[0]


def test_missing_and_unknown_arguments() -> None:
    (diagnostic,) = problems(LISTS, "N")
    assert (diagnostic.code, diagnostic.primary.span.text) == ("TN208", "ins")
    (diagnostic,) = problems(LISTS, "N(ins = [2], outs = [2])", rank=3)
    assert (diagnostic.code, diagnostic.hint) == ("TN208", "did you mean `ranks`?")
    (diagnostic,) = problems(LISTS, "N(ins = [2], outs = [2])", ins=[3])
    assert (diagnostic.code, diagnostic.primary.span.text) == ("TN208", "ins")
    first, second = problems(LISTS, "N(inz = [2], outs = 1 // 0)")
    assert [first.code, second.code] == ["TN208", "TN304"]


def test_targets_that_name_nothing() -> None:
    (diagnostic,) = problems(LISTS, "Nn")
    assert (diagnostic.code, diagnostic.primary.span.source.name) == ("TN201", "<target>")
    (diagnostic,) = problems(LISTS + LISTS.replace("network N", "network M"), "")
    assert (diagnostic.code, diagnostic.primary.span.text) == ("TN201", "N")
    assert [d.code for d in problems("", "")] == ["TN201"]
    (diagnostic,) = problems('rewrite R { linear "*" -> keep }', "R")
    assert (diagnostic.code, diagnostic.primary.span.text) == ("TN201", "R")
    (diagnostic,) = problems("model M(p: part) {\n  input x(..., 3)\n  output p(x)\n}\n", "M")
    assert (diagnostic.code, diagnostic.primary.span.text) == ("TN305", "M")
    assert [d.code for d in problems(LISTS, "N(")] == ["TN102"]


# ── families and legs ──────────────────────────────────────────────────────────────────────────


RING = (
    "network Ring(ins: int[n], outs: int[n]) {\n"
    "  index i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]\n"
    "  input x(i[*])\n  tensor A(i[*], o[*])\n  output y(o[*])\n}\n"
)


@pytest.mark.parametrize(
    ("text", "target", "hint"),
    [
        (RING, "Ring(ins = (4, 4), outs = [4, 4])", "write `[4, 4]`"),
        (RING + "network M = Ring((4, 4), [4, 4])", "M", "write `[4, 4]`"),
        (RING, "Ring", "write `Ring(ins = …, outs = …)`"),
        (RING, "Ring(ins = [4])", "add `outs = …`"),
        (RING + "network M = Ring([4], [4])", "", "name it: `M`"),
        (RING + RING.replace("Ring", "Chain"), "", "name it: `Ring(ins = …, outs = …)`"),
        ("", "Foo", "declare a block: `network N(d: int = 4) { … }`"),
        ("", "", "declare a block: `network N(d: int = 4) { … }`"),
        ('import "std/linear.tn" { MPO }', "", "name an imported block: `MPO(ins = …, outs = …)`"),
    ],
)
def test_what_to_type_for_a_target(text: str, target: str, hint: str) -> None:
    (found,) = problems(text, target)
    assert found.hint == hint


@pytest.mark.parametrize(
    ("legs", "hint"),
    [
        ("input x(i)\ntensor A(i, r)\ntensor C(r)\noutput y()", "bond r = …"),
        ("input x(i)\ntensor A(i, r)\ntensor C(r)\ntensor D(r)\noutput y()", "hyper r = …"),
        ("input x(i)\ntensor A[k in 0..3](r)\ntensor C(i)\noutput y()", "hyper r = …"),
        (
            "input x(i)\ntensor A[k in 0..3](r[k])\ntensor C(r[*])\noutput y()",
            "bond r[k in 0..n] = …",
        ),
        ("input x(r, i)\ntensor A(i)\noutput y(r)", "batch r"),
        ("input x(r, i)\ntensor A(i, r)\noutput y()", "index r = …"),
        ("input x(i)\ntensor A(i, r)\noutput y(r)", "index r = …"),
    ],
)
def test_an_unknown_leg_is_declared_as_it_is_used(legs: str, hint: str) -> None:
    (found,) = problems(f"network N() {{\nindex i = 2\n{legs}\n}}")
    assert found.hint == f"declare it before: `{hint}`"


def test_a_subscript_without_a_family_is_a_star() -> None:
    text = "network N() {\nindex i[k in 0..3] = 2\ninput x(i[*])\ntensor A(%s)\noutput y(%s)\n}"
    (found,) = problems(text % ("i[*]", "i[k]"))
    assert found.hint == "write `i[*]` for all members"
    (found,) = problems(text % ("i[k]", "i[*]"))
    assert found.hint == "write `i[*]` for all members, or make a family: `tensor A[k in 0..n](…)`"


def test_open_boundaries_and_groups() -> None:
    resolved = network(LISTS, ins=[4, 8, 2], outs=[2, 3, 5])
    assert [tuple(p.shape) for p in resolved.parameters] == [
        (4, 2, 16),
        (16, 8, 3, 16),
        (16, 2, 5),
        (2, 3, 5),
    ]
    assert [p.key for p in resolved.parameters] == ["G.0", "G.1", "G.2", "c"]
    assert resolved.inputs[0].axes[1].indices == ("i[0]", "i[1]", "i[2]")
    assert resolved.inputs[0].axes[1].size == 64
    assert resolved.parameters[0].init.argument == 0.1
    assert resolved.parameters[3].init.scheme == "linear"
    assert network(LISTS, ins=[4], outs=[2], b=False).biases == ()
    assert resolved.target == "N(ins = [4, 8, 2], outs = [2, 3, 5])"


def test_stars_and_several_subscripts() -> None:
    text = """network N(n: int = 3) {
      index v[l in 0..n, p in 0..n - l] = 2
      index w[l in 0..0] = 3
      input x(v[*])
      tensor A(v[0, *], v[2, *], w[*])
      tensor B((v[1, *] w[*]))
      output y()
    }
    """
    resolved = network(text)
    first, second = resolved.tensors
    assert [a.indices[0] for a in first.axes] == ["v[0, 0]", "v[0, 1]", "v[0, 2]", "v[2, 0]"]
    assert [a.indices for a in second.axes] == [("v[1, 0]", "v[1, 1]")]
    assert resolved.parameters[1].shape == (4,)


def test_an_empty_inner_range_is_not_a_missing_member() -> None:
    text = """network N() {
      bond b[l in 0..3, p in 0..l] = 2
      tensor A(b[0, *], b[1, *], b[2, *])
      tensor B(b[*])
      output y()
    }
    """
    assert len(network(text).tensors[0].axes) == 3


def test_slices_of_inputs() -> None:
    text = """network N() {
      batch t
      index f[r in 1..3, c in 0..2] = 4
      input x(..., r in 1..3, t, c in 0..2, f[r, c])
      input z[k in 5..7](t)
      tensor A(f[*])
      output y(..., t)
    }
    """
    resolved = network(text)
    given = resolved.inputs[0]
    assert [axis.kind for axis in given.axes] == ["dots", "slices", "legs", "slices", "legs"]
    assert [axis.size for axis in given.axes] == [None, 2, None, 2, 4]
    assert [piece.position for piece in given.slices] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert given.slices[2].axes[-1].indices == ("f[2, 0]",)
    assert [x.name for x in resolved.inputs] == ["x", "z[5]", "z[6]"]


def test_ids_and_widths() -> None:
    text = """network N(width: int = 10, cut: int = 6) {
      index v[k in 0..2] = 3 + k, e[k in 0..2] = 3
      input id(..., p in 0..1, onehot(v[*]) as width)
      tensor A(v[*], e[*])
      output y(..., (e[*]) as cut)
    }
    """
    resolved = network(text)
    axis = resolved.inputs[0].axes[2]
    assert (axis.kind, axis.size, axis.width) == ("onehot", 12, 10)
    assert (resolved.output.axes[1].size, resolved.output.axes[1].width) == (9, 6)
    assert network(text, cut=9).output.axes[1].width is None


def test_sharing_and_ties() -> None:
    text = """network N(n: int = 3) {
      index f[l in 0..2, k in 0..n] = 2
      index g[l in 0..2, k in 0..n] = 2
      bond  u[l in 0..2, k in 0..n] = 2, w[l in 0..2, k in 0..n] = 2
      input x(f[*])
      tensor A[l in 0..2, k in 0..n](f[l, k], u[l, k]) share k
      tensor F[l in 0..2, k in 0..n](u[l, k], w[l, k]) share l, k frozen
      tensor B[a in 0..2, b in 0..n](g[a, b], w[a, b]) tie A conj if b > 0
      tensor C[b in 0..1](g[0, 0], w[0, 0]) tie A[1, 2]
      tensor D(g[1, 0], w[1, 0]) tie B[1, n - 1] conj
      output y(g[*])
    }
    """
    resolved = network(text)
    assert [p.key for p in resolved.parameters] == ["A.0", "A.1", "F"]
    assert [p.frozen for p in resolved.parameters] == [False, False, True]
    uses = {t.name: (t.key, t.conjugate) for t in resolved.tensors}
    assert uses["A[1, 2]"] == ("A.1", False)
    assert uses["F[0, 1]"] == ("F", False)
    assert uses["B[0, 1]"] == ("A.0", True)
    assert "B[0, 0]" not in uses
    assert uses["C[0]"] == ("A.1", False)
    assert uses["D"] == ("A.1", False)


def test_absent_declarations() -> None:
    text = """network N(low: bool, k: int = 3) {
      index i = 2, o = 2, e[q in 0..k] = 3 if low
      bond  r = 2 if low
      input x(..., i, e[*]?)
      input z(..., e[0]?) if not low
      tensor A(i, o, r?, e[*]?)
      tensor B(r, nothing[9]) if low and false
      tensor C(r) if low
      output y(..., o)
    }
    """.replace(", nothing[9]", ", e[9]")
    assert [t.name for t in network(text, low=True).tensors] == ["A", "C"]
    assert [x.name for x in network(text, low=False).inputs] == ["x", "z"]
    assert [i.name for i in network(text, low=False).indices] == ["...", "i", "o"]


def test_a_hyper_of_a_family_with_one_member() -> None:
    text = """network CP(ins: int[n], outs: int[m], rank: int = 5) {
      index i[k in 0..n] = ins[k]
      index o[k in 0..m] = outs[k]
      hyper r = rank
      input x(..., (i[*]))
      tensor U[k in 0..n](i[k], r)
      tensor V[k in 0..m](o[k], r)
      output y(..., (o[*]))
    }
    """
    assert len(network(text, ins=[3], outs=[4]).tensors) == 2
    assert [d.code for d in problems(text, ins=[], outs=[4])] == ["TN402"]


def test_unusual_networks_that_are_legal() -> None:
    network("network N() { output y() }")
    network("network N() {\n  index i = 1\n  input x(..., i)\n  output y(..., i)\n}")
    network("network N() {\n  tensor s()\n  output y()\n}")
    network(
        "network N() {\n  index i = 2\n  input a(..., i)\n  input b(..., i)\n  output y(...)\n}"
    )
    network("network N() {\n  batch s\n  input a(..., s)\n  tensor g()\n  output y(..., s)\n}")


def test_all_mistakes_of_a_stage_at_once() -> None:
    text = """network N(d: int = 4) {
      index i = d, o = d - 4, e[k in 0..2] = d - k * 4
      bond  r[k in 0..2] = 2
      input x(..., (i o) as 99, e[2])
      tensor A(i, r[5], o)
      tensor B(r[0], o, e[*])
      output y(..., o)
    }
    """
    found = [f"{d.code} {d.primary.span.text}" for d in problems(text)]
    assert found == ["TN301 d - 4", "TN301 d - k * 4", "TN205 e[2]", "TN205 r[5]"]


def test_warnings() -> None:
    text = """network N(n: int = 3) {
      index i[k in 0..n] = 2
      bond  b[k in 0..n - 1] = 2
      input x(..., k in 0..n, i[k])
      tensor G[k in 0..n](i[k], b[k + 7]?)
      tensor H(b[0], b[1])
      tensor K(b[*])
      output y(...)
    }
    """
    resolved = network(text)
    assert sorted(d.code for d in resolved.warnings) == ["TN209", "TN407"]
    assert (
        network(text.replace("n: int = 3", "n: int = 1").replace("b[0], b[1]", "")).warnings == ()
    )
