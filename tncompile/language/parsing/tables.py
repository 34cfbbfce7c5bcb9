"""The parse tables: LALR(1) actions as plain data, loaded from JSON in a few milliseconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

END = "$END"
STORED = Path(__file__).with_name("tables.json")


class GrammarRule(NamedTuple):
    """One alternative of the grammar: what reducing `length` symbols to `origin` builds.

    An entry k of the recipe stands for the value of the k-th symbol, ~k for each of the values in
    the k-th symbol's list, None for a `[ ]` that is missing in the text. The builder's name is
    empty where the only value is passed on, and None where the values stay a list.
    """

    origin: str
    length: int
    builder: str | None
    recipe: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything the parser knows about the language; `actions` and `gotos` go by state.

    An action is a state to shift to, or ~k to reduce by rule k. `reserved` words are never names;
    `opening` ones begin a block or a statement.
    """

    words: dict[str, str]
    reserved: frozenset[str]
    opening: frozenset[str]
    symbols: dict[str, str]
    patterns: dict[str, str]
    starts: dict[str, int]
    ends: dict[str, int]
    rules: list[GrammarRule]
    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]


def tables_from(data: dict[str, Any]) -> Tables:
    """The tables from what `compile_grammar` of `table_generator.py` gives."""
    return Tables(
        **{key: data[key] for key in ("words", "symbols", "patterns", "starts", "ends", "gotos")},
        reserved=frozenset(data["reserved"]),
        opening=frozenset(data["opening"]),
        rules=[GrammarRule(*rule) for rule in data["rules"]],
        actions=[data["rows"][row] for row in data["states"]],
    )


@cache
def load_tables() -> Tables:
    """The stored tables."""
    return tables_from(json.loads(STORED.read_text(encoding="utf-8")))
