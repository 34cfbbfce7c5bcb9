"""The grammar and the tables of the parser that it is compiled to."""

from __future__ import annotations

import json
import subprocess
import sys

import lark
import pytest

from tests.support.mutating import good_texts
from tncompile.language.parsing import table_generator as grammar
from tncompile.language.parsing.errors.messages import english
from tncompile.language.parsing.tables import END, STORED, load_tables, tables_from
from tncompile.language.parsing.tree_builder import BUILDERS


def test_tables_are_those_of_the_grammar() -> None:
    current = grammar.render_tables(grammar.compile_grammar(grammar.grammar_text(), strict=True))
    assert STORED.read_text(encoding="utf-8") == current, (
        "python -m tncompile.language.parsing.table_generator"
    )


def test_tables_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "from tncompile.language.parsing import table_generator as grammar; import sys;"
        "text = grammar.render_tables(grammar.compile_grammar(grammar.grammar_text()));"
        "sys.exit(grammar.STORED.read_text(encoding='utf-8') != text)"
    )
    subprocess.run([sys.executable, "-c", script], env={"PYTHONHASHSEED": "7"}, check=True)


def test_parsing_needs_no_lark() -> None:
    script = (
        "import sys; from tncompile.language.parsing import parse_target;"
        "parse_target('N(d = 4)'); sys.exit('lark' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_edited_grammar_makes_new_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    edited = grammar.grammar_text().replace('"frozen"', '"fixed"')
    tables = tables_from(grammar.compile_grammar(edited))
    assert "fixed" in tables.words
    data = json.loads(STORED.read_text(encoding="utf-8"))
    assert len(tables.actions) == len(data["states"])


def test_lark_itself_accepts_the_same_programs() -> None:
    parser = lark.Lark(grammar.grammar_text(), parser="lalr", lexer="contextual", start="program")
    for text in good_texts():
        parser.parse(text)


def test_every_terminal_has_an_english_name() -> None:
    tables = load_tables()
    kinds = set(tables.patterns) - {"COMMENT", "SPACE"}
    terminals = {"NAME", *tables.words.values(), *tables.symbols.values(), *kinds, END}
    for terminal in terminals:
        assert english(terminal)
    for row in tables.actions:
        assert set(row) <= terminals


def test_every_rule_has_a_builder() -> None:
    named = {rule.builder for rule in load_tables().rules if rule.builder}
    assert named == set(BUILDERS)
