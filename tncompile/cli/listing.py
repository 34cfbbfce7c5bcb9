"""`tncompile blocks`."""

from __future__ import annotations

from textwrap import indent

from tncompile.cli.reading import File, Root, link_file
from tncompile.cli.writing import show


def blocks(file: File, root: Root = None) -> None:
    """List what a file offers: its blocks and those it imports, with parameters and docs.

    \b
    Examples:
      tncompile blocks std/linear.tn
    """
    linked = link_file(file, root)
    for block in linked.blocks.values():
        parameters = ", ".join(
            f"{p.name}: {p.type}" + ("" if p.default is None else f" = {p.default}")
            for p in block.parameters
        )
        heading = f"{block.kind} {block.name}"
        if block.given is None and block.kind != "rewrite":
            heading += f"({parameters})"
        elif block.given is not None:
            heading += f" = {block.definition.name.text}(…)"
        if block.imported:
            heading += "    # imported"
        show(heading)
        if block.doc:
            show(indent(block.doc.strip(), "    "))
