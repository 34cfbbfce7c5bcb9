"""Programs and blocks: statements one below the other, with their comments and empty lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tncompile.language.formatting.comments import Comments
from tncompile.language.formatting.expressions import quoted
from tncompile.language.formatting.layout import concat, lay_out
from tncompile.language.formatting.statements import StatementPrinter
from tncompile.language.syntax import tree

_INDENT = 2
_WIDEST_ALIGNED = 72
"""Comments behind longer lines are not set in one column with those of their neighbors."""

_Node = tree.Declaration | tree.Statement | tree.RewriteRule


def format_program(program: tree.Program) -> str:
    """The program in canonical form, comments kept; formatting it again changes nothing.

    Two spaces of indent, names of declarations in one column, at most one empty line in a row,
    lines broken inside brackets where they pass 100 columns.
    """
    lines = _Formatter(program).lines()
    return "\n".join(lines) + "\n" if lines else ""


@dataclass
class _Unit:
    """Comments on lines of their own and the statement right below them, either may be missing.

    `blank` says that an empty line precedes; `trailing` is the comment behind the statement. The
    lines are `above`, which the empty line and comments make, and `lines` of the statement.
    """

    blank: bool
    comments: list[tree.Comment] = field(default_factory=list)
    node: _Node | None = None
    trailing: str = ""
    above: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class _Formatter:
    def __init__(self, program: tree.Program) -> None:
        self.program = program
        self.comments = Comments(program)
        self.printer = StatementPrinter(self.comments)

    def lines(self) -> list[str]:
        """The lines of the whole program."""
        units = self._units(self.program.declarations, 0, len(self.program.source.text))
        for before, unit in pairwise(units):
            nodes = before.node, unit.node
            imports = {isinstance(node, tree.Import) for node in nodes if node is not None}
            bodies = any(isinstance(node, tree.Block | tree.Rewrite) for node in nodes)
            unit.blank = unit.blank or bodies or len(imports) > 1
        return list(self._body(units, 0))

    def _units(self, nodes: Sequence[_Node], start: int, end: int) -> list[_Unit]:
        """The statements between two offsets, each with its comments."""
        units: list[_Unit] = []
        line: int | None = None  # where the last comment or node ends
        limits = [*(node.span.start for node in nodes), end]
        for k, node in enumerate([*nodes, None]):
            for item in (*self.comments.take(start, limits[k]), node):
                if item is None:
                    break
                blank = line is not None and self.comments.line(item.span.start) - line > 1
                line = self.comments.line(max(item.span.start, item.span.end - 1))
                if blank or not units or units[-1].node is not None:
                    units.append(_Unit(blank))
                if isinstance(item, tree.Comment):
                    units[-1].comments.append(item)
                else:
                    start = item.span.end
                    units[-1].node = item
                    units[-1].trailing = self._trailing(start, limits[k + 1])
        return units

    def _trailing(self, start: int, end: int) -> str:
        """The comment on the rest of the line on which something ends."""
        line_end = self.program.source.text.find("\n", start)
        if line_end >= 0:
            end = min(end, line_end)
        return " ".join(comment.text for comment in self.comments.take(start, end))

    def _body(self, units: list[_Unit], indent: int) -> Iterator[str]:
        """The lines of units, neighbors in columns."""
        margin = " " * indent
        for run in _runs(units, self._aligned):
            heads = zip(*(self._head_widths(unit.node) for unit in run), strict=True)
            widths = [max(each) for each in heads]
            for unit in run:
                if unit.node is not None:
                    unit.lines = list(self._node(unit.node, indent, widths))
                    inside = self.comments.take(unit.node.span.start, unit.node.span.end)
                    unit.comments.extend(inside)
                unit.above = [""] * unit.blank + [margin + each.text for each in unit.comments]
        for run in _runs(units, _below_each_other):
            lasts = [len(unit.lines[-1]) for unit in run if unit.lines]
            column = max((last for last in lasts if last <= _WIDEST_ALIGNED), default=0)
            for unit in run:
                if unit.trailing:
                    unit.lines[-1] = f"{unit.lines[-1].ljust(column)}  {unit.trailing}"
                yield from (*unit.above, *unit.lines)

    def _aligned(self, before: _Unit, unit: _Unit) -> bool:
        """Whether a unit shares its columns with the one before."""
        node = unit.node
        if unit.blank or unit.comments or type(node) is not type(before.node):
            return False
        return node is None or not self.comments.exist(node.span.start, node.span.end)

    def _head_widths(self, node: _Node | None) -> tuple[int, int]:
        """The columns that rewrite rules share with their neighbors."""
        if isinstance(node, tree.RewriteRule):
            return len(node.kind), len(quoted(node.pattern.value))
        return 0, 0

    def _node(self, node: _Node, indent: int, widths: Sequence[int]) -> Iterator[str]:
        match node:
            case tree.Block() | tree.Rewrite():
                yield from self._block(node)
                return
            case tree.Import():
                doc = self.printer.import_file(node)
            case tree.Instance(kind, name, target, text):
                yield from _doc_lines(text)
                doc = concat(f"{kind} {name.text} = ", self.printer.expression(target))
            case tree.RewriteRule():
                doc = self.printer.rule(node, *widths)
            case _:
                doc = self.printer.statement(node)
        head, *rest = lay_out(doc, indent=indent)
        yield " " * indent + head
        yield from rest

    def _block(self, block: tree.Block | tree.Rewrite) -> Iterator[str]:
        """A block: its doc, its head, its statements, its brace."""
        model = isinstance(block, tree.Block) and block.kind == "model"
        self.printer = StatementPrinter(self.comments, model=model)
        nodes = block.rules if isinstance(block, tree.Rewrite) else block.statements
        *lines, head = lay_out(self.printer.head(block))
        opening, closing = block.span.start, block.span.end
        if self.program.comments:  # else it does not matter where the braces are
            end = block.name.span.end
            offset = self.comments.after_bracket(end) if isinstance(block, tree.Block) else end
            opening, closing = self.comments.bracket(offset)
        yield from (comment.text for comment in self.comments.take(block.span.start, opening))
        yield from _doc_lines(block.doc)
        trailing = self._trailing(opening, nodes[0].span.start if nodes else closing)
        yield from lines
        yield f"{head}  {trailing}" if trailing else head
        yield from self._body(self._units(nodes, opening, closing), _INDENT)
        yield "}"


def _runs(units: list[_Unit], joined: Callable[[_Unit, _Unit], bool]) -> list[list[_Unit]]:
    """The units in runs of neighbors that go together."""
    runs: list[list[_Unit]] = []
    for unit in units:
        if runs and joined(runs[-1][-1], unit):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return runs


def _below_each_other(before: _Unit, unit: _Unit) -> bool:
    """Whether the comment behind a unit shares its column with the one before."""
    trailing = bool(before.trailing and unit.trailing)
    return trailing and not unit.above and len(unit.lines) == 1


def _doc_lines(doc: str | None) -> list[str]:
    return [] if doc is None else f'"""{doc}"""'.split("\n")
