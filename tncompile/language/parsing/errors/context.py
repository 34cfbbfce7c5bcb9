"""Where the parser stands when a token does not fit: what error messages are written from."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.language.parsing.lexer import WORD, Token
from tncompile.language.parsing.tables import END
from tncompile.language.syntax.source import SourceFile, Span

CLOSING = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
BLOCK_WORDS = {"import": "IMPORT", "network": "NETWORK", "model": "MODEL", "rewrite": "REWRITE"}
NETWORK_WORDS = (
    *("index", "bond", "hyper", "batch", "window"),
    *("input", "tensor", "bias", "output", "let", "require"),
)
MODEL_WORDS = ("part", "input", "let", "output", "batch", "require")
REWRITE_WORDS = ("linear", "conv", "embedding", "any")
_BLOCK_TERMINALS = frozenset(BLOCK_WORDS.values())
STATEMENT_TERMINALS = frozenset(word.upper() for word in (*NETWORK_WORDS, *MODEL_WORDS))


def shown(text: str) -> str:
    """A piece of the program as a message quotes it: one line, at most 40 characters."""
    line = text.split("\n")[0]
    return f"`{line if len(line) <= 40 else line[:39] + '…'}`"


@dataclass(frozen=True, slots=True)
class ParseContext:
    """The tokens, which of them cannot stand there, what could, and the symbols read so far.

    `symbols` and `starts` are the parser's stack: terminals and rules, and where each begins.
    `block_closed` says that the braces of the block around, if there is one, are closed later.
    """

    source: SourceFile
    tokens: list[Token]
    position: int
    terminal: str
    expected: tuple[str, ...]
    symbols: tuple[str, ...]
    starts: tuple[int, ...]
    block_closed: bool

    @property
    def token(self) -> Token:
        """The token that cannot stand here."""
        return self.tokens[self.position]

    @property
    def span(self) -> Span:
        """Where that token is."""
        return self.span_of(self.token)

    @property
    def text(self) -> str:
        """That token as written."""
        return self.text_of(self.token)

    def span_of(self, token: Token) -> Span:
        """The place of a token."""
        return Span(self.source, token.start, token.end)

    def text_of(self, token: Token) -> str:
        """A token as written."""
        return self.source.text[token.start : token.end]

    def around(self, distance: int) -> Token | None:
        """The token that many places after the offending one (before, when negative)."""
        place = self.position + distance
        return self.tokens[place] if 0 <= place < len(self.tokens) else None

    def kind_at(self, distance: int) -> str:
        """The kind of the token at that distance, or an empty text where there is none."""
        token = self.around(distance)
        return token.kind if token is not None else ""

    def word_at(self, distance: int) -> str:
        """The word at that distance, or an empty text where no word stands."""
        token = self.around(distance)
        return self.text_of(token) if token is not None and token.kind == WORD else ""

    def rest_of_line(self) -> list[Token]:
        """The offending token and what follows it on its line."""
        rest = [self.token]
        for token in self.tokens[self.position + 1 :]:
            if token.first or token.kind == END:
                break
            rest.append(token)
        return rest

    @property
    def unexpected(self) -> str:
        """The message where nothing better is known."""
        return f"unexpected {shown(self.text)}"

    def expects(self, *terminals: str) -> bool:
        """Whether each of the terminals could stand here."""
        return all(terminal in self.expected for terminal in terminals)

    @property
    def block(self) -> str:
        """`network`, `model` or `rewrite` inside their braces, else nothing."""
        if not any(symbol == "LBRACE" for symbol, _ in self.open_brackets):
            return ""
        words = [s for s in self.symbols[: self.symbols.index("LBRACE")] if s in _BLOCK_TERMINALS]
        return words[-1].lower() if words and words[-1] != "IMPORT" else ""

    @property
    def statement(self) -> str:
        """The terminal of the statement or block that is being read, else nothing."""
        for symbol in reversed(self.symbols):
            if symbol in STATEMENT_TERMINALS or symbol in _BLOCK_TERMINALS:
                return symbol
            if symbol == "LBRACE":
                return ""
        return ""

    @property
    def at_statement(self) -> bool:
        """Whether a new statement of a block, or a new block, may begin here."""
        return any(t in self.expected for t in ("LET", "NETWORK", "LINEAR"))

    @property
    def open_brackets(self) -> tuple[tuple[str, int], ...]:
        """The brackets open here, outermost first: terminal and place."""
        opened: list[tuple[str, int]] = []
        for symbol, start in zip(self.symbols, self.starts, strict=True):
            if symbol in CLOSING:
                opened.append((symbol, start))
            elif symbol in CLOSING.values():
                opened.pop()
        return tuple(opened)

    def bracket_left_open(self) -> tuple[str, Span] | None:
        """The innermost open bracket if nothing later closes it: its terminal and its place."""
        if not self.open_brackets:
            return None
        symbol, start = self.open_brackets[-1]
        closed = not self._ends_block() if symbol == "LBRACE" else self._closed_later(symbol)
        return None if closed else (symbol, Span(self.source, start, start + 1))

    def _ends_block(self) -> bool:
        """Whether a new block, or the end, stands where a block is still open."""
        if self.block_closed:
            return False
        token = self.around(1) if self.terminal == "DOC" else self.token
        if token is None or not (token.first or self.at_statement):
            return False  # `bond network = 3`: the word is meant as a name
        return token.kind == END or self.text_of(token) in BLOCK_WORDS

    def _closed_later(self, symbol: str) -> bool:
        """Whether the innermost bracket is closed before the next statement or block begins."""
        opened = [symbol]
        statements = {*NETWORK_WORDS, *MODEL_WORDS, *BLOCK_WORDS}
        for token in self.tokens[self.position :]:
            if token.kind in CLOSING:
                opened.append(token.kind)
            elif token.kind in CLOSING.values():
                if CLOSING[opened.pop()] != token.kind:
                    return False
                if not opened:
                    return True
            elif token.kind == END or (token.first and self.text_of(token) in statements):
                return False
        return False
