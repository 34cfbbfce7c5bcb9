"""A chart of each kind, with numbers like those of a small network."""

from __future__ import annotations

from tncompile.inspection.charts.chart import (
    Bars,
    Chart,
    Dot,
    Highlight,
    Level,
    Lines,
    Part,
    Scatter,
    Series,
    Spectrum,
    Stacks,
    Step,
    Threshold,
    TreeMap,
)
from tncompile.inspection.charts.numbers import Axis
from tncompile.planning.wording import bytes_text, count_text, percent_text, seconds_text

TIME = Axis("predicted time", log=True, text=seconds_text, unit="s")
MEMORY = Axis("memory", text=bytes_text, unit="bytes", binary=True)
BATCH = Axis("batch", log=True, text=count_text)

BATCHES = [2**k for k in range(11)]

LINES = Lines(
    "Time against batch",
    [
        Series("this plan", [(b, 2e-5 + 1.1e-5 * b) for b in BATCHES]),
        Series("nn.Linear", [(b, 4e-5 + 1e-5 * b) for b in BATCHES]),
        Series("measured", [(b, None if b == 32 else 3e-5 + 1.2e-5 * b) for b in BATCHES]),
    ],
    BATCH,
    TIME,
    thresholds=[Threshold(155, "from batch 155 another plan"), Threshold(200, "nn.Linear wins")],
    highlight=Highlight(64, 2e-5 + 1.1e-5 * 64, "planned"),
)

RATIOS = Lines(
    "Time against nn.Linear",
    [Series("a", [(1, 0.5), (8, 0.9), (64, 1.01)]), Series("b", [(1, 0.6), (8, 0.8), (64, 1.02)])],
    Axis("batch", log=True, binary=True),
    Axis("times nn.Linear"),
    level=Level(1, "nn.Linear", 0.05),
)

STACKS = Stacks(
    "Memory",
    ("input", "weights", "waiting", "written now"),
    [
        Step("t1", (65_536, 32_768, 0, 524_288)),
        Step("t2", (65_536, 32_768, 524_288, 262_144)),
        Step("t3", (65_536, 32_768, 262_144, 65_536)),
    ],
    MEMORY,
    divider=2,
)

LONG = Stacks(
    "Memory of many steps",
    ("weights", "written now"),
    [Step(f"t{k}", (1000, 9000 if k == 1003 else k % 700)) for k in range(1700)],
    MEMORY,
)

SCATTER = Scatter(
    "Plans",
    [
        Dot("search (flops)", 1e8, 2e-3, 3e6),
        Dot("sweep forward", 2e8, 1e-3, 2e6),
        Dot("materialize dense", 3e8, 3e-3, 8e6),
        *(Dot(f"tree {k}", 1e8 * (1.5 + k % 5), 1e-3 * (2 + k % 7), 1e6 * k) for k in range(20)),
    ],
    Axis("FLOPs", log=True, text=count_text),
    TIME,
    Axis("peak memory", text=bytes_text, unit="bytes"),
    chosen=1,
)

BLOCK = [
    Part("attention", 0, [Part(name, 589_824, kind="MPO") for name in "qkvo"], "model"),
    Part("feed", 0, [Part("up", 2_359_296), Part("down", 2_359_296, kind="MPO")], "model"),
    *(Part(name, 1536, kind="layer") for name in ("norm1", "norm2")),
]

TREE = TreeMap(
    "Parameters",
    [
        Part("embed", 38_597_376, kind="layer"),
        *(Part(f"block[{k}]", 0, BLOCK, "model") for k in range(12)),
        Part("dropout", 0, kind="layer"),
    ],
    Axis("parameters", text=count_text),
)

KINDS = TreeMap(TREE.title, TREE.parts, TREE.measure, colors="kind")

BARS = Bars(
    "Shares",
    [("x · t1", 0.44), ("t3 · t2", 0.5), ("preparing inputs, weights and output", 0.006)],
    Axis("share of the time", text=percent_text),
)

SPECTRUM = Spectrum(
    "Bond b[0]", [3 * 0.7**k for k in range(16)], [3 * 0.97**k for k in range(16)], rank=6
)

SAMPLES: dict[str, Chart] = {
    "lines": LINES,
    "ratios": RATIOS,
    "stacks": STACKS,
    "long": LONG,
    "scatter": SCATTER,
    "tree": TREE,
    "kinds": KINDS,
    "bars": BARS,
    "spectrum": SPECTRUM,
}
