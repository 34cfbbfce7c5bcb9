"""The lock file: plans kept beside a `.tn` file, so that a search is done once and repeats exactly.

`FILE.tnlock` is JSON keyed by what `Key` has. A plan is stale when the network is no longer the one
that it was made for; that is noticed by a fingerprint and said, never passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from tncompile.files import alone_with, json_value, replace_file
from tncompile.machine.profile import CPU
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.request import PlanRequest
from tncompile.planning.verifying import verify_plan

VERSION = 4  # of the file; plans of older ones are made anew, newer ones are refused


class LockError(ValueError):
    """A lock file that cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a plan is stored under: a request, and of which network."""

    target: str
    batch: tuple[int, ...]
    sizes: dict[str, int]
    minimize: str
    training: bool
    search: str
    memory_limit: int | None
    machine: str
    tuned: bool
    channels_last: bool = False

    @property
    def line(self) -> str:
        """The key as one line of text; equal keys have equal lines."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps(named, ensure_ascii=False, separators=(", ", ": "))


def lock_key(network: TensorNetwork, request: PlanRequest, *, tuned: bool) -> Key:
    """The key of the plan that a search finds, or of the one that was measured.

    A measured plan serves all batch sizes and searches, on the device that it was measured on.
    """
    device = request.profile.device
    return Key(
        target=network.target,
        batch=() if tuned else request.asked,
        sizes=dict(request.named),
        minimize=request.minimize,
        training=request.training,
        search="" if tuned else request.search,
        memory_limit=request.memory_limit,
        machine=request.profile.name if not tuned else "" if device == CPU else device,
        tuned=tuned,
        channels_last=network.channels_last,
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan, its key, and the fingerprint of the network that it was made for."""

    key: Key
    fingerprint: str
    plan: ContractionPlan


@dataclass(frozen=True, slots=True)
class Lock:
    """The entries of a lock file by the line of their key.

    `damaged` says by line what is wrong with entries that hold no plan: they are not written again.
    `outdated` is the version of an older file, whose plans are not used.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)
    outdated: int | None = None

    def find(
        self, network: TensorNetwork, request: PlanRequest
    ) -> tuple[ContractionPlan | None, tuple[str, ...]]:
        """The stored plan of a network, or None and why it is not used where there is one.

        One that was measured goes before one that was predicted, unless it is stale.
        """
        problems: tuple[str, ...] = ()
        of_target = f"the stored plan of `{network.target}`"
        for key in (lock_key(network, request, tuned=tuned) for tuned in (True, False)):
            if (damage := self.damaged.get(key.line)) is not None:
                return None, (f"{of_target} is damaged: {damage}",)
            if (entry := self.entries.get(key.line)) is None:
                continue
            if entry.fingerprint != fingerprint(network):
                problems = (f"{of_target} is stale: the network has changed since",)
            elif damage := next(verify_plan(network, entry.plan), None):
                return None, (f"{of_target} is damaged: {damage}",)
            elif entry.plan.tuned:
                return entry.plan.with_batch(request.asked[len(request.asked) // 2]), ()
            else:
                return entry.plan, ()
        if self.outdated is not None:
            old = f"(the file is of version {self.outdated})"
            problems = (f"no plan is stored for `{network.target}` {old}",)
        return None, problems

    def unused(self, network: TensorNetwork, request: PlanRequest) -> Iterator[str]:
        """Which measured plans of the target stay aside: those for another memory limit."""
        key = lock_key(network, request, tuned=True)
        for entry in self.entries.values():
            limit = entry.key.memory_limit
            if limit != key.memory_limit and entry.key == replace(key, memory_limit=limit):
                tuned = f"the plan of `{network.target}` tuned with {_limit(limit)}"
                yield f"{tuned} is not used with {_limit(key.memory_limit)}"

    def with_plan(
        self, network: TensorNetwork, request: PlanRequest, plan: ContractionPlan
    ) -> Lock:
        """The lock with one more plan, or with one replaced, or with a damaged one mended.

        A measured plan stays beside a predicted one, of a network that has changed, too.
        """
        entries = dict(self.entries)
        mine = fingerprint(network)
        measured = lock_key(network, request, tuned=True).line
        present = entries.get(measured)
        if present and present.fingerprint == mine and any(verify_plan(network, present.plan)):
            del entries[measured]
        key = lock_key(network, request, tuned=bool(plan.tuned))
        return Lock({**entries, key.line: Entry(key, mine, plan)})


def _limit(limit: int | None) -> str:
    """A memory limit in words."""
    return "no memory limit" if limit is None else f"a memory limit of {limit:,} bytes"


def fingerprint(network: TensorNetwork) -> str:
    """A hash of all that a plan depends on: names, sizes, legs and their order, not lines, docs."""
    left_out = frozenset({"doc", "init", "line", "written"})
    fields = _without(network.model_dump(mode="json"), left_out)
    written = json.dumps(fields, sort_keys=True, ensure_ascii=True)
    return "sha256:" + hashlib.sha256(written.encode()).hexdigest()


def _without(stored: object, fields: frozenset[str]) -> object:
    """A JSON value without some fields, at any depth."""
    if isinstance(stored, dict):
        return {name: _without(v, fields) for name, v in stored.items() if name not in fields}
    return [_without(item, fields) for item in stored] if isinstance(stored, list) else stored


def read_lock(path: str | os.PathLike[str]) -> Lock:
    """The lock of a file; an empty one where there is none. `LockError` where it is corrupt."""
    file = Path(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise LockError(f"the lock file {file} is no regular file")
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return Lock()
    try:
        stored = json_value(content.decode("utf-8"))
    except ValueError as problem:
        raise _corrupt(file, problem) from problem
    version = stored.get("version") if isinstance(stored, dict) else None
    if not isinstance(stored, dict) or type(version) is not int or version < 1:  # True is none
        raise _corrupt(file, f"version {VERSION} is expected")
    if version < VERSION:
        return Lock(outdated=version)
    if version > VERSION:
        raise LockError(
            f"the lock file {file} is of version {version}, written by a later tncompile;"
            f" this one reads {VERSION}: move it away to plan anew"
        )
    if not isinstance(stored.get("plans"), list):
        raise _corrupt(file, "it holds no list of plans")
    from tncompile.planning.serialization import NotStoredError, read  # loads pydantic

    entries: dict[str, Entry] = {}
    damaged: dict[str, str] = {}
    for entry in stored["plans"]:
        try:
            key = read(Key, entry["request"])
        except (NotStoredError, KeyError, TypeError):
            continue  # nobody can ask for it
        entries.pop(key.line, None)
        damaged.pop(key.line, None)
        try:
            plan = ContractionPlan.from_dict(entry["plan"])
            entries[key.line] = Entry(key, read(str, entry["fingerprint"]), plan)
        except (ValueError, KeyError) as problem:
            damaged[key.line] = str(problem)
    return Lock(entries, damaged)


def _corrupt(file: Path, problem: object) -> LockError:
    return LockError(f"the lock file {file} is corrupt ({problem}); move it away to plan anew")


def write_lock(lock: Lock, path: str | os.PathLike[str]) -> None:
    """Write the lock to a temporary file and move it into place."""
    plans = [
        {"request": asdict(each.key), "fingerprint": each.fingerprint, "plan": each.plan.to_dict()}
        for _, each in sorted(lock.entries.items())
    ]
    written = json.dumps({"version": VERSION, "plans": plans}, indent=1, ensure_ascii=False)
    replace_file(Path(path).resolve(), f"{written}\n")


def keep_plan(
    path: str | os.PathLike[str],
    network: TensorNetwork,
    request: PlanRequest,
    plan: ContractionPlan,
) -> None:
    """Add a plan to a lock file as it is now: other processes may have kept theirs since.

    Raises `LockError` where the file is corrupt, and OSError where it cannot be written.
    """
    file = Path(path).resolve()
    with alone_with(file):
        write_lock(read_lock(file).with_plan(network, request, plan), file)
