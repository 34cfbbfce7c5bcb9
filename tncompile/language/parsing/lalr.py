"""The LALR(1) automaton: feeds tokens to the parse tables and builds the tree as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tncompile.language.parsing.lexer import WORD, Token
from tncompile.language.parsing.tables import END, GrammarRule, load_tables
from tncompile.language.parsing.tree_builder import BUILDERS, NESTING, terminal_value
from tncompile.language.syntax.source import SourceFile, Span

MOST_NESTED = 200
"""Most levels of nesting of the syntax tree, and of open brackets."""

TALLEST = 1_500
"""Most symbols on the stack: a level of nesting has six at most (`f(…, name =`), a bracket one."""

_BRACKETS = {"LPAR": 1, "LSQB": 1, "RPAR": -1, "RSQB": -1}


class Piece(NamedTuple):
    """The value of a symbol on the stack and where it stands; an empty one starts at -1.

    `depth` counts the levels of nesting in it. `origin` is the symbol whose rule made the value,
    so that `a + b + c`, which groups to the left, is told from `a + (b + c)`.
    """

    value: object
    start: int
    end: int
    depth: int
    origin: str


class Automaton:
    """The stack of states, of symbols and of their values.

    `named` are the words that begin statements elsewhere and were names so far.
    """

    def __init__(self, source: SourceFile, start: str) -> None:
        self.tables = load_tables()
        self.source = source
        self.states = [self.tables.starts[start]]
        self.symbols: list[str] = []
        self.pieces: list[Piece] = []
        self.brackets = 0
        self.named: set[str] = set()
        self.deepest = Piece(None, -1, -1, 0, "")
        self._before = tuple(self.states)
        self._end = self.tables.ends[start]

    @property
    def actions(self) -> dict[str, int]:
        """What the parser does next, by the terminal that comes."""
        return self.tables.actions[self.states[-1]]

    def terminal(self, token: Token, following: Token) -> str:
        """What a token is here: a word not reserved is a keyword only where one may stand.

        A word that begins statements is a name only where something can be declared by it, or
        after that: elsewhere a statement was begun too early, which deserves a message of its own.
        """
        if token.kind != WORD:
            return token.kind
        keyword = self.tables.words.get(token.text)
        if keyword is None:
            return "NAME"
        if token.text in self.tables.reserved:
            return keyword
        if self._acceptable(keyword, self.states):
            value = keyword == "NETWORK" and "NUMBER" in self.actions
            named = value and token.text in self.named and following.kind != "LBRACE"
            return "NAME" if named else keyword
        opening = token.text in self.tables.opening
        return keyword if opening and not self._names(token, following) else "NAME"

    def _names(self, token: Token, following: Token) -> bool:
        """Whether a word that begins statements is meant as a name."""
        if self.symbols[-1:] == ["DOT"]:  # a face of a window, or a step into a part
            return "IN" not in self.actions and not token.first
        if "FROZEN" in self.actions or not self._acceptable("NAME", self.states):
            return False
        if token.text in self.named or (following.kind == "ASSIGN" and self.brackets):
            return True
        doubled = following.kind == WORD and not following.first
        return not (doubled or "NUMBER" in self.actions)

    def feed(self, token: Token, terminal: str) -> bool:
        """Take a token; False, with nothing shifted, where it cannot stand."""
        self.mark()
        while True:
            action = self.tables.actions[self.states[-1]].get(terminal)
            if action is None:
                return False
            if action >= 0:
                self.brackets += _BRACKETS.get(terminal, 0)
                if terminal == "NAME" and token.text in self.tables.opening:
                    self.named.add(token.text)
                value = terminal_value(terminal, token)
                self._push(action, terminal, Piece(value, token.span.start, token.span.end, 0, ""))
                return True
            rule = self.tables.rules[~action]
            if rule.length == 1 and rule.builder == "":
                # It only renames a symbol, as expressions do at every level: no new piece.
                self.states[-1] = self.tables.gotos[self.states[-2]][rule.origin]
                self.symbols[-1] = rule.origin
            else:
                height = len(self.pieces) - rule.length
                piece = self._build(rule, self.pieces[height:])
                if piece.depth > self.deepest.depth:
                    self.deepest = piece
                del self.states[height + 1 :], self.symbols[height:], self.pieces[height:]
                self._push(self.tables.gotos[self.states[-1]][rule.origin], rule.origin, piece)
            if terminal == END and self.states[-1] == self._end:
                return True

    def expected(self) -> tuple[str, ...]:
        """The terminals that could stand in the place of the token that was fed last."""
        before = self._before
        return tuple(t for t in self.tables.actions[before[-1]] if self._acceptable(t, before))

    def mark(self) -> None:
        """Remember where the parser stands, for `expected`."""
        self._before = tuple(self.states)

    def truncate(self, height: int) -> None:
        """Forget all but the lowest `height` symbols."""
        del self.states[height + 1 :], self.symbols[height:], self.pieces[height:]
        self.brackets = sum(symbol in ("LPAR", "LSQB") for symbol in self.symbols)

    def _acceptable(self, terminal: str, stack: Sequence[int]) -> bool:
        """Whether a terminal could be shifted onto a stack after the reductions it asks for.

        An action alone does not say so: states of an LALR(1) automaton are merged, and reduce for
        terminals that only another place has room for (`log` after the legs of a tensor).
        """
        states = list(stack)
        while True:
            action = self.tables.actions[states[-1]].get(terminal)
            if action is None or action >= 0:
                return action is not None
            rule = self.tables.rules[~action]
            del states[len(states) - rule.length :]
            states.append(self.tables.gotos[states[-1]][rule.origin])
            if terminal == END and states[-1] == self._end:
                return True

    def _push(self, state: int, symbol: str, piece: Piece) -> None:
        self.states.append(state)
        self.symbols.append(symbol)
        self.pieces.append(piece)

    def _build(self, rule: GrammarRule, pieces: list[Piece]) -> Piece:
        """The piece that a rule builds from the pieces of its symbols."""
        values: list[object] = []
        for k, entry in enumerate(rule.recipe):
            if entry is None or entry >= 0:
                values.append(None if entry is None else pieces[entry].value)
                continue
            items = pieces[~entry].value
            assert isinstance(items, list), "only lists are spliced"
            if k == 0:
                values = items  # a list that begins with a list grows in place
            else:
                values.extend(items)
        depth = max([piece.depth for piece in pieces], default=0)
        start = next((piece.start for piece in pieces if piece.start >= 0), -1)
        end = max([piece.end for piece in pieces], default=-1)
        if rule.builder is None:
            return Piece(values, start, end, depth, "")
        if rule.builder == "":
            return Piece(values[0], start, end, depth, "")
        if rule.builder in NESTING:
            inner = max([piece.depth for piece in pieces[1:]], default=0) + 1
            depth = max(inner, pieces[0].depth + (pieces[0].origin != rule.origin))
        span = Span(self.source, max(start, 0), max(end, 0))
        return Piece(BUILDERS[rule.builder](span, *values), start, end, depth, rule.origin)
