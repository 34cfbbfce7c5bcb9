"""Diagnostics for people: an excerpt of the source with what is wrong marked; and for tools: JSON.

error[TN203]: `i` stands twice on `A`
 --> linear.tn:6:18
  |
6 |   tensor A(i, o, i)
  |            -     ^ again here
  |            |
  |            first here
  |
  = note: …
  = hint: …
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tncompile.language.diagnostics.diagnostic import Diagnostic, Label
from tncompile.language.diagnostics.excerpt import Line
from tncompile.language.syntax.source import SourceFile, Span

_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"
_RED = "\x1b[1;31m"
_YELLOW = "\x1b[1;33m"
_BLUE = "\x1b[1;34m"
_CYAN = "\x1b[1;36m"


def render(diagnostics: Sequence[Diagnostic], *, color: bool = False) -> str:
    """All diagnostics in the order given, a blank line between two; ANSI colors if asked for."""
    return "\n\n".join("\n".join(_Rendering(each, color).lines()) for each in diagnostics)


def to_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """The diagnostics as JSON data: lines and columns count from one, offsets from zero."""
    return [
        {
            "code": str(each.code),
            "severity": each.severity,
            "message": each.message,
            **_place(each.primary),
            "labels": [_place(label) for label in each.secondary],
            "notes": list(each.notes),
            "hint": each.hint,
        }
        for each in diagnostics
    ]


def _place(label: Label) -> dict[str, object]:
    def point(offset: int) -> dict[str, int]:
        line, column = label.span.source.position(offset)
        return {"line": line, "column": column, "offset": offset}

    return {
        "file": label.span.source.name,
        "start": point(label.span.start),
        "end": point(label.span.end),
        "label": label.text,
    }


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is underlined on one line: code points `start` to `end` of it, and the words beside."""

    start: int
    end: int
    primary: bool
    text: str


class _Rendering:
    """The lines of one diagnostic."""

    def __init__(self, diagnostic: Diagnostic, color: bool) -> None:
        self.diagnostic = diagnostic
        self.color = color
        self.accent = _RED if diagnostic.severity == "error" else _YELLOW
        labels = (diagnostic.primary, *diagnostic.secondary)
        last = max(label.span.source.position(label.span.end)[0] for label in labels)
        self.gutter = len(str(last))

    def lines(self) -> Iterator[str]:
        """Headline, excerpts (the primary's file first), notes and hint."""
        diagnostic = self.diagnostic
        severity = self._paint(f"{diagnostic.severity}[{diagnostic.code}]", self.accent)
        yield severity + self._paint(f": {_one_line(diagnostic.message)}", _BOLD)
        labels = (diagnostic.primary, *diagnostic.secondary)
        sources = list(dict.fromkeys(label.span.source for label in labels))
        for source in sources:
            first = next(label for label in labels if label.span.source == source)
            line, column = source.position(first.span.start)
            arrow = "-->" if source is sources[0] else ":::"
            place = f"{_one_line(source.name)}:{line}:{column}"
            yield " " * self.gutter + self._paint(arrow, _BLUE) + " " + place
            yield self._bar()
            yield from self._excerpt(source, labels)
        if diagnostic.notes or diagnostic.hint:
            yield self._bar()
        for note in diagnostic.notes:
            yield from self._remark("note", note, _BOLD)
        if diagnostic.hint:
            yield from self._remark("hint", diagnostic.hint, _CYAN)

    def _excerpt(self, source: SourceFile, labels: Iterable[Label]) -> Iterator[str]:
        """The labelled lines of one file; a single line between two is shown, more are dots."""
        marks = sorted(
            (
                (line, mark)
                for label in labels
                if label.span.source == source
                for line, mark in _marks(label, label is self.diagnostic.primary)
            ),
            key=lambda item: (item[0], item[1].start, item[1].end),
        )
        previous: int | None = None
        for number, group in groupby(marks, key=lambda item: item[0]):
            if previous is not None and number == previous + 2:
                yield self._numbered(number - 1, Line(source.line(number - 1)).shown)
            elif previous is not None and number > previous + 2:
                yield self._paint("...", _BLUE)
            yield from self._marked_line(source, number, [mark for _, mark in group])
            previous = number

    def _marked_line(self, source: SourceFile, number: int, marks: list[_Mark]) -> Iterator[str]:
        focus = next((mark for mark in marks if mark.primary), marks[0])
        line = Line.around(
            source.line(number),
            (focus.start, focus.end),
            (min(m.start for m in marks), max(m.end for m in marks)),
        )
        yield self._numbered(number, line.shown)
        placed = [(*line.columns(mark.start, mark.end), mark) for mark in marks]
        last = max(range(len(placed)), key=lambda k: (placed[k][0], placed[k][2].primary))
        inline = placed[last][2].text
        end = max(stop for _, stop, _ in placed)
        if inline and end > placed[last][1]:
            inline = ""  # a longer mark runs on to the right: all words go below
        cells = self._cells(placed)
        row = "".join(cells)
        if inline:
            row += " " + self._paint(_one_line(inline), self._style(placed[last][2]))
        yield self._bar() + " " + row
        hanging = [
            (start, mark)
            for k, (start, _, mark) in enumerate(placed)
            if mark.text and not (inline and k == last)
        ]
        yield from self._hanging(hanging)

    def _cells(self, placed: list[tuple[int, int, _Mark]]) -> list[str]:
        """The row of `^` and `-` under a line, a painted string a column."""
        cells = [" "] * max(stop for _, stop, _ in placed)
        for start, stop, mark in sorted(placed, key=lambda item: item[2].primary):
            sign = "^" if mark.primary else "-"
            for column in range(start, stop):
                cells[column] = self._paint(sign, self._style(mark))
        return cells

    def _hanging(self, texts: list[tuple[int, _Mark]]) -> Iterator[str]:
        """Words below their marks, the rightmost first, with bars down to the others."""
        for k in range(len(texts) - 1, -1, -1):
            bars = texts[: k + 1]
            yield self._bar() + " " + self._columns([(c, "|", m) for c, m in bars])
            column, mark = texts[k]
            before = [(c, "|", m) for c, m in texts[:k] if c < column]
            row = self._columns([*before, (column, _one_line(mark.text), mark)])
            yield self._bar() + " " + row

    def _columns(self, pieces: list[tuple[int, str, _Mark]]) -> str:
        row, width = "", 0
        for column, text, mark in pieces:
            if column < width:
                continue
            row += " " * (column - width) + self._paint(text, self._style(mark))
            width = column + len(text)
        return row

    def _style(self, mark: _Mark) -> str:
        return self.accent if mark.primary else _BLUE

    def _remark(self, kind: str, text: str, style: str) -> Iterator[str]:
        first, *rest = text.split("\n")
        start = " " * self.gutter + " " + self._paint("=", _BLUE) + " "
        yield start + self._paint(f"{kind}:", style) + " " + _one_line(first)
        for line in rest:
            yield (" " * (self.gutter + 3 + len(kind) + 2) + _one_line(line)).rstrip()

    def _numbered(self, number: int, text: str) -> str:
        head = self._paint(f"{number:>{self.gutter}} |", _BLUE)
        return f"{head} {text}".rstrip()

    def _bar(self) -> str:
        return self._paint(" " * self.gutter + " |", _BLUE)

    def _paint(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self.color and text.strip() else text


def _marks(label: Label, primary: bool) -> Iterator[tuple[int, _Mark]]:
    """The line number and the mark of a label; a span over lines has one on its first and last."""
    source = label.span.source
    start, end = _inside(label.span)
    line, column = source.position(start)
    last, end_column = source.position(end)
    if last > line and end_column == 1:  # up to a line break: the line before is the last one
        last, end_column = last - 1, len(source.line(last - 1)) + 1
    if line == last:
        yield line, _Mark(column - 1, max(end_column - 1, column), primary, label.text)
        return
    width = len(source.line(line))
    yield line, _Mark(column - 1, max(width, column), primary, "")
    text = source.line(last)
    first = len(text) - len(text.lstrip())
    yield last, _Mark(first, max(end_column - 1, first + 1), primary, label.text)


def _inside(span: Span) -> tuple[int, int]:
    length = len(span.source.text)
    start = min(max(span.start, 0), length)
    return start, min(max(span.end, start), length)


def _one_line(text: str) -> str:
    """A message without what would break its line or the terminal."""
    return Line(text, cut=False).shown
