"""Random expressions of run-time sizes, as text, and numbers to evaluate them at."""

from __future__ import annotations

from functools import cache
from itertools import product as grid

from hypothesis import strategies as st

from tncompile.language.typing.sizes import Size

NAMES = {name: Size.name(name) for name in "abc"}
ZERO = Size.number(0)
SAMPLES = [dict(zip("abc", values, strict=True)) for values in grid(range(1, 14, 2), repeat=3)]
SAMPLES += [dict(zip("abc", values, strict=True)) for values in grid((2, 4, 6, 12), repeat=3)]


@cache
def of(text: str) -> Size:
    """The size that an expression of the names a, b and c means."""
    size = eval(text, {}, dict(NAMES))
    return size if isinstance(size, Size) else Size.number(size)


def number(text: str, sizes: dict[str, int]) -> int:
    """The same with numbers for the names."""
    value: int = eval(text, {}, dict(sizes))
    return value


EXPRESSIONS = st.recursive(
    st.sampled_from("aaabbc") | st.integers(-5, 9).map(str),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-+-*"), inner)
        | st.builds("({} {} {})".format, inner, st.sampled_from(["//", "%"]), st.integers(1, 6))
        | st.builds("(-{})".format, inner)
    ),
    max_leaves=8,
)
# Numbers have no names: `5 // 2` is evaluated before it meets a size.
SIZES = EXPRESSIONS.filter(lambda text: any(name in text for name in "abc"))
