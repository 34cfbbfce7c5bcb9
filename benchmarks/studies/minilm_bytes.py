"""all-MiniLM-L6-v2 by bytes: integers alone, and on top of factors.

`python -m benchmarks.studies minilm_bytes`: rows as those of `minilm`, 90.9 MB in float32. Factors
are ranks for a budget, not healed; with `--refit` they are refitted in closed form.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import tncompile
from benchmarks.studies.minilm import Clock, Table, calibrated, calibration, output, quantized

PARTS = (0.75, 0.5, 0.35)


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies minilm_bytes")
    parser.add_argument("--part", type=float, action="append", help="of the parameters")
    parser.add_argument("--refit", action="store_true", help="in closed form, before rounding")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where moments are kept")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    table, clock = Table(), Clock()
    model = table.original.model
    quantized(table, None, "dense, ")
    with clock.running():
        moments = calibrated(chosen.folder)
    print(f"calibrated in {clock} s", file=sys.stderr, flush=True)
    quantized(table, None, "dense, weighted by moments, ", moments)
    for part in chosen.part or PARTS:
        clock = Clock()
        with clock.running():
            limit = int(part * table.original.parameters)
            found = tncompile.allocate(model, {"params": limit}, moments=moments)
            done = tncompile.tensorize(model, found.rewrite, moments=moments)
            if chosen.refit:
                data = calibration()
                done = tncompile.refit(model, done, data, output=output, moments=moments).tensorized
        name = f"factors of {part:.0%}"
        report = done.report
        table.add(name, done.model, report.after, report.bytes_after, clock)
        quantized(table, done, f"{name}, ")
