"""What the nodes of the syntax tree are: frozen values, compared without recursion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
class Structure:
    """Makes its subclasses frozen dataclasses: with methods of their own they would load slowly.

    What is `kw_only` is no part of equality.
    """

    __match_args__: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, eq=False, repr=False)(cls)

    def parts(self) -> tuple[object, ...]:
        """The fields in order, without what is `kw_only`."""
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        """Equality without recursion: a sum may have thousands of terms."""
        pairs: list[tuple[object, object]] = [(self, other)]
        while pairs:
            left, right = pairs.pop()
            if left is right:
                continue
            if type(left) is not type(right):
                return False
            if isinstance(left, Structure) and isinstance(right, Structure):
                left, right = left.parts(), right.parts()
            if isinstance(left, tuple) and isinstance(right, tuple):
                if len(left) != len(right):
                    return False
                pairs.extend(zip(left, right, strict=True))
            elif left != right:
                return False
        return True

    def __hash__(self) -> int:
        return hash((type(self), self.parts()))

    def __repr__(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.__match_args__]
        return f"{type(self).__name__}({', '.join(parts)})"
