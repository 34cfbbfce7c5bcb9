"""Machine profiles: predicted seconds of products, copies and calls."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from dataclasses import asdict, dataclass, field, fields
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from reprlib import repr as shown
from typing import TYPE_CHECKING, Any, ClassVar
from unicodedata import category

from tncompile.files import json_value, replace_file
from tncompile.language.diagnostics.excerpt import UNSEEN, Line
from tncompile.machine.convolution import (
    MIRRORED,
    Convolution,
    ConvolutionCost,
    ConvolutionKernel,
    ConvolutionPass,
    amounts,
    expected_costs,
    kernel_for,
)
from tncompile.machine.grid import CACHED, LARGEST, LEAST, STRICT, Grid

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VERSION = 4
"""Version of the stored JSON; a file of another version is refused."""

SMALL_PRODUCT = 400
"""`bmm` multiplies matrices of fewer multiply-adds than this itself, whatever their strides."""

GRAIN = 2**15
"""Least number of elements that torch gives to a thread."""

LARGE_PRODUCT = 2**24
"""Multiply-adds from which a product in a batch runs as fast as one alone."""

GIGA = 1e9

CPU, CUDA = "cpu", "cuda"
"""The kinds of devices that have profiles."""

ENDLESS = 2**62
"""Bytes: more than any program takes."""

AXES = {"copies": 2, **dict.fromkeys(("passes", "reductions", "gathers", "scatters"), 1)}
"""The number of axes of each grid; those of products have three."""


@dataclass(frozen=True)
class MachineProfile:
    """Measured figures of one machine in float32, from which seconds are predicted.

    Field names are the keys of the stored JSON. The axes of grids are named here. Grids of rates
    hold 10⁹ a second: operations of products, bytes of everything else. A `turned` grid holds the
    factor on the time of a product for a column-major operand. Overheads are seconds of a call
    beside its work.
    """

    version: int = field(default=VERSION, kw_only=True)
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
    reductions: Grid  # bytes of a row that is summed to one number: bytes read
    copies: Grid  # bytes written; bytes contiguous in source and copy: bytes written
    gathers: Grid  # bytes of a row selected by id: bytes written
    scatters: Grid  # bytes of a row added by id: bytes read
    convolutions: tuple[ConvolutionCost, ...]  # seconds, by kernel, format and pass
    row: float  # seconds of each inner run of an elementwise call on one thread
    faults: float  # bytes of memory newly handed out by the operating system
    fresh: int  # bytes from which an allocation is always such memory
    kept: int  # bytes of freed memory that stay with the process
    call: float  # an operation
    view_call: float  # an operation that touches no element
    batch_start: float  # `bmm` beyond `mm`
    recording: float  # autograd's part of an operation
    backward_call: float  # an operation of the backward pass
    backward_view_call: float  # one that touches no element
    parameter: float  # reading a parameter
    gradient: float  # storing the gradient of a parameter
    member: float  # each tensor that is stacked or unbound
    backward_member: float  # each gradient of such a tensor
    forward_start: float  # calling a module
    backward_start: float  # starting the backward pass

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, str) and any(category(letter) in UNSEEN for letter in value):
                raise ValueError(f"`{name}` is no line of text: {shown(value)}")
            if isinstance(value, Grid) and len(value.axes) != (due := AXES.get(name, 3)):
                raise ValueError(f"`{name}` has {len(value.axes)} axes instead of {due}")
            if isinstance(value, int | float) and not LEAST <= value <= LARGEST:
                raise ValueError(f"`{name}` must be a positive number, not {shown(value)}")
        missing = expected_costs(columns=self.device == CPU).difference(self._convolutions)
        if missing:
            raise ValueError(f"`convolutions` lacks {' '.join(map(str, min(missing)))}")
        if self.device not in (CPU, CUDA):
            raise ValueError(f"`device` is {CPU!r} or {CUDA!r}, not {self.device!r}")

    @property
    def overlaps(self) -> bool:
        """Whether the host goes on calling while the device computes."""
        return self.device != CPU

    def product_seconds(
        self,
        matrices: int,
        rows: int,
        inner: int,
        columns: int,
        *,
        shared: tuple[bool, bool] = (False, False),
        transposed: tuple[bool, bool] = (False, False),
        width: int = 4,
    ) -> float:
        """Seconds of `matrices` products (rows, inner) @ (inner, columns), without the call.

        Pairs are of the left and the right operand: a `shared` one is one matrix for all products
        (a batch stride of 0), a `transposed` one is column-major. `width` is the bytes of a number.
        """
        multiply_adds = rows * inner * columns
        if multiply_adds == 0 or matrices == 0:
            return 0.0
        numbers = rows * inner * (1 if shared[0] else matrices)
        numbers += inner * columns * (1 if shared[1] else matrices)
        numbers += rows * columns * matrices
        start = 0.0
        if matrices > 1 and multiply_adds < SMALL_PRODUCT and not self.overlaps:
            rate = self.small_products * self._threads_for(matrices * multiply_adds)
        else:
            start = self.batch_start if matrices > 1 else 0.0
            batched = matrices > 1 and multiply_adds < LARGE_PRODUCT
            sizes = rows, inner, columns
            rate = (self.batched if batched else self.products).at(*sizes)
            if transposed[0]:
                rate /= (self.batched_left_turned if batched else self.left_turned).at(*sizes)
            if transposed[1]:
                rate /= (self.batched_right_turned if batched else self.right_turned).at(*sizes)
        work = 2.0 * matrices * multiply_adds * max(1.0, width / 4)
        seconds = start + work / (rate * GIGA)
        if self.overlaps:  # measured at sizes beyond any cache
            return seconds
        return seconds + miss_seconds(self.passes, numbers * width)

    def fastest_products(self, inner: int | None = None) -> float:
        """The most operations a nanosecond of products that sum over `inner`, of any shape."""
        if inner not in self._fastest:
            points = sorted(
                {size for kind in self._kinds for grid in kind for size in grid.axes[1]}
            )
            if inner is not None:  # between two points is what the rates there are around
                high = min(bisect_left(points, inner), len(points) - 1)
                low = high if points[high] <= inner else max(high - 1, 0)
                points = points[low : high + 1]
            self._fastest[inner] = max(map(self._fastest_at, points))
        return self._fastest[inner]

    def _fastest_at(self, inner: int) -> float:
        """The most of `fastest_products` at a point of the grids: at a point of the other axes."""
        if inner not in self._fastest_at_points:
            fastest = self.small_products * self.threads
            for plain, left, right in self._kinds:
                rows, _, columns = (
                    sorted({*plain.axes[k], *left.axes[k], *right.axes[k]}) for k in range(3)
                )
                for sizes in product(rows, (inner,), columns):
                    turned = min(1.0, left.at(*sizes)) * min(1.0, right.at(*sizes))
                    fastest = max(fastest, plain.at(*sizes) / turned)
            self._fastest_at_points[inner] = fastest
        return self._fastest_at_points[inner]

    @property
    def _kinds(self) -> tuple[tuple[Grid, Grid, Grid], ...]:
        return (
            (self.products, self.left_turned, self.right_turned),
            (self.batched, self.batched_left_turned, self.batched_right_turned),
        )

    @cached_property
    def _fastest(self) -> dict[int | None, float]:
        return {}

    @cached_property
    def _fastest_at_points(self) -> dict[int, float]:
        return {}

    def convolution_seconds(
        self,
        which: ConvolutionPass,
        sizes: Convolution,
        *,
        channels_last: bool,
        width: int = 4,
    ) -> float:
        """Seconds of a convolution or of one of its gradients, without the call.

        Source and result are both in one format. `width` is the bytes of a number.
        """
        key = which, sizes, channels_last, width
        if (seconds := self._convolved.get(key)) is None:
            if len(self._convolved) >= CACHED:
                self._convolved.clear()
            seconds = self._convolved[key] = self._convolution_seconds(*key)
        return seconds

    def _convolution_seconds(
        self, which: ConvolutionPass, sizes: Convolution, channels_last: bool, width: int
    ) -> float:
        if sizes.multiply_adds == 0:
            return 0.0
        onednn = self.overlaps or sizes.in_onednn(width, self.threads)
        if sizes.transposed:
            sizes = sizes.mirrored
            which = MIRRORED[which]
        computed_by = kernel_for(sizes, which, onednn)
        numbers = amounts(sizes, which, computed_by)
        seconds = self._convolutions[computed_by, channels_last, which].seconds(numbers)
        seconds *= max(1.0, width / 4)
        if self.overlaps:
            return seconds
        return seconds + miss_seconds(self.passes, sizes.streamed(channels_last, width))

    @cached_property
    def _convolved(self) -> dict[tuple[ConvolutionPass, Convolution, bool, int], float]:
        """Seconds of convolutions: a search asks for the same ones hundreds of times."""
        return {}

    @cached_property
    def _convolutions(
        self,
    ) -> dict[tuple[ConvolutionKernel, bool, ConvolutionPass], ConvolutionCost]:
        return {(cost.kernel, cost.channels_last, cost.which): cost for cost in self.convolutions}

    def _threads_for(self, numbers: float) -> float:
        """The number of threads that torch gives to so many elements."""
        return max(1.0, min(self.threads, numbers / GRAIN))

    def pass_seconds(self, size: float) -> float:
        """Seconds of an elementwise pass that reads and writes `size` bytes in all."""
        return size / (self.passes.at(size) * GIGA)

    def run_seconds(self, numbers: float, run: float) -> float:
        """Extra seconds of an elementwise op whose innermost contiguous run is `run` elements."""
        return self.row * numbers / max(run, 1.0) / self._threads_for(numbers)

    def reduction_seconds(self, size: float, row_bytes: float) -> float:
        """Seconds to sum `size` bytes in rows of `row_bytes` each."""
        return size / (min(self.reductions.at(row_bytes), self.passes.at(size)) * GIGA)

    def copy_seconds(self, size: float, run_bytes: float) -> float:
        """Seconds of a copy of `size` bytes in contiguous runs of `run_bytes`."""
        return size / (self.copies.at(size, run_bytes) * GIGA)

    def gather_seconds(self, size: float, row_bytes: float) -> float:
        """Seconds to select `size` bytes in rows by id."""
        return size / (self.gathers.at(row_bytes) * GIGA)

    def scatter_seconds(self, size: float, row_bytes: float) -> float:
        """Seconds to add `size` bytes in rows to a table by id."""
        return size / (self.scatters.at(row_bytes) * GIGA)

    def fault_seconds(self, size: float) -> float:
        """Seconds that the operating system takes to hand out `size` bytes of memory."""
        return size / (self.faults * GIGA)


def miss_seconds(passes: Grid, size: float) -> float:
    """The seconds that work on `size` bytes waits for memory beyond the cache."""
    misses = size / passes.at(size) - size / max(passes.figures)
    return max(0.0, misses) / GIGA


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────


def profile_text(profile: MachineProfile) -> str:
    """The profile as JSON, grids in a few lines each, their figures rounded to three digits."""
    lines: list[str] = []
    for name, value in ((each.name, getattr(profile, each.name)) for each in fields(profile)):
        if isinstance(value, Grid):
            axes = json.dumps([list(axis) for axis in value.axes])
            width = len(value.axes[-1])
            rows = [value.figures[k : k + width] for k in range(0, len(value.figures), width)]
            figures = ",\n".join(f"      {', '.join(f'{x:.3g}' for x in row)}" for row in rows)
            text = f'{{\n    "axes": {axes},\n    "figures": [\n{figures}\n    ]\n  }}'
        elif isinstance(value, tuple):
            rows_of = ",\n".join(f"    {json.dumps(_rounded(asdict(each)))}" for each in value)
            text = f"[\n{rows_of}\n  ]"
        else:
            text = json.dumps(value)
        lines.append(f'  "{name}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(stored: dict[str, Any]) -> dict[str, Any]:
    """The same with three digits of each figure."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in stored.items()
    }


def write_profile(profile: MachineProfile, path: str | os.PathLike[str]) -> None:
    """Store a profile as JSON; the file appears whole. Raises OSError."""
    replace_file(Path(path), profile_text(profile))


@cache
def _adapter() -> TypeAdapter[MachineProfile]:
    """What reads a profile: made once, in a tenth of a second."""
    from pydantic import TypeAdapter

    return TypeAdapter(MachineProfile)


def read_profile(path: str | os.PathLike[str]) -> MachineProfile:
    """The profile stored in a file.

    Raises ValueError where the file holds none, and OSError where it cannot be read.
    """
    from pydantic import ValidationError  # slow to import

    text = Path(path).read_bytes()
    try:
        stored = json_value(text)
        if not isinstance(stored, dict):
            raise ValueError("it is no JSON object")
        if (version := stored.get("version")) != VERSION:
            raise ValueError(f"its version is {shown(version)}, this tncompile reads {VERSION}")
        return _adapter().validate_json(text)
    except ValidationError as error:
        problem = _problem_text(error.errors()[0])
    except ValueError as error:
        problem = str(error)
    raise ValueError(
        f"{path_text(path)} is no machine profile: {problem}; `tncompile calibrate` makes one"
    )


NO_KIND = {
    "dataclass_type": "is no table of figures",
    "float_type": "is no number",
    "int_type": "is no integer",
    "missing": "is missing",
    "string_type": "is no text",
    "unexpected_keyword_argument": "is none of its figures",
}


def _problem_text(problem: Any) -> str:
    """What pydantic has found first, in a line."""
    kind, names = problem["type"], [name for name in problem["loc"] if isinstance(name, str)]
    if kind in NO_KIND:
        return f"`{shown(names[-1])[1:-1]}` {NO_KIND[kind]}"  # any text may be a name
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"`{names[-1]}`: {message}" if names else message


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as a message can show it."""
    return Line(os.fspath(path), cut=False).shown


BUILTIN = read_profile(Path(__file__).with_name("builtin.json"))
"""Two cores, measured by `tncompile calibrate`; it decides unless another profile is asked for."""
