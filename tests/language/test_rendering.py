"""How diagnostics look, on a terminal and as JSON."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.rendering import render, to_json
from tncompile.language.syntax.source import SourceFile, Span

TEXT = "network N() {\n  index i = 3\n  tensor A(i, o, i)\n\toutput y()\n}\n"
SOURCE = SourceFile("a.tn", TEXT)


def label(source: SourceFile, start: int, end: int, text: str = "") -> Label:
    return Label(Span(source, start, end), text)


def at(part: str, text: str = "", nth: int = 0) -> Label:
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(part, start + 1)
    return label(SOURCE, start, start + len(part), text)


def test_a_whole_diagnostic() -> None:
    found = Diagnostic(
        Code.REPEATED_LEG,
        "`i` stands twice on `A`",
        label(SOURCE, TEXT.index(", i)") + 2, TEXT.index(", i)") + 3, "again here"),
        (label(SOURCE, TEXT.index("(i") + 1, TEXT.index("(i") + 2, "first here"),),
        ("a tensor has each leg once",),
        "leave one away",
    )
    assert render([found]) == (
        "error[TN203]: `i` stands twice on `A`\n"
        " --> a.tn:3:18\n"
        "  |\n"
        "3 |   tensor A(i, o, i)\n"
        "  |            -     ^ again here\n"
        "  |            |\n"
        "  |            first here\n"
        "  |\n"
        "  = note: a tensor has each leg once\n"
        "  = hint: leave one away"
    )
    assert str(CompileError((found,))) == render([found])


def test_a_warning_says_so() -> None:
    found = Diagnostic(Code.NEVER_USED, "`N` is never used", at("N"))
    assert render([found]).startswith("warning[TN204]: `N` is never used\n --> a.tn:1:9\n")


def test_labels_on_other_lines() -> None:
    near = Diagnostic(Code.DECLARED_TWICE, "m", at("tensor"), (at("network", "there"),))
    assert render([near]).splitlines()[3:] == [
        "1 | network N() {",
        "  | ------- there",
        "2 |   index i = 3",
        "3 |   tensor A(i, o, i)",
        "  |   ^^^^^^",
    ]
    far = Diagnostic(Code.DECLARED_TWICE, "m", at("output"), (at("network"),))
    assert "..." in render([far]).splitlines()


def test_labels_in_other_files() -> None:
    other = SourceFile("b.tn", "first\nsecond\n")
    found = Diagnostic(Code.WRONG_ARGUMENT, "m", at("index"), (label(other, 6, 12, "declared"),))
    assert render([found]).splitlines()[5:] == [
        " ::: b.tn:2:1",
        "  |",
        "2 | second",
        "  | ------ declared",
    ]


def test_the_end_of_the_file() -> None:
    found = Diagnostic(Code.UNEXPECTED_END, "m", label(SOURCE, len(TEXT), len(TEXT), "here"))
    assert render([found]).splitlines()[1:] == [" --> a.tn:6:1", "  |", "6 |", "  | ^ here"]
    empty = SourceFile("e.tn", "")
    found = Diagnostic(Code.UNEXPECTED_END, "m", label(empty, 0, 0))
    assert render([found]).splitlines()[-1] == "  | ^"


def test_spans_over_lines_are_marked_at_both_ends() -> None:
    start, end = TEXT.index("index"), TEXT.index(", o")
    found = Diagnostic(Code.BAD_SIZE, "m", label(SOURCE, start, end, "all of this"))
    assert render([found]).splitlines()[3:] == [
        "2 |   index i = 3",
        "  |   ^^^^^^^^^^^",
        "3 |   tensor A(i, o, i)",
        "  |   ^^^^^^^^^^ all of this",
    ]


def test_overlapping_labels() -> None:
    found = Diagnostic(Code.BAD_SIZE, "m", at("i = 3", "p"), (at("index i = 3", "s"),))
    assert render([found]).splitlines()[4:] == ["  |   ------^^^^^ p", "  |   |", "  |   s"]


def test_tabs_and_wide_characters() -> None:
    found = Diagnostic(Code.BAD_SIZE, "m", at("output", "here"))
    assert render([found]).splitlines()[3:] == ["4 |     output y()", "  |     ^^^^^^ here"]
    wide = SourceFile("w.tn", "# 漢字 e\u0301x y")
    found = Diagnostic(Code.BAD_SIZE, "m", label(wide, 8, 9))
    assert render([found]).splitlines()[-1] == "  | " + " " * 9 + "^"


def test_invisible_characters_are_shown() -> None:
    source = SourceFile("a\nb.tn", "a\0\x1b[31m\u202eb\ud800")
    shown = render([Diagnostic(Code.UNKNOWN_CHARACTER, "m\x1b", label(source, 1, 2))])
    assert all(character.isprintable() or character == "\n" for character in shown)
    shown.encode()


def test_long_lines_are_cut_around_the_mark() -> None:
    source = SourceFile("l.tn", "x" * 5_000 + "HERE" + "y" * 5_000)
    lines = render([Diagnostic(Code.BAD_SIZE, "m", label(source, 5_000, 5_004, "w"))]).splitlines()
    assert all(len(line) < 120 for line in lines)
    column = lines[4].index("^")
    assert lines[3][column : column + 4] == "HERE"
    assert lines[3].count("…") == 2


def test_colors_only_if_asked() -> None:
    found = Diagnostic(Code.BAD_SIZE, "m", at("index", "t"), (at("N"),), ("n",), "h")
    plain, colored = render([found]), render([found], color=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m" in colored
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[1;31m", "\x1b[1;34m", "\x1b[1;36m"):
        colored = colored.replace(code, "")
    assert colored == plain


def test_json() -> None:
    found = Diagnostic(Code.BAD_SIZE, "m", at("index", "t"), (at("N", "s"),), ("n",), "h")
    (data,) = to_json([found])
    assert data == {
        "code": "TN301",
        "severity": "error",
        "message": "m",
        "file": "a.tn",
        "start": {"line": 2, "column": 3, "offset": 16},
        "end": {"line": 2, "column": 8, "offset": 21},
        "label": "t",
        "labels": [
            {
                "file": "a.tn",
                "start": {"line": 1, "column": 9, "offset": 8},
                "end": {"line": 1, "column": 10, "offset": 9},
                "label": "s",
            }
        ],
        "notes": ["n"],
        "hint": "h",
    }


@st.composite
def diagnostics(draw: st.DrawFn) -> Diagnostic:
    """Any labels on any text, outside of it too."""
    source = SourceFile(draw(st.text(max_size=5)), draw(st.text(max_size=60)))
    offsets = st.integers(0, len(source.text) + 2)
    labels = draw(
        st.lists(
            st.tuples(offsets, offsets, st.text(max_size=5)).map(
                lambda drawn: label(source, min(drawn[:2]), max(drawn[:2]), drawn[2])
            ),
            min_size=1,
            max_size=4,
        )
    )
    return Diagnostic(Code.BAD_SIZE, draw(st.text(max_size=9)), labels[0], tuple(labels[1:]))


@given(diagnostics())
def test_rendering_never_fails(diagnostic: Diagnostic) -> None:
    shown = render([diagnostic])
    shown.encode()
    assert shown.startswith("error[TN301]: ")
    assert shown.split("\n")[1].lstrip().startswith("--> ")
    assert render([diagnostic], color=True)
    assert to_json([diagnostic])
