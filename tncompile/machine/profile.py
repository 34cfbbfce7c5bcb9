"""Machine profiles: how long products, copies and calls take, to compare programs by time."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from reprlib import repr as shown
from typing import get_type_hints
from unicodedata import category

from tncompile.language.diagnostics.excerpt import UNSEEN, Line
from tncompile.machine.grid import Grid

VERSION = 3
"""Of the JSON; a file of another version is refused."""

SMALL_PRODUCT = 400
"""`bmm` computes matrix products of fewer multiply-adds by itself, whatever the strides."""

GRAIN = 2**15
"""Numbers that torch gives to each thread, at least."""

LARGE_PRODUCT = 2**24
"""Of so many multiply-adds, products in a batch run as fast as one by one."""

GIGA = 1e9

LEAST, LARGEST = 1e-30, 1e30
"""Figures beyond these are none of a machine; times made of them might not be numbers."""

CPU, CUDA = "cpu", "cuda"
"""The devices that there are profiles of."""

ENDLESS = 2**62
"""Bytes: more than any program takes."""

AXES = {
    "products": 3,
    "left_turned": 3,
    "right_turned": 3,
    "batched": 3,
    "batched_left_turned": 3,
    "batched_right_turned": 3,
    "passes": 1,
    "reductions": 1,
    "copies": 2,
    "gathers": 1,
    "scatters": 1,
}
"""How many axes each grid has."""


@dataclass(frozen=True)
class MachineProfile:
    """What was measured on one machine, in float32; `device` says whether on its processor.

    Grids hold billions a second: operations of products, bytes of everything else. Their axes are
    the sizes named here; a factor multiplies the time of a product whose operand is column-major.
    Overheads are seconds that a call takes on top of its work.
    """

    name: str
    fitted_on: str  # processor, threads, version of torch
    device: str  # `cpu` or `cuda`
    products: Grid  # rows, inner, columns of `mm`: operations
    left_turned: Grid  # rows, inner, columns: factor for a column-major left operand
    right_turned: Grid
    batched: Grid  # rows, inner, columns of one of many matrices in `bmm`: operations
    batched_left_turned: Grid
    batched_right_turned: Grid
    small_products: float  # operations of `bmm` on matrices too small for BLAS, on one thread
    threads: int
    passes: Grid  # bytes read and written by an elementwise call: bytes
    reductions: Grid  # bytes of the rows summed up, each to one number: bytes read
    copies: Grid  # bytes written; bytes that lie together in source and copy: bytes written
    gathers: Grid  # bytes of a row picked by number: bytes written
    scatters: Grid  # bytes of a row added by number: bytes read
    row: float  # seconds that each inner run of an elementwise call takes on one thread
    faults: float  # bytes of memory that the operating system hands out anew
    fresh: int  # bytes from which an allocation always is such memory
    kept: int  # bytes of freed memory that stay with the process
    call: float  # an operation
    view_call: float  # an operation that touches no element
    batch_start: float  # what `bmm` takes more than `mm`
    recording: float  # what autograd adds to an operation
    backward_call: float  # an operation of the backward pass
    backward_view_call: float  # one that touches no element
    parameter: float  # reading a parameter
    gradient: float  # storing the gradient of a parameter
    member: float  # each tensor that is stacked or unbound
    backward_member: float  # each gradient of such a tensor
    forward_start: float  # calling a module
    backward_start: float  # starting the backward pass

    def __post_init__(self) -> None:
        if self.device not in (CPU, CUDA):
            raise ValueError(f"`device` is {CPU!r} or {CUDA!r}, not {self.device!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not LEAST <= value <= LARGEST:
                raise ValueError(f"`{field.name}` must be a positive number, not {shown(value)}")

    @property
    def overlaps(self) -> bool:
        """Whether calls return before their work is done, which then runs beside later calls."""
        return self.device != CPU

    def product_seconds(
        self,
        matrices: int,
        rows: int,
        inner: int,
        columns: int,
        *,
        left_shared: bool = False,
        right_shared: bool = False,
        left_transposed: bool = False,
        right_transposed: bool = False,
        width: int = 4,
    ) -> float:
        """Seconds of `matrices` products (rows, inner) @ (inner, columns), without the call.

        A shared operand is one matrix for all products (a batch stride of 0), a transposed one is
        column-major; `width` is the bytes of a number.
        """
        multiply_adds = rows * inner * columns
        if multiply_adds == 0 or matrices == 0:
            return 0.0
        numbers = rows * inner * (1 if left_shared else matrices)
        numbers += inner * columns * (1 if right_shared else matrices)
        numbers += rows * columns * matrices
        start = 0.0
        if matrices > 1 and multiply_adds < SMALL_PRODUCT and not self.overlaps:
            rate = self.small_products * self._sharing(matrices * multiply_adds)
        elif matrices > 1:
            start = self.batch_start
            own = multiply_adds < LARGE_PRODUCT
            rate = (self.batched if own else self.products).at(rows, inner, columns)
            if left_transposed:
                factors = self.batched_left_turned if own else self.left_turned
                rate /= factors.at(rows, inner, columns)
            if right_transposed:
                factors = self.batched_right_turned if own else self.right_turned
                rate /= factors.at(rows, inner, columns)
        else:
            rate = self.products.at(rows, inner, columns)
            if left_transposed:
                rate /= self.left_turned.at(rows, inner, columns)
            if right_transposed:
                rate /= self.right_turned.at(rows, inner, columns)
        work = 2.0 * matrices * multiply_adds * max(1.0, width / 4)
        return start + work / (rate * GIGA) + self.waiting_seconds(numbers * width)

    def _sharing(self, numbers: float) -> float:
        """How many threads torch gives to so many numbers."""
        return max(1.0, min(self.threads, numbers / GRAIN))

    def waiting_seconds(self, count: float) -> float:
        """Seconds that a product of this many bytes waits for what the cache does not hold.

        None on other devices, whose products are measured at sizes beyond any cache.
        """
        if self.overlaps:
            return 0.0
        fastest = max(self.passes.figures)
        return max(0.0, count / self.passes.at(count) - count / fastest) / GIGA

    def pass_seconds(self, count: float) -> float:
        """Seconds of an elementwise pass that reads and writes this many bytes together."""
        return count / (self.passes.at(count) * GIGA)

    def run_seconds(self, numbers: float, run: float) -> float:
        """What it takes longer where `run` of so many numbers lie together in all operands."""
        return self.row * numbers / max(run, 1.0) / self._sharing(numbers)

    def reduction_seconds(self, count: float, row_bytes: float) -> float:
        """Seconds to sum rows of this many bytes each, `count` bytes in all."""
        rate = min(self.reductions.at(row_bytes), self.passes.at(count))
        return count / (rate * GIGA)

    def copy_seconds(self, count: float, run_bytes: float) -> float:
        """Seconds of a copy of `count` bytes of which runs of `run_bytes` stay together."""
        return count / (self.copies.at(count, run_bytes) * GIGA)

    def gather_seconds(self, count: float, row_bytes: float) -> float:
        """Seconds to pick rows by number, `count` bytes in all."""
        return count / (self.gathers.at(row_bytes) * GIGA)

    def scatter_seconds(self, count: float, row_bytes: float) -> float:
        """Seconds to add rows to a table by number, `count` bytes in all."""
        return count / (self.scatters.at(row_bytes) * GIGA)

    def fault_seconds(self, count: float) -> float:
        """Seconds that the operating system takes to hand out this much memory."""
        return count / (self.faults * GIGA)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────


def profile_text(profile: MachineProfile) -> str:
    """The profile as JSON, a few lines a grid."""
    lines = [f'  "version": {VERSION}']
    for field in fields(profile):
        value = getattr(profile, field.name)
        if isinstance(value, Grid):
            axes = json.dumps([list(axis) for axis in value.axes])
            width = len(value.axes[-1])
            rows = [value.figures[k : k + width] for k in range(0, len(value.figures), width)]
            figures = ",\n".join(f"      {', '.join(f'{x:.3g}' for x in row)}" for row in rows)
            text = f'{{\n    "axes": {axes},\n    "figures": [\n{figures}\n    ]\n  }}'
        else:
            text = json.dumps(value)
        lines.append(f'  "{field.name}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_profile(profile: MachineProfile, path: str | os.PathLike[str]) -> None:
    """Store a profile as JSON, figures rounded to three digits; the file appears whole."""
    from tncompile.files import replace_file

    replace_file(Path(path), profile_text(profile))


def read_profile(path: str | os.PathLike[str]) -> MachineProfile:
    """A profile from JSON.

    Raises ValueError where the file holds none, and OSError where it cannot be read.
    """
    text = Path(path).read_bytes()
    try:
        given = json.loads(text)
        if not isinstance(given, dict):
            raise TypeError("it is no JSON object")
        if (version := given.pop("version", None)) != VERSION:
            raise ValueError(f"its version is {shown(version)}, this tncompile reads {VERSION}")
        kinds = get_type_hints(MachineProfile)
        if surplus := given.keys() - kinds.keys():
            raise TypeError(f"{shown(min(surplus))} is none of its figures")
        for name, kind in kinds.items():
            if name not in given:
                raise TypeError(f"`{name}` is missing")
            given[name] = _figure(name, kind, given[name])
        return MachineProfile(**given)
    except (KeyError, TypeError, ValueError, RecursionError) as problem:
        words = f"`{problem.args[0]}` is missing" if isinstance(problem, KeyError) else problem
        raise ValueError(
            f"{_line(path)} is no machine profile: {words}; `tncompile calibrate` makes one"
        ) from problem


KINDS = {Grid: "table of figures", int: "integer", float: "number", str: "text"}
"""What the figures of a profile are, in words."""


def _figure(name: str, kind: type, stored: object) -> Grid | int | float | str:
    """A value of a profile as JSON holds it, checked."""
    if kind is Grid and isinstance(stored, dict):
        axes = tuple(tuple(_integer(name, size) for size in axis) for axis in stored["axes"])
        if len(axes) != AXES[name]:
            raise ValueError(f"`{name}` has {len(axes)} axes instead of {AXES[name]}")
        return Grid(axes, tuple(_number(name, figure) for figure in stored["figures"]))
    if kind is float:
        return _number(name, stored)
    if kind is int:
        return _integer(name, stored)
    if kind is Grid or not isinstance(stored, str):
        raise TypeError(f"`{name}` is no {KINDS[kind]}")
    if any(category(character) in UNSEEN for character in stored):
        raise ValueError(f"`{name}` is no line of text: {shown(stored)}")
    return stored


def _number(name: str, stored: object) -> float:
    if isinstance(stored, bool) or not isinstance(stored, int | float):
        raise TypeError(f"`{name}` is no {KINDS[float]}: {shown(stored)}")
    if not LEAST <= stored <= LARGEST:
        raise ValueError(f"`{name}` must be a positive number, not {shown(stored)}")
    return stored


def _integer(name: str, stored: object) -> int:
    if isinstance(stored, bool) or not isinstance(stored, int):
        raise TypeError(f"`{name}` is no {KINDS[int]}: {shown(stored)}")
    if not 1 <= stored <= LARGEST:
        raise ValueError(f"`{name}` must be a positive number, not {shown(stored)}")
    return stored


# ── which profile ───────────────────────────────────────────────────────────────────────────────


def _line(path: str | os.PathLike[str]) -> str:
    """A path as a message can show it."""
    return Line(os.fspath(path), cut=False).shown


BUILTIN = read_profile(Path(__file__).with_name("builtin.json"))
"""Two cores, measured by `tncompile calibrate`; it decides unless another profile is asked for."""
