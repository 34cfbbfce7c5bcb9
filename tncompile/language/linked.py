"""A program whose imports are followed: what `resolve` takes its blocks from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tncompile.language.diagnostics.diagnostic import Diagnostic, Label
from tncompile.language.resolved import Value
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.tree import Block, Program, Rewrite
from tncompile.language.typing.model import Resolved


@dataclass(frozen=True, slots=True)
class ArgumentValue:
    """The argument for one parameter.

    Problems with it are reported at `span`; `quoted` is its text where it came from Python or a
    TARGET, which have no place in the file. `advice` is what to write in its place, where that is
    known without its type.
    """

    value: Value | str  # a `str` is the name of a Python type that the language does not have
    span: Span
    quoted: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class ParameterSummary:
    """A parameter as a reader of `tncompile blocks` sees it; type and default are source text."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class LinkedBlock:
    """A block that can be named: declared in the file or imported.

    `definition` is the block itself; of a named instance it is the block behind the instance, and
    `arguments` are those of the instance. `scope` are the blocks of the file that it stands in.
    """

    name: str
    kind: str  # `network`, `model` or `rewrite`
    parameters: tuple[ParameterSummary, ...]
    doc: str | None
    declared: Span = field(compare=False, repr=False)
    definition: Block | Rewrite = field(repr=False)
    arguments: Mapping[str, ArgumentValue] | None = field(default=None, repr=False)
    imported: bool = False
    scope: Mapping[str, LinkedBlock] = field(default_factory=dict, compare=False, repr=False)


def can_be_compiled(block: LinkedBlock) -> bool:
    """Whether a block can be compiled by itself: networks, and models that take no parts."""
    return block.kind != "rewrite" and all(each.type != "part" for each in block.parameters)


@dataclass(frozen=True, slots=True)
class LinkedProgram:
    """A file, the blocks it offers in the order they are declared, and the warnings about it."""

    source: SourceFile
    program: Program = field(repr=False)
    blocks: Mapping[str, LinkedBlock]
    warnings: tuple[Diagnostic, ...] = ()
    instances: Mapping[str, Resolved] = field(default_factory=dict, repr=False)
    """The file's own named instances: they were resolved to be checked."""


def called_from(
    caller: Span, arguments: Mapping[str, ArgumentValue], diagnostics: Iterable[Diagnostic]
) -> Iterator[Diagnostic]:
    """What is wrong inside a block, with a label where the block is called.

    Not where an argument of the call is labelled already, and not where the call is beside the
    block and gives no arguments: such a mistake is the block's own.
    """
    written = {argument.span for argument in arguments.values() if argument.quoted is None}
    for diagnostic in diagnostics:
        labels = (diagnostic.primary, *diagnostic.secondary)
        inside = diagnostic.primary.span.source
        own = inside == caller.source and not arguments
        if own or any(label.span in written or label.span == caller for label in labels):
            yield diagnostic
        else:
            here = Label(caller, "instantiated here")
            yield replace(diagnostic, secondary=(*diagnostic.secondary, here))
