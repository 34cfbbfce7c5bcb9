"""The lock file: plans kept beside a `.tn` file, so that a search is done once and repeats exactly.

`FILE.tnlock` is JSON keyed by names: target, batch sizes, run-time sizes, what was minimized, and
the machine profile; a plan that `tncompile tune` has measured stands for all batch sizes. A plan is
stale when the network is no longer the one it was made for; that is noticed by a fingerprint and
said, never passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from reprlib import repr as shown

from tncompile.files import alone_with, replace_file
from tncompile.machine.profile import CPU
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.serialization import (
    NotStoredError,
    integers,
    sizes_from_dict,
    text,
    truth,
    whole,
)
from tncompile.planning.verifying import verify_plan

VERSION = 3
"""Of the file; plans of older ones are made anew, newer ones are refused."""


class LockError(ValueError):
    """A lock file that cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a plan was asked for: the key of an entry."""

    target: str
    batch: tuple[int, ...]
    sizes: Mapping[str, int]
    minimize: str
    training: bool
    search: str
    memory_limit: int | None
    machine: str
    tuned: bool = False
    device: str = CPU  # of the machine profile, which says so already

    def to_dict(self) -> dict[str, object]:
        """The request as JSON holds it."""
        return {
            "target": self.target,
            "batch": list(self.batch),
            "sizes": dict(sorted(self.sizes.items())),
            "minimize": self.minimize,
            "training": self.training,
            "search": self.search,
            "memory_limit": self.memory_limit,
            "machine": self.machine,
            "tuned": self.tuned,
        }

    @staticmethod
    def from_dict(stored: object) -> Request:
        """The request that `to_dict` stored; the device of a measured plan is its machine.

        Raises `NotStoredError` where it is none.
        """
        known = {field.name for field in fields(Request)} - {"device"}
        if not isinstance(stored, dict) or stored.keys() != known:
            raise NotStoredError(f"{shown(stored)} where a request is due")
        limit = stored["memory_limit"]
        return Request(
            target=text(stored["target"]),
            batch=integers(stored["batch"], 1),
            sizes=sizes_from_dict(stored["sizes"]),
            minimize=text(stored["minimize"]),
            training=truth(stored["training"]),
            search=text(stored["search"]),
            memory_limit=None if limit is None else whole(limit, 1),
            machine=text(stored["machine"]),
            tuned=truth(stored["tuned"]),
        )

    @property
    def key(self) -> str:
        """The request as one line of text; equal requests have equal keys."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(", ", ": "))

    def measured(self) -> Request:
        """The request of a plan that `tncompile tune` has measured: one for all batch sizes.

        What was measured on one device says nothing of another.
        """
        machine = "" if self.device == CPU else self.device
        return replace(self, batch=(), search="", machine=machine, tuned=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan, what it was asked for, and the fingerprint of the network that it was made for."""

    request: Request
    fingerprint: str
    plan: ContractionPlan


@dataclass(frozen=True, slots=True)
class Lock:
    """The entries of a lock file by the key of their request.

    `damaged` says by key what is wrong with entries that hold no plan: they are not written again.
    `outdated` is the version of an older file, whose plans are not used.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)
    outdated: int | None = None

    def find(
        self, request: Request, network: TensorNetwork
    ) -> tuple[ContractionPlan | None, tuple[str, ...]]:
        """The stored plan of a network, or None and why it is not used where there is one.

        One that was measured goes before one that was predicted, unless it is stale.
        """
        problem = None
        for key in (request.measured().key, request.key):
            if key in self.damaged:
                return None, (_damaged(request, self.damaged[key]),)
            entry = self.entries.get(key)
            if entry is None:
                continue
            if entry.fingerprint != fingerprint(network):
                problem = (
                    f"the stored plan of `{request.target}` is stale: the network has changed since"
                )
                continue
            if damage := next(verify_plan(network, entry.plan), None):
                return None, (_damaged(request, damage),)
            if entry.plan.tuned and request.batch:
                return entry.plan.with_batch(request.batch[len(request.batch) // 2]), ()
            return entry.plan, ()
        if self.outdated is not None:
            old = f"(the file is of version {self.outdated})"
            problem = f"no plan is stored for `{request.target}` {old}"
        return None, () if problem is None else (problem,)

    def unused(self, request: Request) -> Iterator[str]:
        """Which measured plans of the target stay aside: those for another memory limit."""
        measured = request.measured()
        for entry in self.entries.values():
            limit = entry.request.memory_limit
            if limit != request.memory_limit and entry.request.key == (
                replace(measured, memory_limit=limit).key
            ):
                yield (
                    f"the plan of `{request.target}` tuned with {_limit(limit)} is not used with"
                    f" {_limit(request.memory_limit)}"
                )

    def with_plan(self, request: Request, network: TensorNetwork, plan: ContractionPlan) -> Lock:
        """The lock with one more plan, or with one replaced, or with a damaged one mended.

        A measured plan stays beside a predicted one, of a network that has changed, too.
        """
        kept = dict(self.entries)
        measured = kept.get(request.measured().key)
        mine = fingerprint(network)
        if measured is not None and measured.fingerprint == mine:
            damage = next(verify_plan(network, measured.plan), None)
            if damage is not None:
                del kept[request.measured().key]
        return Lock({**kept, request.key: Entry(request, mine, plan)})


def _damaged(request: Request, problem: str) -> str:
    return f"the stored plan of `{request.target}` is damaged: {problem}"


def _limit(limit: object) -> str:
    """A memory limit in words."""
    return "no memory limit" if limit is None else f"a memory limit of {limit:,} bytes"


def fingerprint(network: TensorNetwork) -> str:
    """A hash of all that a plan depends on: names, sizes and legs, not lines and docs.

    Two networks with one fingerprint have the same operands in the same order.
    """
    held = _without(network.model_dump(mode="json"), frozenset({"doc", "init", "line", "written"}))
    written = json.dumps(held, sort_keys=True, ensure_ascii=True)
    return "sha256:" + hashlib.sha256(written.encode()).hexdigest()


def _without(stored: object, fields: frozenset[str]) -> object:
    """A JSON value without some fields, at any depth."""
    match stored:
        case dict():
            return {k: _without(v, fields) for k, v in stored.items() if k not in fields}
        case list():
            return [_without(item, fields) for item in stored]
        case _:
            return stored


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
        stored = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise _corrupt(file, problem) from problem
    version = stored.get("version") if isinstance(stored, dict) else None
    if isinstance(version, bool):
        version = None
    if isinstance(version, int) and 1 <= version < VERSION:
        return Lock(outdated=version)
    if isinstance(version, int) and version > VERSION:
        raise LockError(
            f"the lock file {file} is of version {version}, written by a later tncompile;"
            f" this one reads {VERSION}: move it away to plan anew"
        )
    if version != VERSION:
        raise _corrupt(file, f"version {VERSION} is expected")
    if not isinstance(stored.get("plans"), list):
        raise _corrupt(file, "it holds no list of plans")
    entries: dict[str, Entry] = {}
    damaged: dict[str, str] = {}
    for one in stored["plans"]:
        try:
            request = Request.from_dict(one["request"])
        except (NotStoredError, KeyError, TypeError):
            continue  # nobody can ask for it
        entries.pop(request.key, None)
        damaged.pop(request.key, None)
        try:
            plan = ContractionPlan.from_dict(one["plan"])
            entries[request.key] = Entry(request, text(one["fingerprint"]), plan)
        except (NotStoredError, ValueError, KeyError) as problem:
            damaged[request.key] = str(problem)
    return Lock(entries, damaged)


def _corrupt(file: Path, problem: object) -> LockError:
    return LockError(f"the lock file {file} is corrupt ({problem}); move it away to plan anew")


def write_lock(lock: Lock, path: str | os.PathLike[str]) -> None:
    """Write the lock to a temporary file and move it into place."""
    plans = [
        {
            "request": entry.request.to_dict(),
            "fingerprint": entry.fingerprint,
            "plan": entry.plan.to_dict(),
        }
        for _, entry in sorted(lock.entries.items())
    ]
    written = json.dumps({"version": VERSION, "plans": plans}, indent=1, ensure_ascii=False)
    replace_file(Path(path).resolve(), f"{written}\n")


def keep_plan(
    path: str | os.PathLike[str], request: Request, network: TensorNetwork, plan: ContractionPlan
) -> None:
    """Add a plan to a lock file as it is now: other processes may have kept theirs since.

    Raises `LockError` where the file is corrupt, and OSError where it cannot be written.
    """
    file = Path(path).resolve()
    with alone_with(file):
        write_lock(read_lock(file).with_plan(request, network, plan), file)
