"""The tensor network: verifying, its graph, JSON and the text of `--emit=network`."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import networkx as nx
import pytest
from pydantic import ValidationError

from tests.support.declared_networks import padded_train, sliced
from tncompile.network.model import (
    Axis,
    Init,
    TensorNetwork,
)
from tncompile.network.printer import describe_network
from tncompile.network.verifying import verify_network

NETWORKS = (padded_train(), sliced())


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_legal_networks_are_legal(network: TensorNetwork) -> None:
    assert list(verify_network(network)) == []


Change = Callable[[TensorNetwork], TensorNetwork]


def changed(kind: str, part: str, /, **fields: object) -> Change:
    """The network with some fields of one of its parts replaced."""

    def change(network: TensorNetwork) -> TensorNetwork:
        attribute = {"index": "indices", "bias": "biases"}.get(kind, f"{kind}s")
        called = {"parameter": "key", "bias": "parameter"}.get(kind, "name")
        parts = tuple(
            held.model_copy(update=fields) if getattr(held, called) == part else held
            for held in getattr(network, attribute)
        )
        return network.model_copy(update={attribute: parts})

    return change


def output(**fields: object) -> Change:
    """The network with some fields of its output replaced."""
    return lambda network: network.model_copy(
        update={"output": network.output.model_copy(update=fields)}
    )


def without(kind: str, position: int) -> Change:
    """The network without one of its parts."""

    def change(network: TensorNetwork) -> TensorNetwork:
        parts = list(getattr(network, kind))
        del parts[position]
        return network.model_copy(update={kind: tuple(parts)})

    return change


LEGS = Axis(kind="legs", indices=("o",), size=4)

CORRUPTIONS: tuple[tuple[Change, str], ...] = (
    (changed("tensor", "A", axes=(("i[0]",), ("z",))), "tensor `A` has the leg `z`"),
    (changed("tensor", "A", source="Z"), "has the parameter `Z`, which is none"),
    (changed("tensor", "A", name="B"), "tensor `B` is declared 2 times"),
    (changed("tensor", "A", axes=(("b",), ("i[0]",))), "tensor `A` does not fit `A`"),
    (changed("tensor", "B", axes=(("b",), ("b",), ("o",))), "the leg `b` 2 times"),
    (changed("tensor", "x", axes=(("...",), ("i[1]", "i[0]"))), "other legs than input `x`"),
    (changed("tensor", "x", axes=(("...",),)), "does not have the axes of input `x`"),
    (changed("tensor", "x", conjugate=True), "is conjugated but no parameter"),
    (changed("tensor", "x", position=(0,)), "is at position (0,) of `x`"),
    (changed("index", "b", name="a"), "has the leg `b`, which is no index"),
    (changed("index", "b", size=None), "index `b` has the size None"),
    (changed("index", "b", size=0), "index `b` has the size 0"),
    (changed("index", "b", size=5), "parameter `A` has the shape (2, 4)"),
    (changed("index", "b", kind="index"), "index `b` is on tensors only"),
    (changed("index", "b", kind="dots"), "index `b` is of kind dots"),
    (changed("index", "i[0]", kind="bond"), "bond `i[0]` is on an input or the output"),
    (changed("index", "...", size=7), "index `...` of kind dots has the size 7"),
    (changed("index", "...", kind="batch"), "index `...` is of kind batch"),
    (changed("parameter", "A", shape=(2, 5)), "parameter `A` has the shape (2, 5)"),
    (changed("parameter", "A", key="B"), "parameter `B` is declared 2 times"),
    (changed("parameter", "A", init=Init(scheme="normal")), "without its number"),
    (changed("bias", "c", parameter="A"), "parameter `A` is factor and bias"),
    (changed("bias", "c", axes=(("i[0]",),)), "the leg `i[0]`, which the output lacks"),
    (changed("input", "x", name="z"), "has the input `x`, which is none"),
    (output(log=True), "a network with `log` has a bias"),
    (output(axes=(LEGS,)), "the output has an axis that does not fit"),
    (without("tensors", 0), "input `x` has 0 tensors for 1 slices"),
    (without("tensors", 1), "bond `b` has 1 ends"),
    (without("biases", 0), "parameter `c` is unused"),
    (without("indices", 3), "has the leg `o`, which is no index"),
)


@pytest.mark.parametrize("number", range(len(CORRUPTIONS)))
def test_a_corrupted_network_is_refused_by_name(number: int) -> None:
    change, expected = CORRUPTIONS[number]
    problems = list(verify_network(change(padded_train())))
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (changed("index", "h", kind="bond"), "bond `h` has 3 ends"),
        (changed("tensor", "x@1", position=(0,)), "input `x` has 2 tensors for 2 slices"),
        (changed("tensor", "x@1", position=(2,)), "is at position (2,) of `x`"),
        (changed("parameter", "E", init=Init(scheme="normal")), "without its number"),
    ],
)
def test_slices_and_hyperedges_are_checked(change: Change, expected: str) -> None:
    problems = list(verify_network(change(sliced())))
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_json_round_trip_fits_the_schema(network: TensorNetwork) -> None:
    text = network.to_json()
    assert TensorNetwork.from_json(text) == network
    assert TensorNetwork.from_json(text).to_json() == text
    schema = TensorNetwork.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(text), schema)


def test_json_of_another_shape_is_refused() -> None:
    held = json.loads(padded_train().to_json())
    held["tensors"][0]["color"] = "red"
    with pytest.raises(ValidationError, match="color"):
        TensorNetwork.from_json(json.dumps(held))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(held, TensorNetwork.json_schema())


def test_the_graph_is_bipartite_and_its_hyperedges_are_exact() -> None:
    graph = sliced().graph()
    assert nx.is_bipartite(graph)
    tensors = {node for node, side in graph.nodes(data="bipartite") if side == 0}
    assert tensors == {
        ("tensor", name) for name in ("x@0", "x@1", "word", "A[0]", "A[1]", "E", "y")
    }
    assert set(graph[("index", "h")]) == {("tensor", name) for name in ("A[0]", "A[1]", "E")}
    assert graph.nodes["index", "h"] == {"bipartite": 1, "kind": "hyper", "size": 3}
    assert graph.nodes["tensor", "E"]["shape"] == ((5,), (3,))
    assert graph.edges[("tensor", "E"), ("index", "h")]["axis"] == 1
    assert graph.nodes["tensor", "y"]["role"] == "output"


def test_describe_lists_every_part() -> None:
    assert describe_network(padded_train()) == (
        "network Train()\n"
        "\n"
        "indices:\n"
        "  dots   ...   run time  x y\n"
        "  index  i[0]  2         x A\n"
        "  index  i[1]  3         x B\n"
        "  index  o     3         B y\n"
        "  bond   b     4         A B\n"
        "\n"
        "inputs:\n"
        "  x(..., (i[*]) as 5)  [..., 5]\n"
        "\n"
        "parameters:\n"
        "  A  2 x 4      init auto\n"
        "  B  4 x 3 x 3  init auto\n"
        "  c  3          init linear\n"
        "\n"
        "tensors:\n"
        "  x  ..., (i[0] i[1])  input x\n"
        "  A  i[0], b           parameter A\n"
        "  B  b, i[1], o        parameter B\n"
        "\n"
        "biases:\n"
        "  c  o\n"
        "\n"
        "output:\n"
        "  y(..., o)\n"
    )
    assert "x(k in 0..2, f[k])  [2, 2]" in describe_network(sliced())
    assert "word(onehot(w))     [] of ids below 5" in describe_network(sliced())
    assert "E  5 x 3  init normal(0.5)  frozen" in describe_network(sliced())
