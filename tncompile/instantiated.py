"""What a user holds of a block with its arguments, be it a network or a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.files import lock_path
from tncompile.language.diagnostics.diagnostic import Diagnostic

if TYPE_CHECKING:
    from typing import Self

    from tncompile.language.linked import LinkedProgram
    from tncompile.language.typing.model import Resolved


@dataclass(frozen=True, repr=False, eq=False)
class Instantiated:
    """A block with all its sizes: where it comes from, and the lock that its plans are kept in.

    >>> arch, arch.keeps_lock
    (Architecture(MPO(ins = [4, 8], outs = [8, 4], ranks = [4])), False)
    """

    _resolved: Resolved
    _linked: LinkedProgram
    _file: Path | None = None  # a lock may stand beside it
    _lock: Path | None = None  # the lock that was asked for
    _unlocked: bool = False  # whether no lock is followed
    keeps_lock: bool = False
    """Whether plans that are searched are stored in the lock file."""

    def __repr__(self) -> str:
        lock, name = self.lock, type(self).__name__
        return f"{name}({self._resolved.target}{f', lock={str(lock)!r}' if lock else ''})"

    @property
    def arguments(self) -> Mapping[str, int | float | bool | tuple[int, ...]]:
        """The values of all parameters of the block, defaults included.

        >>> arch.arguments["ranks"], arch.arguments["with_bias"]
        ((4,), True)
        """
        return dict(self._resolved.values)

    @property
    def lock(self) -> Path | None:
        """The lock file that plans are taken from; None where there is none.

        >>> print(arch.lock)
        None
        """
        if self._lock is not None or self._file is None or self._unlocked:
            return self._lock
        beside = lock_path(self._file)
        return beside if beside.exists() else None

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is odd about the block without being wrong: bonds that are too large (TN307), …

        >>> arch.warnings
        ()
        """
        return self._resolved.warnings

    def _with_arguments(
        self,
        changed: Mapping[str, int | float | bool | tuple[int, ...]],
        *,
        defaults: bool = False,
    ) -> Self:
        """The same block with other values of some parameters, without a lock.

        What was not given stays as it was, or with `defaults` follows from the new values: `hidden`
        of `hidden: int = 4 * width`. Raises `CompileError` where the block refuses them.
        """
        from tncompile.language.instantiating import resolve

        kept = self._given if defaults else self.arguments
        resolved = resolve(self._linked, self._resolved.block.name.text, {**kept, **changed})
        return replace(self, _resolved=resolved, _file=None, _lock=None, keeps_lock=False)

    @property
    def _given(self) -> Mapping[str, int | float | bool | tuple[int, ...]]:
        """The arguments without those that are defaults; of a named instance, all of them."""
        from tncompile.language.parsing import parse_target

        call, resolved = parse_target(self._resolved.target), self._resolved
        if resolved.name != resolved.block.name.text:
            return self.arguments
        names = {each.name.text for each in call.arguments if each.name is not None}
        return {name: value for name, value in self.arguments.items() if name in names}

    def text(self) -> str:
        """The `.tn` source that the architecture comes from.

        >>> "tensor W0(i, o)" in tncompile.from_einsum("bi,io->bo", (None, 8), (8, 2)).text()
        True
        """
        return self._linked.source.text

    def locked(self, path: str | os.PathLike[str] | None = None, *, keep: bool = True) -> Self:
        """The same architecture, its plans taken from a lock file and, with `keep`, stored there.

        Without a path it is the one beside the `.tn` file (`mpo.tnlock` beside `mpo.tn`), which is
        read without this too, but not written. A plan that the file lacks, or that is stale, is
        searched; its `notes` say why. Planning raises ValueError where the file is corrupt. Raises
        ValueError where neither a path nor a file of one's own says where the lock is.

        >>> arch.locked("mpo.tnlock", keep=False).lock.name
        'mpo.tnlock'
        """
        if path is None:
            if self._file is None:
                what = "a text, an equation or a file of the library"
                raise ValueError(f"no lock stands beside {what}: name its path")
            path = lock_path(self._file)
        return replace(self, _lock=Path(path), _unlocked=False, keeps_lock=keep)

    def unlocked(self) -> Self:
        """The same architecture, its plans searched whatever a lock file holds.

        >>> print(arch.locked("mpo.tnlock").unlocked().lock)
        None
        """
        return replace(self, _lock=None, _unlocked=True, keeps_lock=False)
