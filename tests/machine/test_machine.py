"""Machine profiles: what they predict, how they are stored and found."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import small_networks as small
from tncompile.lowering import lower
from tncompile.machine.grid import Grid
from tncompile.machine.profile import MachineProfile, profile_text, read_profile, write_profile
from tncompile.machine.registry import find_profile, measured_path
from tncompile.planning import BUILTIN, plan
from tncompile.simulation.tensors import Allocator, common_run, shared_run
from tncompile.simulation.trace import trace

SIZES = st.integers(1, 100_000)


# ── grids ───────────────────────────────────────────────────────────────────────────────────────


def test_a_grid_holds_its_figures() -> None:
    grid = Grid(((1, 8, 64), (2, 4)), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    found = [grid.at(*point) for point in product(*grid.axes)]
    assert found == pytest.approx(grid.figures)
    assert [*map(len, grid.axes)] == [3, 2]


def test_between_points_a_grid_is_a_power_law() -> None:
    grid = Grid(((1, 100),), (1.0, 10.0))
    assert grid.at(10) == pytest.approx(math.sqrt(10))
    assert grid.at(0.5) == 1.0
    assert grid.at(10**9) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("axes", "figures"),
    [
        ((), ()),
        (((1, 2),), (1.0,)),
        (((2, 1),), (1.0, 1.0)),
        (((0, 1),), (1.0, 1.0)),
        (((1, 2),), (1.0, 0.0)),
        (((1, 2),), (1.0, math.inf)),
    ],
)
def test_grids_that_are_none(axes: tuple[tuple[int, ...], ...], figures: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="grid"):
        Grid(axes, figures)


# ── predictions ─────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 5000), SIZES, SIZES, SIZES, st.booleans(), st.booleans())
def test_predictions_are_sane_everywhere(
    matrices: int, rows: int, inner: int, columns: int, left: bool, right: bool
) -> None:
    seconds = BUILTIN.product_seconds(matrices, rows, inner, columns, transposed=(left, right))
    rate = 2e-9 * matrices * rows * inner * columns / seconds
    assert 0 < seconds < math.inf
    assert rate < 4000


@given(SIZES, SIZES, SIZES)
def test_beyond_the_grid_work_grows_with_size(rows: int, inner: int, columns: int) -> None:
    rows, inner, columns = rows + 1024, inner + 1024, columns + 1024
    once = BUILTIN.product_seconds(1, rows, inner, columns)
    for more in (
        (2 * rows, inner, columns),
        (rows, 2 * inner, columns),
        (rows, inner, 2 * columns),
    ):
        assert 1.99 * once <= BUILTIN.product_seconds(1, *more)


def test_nothing_takes_no_time() -> None:
    assert BUILTIN.product_seconds(1, 0, 5, 5) == 0.0


def test_wider_numbers_take_longer() -> None:
    float32, float64 = (BUILTIN.product_seconds(1, 512, 512, 512, width=w) for w in (4, 8))
    assert float64 > 1.9 * float32


def test_sharing_an_operand_saves_memory_alone() -> None:
    apart = BUILTIN.product_seconds(4096, 64, 64, 64)
    shared = BUILTIN.product_seconds(4096, 64, 64, 64, shared=(True, False))
    assert 0.3 * apart < shared < apart


def test_transposes_are_slower_than_runs() -> None:
    assert BUILTIN.copy_seconds(2**22, 4) > 3 * BUILTIN.copy_seconds(2**22, 256)
    assert BUILTIN.reduction_seconds(2**22, 8) > 3 * BUILTIN.reduction_seconds(2**22, 4096)
    assert BUILTIN.run_seconds(2**14, 2) > BUILTIN.run_seconds(2**14, 2**14)


def test_narrow_products_run_below_rate() -> None:
    narrow, wide = (
        2 * 1024 * 1024 * n / BUILTIN.product_seconds(1, 1024, 1024, n) for n in (8, 256)
    )
    assert narrow < 0.5 * wide


def test_profiles_hash() -> None:
    assert hash(BUILTIN) == hash(replace(BUILTIN))
    assert replace(BUILTIN, name="other") != BUILTIN


def test_another_machine_may_choose_otherwise() -> None:
    network = small.mpo([8, 8, 8, 8], [8, 8, 8, 8], 8)

    def level(grid: Grid, figure: float) -> Grid:
        return Grid(grid.axes, (figure,) * len(grid.figures))

    slow = replace(
        BUILTIN,
        name="slow",
        products=level(BUILTIN.products, 0.1),
        batched=level(BUILTIN.batched, 0.1),
        left_turned=level(BUILTIN.left_turned, 1.0),
        right_turned=level(BUILTIN.right_turned, 1.0),
        batched_left_turned=level(BUILTIN.batched_left_turned, 1.0),
        batched_right_turned=level(BUILTIN.batched_right_turned, 1.0),
    )
    chosen = plan(network, batch=256, machine=slow)
    least = plan(network, batch=256, machine=slow, minimize="flops")
    assert chosen.machine == "slow"
    assert chosen.main.cost.flops <= 1.3 * least.main.cost.flops


# ── memory that the operating system hands out ──────────────────────────────────────────────────


def test_large_blocks_are_always_new_memory() -> None:
    memory = Allocator(fresh=100, kept=1000)
    memory.mark_baseline()
    for _ in range(3):
        memory.free(memory.new((30,), 4))
    assert memory.faulted == 3 * 120


def test_small_blocks_are_new_memory_where_the_heap_gave_it_back() -> None:
    memory = Allocator(fresh=10_000, kept=1000)
    memory.mark_baseline()
    memory.free(memory.new((250,), 4))
    assert memory.faulted == 0
    held = [memory.new((150,), 4) for _ in range(2)]
    assert memory.faulted == 200 + 500
    for ghost in held:
        memory.free(ghost)
    memory.new((150,), 4)
    assert memory.faulted == 700 + 600


def test_faults_take_time() -> None:
    network = small.low_rank(4096, 4096, 8)
    program = lower(network, plan(network, batch=64, search="fast").main.tree, sizes={"...": 64})
    quick, slow = (
        trace(network, program, {"...": 8192}, replace(BUILTIN, faults=rate), training=False)
        for rate in (1e6, 1.0)
    )
    assert slow.total.seconds > quick.total.seconds + 0.1


# ── runs ────────────────────────────────────────────────────────────────────────────────────────


def test_runs_that_stay_together() -> None:
    memory = Allocator(2**25, 2**26)
    plain = memory.new((4, 6, 8), 4)
    assert shared_run(plain, plain.strides) == 4 * 6 * 8
    turned = memory.new((4, 6, 8), 4, (1, 4, 24))
    assert shared_run(turned, plain.strides) == 1
    assert common_run((4, 6, 8), (48, 8, 1), [(48, 8, 1), (48, 8, 1)]) == 4 * 6 * 8
    assert common_run((4, 6, 8), (48, 8, 1), [(48, 8, 1), (48, 8, 0)]) == 8
    assert common_run((), (), [(), ()]) == 1


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def test_profiles_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    write_profile(BUILTIN, path)
    assert read_profile(path) == BUILTIN
    assert list(tmp_path.iterdir()) == [path]


def _without(name: str) -> str:
    stored = json.loads(profile_text(BUILTIN))
    del stored[name]
    return json.dumps(stored)


def _with(name: str, value: object) -> str:
    return json.dumps(json.loads(profile_text(BUILTIN)) | {name: value})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1"),
        ("[]", "no JSON object"),
        ("{}", "version is None"),
        (_with("version", 1), "version is 1"),
        (_without("call"), "`call` is missing"),
        (_without("passes"), "`passes` is missing"),
        (_with("call", "soon"), "`call` is no number"),
        (_with("device", "gpu"), "`device` is 'cpu' or 'cuda', not 'gpu'"),
        (_with("call", True), "`call` is no number"),
        (_with("call", -1.0), "`call` must be a positive number"),
        (_with("passes", 3), "`passes` is no table of figures"),
        (_with("passes", {"axes": [[1, 2], [1]], "figures": [1, 2]}), "has 2 axes instead of 1"),
        (_with("passes", {"axes": [[1, 2]], "figures": [1]}), "do not fill"),
        (_with("passes", {"figures": [1]}), "axes"),
        (_with("surplus", 3), "surplus"),
        ("[" * 100_000, "values lie in each other too deep"),
    ],
)
def test_damaged_profiles_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is no machine profile") as caught:
        find_profile(str(path))
    assert reason in str(caught.value)
    assert "tncompile calibrate" in str(caught.value)


def test_profiles_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_profile("builtin") is BUILTIN
    with pytest.raises(ValueError, match="has not been measured yet; `tncompile calibrate`"):
        find_profile("measured")
    with pytest.raises(ValueError, match=r"no machine profile nowhere\.json"):
        find_profile("nowhere.json")
    with pytest.raises(ValueError, match="cannot read the machine profile"):
        find_profile(str(tmp_path))
    other: MachineProfile = replace(BUILTIN, name="measured")
    measured_path().parent.mkdir()
    write_profile(other, measured_path())
    assert find_profile("measured") == other
    assert measured_path() == tmp_path / "tncompile" / "machine.json"


def test_a_relative_cache_folder_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert measured_path() == Path.home() / ".cache" / "tncompile" / "machine.json"
