"""Commands about texts alone: `tncompile fmt`, `tncompile blocks` and `tncompile explain`."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from tncompile.cli.command import FINE, WRONG_PROGRAM, WRONG_USAGE, command, option
from tncompile.cli.options import FILE, FILES, ROOT
from tncompile.cli.reading import STANDARD_INPUT, link_file, read_source
from tncompile.cli.writing import UsageError, refused, report, say, show, write_file
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.docs import summary

if TYPE_CHECKING:
    from tncompile.language.linked import LinkedBlock


@command(
    "fmt",
    "Rewrite files in the canonical layout, comments kept.",
    "Standard input is formatted to standard output. With --check the exit code is 1 where a file\n"
    "would change. A file with a syntax error is reported and left alone;\n"
    "the exit code is 2 where one cannot be read. The others are formatted all the same.",
    [
        "tncompile fmt --check std/linear.tn",
        "echo 'network N(){index i=2 input x(i) tensor A(i) output y()}' | tncompile fmt -",
    ],
    [FILES, option("--check", "write nothing; name the files that would change")],
)
def fmt(arguments: Namespace) -> int:
    """Format files in place, or name those that would change."""
    from tncompile.language.formatting import format_program
    from tncompile.language.parsing import parse

    code = FINE
    for name in arguments.files:
        try:
            source = read_source(name)
            text = format_program(parse(source))
        except CompileError as error:
            report(error.diagnostics)
            code = max(code, WRONG_PROGRAM)
            continue
        except UsageError as error:
            say(f"error: {error}")
            code = WRONG_USAGE
            continue
        if name == STANDARD_INPUT and not arguments.check:
            show(text)
        elif source.text != text and arguments.check:
            show(name)
            code = max(code, WRONG_PROGRAM)
        elif source.text != text:
            write_file(name, text)
            say(f"formatted {name}")
    return code


@command(
    "blocks",
    "List what a file offers, with parameters and docs.",
    "Blocks that the file imports can be named as a TARGET too, so they are listed as well.\n"
    "Of a folder, std for one, it is a line a block.",
    ["tncompile blocks std/linear.tn", "tncompile blocks std"],
    [FILE, ROOT],
)
def blocks(arguments: Namespace) -> None:
    """List the blocks of a file, or of all files of a folder."""
    from tncompile.language.linking.importing import files_of

    if files := files_of(arguments.file):
        _list_folder(files, arguments.root)
        return
    declared = link_file(arguments.file, arguments.root).blocks.values()
    if not declared:
        say(f"{arguments.file} declares no blocks")
    for block in declared:
        show(declaration(block) + ("  # imported" if block.imported else ""))
        if block.doc:
            show(indent(block.doc.strip(), "    "))


def _list_folder(files: Sequence[str], root: Path | None) -> None:
    """A line for each block of these files: where it is, its paper, and what it says first."""
    rows: list[tuple[str, str, str]] = []
    for name in files:
        for block in link_file(name, root).blocks.values():
            if not block.imported:
                paper = re.search(r"\((arXiv:[\w./-]+)\)", block.doc or "")
                where = f"{name}  {block.kind} {block.name}"
                rows.append((where, paper[1] if paper else "", summary(block.doc)))
    place, papers = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    for where, of, first in rows:
        gap = f"{of:{papers}}  " if papers else ""
        show(f"{where:{place}}  {gap}{first}".rstrip())


def declaration(block: LinkedBlock) -> str:
    """The declaration of a block on one line."""
    if block.arguments is not None:
        return f"{block.kind} {block.name} = {block.definition.name.text}(…)"
    if block.kind == "rewrite":
        return f"{block.kind} {block.name}"
    parameters = ", ".join(
        f"{each.name}: {each.type}" + ("" if each.default is None else f" = {each.default}")
        for each in block.parameters
    )
    return f"{block.kind} {block.name}({parameters})"


@command(
    "explain",
    "Show the page of an error code: the rule, why it exists, and an example.",
    "Codes never change their meaning.",
    ["tncompile explain TN401"],
    [option("CODE", "what stands in brackets: TN401")],
)
def explain(arguments: Namespace) -> None:
    """Show the page of a code."""
    from tncompile.language.diagnostics import pages

    with refused("", ValueError):
        page = pages.explain(arguments.code)
    show(page)
