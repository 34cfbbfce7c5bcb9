"""What a user loads: a spec (a `.tn` file), whose blocks make architectures."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tncompile.architecture import Architecture
from tncompile.blocks import Block, Blocks
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.syntax.source import SourceFile
from tncompile.language.typing.model import ResolvedModel
from tncompile.model import Model
from tncompile.notebook import as_html

if TYPE_CHECKING:
    from tncompile.language.linked import LinkedProgram
    from tncompile.language.typing.model import Resolved
    from tncompile.network.einsum import Indices, Shape

MOST_NAMED = 8
"""The most files of a folder that are named."""


class Spec:
    """A `.tn` file that parses and whose named instances are right; see `load` and `loads`.

    `spec["MPO"]` is one of its `blocks`, `"MPO" in spec` says whether there is such a block, and a
    spec iterates over their names. Raises KeyError with the name that was probably meant.

    >>> "MPO" in spec, list(spec)[:2]
    (True, ['LowRank', 'Interpolative'])
    """

    def __init__(self, linked: LinkedProgram, file: Path | None = None) -> None:
        self._linked = linked
        self._file = file  # that a lock may stand beside

    def __repr__(self) -> str:
        return f"Spec({self._linked.source.name!r}, blocks={list(self.blocks)})"

    def _repr_html_(self) -> str:
        """Its blocks as a table, then its text."""
        return self.blocks._repr_html_() + as_html(self._linked.source.text)

    def __getitem__(self, name: str) -> Block:
        """The block of this name. Raises KeyError with the name that was probably meant."""
        return self.blocks[name]

    def __contains__(self, name: object) -> bool:
        return name in self.blocks

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    @cached_property
    def blocks(self) -> Blocks:
        """What can be instantiated, by name; imported blocks too. It prints as a table.

        >>> [parameter.name for parameter in spec.blocks["LowRank"].parameters]
        ['in_features', 'out_features', 'rank', 'with_bias']
        """
        return Blocks(
            {
                name: Block(name, block.kind, block.parameters, block.doc, self.instantiate)
                for name, block in self._linked.blocks.items()
            }
        )

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is odd about the file without being wrong.

        >>> spec.warnings
        ()
        """
        return self._linked.warnings

    def describe(self) -> str:
        """The source of the file in canonical layout, as `tncompile fmt` writes it.

        >>> print(tncompile.loads("network A(){index i=2 tensor t(i) output y(i)}").describe())
        network A() {
          index  i = 2
          tensor t(i)
          output y(i)
        }
        <BLANKLINE>
        """
        from tncompile.language.formatting import format_program

        return format_program(self._linked.program)

    def instantiate(self, target: str = "", /, **arguments: object) -> Architecture:
        """A block with its arguments.

        `target` is a name, or a call in the language (`"MPO(ins = [4, 8], outs = [8, 4])"`); with
        nothing at all it is the one block of the file. Keyword arguments are integers, booleans,
        floats and lists of integers, arrays of one axis included. Raises `CompileError` with all
        that is wrong.

        >>> spec.instantiate("MPO", ins=[4, 8], outs=[8, 4])
        Architecture(MPO(ins = [4, 8], outs = [8, 4]))
        """
        from tncompile.language.instantiating import resolve

        _require_text("target", target)
        try:
            resolved = resolve(self._linked, target, arguments)
        except CompileError as error:
            raise error.with_traceback(None) from None  # our own frames say nothing about a spec
        return instantiated(resolved, self._linked, self._file)


def instantiated(
    resolved: Resolved, linked: LinkedProgram, file: Path | None = None
) -> Architecture:
    """What a user holds of a network or a model."""
    if isinstance(resolved, ResolvedModel):
        return Model(resolved, linked, file)
    return Architecture(resolved, linked, file)


def _require_text(name: str, value: object) -> None:
    """TypeError unless an argument is a `str`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str, not {type(value).__name__}")


def load(path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None) -> Spec:
    """The spec of a `.tn` file; `std/linear.tn` is the library's, unless there is such a file.

    Imports are looked up beside the file and stay under its folder, or under `root`. Raises
    `FileNotFoundError`, or `CompileError` with all that is wrong.

    >>> tncompile.load("std/embedding.tn")
    Spec('std/embedding.tn', blocks=['TTEmbedding', 'MixedEmbedding'])
    """
    from tncompile.language.linking import link
    from tncompile.language.linking.importing import locate

    folder = None if root is None else Path(root)
    try:
        linked = link(read_file(path), folder=locate(path).parent, root=folder)
    except CompileError as error:
        raise error.with_traceback(None) from None
    return Spec(linked, own_file(path))


def read_file(path: str | os.PathLike[str]) -> SourceFile:
    """The text of a `.tn` file, or of one of the library.

    Raises `OSError` where it cannot be read, with the name that was probably meant where there is
    no such file, or those of a folder, and `CompileError` (TN103) where it is not UTF-8.
    """
    from tncompile.language.linking.importing import closest_file, decode, files_of, locate

    name = os.fspath(path)
    try:
        content = locate(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if files := files_of(name):
            named = ", ".join(files[:MOST_NAMED]) + ", …" * (len(files) > MOST_NAMED)
            words = f"is a directory; name one of its files: {named}"
            raise OSError(errno.EISDIR, words, name) from None
        close = closest_file(name)
        meant = f"; did you mean {close}?" if close else ""
        raise OSError(error.errno, f"{error.strerror}{meant}", name) from None
    return decode(content, name)


def own_file(path: str | os.PathLike[str]) -> Path | None:
    """The absolute path of a file of one's own; None for one of the library."""
    from tncompile.language.linking.importing import is_own

    return Path(path).absolute() if is_own(path) else None


def loads(text: str, *, root: str | os.PathLike[str] | None = None, name: str = "<text>") -> Spec:
    """The spec of a text, which messages call `name`. Without a `root` it imports only `std/`.

    Raises `CompileError` with all that is wrong.

    >>> tncompile.loads("network Dot() { index i = 4 tensor a(i) tensor b(i) output y() }")
    Spec('<text>', blocks=['Dot'])
    """
    from tncompile.language.linking import link

    _require_text("text", text)
    folder = None if root is None else Path(root)
    try:
        linked = link(SourceFile(name, text), folder=folder, root=folder)
    except CompileError as error:
        raise error.with_traceback(None) from None
    return Spec(linked)


def from_einsum(
    equation: str | Shape, *shapes: Shape | Indices, inputs: int = 1, name: str = "Einsum"
) -> Architecture:
    """The network of an einsum equation; its `text()` is the `.tn` source.

    The equation comes with a shape an operand, or, as einsum has it too, shapes come each followed
    by a list of indices, the output's last. The first `inputs` operands are arguments of `forward`,
    the others the trained tensors `W0`, `W1`, … of just these shapes.

    >>> tncompile.from_einsum("bi,ir,ro->bo", (None, 8), (8, 2), (2, 4))
    Architecture(Einsum)
    >>> tncompile.from_einsum((None, 8), [0, 1], (8, 2), [1, 2], [0, 2])
    Architecture(Einsum)

    Equations:
        indices   letters, those of other alphabets too; in lists whole numbers, letters, words
        `ii->i`   diagonals and traces, `i->ii` too: a frozen identity matrix (`eye_i_2`, a buffer),
                  which is multiplied in full
        `,ij->ij` operands without axes
        `...`     any axes, aligned on the right. Where it leads inputs and the output, and nothing
                  else has axes there, it is any number of axes at run time, and shapes may leave
                  them out. Elsewhere shapes say its axes; missing on the output, they are summed.
        no `->`   `...`, then what occurs once, in alphabetical order

    Shapes:
        sizes     a tuple, a list, an array of one axis of integers; each an int, NumPy's included
        None      in an input's shape: a batch axis, sized at run time
        1         broadcasts where the index is longer elsewhere
        a tensor  of torch, NumPy, …: its shape is taken, its values are not; so of a number

    What is summed on one operand alone gets a frozen vector of ones (`sum_i`, a buffer). Raises
    ValueError, with a caret, for what is no equation or does not fit it, TypeError for what is
    neither a shape nor indices, and `CompileError` beyond the limits of the language.
    """
    from tncompile.language.instantiating import resolve
    from tncompile.language.linking import link
    from tncompile.network.einsum import from_einsum as write

    text = write(equation, *shapes, inputs=inputs, name=name)
    linked = link(SourceFile("<einsum>", text), folder=None, root=None)
    resolved = resolve(linked, name, {})
    assert isinstance(resolved, ResolvedNetwork)
    return Architecture(resolved, linked)
