"""Numbers in the options of `tncompile tensorize`."""

from __future__ import annotations

import math
from collections.abc import Callable

from tncompile.cli.writing import UsageError, refused


def _number(
    takes: str, text: str, fits: Callable[[float], bool], number: str | None = None
) -> float:
    """The number that a text, or a part of it, says; `takes` is what the option takes.

    Raises `UsageError` unless it fits. NaN stands for what is no number.
    """
    try:
        value = float(text if number is None else number)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise UsageError(f"{takes}, not {text!r}")
    return value


def seed(text: str) -> int:
    """The number of `--seed`."""
    fits = text.isascii() and text.isdecimal() and len(text) <= 18
    _number("--seed takes a whole number", text, lambda _: fits)
    return int(text)


def tolerance(text: str) -> float:
    """The relative error of `--tolerance`."""
    takes = "--tolerance takes a relative error between 0 and 1"
    return _number(takes, text, lambda value: 0 < value < 1)


def share(text: str) -> float:
    """The part of `--embedding-share`."""
    return _number("--embedding-share takes a part up to 1", text, lambda value: 0 < value <= 1)


def budget(text: str) -> dict[str, float]:
    """The unit and the number of `--budget`.

    >>> budget("0.5"), budget("bytes=5e6")
    ({'params': 0.5}, {'bytes': 5000000.0})
    """
    from tncompile.tensorizing.allocating.budgets import UNITS, read_budget

    unit, _, number = (part.strip() for part in text.rpartition("="))
    unit = unit or ("" if "=" in text else "params")
    takes = f"--budget takes {'=…, '.join(UNITS)}=…, like params=0.5"
    known = unit in UNITS
    value = _number(takes, text, lambda value: known and not math.isnan(value), number)
    with refused("--budget: ", ValueError, TypeError):
        read_budget({unit: value})
    return {unit: value}


def floor(text: str) -> tuple[str, float]:
    """The pattern and the rank of `--floor`.

    >>> floor("16"), floor("encoder.*=0.1")
    (('*', 16.0), ('encoder.*', 0.1))
    """
    pattern, _, number = text.rpartition("=")
    takes = "--floor takes a rank or a part, like 16 or 'encoder.*=0.1'"
    return pattern.strip() or "*", _number(takes, text, lambda value: 0 < value < 2**31, number)


def healing(text: str) -> dict[str, float]:
    """The unit and the number of `--heal`.

    >>> healing("minutes=15"), healing("steps=200")
    ({'minutes': 15.0}, {'steps': 200})
    """
    unit, _, number = (part.strip() for part in text.partition("="))
    whole = number.isascii() and number.isdecimal()

    def fits(value: float) -> bool:
        most = {"minutes": math.inf, "steps": 2**31 if whole else 0}.get(unit, 0)
        return 0 < value < most

    value = _number("--heal takes minutes=15 or steps=200", text, fits, number)
    return {unit: int(value) if unit == "steps" else value}


def planned(text: str) -> tuple[str, tuple[int, ...]]:
    """The pattern and the call of `--planned-for`.

    >>> planned("16x224x224"), planned("head=1")
    (('*', (16, 224, 224)), ('head', (1,)))
    """
    pattern, _, numbers = text.rpartition("=")
    takes = "--planned-for takes rows and lengths of images, like 'conv*=16x224x224'"

    def fits(value: float) -> bool:
        return 0 < value < 2**31 and value.is_integer()

    call = tuple(int(_number(takes, text, fits, part)) for part in numbers.split("x"))
    return pattern.strip() or "*", call
