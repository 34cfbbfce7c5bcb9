"""Blocks with their arguments, each resolved once: two parts that are equal are one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.linked import ArgumentValue, LinkedBlock
from tncompile.language.resolved import Value
from tncompile.language.resolving.networks import resolve_network
from tncompile.language.syntax import tree
from tncompile.language.typing.model import Part, Resolved
from tncompile.language.typing.statements import resolve_model

_Key = tuple[int, tuple[tuple[str, Value | str], ...], tuple[tuple[str, int], ...]]

MOST_NESTED = 40
"""Parts in parts: models of real architectures have five or six."""


@dataclass(slots=True)
class Instances:
    """What was resolved so far, by block and arguments; None where that failed."""

    _known: dict[_Key, Resolved | None] = field(default_factory=dict)
    _alive: list[Part] = field(default_factory=list)  # whose identities are in the keys
    _depth: int = 0

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
        if self._depth == MOST_NESTED:
            message = f"parts of parts are more than {MOST_NESTED} deep"
            note = f"parts are nested {MOST_NESTED} deep at most"
            hint, label = "make the stack of models lower", "the limit is passed here"
            raise failure(Code.TOO_MANY, message, definition.name.span, label, note, hint)
        self._known[key] = None
        self._alive.extend(handed.values())
        self._depth += 1
        try:
            result = self._resolve(block, definition, arguments, handed)
        finally:
            self._depth -= 1
        self._known[key] = result
        return result

    def _resolve(
        self,
        block: LinkedBlock,
        definition: tree.Block,
        arguments: Mapping[str, ArgumentValue],
        handed: Mapping[str, Part],
    ) -> Resolved:
        name, doc, instance = block.name, block.doc, block.arguments is not None
        if definition.kind == "network":
            return resolve_network(definition, arguments, name, doc, instance=instance)
        return resolve_model(
            definition, arguments, handed, name, doc, block.scope, self, instance=instance
        )
