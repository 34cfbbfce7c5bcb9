"""Programs and blocks: statements one below the other, with their comments and empty lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tncompile.language.formatting.comments import Comments
from tncompile.language.formatting.expressions import quoted
from tncompile.language.formatting.layout import lay_out
from tncompile.language.formatting.statements import StatementPrinter
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span

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

    `blank` says that an empty line precedes; `trailing` is the comment behind the statement.
    """

    comments: list[tree.Comment] = field(default_factory=list)
    node: _Node | None = None
    trailing: str = ""
    blank: bool = False

    @property
    def tall(self) -> bool:
        """Whether this is a block with a body, which has empty lines around it."""
        return isinstance(self.node, tree.Block | tree.Rewrite)


@dataclass(frozen=True, slots=True)
class _Row:
    """The lines of a unit; `joined` when it stands right below a statement."""

    lines: list[str]
    trailing: str
    joined: bool


class _Formatter:
    def __init__(self, program: tree.Program) -> None:
        self.program = program
        self.comments = Comments(program)
        self.printer = StatementPrinter(self.comments)

    def lines(self) -> list[str]:
        """The lines of the whole program."""
        units = self._units(self.program.declarations, 0, len(self.program.source.text))
        for before, unit in pairwise(units):
            unit.blank = unit.blank or before.tall or unit.tall
            if before.node is not None and unit.node is not None:
                imports = isinstance(before.node, tree.Import), isinstance(unit.node, tree.Import)
                unit.blank = unit.blank or imports[0] != imports[1]
        return list(self._body(units, 0))

    # ── what belongs together ────────────────────────────────────────────────────────────────────

    def _units(self, nodes: Sequence[_Node], start: int, end: int) -> list[_Unit]:
        """The statements between two offsets, each with its comments."""
        units: list[_Unit] = []
        place: Span | None = None  # the last comment or node

        def gather(span: Span) -> _Unit:
            nonlocal place
            blank = place is not None and self.comments.blank_between(place, span)
            if blank or not units or units[-1].node is not None:
                units.append(_Unit(blank=blank))
            place = span
            return units[-1]

        for k, node in enumerate(nodes):
            for comment in self.comments.take(start, node.span.start):
                gather(comment.span).comments.append(comment)
            unit = gather(node.span)
            unit.node = node
            start = node.span.end
            following = nodes[k + 1].span.start if k + 1 < len(nodes) else end
            unit.trailing = self._trailing(start, following)
        for comment in self.comments.take(start, end):
            gather(comment.span).comments.append(comment)
        return units

    def _trailing(self, start: int, end: int) -> str:
        """The comment on the rest of the line on which something ends."""
        line_end = self.program.source.text.find("\n", start)
        if line_end >= 0:
            end = min(end, line_end)
        return " ".join(comment.text for comment in self.comments.take(start, end))

    # ── setting it ───────────────────────────────────────────────────────────────────────────────

    def _body(self, units: list[_Unit], indent: int) -> Iterator[str]:
        """The lines of units, neighbors in columns."""
        rows = list(self._rows(units, indent))
        runs: list[list[_Row]] = []
        for row in rows:
            if row.joined and row.trailing and runs and runs[-1][-1].trailing:
                runs[-1].append(row)
            else:
                runs.append([row])
        for run in runs:
            widths = [len(row.lines[-1]) for row in run if len(row.lines[-1]) <= _WIDEST_ALIGNED]
            column = max(widths, default=0)
            for row in run:
                yield from row.lines[:-1]
                last = row.lines[-1]
                yield f"{last.ljust(column)}  {row.trailing}" if row.trailing else last

    def _rows(self, units: list[_Unit], indent: int) -> Iterator[_Row]:
        margin = " " * indent
        widths = self._widths(units)
        previous: _Row | None = None
        for k, unit in enumerate(units):
            own = [margin + comment.text for comment in unit.comments]
            if unit.blank and k:
                yield _Row([""], "", False)
            if unit.node is not None:
                lines = list(self._node(unit.node, indent, widths[k]))
                hoisted = self.comments.take(unit.node.span.start, unit.node.span.end)
                own += [margin + comment.text for comment in hoisted]
            for line in own:
                yield _Row([line], "", False)
            if unit.node is not None:
                joined = not own and not unit.blank and previous is not None
                previous = _Row(lines, unit.trailing, joined and len(lines) == 1)
                yield previous

    def _widths(self, units: list[_Unit]) -> list[tuple[int, int]]:
        """The columns that parts and rewrite rules share with their neighbors."""
        runs: list[list[_Unit]] = []
        for unit in units:
            if runs and self._aligned(runs[-1][-1], unit):
                runs[-1].append(unit)
            else:
                runs.append([unit])
        widths: list[tuple[int, int]] = []
        for run in runs:
            first, second = zip(*(self._head_widths(unit.node) for unit in run), strict=True)
            widths += [(max(first), max(second))] * len(run)
        return widths

    def _aligned(self, before: _Unit, unit: _Unit) -> bool:
        """Whether a unit shares its columns with the one before."""
        node = unit.node
        if unit.blank or unit.comments or type(node) is not type(before.node):
            return False
        return node is None or not self.comments.exist(node.span.start, node.span.end)

    def _head_widths(self, node: _Node | None) -> tuple[int, int]:
        if isinstance(node, tree.PartStatement):
            return len(self.printer.part_head(node)), 0
        if isinstance(node, tree.RewriteRule):
            return len(node.kind), len(quoted(node.pattern.value))
        return 0, 0

    def _node(self, node: _Node, indent: int, widths: tuple[int, int]) -> Iterator[str]:
        match node:
            case tree.Block() | tree.Rewrite():
                yield from self._block(node)
                return
            case tree.Import():
                doc = self.printer.import_file(node)
            case tree.Instance():
                yield from _doc_lines(node.doc)
                doc = self.printer.instance(node)
            case tree.RewriteRule():
                doc = self.printer.rule(node, *widths)
            case _:
                doc = self.printer.statement(node, widths[0])
        first, *rest = lay_out(doc, indent=indent)
        yield " " * indent + first
        yield from rest

    def _block(self, block: tree.Block | tree.Rewrite) -> Iterator[str]:
        """A block: its doc, its head, its statements, its brace."""
        nodes = block.rules if isinstance(block, tree.Rewrite) else block.statements
        head = lay_out(self.printer.head(block))
        opening, closing = self._braces(block)
        hoisted = self.comments.take(block.span.start, opening)
        yield from (comment.text for comment in hoisted)
        yield from _doc_lines(block.doc)
        trailing = self._trailing(opening, nodes[0].span.start if nodes else closing)
        yield from head[:-1]
        yield f"{head[-1]}  {trailing}" if trailing else head[-1]
        yield from self._body(self._units(nodes, opening, closing), _INDENT)
        yield "}"

    def _braces(self, block: tree.Block | tree.Rewrite) -> tuple[int, int]:
        """Where the body of a block opens and closes, as far as comments ask for it."""
        if not self.program.comments:
            return block.span.start, block.span.end
        offset = block.name.span.end
        if isinstance(block, tree.Block):
            offset = self.comments.after_bracket(offset)
        return self.comments.bracket(offset)


def _doc_lines(doc: str | None) -> list[str]:
    return [] if doc is None else f'"""{doc}"""'.split("\n")
