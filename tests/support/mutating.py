"""Wrong programs from good ones: tokens deleted, doubled, swapped, misspelled or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from tests.acceptance import ACCEPTANCE
from tncompile.language.parsing.lexer import Token, tokenize
from tncompile.language.syntax.source import SourceFile

SAMPLE = Path(__file__).with_name("sample.tn")


def good_texts() -> list[str]:
    """The texts of the acceptance programs, and a sample of the rest of the language."""
    paths = [SAMPLE, *sorted(ACCEPTANCE.glob("good/*.tn")), *sorted(ACCEPTANCE.glob("models/*.tn"))]
    return [path.read_text(encoding="utf-8") for path in paths]


_TEXTS = tuple(good_texts())
_STRANGE = (";", "$", '"', '"""', "(", ")", "[", "]", "{", "}", "->", ":", "=", "==", "\n", "\0")
_WORDS = ("if", "tensor", "as", "init", "for", "net", "x", "log", "onehot", "repeat", "in", "12")


@st.composite
def mutated_programs(draw: st.DrawFn, texts: Sequence[str] = _TEXTS) -> str:
    """A good program with one to three changes."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        text = _change(draw, text)
    return text


def _change(draw: st.DrawFn, text: str) -> str:
    tokens, _ = tokenize(SourceFile("a.tn", text))
    here = draw(st.sampled_from(tokens))
    match draw(st.sampled_from(("delete", "double", "swap", "misspell", "replace", "cut"))):
        case "delete":
            return text[: here.span.start] + text[here.span.end :]
        case "double":
            return f"{text[: here.span.end]} {text[here.span.start :]}"
        case "swap":
            return _swap(text, here, draw(st.sampled_from(tokens)))
        case "misspell":
            place = draw(st.integers(here.span.start, max(here.span.start, here.span.end - 1)))
            return text[:place] + draw(st.sampled_from("abz_9é ")) + text[place + 1 :]
        case "replace":
            other = draw(st.sampled_from(_STRANGE + _WORDS))
            return f"{text[: here.span.start]} {other} {text[here.span.end :]}"
        case _:
            return text[: here.span.start]


def _swap(text: str, one: Token, other: Token) -> str:
    one, other = sorted((one, other), key=lambda token: token.span.start)
    if one.span.end > other.span.start:
        return text
    between = text[one.span.end : other.span.start]
    moved = other.text + between + one.text
    return text[: one.span.start] + moved + text[other.span.end :]
