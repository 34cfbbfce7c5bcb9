"""What was measured of two models, and whether it is what was required."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tncompile.files import without_infinity
from tncompile.notebook import as_html
from tncompile.tensorizing.comparing.lines import LayerLine, Line
from tncompile.tensorizing.comparing.requirements import Kind
from tncompile.tensorizing.rewriting.rewrite import shown

MOST_LAYERS = 24
"""Layers that a table shows: those with the largest errors, in the order of the model."""

MOST_SAMPLES, LONGEST_SAMPLE = 12, 400

WIDTH = 100


@dataclass(frozen=True, repr=False)
class Verdict:
    """What `compare` found; it prints as a table.

    accepted    whether everything is finite and all requirements are fulfilled
    kind        of the outputs: vectors, logits, values
    lines       a `Line` for each number that was measured
    layers      a line for each weight that differs
    problems    why it was not accepted, in words
    remarks     what became of tied weights, where times were measured, and the like
    samples     pairs of texts: what the original and the changed model generate
    counts      samples of each data set
    strict      whether the worse end of each interval had to fulfill what is required

    >>> import torch
    >>> mlp = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 4))
    >>> same = tncompile.compare(mlp, mlp, [torch.rand(9, 8)], thresholds={"cosine": 0.99})
    >>> same.accepted, same["cosine"].value > 0.999
    (True, True)
    """

    accepted: bool
    kind: Kind
    lines: tuple[Line, ...]
    layers: tuple[LayerLine, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    samples: tuple[tuple[str, str], ...] = ()
    counts: tuple[int, ...] = ()
    strict: bool = False

    @property
    def word(self) -> str:
        """ACCEPT or REGRESSION.

        >>> import torch
        >>> net = torch.nn.Linear(8, 4)
        >>> tncompile.compare(net, net, [torch.rand(9, 8)], timing=False).word
        'ACCEPT'
        """
        return "ACCEPT" if self.accepted else "REGRESSION"

    def __getitem__(self, name: str) -> Line:
        for line in self.lines:
            if line.name == name:
                return line
        raise KeyError(f"{name!r} was not measured: {', '.join(each.name for each in self.lines)}")

    def to_dict(self) -> dict[str, object]:
        """All of it as values of JSON; a number that is not finite is None.

        >>> import torch
        >>> net = torch.nn.Linear(8, 4)
        >>> found = tncompile.compare(net, net, [torch.rand(9, 8)], timing=False).to_dict()
        >>> found["verdict"], found["lines"][0]["name"]
        ('ACCEPT', 'cosine')
        """
        found = {"verdict": self.word, **asdict(self)}
        return without_infinity(found)  # type: ignore[return-value]

    def markdown(self) -> str:
        """The measured numbers as a table of Markdown.

        >>> import torch
        >>> net = torch.nn.Linear(8, 4)
        >>> found = tncompile.compare(net, net, [torch.rand(9, 8)], timing=False)
        >>> print(found.markdown().splitlines()[0])
        | measure | original | changed | value | 5–95 % |
        """
        return _markdown_table(self.lines)

    def __repr__(self) -> str:
        parts = [self._head()]
        if self.problems:
            parts.append("\n".join(f"- {shown(each)}" for each in self.problems))
        parts.append(_line_table(self.lines))
        if self.layers:
            parts.append(_layer_table(self.layers))
        if self.remarks:
            parts.append("\n".join(map(shown, self.remarks)))
        parts += [_sample_text(*pair) for pair in self.samples[:MOST_SAMPLES]]
        if (more := len(self.samples) - MOST_SAMPLES) > 0:
            parts.append(f"{more:,} more samples")
        return "\n\n".join(parts)

    def _head(self) -> str:
        required = [line for line in self.lines if line.passed is not None]
        counts = " and ".join(f"{count:,}" for count in self.counts)
        of = f"{self.kind} of {counts} samples"
        if not required:
            return f"{self.word}: nothing was required; {of}"
        kept = sum(line.passed is True for line in required)
        ends = ", at the worse ends of their intervals" if self.strict else ""
        return f"{self.word}: {kept} of {len(required)} requirements fulfilled{ends}; {of}"

    def _repr_html_(self) -> str:
        return as_html(repr(self))


def _line_table(lines: Sequence[Line]) -> str:
    """The lines in columns."""
    from tncompile.planning.wording import columns_text

    return columns_text(_titles(lines), _rows(lines), WIDTH, 1 + _several(lines))


def _markdown_table(lines: Sequence[Line]) -> str:
    """The same in Markdown."""
    titles, texts = _titles(lines), 1 + _several(lines)
    rule = ("---",) * texts + ("---:",) * (len(titles) - texts)
    rows = [titles, rule, *_rows(lines)]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _several(lines: Sequence[Line]) -> bool:
    """Whether there are two data sets."""
    return any(line.data for line in lines)


def _titles(lines: Sequence[Line]) -> tuple[str, ...]:
    data = ("data",) if _several(lines) else ()
    required = ("required", "") if any(line.required for line in lines) else ()
    return ("measure", *data, "original", "changed", "value", "5–95 %", *required)


def _rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    data, required = _several(lines), any(line.required for line in lines)
    return [_row(line, data=data, required=required) for line in lines]


def _row(line: Line, *, data: bool, required: bool) -> tuple[str, ...]:
    pair = (_counted(line.name, each) for each in (line.original, line.changed))
    within = ""
    if line.low is not None and line.high is not None:
        within = f"{_plain(line.low)} – {_plain(line.high)}"
    value = _plain(line.value, ratio=line.original is not None)
    row = [shown(line.name), *([line.data] if data else []), *pair, value, within]
    if required:
        row += [line.required, {None: "", True: "yes", False: "NO"}[line.passed]]
    return tuple(row)


def _counted(name: str, value: float | None) -> str:
    """A number that a model has by itself, in its unit."""
    from tncompile.planning.wording import bytes_text, count_text, seconds_text

    if value is None or not math.isfinite(value):
        return "" if value is None else _plain(value)
    match name:
        case "parameters" | "flops":
            return count_text(int(value))
        case "bytes":
            return bytes_text(int(value))
        case "time":
            return seconds_text(value)
    return _plain(value)


def _plain(value: float, *, ratio: bool = False) -> str:
    """Four digits; six behind the point of a distance that is nearly 1."""
    if math.isnan(value):
        return "—"
    if 0.99 < value < 1 and not ratio:
        return f"{value:.6f}".rstrip("0").rstrip(".")
    text = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:.4g}"
    return f"{text} ×" if ratio else text


def _layer_table(layers: Sequence[LayerLine]) -> str:
    """A row for each weight, or for the worst of them."""
    from tncompile.planning.wording import columns_text

    def size(line: LayerLine) -> float:
        error = line.error if line.metric_error is None else line.metric_error
        return -(math.inf if error is None or math.isnan(error) else error)

    kept = sorted(sorted(range(len(layers)), key=lambda k: (size(layers[k]), k))[:MOST_LAYERS])
    metric = any(line.metric_error is not None for line in layers)
    titles = ("weight", "was", "is", "error", *(("in its metric",) if metric else ()))
    rows = []
    for line in (layers[k] for k in kept):
        errors = [line.error, line.metric_error][: 2 if metric else 1]
        texts = ("" if each is None else f"{each:.4f}" for each in errors)
        rows.append((_names(line.names), shown(line.original), shown(line.changed), *texts))
    table = columns_text(titles, rows, WIDTH, 3)
    more = len(layers) - len(kept)
    return table + (f"\n{more:,} more with smaller errors" if more > 0 else "")


def _names(names: tuple[str, ...]) -> str:
    from tncompile.planning.wording import shortened

    more = f" (+{len(names) - 1})" if len(names) > 1 else ""
    return shortened(shown(names[0]), 60) + more


def _sample_text(before: str, after: str) -> str:
    """What both models generated, one above the other."""

    from tncompile.planning.wording import shortened

    def text(given: str) -> str:
        return shortened(shown(given.replace("\n", " ⏎ ")), LONGEST_SAMPLE)

    return f"original: {text(before)}\nchanged:  {text(after)}"
