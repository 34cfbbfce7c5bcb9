"""Locks and profiles with anything in them: no wrong numbers, no tracebacks, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tncompile
from tests.support import hostile
from tncompile import compiler
from tncompile.architecture import Architecture
from tncompile.machine.profile import BUILTIN, MachineProfile, profile_text, read_profile
from tncompile.planning import ContractionPlan, cost, plan
from tncompile.planning.lock import LockError, keep_plan, read_lock, write_lock
from tncompile.planning.request import plan_request

# ── mutated locks ───────────────────────────────────────────────────────────────────────────────

HYPER = (
    "network A() { index i[k in 0..2] = 3, o[k in 0..2] = 2 hyper r = 4 index g = 2"
    " input x(..., g, (i[*])) tensor U[k in 0..2](i[k], r, g) tensor V[k in 0..2](o[k], r)"
    " output y(..., g, (o[*])) }"
)
LOOKED_UP = (
    "network A() { index v[k in 0..3] = 3 index d[k in 0..3] = 2 bond b[k in 1..3] = 3"
    " input x(..., onehot(v[*])) tensor G[k in 0..3](b[k]?, v[k], d[k], b[k + 1]?)"
    " output y(..., (d[*])) }"
)
NAMED = (
    "network A() { index i[k in 0..2] = 8, o[k in 0..2] = 8 bond b = 8 batch n"
    " input x(..., n, (i[*])) tensor G(i[0], o[0], b) tensor H(b, i[1], o[1])"
    " output y(..., n, (o[*])) }"
)
OTHER = (
    "network A() { index i[k in 0..2] = 3, o[k in 0..2] = 2 bond r = 4 index g = 2"
    " input x(..., g, (i[*])) tensor U[k in 0..2](i[k], r, g, o[k]) output y(..., g, (o[*])) }"
)
SPECS = {"hyper": (HYPER, (1, 64)), "ids": (LOOKED_UP, (1, 64)), "named": (NAMED, (1, 64, 4096))}
SIZES = (1, 3, 70, 600)


@dataclass
class Kept:
    """An architecture with its plan in a file, and what its module gives."""

    name: str
    made: Architecture
    batch: tuple[int, ...]
    stored: Any
    planned: ContractionPlan
    state: dict[str, Tensor]
    given: list[Tensor]
    wanted: list[Tensor]


@pytest.fixture(scope="module", params=list(SPECS))
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    text, batch = SPECS[request.param]
    file = tmp_path_factory.mktemp("kept") / "a.tnlock"
    made = tncompile.loads(text).instantiate().locked(file)
    planned = made.plan(batch, search="fast")
    module = made.module(batch=batch, search="fast", seed=0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    shape = {"hyper": (2, 9), "named": (5, 64), "ids": ()}[request.param]
    given = [
        torch.randint(27, (size,), generator=generator)
        if request.param == "ids"
        else torch.randn(size, *shape, generator=generator, dtype=torch.float64)
        for size in SIZES
    ]
    with torch.no_grad():
        wanted = [module(x) for x in given]
    stored = json.loads(file.read_text(encoding="utf-8"))
    _shorten(stored["plans"][0]["plan"])
    return Kept(request.param, made, batch, stored, planned, module.state_dict(), given, wanted)


def _shorten(stored: Any) -> None:
    """Leave one alternative, and one row in the tables of what steps cost."""
    del stored["alternatives"][1:]
    ways = [*stored["variants"], stored["whole"], *stored["alternatives"]]
    for name, number in (("trees", "tree"), ("schedules", "schedule")):
        used = sorted({way[number] for way in ways})
        stored[name] = [stored[name][k] for k in used]
        for way in ways:
            way[number] = used.index(way[number])
    for way in ways:
        if "cost" in way:
            del way["cost"]["steps"][1:]


def assert_right(kept: Kept, found: ContractionPlan) -> None:
    """The module of a plan gives what it should, in every mode; the plan can be shown."""
    module = kept.made.module(plan=found, seed=0, dtype=torch.float64)
    module.load_state_dict(kept.state)
    folded = module.fold()
    for x, y in zip(kept.given, kept.wanted, strict=True):
        torch.testing.assert_close(module(x), y, rtol=1e-9, atol=1e-9)
        with torch.no_grad():
            torch.testing.assert_close(module(x), y, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(folded(x), y, rtol=1e-9, atol=1e-9)


def assert_shown(kept: Kept, found: ContractionPlan) -> None:
    """What commands print of a plan that is used."""
    assert found.describe()
    shown = cost(kept.made.network, replace(found, alternatives=()), batch=64)
    assert shown.table()
    assert shown.table(training=True)


def sampled(stored: Any, *, figures: bool) -> Iterator[Any]:
    """Mutants of every kind of place; of what is contracted, of the first one and of the last.

    Without `figures` those of costs are left out.
    """
    kinds: dict[hostile.Path, list[hostile.Path]] = defaultdict(list)
    for path in hostile.places(stored):
        if len(path) > 2:  # below `plans[0]`
            kinds[hostile.kind(path)].append(path)
    for name, paths in kinds.items():
        if not figures and ("cost" in name or "alternatives" in name):
            continue
        several = "trees" in name or "schedules" in name
        for path in dict.fromkeys((paths[0], paths[-1 if several else 0])):
            yield from hostile.mutants(stored, path)


def test_a_mutated_lock_is_refused_or_right(kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "a.tnlock"
    request = plan_request(kept.made.network, batch=kept.batch, search="fast")
    used: dict[str, ContractionPlan] = {}
    refused = 0
    for mutant in sampled(kept.stored, figures=kept.name == "hyper"):
        file.write_text(json.dumps(mutant), encoding="utf-8")
        found, notes = read_lock(file).find(kept.made.network, request)
        assert all(note.isprintable() for note in notes)
        if found is None:
            refused += 1
            continue
        runs = [(one.mode, one.up_to, one.tree, one.schedule) for one in found.variants]
        key = repr((runs, found.whole.tree, found.whole.schedule, found.sizes, found.batch))
        assert_shown(kept, found)
        used.setdefault(key, found)
    assert refused > 300
    for found in used.values():
        assert_right(kept, found)


def test_a_mutated_lock_is_planned_anew(kept: Kept, tmp_path: Path) -> None:
    """With a note, the same plan as before, and a file that holds a good one afterwards."""
    file = tmp_path / "a.tnlock"
    for place, value in (
        (("plans", 0, "plan", "variants", 0, "reason"), "x\nopen('x', 'w')"),
        (("plans", 0, "plan", "variants", 0, "sizes"), {'"""; open("x", "w"); """': 5}),
        (("plans", 0, "plan", "batch"), float("inf")),
        (("plans", 0, "plan", "whole", "found_by"), []),
        (("plans", 0, "plan", "whole", "cost", "figures", "seconds"), float("nan")),
        (("plans", 0, "plan", "trees", 0, "operands"), []),
    ):
        mutant = hostile.changed(kept.stored, place, value)
        file.write_text(json.dumps(mutant), encoding="utf-8")
        held = kept.made.locked(file)
        planned = held.plan(kept.batch, search="fast")
        assert planned == kept.planned
        (note,) = planned.notes
        assert "is damaged: " in note
        again = kept.made.locked(file)
        planned = again.plan(kept.batch, search="fast")
        assert planned == kept.planned
        assert planned.notes == ()


def test_forms_divide_the_indices_of_their_product(tmp_path: Path) -> None:
    """Every group changed in every way that keeps the names."""
    file = tmp_path / "a.tnlock"
    made = tncompile.loads(HYPER).instantiate().locked(file)
    made.plan(64, minimize="flops")
    stored = json.loads(file.read_text(encoding="utf-8"))
    request = plan_request(made.network, minimize="flops")
    schedules = stored["plans"][0]["plan"]["schedules"]
    seen = 0
    for s, schedule in enumerate(schedules):
        for f, form in enumerate(schedule["layouts"] or []):
            for group in ("batch", "rows", "summed", "columns") if form else ():
                place = ("plans", 0, "plan", "schedules", s, "layouts", f, group)
                names = form[group]
                wrong = [names + names, names[1:], [], [*names, "i[0]"], [*names, "g"]]
                for new in (one for one in wrong if one != names):
                    mutant = hostile.changed(stored, place, new)
                    file.write_text(json.dumps(mutant), encoding="utf-8")
                    found, notes = read_lock(file).find(made.network, request)
                    assert found is None
                    assert "has other indices than its operands" in notes[0]
                    seen += 1
    assert seen > 20


def test_a_plan_of_another_network_is_searched_anew(tmp_path: Path) -> None:
    """Same inputs and output, same target, the fingerprint forged."""
    first, second = tmp_path / "a.tnlock", tmp_path / "b.tnlock"
    made = tncompile.loads(HYPER).instantiate()
    good = made.locked(first).plan(64)
    tncompile.loads(OTHER).instantiate().locked(second).plan(64)
    mine = json.loads(first.read_text(encoding="utf-8"))
    forged = json.loads(second.read_text(encoding="utf-8"))
    forged["plans"][0]["fingerprint"] = mine["plans"][0]["fingerprint"]
    second.write_text(json.dumps(forged), encoding="utf-8")
    held = made.locked(second, keep=False)
    planned = held.plan(64)
    assert planned == good
    assert "operands are not those of the network" in planned.notes[0]


# ── mutated profiles ────────────────────────────────────────────────────────────────────────────


def test_a_mutated_profile_is_refused_or_used(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    stored = json.loads(profile_text(BUILTIN))
    for value in stored.values():
        if isinstance(value, dict):  # as few figures as make a table
            value["axes"] = [axis[:2] for axis in value["axes"]]
            value["figures"] = value["figures"][: 2 ** len(value["axes"])]
    network = tncompile.from_einsum("bi,ir,ro->bo", (None, 6), (6, 2), (2, 8)).network
    kinds: dict[hostile.Path, hostile.Path] = {}
    for path in hostile.places(stored):
        if path:
            kinds.setdefault(hostile.kind(path), path)
    refused = used = 0
    for path in kinds.values():
        for mutant in hostile.mutants(stored, path):
            file.write_text(json.dumps(mutant), encoding="utf-8")
            profile = tried(file)
            refused += profile is None
            used += profile is not None
            if profile is not None and used % 40 == 0:
                planned = plan(network, batch=64, search="fast", machine=profile)
                assert 0 < planned.main.cost.seconds < float("inf")
    assert refused > 500
    assert used > 50


def tried(file: Path) -> MachineProfile | None:
    """The profile of a file, or None where it is refused by a clean error."""
    try:
        return read_profile(file)
    except ValueError as error:
        message = str(error)
        assert message.isprintable()
        return None


@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_extreme_profiles_still_plan(tmp_path: Path, factor: float) -> None:
    stored = json.loads(profile_text(BUILTIN))
    for name, value in stored.items():
        if isinstance(value, float):
            stored[name] = value * factor
        elif isinstance(value, dict):
            value["figures"] = [figure * factor for figure in value["figures"]]
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(stored), encoding="utf-8")
    made = tncompile.from_einsum("bi,ir,ro->bo", (None, 6), (6, 2), (2, 8))
    assert made.cost(64, machine=str(file), search="fast").table()


# ── several processes ───────────────────────────────────────────────────────────────────────────

SIZED = (
    "network A(n: int = 3) { index i = n, o = 2 input x(..., i) tensor W(i, o) output y(..., o) }"
)


def kept_targets(file: Path) -> list[tuple[str, bool]]:
    """The requests of a lock file: targets, and whether their plans are measured."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    return sorted((one["request"]["target"], one["request"]["tuned"]) for one in stored["plans"])


def test_processes_keep_what_others_have_kept(tmp_path: Path) -> None:
    """Each of several processes adds its plans, one by one, to one file."""
    file = tmp_path / "a.tnlock"
    script = (
        "import sys, tncompile\n"
        f"spec = tncompile.loads({SIZED!r})\n"
        "for n in range(int(sys.argv[2]), int(sys.argv[2]) + 8):\n"
        "    spec.instantiate('A', n=n).locked(sys.argv[1]).plan(8, search='fast')\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(file), str(first)])
        for first in (10, 20, 30)
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0, 0]
    due = [f"A(n = {first + k})" for first in (10, 20, 30) for k in range(8)]
    assert kept_targets(file) == [(target, False) for target in due]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tnlock"]


def test_a_tuned_plan_outlives_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a search runs, another process tunes the same block and another one."""
    file = tmp_path / "a.tnlock"
    spec = tncompile.loads(SIZED)
    search = compiler.plan_network

    def slow(*given: Any) -> ContractionPlan:
        found = search(*given)
        for n in (40, 50):
            network = spec.instantiate("A", n=n).network
            tuned = replace(plan(network, search="fast"), tuned="a machine")
            keep_plan(file, network, plan_request(network), tuned)
        return found

    monkeypatch.setattr(compiler, "plan_network", slow)
    spec.instantiate("A", n=40).locked(file).plan(64)
    tuned = [("A(n = 40)", True), ("A(n = 50)", True)]
    assert kept_targets(file) == sorted([*tuned, ("A(n = 40)", False)])
    monkeypatch.setattr(compiler, "plan_network", search)
    again = spec.instantiate("A", n=40).locked(file)
    assert again.plan(64).tuned == "a machine"
    assert again.plan(64).notes == ()


def test_a_file_that_cannot_be_locked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tncompile.loads(SIZED).instantiate("A")
    missing = tmp_path / "nowhere" / "a.tnlock"
    with pytest.raises(FileNotFoundError, match=r"a\.tnlock|nowhere"):
        made.locked(missing).plan(8, search="fast")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tncompile.files.LONGEST", 0.05)
    (tmp_path / ".a.tnlock.lock").write_text("another program's\n")
    with pytest.raises(OSError, match=r"another process has held .*\.a\.tnlock\.lock"):
        made.locked(tmp_path / "a.tnlock").plan(8, search="fast")


def test_what_is_no_lock_stays_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.tnlock"
    for content in ("", "[", "[]", "3", '"x"', '{"version": 4}', "[" * 100_000, "\ud800"):
        file.write_bytes(content.encode("utf-8", "surrogatepass"))
        with pytest.raises(LockError, match="is corrupt"):
            tncompile.loads(SIZED).instantiate("A").locked(file).plan(8)
        assert file.read_bytes() == content.encode("utf-8", "surrogatepass")


def test_entries_that_nobody_can_ask_for_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.tnlock"
    made = tncompile.loads(SIZED).instantiate("A").locked(file)
    made.plan(8, search="fast")
    stored = json.loads(file.read_text(encoding="utf-8"))
    odd = [None, 3, {}, {"request": None}, {"request": {"target": "\ud800"}}, stored["plans"][0]]
    file.write_text(json.dumps({**stored, "plans": odd}), encoding="utf-8")
    lock = read_lock(file)
    assert len(lock.entries) == 1
    write_lock(lock, file)
    assert json.loads(file.read_text(encoding="utf-8")) == stored
