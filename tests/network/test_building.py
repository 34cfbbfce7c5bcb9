"""A resolved network as a `TensorNetwork`: names, axes, keys, and the text they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import ACCEPTANCE
from tests.acceptance.reference import cases
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile
from tncompile.network.building import build
from tncompile.network.model import TensorNetwork

GOOD = ACCEPTANCE / "good"
OWN = Path(__file__).parents[1] / "programs" / "good"


def network(path: Path, target: str, arguments: dict[str, Any] | None = None) -> TensorNetwork:
    source = SourceFile(path.name, path.read_text(encoding="utf-8"))
    return build(resolve(link(source, folder=path.parent), target, arguments or {}))


CASES = cases(GOOD)


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_acceptance_programs_have_their_parameters(case: dict[str, Any]) -> None:
    held = network(GOOD / case["file"], case["block"], case["arguments"])
    assert {p.key: list(p.shape) for p in held.parameters} == case["parameters"]
    assert [p.key for p in held.parameters if p.frozen] == case.get("frozen", [])
    assert [x.name for x in held.inputs] == [x["name"] for x in case["inputs"]]
    assert len(held.tensors) == len(case["operands"])
    used = [t.source for t in held.tensors if t.role == "parameter"]
    assert used == [key for key, _ in case["operands"] if key in case["parameters"]]
    biases = [bias.parameter for bias in held.biases]
    assert biases == list(case["bias"] or {})


def test_a_chain_with_everything() -> None:
    held = network(OWN / "open_chain.tn", "Chain")
    assert held.target == "Chain"
    assert held.doc is not None
    assert [(p.key, p.shape, p.init.scheme, p.frozen) for p in held.parameters] == [
        ("First", (2, 3, 1), "normal", False),
        ("Inner", (3, 2, 3), "eye", False),
        ("Last", (3, 18), "auto", False),
        ("Top", (9, 2), "auto", True),
        ("c", (2,), "zeros", False),
    ]
    assert held.parameter["First"].init.argument == 0.5
    assert held.parameter["Last"].axes == (("b[3]",), ("f[4]", "t"))
    assert held.parameter["Inner"].written.startswith("Inner[k in 1..n - 1](b[k - 1], f[k], b[k])")
    assert [t.name for t in held.tensors] == [
        *(f"x@{k}" for k in range(5)),
        *("gate", "First", "Inner[1]", "Inner[2]", "Inner[3]", "Last", "Top"),
    ]
    given = held.inputs[0]
    assert [(axis.kind, axis.indices, axis.size) for axis in given.axes] == [
        ("dots", ("...",), None),
        ("slices", (), 5),
        ("legs", ("f[0]",), 2),
    ]
    assert held.tensors[3].position == (3,)
    assert held.tensors[3].axes == (("...",), ("f[3]",))
    assert (given.written, given.line) == ("x(..., k in 0..n, f[k])", 8)
    assert held.output.written == "y(..., label)"
    assert held.biases[0].axes == (("label",),)
    assert [i.name for i in held.indices[:3]] == ["...", "f[0]", "f[1]"]
    assert held.index["b[2]"].kind == "bond"
    assert (held.index["b[2]"].family, held.index["b[2]"].subscripts) == ("b", (2,))


def test_programs_of_our_own_build() -> None:
    assert network(OWN / "arithmetic.tn", "").parameter["A"].shape == (4, 3)
    assert network(OWN / "library.tn", "Small").target == "Small"
    assert network(OWN / "library.tn", "Other").parameter["A"].init.argument == 0.0


def test_a_network_is_json_and_back() -> None:
    held = network(OWN / "open_chain.tn", "Chain(n = 4)")
    assert TensorNetwork.model_validate_json(held.model_dump_json()) == held


def test_slices_along_two_axes() -> None:
    held = network(GOOD / "peps_classifier.tn", "PEPS(rows = 2, cols = 2)")
    assert [t.name for t in held.tensors[:4]] == ["x@0,0", "x@0,1", "x@1,0", "x@1,1"]
    assert [p.key for p in held.parameters] == ["S.0.0", "S.0.1", "S.1.0", "S.1.1", "Top"]
