"""A small layout language: text with places where lines may break, fitted to a width.

After Wadler, "A prettier printer" (2003): a group is set on one line if it fits, else its own
breaks become line breaks; groups inside it decide for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Break:
    """A place to break: `flat` when the group around it is on one line, else a line break.

    `broken` stands before the line break; `always` breaks whatever fits.
    """

    flat: str = " "
    broken: str = ""
    always: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Concat:
    """Pieces one after the other; lines that break in them are indented by `indent` more."""

    pieces: tuple[Doc, ...]
    indent: int
    forced: bool


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """All breaks directly inside are broken, or none is."""

    content: Doc
    forced: bool


Doc = str | Break | Concat | Group

LINE = Break()
SOFT = Break("")
HARD = Break(always=True)
COMMA_SOFT = Break("", ",")


def concat(*pieces: Doc) -> Concat:
    """Pieces one after the other."""
    return nest(0, *pieces)


def nest(indent: int, *pieces: Doc) -> Concat:
    """Pieces one after the other, lines inside them indented."""
    return Concat(pieces, indent, any(_forced(piece) for piece in pieces))


def group(*pieces: Doc) -> Group:
    """Pieces whose breaks go together."""
    content = concat(*pieces)
    return Group(content, content.forced)


def joined(separator: Doc, pieces: Iterable[Doc]) -> Concat:
    """Pieces with a separator between two."""
    spread: list[Doc] = []
    for piece in pieces:
        if spread:
            spread.append(separator)
        spread.append(piece)
    return concat(*spread)


def _forced(doc: Doc) -> bool:
    match doc:
        case Break():
            return doc.always
        case Concat() | Group():
            return doc.forced
        case _:
            return False


def lay_out(doc: Doc, *, width: int = 100, indent: int = 0) -> list[str]:
    """The lines of a document; the first begins at column 0, later ones count from `indent`."""
    lines: list[str] = []
    current: list[str] = []
    column = indent
    stack: list[tuple[int, bool, Doc]] = [(indent, True, doc)]
    while stack:
        inner, broken, piece = stack.pop()
        match piece:
            case str():
                current.append(piece)
                column += len(piece)
            case Concat():
                deeper = inner + piece.indent
                stack.extend((deeper, broken, each) for each in reversed(piece.pieces))
            case Group():
                fits = not piece.forced and _fits(piece.content, stack, width - column)
                stack.append((inner, not fits, piece.content))
            case Break():
                if broken:
                    current.append(piece.broken)
                    lines.append("".join(current).rstrip())
                    current = [" " * inner]
                    column = inner
                else:
                    current.append(piece.flat)
                    column += len(piece.flat)
    lines.append("".join(current).rstrip())
    return lines


def _fits(content: Doc, rest: list[tuple[int, bool, Doc]], room: int) -> bool:
    """Whether `content` on one line, and what follows up to the next break, fits into `room`."""
    following = len(rest)
    stack: list[tuple[bool, Doc]] = [(False, content)]
    while room >= 0:
        if not stack:
            if not following:
                return True
            following -= 1
            _, broken, piece = rest[following]
        else:
            broken, piece = stack.pop()
        match piece:
            case str():
                room -= len(piece)
            case Concat():
                stack.extend((broken, each) for each in reversed(piece.pieces))
            case Group():
                stack.append((broken, piece.content))
            case Break():
                if broken:
                    return room >= len(piece.broken)
                room -= len(piece.flat)
    return False
