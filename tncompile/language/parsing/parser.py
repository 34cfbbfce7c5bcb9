"""Parsing: feeds the tokens of a text to the automaton, and goes on after a mistake."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import cast

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.parsing.errors.characters import character_error
from tncompile.language.parsing.errors.common_mistakes import nested_block
from tncompile.language.parsing.errors.context import BLOCK_WORDS, ParseContext
from tncompile.language.parsing.errors.foreign_syntax import recognize
from tncompile.language.parsing.errors.messages import limit_error, syntax_error
from tncompile.language.parsing.lalr import MOST_NESTED, TALLEST, Automaton
from tncompile.language.parsing.lexer import BAD_CHARACTER, ERRORS, SEMICOLON, Token, tokenize
from tncompile.language.parsing.tables import END, Tables, load_tables
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.tree import Call, Declaration, Program

MOST_CHARACTERS = 200_000
MOST_DIGITS = 18
MOST_PROBLEMS = 20


def parse(source: SourceFile) -> Program:
    """The syntax tree of a file.

    Raises CompileError with TN101 to TN104: the first mistake, and later ones that are sure to be
    independent of it.

    >>> parse(SourceFile("a.tn", "network N = M(d = 4)")).declarations[0].name
    Name(text='N')
    """
    parsing = _Parsing(source, load_tables(), "program")
    value = parsing.run()
    return Program(cast("tuple[Declaration, ...]", value), source=source, comments=parsing.comments)


def parse_target(text: str) -> Call:
    """The call that a target is: `MPO(ins = [4, 8])`, or a bare name, a call without arguments.

    Raises CompileError, in a source named `<target>`.
    """
    return cast(Call, _Parsing(SourceFile("<target>", text), load_tables(), "target").run())


class _Parsing:
    """The state of parsing one text."""

    def __init__(self, source: SourceFile, tables: Tables, start: str) -> None:
        self.source = source
        self.tables = tables
        self.automaton = Automaton(tables, source, start)
        self.problems: list[Diagnostic] = []
        self.semicolon_seen = False
        self.unknown: set[str] = set()
        if len(source.text) > MOST_CHARACTERS:
            span = Span(source, MOST_CHARACTERS, MOST_CHARACTERS + 1)
            label = f"character {MOST_CHARACTERS + 1:,} is here"
            message = f"the text is longer than {MOST_CHARACTERS:,} characters"
            hint = "split the file, and `import` its parts"
            raise CompileError((limit_error(span, message, label, hint),))
        self.tokens, self.comments = tokenize(source, tables)

    def run(self) -> object:
        """The value of the start symbol."""
        position = 0
        while position < len(self.tokens) and len(self.problems) < MOST_PROBLEMS:
            following = self._step(position)
            if following is None:
                break
            position = following
        if self.problems:
            raise CompileError(tuple(self.problems))
        return self.automaton.pieces[0].value

    def _step(self, position: int) -> int | None:
        """Take the token at `position`; the next one to take, None to stop."""
        token = self.tokens[position]
        if token.kind in ERRORS:
            self._report_once(token)
            return self._resume(position)
        if token.kind == "NUMBER":
            self._check_digits(token)
        terminal = self.automaton.terminal(token)
        if self._begins_line_as_attribute(token, terminal):
            self.automaton.mark()
        else:
            if self._too_tall(token):
                return None
            if self.automaton.feed(token, terminal):
                return None if self._too_deep() else position + 1
        if terminal == END and self.problems:
            return None  # what is missing may have been skipped after an earlier mistake
        if terminal == SEMICOLON and self.semicolon_seen:
            return position + 1 if self.automaton.brackets == 0 else self._resume(position)
        context = self._context(position, terminal)
        if context.at_statement and self._nested(position):
            return self._refuse_nested(position)
        self.problems.append(syntax_error(context, recognize(context), self.tables))
        if terminal == SEMICOLON and self.automaton.brackets == 0:
            self.semicolon_seen = True
            return position + 1
        return self._resume(position)

    # ── blocks inside of blocks ──────────────────────────────────────────────────────────────────

    def _nested(self, position: int) -> bool:
        """Whether a block or an import begins inside of a block that is closed after it.

        Where the `}` of the block around is missing, the block that begins is fine.
        """
        position += self.tokens[position].kind == "DOC"
        if not self._begins_block(position) or self._block_height() is None:
            return False
        return self._closed_from(position)

    def _refuse_nested(self, position: int) -> int | None:
        """Report what is nested, at its word, and go on after it."""
        position += self.tokens[position].kind == "DOC"
        context = self._context(position, BLOCK_WORDS[self._text(position)])
        self.problems.append(syntax_error(context, nested_block(context), self.tables))
        return self._resume(position + 1)

    def _begins_block(self, position: int) -> bool:
        return self._text(position) in BLOCK_WORDS

    def _text(self, position: int) -> str:
        token = self.tokens[position]
        return self.source.text[token.start : token.end]

    def _closed_from(self, position: int, opened: int = 0) -> bool:
        """Whether more than `opened` of the `}` that follow close a block that is open before."""
        balance, lowest = self._balance
        return lowest[position] < balance[position] - opened

    @cached_property
    def _balance(self) -> tuple[list[int], list[int]]:
        """By token: the braces open before it, and the fewest that are open from it on."""
        sign = {"LBRACE": 1, "RBRACE": -1}
        balance = list(accumulate((sign.get(token.kind, 0) for token in self.tokens), initial=0))
        return balance, list(accumulate(reversed(balance), min))[::-1]

    def _report_once(self, token: Token) -> None:
        """Report an unknown character once, however often it is used."""
        text = self.source.text[token.start : token.end]
        if token.kind != BAD_CHARACTER or text not in self.unknown:
            self.problems.append(character_error(self.source, token.kind, token.start, token.end))
        self.unknown.add(text)

    def _begins_line_as_attribute(self, token: Token, terminal: str) -> bool:
        """Whether a word that is no attribute begins a line: it is a misspelled statement."""
        actions = self.tables.actions[self.automaton.states[-1]]
        return terminal == "NAME" and token.first and "FROZEN" in actions

    def _context(self, position: int, terminal: str) -> ParseContext:
        automaton = self.automaton
        return ParseContext(
            source=self.source,
            tokens=self.tokens,
            position=position,
            terminal=terminal,
            expected=automaton.expected(),
            symbols=tuple(automaton.symbols),
            starts=tuple(piece.start for piece in automaton.pieces),
            block_closed=self._closed_from(position),
        )

    # ── limits ───────────────────────────────────────────────────────────────────────────────────

    def _check_digits(self, token: Token) -> None:
        digits = sum(c.isdigit() for c in self.source.text[token.start : token.end])
        if digits > MOST_DIGITS:
            span = Span(self.source, token.start, token.end)
            message = f"a number has at most {MOST_DIGITS} digits"
            self.problems.append(
                limit_error(span, message, f"{digits} digits", "write a smaller number")
            )

    def _too_tall(self, token: Token) -> bool:
        bracket = token.kind in ("LPAR", "LSQB") and self.automaton.brackets >= MOST_NESTED
        if not bracket and len(self.automaton.states) <= TALLEST:
            return False
        self._report_depth(token)
        return True

    def _too_deep(self) -> bool:
        deepest = self.automaton.deepest
        if deepest.depth <= MOST_NESTED:
            return False
        self._report_depth(next(t for t in self.tokens if t.start >= deepest.start))
        return True

    def _report_depth(self, token: Token) -> None:
        span = Span(self.source, token.start, token.end)
        message = f"more than {MOST_NESTED} levels of nesting"
        hint = "name the inner parts with `let`"
        self.problems.append(limit_error(span, message, "too deep from here", hint))

    # ── going on after a mistake ─────────────────────────────────────────────────────────────────

    def _resume(self, position: int) -> int | None:
        """Skip to where a statement or a block surely begins: at the start of a line.

        Inside a block only its head and its complete statements stay. A word that begins a block
        ends the open block, unless that is closed later.
        """
        automaton = self.automaton
        in_block = self._block_height()
        depth = 0
        if in_block is not None:
            automaton.truncate(in_block)
        for k in range(position, len(self.tokens)):
            token = self.tokens[k]
            if token.first and self._begins_block(k):
                if in_block is None or not self._closed_from(k, depth):
                    automaton.truncate(self._top_height())
                    return k
                if depth == 0:
                    return k  # nested: reported there
            if in_block is not None and depth == 0 and token.first and self._begins(k):
                return k
            if token.kind == "LBRACE":
                depth += 1
            elif token.kind == "RBRACE":
                depth = max(0, depth - 1)
        return None

    def _begins(self, k: int) -> bool:
        """Whether token `k` begins a statement, or ends the block, where the automaton stands."""
        token = self.tokens[k]
        if token.kind == END or self.tokens[k + 1].kind == "ASSIGN":
            return False  # `bias = true` among the arguments of a layer
        terminal = self.automaton.terminal(token)
        return terminal in self.tables.actions[self.automaton.states[-1]]

    def _block_height(self) -> int | None:
        """The number of symbols up to the statements of the block that is being read."""
        symbols = self.automaton.symbols
        for k, symbol in enumerate(symbols):
            if symbol == "LBRACE" and symbols[k - 1] in ("parameters", "NAME") and k >= 2:
                if symbols[k:].count("RBRACE") == symbols[k:].count("LBRACE"):
                    return None  # it is closed
                helper = k + 1 < len(symbols) and symbols[k + 1].startswith("_")
                return k + 2 if helper else k + 1
        return None

    def _top_height(self) -> int:
        """The number of symbols up to the blocks that are complete."""
        symbols = self.automaton.symbols
        return 1 if symbols and symbols[0].startswith("_") else 0
