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
from dataclasses import dataclass, field, replace
from pathlib import Path

from tncompile.files import replace_file
from tncompile.network.model import TensorNetwork
from tncompile.planning.machine import CPU
from tncompile.planning.plans import ContractionPlan, verify_plan

VERSION = 2
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
    """A plan and the fingerprint of the network that it was made for."""

    fingerprint: str
    plan: ContractionPlan


@dataclass(frozen=True, slots=True)
class Lock:
    """The entries of a lock file by the key of their request.

    `outdated` is the version of an older file, whose plans are not used.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    outdated: int | None = None

    def _entry(self, request: Request) -> Entry | None:
        """A plan that was measured, before one that was predicted."""
        return self.entries.get(request.measured().key) or self.entries.get(request.key)

    def get(self, request: Request) -> ContractionPlan | None:
        """The stored plan, stale or not; None where nothing is stored."""
        entry = self._entry(request)
        if entry is None:
            return None
        if entry.plan.tuned and request.batch:
            return entry.plan.with_batch(request.batch[len(request.batch) // 2])
        return entry.plan

    def verify(self, request: Request, network: TensorNetwork) -> Iterator[str]:
        """Why the stored plan must not be used for this network; nothing where it may."""
        entry = self._entry(request)
        if entry is None:
            old = f" (the file is of version {self.outdated})" if self.outdated is not None else ""
            yield f"no plan is stored for `{request.target}`{old}"
            return
        if entry.fingerprint != fingerprint(network):
            yield f"the stored plan of `{request.target}` is stale: the network has changed since"
            return
        if damage := next(verify_plan(network, entry.plan), None):
            yield f"the stored plan of `{request.target}` is damaged: {damage}"

    def unused(self, request: Request) -> Iterator[str]:
        """Which measured plans of the target stay aside: those for another memory limit."""
        wanted = request.measured().to_dict()
        for key in self.entries:
            kept = json.loads(key)
            limit = kept.get("memory_limit")
            if kept == {**wanted, "memory_limit": limit} and limit != request.memory_limit:
                yield (
                    f"the plan of `{request.target}` tuned with {_limit(limit)} is not used with"
                    f" {_limit(request.memory_limit)}"
                )

    def with_plan(self, request: Request, network: TensorNetwork, plan: ContractionPlan) -> Lock:
        """The lock with one more plan, or with one replaced; a stale one in its way is gone."""
        entry = Entry(fingerprint(network), plan)
        kept = dict(self.entries)
        measured = kept.get(request.measured().key)
        if measured is not None and measured.fingerprint != entry.fingerprint:
            del kept[request.measured().key]
        return Lock({**kept, request.key: entry})


def _limit(limit: object) -> str:
    """A memory limit in words."""
    return "no memory limit" if limit is None else f"a memory limit of {limit:,} bytes"


def fingerprint(network: TensorNetwork) -> str:
    """A hash of all that a plan depends on: names, sizes and legs, not lines and docs.

    Two networks with one fingerprint have the same operands in the same order.
    """
    held = _without(network.model_dump(mode="json"), frozenset({"doc", "init", "line", "written"}))
    text = json.dumps(held, sort_keys=True, ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


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
    if isinstance(version, int) and 1 <= version < VERSION:
        return Lock(outdated=version)
    if isinstance(version, int) and version > VERSION:
        raise LockError(
            f"the lock file {file} is of version {version}, written by a later tncompile;"
            f" this one reads {VERSION}: move it away to plan anew"
        )
    if version != VERSION:
        raise _corrupt(file, f"version {VERSION} is expected")
    entries: dict[str, Entry] = {}
    try:
        for one in stored["plans"]:
            key = json.dumps(one["request"], ensure_ascii=False, separators=(", ", ": "))
            plan = ContractionPlan.from_dict(one["plan"])
            entries[key] = Entry(str(one["fingerprint"]), plan)
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise _corrupt(file, problem) from problem
    return Lock(entries)


def _corrupt(file: Path, problem: object) -> LockError:
    return LockError(f"the lock file {file} is corrupt ({problem}); move it away to plan anew")


def write_lock(lock: Lock, path: str | os.PathLike[str]) -> None:
    """Write the lock to a temporary file and move it into place."""
    plans = [
        {
            "request": json.loads(key),
            "fingerprint": entry.fingerprint,
            "plan": entry.plan.to_dict(),
        }
        for key, entry in sorted(lock.entries.items())
    ]
    text = json.dumps({"version": VERSION, "plans": plans}, indent=1, ensure_ascii=False) + "\n"
    replace_file(Path(path).resolve(), text)
