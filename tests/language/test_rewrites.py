"""Rewrites without a model: what is wrong with the text of their lines."""

from __future__ import annotations

import pytest

import tncompile
from tncompile.language.parsing import parse
from tncompile.language.syntax.source import SourceFile

HEAD = (
    'import "std/linear.tn" { LowRank }\n'
    "network Own(a: int, b: int[n], f: float = 1.0) "
    "{ index i = a tensor t(i) input x(..., i) output y(...) require len(b) > 0 and f > 0.0 }\n"
    "network Fixed = LowRank(4, 4)\n"
    "model Whole() { input x(..., 4) output x }\n"
)


def problems(text: str) -> list[tuple[str, str]]:
    """Codes and places of what is wrong with a file."""
    try:
        tncompile.loads(text)
    except tncompile.CompileError as error:
        return [(each.code, each.primary.span.text) for each in error.diagnostics]
    return []


def wrong(line: str) -> list[tuple[str, str]]:
    """The same of a rewrite with this line."""
    return problems(f"{HEAD}rewrite R {{ {line} }}")


@pytest.mark.parametrize(
    "line",
    [
        'linear "a" -> LowRank',
        'linear "a" -> LowRank()',
        'linear "*.b" -> LowRank(rank = min(in_features, out_features) // 4)',
        'conv1d "a" -> LowRank(in_features, out_features, shape[0])',
        'any "*" -> Own(num_embeddings, kernel_size)',
        'embedding "e" -> Own(a = embedding_dim, b = [num_embeddings])',
        'conv "c" -> Own(in_channels, kernel_size + [out_channels])',
        'parameter "p" -> Own(shape[0], shape)',
        'any "a" -> Fixed any "b" -> Fixed() any "c" -> keep',
        'linear "a" -> Whole',  # whether it stands for a layer, its layer says: TN702
    ],
)
def test_lines_that_are_right(line: str) -> None:
    assert wrong(line) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('linear "a" -> LowRankk', [("TN201", "LowRankk")]),
        ('linear "a" -> Later', [("TN201", "Later")]),
        ('linear "a" -> R', [("TN201", "R")]),
        ('linear "a" -> LowRank(rank = kernel_size)', [("TN201", "kernel_size")]),
        ('parameter "a" -> LowRank(4, rows)', [("TN201", "rows")]),
        ('parameter "a" -> LowRank(rank = 2)', [("TN208", "LowRank")]),
        ('linear "a" -> Own(in_features)', [("TN208", "Own")]),
        ('linear "a" -> LowRank(size = 3)', [("TN208", "size")]),
        ('linear "a" -> LowRank(rank = 3, rank = 4)', [("TN208", "rank")]),
        ('linear "a" -> LowRank(rank = round(3))', [("TN207", "round")]),
        ('linear "a" -> LowRank(rank = 1 // 0)', [("TN304", "0")]),
        ('linear "a" -> Fixed(rank = 2)', [("TN208", "rank")]),
        (
            'linear "a" -> Nope linear "b" -> LowRank(rank = width)',
            [("TN201", "Nope"), ("TN201", "width")],
        ),
    ],
)
def test_all_mistakes_are_found_at_their_place(line: str, expected: list[tuple[str, str]]) -> None:
    assert wrong(line) == expected


def test_what_was_lost_with_an_import_is_not_reported() -> None:
    text = 'import "std/nowhere.tn"\nrewrite R { linear "a" -> Anything(rank = 2) }'
    assert [code for code, _ in problems(text)] == ["TN206"]


def test_words_of_lines_stay_names_elsewhere() -> None:
    text = (
        "network N(conv1d: int = 2, parameter: int = conv1d) "
        "{ index linear = conv1d, any = parameter tensor embedding(linear, any) output y(linear) }"
    )
    assert not parse(SourceFile("t", text)).comments
    assert wrong('conv1d "a" -> keep parameter "b" -> keep') == []
