"""`tncompile blocks`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from textwrap import indent
from typing import TYPE_CHECKING

from tncompile.cli.command import FINE, Command, add_file, add_root
from tncompile.cli.reading import link_file
from tncompile.cli.writing import show

if TYPE_CHECKING:
    from tncompile.language.linked import LinkedBlock


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_root(parser)


def _run(arguments: Namespace) -> int:
    for block in link_file(arguments.file, arguments.root).blocks.values():
        show(heading(block) + ("  # imported" if block.imported else ""))
        if block.doc:
            show(indent(block.doc.strip(), "    "))
    return FINE


BLOCKS = Command(
    "blocks",
    "List what a file offers, with parameters and docs.",
    "Blocks that the file imports can be named as a TARGET too, so they are listed as well.",
    ("tncompile blocks std/linear.tn",),
    _configure,
    _run,
)


def heading(block: LinkedBlock) -> str:
    """The declaration of a block on one line."""
    if block.given is not None:
        return f"{block.kind} {block.name} = {block.definition.name.text}(…)"
    if block.kind == "rewrite":
        return f"{block.kind} {block.name}"
    parameters = ", ".join(
        f"{each.name}: {each.type}" + ("" if each.default is None else f" = {each.default}")
        for each in block.parameters
    )
    return f"{block.kind} {block.name}({parameters})"
