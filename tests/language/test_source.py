"""Offsets, lines and columns."""

from __future__ import annotations

import pytest

from tncompile.language.syntax.source import SourceFile, Span


def test_positions_count_from_one() -> None:
    source = SourceFile("a.tn", "one\ntwo\n")
    assert [source.position(k) for k in (0, 3, 4, 7, 8)] == [(1, 1), (1, 4), (2, 1), (2, 4), (3, 1)]


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\r\nb", "\n\n"])
def test_every_offset_has_a_line(text: str) -> None:
    source = SourceFile("a.tn", text)
    for offset in range(len(text) + 1):
        line, column = source.position(offset)
        assert source.line_starts[line - 1] + column - 1 == offset
        assert "\n" not in source.line(line)


def test_a_line_is_without_its_break() -> None:
    source = SourceFile("a.tn", "one\r\ntwo")
    assert (source.line(1), source.line(2)) == ("one", "two")


def test_a_span_reaches_to_another() -> None:
    source = SourceFile("a.tn", "one two\nthree")
    span = Span(source, 0, 3).to(Span(source, 4, 7))
    assert span.text == "one two"
    assert Span(source, 8, 13).line == 2
