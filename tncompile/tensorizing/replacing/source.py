"""The `.tn` file of a tensorized model: its networks, and a rewrite with the names of layers."""

from __future__ import annotations

from collections.abc import Iterable

from tncompile.language.formatting import format_program
from tncompile.language.parsing import parse
from tncompile.language.resolved import value_text
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile
from tncompile.tensorizing.replacing.placing import Placed
from tncompile.tensorizing.rewriting.rewrite import exactly

REWRITE = "Tensorized"

_HEAD = (
    "# Written by tncompile: the networks of a tensorized model, and which layer each stands for.\n"
)


def written_source(placed: Iterable[Placed]) -> str:
    """A file that stands alone: the text of each block, an instance for each network, the lines.

    Raises ValueError for names of layers that no string of the language holds.
    """
    blocks: dict[int, str] = {}
    instances: dict[int, str] = {}
    counts: dict[str, int] = {}
    taken = {REWRITE}
    texts: list[str] = []
    lines: list[str] = []
    for each in placed:
        definition = each.replacement.definition
        if id(definition) not in blocks:
            name = _free(definition.name.text, taken)
            blocks[id(definition)] = name
            texts.append(_named(definition, name))
        architecture = each.architecture
        if id(architecture) not in instances:
            block = blocks[id(definition)]
            counts[block] = counts.get(block, 0) + 1
            name = _free(f"{block}_{counts[block]}", taken)
            instances[id(architecture)] = name
            values = [f"{key} = {value_text(v)}" for key, v in architecture.arguments.items()]
            kind = definition.kind
            texts.append(f"{kind} {name} = {block}({', '.join(values)})")
        layer = each.replacement.layer
        lines.append(f"  {layer.kind} {exactly(layer.name)} -> {instances[id(architecture)]}")
    texts.append("\n".join([f"rewrite {REWRITE} {{", *lines, "}"]))
    source = SourceFile("model.tn", _HEAD + "\n\n".join(texts) + "\n")
    return format_program(parse(source))


def _free(name: str, taken: set[str]) -> str:
    """A name that no other block has."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    taken.add(found)
    return found


def _named(definition: tree.Block, name: str) -> str:
    """The text of a block under another name."""
    whole, own = definition.span, definition.name.span
    before, after = own.start - whole.start, own.end - whole.start
    return whole.text[:before] + name + whole.text[after:]
