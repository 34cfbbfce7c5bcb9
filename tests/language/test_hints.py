"""Hints lead on: what a message says to type is typed in, and is not refused.

Texts that a hint proposes word by word are put where the message points. Every program here has one
mistake, so nothing may be wrong with it afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hinted import CASES, NAME, found, target
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.rendering import render
from tncompile.language.syntax.source import Span


def network(body: str, parameters: str = "n: int = 4") -> str:
    return f"network N({parameters}) {{\n{body}\n}}\n"


CHAIN = """  index  p[k in 0..n] = 2
  {}
  bond   b[k in 0..n - 1] = 2
  input  x(..., k in 0..n, p[k])
  tensor A[k in 0..n](b[k - 1]?, p[k], b[k]?{})
  output y(..., {})"""


WRITTEN = {
    "a type after the legs": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor W(i, o): complex64\n  output y(..., o)"
    ),
    "a type as an attribute": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor W(i, o) complex64\n  output y(..., o)"
    ),
    "a type that is not complex after the legs": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor W(i, o): float32\n  output y(..., o)"
    ),
    "a type that is not complex": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor W(i, o) float32\n  output y(..., o)"
    ),
    "one member of two subscripts": network(
        "  index out[r in 1..2, c in 1..2] = 3\n"
        "  bond b[r in 0..3, c in 0..2] = 2\n  bond d[r in 0..2] = 2\n"
        "  tensor P[r in 0..3, c in 0..3](b[r, c]?, b[r, c - 1]?, out[r, c]?)\n"
        "  tensor Q(d[*])\n  tensor R(d[*])\n  output y(out[r, c]?)"
    ),
    "all members of two subscripts on a tensor": network(
        "  index i[r in 0..2, c in 0..2] = 3\n  input x(..., i[*])\n"
        "  tensor P(i[r, 1], i[0, 0], i[1, 0])\n  output y(...)"
    ).replace("i[r, 1], i[0, 0], i[1, 0]", "i[r, c]"),
    "an index for one member": network(CHAIN.format("index o[2] = 3", ", o[k]?", "o[2]")),
    "a member without a range": network(CHAIN.format("index o[k in 2] = 3", ", o[k]?", "o[2]")),
    "an empty range": network(CHAIN.format("index o[k in 2..2] = 3", ", o[k]?", "o[2]")),
    "a subscript on the output": network(CHAIN.format("index o[k in 2..3] = 3", ", o[k]?", "o[k]")),
    "a parameter as a leg": network(
        "  index o = 3\n  input x(..., n)\n  tensor W(n, o)\n  output y(..., o)"
    ),
    "a parameter as a leg of tensors alone": network(
        "  index i = 2, o = 3\n  input x(..., i)\n  tensor V(i, n)\n  tensor W(n, o)\n"
        "  output y(..., o)"
    ),
    "a parameter as a leg of one tensor": network(
        "  index i = 2\n  input x(..., i)\n  tensor V(i, n)\n  output y(...)"
    ),
    "a list as a leg": network(
        "  index o = 3\n  input x(..., n)\n  tensor W(n, o)\n  output y(..., o)",
        "n: int[m] = [2, 3]",
    ),
    "an index in an expression": network(
        "  index i = n\n  index o = i\n  input x(..., i)\n  tensor W(i, o)\n  output y(..., o)"
    ),
    "an undeclared leg of a tensor": network(
        "  index i = n\n  input x(..., i)\n  tensor W(i, q)\n  output y(...)"
    ),
    "an undeclared leg of an input": network(
        "  index i = n\n  input x(..., i, q)\n  tensor W(i)\n  output y(...)"
    ),
    "an undeclared leg of the output": network(
        "  index i = n\n  input x(..., i)\n  tensor W(i)\n  output y(..., q)"
    ),
    "an undeclared bond": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor A(i, q)\n  tensor B(q, o)\n"
        "  output y(..., o)"
    ),
    "an undeclared hyper": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor A(i, q)\n  tensor B(q, o)\n"
        "  tensor C(q)\n  output y(..., o)"
    ),
    "a bond on the input alone": network(
        "  index i = n\n  bond r = 2\n  input x(..., i, r)\n  tensor A(i)\n  output y(...)"
    ),
    "a name that is declared below": network(
        "  index i = widht, o = n\n  let width = 3\n  input x(..., i)\n  tensor A(i, o)\n"
        "  output y(..., o)"
    ),
    "an instance of itself": "network A = A()\n",
    "an instance with parameters": network(
        "  index i = 2\n  input x(..., i)\n  tensor A(i)\n  output y(...)"
    )
    + "network M() = N()\n",
    "an instance above its block": "network M = N()\n"
    + network("  index i = 2\n  input x(..., i)\n  tensor A(i)\n  output y(...)"),
    "an import that was meant": 'import "std/linear.tn" { MPOO }\n'
    "network A = MPO(ins = [4, 8], outs = [8, 4])\n",
    "a file that was meant": 'import "std/linaer.tn" { MPO }\n'
    "network A = MPO(ins = [4, 8], outs = [8, 4])\n",
    "a file without its folder": 'import "linear.tn" { MPO }\n'
    "network A = MPO(ins = [4, 8], outs = [8, 4])\n",
    "a parameter with a longer name": 'import "std/linear.tn" { MPO }\n'
    "network A = MPO(ins = [4, 8], outs = [8, 4], bias = false)\n",
    "a parameter that is given already": 'import "std/linear.tn" { MPO }\n'
    "network A = MPO(ins = [4, 8], inz = [4, 8], outs = [8, 4])\n",
    "a parameter that is given later": 'import "std/linear.tn" { MPO }\n'
    "network A = MPO(out = [4, 8], ins = [4, 8], outs = [8, 4])\n",
    "an item that is no int": 'import "std/linear.tn" { MPO }\n'
    "network A = MPO(ins = [4, 8.0], outs = [8, 4])\n",
    "one number for a list": 'import "std/linear.tn" { MPO }\n'
    "network A = MPO(ins = 32, outs = [8, 4])\n",
    "a whole float": network("  index i = n\n  input x(..., i)\n  tensor A(i)\n  output y(...)")
    + "network M = N(n = 4.0)\n",
    "a whole float for all items of a list": 'import "std/linear.tn" { MPO }\n'
    "network A = MPO(ins = [4, 8], outs = [8, 4], ranks = 3.0)\n",
    "a bias along a bond": network(
        "  index i = n, o = n\n  bond r = 2\n  input x(..., i)\n  tensor A(i, r)\n"
        "  tensor B(r, o)\n  bias c(o, r)\n  output y(..., o)"
    ),
    "an oversized bond": network(
        "  index i = n, o = n\n  bond r = 64\n  input x(..., i)\n  tensor A(i, r)\n"
        "  tensor B(r, o)\n  output y(..., o)"
    ),
    "a scheme again": network(
        "  index i = n\n  input x(..., i)\n  tensor A(i) init ones zeros\n  output y(...)"
    ),
    "the same leg again": network(
        "  index i = n\n  input x(..., i i)\n  tensor A(i)\n  output y(...)"
    ),
    "a name like the parameter's own": network(
        "  index i = width\n  input x(..., i)\n  tensor A(i)\n  output y(...)", "width: int = widht"
    ),
    "a number in quotes": network(
        '  index i = "4"\n  input x(..., i)\n  tensor A(i)\n  output y(...)'
    ),
    "legs without a comma": network(
        "  index i = n, o = n\n  input x(..., i)\n  tensor A(i o)\n  output y(..., o)"
    ),
    "members of two kinds": network(
        "  index i = n, o = n\n  bond r[k in 0..2] = 2\n  input x(..., i)\n"
        "  tensor A(i, r[0], r[1])\n  tensor B(r[*], o)\n  tensor C(r[1])\n  output y(..., o)"
    ),
}


# ── typing in what a hint says ───────────────────────────────────────────────────────────────────

Edit = Callable[[str, Diagnostic, re.Match[str]], str]


def replaced(text: str, *edits: tuple[Span, str]) -> str:
    """The text with these spans replaced."""
    for span, new in sorted(edits, key=lambda edit: -edit[0].start):
        text = text[: span.start] + new + text[span.end :]
    return text


def _instead(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return replaced(text, (problem.primary.span, hint[1]))


def _everywhere(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """A name instead of the wrong one, in all places that are shown."""
    again = [label.span for label in problem.secondary if label.text == "and here"]
    if problem.primary.text == "not in that file":
        return re.sub(rf"\b{problem.primary.span.text}\b", hint[1], text)
    return replaced(text, *((span, hint[1]) for span in (problem.primary.span, *again)))


def _without(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return replaced(text, (problem.primary.span, ""))


def _removed(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """Nothing in the place of it; an argument takes its comma along."""
    span = problem.primary.span
    before, after = text[: span.start], text[span.end :]
    if problem.code == "TN208" and span.text.isidentifier():
        after = re.sub(r"^ = (?:\[[^\]]*\]|[^,)]+),? ?", "", after)
    before = re.sub(r"(?:, ?| as )$", "", before) if after.startswith((")", ",")) else before
    return before + after


def _without_type(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return re.sub(r":? float32", "", text)


def _complex(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return text.replace(": complex64", " complex")


def _unquoted(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return replaced(text, (problem.primary.span, problem.primary.span.text.strip('"')))


def _before(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    place = problem.primary.span.start
    return f"{text[:place]}{hint[1]}{text[place:]}"


def _on_the_output(text: str, name: str) -> str:
    text = text.replace("output y(..., ", f"output y(..., {name}, ")
    return text.replace("output y(...)", f"output y(..., {name})")


def _declared(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """A declaration before everything else, and the other end that the hint asks for."""
    written, place = hint[1].replace("…", "2"), hint[2]
    name = written.split()[1].split("[")[0]
    text = re.sub(r"(network N\(.*\) \{)", rf"\1\n  {written}", text)
    if place == "a tensor":
        return text.replace("  output", f"  tensor New({name})\n  output")
    return _on_the_output(text, name) if place else text


def _sized(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """An index of that size in the place of a parameter."""
    written, leg, place = hint[1], hint[2], hint[3]
    again = [label.span for label in problem.secondary if label.text == "and here"]
    text = replaced(text, *((span, leg) for span in (problem.primary.span, *again)))
    text = re.sub(r"(network N\(.*\) \{)", rf"\1\n  {written}", text)
    return _on_the_output(text, leg) if place else text


def _redeclared(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """Another word before a declaration that stands alone on its line."""
    kind, name = hint[1], hint[2]
    return re.sub(
        rf"^( *)(?:index|bond|hyper)( +{name}\b[^,\n]*)$", rf"\1{kind}\2", text, flags=re.M
    )


def _of_size(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    name = problem.primary.span.text
    return re.sub(rf"(bond +{name} =) \S+", rf"\1 {hint[1]}", text)


def _range(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return re.sub(r"\[(?:k in )?2\] =", f"{hint[1]} =", text)


def _longer(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return text.replace("2..2", hint[1])


def _moved_up(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    moved = problem.primary.span.source.text.splitlines()[problem.primary.span.line - 1]
    return f"{text.replace(moved, '')}{moved}\n"


def _all_members(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """All members in the place of a leg with a wrong subscript."""
    family = hint[1].split("[")[0]
    start = text.rindex(f"{family}[", 0, problem.primary.span.start)
    leg = re.compile(r"\w+\[[^\]]*\]\??").match(text, start)
    assert leg is not None
    return f"{text[: leg.start()]}{hint[1]}{text[leg.end() :]}"


def _with_its_declaration(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """The name that was meant, and its declaration before."""
    lines = _everywhere(text, problem, hint).splitlines()
    moved = next(line for line in lines if line.startswith(f"  let {hint[1]}"))
    lines.remove(moved)
    return "\n".join([lines[0], moved, *lines[1:]]) + "\n"


def _on_a_tensor(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    changed = _redeclared(text, problem, hint)
    return changed.replace("  output", f"  tensor New({hint[2]})\n  output")


def _argument(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    """`ins = [8, 4]` in the place of the argument."""
    return replaced(text, (problem.primary.span, hint[1]))


def _no_parentheses(text: str, problem: Diagnostic, hint: re.Match[str]) -> str:
    return text.replace("network M()", "network M")


MECHANICAL: tuple[tuple[str, Edit], ...] = (
    (r"did you mean `(\w+)`\? Its declaration has to stand before", _with_its_declaration),
    (r"did you mean `([^`]+)`\?", _everywhere),
    (r"delete it; a module is made in one type", _without_type),
    (r"write `complex` after the legs, without the colon", _complex),
    (r"delete it$", _without),
    (r"remove it; the type is that of the whole module", _without_type),
    (r"remove it$", _removed),
    (r"remove the quotes: ", _unquoted),
    (r"remove it; `log` is for the output", _without),
    (r"put a `(,)` before it", _before),
    (r"write its size, `([^`]+)`", _instead),
    (r"write `(init \w+)`", _instead),
    (r"write `([^`…]+)` for all members$", _all_members),
    (r"write `([^`…]+)`(?: if the leg is to be left out.*)?$", _instead),
    (r"declare it before: `((?:index|bond|hyper|batch) \w+(?: = …)?|window \w+ = conv\(size = 3\))`"
     r"(?:, and put it on (.*), too)?", _declared),
    (r"declare (?:one of that size|them with these sizes), `([^`]+)`, and write `([^`]+)` here"
     r"(?: and on (.*))?", _sized),
    (r"declare it as an? \w+: `(\w+) (\w+)(?:\[…\])? = …`", _redeclared),
    (r"declare it as an index, `(index) (\w+) = …`, and put it on a tensor, too", _on_a_tensor),
    (r"give it the size (\d+)", _of_size),
    (r"write the range that holds it alone: `(.*)`", _range),
    (r"make its range longer: `(2\.\.3)`", _longer),
    (r"move the declaration of `N` up", _moved_up),
    (r"write a list: `\w+ = ([^`]+)`", _argument),
    (r"delete the parentheses", _no_parentheses),
)  # fmt: skip


SEEN: dict[str, int] = dict.fromkeys((pattern for pattern, _ in MECHANICAL), 0)


def applied(text: str, problem: Diagnostic) -> str | None:
    """The program as the hint wants it, None where the hint names no text."""
    span = problem.primary.span
    if span.source.name != NAME or text[: span.start].endswith("network "):
        return None  # in the library, or about the call from outside
    for pattern, edit in MECHANICAL:
        if hint := re.match(pattern, problem.hint or ""):
            SEEN[pattern] += 1
            return edit(text, problem, hint)
    return None


TWO_MISTAKES = {"TN205_family_of_many"}
"""Its first bond has no end either; what the hint is about is mended."""


CASES += [(name, text, Path("/nowhere")) for name, text in WRITTEN.items()]


@pytest.mark.parametrize(("name", "text", "folder"), CASES, ids=[name for name, _, _ in CASES])
def test_what_a_hint_proposes_is_not_refused(name: str, text: str, folder: Path) -> None:
    called = target(text)
    for problem in found(text, folder, called):
        changed = applied(text, problem)
        if changed is None:
            continue
        assert changed != text, render([problem])
        left = [
            each
            for each in found(changed, folder, called)
            if each.code == problem.code or (each.severity == "error" and name not in TWO_MISTAKES)
        ]
        assert not left, f"{render([problem])}\n{changed}\n{render(left)}"


def test_every_way_to_apply_a_hint_is_used() -> None:
    for _, text, folder in CASES:
        for problem in found(text, folder, target(text)):
            applied(text, problem)
    assert [pattern for pattern, count in SEEN.items() if not count] == []
