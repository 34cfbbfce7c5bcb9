"""Suggestions for misspelled names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MOST_EDITS = 3
_MOST_COMPARED = 2_000
"""Candidates of a similar length that are compared at most, so that a huge file stays quick."""


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` is most likely a misspelling of; the first one on a tie.

    One edit (insert, delete, replace, swap neighbors) is allowed for every three letters, from one
    to three, and something of the name has to remain. A different case alone costs nothing.

    >>> closest("widht", ["depth", "width"])
    'width'
    >>> closest("mpo", ["MPO", "LowRank"])
    'MPO'
    >>> closest("x", ["y", "z"]) is None
    True
    """
    folded = name.casefold()
    limit = min(max(1, len(name) // 3), _MOST_EDITS)
    best: str | None = None
    compared = 0
    for candidate in candidates:
        if candidate == name:
            continue
        other = candidate.casefold()
        if other == folded:
            return candidate
        if limit == 0 or abs(len(candidate) - len(name)) > limit:
            continue
        compared += 1
        if compared > _MOST_COMPARED:
            break
        edits = _edits(folded, other, limit)
        if edits is not None and edits < max(len(name), len(candidate)):
            best = candidate
            limit = edits - 1
    return best


def one_of(what: str, value: object, choices: Sequence[str]) -> None:
    """Check that an argument is one of some words.

    Raises ValueError where it is another word, TypeError where it is no word at all.

    >>> one_of("search", "norml", ("fast", "normal"))
    Traceback (most recent call last):
    ValueError: search is one of fast, normal, not 'norml'; did you mean 'normal'?
    """
    known = f"one of {', '.join(choices)}"
    if not isinstance(value, str):
        raise TypeError(f"{what} is {known}, not {value!r}")
    if value not in choices:
        near = closest(value, choices)
        meant = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"{what} is {known}, not {value!r}{meant}")


def longer_name(name: str, candidates: Iterable[str]) -> str | None:
    """The one candidate that shares a word with `name`, such as what others call by other words.

    >>> longer_name("bias", ["ins", "with_bias"]), longer_name("n_sites", ["sites", "rank"])
    ('with_bias', 'sites')
    >>> longer_name("use_bias", ["ins", "with_bias"])
    'with_bias'
    >>> longer_name("features", ["in_features", "out_features"]) is None
    True
    """
    words = set(name.casefold().split("_")) - {""}
    similar = [each for each in candidates if words & set(each.casefold().split("_"))]
    return similar[0] if len(similar) == 1 else None


def _edits(left: str, right: str, limit: int) -> int | None:
    """The number of edits between two words (optimal string alignment); None above `limit`.

    Only cells within `limit` of the diagonal are filled: all others stand for more edits.
    """
    far = limit + 1
    before: list[int] = []
    previous = [min(column, far) for column in range(len(right) + 1)]
    for row, letter in enumerate(left, start=1):
        current = [far] * (len(right) + 1)
        current[0] = min(row, far)
        for column in range(max(1, row - limit), min(len(right), row + limit) + 1):
            edits = min(
                previous[column] + 1,
                current[column - 1] + 1,
                previous[column - 1] + (letter != right[column - 1]),
            )
            swapped = row > 1 and column > 1 and letter == right[column - 2]
            if swapped and left[row - 2] == right[column - 1]:
                edits = min(edits, before[column - 2] + 1)
            current[column] = edits
        if min(current) > limit:
            return None
        before, previous = previous, current
    return previous[-1] if previous[-1] <= limit else None
