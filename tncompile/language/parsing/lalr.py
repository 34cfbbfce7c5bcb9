"""The LALR(1) automaton: feeds tokens to the parse tables and builds the tree as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tncompile.language.parsing.lexer import WORD, Token
from tncompile.language.parsing.tables import END, GrammarRule, Tables
from tncompile.language.parsing.tree_builder import BUILDERS, NESTING, terminal_value
from tncompile.language.syntax.source import SourceFile, Span

MOST_NESTED = 200
"""Most levels of nesting of the syntax tree, and of open brackets."""

TALLEST = 1_500
"""Most symbols on the stack: a level of nesting has six at most (`f(…, name =`), a bracket one."""


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
    """The stack of states, of symbols and of their values."""

    def __init__(self, tables: Tables, source: SourceFile, start: str) -> None:
        self.tables = tables
        self.source = source
        self.states = [tables.starts[start]]
        self.symbols: list[str] = []
        self.pieces: list[Piece] = []
        self.brackets = 0
        self.deepest = Piece(None, -1, -1, 0, "")
        self._before = tuple(self.states)
        self._end = tables.ends[start]

    def terminal(self, token: Token) -> str:
        """What a token is here: a word not reserved is a keyword only where one may stand."""
        if token.kind != WORD:
            return token.kind
        text = self.source.text[token.start : token.end]
        keyword = self.tables.words.get(text)
        if keyword is None:
            return "NAME"
        if text in self.tables.reserved or self._acceptable(keyword, self.states):
            return keyword
        return "NAME"

    def feed(self, token: Token, terminal: str) -> bool:
        """Take a token; False, with nothing shifted, where it cannot stand."""
        actions, rules = self.tables.actions, self.tables.rules
        self.mark()
        while True:
            action = actions[self.states[-1]].get(terminal)
            if action is None:
                return False
            if action >= 0:
                self._shift(token, terminal, action)
                return True
            rule = rules[~action]
            if rule.length == 1 and rule.builder == "":
                self._pass_on(rule, terminal)
            else:
                self._reduce(rule)
            if terminal == END and self.states[-1] == self._end:
                return True

    def _pass_on(self, rule: GrammarRule, terminal: str) -> None:
        """Reduce by rules that only rename a symbol, as expressions do at every level."""
        actions, rules = self.tables.actions, self.tables.rules
        gotos = self.tables.gotos[self.states[-2]]
        while True:
            state = gotos[rule.origin]
            action = actions[state].get(terminal)
            if action is None or action >= 0:
                break
            following = rules[~action]
            if following.length != 1 or following.builder != "":
                break
            rule = following
        self.states[-1] = state
        self.symbols[-1] = rule.origin

    def expected(self) -> tuple[str, ...]:
        """The terminals that could stand in the place of the token that was fed last."""
        before = self._before
        return tuple(t for t in self.tables.actions[before[-1]] if self._acceptable(t, before))

    def mark(self) -> None:
        """Remember where the parser stands, for `expected`."""
        self._before = tuple(self.states)

    def truncate(self, height: int) -> None:
        """Forget all but the lowest `height` symbols."""
        del self.states[height + 1 :]
        del self.symbols[height:]
        del self.pieces[height:]
        self.brackets = sum(symbol in ("LPAR", "LSQB") for symbol in self.symbols)

    def _acceptable(self, terminal: str, stack: Sequence[int]) -> bool:
        """Whether a terminal could be shifted onto a stack after the reductions it asks for.

        An action alone does not say so: states of an LALR(1) automaton are merged, and reduce for
        terminals that only another place has room for (`log` after the legs of a tensor).
        """
        tables = self.tables
        if terminal not in tables.actions[stack[-1]]:
            return False
        states = list(stack)
        while True:
            action = tables.actions[states[-1]].get(terminal)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = tables.rules[~action]
            if rule.length:
                del states[-rule.length :]
            states.append(tables.gotos[states[-1]][rule.origin])
            if terminal == END and states[-1] == self._end:
                return True

    def _shift(self, token: Token, terminal: str, state: int) -> None:
        if terminal in ("LPAR", "LSQB"):
            self.brackets += 1
        elif terminal in ("RPAR", "RSQB"):
            self.brackets -= 1
        start, end = token.start, token.end
        span = Span(self.source, start, end)
        value = terminal_value(terminal, self.source.text[start:end], span)
        self.states.append(state)
        self.symbols.append(terminal)
        self.pieces.append(Piece(value, start, end, 0, ""))

    def _reduce(self, rule: GrammarRule) -> None:
        length = rule.length
        piece = self._build(rule, self.pieces[len(self.pieces) - length :])
        if piece.depth > self.deepest.depth:
            self.deepest = piece
        if length:
            del self.states[-length:], self.symbols[-length:], self.pieces[-length:]
        self.symbols.append(rule.origin)
        self.pieces.append(piece)
        self.states.append(self.tables.gotos[self.states[-1]][rule.origin])

    def _build(self, rule: GrammarRule, pieces: list[Piece]) -> Piece:
        """The piece that a rule builds from the pieces of its symbols."""
        values = _values(rule, pieces)
        depth = max([piece.depth for piece in pieces], default=0)
        start = next((piece.start for piece in pieces if piece.start >= 0), -1)
        end = max([piece.end for piece in pieces], default=-1)
        if rule.builder is None:
            return Piece(values, start, end, depth, "")
        if rule.builder == "":
            return Piece(values[0], start, end, depth, "")
        if rule.builder in NESTING:
            chained = pieces[0].origin == rule.origin
            inner = max([piece.depth for piece in pieces[1:]], default=0) + 1
            depth = max(inner, pieces[0].depth + (not chained))
        span = Span(self.source, max(start, 0), max(end, 0))
        value = BUILDERS[rule.builder](span, *values)
        return Piece(value, start, end, depth, rule.origin)


def _values(rule: GrammarRule, pieces: list[Piece]) -> list[object]:
    """What a rule's function is called with; a list that begins with a list grows in place."""
    recipe = rule.recipe
    values: list[object] = []
    for k, entry in enumerate(recipe):
        if entry is None:
            values.append(None)
        elif entry >= 0:
            values.append(pieces[entry].value)
        else:
            items = pieces[~entry].value
            assert isinstance(items, list), "only lists are spliced"
            if k == 0:
                values = items
            else:
                values.extend(items)
    return values
