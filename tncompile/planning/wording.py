"""Numbers, plans and tables as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tncompile.lowering.schedule import Schedule
from tncompile.network.model import DOTS
from tncompile.planning.paths.candidates import MATERIALIZE
from tncompile.simulation.modes import Mode

WIDTH = 100  # columns of a table

MODE_TEXT: Mapping[Mode, str] = {
    "inference": "a forward pass",
    "training": "a training step",
    "folded": "a forward pass, folded",
}

SHOWN = 20  # the most rows that a list of contractions or parameters has


def plan_text(names: tuple[str, ...], schedule: Schedule) -> str:
    """The name of a tree and how it is run.

    >>> plan_text(("search (flops)", "sweep forward"), Schedule(chunk_rows=16))
    'sweep forward, chunks of 16'
    """
    # That of a search only where nothing else found the tree.
    telling = [name for name in names if not name.startswith("search")] or names
    name = MATERIALIZE if MATERIALIZE in names else telling[0]
    return ", ".join(filter(None, (name, schedule_text(schedule))))


def sizes_text(sizes: Mapping[str, int]) -> str:
    """The planned run-time sizes.

    >>> sizes_text({"...": 64, "n": 8})
    'at a batch of 64 (the product of the leading axes `...`), n = 8'
    """
    batch = "a batch of {:,} (the product of the leading axes `...`)"
    parts = [
        batch.format(size) if name == DOTS else f"{name} = {size:,}" for name, size in sizes.items()
    ]
    return f"at {', '.join(parts)}" if parts else ""


def schedule_text(schedule: Schedule) -> str:
    """How a tree is run; nothing where the whole batch runs at once, step by step."""
    parts = [f"chunks of {schedule.chunk_rows:,}"] if schedule.chunk_rows else []
    parts += ["recomputed in backward"] if schedule.recompute else []
    return ", ".join([*parts, *(["equal steps batched"] if schedule.batch_equal_steps else [])])


def largest_rows(weights: Sequence[float]) -> list[int]:
    """Which rows of a list of contractions are shown, in order: all, or the `SHOWN` largest.

    >>> largest_rows([3, 1, 2])
    [0, 1, 2]
    """
    return sorted(sorted(range(len(weights)), key=lambda k: (-weights[k], k))[:SHOWN])


def columns_text(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], width: int, texts: int
) -> str:
    """A table of `texts` columns of text, all but the first of which can be cut, then numbers."""
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    spare = width - sum(widths) - 2 * (len(widths) - 1)
    for k in range(texts - 1, 0, -1):
        if spare < 0:
            narrower = max(14, widths[k] + spare)
            spare += widths[k] - narrower
            widths[k] = narrower
    sides = "<" * texts + ">" * (len(head) - texts)
    lines = []
    for row in (head, *rows):
        columns = zip(row, widths, sides, strict=True)
        cells = [f"{shortened(cell, size):{side}{size}}" for cell, size, side in columns]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * max(len(line) for line in lines))
    return "\n".join(lines)


def shortened(text: str, width: int = WIDTH) -> str:
    """A text of `width` characters at most, `…` in place of what is cut."""
    return text if len(text) <= width else text[: width - 1] + "…"


def digits_text(value: float) -> str:
    """Three significant digits, trailing zeros kept; all digits before the point.

    >>> digits_text(9.996), digits_text(0.5), digits_text(12345.6)
    ('10.0', '0.500', '12,346')
    """
    for limit, places in ((0.09995, 4), (0.9995, 3), (9.995, 2), (99.95, 1)):
        if value < limit:
            return f"{value:.{places}f}"
    return f"{value:,.0f}"


def count_text(count: int) -> str:
    """A count, exact while short.

    >>> count_text(123456), count_text(2_500_000), count_text(2**784), count_text(10**400)
    ('123,456', '2.50 M', '1.02e236', 'more than 1e308')
    """
    if count < 1_000_000:
        return f"{count:,}"
    for unit, name in ((10**6, "M"), (10**9, "G"), (10**12, "T")):
        if count < 999.5 * unit:
            return f"{digits_text(count / unit)} {name}"
    try:
        return _exponent(float(count))
    except OverflowError:
        return "more than 1e308"


def bytes_text(count: int) -> str:
    """Bytes in binary units.

    >>> bytes_text(512), bytes_text(3 * 2**20), bytes_text(1023 * 2**10)
    ('512 B', '3.00 MiB', '1,023 KiB')
    """
    if count < 1024:
        return f"{count:,} B"
    for power, name in ((10, "KiB"), (20, "MiB"), (30, "GiB"), (40, "TiB")):
        if count < 2 ** (power + 10):
            return f"{digits_text(count / 2**power)} {name}"
    return f"{count_text(count // 2**40)} TiB"


def seconds_text(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> seconds_text(2.5e-5), seconds_text(0.0123), seconds_text(4.0)
    ('25.0 µs', '12.3 ms', '4.00 s')
    """
    for unit, name in ((1e-6, "µs"), (1e-3, "ms")):
        if seconds < 999.5 * unit:
            return f"{digits_text(seconds / unit)} {name}"
    return f"{digits_text(seconds)} s"


def percent_text(share: float) -> str:
    """A share of a whole."""
    return f"{100 * share:.0f} %" if share >= 0.0095 else "< 1 %" if share > 0 else "0 %"


def ratio_text(ratio: float) -> str:
    """How many times."""
    return f"{digits_text(ratio)} ×" if ratio < 1e6 else f"{_exponent(ratio)} ×"


def _exponent(value: float) -> str:
    return f"{value:.2e}".replace("e+", "e")
