"""From the grammar file to parse tables, with lark.

`python -m tncompile.language.parsing.table_generator` writes `tables.json`: run it after an edit of
the grammar.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import PatternStr
from lark.parsers.lalr_analysis import IntParseTable, Shift

from tncompile.language.parsing.tables import END, STORED, GrammarRule

STARTS = ("program", "target")
_OPENED = ("declaration", "network_statement", "model_statement")


def grammar_text() -> str:
    """The grammar: beside the package in a checkout, inside it when installed from a wheel."""
    language = Path(__file__).parents[1]
    installed = language / "tncompile.lark"
    checkout = language.parents[1] / "grammar" / "tncompile.lark"
    return (installed if installed.exists() else checkout).read_text(encoding="utf-8")


def compile_grammar(grammar: str, *, strict: bool = False) -> dict[str, Any]:
    """The parse tables of a grammar, as JSON data. The order of everything follows the grammar.

    `strict` makes lark refuse conflicts and colliding terminals; it needs `interegular`.
    """
    parser = lark.Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        strict=strict,
        start=list(STARTS),
        maybe_placeholders=True,
    )
    table: IntParseTable = parser.parser.parser._parse_table
    # Breadth first, symbols in alphabetical order: lark's own numbers of states may vary.
    order = [table.start_states[start] for start in STARTS]
    number = {state: k for k, state in enumerate(order)}
    rules: dict[Rule, int] = {}
    rows: dict[str, int] = {}
    states = []
    gotos = []
    for state in order:
        row: dict[str, int] = {}
        goto: dict[str, int] = {}
        for symbol, (action, target) in sorted(table.states[state].items()):
            if action is not Shift:
                row[symbol] = ~rules.setdefault(target, len(rules))
                continue
            if target not in number:
                number[target] = len(order)
                order.append(target)
            shifts = symbol == END or symbol.isupper() or symbol.startswith("__ANON")
            (row if shifts else goto)[symbol] = number[target]
        states.append(rows.setdefault(json.dumps(row), len(rows)))
        gotos.append(goto)
    words: dict[str, str] = {}
    symbols: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for terminal in sorted(parser.terminals, key=lambda terminal: terminal.name):
        text = terminal.pattern.value
        if not isinstance(terminal.pattern, PatternStr):
            patterns[terminal.name] = text
        else:
            (words if text.isalnum() else symbols)[text] = terminal.name
    name = re.compile(patterns.pop("NAME"))
    return {
        "lark": lark.__version__,
        "grammar": sha256(grammar.encode()).hexdigest(),
        "words": words,
        "reserved": [word for word in words if not name.fullmatch(word)],
        "opening": [word for word in words if words[word] in _first_terminals(parser.rules)],
        "symbols": symbols,
        "patterns": patterns,
        "starts": {start: number[table.start_states[start]] for start in STARTS},
        "ends": {start: number[table.end_states[start]] for start in STARTS},
        "rules": [_rule(rule) for rule in rules],
        "rows": [json.loads(row) for row in rows],
        "states": states,
        "gotos": gotos,
    }


def _first_terminals(rules: list[Rule]) -> frozenset[str]:
    """The terminals that a block or a statement of a network or a model begins with."""
    found = set(_OPENED)
    while True:
        first = {str(each.expansion[0].name) for each in rules if str(each.origin.name) in found}
        if first <= found:
            return frozenset(found)
        found |= first


def _rule(rule: Rule) -> GrammarRule:
    origin, options = str(rule.origin.name), rule.options
    symbols = iter(enumerate(rule.expansion))
    recipe: list[int | None] = []
    for absent in options.empty_indices or [False] * len(rule.expansion):
        if absent:
            recipe.append(None)
            continue
        position, symbol = next(symbols)
        if not symbol.is_term:
            recipe.append(~position if symbol.name.startswith("_") else position)
        elif not getattr(symbol, "filter_out", False):
            recipe.append(position)
    builder: str | None = rule.alias or origin
    if origin.startswith("_"):
        builder = None
    elif options.expand1 and not rule.alias and len(recipe) == 1:
        builder = ""
    return GrammarRule(origin, len(rule.expansion), builder, recipe)


def render_tables(data: dict[str, Any]) -> str:
    """The tables as JSON text, one entry a line where a diff wants to be read."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list) and isinstance(value[0], dict | tuple):
            items = ",\n".join(json.dumps(item, separators=(",", ":")) for item in value)
            parts.append(f"{json.dumps(key)}: [\n{items}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    STORED.write_text(render_tables(compile_grammar(grammar_text(), strict=True)), encoding="utf-8")
