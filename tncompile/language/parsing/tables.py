"""The parse tables: LALR(1) actions as plain data, loaded from JSON in a few milliseconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict, cast

END = "$END"
STORED = Path(__file__).with_name("tables.json")


class TablesData(TypedDict):
    """What `tables.json` holds. An action is a state to shift to, or ~k to reduce by rule k.

    The stamp is `lark`, the version that made the tables, and `grammar`, the grammar's SHA-256.
    """

    lark: str
    grammar: str
    words: dict[str, str]
    reserved: list[str]
    symbols: dict[str, str]
    patterns: dict[str, str]
    starts: dict[str, int]
    ends: dict[str, int]
    rules: list[tuple[str, int, str | None, list[int | None]]]
    rows: list[dict[str, int]]
    states: list[int]
    gotos: list[dict[str, int]]


@dataclass(frozen=True, slots=True)
class GrammarRule:
    """One alternative of the grammar: what reducing `length` symbols to `origin` builds.

    `_rule` of `table_generator.py` explains `builder` and `recipe`.
    """

    origin: str
    length: int
    builder: str | None
    recipe: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything the parser knows about the language; `actions` and `gotos` go by state."""

    words: dict[str, str]
    reserved: frozenset[str]
    symbols: dict[str, str]
    patterns: dict[str, str]
    starts: dict[str, int]
    ends: dict[str, int]
    rules: tuple[GrammarRule, ...]
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]

    @property
    def terminals(self) -> tuple[str, ...]:
        """Every terminal of the grammar, the end of the text included."""
        shown = [name for name in self.patterns if name not in ("COMMENT", "SPACE")]
        return ("NAME", *self.words.values(), *self.symbols.values(), *shown, END)


@cache
def load_tables() -> Tables:
    """The stored tables."""
    return tables_from(cast(TablesData, json.loads(STORED.read_text(encoding="utf-8"))))


def tables_from(data: TablesData) -> Tables:
    """The tables that JSON data describes."""
    return Tables(
        words=data["words"],
        reserved=frozenset(data["reserved"]),
        symbols=data["symbols"],
        patterns=data["patterns"],
        starts=data["starts"],
        ends=data["ends"],
        rules=tuple(
            GrammarRule(origin, length, builder, tuple(recipe))
            for origin, length, builder, recipe in data["rules"]
        ),
        actions=tuple(data["rows"][row] for row in data["states"]),
        gotos=tuple(data["gotos"]),
    )
