"""Finding the file that an `import` names, without leaving the root folder."""

from __future__ import annotations

import codecs
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from tncompile.language.diagnostics.collector import problem
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.tree import String

LIBRARY = Path(__file__).resolve().parents[2] / "std"
"""The standard library that ships with the package: what `std/…` names."""

_MOST_BYTES = 1_000_000
"""More than any text within the limits has; what is longer is refused when it is parsed."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file looks for its imports; None for a text that may import the library only."""

    folder: Path | None
    root: Path | None


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """An imported file; `path` is its identity, links resolved."""

    path: Path
    source: SourceFile
    location: Location


def named_in_library(source: SourceFile) -> SourceFile:
    """The text under its name in an import, where it is a file of the library."""
    path = Path(source.name)
    if not path.is_absolute() or not path.is_relative_to(LIBRARY):
        return source
    return SourceFile(_name_in_library(path), source.text)


def _name_in_library(path: Path) -> str:
    """`std/…` instead of where the library is installed."""
    return f"std/{path.relative_to(LIBRARY).as_posix()}"


def find_import(written: String, importer: SourceFile, location: Location) -> ImportedFile:
    """The file that `written` names beside `importer`; TN206 or TN103 in a `CompileError`."""
    text = written.value
    if text.startswith("std/"):
        folder, root, relative = LIBRARY, LIBRARY, text.removeprefix("std/")
    elif location.folder is None or location.root is None:
        message, label = "only `std/…` can be imported here", "there is no folder to look in"
        note = "a text without a file imports the library that ships with tncompile, nothing else"
        hint = "give a root folder, or import from `std/`"
        raise _failed(written, message, label, note, hint)
    else:
        folder, root, relative = location.folder, location.root, text
    try:
        path = (folder / relative).resolve()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        raise _not_found(written) from None
    if not path.is_relative_to(root.resolve()):
        note = "imports stay under the root folder, so that a file cannot read what it should not"
        hint = "move the file below the root folder, or choose another one with `--root`"
        raise _failed(written, f'"{text}" is outside the root folder', "outside", note, hint)
    if path.is_relative_to(LIBRARY):
        name = _name_in_library(path)
    else:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(importer.name), text))
    return ImportedFile(path, _read(written, path, name), Location(path.parent, root))


def _read(written: String, path: Path, name: str) -> SourceFile:
    try:
        if not path.is_file():
            raise _not_found(written)
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
    except (OSError, ValueError):
        raise _not_found(written) from None
    if len(data) == _MOST_BYTES:  # perhaps cut inside a character
        return SourceFile(name, data.decode("utf-8", errors="ignore"))
    return decode(data, name)


def locate(name: str | os.PathLike[str]) -> Path:
    """The path of a file: as given, else `std/…` in the library that ships with the package."""
    path = Path(name)
    if path.parts[:1] == ("std",) and not path.exists():
        shipped = LIBRARY.parent.joinpath(*path.parts)
        return shipped if shipped.is_file() else path
    return path


def is_own(name: str | os.PathLike[str]) -> bool:
    """Whether a path names a file of one's own, and not one of the library."""
    return locate(name) == Path(name)


def decode(data: bytes, name: str) -> SourceFile:
    """The text of a file; TN103 in a `CompileError` at the first byte that is not UTF-8.

    A byte order mark at the start is none of the text.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return SourceFile(name, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        source = SourceFile(name, before + "\N{REPLACEMENT CHARACTER}")
        span = Span(source, len(before), len(before) + 1)
        label = f"byte 0x{data[error.start]:02x} cannot be read"
        message, note = "the file is not UTF-8", "source files are UTF-8 text"
        code, hint = Code.UNKNOWN_CHARACTER, "save the file as UTF-8"
        raise CompileError((problem(code, message, span, label, note, hint),)) from None


def _not_found(written: String) -> CompileError:
    close = closest_file(written.value)
    message, label = f'"{written.value}" is not found', "no such file"
    note = "paths are relative to the file; `std/` is the library that ships with tncompile"
    hint = f'did you mean `"{close}"`?' if close else "correct the path"
    return _failed(written, message, label, note, hint)


def closest_file(written: str) -> str | None:
    """The file of the library that was probably meant, as it is named in an import."""
    files = tuple(f"std/{path.name}" for path in sorted(LIBRARY.glob("*.tn")))
    same = [file for file in files if file.endswith(f"/{posixpath.basename(written)}")]
    return closest(written, files) or (same[0] if same else None)


def files_of(folder: str) -> tuple[str, ...]:
    """The `.tn` files of a folder, which may be `std/`; none where it is no folder."""
    path = Path(folder)
    if path.parts == ("std",) and not path.exists():
        path = LIBRARY
    return tuple(f"{Path(folder).as_posix()}/{each.name}" for each in sorted(path.glob("*.tn")))


def _failed(written: String, message: str, label: str, note: str, hint: str) -> CompileError:
    return CompileError((problem(Code.IMPORT_FAILED, message, written.span, label, note, hint),))
