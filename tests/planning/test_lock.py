"""The lock file: found again, stale when the network changed, refused when corrupt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import tncompile
from tests.support import small_networks as small
from tncompile.files import lock_path
from tncompile.network.model import TensorNetwork
from tncompile.planning import plan
from tncompile.planning.lock import Lock, fingerprint, read_lock, write_lock
from tncompile.planning.request import plan_request

NETWORK = small.mpo([4, 4], [4, 4], 3)
REQUEST = plan_request(NETWORK)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = lock_path(tmp_path / "mpo.tn")
    planned = plan(NETWORK)
    other = plan_request(NETWORK, batch=(1, 64), sizes={"...": 3})
    lock = Lock().with_plan(NETWORK, REQUEST, planned).with_plan(NETWORK, other, planned)
    write_lock(lock, path)
    again = read_lock(path)
    assert again.find(NETWORK, REQUEST) == (planned, ())
    assert again.find(NETWORK, plan_request(NETWORK, machine="cuda")) == (None, ())
    assert [p.name for p in tmp_path.iterdir()] == ["mpo.tnlock"]
    first = path.read_bytes()
    write_lock(again, path)
    assert path.read_bytes() == first


def test_no_lock_is_an_empty_one(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "none.tnlock").find(NETWORK, REQUEST) == (None, ())


def test_a_stale_plan_is_noticed() -> None:
    lock = Lock().with_plan(NETWORK, REQUEST, plan(NETWORK))
    changed = small.mpo([4, 4], [4, 4], 5)
    assert "stale" in why_not(lock, changed)


def why_not(lock: Lock, network: TensorNetwork) -> str:
    """The one note on a plan that is not used."""
    found, (note,) = lock.find(network, REQUEST)
    assert found is None
    return note


def test_lines_and_docs_do_not_matter() -> None:
    stored = json.loads(NETWORK.model_dump_json())
    stored["doc"] = "Something else."
    stored["tensors"][0]["line"] = 17
    moved = TensorNetwork.model_validate(stored)
    assert fingerprint(moved) == fingerprint(NETWORK)
    assert fingerprint(small.mpo([4, 4], [4, 4], 5)) != fingerprint(NETWORK)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"version": 4}',
        b'{"version": 4, "plans": 3}',
        b'{"version": true, "plans": []}',
        b"[" * 100_000,
    ],
)
def test_a_corrupt_lock_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tnlock"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is corrupt") as caught:
        read_lock(path)
    assert ("values lie in each other too deep" in str(caught.value)) == (len(content) > 99)


def test_a_later_lock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tnlock"
    path.write_text('{"version": 7}')
    with pytest.raises(ValueError, match="is of version 7, written by a later tncompile"):
        read_lock(path)


def test_an_older_lock_is_planned_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.tnlock"
    path.write_text('{"version": 1, "plans": []}\n')
    assert "the file is of version 1" in why_not(read_lock(path), NETWORK)
    arch = tncompile.from_einsum("bi,io->bo", (None, 4), (4, 4)).locked(path)
    assert "of version 1" in arch.plan(8).notes[0]
    again = tncompile.from_einsum("bi,io->bo", (None, 4), (4, 4)).locked(path)
    assert again.plan(8).notes == ()


def test_a_measured_plan_goes_before_others() -> None:
    measured = replace(plan(NETWORK, batch=(1, 64)), tuned="a machine")
    lock = Lock().with_plan(NETWORK, REQUEST, plan(NETWORK))
    lock = lock.with_plan(NETWORK, REQUEST, measured)
    assert lock.find(NETWORK, REQUEST)[0] == measured.with_batch(64)
    other = plan_request(NETWORK, batch=7, search="fast")
    assert lock.find(NETWORK, other)[0] == measured.with_batch(7)
    assert lock.find(NETWORK, plan_request(NETWORK, minimize="memory"))[0] is None
    changed = small.mpo([4, 4], [4, 4], 5)
    assert "stale" in why_not(lock, changed)
    moved = lock.with_plan(changed, REQUEST, plan(changed))
    assert moved.find(changed, REQUEST) == (plan(changed), ())
    assert moved.find(NETWORK, REQUEST)[0] == measured.with_batch(64)


@pytest.mark.parametrize("damage", ["rows", "summed", "length", "kind"])
def test_a_damaged_strategy_is_noticed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.tnlock"
    network = small.mpo([8, 8, 12], [12, 16, 16], 16)
    write_lock(Lock().with_plan(network, REQUEST, plan(network)), path)
    stored = json.loads(path.read_text())
    schedules = stored["plans"][0]["plan"]["schedules"]
    layouts = next(one["layouts"] for one in schedules if one["layouts"])
    match damage:
        case "rows":
            layouts[0]["rows"] = ["nothing"]
        case "summed":
            layouts[0]["summed"] = ["nothing"]
        case "length":
            layouts.pop()
        case _:
            layouts[0] = 3
    path.write_text(json.dumps(stored))
    assert "damaged" in why_not(read_lock(path), network)


def test_a_damaged_tree_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.tnlock"
    write_lock(Lock().with_plan(NETWORK, REQUEST, plan(NETWORK)), path)
    stored = json.loads(path.read_text())
    stored["plans"][0]["plan"]["trees"][0]["steps"].pop()
    path.write_text(json.dumps(stored))
    assert "damaged" in why_not(read_lock(path), NETWORK)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder.tnlock"
    path.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_lock(Lock(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.tnlock"]


def test_an_architecture_keeps_its_plans_in_a_lock(tmp_path: Path) -> None:
    text = (
        "network N(d: int = 4, r: int = 2) {\n  index i = d, o = d\n  bond b = r\n"
        "  input x(..., i)\n  tensor A(i, b)\n  tensor B(b, o)\n  output y(..., o)\n}\n"
    )
    file = tmp_path / "n.tnlock"
    arch = tncompile.loads(text).instantiate("N").locked(file)
    first = arch.plan(32)
    assert file.exists()
    again = tncompile.loads(text).instantiate("N").locked(file)
    assert again.plan(32) == first
    assert again.plan(32).notes == ()
    changed = (
        tncompile.loads(text.replace("= 2)", "= 3)")).instantiate("N").locked(file, keep=False)
    )
    assert "stale" in changed.plan(32).notes[0]
    assert read_lock(file).entries.keys() == {next(iter(read_lock(file).entries))}


def test_a_plan_of_another_network_is_refused() -> None:
    spec = tncompile.loads('import "std/linear.tn" { MPO, CP }')
    other = spec.instantiate("CP", ins=[2, 3], outs=[2, 3]).plan()
    with pytest.raises(ValueError, match="not one of"):
        spec.instantiate("MPO", ins=[2, 3], outs=[3, 2]).module(plan=other)


def test_a_plan_tuned_for_another_memory_limit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "n.tnlock"
    arch = tncompile.from_einsum("bi,io->bo", (None, 4), (4, 4))
    arch.locked(path).tune(8, memory_limit=10**9, seconds=0.2, anyway=True)
    other = arch.locked(path, keep=False)
    (note,) = other.plan(8).notes
    due = "tuned with a memory limit of 1,000,000,000 bytes is not used with no memory limit"
    assert note.endswith(due)
    same = arch.locked(path, keep=False)
    assert same.plan(8, memory_limit=10**9).notes == ()


# ── the lock beside a file, in Python ───────────────────────────────────────────────────────────

LAYER = (
    "network N(d: int = 4, r: int = 2) {\n  index i = d, o = d\n  bond b = r\n"
    "  input x(..., i)\n  tensor A(i, b)\n  tensor B(b, o)\n  output y(..., o)\n}\n"
)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A file of its own, whose lock has a measured plan that nothing but a lock could give."""
    file = tmp_path / "layer.tn"
    file.write_text(LAYER)
    network = tncompile.load(file).instantiate().network
    measured = replace(plan(network, batch=32, search="fast"), tuned="a machine of its own")
    write_lock(Lock().with_plan(network, plan_request(network), measured), lock_path(file))
    return file


def test_python_follows_the_lock_beside_a_file(layer: Path) -> None:
    before = lock_path(layer).read_bytes()
    arch = tncompile.load(layer).instantiate("N")
    assert arch.plan(8).tuned == "a machine of its own"
    header = " ".join(arch.source(batch=8).partition("import")[0].replace("#", "").split())
    assert header.endswith("measured on a machine of its own.")
    assert type(arch.module()).__name__ == "N"
    assert arch.plan(8).notes == ()
    assert not arch.keeps_lock
    alone = arch.unlocked()
    assert alone.plan(8).tuned is None
    assert alone.locked().plan(8).tuned == "a machine of its own"
    assert arch.locked(layer.with_name("other.tnlock"), keep=False).plan(8).tuned is None
    assert lock_path(layer).read_bytes() == before
    assert sorted(path.name for path in layer.parent.iterdir()) == ["layer.tn", "layer.tnlock"]


def test_a_lock_that_appears_later_is_used(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = lock_path(layer).read_bytes()
    lock_path(layer).unlink()
    monkeypatch.chdir(layer.parent)
    arch = tncompile.load("layer.tn").instantiate()
    assert arch.lock is None
    lock_path(layer).write_bytes(held)
    monkeypatch.chdir("/")
    assert arch.plan(8).tuned == "a machine of its own"


def test_python_says_that_the_lock_beside_a_file_is_stale(layer: Path) -> None:
    layer.write_text(LAYER.replace("r: int = 2", "r: int = 3"))
    arch = tncompile.load(layer).instantiate()
    planned = arch.plan(8)
    assert planned.tuned is None
    assert "the stored plan of `N` is stale: the network has changed since" in planned.notes


def test_a_corrupt_lock_beside_a_file_is_one_clear_error(layer: Path) -> None:
    lock_path(layer).write_text("nonsense")
    arch = tncompile.load(layer).instantiate()
    with pytest.raises(ValueError, match=r"layer\.tnlock is corrupt") as caught:
        arch.module()
    assert "\n" not in str(caught.value)
    assert arch.unlocked().plan(search="fast").tuned is None


def test_texts_and_the_library_have_no_lock_beside_them(
    layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(layer.parent)
    (layer.parent / "linear.tnlock").write_text("nonsense")
    texts = tncompile.loads(LAYER, root=layer.parent, name="layer.tn").instantiate()
    library = tncompile.load("std/linear.tn").instantiate("LowRank", in_features=3, out_features=2)
    for arch in (texts, library, tncompile.from_einsum("bi,io->bo", (None, 4), (4, 4))):
        assert arch.lock is None
        with pytest.raises(ValueError, match="name its path"):
            arch.locked()
