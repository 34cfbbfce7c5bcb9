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
from operator import attrgetter

from tncompile.language.diagnostics.diagnostic import Diagnostic, Label
from tncompile.language.diagnostics.excerpt import Line
from tncompile.language.syntax.source import SourceFile

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
    points = []
    for offset in (label.span.start, label.span.end):
        line, column = label.span.source.position(offset)
        points.append({"line": line, "column": column, "offset": offset})
    start, end = points
    return {"file": label.span.source.name, "start": start, "end": end, "label": label.text}


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is underlined on a line: code points `start` to `end` of it, and the words beside."""

    line: int
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
        self.labels = (diagnostic.primary, *diagnostic.secondary)
        last = max(label.span.source.position(label.span.end)[0] for label in self.labels)
        self.gutter = len(str(last))

    def lines(self) -> Iterator[str]:
        """Headline, excerpts (the primary's file first), notes and hint."""
        diagnostic = self.diagnostic
        severity = self._paint(f"{diagnostic.severity}[{diagnostic.code}]", self.accent)
        yield severity + self._paint(f": {_one_line(diagnostic.message)}", _BOLD)
        sources = list(dict.fromkeys(label.span.source for label in self.labels))
        for source in sources:
            labels = [label for label in self.labels if label.span.source == source]
            line, column = source.position(labels[0].span.start)
            arrow = self._paint("-->" if source is sources[0] else ":::", _BLUE)
            yield " " * self.gutter + f"{arrow} {_one_line(source.name)}:{line}:{column}"
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
        primary = self.diagnostic.primary
        marks = [mark for label in labels for mark in _marks(label, label is primary)]
        marks.sort(key=attrgetter("line", "start", "end"))
        previous: int | None = None
        for number, group in groupby(marks, key=attrgetter("line")):
            if previous is not None and number == previous + 2:
                yield self._numbered(number - 1, Line(source.line(number - 1)).shown)
            elif previous is not None and number > previous + 2:
                yield self._paint("...", _BLUE)
            yield from self._marked_line(source.line(number), list(group))
            previous = number

    def _marked_line(self, text: str, marks: list[_Mark]) -> Iterator[str]:
        focus = next((mark for mark in marks if mark.primary), marks[0])
        all_marks = min(mark.start for mark in marks), max(mark.end for mark in marks)
        line = Line.around(text, (focus.start, focus.end), all_marks)
        yield self._numbered(marks[0].line, line.shown)
        placed = [(*line.columns(mark.start, mark.end), mark) for mark in marks]
        last = max(placed, key=lambda item: (item[0], item[2].primary))
        end = max(stop for _, stop, _ in placed)
        cells = [" "] * end
        for start, stop, mark in sorted(placed, key=lambda item: item[2].primary):
            sign = self._paint("^" if mark.primary else "-", self._style(mark))
            cells[start:stop] = [sign] * (stop - start)
        row = "".join(cells)
        # Where a longer mark runs on to the right all words go below.
        inline = last[2] if last[2].text and end <= last[1] else None
        if inline:
            row += " " + self._paint(_one_line(inline.text), self._style(inline))
        yield f"{self._bar()} {row}"
        texts = [(start, mark) for start, _, mark in placed if mark.text and mark is not inline]
        for k in range(len(texts) - 1, -1, -1):  # words below their marks, the rightmost first
            column, mark = texts[k]
            bars = [(start, "|", other) for start, other in texts[: k + 1]]
            yield f"{self._bar()} {self._columns(bars)}"
            before = [bar for bar in bars[:k] if bar[0] < column]
            words = self._columns([*before, (column, _one_line(mark.text), mark)])
            yield f"{self._bar()} {words}"

    def _columns(self, pieces: list[tuple[int, str, _Mark]]) -> str:
        row, width = "", 0
        for column, text, mark in pieces:
            if column >= width:
                row += " " * (column - width) + self._paint(text, self._style(mark))
                width = column + len(text)
        return row

    def _style(self, mark: _Mark) -> str:
        return self.accent if mark.primary else _BLUE

    def _remark(self, kind: str, text: str, style: str) -> Iterator[str]:
        first, *rest = text.split("\n")
        sign, word = self._paint("=", _BLUE), self._paint(f"{kind}:", style)
        yield " " * self.gutter + f" {sign} {word} {_one_line(first)}"
        for line in rest:
            yield (" " * (self.gutter + 3 + len(kind) + 2) + _one_line(line)).rstrip()

    def _numbered(self, number: int, text: str) -> str:
        head = self._paint(f"{number:>{self.gutter}} |", _BLUE)
        return f"{head} {text}".rstrip()

    def _bar(self) -> str:
        return self._paint(" " * self.gutter + " |", _BLUE)

    def _paint(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self.color and text.strip() else text


def _marks(label: Label, primary: bool) -> Iterator[_Mark]:
    """The marks of a label; a span over lines has one on its first and one on its last."""
    source, length = label.span.source, len(label.span.source.text)
    offset = min(max(label.span.start, 0), length)
    line, column = source.position(offset)
    last, end_column = source.position(min(max(label.span.end, offset), length))
    if last > line and end_column == 1:  # up to a line break: the line before is the last one
        last, end_column = last - 1, len(source.line(last - 1)) + 1
    if line == last:
        yield _Mark(line, column - 1, max(end_column - 1, column), primary, label.text)
        return
    yield _Mark(line, column - 1, max(len(source.line(line)), column), primary, "")
    text = source.line(last)
    first = len(text) - len(text.lstrip())
    yield _Mark(last, first, max(end_column - 1, first + 1), primary, label.text)


def _one_line(text: str) -> str:
    """A message without what would break its line or the terminal."""
    return Line(text, cut=False).shown
