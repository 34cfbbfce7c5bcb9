"""Which identifiers keep which values alive, and which of them are worth deleting."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tncompile.emission.steps.inlining import unfreed_values
from tncompile.emission.text.identifiers import Names
from tncompile.program.program import TensorProgram
from tncompile.program.queries import logarithms_of_scales


class Lifetimes:
    """The identifiers of a function under way.

    A value has a name of its own, or is an item of a tuple of slices that were unbound together.
    """

    def __init__(self, program: TensorProgram, names: Names) -> None:
        self._names = names
        self._values = program.values
        self._unfreed = unfreed_values(program)
        self._logarithms = logarithms_of_scales(program)
        self.owned: dict[str, str] = {}  # identifiers that keep memory alive, by value
        self.holders: dict[str, str] = {}  # the tuple that holds a value, by value
        self._alive: Counter[str] = Counter()  # how many items of a tuple live

    def fresh(self, name: str) -> str:
        """An identifier for a value."""
        return self._names.fresh(self._stem(name))

    def unbind(self, source: str, names: Sequence[str]) -> str:
        """An identifier for the tuple of all slices of a value."""
        target = self._names.fresh(f"{self._stem(source)}_slices")
        self.holders.update(dict.fromkeys(names, target))
        self._alive[target] = len(names)
        return target

    def heir(self, result: str, dead: Iterable[str]) -> str | None:
        """The name of a dead value of the same kind, for the result to take over."""
        stem = self._stem(result)
        alike = (self.owned[k] for k in dead if k in self.owned and self._stem(k) == stem)
        return next(alike, None)

    def drop(self, dead: Iterable[str], reused: str) -> list[str]:
        """What to delete when values die; `reused` is a name that has been given a new value."""
        deleted: dict[str, None] = {}
        for name in dead:
            target = self.owned.pop(name, None)
            holder = self.holders.pop(name, None)
            if holder is not None:
                self._alive[holder] -= 1
                if not self._alive[holder]:
                    target = holder
            if target is None or target == reused:
                continue
            if self._values[name].storage not in self._unfreed:
                deleted[target] = None
            self._names.release(target)
        return list(deleted)

    def _stem(self, name: str) -> str:
        """The name of a value without what makes it distinct: `t` of `t2_1`, `G` of `G_0_2`."""
        if name in self._logarithms:
            return "log"
        stem = re.sub(r"(_\d+)+$", "", name)
        return "t" if re.fullmatch(r"t\d*", stem) else stem
