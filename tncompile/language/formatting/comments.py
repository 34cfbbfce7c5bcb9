"""Where the comments of a program stand: the part of formatting that reads the original text."""

from __future__ import annotations

from bisect import bisect_left

from tncompile.language.parsing.lexer import CLOSING, tokenize
from tncompile.language.syntax.tree import Comment, Program


class Comments:
    """The comments of a program, each of which is written once."""

    def __init__(self, program: Program) -> None:
        self.source = program.source
        self._comments = sorted(program.comments, key=lambda comment: comment.span.start)
        self._starts = [comment.span.start for comment in self._comments]
        self._written: set[int] = set()
        self._closes: dict[int, int] = {}
        opened: list[int] = []
        for token in tokenize(self.source)[0] if self._comments else ():
            if token.kind in CLOSING:
                opened.append(token.span.start)
            elif token.kind in CLOSING.values() and opened:
                self._closes[opened.pop()] = token.span.start
        self._opens = sorted(self._closes)

    def take(self, start: int, end: int) -> list[Comment]:
        """The comments between two offsets that are not written yet, in order."""
        comments = []
        for k in range(bisect_left(self._starts, start), len(self._comments)):
            comment = self._comments[k]
            if comment.span.start >= end:
                break
            if k not in self._written:
                self._written.add(k)
                comments.append(comment)
        return comments

    def exist(self, start: int, end: int) -> bool:
        """Whether any comment stands between two offsets."""
        k = bisect_left(self._starts, start)
        return k < len(self._starts) and self._starts[k] < end

    def bracket(self, offset: int) -> tuple[int, int]:
        """Where the first bracket at or after an offset opens, and where it closes."""
        opening = self._opens[bisect_left(self._opens, offset)]
        return opening, self._closes[opening]

    def after_bracket(self, offset: int) -> int:
        """The offset behind the bracket that opens next; `offset` where there are no comments."""
        return self.bracket(offset)[1] + 1 if self._comments else offset

    def line(self, offset: int) -> int:
        """The line of an offset."""
        return self.source.position(offset)[0]
