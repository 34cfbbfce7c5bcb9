"""What an operation is: the values that it reads and makes, and what is said of its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, ClassVar, dataclass_transform, get_args, get_origin, get_type_hints

Use = Annotated[str, "use"]
"""The name of a value that an operation reads."""

Def = Annotated[str, "def"]
"""The name of a value that an operation makes."""

Key = Annotated[str, "key"]
"""The key of a parameter that an operation reads."""


def _roles(hint: object) -> set[str]:
    """The roles in an annotation, inside of tuples and unions, too."""
    if get_origin(hint) is Annotated:
        return set(get_args(hint)[1:])
    return {role for part in get_args(hint) for role in _roles(part)}


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True)
class Operation:
    """An operation by the names of its operands and results; each class is a frozen dataclass.

    What is said of a class stands behind its base: `class View(Unary, is_view=True)`.

    is_view         its results lie in the memory of its only operand, and cost no work
    may_alias       its result has memory of its own only where strides or gradients demand it
    is_borrowed     its result lies in memory of the caller or the module
    is_contraction  a product, in which multiply-adds are counted
    autocasts       runs in the lower precision under autocast
    is_detached     no gradient flows back through it
    is_elementwise  its result is dense, in the order of axes of its operands, and of the shape that
                    these broadcast to, but for axes that it reduces
    has_free_shape  the shape of its result does not follow from those of its operands
    """

    is_view: ClassVar[bool] = False
    may_alias: ClassVar[bool] = False
    is_borrowed: ClassVar[bool] = False
    is_contraction: ClassVar[bool] = False
    autocasts: ClassVar[bool] = False
    is_detached: ClassVar[bool] = False
    is_elementwise: ClassVar[bool] = False
    has_free_shape: ClassVar[bool] = False

    use_fields: ClassVar[tuple[str, ...]] = ()  # the fields annotated so
    def_fields: ClassVar[tuple[str, ...]] = ()
    key_fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **flags: bool) -> None:
        dataclass(frozen=True)(cls)
        for name, flag in flags.items():
            if getattr(Operation, name, None) is not False:
                raise TypeError(f"{cls.__name__}: `{name}` is not a flag of operations")
            setattr(cls, name, flag)
        roles = {
            name: _roles(hint) for name, hint in get_type_hints(cls, include_extras=True).items()
        }
        cls.use_fields, cls.def_fields, cls.key_fields = (
            tuple(name for name in roles if role in roles[name]) for role in ("use", "def", "key")
        )

    # A search asks for these names more often than for anything else, so each operation keeps them.

    @cached_property
    def _sources(self) -> tuple[str, ...]:
        return _names(self, self.use_fields)

    @cached_property
    def _results(self) -> tuple[str, ...]:
        return _names(self, self.def_fields)


class SingleResult(Operation):
    """An operation with one result."""

    result: Def


class Unary(SingleResult):
    """One that reads one value."""

    source: Use


class Binary(SingleResult):
    """One that reads two values."""

    left: Use
    right: Use


def sources(operation: Operation) -> tuple[str, ...]:
    """The values that an operation reads."""
    return operation._sources


def results(operation: Operation) -> tuple[str, ...]:
    """The values that an operation makes."""
    return operation._results


def parameter_keys(operation: Operation) -> tuple[str, ...]:
    """The parameters that an operation reads."""
    return _names(operation, operation.key_fields)


def attributes(operation: Operation) -> tuple[tuple[str, object], ...]:
    """The fields of an operation that name no value, with what they hold."""
    values = {*operation.use_fields, *operation.def_fields}
    names = [field.name for field in fields(operation) if field.name not in values]
    return tuple((name, getattr(operation, name)) for name in names)


def renamed(operation: Operation, names: Mapping[str, str]) -> Operation:
    """The operation with other names for the values that it reads and makes."""
    changes: dict[str, str | tuple[str, ...]] = {}
    for name in (*operation.use_fields, *operation.def_fields):
        match getattr(operation, name):
            case str(value):
                changes[name] = names.get(value, value)
            case tuple(values):
                changes[name] = tuple(names.get(value, value) for value in values)
    return replace(operation, **changes)


def _names(operation: Operation, field_names: tuple[str, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for value in (getattr(operation, name) for name in field_names):
        if isinstance(value, str):
            names.append(value)
        elif value is not None:
            names += value
    return tuple(names)
