"""Which layers of a model become which networks: the lines of a `rewrite` block."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tncompile.language.diagnostics.spelling import closest
from tncompile.language.linked import LinkedProgram
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.spec import Spec, load, loads


@dataclass(frozen=True)
class Line:
    """`linear "encoder.*" -> MPO(ranks = 8)`; `target` is None for `keep`."""

    kind: str
    pattern: str
    target: str | None
    rule: tree.RewriteRule = field(repr=False, compare=False)


@dataclass(frozen=True)
class Rewrite:
    """Lines in order, of which the first one that matches a layer says what becomes of it.

    It comes from the `rewrite` block of a file or a text, whose networks and imports its lines
    name.

    >>> rewrite = tncompile.Rewrite.loads('rewrite R { linear "*.up" -> keep }')
    >>> rewrite
    Rewrite(name='R', lines=(Line(kind='linear', pattern='*.up', target=None),))
    """

    name: str
    lines: tuple[Line, ...]
    _linked: LinkedProgram = field(repr=False, compare=False)

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
    ) -> Rewrite:
        """The rewrite of a `.tn` file; a `name` says which, where it has several.

        Raises what `tncompile.load` raises, and ValueError where there is none of this name.

        >>> from pathlib import Path
        >>> _ = Path("small.tn").write_text(
        ...     'import "std/linear.tn" { LowRank } rewrite S { linear "*" -> LowRank(rank = 4) }'
        ... )
        >>> tncompile.Rewrite.load("small.tn").lines[0].target
        'LowRank(rank = 4)'
        """
        return rewrite_of(load(path, root=root), name)

    @staticmethod
    def loads(
        text: str, name: str | None = None, *, root: str | os.PathLike[str] | None = None
    ) -> Rewrite:
        """The rewrite of a text, as `load` reads it; without a `root` it imports only `std/`.

        >>> tncompile.Rewrite.loads('rewrite R { any "*" -> keep }').name
        'R'
        """
        return rewrite_of(loads(text, root=root), name)

    def text(self) -> str:
        """The source of the file that the rewrite stands in.

        >>> tncompile.Rewrite.loads('rewrite R { any "*" -> keep }').text()
        'rewrite R { any "*" -> keep }'
        """
        return self._linked.source.text


def read_rewrite(rewrite: Rewrite | Spec | str | os.PathLike[str]) -> Rewrite:
    """A rewrite, or that of a file or a spec with one of them."""
    if isinstance(rewrite, Rewrite):
        return rewrite
    if isinstance(rewrite, Spec):
        return rewrite_of(rewrite, None)
    if isinstance(rewrite, str | os.PathLike):
        return Rewrite.load(Path(rewrite))
    kind = type(rewrite).__name__
    raise TypeError(f"a rewrite is a tncompile.Rewrite, a Spec or the path of a file, not {kind}")


def rewrite_of(spec: Spec, name: str | None = None) -> Rewrite:
    """The rewrite of a spec. Raises ValueError where it has none, or several and no `name`."""
    linked = spec._linked
    found: Mapping[str, tree.Rewrite] = {
        each.name: each.definition
        for each in linked.blocks.values()
        if isinstance(each.definition, tree.Rewrite)
    }
    file = linked.source.name
    if not found:
        raise ValueError(f"{file} has no `rewrite` block")
    if name is None and len(found) > 1:
        raise ValueError(f"{file} has several rewrites: name one of {', '.join(found)}")
    if name is not None and name not in found:
        near = closest(name, found)
        meant = f"did you mean {near!r}?" if near else f"there are {', '.join(found)}"
        raise ValueError(f"{file} has no rewrite {name!r}; {meant}")
    definition = found[name or next(iter(found))]
    return Rewrite(definition.name.text, tuple(_lines(definition.rules)), linked)


def _lines(rules: Iterable[tree.RewriteRule]) -> Iterable[Line]:
    for rule in rules:
        target = None if rule.target is None else one_line(rule.target.span)
        yield Line(rule.kind, rule.pattern.value, target, rule)


def exactly(name: str) -> str:
    """The pattern that matches one name alone, as a string of the language.

    Raises ValueError for a name with a line break, which no string holds.

    >>> exactly('blocks.0.w["a"]')
    '"blocks.0.w[[]\\\\"a\\\\"]"'
    """
    if not name.isprintable():
        raise ValueError(f"no pattern can be written for the name {name!r}")
    return '"' + escaped(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(name: str) -> str:
    """The pattern that matches one name alone, as it is once the string is read."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def shown(name: str) -> str:
    """A name of a module in a line of text."""
    return (name if name.isprintable() else repr(name)[1:-1]) or "(the model)"
