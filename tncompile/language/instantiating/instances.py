"""Blocks with their arguments, each resolved once: two parts that are equal are one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.evaluating.scope import Budget
from tncompile.language.linked import ArgumentValue, LinkedBlock
from tncompile.language.resolved import Value
from tncompile.language.resolving.networks import resolve_network
from tncompile.language.syntax import tree
from tncompile.language.typing.model import Part, Resolved
from tncompile.language.typing.statements import resolve_model

_Key = tuple[int, str, tuple[tuple[str, str, Value | str], ...], tuple[tuple[str, int], ...]]

MOST_NESTED = 40
"""Parts in parts: models of real architectures have five or six."""


@dataclass(slots=True)
class Instances:
    """What was resolved so far, by block and arguments, or how that failed.

    All models that are read for one target share one budget.
    """

    budget: Budget = field(default_factory=Budget)
    _known: dict[_Key, Resolved | CompileError] = field(default_factory=dict)
    _alive: list[Part] = field(default_factory=list)  # whose identities are in the keys
    _depth: int = 0

    def __call__(
        self,
        block: LinkedBlock,
        arguments: Mapping[str, ArgumentValue],
        handed: Mapping[str, Part],
    ) -> Resolved:
        """The block with these arguments, and with the parts that are handed on to it.

        Raises `CompileError` with what is wrong: the same one for equal arguments, so that it is
        reported once.
        """
        definition = block.definition
        assert isinstance(definition, tree.Block)
        # `1`, `1.0` and `true` are equal, and different arguments.
        values = tuple(
            (name, type(given.value).__name__, given.value)
            for name, given in sorted(arguments.items())
        )
        callees = tuple((name, id(part.callee)) for name, part in sorted(handed.items()))
        instance = block.name if block.arguments is not None else ""
        key = (id(definition), instance, values, callees)
        if key in self._known:
            found = self._known[key]
            if isinstance(found, CompileError):
                raise found
            return found
        if self._depth == MOST_NESTED:
            message = f"parts of parts are more than {MOST_NESTED} deep"
            note = f"parts are nested {MOST_NESTED} deep at most"
            hint, label = "make the stack of models lower", "the limit is passed here"
            raise failure(Code.TOO_MANY, message, definition.name.span, label, note, hint)
        self._alive.extend(handed.values())
        self._depth += 1
        try:
            self._known[key] = result = self._resolve(block, definition, arguments, handed)
        except CompileError as error:
            self._known[key] = error
            raise
        finally:
            self._depth -= 1
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
            definition,
            arguments,
            handed,
            name,
            doc,
            block.scope,
            self,
            self.budget,
            instance=instance,
        )
