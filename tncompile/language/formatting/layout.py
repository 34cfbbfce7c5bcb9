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
    """Pieces one after the other; lines that break in them are indented by `indent` more.

    In a group all breaks directly inside are broken, or none is; `forced` where one always is.
    """

    pieces: tuple[Doc, ...]
    indent: int
    grouped: bool
    forced: bool


Doc = str | Break | Concat

LINE = Break()
SOFT = Break("")
HARD = Break(always=True)


def nest(indent: int, *pieces: Doc, grouped: bool = False) -> Concat:
    """Pieces one after the other, lines inside them indented."""
    forced = any(
        piece.always if isinstance(piece, Break) else isinstance(piece, Concat) and piece.forced
        for piece in pieces
    )
    return Concat(pieces, indent, grouped, forced)


def concat(*pieces: Doc) -> Concat:
    """Pieces one after the other."""
    return nest(0, *pieces)


def group(*pieces: Doc) -> Concat:
    """Pieces whose breaks go together."""
    return nest(0, *pieces, grouped=True)


def joined(separator: Doc, pieces: Iterable[Doc]) -> Concat:
    """Pieces with a separator between two."""
    spread = [part for piece in pieces for part in (separator, piece)]
    return concat(*spread[1:])


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
                if piece.grouped:
                    broken = piece.forced or not _fits(piece, stack, width - column)
                inner += piece.indent
                stack.extend((inner, broken, each) for each in reversed(piece.pieces))
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
        if stack:
            broken, piece = stack.pop()
        elif following:
            following -= 1
            _, broken, piece = rest[following]
        else:
            return True
        match piece:
            case str():
                room -= len(piece)
            case Concat():
                stack.extend((broken, each) for each in reversed(piece.pieces))
            case Break():
                if broken:
                    return room >= len(piece.broken)
                room -= len(piece.flat)
    return False
