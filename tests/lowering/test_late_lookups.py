"""Parameters merged to tables before ids pick rows of them: values, plans, folding, exports."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
from benchmarks.memory import peak_allocated
from tests.support.brute_force import RUNTIME, brute_force, close, random_tensors
from tests.support.memory import held_bytes
from tests.support.strategies import Sketch, network
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.lowering.stacking.grouping import units
from tncompile.machine.profile import BUILTIN
from tncompile.network.contraction import (
    Contraction,
    ContractionTree,
    Lookup,
    build_tree,
    opened,
    operands,
    verify_tree,
)
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.layouts.schedules import proposals
from tncompile.planning.lock import fingerprint
from tncompile.planning.paths import lookup_tables as merging
from tncompile.planning.paths.lookup_tables import TableSearch
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.serialization import read
from tncompile.planning.verifying import verify_plan
from tncompile.program.interpreter import run_program as run
from tncompile.program.operations import Embedding as Rows
from tncompile.simulation.modes import MODES, Mode
from tncompile.simulation.trace import trace

SIZES = {**RUNTIME, DOTS: 1000}


# ── networks ────────────────────────────────────────────────────────────────────────────────────

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

each = pytest.mark.parametrize("name", NAMED)


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


def tables_of(plan: ContractionPlan, batch: int, mode: Mode) -> int:
    """How many tables are merged at a size."""
    tree = plan.variant(batch, mode).tree
    return sum(bool(step.lookups) for step in tree.steps)


# ── values ──────────────────────────────────────────────────────────────────────────────────────


@given(seed=st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_any_tables_of_any_network_give_the_sum_of_products(seed: int) -> None:
    sketch = random_embedding(seed)
    net = network(sketch)
    parameters, inputs = random_tensors(sketch, seed)
    due = brute_force(sketch, parameters, inputs)
    tree = random_late_tree(net, seed)
    assert not list(verify_tree(net, tree))
    assert read(ContractionTree, json.loads(json.dumps(asdict(tree)))) == tree
    for schedule in (Schedule(), Schedule(chunk_rows=4), Schedule(batch_equal_steps=True)):
        value = run(net, lower(net, tree, schedule), parameters, inputs)
        assert isinstance(value, Tensor)
        close(value, due)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_proposals_for_random_tables_compute_and_trace(seed: int) -> None:
    sketch = random_embedding(seed)
    net = network(sketch)
    parameters, inputs = random_tensors(sketch, seed)
    due = brute_force(sketch, parameters, inputs)
    for tree in every_candidate(net)[:4]:
        assert not list(verify_tree(net, tree))
        for mode in MODES:
            for schedule in proposals(net, tree, SIZES, BUILTIN, mode):
                program = lower(net, tree, schedule, sizes=SIZES)
                value = run(net, program, parameters, inputs)
                assert isinstance(value, Tensor)
                close(value, due)
                traced = trace(net, program, SIZES, BUILTIN, training=mode == "training")
                assert traced.total.seconds > 0
                assert traced.peak >= traced.resident


@each
def test_every_grouping_equals_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients in float64, whatever is merged."""
    sketch = NAMED[name]
    net = network(sketch)
    parameters, inputs = random_tensors(sketch, 1)
    held = {key: value.requires_grad_() for key, value in parameters.items()}
    due = brute_force(sketch, held, inputs)
    weight = torch.randn(due.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad((due * weight).sum(), list(held.values()))
    trees = every_candidate(net, monkeypatch)
    assert len({tree.operands for tree in trees}) > (1 if len(sketch.weights) > 2 else 0)
    for tree in trees:
        assert not list(verify_tree(net, tree))
        schedule = next(iter(proposals(net, tree, SIZES, BUILTIN, "training")))
        program = lower(net, tree, schedule)
        value = run(net, program, held, inputs)
        assert isinstance(value, Tensor)
        close(value, due)
        product = value * weight.reshape(value.shape)
        for mine, theirs in zip(
            torch.autograd.grad(product.sum(), list(held.values())), gradients, strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_neighboring_digits_are_picked_at_once() -> None:
    """One number of a row, where two tables would be two look-ups."""
    net = network(NAMED["train"])
    whole = next(tree for tree in every_candidate(net) if len(tree.steps[-1].lookups) == 3)
    program = lower(net, whole)
    assert [type(step.operation).__name__ for step in program.steps].count("Embedding") == 1
    assert not any(
        type(step.operation).__name__ in ("UnravelIndex", "RavelIndex") for step in program.steps
    )


def test_equal_tables_of_a_family_run_together() -> None:
    """Batched products, and one look-up in all members of the stack."""
    arch = tncompile.loads(CHAIN).instantiate(n=10)
    net = arch.network
    due = operands(net)
    names = [net.tensors[one.tensor].name for one in due]
    assert names == ["F", *(f"G[{k}]" for k in range(1, 9)), "H"]
    pairs = [(2 * k - 1, 2 * k) for k in range(1, 5)]
    late = {9 + k: due[2 * k - 1].lookups + due[2 * k].lookups for k in range(1, 5)}
    opening = (due[0], *(opened(net, one) for one in due[1:-1]), due[-1])
    rest = ((10, 11), (12, 13), (14, 15), (0, 16), (17, 9))
    tree = build_tree(net, opening, (*pairs, *rest), late)
    assert not list(verify_tree(net, tree))
    assert [len(unit.members) for unit in units(net, tree, batch_equal_steps=True)] == [
        4,
        2,
        1,
        1,
        1,
    ]
    program = lower(net, tree, Schedule(batch_equal_steps=True))
    tables = [
        step
        for step in program.steps
        if isinstance(step.operation, Rows) and step.contraction == 10
    ]
    assert len(tables) == 1
    generator = torch.Generator().manual_seed(1)
    parameters = {
        one.key: torch.randn(one.shape, generator=generator, dtype=torch.float64)
        for one in net.parameters
    }
    inputs = {"ids": torch.randint(2, (6, 10), generator=generator)}
    value = run(net, program, parameters, inputs)
    straight = build_tree(net, due, tuple((k and 9 + k, k + 1) for k in range(9)))
    plain = run(net, lower(net, straight), parameters, inputs)
    assert isinstance(value, Tensor)
    assert isinstance(plain, Tensor)
    close(value, plain)


@pytest.mark.parametrize("sites", [12, 90])
def test_long_chains_are_merged_level_by_level(sites: int) -> None:
    """Tables of many neighbors, in families of up to `LONG` and of more; values as ever."""
    arch = tncompile.loads(CHAIN).instantiate(n=sites)
    plan = arch.plan(batch=512, search="fast")
    assert tables_of(plan, 512, "inference") > 1
    module = arch.module(batch=512, search="fast", seed=0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, (512, sites), generator=generator)
    held = dict(module.named_parameters())
    value = held["F"][ids[:, 0]]
    for k in range(1, sites - 1):
        value = torch.einsum("nla,nab->nlb", value, held[f"G.{k}"].transpose(0, 1)[ids[:, k]])
    due = torch.einsum("nla,anr->nlr", value, held["H"][:, ids[:, -1]])
    torch.testing.assert_close(module(ids), due, rtol=1e-8, atol=1e-8 * due.abs().max().item())
    held_twin = twin(module)
    torch.testing.assert_close(held_twin(ids), due, rtol=1e-8, atol=1e-8 * due.abs().max().item())


def test_tables_take_the_memory_that_is_predicted() -> None:
    """Every grouping of an embedding, in a forward pass and in a training step."""
    net, sizes = embedding().network, {DOTS: 512}
    for one in TableSearch(net, operands(net), sizes).candidates(EFFORTS["fast"]):
        program = lower(net, one.tree, sizes=sizes)
        parameters = {p.key: torch.randn(p.shape, requires_grad=True) for p in net.parameters}
        inputs = {"ids": torch.randint(1920, (512,))}
        held = held_bytes([*parameters.values(), *inputs.values()])

        def forward() -> object:
            with torch.no_grad():
                return run(net, program, parameters, inputs)  # noqa: B023

        def training_step() -> object:
            made = run(net, program, parameters, inputs)  # noqa: B023
            assert isinstance(made, Tensor)
            gradient = torch.ones(made.shape)
            torch.autograd.backward(made, gradient)
            return made, gradient

        actions: list[tuple[bool, Callable[[], object]]] = [(False, forward), (True, training_step)]
        for training, action in actions:
            predicted = trace(net, program, sizes, BUILTIN, training=training).peak
            measured = held + peak_allocated(action)
            assert abs(predicted - measured) <= 0.1 * measured, (one.names, training)


# ── what a tree may not do ──────────────────────────────────────────────────────────────────────


def damaged(tree: ContractionTree, number: int, step: Contraction) -> ContractionTree:
    """The tree with one contraction replaced."""
    steps = (*tree.steps[:number], step, *tree.steps[number + 1 :])
    return ContractionTree(tree.operands, steps)


def test_a_tree_that_forgets_ids_is_refused() -> None:
    net = network(NAMED["train"])
    tree = next(t for t in every_candidate(net) if t.steps[0].lookups)
    first = tree.steps[0]
    assert "before its rows are picked" in next(
        verify_tree(net, damaged(tree, 0, replace(first, lookups=())))
    )
    assert "other ids" in next(
        verify_tree(net, damaged(tree, 0, replace(first, lookups=first.lookups[:1])))
    )
    twice = replace(tree.steps[1], lookups=first.lookups)
    assert "other ids" in next(verify_tree(net, damaged(tree, 1, twice)))
    whole = next(t for t in every_candidate(net) if len(t.steps[-1].lookups) == 3)
    assert "ids are not looked up" in next(
        verify_tree(net, damaged(whole, 1, replace(whole.steps[1], lookups=())))
    )
    strange = replace(tree.operands[0], legs=tree.operands[0].legs[1:])
    assert "operands" in next(
        verify_tree(net, ContractionTree((strange, *tree.operands[1:]), tree.steps))
    )


# ── plans and modules ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_a_table_is_merged_for_large_batches_only(mode: Mode) -> None:
    plan = embedding().plan(batch=(1, 4096))
    assert tables_of(plan, 1, mode) == 0
    assert tables_of(plan, 4096, mode) >= 1
    assert tables_of(plan, 1, "folded") >= 1


def test_a_plan_with_tables_is_stored_and_verified() -> None:
    arch = embedding()
    plan = arch.plan(batch=(1, 4096))
    again = ContractionPlan.from_json(plan.to_json())
    assert again == plan
    assert not list(verify_plan(arch.network, again))
    assert plan.to_json() == embedding().plan(batch=(1, 4096)).to_json()
    assert fingerprint(arch.network) == fingerprint(embedding().network)


def test_a_lock_gives_the_same_source(tmp_path: Path) -> None:
    path = tmp_path / "a.tnlock"
    first = embedding().locked(path).source(batch=(1, 4096))
    assert embedding().locked(path).source(batch=(1, 4096)) == first
    assert "looked up" in first


@pytest.fixture(scope="module")
def layer() -> torch.nn.Module:
    return embedding().module(batch=(1, 4096), seed=0, dtype=torch.float64)


def twin(module: torch.nn.Module) -> torch.nn.Module:
    """The folded module."""
    fold = module.fold
    assert callable(fold)
    made = fold()
    assert isinstance(made, torch.nn.Module)
    return made


def table(module: torch.nn.Module) -> Tensor:
    """The whole table, written out."""
    first, second, third = (module.get_parameter(f"G.{k}") for k in range(3))
    return torch.einsum("ipa,ajqb,bks->ijkpqs", first, second, third).reshape(1920, -1)


@pytest.mark.parametrize("batch", [(), (1,), (5, 3), (4096,), (0,), (3, 0)])
def test_every_batch_gives_the_rows_of_the_whole_table(
    layer: torch.nn.Module, batch: tuple[int, ...]
) -> None:
    ids = torch.randint(1920, batch, generator=torch.Generator().manual_seed(1))
    close(layer(ids), table(layer)[ids])
    with torch.no_grad():
        close(layer(ids), table(layer)[ids])
        close(twin(layer)(ids), table(layer)[ids])


@pytest.mark.parametrize("batch", [7, 4096])
def test_gradients_are_those_of_the_whole_table(layer: torch.nn.Module, batch: int) -> None:
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(1920, (batch,), generator=generator)
    weight = torch.randn(batch, 128, generator=generator, dtype=torch.float64)
    parameters = list(layer.parameters())
    mine = torch.autograd.grad((layer(ids) * weight).sum(), parameters)
    due = torch.autograd.grad((table(layer)[ids] * weight).sum(), parameters)
    for one, other in zip(mine, due, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("wrong", [-1, 1920])
@pytest.mark.parametrize("folded", [False, True])
def test_ids_out_of_range_are_named(layer: torch.nn.Module, wrong: int, folded: bool) -> None:
    module = twin(layer) if folded else layer
    ids = torch.zeros(4096, dtype=torch.long)
    ids[77] = wrong
    with pytest.raises(IndexError, match=rf"ids\(.*\[0, 1920\), got {wrong}"):
        module(ids)


@pytest.mark.parametrize("folded", [False, True])
def test_it_is_compiled_and_exported(layer: torch.nn.Module, folded: bool) -> None:
    module = twin(layer) if folded else layer
    ids = torch.arange(0, 1920, 7)
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="eager")
    close(compiled(ids), table(layer)[ids])
    shapes = ({0: torch.export.Dim("batch", min=2)},)
    exported = torch.export.export(module, (ids,), dynamic_shapes=shapes).module()
    close(exported(ids[:5]), table(layer)[ids[:5]])


def test_costs_count_tables_and_name_them() -> None:
    arch = embedding()
    held = arch.cost(batch=4096)
    assert ", looked up" in held.table()
    steps = held.to_dict()["steps"]
    assert isinstance(steps, list)
    assert len(steps) == 2
    folded = held.chosen["folded"].cost.figures
    assert folded.multiply_adds == 0  # every product is done ahead


@pytest.mark.parametrize("name", ["train", "tree", "two ids", "ids and numbers"])
def test_renaming_changes_no_plan(name: str) -> None:
    """Blocks are found by position: the same tables under other names."""
    sketch = NAMED[name]
    other = {leg: leg if leg in (DOTS, "n") else f"z{leg}" for leg in sketch.sizes}

    def renamed(held: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {key: tuple(other[leg] for leg in legs) for key, legs in held.items()}

    turned = Sketch(
        {other[leg]: size for leg, size in sketch.sizes.items()},
        renamed(sketch.inputs),
        renamed(sketch.weights),
        tuple(other[leg] for leg in sketch.output),
        renamed(sketch.ids),
        tuple(other[leg] for leg in sketch.bias),
    )
    mine, theirs = every_candidate(network(sketch)), every_candidate(network(turned))
    assert [[(s.left, s.right) for s in t.steps] for t in mine] == [
        [(s.left, s.right) for s in t.steps] for t in theirs
    ]
