"""What is known about a network while its statements are resolved, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating.arithmetic import LARGEST_VALUE
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import IndexKind, ResolvedIndex, ResolvedParameter
from tncompile.language.resolving.unrolling import Key, Limits
from tncompile.language.syntax.tree import IndexDeclaration, Name, TensorStatement


@dataclass(slots=True)
class IndexFamily:
    """The indices of one declaration; a single index has the one member `()`.

    `poisoned` families failed to unroll: which members they have is not known. `absent` says that
    an `if` took away all members.
    """

    name: Name
    kind: IndexKind
    declaration: IndexDeclaration | None = None
    members: dict[Key, str] = field(default_factory=dict)
    prefixes: dict[Key, list[str]] = field(default_factory=dict)
    poisoned: bool = False
    absent: bool = False


@dataclass(slots=True)
class TensorFamily:
    """The tensors of one statement: the parameter behind each, and whether it is conjugated.

    A member that failed has no parameter; what went wrong is reported.
    """

    statement: TensorStatement
    members: dict[Key, tuple[ResolvedParameter | None, bool]] = field(default_factory=dict)
    poisoned: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """The state of one run; `indices` and `sizes` are by the names of the members.

    A size is None where the index is sized at run time, or where its expression failed.
    """

    problems: Problems
    scope: Scope
    limits: Limits = field(default_factory=Limits)
    families: dict[str, IndexFamily] = field(default_factory=dict)
    tensors: dict[str, TensorFamily] = field(default_factory=dict)
    indices: list[ResolvedIndex] = field(default_factory=list)
    sizes: dict[str, int | None] = field(default_factory=dict)

    def report(self, failed: Failed) -> None:
        """Keep the diagnostic; TN501 ends the stage."""
        self.problems.add(failed.diagnostic)
        if failed.diagnostic is not None and failed.diagnostic.code is Code.TOO_MANY:
            self.problems.raise_errors()

    def product(self, names: Sequence[str]) -> int | None:
        """The size of the flattened axis, None where one of the sizes is not known.

        Beyond all limits the product stops: it is an error, whatever it is.
        """
        product = 1
        for name in names:
            size = self.sizes[name]
            if size is None:
                return None
            if product <= LARGEST_VALUE:
                product *= size
        return product
