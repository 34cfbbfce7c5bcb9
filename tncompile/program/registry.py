"""Rules by class of operation: how each is evaluated, simulated and written."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tncompile.program.operation import Operation

P = ParamSpec("P")
R = TypeVar("R")


class Registry(dict[type[Operation], Callable[..., R]]):
    """The rule of each class of operation; an operation without one is a `KeyError`."""

    def register(self, *kinds: type[Operation]) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator: the function is the rule of these classes."""

        def add(rule: Callable[P, R]) -> Callable[P, R]:
            self.update(dict.fromkeys(kinds, rule))
            return rule

        return add
