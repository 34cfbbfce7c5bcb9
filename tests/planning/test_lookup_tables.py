"""Plans with tables that are merged before ids pick rows of them, and the modules they become."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import tncompile
from tests.support.brute_force import close
from tests.support.late_lookups import CHAIN, NAMED, embedding, every_candidate
from tests.support.strategies import Sketch, network
from tncompile.network.model import DOTS
from tncompile.planning.lock import fingerprint
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.verifying import verify_plan
from tncompile.simulation.modes import Mode


def tables_of(plan: ContractionPlan, batch: int, mode: Mode) -> int:
    """How many tables are merged at a size."""
    tree = plan.variant(batch, mode).tree
    return sum(bool(step.lookups) for step in tree.steps)


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
