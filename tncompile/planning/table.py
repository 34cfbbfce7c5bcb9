"""Costs and plans as text: what a user came for, in 100 columns."""

from __future__ import annotations

from tncompile.planning.costing import Cost, CostStep, Crossing, Figures
from tncompile.planning.plans import ContractionPlan

WIDTH = 100
LONGEST = 48
"""Rows shown of a long contraction; the middle is summed up in one line."""


def cost_table(cost: Cost, *, training: bool) -> str:
    """The whole report: the contraction, totals, the dense map, alternatives and crossings."""
    parts = [
        _title(cost),
        _contraction(cost, training),
        _totals(cost),
        _compression(cost),
    ]
    if cost.alternatives:
        parts.append(_alternatives(cost))
    if lines := _crossings(cost):
        parts.append("\n".join(lines))
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


def _title(cost: Cost) -> str:
    sizes = ", ".join(f"{name} = {size:,}" for name, size in cost.sizes.items())
    name = cost.name if len(cost.name) <= WIDTH else cost.name[: WIDTH - 1] + "…"
    at = f"at {sizes}, " if sizes else ""
    found = cost.found_by[0] if cost.found_by else ""
    return f"{name}\n{at}predicted for {cost.machine}; plan: {found}"


def _contraction(cost: Cost, training: bool) -> str:
    """One row a contraction: names, what is kept, work, size, share of the time."""
    if not cost.steps:
        return "Nothing is contracted."
    rows = [_row(step, training) for step in cost.steps]
    shared = sum(step.training_share if training else step.share for step in cost.steps)
    if len(rows) > LONGEST:
        half = LONGEST // 2
        hidden = cost.steps[half:-half]
        rows = [*rows[:half], _hidden_row(hidden, training), *rows[-half:]]
    rest = max(0.0, 1.0 - shared)
    mode = "training" if training else "forward"
    if rest >= 0.005:
        rows.append(("", "inputs, weights and output made ready", "", "", "", _percent(rest)))
    head = ("step", "contraction", "keeps", "multiply-adds", "size", f"{mode} time")
    return _columns(head, rows)


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


def _columns(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table with two flexible columns; numbers to the right."""
    numbers = 3
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    spare = WIDTH - sum(widths) - 2 * (len(widths) - 1)
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
    lines = [f"{'parameters':<24}{figures.parameters:>16,}"]
    dense = "more than 1e308" if figures.dense_parameters is None else None
    lines.append(
        f"{'of the dense map':<24}{dense or count_text(figures.dense_parameters or 0):>16}"
    )
    if figures.dense_flops:
        lines.append(f"{'FLOPs of the dense map':<24}{count_text(figures.dense_flops):>16}")
    if figures.compression is not None:
        lines.append(f"{'compression':<24}{_ratio(figures.compression):>16}")
    return "\n".join(lines)


def _alternatives(cost: Cost) -> str:
    """The plan beside its alternatives."""
    head = f"{'alternative, ' + cost.mode:<32}{'FLOPs':>12}{'time':>12}{'peak':>12}"
    head += f"{'against the plan':>20}"
    lines = [head, "─" * len(head)]
    for name, figures in {"this plan": cost.figures, **cost.alternatives}.items():
        against = "" if name == "this plan" else _against(figures, cost.figures)
        lines.append(
            f"{name:<32}{_figure('flops', figures):>12}{_figure('seconds', figures):>12}"
            f"{_figure('peak_bytes', figures):>12}{against:>20}".rstrip()
        )
    return "\n".join(lines)


def _against(figures: Figures, plan: Figures) -> str:
    if figures == plan:
        return "the same"
    if figures.seconds is None or not plan.seconds:
        return "out of reach"
    slower = figures.seconds / plan.seconds
    return f"{slower:.2f} × the time" if slower < 1000 else f"{slower:.0e} × the time"


def _crossings(cost: Cost) -> list[str]:
    lines = []
    for name, crossing in cost.crossings.items():
        lines.append(f"{_capital(name)} is faster {_when(crossing)}.")
    return lines


def _when(crossing: Crossing) -> str:
    parts = []
    if crossing.faster_up_to is not None:
        parts.append(f"up to batch {crossing.faster_up_to:,}")
    if crossing.faster_from is not None:
        parts.append(f"from batch {crossing.faster_from:,} on")
    return " and ".join(parts)


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
        return f"{value:.1f}"
    return count_text(int(value))


def count_text(count: int) -> str:
    """A count, exact while short.

    >>> count_text(123456), count_text(2_500_000), count_text(2**784)
    ('123,456', '2.50 M', '1.0e236')
    """
    if count < 1_000_000:
        return f"{count:,}"
    for unit, name in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if unit <= count < 1000 * unit:
            return (
                f"{count / unit:.3g} {name}"
                if count >= 100 * unit
                else f"{count / unit:.2f} {name}"
            )
    return f"{float(count):.1e}".replace("e+", "e")


def bytes_text(count: int) -> str:
    """Bytes in binary units.

    >>> bytes_text(512), bytes_text(3 * 2**20)
    ('512 B', '3.00 MiB')
    """
    if count < 1024:
        return f"{count} B"
    for power, name in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 2**power:
            value = count / 2**power
            return (
                f"{value:.1e} {name}"
                if value >= 10_000
                else f"{value:.4g} {name}"
                if value >= 100
                else f"{value:.2f} {name}"
            )
    raise AssertionError(count)


def seconds_text(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> seconds_text(2.5e-5), seconds_text(0.0123), seconds_text(4.0)
    ('25.0 µs', '12.3 ms', '4.00 s')
    """
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            value = seconds / unit
            return (
                f"{value:.3g} {name}"
                if value >= 100
                else f"{value:.2f} {name}"
                if unit == 1.0
                else f"{value:.1f} {name}"
            )
    return f"{seconds * 1e6:.1f} µs"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0095 else "< 1 %" if share > 0 else "0 %"


def _ratio(ratio: float) -> str:
    return f"{ratio:,.1f} ×" if ratio < 1e6 else f"{ratio:.1e} ×".replace("e+", "e")
