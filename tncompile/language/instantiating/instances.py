"""Blocks with their arguments, each resolved once: two parts that are equal are one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed
from tncompile.language.linked import ArgumentValue, LinkedBlock
from tncompile.language.resolved import Value
from tncompile.language.resolving.networks import resolve_network
from tncompile.language.syntax import tree
from tncompile.language.typing.model import Part, Resolved
from tncompile.language.typing.statements import resolve_model

_Key = tuple[int, tuple[tuple[str, Value | str], ...], tuple[tuple[str, int], ...]]


@dataclass(slots=True)
class Instances:
    """What was resolved so far, by block and arguments; None where that failed."""

    _known: dict[_Key, Resolved | None] = field(default_factory=dict)
    _alive: list[Part] = field(default_factory=list)  # whose identities are in the keys

    def __call__(
        self,
        block: LinkedBlock,
        arguments: Mapping[str, ArgumentValue],
        handed: Mapping[str, Part],
    ) -> Resolved:
        """The block with these arguments, and with the parts that are handed on to it.

        Raises `CompileError` with what is wrong, the first time; `Failed` from then on.
        """
        definition = block.definition
        assert isinstance(definition, tree.Block)
        values = tuple((name, argument.value) for name, argument in sorted(arguments.items()))
        callees = tuple((name, id(part.callee)) for name, part in sorted(handed.items()))
        key = (id(definition), values, callees)
        if key in self._known:
            found = self._known[key]
            if found is None:
                raise Failed(None)
            return found
        self._known[key] = None
        self._alive.extend(handed.values())
        name, instance = block.name, block.arguments is not None
        if definition.kind == "network":
            result: Resolved = resolve_network(
                definition, arguments, name, block.doc, instance=instance
            )
        else:
            result = resolve_model(
                definition,
                arguments,
                handed,
                name,
                block.doc,
                block.scope,
                self,
                instance=instance,
            )
        self._known[key] = result
        return result
