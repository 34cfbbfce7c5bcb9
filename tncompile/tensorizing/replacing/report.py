"""What became of each layer: as a table and as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tncompile.files import without_infinity
from tncompile.notebook import as_html
from tncompile.tensorizing.rewriting.rewrite import shown


@dataclass(frozen=True)
class Row:
    """One layer that was replaced.

    names       all names that it had, those of a shared module
    kind        of the line: `linear`, `conv1d`, `conv`, `embedding`, `parameter`
    network     the block with its arguments
    before      parameters of the layer, its bias included
    after       those of the network
    flops       of a forward pass of the network in the call that it is planned for
    dense_flops  the same of the layer; None for a raw parameter
    error       ‖W − W'‖ / ‖W‖ in the Frobenius norm
    metric_error  the same in the metric of the layer; None without one
    readers     who held the same weight, and reads it off the network now
    call        what it is planned for: rows, or images and then their lengths; None for 64 rows and
                images of 32 × 32, where nothing was known
    """

    names: tuple[str, ...]
    kind: str
    network: str
    before: int
    after: int
    bytes_before: int
    bytes_after: int
    flops: int | None
    dense_flops: int | None
    error: float
    metric_error: float | None
    readers: tuple[str, ...] = ()
    call: tuple[int, ...] | None = None


@dataclass(frozen=True, repr=False)
class Report:
    """All layers that were replaced, and the whole model; it prints as a table.

    Parameters that several modules share count once.

    >>> done.report.rows[0].kind, done.report.before, done.report.after
    ('linear', 72, 72)
    """

    rows: tuple[Row, ...]
    kept: tuple[str, ...]
    before: int
    after: int
    bytes_before: int
    bytes_after: int

    def to_dict(self) -> dict[str, object]:
        """The report as values of JSON.

        >>> sorted(done.report.to_dict())[:3]
        ['after', 'before', 'bytes_after']
        """
        return without_infinity(asdict(self))  # type: ignore[return-value]

    def __repr__(self) -> str:
        from tncompile.planning.wording import columns_text

        head = ["layer", "kind", "network", "parameters", "now", "FLOPs", "error", "in its metric"]
        rows = [head]
        for row in self.rows:
            metric = "" if row.metric_error is None else f"{row.metric_error:.4f}"
            name = shown(row.names[0])
            flops = ""
            if row.flops is not None and row.dense_flops:
                flops = f"{row.flops / row.dense_flops:.3g} ×"
            numbers = [f"{row.before:,}", f"{row.after:,}", flops, f"{row.error:.4f}", metric]
            rows.append([name, row.kind, _cut(row.network), *numbers])
        part = f"{self.after / max(self.before, 1):.1%} of the parameters"
        rows.append(["the model", "", "", f"{self.before:,}", f"{self.after:,}", "", "", ""])
        if all(row.metric_error is None for row in self.rows):
            rows = [row[:-1] for row in rows]
        first, *body = [tuple(row) for row in rows]
        lines = columns_text(first, body, WIDEST, 3).split("\n")
        lines.insert(-1, lines[1])
        lines.append(f"{self.bytes_before:,} bytes before, {self.bytes_after:,} now; {part}")
        lines += self._remarks()
        return "\n".join(lines)

    def _remarks(self) -> Iterable[str]:
        for row in self.rows:
            name = shown(row.names[0])
            if len(row.names) > 1:
                yield f"{name} is shared: {', '.join(map(shown, row.names[1:]))}, too"
            for reader in row.readers:
                yield f"{shown(reader)} is tied: it reads its weight off {name}"
        planned: dict[str, list[str]] = {}
        for row in self.rows:
            if row.dense_flops is not None:
                planned.setdefault(call_text(row.call), []).append(shown(row.names[0]))
        for call, names in planned.items():
            more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
            yield f"planned for {call}: {', '.join(names[:MOST_NAMED])}{more}"
        if self.kept:
            yield f"kept as they are by a line: {', '.join(map(shown, self.kept))}"

    def _repr_html_(self) -> str:
        return as_html(repr(self))


MOST_NAMED = 3
"""Layers that are named of those with equal plans."""

LONGEST = 48
"""Characters of a network in the table."""

WIDEST = 10_000
"""Characters of a line: nothing else is cut, since the table goes into files, too."""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def call_text(call: tuple[int, ...] | None) -> str:
    """A call in words.

    >>> call_text((20,)), call_text((4, 8, 1)), call_text(None)
    ('20 rows', '4 images of 8 × 1', '64 rows, images of 32 × 32, as no calls are known')
    """
    if call is None:
        return "64 rows, images of 32 × 32, as no calls are known"
    rows, *lengths = call
    what = ("row", "rows") if not lengths else ("image", "images")
    found = f"{rows:,} {what[rows != 1]}"
    return f"{found} of {' × '.join(map('{:,}'.format, lengths))}" if lengths else found
