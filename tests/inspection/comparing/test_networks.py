"""What is said of two networks: everything that they are, in few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

import tncompile
from tests.support.library import architecture
from tncompile.inspection.comparing.changes import Change
from tncompile.inspection.comparing.names import names_text, together
from tncompile.inspection.comparing.networks import network_changes
from tncompile.network.model import TensorNetwork

TARGETS = (
    ("linear", "MPO(ins = [4, 3], outs = [2, 2, 3], inputs = 11)"),
    ("linear", "TensorRing(ins = [4, 3], outs = [2, 3])"),
    ("embedding", "TTEmbedding(rows = [4, 2], columns = [3, 2])"),
    ("convolution", "TTConv(ins = [4, 2], outs = [2, 4])"),
    ("generative", "MPSNorm(sites = 3)"),
    ("classifier", "MPSClassifier(sites = 4)"),
    ("adapters", "ZeroMPO(ins = [4, 3], outs = [2, 2])"),
)

NO_DIFFERENCE = {"line", "written", "doc", "target", "family", "subscripts"}
"""Where and how things were written, and what follows from a name."""

NAMES = {"name", "role", "source", "key", "indices", "axes", "position", "parameter"}
"""What others refer to, so that it cannot be changed alone."""


def changed(value: object) -> object:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return {"bond": "hyper", "auto": "ones", "zeros": "circular"}.get(value, f"{value}x")
    return 7 if value is None else (*value, 9)  # type: ignore[misc]


def variants(network: TensorNetwork) -> list[tuple[str, TensorNetwork]]:
    """The network with one field changed, for every field of everything that it is made of."""
    found: list[tuple[str, TensorNetwork]] = []
    skipped = NO_DIFFERENCE | NAMES

    def walk(path: str, node: Any, put: Callable[[Any], TensorNetwork]) -> None:
        for field in type(node).model_fields:
            if field in skipped - {"axes"}:
                continue
            value, where = getattr(node, field), f"{path}.{field}"

            def renewed(new: Any, field: str = field) -> TensorNetwork:
                return put(node.model_copy(update={field: new}))

            if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
                for k, each in enumerate(value):
                    walk(
                        f"{where}[{k}]",
                        each,
                        lambda new, k=k, value=value, renewed=renewed: renewed(  # type: ignore[misc]
                            (*value[:k], new, *value[k + 1 :])
                        ),
                    )
            elif isinstance(value, BaseModel):
                walk(where, value, renewed)
            elif field != "axes" and not isinstance(value, tuple):
                found.append((where, renewed(changed(value))))
            elif field == "shape":
                found.append((where, renewed((*value, 9))))

    walk("", network, anew)
    return found


def anew(network: TensorNetwork) -> TensorNetwork:
    """The network without what it remembers of itself."""
    fields = {name: getattr(network, name) for name in TensorNetwork.model_fields}
    return TensorNetwork.model_construct(**fields)


def is_told_elsewhere(path: str, network: TensorNetwork) -> bool:
    """Indices of windows and `...` are told with the window and the shapes; tensors that are inputs
    with the inputs, and they are not conjugated."""
    _, _, number = path.partition("]")[0].partition("[")
    if path.startswith(".indices["):
        return network.indices[int(number)].kind in ("dots", "window", "kernel")
    return path.startswith(".tensors[") and network.tensors[int(number)].role == "input"


@pytest.mark.parametrize(("file", "target"), TARGETS)
def test_every_field_is_compared(file: str, target: str) -> None:
    network = architecture(file, target).network
    assert network_changes(network, network.model_copy(deep=True)) == ()
    tried = 0
    for path, other in variants(network):
        if not is_told_elsewhere(path, network):
            tried += 1
            assert network_changes(network, other), path
            assert network_changes(other, network), path
    assert tried > 20


def test_where_things_are_written_is_no_difference() -> None:
    lines = "index i = 2", "index j = 3", "input x(..., i)", "tensor t(i, j)"
    text, other = (
        f"network {name}() {{\n{chr(10).join(each)}\noutput y(..., j)\n}}"
        for name, each in (("A", lines), ("B", (*lines[1::-1], *lines[:1:-1])))
    )
    one, two = (tncompile.loads(each).instantiate().network for each in (text, other))
    assert network_changes(one, two) == ()


def test_the_order_of_inputs_is_one() -> None:
    text = "network A() {{\n  index i = 2\n  {}\n  {}\n  output y()\n}}"
    inputs = "input a(i)", "input b(i)"
    one, two = (
        tncompile.loads(text.format(*each)).instantiate() for each in (inputs, inputs[::-1])
    )
    (change,) = network_changes(one.network, two.network)
    assert (change.aspect, change.before, change.after) == ("order", "a, b", "b, a")


def rows(one: tncompile.Architecture, other: tncompile.Architecture) -> list[tuple[str, ...]]:
    found = together(network_changes(one.network, other.network))
    return [(f"{c.kind} {c.name}", c.aspect, str(c.before), str(c.after)) for c in found]


def test_long_families_are_a_row() -> None:
    one, other = (
        architecture("classifier", f"MPSClassifier(sites = 784, rank = {rank})") for rank in (2, 3)
    )
    assert rows(one, other) == [
        ("bond a[0] … a[391]", "size", "2", "3"),
        ("bond d[392] … d[783]", "size", "2", "3"),
        ("tensor A[0]", "shape", "2 × 2", "2 × 3"),
        ("tensor A[1] … A[391]", "shape", "2 × 2 × 2", "3 × 2 × 3"),
        ("tensor Label", "shape", "2 × 10 × 2", "3 × 10 × 3"),
        ("tensor D[392] … D[782]", "shape", "2 × 2 × 2", "3 × 2 × 3"),
        ("tensor D[783]", "shape", "2 × 2", "3 × 2"),
    ]


def test_legs_are_told_by_how_far_they_are() -> None:
    text = """network Chain(n: int = 40, turned: bool = false) {
  bond b[k in 0..n + 1] = 2
  index p[k in 0..n] = 3
  input x(..., k in 0..n, p[k])
  tensor G[k in 0..n](b[k], p[k], b[k + 1])
  tensor First(b[0])
  tensor Last(b[n])
  output y(...)
}"""
    one = tncompile.loads(text).instantiate()
    turned = tncompile.loads(text.replace("G[k in 0..n](b[k], p[k]", "G[k in 0..n](p[k], b[k]"))
    assert rows(one, turned.instantiate()) == [
        ("tensor G[0] … G[39]", "legs", "b[k], p[k], b[k + 1]", "p[k], b[k], b[k + 1]"),
        ("tensor G[0] … G[39]", "shape", "2 × 3 × 2", "3 × 2 × 2"),
    ]


def test_sharing_and_freezing() -> None:
    text = """network N(n: int = 3) {
  index i[k in 0..n] = 2, j[k in 0..n] = 2
  input x(..., (i[*]))
  tensor G[k in 0..n](i[k], j[k])
  output y(..., (j[*]))
}"""
    one = tncompile.loads(text).instantiate()
    shared = tncompile.loads(text.replace("(i[k], j[k])", "(i[k], j[k]) share k"))
    assert rows(one, shared.instantiate()) == [
        ("tensor G[0] … G[2]", "parameter", "G.k", "G (shared)")
    ]
    frozen = tncompile.loads(text.replace("(i[k], j[k])", "(i[k], j[k]) init normal(0.1) frozen"))
    assert rows(one, frozen.instantiate()) == [
        ("tensor G[0] … G[2]", "init", "auto", "normal(0.1)"),
        ("tensor G[0] … G[2]", "frozen", "no", "yes"),
    ]


def test_what_one_has_alone() -> None:
    small, large = (
        architecture("linear", f"MPO(ins = {[4] * n}, outs = {[4] * n})") for n in (2, 5)
    )
    found = {row[0]: row[1:] for row in rows(small, large)}
    assert found["tensor G[2], G[3]"] == ("", "None", "16 × 4 × 4 × 16")
    assert found["bond b[1] … b[3]"] == ("", "None", "size 16")
    back = {row[0]: row[1:] for row in rows(large, small)}
    assert back["tensor G[2], G[3]"] == ("", "16 × 4 × 4 × 16", "None")


def test_names() -> None:
    grid = [f"V[{k}, {m}]" for k in range(3) for m in range(4)]
    assert names_text(grid) == "V[0, 0] … V[2, 3]"
    assert names_text(grid[1:]) == "V[0, 1] … V[0, 3], V[1, 0] … V[1, 3], V[2, 0] … V[2, 3]"
    assert names_text(["x@0", "x@1", "x@2"]) == "x@0 … x@2"
    assert names_text(["W"]) == "W"


def test_members_that_differ_otherwise_stay_apart() -> None:
    changes = [Change("bond", f"b[{k}]", "size", "8", str(9 + (k == 3))) for k in range(6)]
    assert [(c.name, c.after) for c in together(changes)] == [
        ("b[0] … b[2], b[4], b[5]", "9"),
        ("b[3]", "10"),
    ]
