"""Where the parser stands when a token does not fit: what error messages are written from."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.language.parsing.lalr import Automaton
from tncompile.language.parsing.lexer import CLOSING, WORD, Token
from tncompile.language.parsing.tables import END
from tncompile.language.syntax.source import Span

BLOCK_WORDS = {"import": "IMPORT", "network": "NETWORK", "model": "MODEL", "rewrite": "REWRITE"}
STATEMENT_WORDS = {
    "network": (
        *("index", "bond", "hyper", "batch", "window"),
        *("input", "tensor", "bias", "output", "let", "require"),
    ),
    "model": ("part", "tensor", "input", "let", "output", "batch", "require"),
    "rewrite": ("linear", "conv1d", "conv", "embedding", "parameter", "any"),
}
STATEMENT_TERMINALS = frozenset(
    word.upper() for block in ("network", "model") for word in STATEMENT_WORDS[block]
)
_BLOCK_TERMINALS = frozenset(BLOCK_WORDS.values())
_WORDS = {*STATEMENT_WORDS["network"], *STATEMENT_WORDS["model"]}


def begins_block(tokens: Sequence[Token], k: int) -> bool:
    """Whether token `k` begins a block: `network {` is a value of a model."""
    word = tokens[k].text
    return word in BLOCK_WORDS and not (word == "network" and tokens[k + 1].kind == "LBRACE")


class ParseContext:
    """The token that does not fit, what could stand in its place, and what is read so far.

    `expected` has terminals; outside of models, none that only models have. `symbols` and `starts`
    are the parser's stack: terminals and rules, and where each begins. `open_brackets` are those of
    the stack, outermost first: terminal and place. `block` is `network`, `model` or `rewrite`
    inside their braces, else empty; `block_closed` says that they are closed later.
    """

    def __init__(
        self, automaton: Automaton, tokens: list[Token], position: int, terminal: str, closed: bool
    ) -> None:
        self.tokens = tokens
        self.position = position
        self.token = tokens[position]
        self.text = self.token.text
        self.source = self.token.span.source
        self.terminal = terminal
        self.symbols = tuple(automaton.symbols)
        self.starts = tuple(piece.start for piece in automaton.pieces)
        self.block_closed = closed
        self.open_brackets: list[tuple[str, int]] = []
        for symbol, start in zip(self.symbols, self.starts, strict=True):
            if symbol in CLOSING:
                self.open_brackets.append((symbol, start))
            elif symbol in CLOSING.values():
                self.open_brackets.pop()
        braces = any(symbol == "LBRACE" for symbol, _ in self.open_brackets)
        head = self.symbols[: self.symbols.index("LBRACE")] if braces else ()
        kinds = [symbol.lower() for symbol in head if symbol in _BLOCK_TERMINALS]
        self.block = kinds[-1] if kinds and kinds[-1] != "import" else ""
        foreign = frozenset() if self.block == "model" else self._of_models(automaton.expected())
        self.expected = tuple(t for t in automaton.expected() if t not in foreign)

    def _of_models(self, expected: tuple[str, ...]) -> frozenset[str]:
        """The terminals that the grammar lets stand here, but that are refused later."""
        foreign = {"NETWORK"} if "NUMBER" in expected else set()
        if "INT" in expected and self.statement != "MODEL":
            foreign.add("PART")
        if self.open_brackets and self.open_brackets[-1][0] == "LSQB":
            opened = len(self.symbols) - 1 - self.symbols[::-1].index("LSQB")
            if self.symbols[opened - 1] == "postfix":
                foreign |= {"DOTS", "RANGE"} if "PLUS" in expected else {"DOTS", "RANGE", "STAR"}
        return frozenset(foreign)

    def at(self, distance: int) -> Token:
        """The token that many places after the offending one; outside of the text an empty one."""
        place = self.position + distance
        if 0 <= place < len(self.tokens):
            return self.tokens[place]
        return Token("", "", Span(self.source, 0, 0), False)

    def word_at(self, distance: int) -> str:
        """The word at that distance, or an empty text where no word stands."""
        token = self.at(distance)
        return token.text if token.kind == WORD else ""

    def expects(self, *terminals: str) -> bool:
        """Whether each of the terminals could stand here."""
        return all(terminal in self.expected for terminal in terminals)

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
        return any(t in self.expected for t in ("LET", "MODEL", "LINEAR"))

    def bracket_left_open(self) -> tuple[str, Span] | None:
        """The innermost open bracket if nothing later closes it: its terminal and its place."""
        if not self.open_brackets:
            return None
        symbol, start = self.open_brackets[-1]
        closed = not self._ends_block() if symbol == "LBRACE" else self._closed_later(symbol)
        return None if closed else (symbol, Span(self.source, start, start + 1))

    def _ends_block(self) -> bool:
        """Whether a new block, or the end, stands where a block is still open."""
        place = self.position + (self.terminal == "DOC")
        token = self.tokens[place]
        if self.block_closed or not (token.first or self.at_statement):
            return False  # `bond network = 3`: the word is meant as a name
        return token.kind == END or begins_block(self.tokens, place)

    def _closed_later(self, symbol: str) -> bool:
        """Whether the innermost bracket is closed before the next statement or block begins."""
        opened = [symbol]
        for k, token in enumerate(self.tokens[self.position :], start=self.position):
            if token.kind in CLOSING:
                opened.append(token.kind)
            elif token.kind in CLOSING.values():
                if CLOSING[opened.pop()] != token.kind:
                    return False
                if not opened:
                    return True
            elif token.kind == END or (
                token.first and (token.text in _WORDS or begins_block(self.tokens, k))
            ):
                return False
        return False
