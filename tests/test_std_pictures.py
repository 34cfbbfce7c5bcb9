"""Drawings in the docstrings of the library, read back and compared with the networks."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest

import tncompile
from tests.support.text_pictures import STEPS, check_picture, picture
from tncompile.emission.module.docstrings import ROOM
from tncompile.emission.text.writer import doc_lines
from tncompile.language.formatting import format_program
from tncompile.language.parsing import parse
from tncompile.language.syntax.source import SourceFile
from tncompile.network.model import TensorNetwork

SCRIPT: dict[str, Any] = runpy.run_path(
    str(Path(__file__).parents[1] / "docs" / "generate_library.py")
)
NETWORKS, TARGETS = SCRIPT["networks"](), SCRIPT["TARGETS"]

WIDEST, HIGHEST = 72, 10


def network(name: str) -> TensorNetwork:
    made: TensorNetwork = SCRIPT["instance"](name).network
    return made


def drawn(name: str) -> list[str]:
    return picture(NETWORKS[name][1].doc)


def test_every_network_has_a_picture() -> None:
    assert NETWORKS.keys() == TARGETS.keys()
    assert all(target.partition("(")[0] == name for name, target in TARGETS.items())


@pytest.mark.parametrize("name", TARGETS)
def test_a_picture_is_the_network(name: str) -> None:
    rows = drawn(name)
    assert len(rows) <= HIGHEST
    assert max(map(len, rows)) + 4 <= WIDEST
    check_picture(rows, network(name))


WRONG = {
    "a name of another tensor": ("MPO", "G[2]", "G[3]"),
    "a tensor twice": ("MPO", "G[2]", "G[1]"),
    "names that changed places": ("MPO", "G[0]──b[0]──G[1]──b[1]", "G[0]──b[1]──G[1]──b[0]"),
    "an index that is not there": ("MPO", "b[1]", "b[2]"),
    "an input above": ("TensorContraction", "o[0]   o[1]", "i[0]   o[1]"),
    "an output below": ("ZeroMPO", "i[0]         i[1]", "o[0]         i[1]"),
    "no bond": ("MPO", "──b[0]──", "        "),
    "a gap in a bond": ("MPO", "──b[0]──", "──b[0]─ "),
    "a loose line": ("MPO", " │           │           │", " │           │            "),
    "no bias": ("MPO", "   + c", ""),
    "another bias": ("MPO", "   + c", "   + d"),
    "a bias that is not there": ("TTScores", "v[2]", "v[2]   + c"),
    "two lines that only cross": ("Monarch", "R─────────●", "R─────────┼"),
    "two lines that join": ("HierarchicalTucker", "└─v[1,0]──┼", "└─v[1,0]──●"),
    "an end of a ring": ("TensorRing", "──b[0]──G[0]", "        G[0]"),
    "a name on two lines": ("TensorRing", "──b[2]──", "──b[1]──"),
    "another window": ("LowRankConv", "<h[1]>", "<h[0]>"),
    "a window without its kernel": ("LowRankConv", "A──────<h[1]>", "A      <h[1]>"),
    "sides of a window": ("CausalDepthwise", "h.out", "h.in "),
    "a line without a name to a wrong tensor": ("MERAClassifier", "┌───Dis", "    Dis"),
    "a name of no tensor or index": ("Monarch", "L", "M"),
    "one end of what goes through": ("ModeMaps", "m[0]     i", "         i"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_picture_is_seen(case: str) -> None:
    name, text, other = WRONG[case]
    whole = "\n".join(drawn(name))
    assert text in whole
    with pytest.raises(AssertionError):
        check_picture(whole.replace(text, other, 1).split("\n"), network(name))


@pytest.mark.parametrize("name", TARGETS)
def test_a_gap_in_any_line_is_seen(name: str) -> None:
    rows, whole = drawn(name), network(name)
    for k, row in enumerate(rows):
        for column, character in enumerate(row):
            loose = character == "─" and " " in (f" {row}"[column], f"{row} "[column + 1])
            if character in STEPS and not loose:
                gap = f"{row[:column]} {row[column + 1 :]}".rstrip()
                with pytest.raises(AssertionError):
                    check_picture([*rows[:k], gap, *rows[k + 1 :]], whole)


@pytest.mark.parametrize("name", TARGETS)
def test_a_docstring_keeps_its_picture(name: str) -> None:
    doc = NETWORKS[name][1].doc
    assert "\n".join(f"    {row}".rstrip() for row in drawn(name)) in "\n".join(
        doc_lines(doc, ROOM)
    )


def doc_of(source: str) -> str:
    """The docstring of the class of a network in an emitted file, before that of its fold."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return next(ast.get_docstring(node) or "" for node in classes if node.name[0] != "_")


def test_an_emitted_class_has_the_picture() -> None:
    assert picture(doc_of(SCRIPT["instance"]("Tucker").source(search="fast"))) == drawn("Tucker")


INDENTED = '''\
"""A map, and words that are many enough for a line of their own, so that this is filled {anew}.

    A───r───B
    │       │   \\ {wide}
      i   o

Words behind it.
"""
network N() {{
  index  i = 2, o = 2
  input  x(i)
  tensor A(i, o)
  output y(o)
}}
'''


def test_indented_paragraphs_stay_as_they_are() -> None:
    text = INDENTED.format(anew="anew " * 20 + "anew", wide="w" * 40)
    source = tncompile.loads(text).instantiate().source(search="fast")
    head, drawing, tail = doc_of(source).split("\n\n")[:3]
    assert len(head.split("\n")) == 3
    assert drawing.split("\n") == text.split("\n")[2:5]
    assert tail == "Words behind it."
    assert max(map(len, source.split("\n"))) <= 100
    assert format_program(parse(SourceFile("n.tn", text))) == text
