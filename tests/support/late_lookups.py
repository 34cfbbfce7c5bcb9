"""Embeddings whose parameters are merged to tables before ids pick rows: networks and trees."""

from __future__ import annotations

import random

import pytest

import tncompile
from tests.support.brute_force import RUNTIME
from tests.support.strategies import Sketch
from tncompile.network.contraction import ContractionTree, Lookup, build_tree, opened, operands
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.paths import lookup_tables as merging
from tncompile.planning.paths.lookup_tables import TableSearch
from tncompile.planning.paths.optimizers import EFFORTS

SIZES = {**RUNTIME, DOTS: 1000}

NAMED = {
    "train": Sketch(
        {DOTS: None, "i": 3, "j": 2, "k": 4, "p": 2, "q": 3, "s": 2, "a": 3, "b": 2},
        {"x": (DOTS, "i", "j", "k")},
        {"F": ("i", "p", "a"), "G": ("a", "j", "q", "b"), "H": ("b", "k", "s")},
        (DOTS, "p", "q", "s"),
        {"x": ("i", "j", "k")},
    ),
    "two sites": Sketch(
        {DOTS: None, "i": 5, "j": 3, "p": 4, "q": 1, "a": 2},
        {"x": (DOTS, "j", "i")},
        {"F": ("i", "p", "a"), "G": ("a", "j", "q")},
        (DOTS, "p", "q"),
        {"x": ("j", "i")},
    ),
    "ring": Sketch(
        {DOTS: None, "i": 3, "j": 2, "k": 2, "p": 2, "a": 2, "b": 3, "c": 2},
        {"x": (DOTS, "i", "j", "k")},
        {"F": ("c", "i", "a"), "G": ("a", "j", "p", "b"), "H": ("b", "k", "c")},
        (DOTS, "p"),
        {"x": ("i", "j", "k")},
    ),
    "CP": Sketch(
        {DOTS: None, "i": 3, "j": 4, "p": 5, "r": 3},
        {"x": (DOTS, "i", "j")},
        {"F": ("i", "r"), "G": ("j", "r"), "H": ("p", "r")},
        (DOTS, "p"),
        {"x": ("i", "j")},
    ),
    "Tucker": Sketch(
        {DOTS: None, "i": 3, "j": 4, "p": 5, "a": 2, "b": 3, "c": 2},
        {"x": (DOTS, "i", "j")},
        {"F": ("i", "a"), "G": ("j", "b"), "H": ("p", "c"), "C": ("a", "b", "c")},
        (DOTS, "p"),
        {"x": ("i", "j")},
    ),
    "tree": Sketch(
        {DOTS: None, "i": 2, "j": 3, "k": 2, "l": 2, "p": 3}
        | {"a": 2, "b": 3, "c": 2, "d": 2, "e": 3, "f": 2},
        {"x": (DOTS, "i", "j", "k", "l")},
        {
            "A": ("i", "a"),
            "B": ("j", "b"),
            "C": ("k", "c"),
            "D": ("l", "d"),
            "E": ("a", "b", "e"),
            "F": ("c", "d", "f"),
            "T": ("e", "f", "p"),
        },
        (DOTS, "p"),
        {"x": ("i", "j", "k", "l")},
    ),
    "two ids": Sketch(
        {DOTS: None, "n": None, "i": 3, "j": 2, "k": 3, "p": 2, "a": 2, "b": 2},
        {"x": (DOTS, "i", "k"), "z": (DOTS, "n", "j")},
        {"F": ("i", "a"), "G": ("a", "j", "p", "b"), "H": ("b", "k")},
        (DOTS, "n", "p"),
        {"x": ("i", "k"), "z": ("j",)},
    ),
    "ids and numbers": Sketch(
        {DOTS: None, "i": 3, "j": 2, "p": 4, "q": 3, "a": 2, "b": 3},
        {"x": (DOTS, "i", "j"), "z": (DOTS, "q")},
        {"F": ("i", "a"), "G": ("a", "j", "b"), "H": ("b", "q", "p")},
        (DOTS, "p"),
        {"x": ("i", "j")},
        ("p",),
    ),
    "ids in the output": Sketch(
        {DOTS: None, "i": 3, "j": 2, "p": 2, "a": 2},
        {"x": (DOTS, "i", "j")},
        {"F": ("i", "a"), "G": ("a", "j", "p"), "H": ("i", "p")},
        (DOTS, "i", "p"),
        {"x": ("i", "j")},
    ),
}
"""Embeddings of every kind; sizes differ, so that no order of axes goes unnoticed."""

CHAIN = """
network Chain(n: int = 8, d: int = 2, r: int = 3) {
  index  v[k in 0..n] = d, left = r, right = r
  bond   b[k in 0..n - 1] = r
  input  ids(..., k in 0..n, onehot(v[k]))
  tensor F(v[0], left, b[0])
  tensor G[k in 1..n - 1](b[k - 1], v[k], b[k])
  tensor H(b[n - 2], v[n - 1], right)
  output y(..., left, right)
}
"""


def random_embedding(seed: int) -> Sketch:
    """A random connected network of parameters, most legs looked up, now and then with numbers."""
    rng = random.Random(seed)
    count = rng.randint(2, 5)
    sizes: dict[str, int | None] = {DOTS: None}
    legs: list[list[str]] = [[] for _ in range(count)]

    def new(stem: str) -> str:
        name = f"{stem}{len(sizes)}"
        sizes[name] = rng.choice([1, 2, 2, 3])
        return name

    for k in range(1, count):
        bond = new("b")
        for end in {k, rng.randrange(k), *rng.sample(range(k), rng.randint(0, 1))}:
            legs[end].append(bond)
    if rng.random() < 0.3 and count > 2:
        bond = new("b")
        for end in rng.sample(range(count), 2):
            legs[end].append(bond)
    digits: list[str] = []
    free: list[str] = []
    for held in legs:
        for _ in range(rng.randint(0, 2)):
            name = new("i")
            held.append(name)
            (digits if rng.random() < 0.7 else free).append(name)
    if not digits:
        digits.append(new("i"))
        legs[0].append(digits[0])
    if rng.random() < 0.3:
        rng.choice(legs).append(digits[0])
    for held in legs:
        held[:] = rng.sample(list(dict.fromkeys(held)), len(set(held)))
    rng.shuffle(digits)
    split = rng.randint(1, len(digits))
    ids = {"x": tuple(digits[:split])} | ({"z": tuple(digits[split:])} if digits[split:] else {})
    inputs = {name: (DOTS, *held) for name, held in ids.items()}
    if free and rng.random() < 0.4:
        inputs["y"] = (DOTS, free.pop())
    output = (DOTS, *rng.sample(free, len(free)))
    if rng.random() < 0.2:
        output = (*output, digits[0])
    kept = {f"W{k}": tuple(dict.fromkeys(held)) for k, held in enumerate(legs)}
    return Sketch(sizes, inputs, kept, output, ids)


def random_late_tree(net: TensorNetwork, seed: int) -> ContractionTree:
    """Any tree in which some parameters, neighbors or not, are merged before ids pick rows."""
    rng = random.Random(seed)
    due = operands(net)
    fixed = [k for k, one in enumerate(due) if net.tensors[one.tensor].role == "parameter"]
    rng.shuffle(fixed)
    blocks: list[list[int]] = []
    while len(fixed) > 1:
        size = rng.randint(1, len(fixed))
        block, fixed = fixed[:size], fixed[size:]
        if size > 1 and any(due[k].lookups for k in block):
            blocks.append(block)
    merged = {k for block in blocks for k in block}
    given = tuple(opened(net, one) if k in merged else one for k, one in enumerate(due))
    pairs: list[tuple[int, int]] = []

    def join(alive: list[int]) -> int:
        while len(alive) > 1:
            left, right = rng.sample(alive, 2)
            alive = [side for side in alive if side not in (left, right)]
            alive.append(len(given) + len(pairs))
            pairs.append((left, right))
        return alive[0]

    late: dict[int, tuple[Lookup, ...]] = {}
    roots: list[int] = []
    for block in blocks:
        roots.append(join(block))
        late[roots[-1]] = tuple(dict.fromkeys(one for k in block for one in due[k].lookups))
    join([*roots, *(k for k in range(len(given)) if k not in merged)])
    return build_tree(net, given, tuple(pairs), late)


def every_candidate(
    net: TensorNetwork, monkeypatch: pytest.MonkeyPatch | None = None
) -> list[ContractionTree]:
    """The trees of all groupings."""
    if monkeypatch is not None:
        monkeypatch.setattr(merging, "CHEAPEST", 10**6)
    sizes = {index.name: SIZES[index.name] for index in net.indices if index.size is None}
    found = tuple(TableSearch(net, operands(net), sizes).candidates(EFFORTS["normal"]))
    return [one.tree for one in found]


ROWS, COLUMNS, RANK = [16, 10, 12], [4, 4, 8], 8


def embedding() -> tncompile.Architecture:
    """A tensor-train table of 1,920 words."""
    spec = tncompile.loads('import "std/embedding.tn" { TTEmbedding }')
    return spec.instantiate("TTEmbedding", rows=ROWS, columns=COLUMNS, ranks=RANK)
