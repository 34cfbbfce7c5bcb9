"""From the grammar file to parse tables, with lark.

`python -m tncompile.language.parsing.table_generator` writes `tables.json`: run it after an edit of
the grammar.
"""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import lark
from lark.grammar import Rule
from lark.lexer import PatternStr
from lark.parsers.lalr_analysis import IntParseTable, Shift

from tncompile.language.parsing.tables import END, STORED, TablesData

STARTS = ("program", "target")


def grammar_text() -> str:
    """The grammar: beside the package in a checkout, inside it when installed from a wheel."""
    language = Path(__file__).parents[1]
    installed = language / "tncompile.lark"
    checkout = language.parents[1] / "grammar" / "tncompile.lark"
    return (installed if installed.exists() else checkout).read_text(encoding="utf-8")


def compile_grammar(text: str, *, strict: bool = False) -> TablesData:
    """The parse tables of a grammar, as JSON data. The order of everything follows the grammar.

    `strict` makes lark refuse conflicts and colliding terminals; it needs `interegular`.
    """
    parser = lark.Lark(
        text,
        parser="lalr",
        lexer="contextual",
        strict=strict,
        start=list(STARTS),
        maybe_placeholders=True,
    )
    table: IntParseTable = parser.parser.parser._parse_table
    order = list(_reached(table))
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
            elif symbol == END or symbol.isupper() or symbol.startswith("__ANON"):
                row[symbol] = number[target]
            else:
                goto[symbol] = number[target]
        states.append(rows.setdefault(json.dumps(row), len(rows)))
        gotos.append(goto)
    words, symbols, patterns = _terminals(parser)
    name = re.compile(patterns.pop("NAME"))
    return {
        "lark": lark.__version__,
        "grammar": sha256(text.encode()).hexdigest(),
        "words": words,
        "reserved": [word for word in words if not name.fullmatch(word)],
        "symbols": symbols,
        "patterns": patterns,
        "starts": {start: number[table.start_states[start]] for start in STARTS},
        "ends": {start: number[table.end_states[start]] for start in STARTS},
        "rules": [_rule(rule) for rule in rules],
        "rows": [json.loads(row) for row in rows],
        "states": states,
        "gotos": gotos,
    }


def _reached(table: IntParseTable) -> Iterator[int]:
    """The states, breadth first, symbols in alphabetical order: lark's own numbers may vary."""
    queue = deque(table.start_states[start] for start in STARTS)
    seen = set(queue)
    while queue:
        state = queue.popleft()
        yield state
        for _, (action, target) in sorted(table.states[state].items()):
            if action is Shift and target not in seen:
                seen.add(target)
                queue.append(target)


def _terminals(parser: lark.Lark) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The words and the symbols (text to terminal), and the patterns of all other terminals."""
    words: dict[str, str] = {}
    symbols: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for terminal in sorted(parser.terminals, key=lambda terminal: terminal.name):
        if not isinstance(terminal.pattern, PatternStr):
            patterns[terminal.name] = terminal.pattern.value
        elif terminal.pattern.value.isalpha():
            words[terminal.pattern.value] = terminal.name
        else:
            symbols[terminal.pattern.value] = terminal.name
    return words, symbols, patterns


def _rule(rule: Rule) -> tuple[str, int, str | None, list[int | None]]:
    """Origin, length, the name of the builder, and the recipe of the builder's arguments.

    An entry k of the recipe stands for the value of the k-th symbol, ~k for each of the values in
    the k-th symbol's list, None for a `[ ]` that is missing in the text. The name is empty where
    the only value is passed on, and None where the values stay a list (rules with an underscore).
    """
    options = rule.options
    missing = list(options.empty_indices) or [False] * len(rule.expansion)
    symbols = iter(enumerate(rule.expansion))
    recipe: list[int | None] = []
    for absent in missing:
        if absent:
            recipe.append(None)
            continue
        position, symbol = next(symbols)
        if symbol.is_term and getattr(symbol, "filter_out", False):
            continue
        inline = not symbol.is_term and symbol.name.startswith("_")
        recipe.append(~position if inline else position)
    builder: str | None = rule.alias or rule.origin.name
    if rule.origin.name.startswith("_"):
        builder = None
    elif options.expand1 and not rule.alias and len(recipe) == 1:
        builder = ""
    return str(rule.origin.name), len(rule.expansion), builder, recipe


def main() -> None:
    """Write the tables of the grammar file next to this module."""
    data = compile_grammar(grammar_text(), strict=True)
    STORED.write_text(render_tables(data), encoding="utf-8")
    sys.stdout.write(f"{STORED}: {len(data['states'])} states, {len(data['rules'])} rules\n")


def render_tables(data: TablesData) -> str:
    """The tables as JSON text, one entry a line where a diff wants to be read."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict | tuple):
            items = ",\n".join(json.dumps(item, separators=(",", ":")) for item in value)
            parts.append(f"{json.dumps(key)}: [\n{items}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def stored_is_current() -> bool:
    """Whether `tables.json` is what the grammar file gives today."""
    text = Path(STORED).read_text(encoding="utf-8")
    return text == render_tables(compile_grammar(grammar_text(), strict=True))


if __name__ == "__main__":
    main()
