"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import plotting
from benchmarks.contract import Kind, Mode, UnavailableError, Workload
from benchmarks.measuring import settle_allocator
from benchmarks.memory import keep_to_memory
from benchmarks.neighbors import PATIENCE, Patience
from benchmarks.orderstudy import orders
from benchmarks.reporting import in_short, report
from benchmarks.results import Omission, Results, machine, read, write
from benchmarks.running import FULL, QUICK, run_case
from benchmarks.summary import cases
from benchmarks.toolspeed import tool_speeds
from benchmarks.workloads import ALL

TOOL, ORDERS = "tool", "orders"
"""What can be asked for besides workloads."""


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick",
        action="store_true",
        help="a part of it, about seven minutes; all of a workload that is named without a pattern",
    )
    effort.add_argument("--full", action="store_true", help="everything, torch.compile included")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"a workload, or a pattern such as 'conv-*'; also {TOOL!r} and {ORDERS!r}",
    )
    modes = [mode.value for mode in Mode]
    parser.add_argument("--modes", default=",".join(modes), help=f"from {', '.join(modes)}")
    parser.add_argument("--no-peers", action="store_true", help="leave other libraries out")
    parser.add_argument("--compiled", action="store_true", help="everybody also compiled")
    parser.add_argument(
        "--one-thread",
        action="store_true",
        help="one thread, and the time that it had: for machines that others use, too",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help="how long to wait for other processes, all in all",
    )
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks.md"), metavar="FILE")
    parser.add_argument("--render", action="store_true", help="measure nothing, only write FILE")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    held = parser.parse_args(given)
    for mode in held.modes.split(","):
        if mode not in modes:
            parser.error(f"{mode!r} is no mode; there are {', '.join(modes)}")
    names = [*(workload.name for workload in ALL), TOOL, ORDERS]
    for pattern in held.only or ():
        if not fnmatch.filter(names, pattern):
            parser.error(f"{pattern!r} is no workload; --list names them")
    return held


def chosen(asked: argparse.Namespace, name: str) -> bool:
    """Whether something by this name is asked for."""
    return not asked.only or any(fnmatch.fnmatchcase(name, pattern) for pattern in asked.only)


def selected(asked: argparse.Namespace) -> Iterator[tuple[Workload, int]]:
    """The workloads and batch sizes asked for."""
    for workload in ALL:
        if chosen(asked, workload.name):
            named = workload.name in (asked.only or ())
            batches = workload.quick if asked.quick and not named else workload.batches
            yield from ((workload, batch) for batch in batches)


def measure(asked: argparse.Namespace, earlier: Results) -> Iterator[Results]:
    """The results so far, after every case."""
    effort = QUICK if asked.quick else FULL
    patience = Patience(asked.patience)
    effort = replace(effort, compiled=asked.full or asked.compiled, patience=patience)
    kinds = [k for k in Kind if k is not Kind.PEER or not asked.no_peers]
    settle_allocator()
    held = earlier if earlier.machine == machine() else Results(machine())
    for workload, batch in selected(asked):
        named = tuple(Omission(workload.name, who, why) for who, why in workload.omitted.items())
        for mode in (Mode(name) for name in asked.modes.split(",")):
            print(f"{workload.name}, batch {batch:,}, {mode}", file=sys.stderr, flush=True)
            keep_to_memory()
            found, left_out = run_case(workload, batch, mode, effort, kinds)
            held = held.merged(Results(measurements=tuple(found), omissions=(*named, *left_out)))
            yield held
    if chosen(asked, TOOL):
        print("the tool itself", file=sys.stderr, flush=True)
        speeds = tuple(tool_speeds(1000 if asked.quick else 10000))
        held = held.merged(Results(tool=speeds))
        yield held
    if chosen(asked, ORDERS) and (asked.only or not asked.quick):
        print("orders forward and backward", file=sys.stderr, flush=True)
        yield held.merged(Results(orders=tuple(orders(2.0))))


def main(given: Sequence[str] | None = None) -> None:
    """Measure, keep the numbers as JSON, write the page and the picture."""
    asked = arguments(given)
    if asked.list:
        print("\n".join(workload.name for workload in ALL))
        return
    warnings.filterwarnings("ignore")  # of other libraries, on their own behalf
    if asked.one_thread:
        torch.set_num_threads(1)
    store = asked.output.with_suffix(".json")
    held = read(store)
    if not asked.render:
        for so_far in measure(asked, held):
            held = so_far
            write(held, store)
    held = held.in_order([workload.name for workload in ALL])
    picture: Path | None = asked.output.with_suffix(".svg")
    try:
        assert picture is not None
        plotting.plot(held, picture)
    except UnavailableError as error:
        print(f"no picture: {error}", file=sys.stderr)
        picture = None
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    notes = {workload.name: workload.note for workload in ALL if workload.note}
    page = report(held, picture.name if picture else None, notes)
    asked.output.write_text(page, encoding="utf-8")
    print("\n".join(in_short(cases(held))))
    print(f"{asked.output} has it all; torch ran on {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
