"""Parsing: feeds the tokens of a text to the automaton, and goes on after a mistake."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import cast

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.parsing.errors.characters import character_error
from tncompile.language.parsing.errors.common_mistakes import nested_block
from tncompile.language.parsing.errors.context import BLOCK_WORDS, ParseContext, begins_block
from tncompile.language.parsing.errors.foreign_syntax import recognize
from tncompile.language.parsing.errors.messages import limit_error, syntax_error
from tncompile.language.parsing.lalr import MOST_NESTED, TALLEST, Automaton
from tncompile.language.parsing.lexer import BAD_CHARACTER, ERRORS, SEMICOLON, Token, tokenize
from tncompile.language.parsing.tables import END
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
    parsing = _Parsing(source, "program")
    value = parsing.run()
    return Program(cast("tuple[Declaration, ...]", value), source=source, comments=parsing.comments)


def parse_target(text: str) -> Call:
    """The call that a target is: `MPO(ins = [4, 8])`, or a bare name, a call without arguments.

    Raises CompileError, in a source named `<target>`.
    """
    return cast(Call, _Parsing(SourceFile("<target>", text), "target").run())


class _Parsing:
    """The state of parsing one text."""

    def __init__(self, source: SourceFile, start: str) -> None:
        if len(source.text) > MOST_CHARACTERS:
            span = Span(source, MOST_CHARACTERS, MOST_CHARACTERS + 1)
            label = f"character {MOST_CHARACTERS + 1:,} is here"
            message = f"the text is longer than {MOST_CHARACTERS:,} characters"
            hint = "split the file, and `import` its parts"
            raise CompileError((limit_error(span, message, label, hint),))
        self.tokens, self.comments = tokenize(source)
        self.automaton = Automaton(source, start)
        self.problems: list[Diagnostic] = []
        self.semicolon_seen = False
        self.unknown: set[str] = set()

    def run(self) -> object:
        """The value of the start symbol."""
        position = 0
        while position < len(self.tokens) and len(self.problems) < MOST_PROBLEMS:
            position = self._step(position)
        if self.problems:
            raise CompileError(tuple(self.problems))
        return self.automaton.pieces[0].value

    def _step(self, position: int) -> int:
        """Take the token at `position`; the place of the next one, after the last one to stop."""
        token, automaton = self.tokens[position], self.automaton
        if token.kind in ERRORS:
            if token.kind != BAD_CHARACTER or token.text not in self.unknown:
                self.problems.append(character_error(token))
            self.unknown.add(token.text)
            return self._resume(position)
        if token.kind == "NUMBER":
            digits = sum(c.isdigit() for c in token.text)
            if digits > MOST_DIGITS:
                message = f"a number has at most {MOST_DIGITS} digits"
                hint = "write a smaller number"
                self.problems.append(limit_error(token.span, message, f"{digits} digits", hint))
        following = self.tokens[min(position + 1, len(self.tokens) - 1)]
        terminal = automaton.terminal(token, following)
        opens = token.kind in ("LPAR", "LSQB")
        if terminal == "NAME" and token.first and "FROZEN" in automaton.actions:
            automaton.mark()  # no attribute begins a line: it is a misspelled statement
        elif terminal == "NETWORK" and "NUMBER" in automaton.actions and following.kind != "LBRACE":
            automaton.mark()  # no network of values: it is meant as a name, or begins a block
        elif len(automaton.states) > TALLEST or (opens and automaton.brackets >= MOST_NESTED):
            return self._report_depth(token)
        elif automaton.feed(token, terminal):
            deepest = automaton.deepest
            if deepest.depth <= MOST_NESTED:
                return position + 1
            first = next(t for t in self.tokens if t.span.start >= deepest.start)
            return self._report_depth(first)
        if terminal == END and self.problems:
            return position + 1  # what is missing may have been skipped after an earlier mistake
        if terminal == SEMICOLON and self.semicolon_seen:
            return position + 1 if automaton.brackets == 0 else self._resume(position)
        closed = self._closed_from(position)
        context = ParseContext(automaton, self.tokens, position, terminal, closed)
        if context.at_statement and self._nested(position):
            position += token.kind == "DOC"
            word = BLOCK_WORDS[self.tokens[position].text]
            closed = self._closed_from(position)
            context = ParseContext(automaton, self.tokens, position, word, closed)
            self.problems.append(syntax_error(context, nested_block(context)))
            return self._resume(position + 1)
        self.problems.append(syntax_error(context, recognize(context)))
        if terminal == SEMICOLON and automaton.brackets == 0:
            self.semicolon_seen = True
            return position + 1
        return self._resume(position)

    def _nested(self, position: int) -> bool:
        """Whether a block or an import begins inside of a block that is closed after it.

        Where the `}` of the block around is missing, the block that begins is fine.
        """
        position += self.tokens[position].kind == "DOC"
        begins = begins_block(self.tokens, position)
        return begins and self._block_height() is not None and self._closed_from(position)

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

    def _report_depth(self, token: Token) -> int:
        message = f"more than {MOST_NESTED} levels of nesting"
        hint = "name the inner parts with `let`"
        self.problems.append(limit_error(token.span, message, "too deep from here", hint))
        return len(self.tokens)

    def _resume(self, position: int) -> int:
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
            if token.first and begins_block(self.tokens, k):
                if in_block is None or not self._closed_from(k, depth):
                    symbols = automaton.symbols  # the blocks that are complete stay
                    automaton.truncate(1 if symbols and symbols[0].startswith("_") else 0)
                    return k
                if depth == 0:
                    return k  # nested: reported there
            if in_block is not None and depth == 0 and token.first and self._begins(k):
                return k
            if token.kind == "LBRACE":
                depth += 1
            elif token.kind == "RBRACE":
                depth = max(0, depth - 1)
        return len(self.tokens)

    def _begins(self, k: int) -> bool:
        """Whether token `k` begins a statement, or ends the block, where the automaton stands."""
        token = self.tokens[k]
        if token.kind == END or self.tokens[k + 1].kind == "ASSIGN":
            return False  # `bias = true` among the arguments of a layer
        return self.automaton.terminal(token, self.tokens[k + 1]) in self.automaton.actions

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
