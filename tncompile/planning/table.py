"""Costs and plans as text: what a user came for, in 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from tncompile.network.model import DOTS
from tncompile.planning.candidates import MATERIALIZE
from tncompile.planning.costing import Cost, CostStep, Crossing, Figures, Mode
from tncompile.planning.plans import ContractionPlan

WIDTH = 100
LONGEST = 48
"""Rows shown of a long contraction; the middle is summed up in one line."""


def cost_table(cost: Cost, mode: Mode, width: int = WIDTH) -> str:
    """The whole report: the contraction, totals, the dense map, alternatives and crossings.

    Shares, alternatives and crossings are those of `mode`; the contraction takes up to `width`
    columns.
    """
    figures = cost.training if mode == "training" else cost.inference
    parts = [
        _title(cost, mode),
        _contraction(cost, mode, max(WIDTH, width)),
        _totals(cost),
        _compression(cost),
        _alternatives(cost, mode, figures),
        "\n".join((*_crossings(cost, mode), *_reasons(cost))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plan_text(plan: ContractionPlan) -> str:
    """What `--emit=plan` prints: every variant, a line a contraction."""
    mode = "training" if plan.training else "inference"
    lines = [
        f"plan of {plan.target}",
        f"least {plan.minimize} in {mode}, on the machine profile {plan.machine},"
        f" search {plan.search}",
    ]
    for variant in plan.variants:
        sizes = ", ".join(f"{name} = {size}" for name, size in variant.sizes.items())
        batches = ", ".join(str(batch) for batch in variant.batches)
        lines += ["", f"batch {batches}: {', '.join(variant.found_by)}"]
        if sizes:
            lines.append(f"  planned for {sizes}")
        for step in variant.cost.steps:
            times = f"   × {step.count}" if step.count > 1 else ""
            lines.append(
                f"  {step.result} = {step.left} · {step.right}"
                f" -> {', '.join(step.indices) or 'a scalar'}   {step.multiply_adds:,}"
                f" multiply-adds{times}"
            )
    return "\n".join(lines) + "\n"


# ── parts of the report ─────────────────────────────────────────────────────────────────────────


STEPS: Mapping[Mode, str] = {"inference": "a forward pass", "training": "a training step"}


def _title(cost: Cost, mode: Mode) -> str:
    name = cost.name if len(cost.name) <= WIDTH else cost.name[: WIDTH - 1] + "…"
    at = _sizes(cost.sizes)
    names = [*cost.found_by[:1], *(one for one in cost.found_by[1:] if one == MATERIALIZE)]
    plan = f"plan: {' = '.join(names)}"
    return (
        f"{name}\n{textwrap.fill(f'{STEPS[mode]} {at}'.rstrip(), WIDTH)}\n"
        f"{plan}\npredicted for {cost.machine}, chosen for {STEPS[cost.mode]}"
    )


def _sizes(sizes: Mapping[str, int]) -> str:
    """What the run-time axes are planned as.

    >>> _sizes({"...": 64, "n": 8})
    'at a batch of 64 (the product of the leading axes `...`), n = 8'
    """
    parts = [
        f"a batch of {size:,} (the product of the leading axes `...`)"
        if name == DOTS
        else f"{name} = {size:,}"
        for name, size in sizes.items()
    ]
    return f"at {', '.join(parts)}" if parts else ""


def _contraction(cost: Cost, mode: Mode, width: int) -> str:
    """One row a contraction: names, what is kept, work, size, share of the time."""
    if not cost.steps:
        return "Nothing is contracted."
    training = mode == "training"
    rows = [_row(step, training) for step in cost.steps]
    shared = sum(step.training_share if training else step.share for step in cost.steps)
    if len(rows) > LONGEST:
        half = LONGEST // 2
        hidden = cost.steps[half:-half]
        rows = [*rows[:half], _hidden_row(hidden, training), *rows[-half:]]
    rest = max(0.0, 1.0 - shared)
    if rest >= 0.005:
        rows.append(("", "inputs, weights and output made ready", "", "", "", _percent(rest)))
    head = ("step", "contraction", "keeps", "multiply-adds", "size", f"{mode} time")
    return _columns(head, rows, width)


def _row(step: CostStep, training: bool) -> tuple[str, ...]:
    times = f"{step.count} × " if step.count > 1 else ""
    share = step.training_share if training else step.share
    return (
        step.result,
        f"{times}{step.left} · {step.right}",
        " ".join(step.indices) or "scalar",
        count_text(step.multiply_adds),
        bytes_text(step.bytes),
        _percent(share),
    )


def _hidden_row(steps: tuple[CostStep, ...], training: bool) -> tuple[str, ...]:
    share = sum(step.training_share if training else step.share for step in steps)
    return (
        "…",
        f"{len(steps):,} more",
        "",
        count_text(sum(step.multiply_adds for step in steps)),
        "",
        _percent(share),
    )


def _columns(head: tuple[str, ...], rows: list[tuple[str, ...]], width: int) -> str:
    """A table with two flexible columns; numbers to the right."""
    numbers = 3
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    spare = width - sum(widths) - 2 * (len(widths) - 1)
    for k in (2, 1):  # what is kept gives way first, then the names
        if spare < 0:
            narrower = max(14, widths[k] + spare)
            spare += widths[k] - narrower
            widths[k] = narrower
    lines = []
    for row in (head, *rows):
        cells = [
            _fit(text, width).rjust(width) if k >= numbers else _fit(text, width).ljust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * max(len(line) for line in lines))
    return "\n".join(lines)


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


TOTALS: tuple[tuple[str, str], ...] = (
    ("multiply-adds", "multiply_adds"),
    ("FLOPs", "flops"),
    ("predicted time", "seconds"),
    ("peak memory", "peak_bytes"),
    ("bytes moved", "moved_bytes"),
    ("bytes copied", "copied_bytes"),
    ("largest intermediate", "largest_intermediate"),
    ("FLOPs per byte", "intensity"),
)


def _totals(cost: Cost) -> str:
    lines = [f"{'total':<24}{'inference':>16}{'training step':>18}", "─" * 58]
    for label, name in TOTALS:
        cells = [_figure(name, figures) for figures in (cost.inference, cost.training)]
        lines.append(f"{label:<24}{cells[0]:>16}{cells[1]:>18}")
    return "\n".join(lines)


def _compression(cost: Cost) -> str:
    """The network beside the dense map that it stands for."""
    figures = cost.inference
    dense = figures.dense_parameters
    numbers = count_text(dense) if dense is not None else "more than 1e308"
    lines = [
        f"{'parameters':<24}{figures.parameters:>16,}",
        f"{'of the dense map':<24}{numbers:>16}",
    ]
    if figures.compression is not None:
        lines.append(f"{'compression':<24}{_ratio(figures.compression):>16}")
    if _looks_up(cost) and dense is not None:
        lines.append(
            f"The dense map is a table of {numbers} numbers, {bytes_text(4 * dense)}:"
            " looked up, no products."
        )
    return "\n".join(lines)


def _looks_up(cost: Cost) -> bool:
    """Whether the dense layer is a table of rows to look up."""
    return cost.inference.dense_flops == 0 and cost.inference.dense_seconds is not None


def _alternatives(cost: Cost, mode: Mode, plan: Figures) -> str:
    """The plan beside its alternatives and beside the dense layer."""
    head = f"{STEPS[mode]:<32}{'FLOPs':>12}{'time':>12}{'peak':>12}{'against the plan':>20}"
    lines = [head, "─" * len(head)]
    for name, figures in {"this plan": plan, **cost.compared.get(mode, {})}.items():
        against = "" if name == "this plan" else _against(figures, plan)
        lines.append(
            _alternative(name, figures.flops, figures.seconds, figures.peak_bytes, against)
        )
    if plan.dense_seconds is not None:
        kind = "nn.Embedding" if _looks_up(cost) else "nn.Linear"
        lines.append(
            _alternative(
                f"dense layer, like {kind}",
                plan.dense_flops,
                plan.dense_seconds,
                plan.dense_peak_bytes,
                _times(plan.dense_seconds, plan.seconds),
            )
        )
    return "\n".join(lines) if len(lines) > 3 else ""


def _alternative(
    name: str, flops: int | None, seconds: float | None, peak: int | None, against: str
) -> str:
    cells = (
        "—" if flops is None else count_text(flops),
        "—" if seconds is None else seconds_text(seconds),
        "—" if peak is None else bytes_text(peak),
    )
    return (f"{name:<32}" + "".join(f"{cell:>12}" for cell in cells) + f"{against:>20}").rstrip()


def _against(figures: Figures, plan: Figures) -> str:
    return "the same" if figures == plan else _times(figures.seconds, plan.seconds)


def _times(seconds: float | None, plan: float | None) -> str:
    if seconds is None or not plan:
        return "—"
    slower = seconds / plan
    return f"{digits_text(slower)} × the time" if slower < 1000 else f"{slower:.0e} × the time"


def _crossings(cost: Cost, mode: Mode) -> list[str]:
    """Where something else is faster; names of one plan, and of equal sizes, together."""
    together: dict[Crossing, list[str]] = {}
    for name, crossing in cost.crossed.get(mode, {}).items():
        together.setdefault(crossing, []).append(ARTICLES.get(name, name))
    lines = []
    for crossing, names in together.items():
        verb = "is" if len(names) == 1 else "are"
        lines.append(f"{_capital(_listed(names))} {verb} faster {_when(crossing)}.")
    return lines


ARTICLES = {"dense layer": "a dense layer"}


def _reasons(cost: Cost) -> list[str]:
    together: dict[str, list[str]] = {}
    for name, reason in cost.reasons.items():
        together.setdefault(reason, []).append(name)
    return [
        textwrap.fill(f"Not compared: {_listed(names)}; {reason}.", WIDTH)
        for reason, names in together.items()
    ]


def _listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _when(crossing: Crossing) -> str:
    first, last = crossing.faster_from, crossing.faster_up_to
    if last is None:
        return "at every batch size" if first == 1 else f"from batch {first:,} on"
    if first is None or first == 1:
        return f"up to batch {last:,}"
    if first <= last:
        return f"from batch {first:,} to {last:,}"
    return f"up to batch {last:,} and from batch {first:,} on"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────


def _figure(name: str, figures: Figures) -> str:
    value = figures.to_dict()[name]
    if value is None:
        return "—"
    if name == "seconds":
        return seconds_text(float(value))
    if name.endswith("bytes"):
        return bytes_text(int(value))
    if name == "intensity":
        return digits_text(value)
    return count_text(int(value))


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0095 else "< 1 %" if share > 0 else "0 %"


def _ratio(ratio: float) -> str:
    return f"{digits_text(ratio)} ×" if ratio < 1e6 else f"{_exponent(ratio)} ×"


def _exponent(value: float) -> str:
    return f"{value:.2e}".replace("e+", "e")
