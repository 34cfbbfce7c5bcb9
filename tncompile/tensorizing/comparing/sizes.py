"""What a model takes: parameters, bytes, operations of a batch, seconds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tncompile.machine.host import machine_text
from tncompile.machine.profile import CPU
from tncompile.tensorizing.comparing.lines import Line
from tncompile.tensorizing.comparing.resampling import draws, interval
from tncompile.tuning.timing import Timing, disturbance, time_in_turn

SECONDS = 4.0
"""What timing takes; a slow model runs five times, however long that is."""

Runs = tuple[Callable[[], object], Callable[[], object]]


def size_lines(original: nn.Module, changed: nn.Module) -> tuple[Line, ...]:
    """Parameters and bytes of both; tensors that modules share count once."""
    return (
        ratio("parameters", parameters_of(original), parameters_of(changed)),
        ratio("bytes", bytes_of(original), bytes_of(changed)),
    )


CODES = {"_int8": 1, "_int4": 2}
"""Buffers of quantized weights by the ends of their names, and the numbers in each byte."""


def parameters_of(model: nn.Module) -> int:
    """Entries of all parameters, and integers of quantized ones; their scales are none."""
    counts = [each.numel() for each in model.parameters()]
    state = model.state_dict()
    for key, value in state.items():
        if key[-5:] in CODES and f"{key[:-5]}_scale" in state and isinstance(value, torch.Tensor):
            counts.append(CODES[key[-5:]] * value.numel())
    return sum(counts)


def bytes_of(model: nn.Module) -> int:
    """Bytes of all parameters, and of buffers that are saved with them, as integers are."""
    state = model.state_dict(keep_vars=True).values()
    tensors = [each for each in (*model.parameters(), *state) if isinstance(each, torch.Tensor)]
    return sum(each.numel() * each.element_size() for each in {id(t): t for t in tensors}.values())


def ratio(name: str, original: float, changed: float) -> Line:
    """A line of two numbers, in which their ratio counts."""
    value = changed / original if original else math.nan
    return Line(name, value, None, None, original, changed)


def flops_line(runs: Runs) -> tuple[Line, tuple[str, ...]]:
    """Floating-point operations of a forward pass of both: products and convolutions alone.

    Not a number, and a remark, where torch cannot count them, as in what it compiled.
    """
    try:
        before, after = (counted_flops(run) for run in runs)
    except MemoryError:
        raise
    except Exception as error:
        words = (str(error).splitlines() or [""])[0]
        why = f"FLOPs were not counted: {type(error).__name__}: {words}"
        return Line("flops", math.nan), (why,)
    return ratio("flops", before, after), ()


def counted_flops(run: Callable[[], object]) -> int:
    """Floating-point operations of products, convolutions and attention in a run."""
    counter = FlopCounterMode(display=False, custom_mapping=_MORE)
    with _without_fast_paths(), counter:
        run()
    return int(counter.get_total_flops())


def _trilinear(*shapes: Any, **more: Any) -> int:
    """Of nn.Bilinear: rows times the weight, then times the second input."""
    first, weight, second = shapes[:3]
    products: int = math.prod(weight) + weight[0] * second[-1]
    return 2 * int(first[0]) * products


def _attention(query: Any, key: Any, value: Any, *more: Any, **named: Any) -> int:
    """Scores, and sums of values: (batch, heads, positions, features) each."""
    batch, heads, positions, features = query
    found: int = 2 * batch * heads * positions * key[-2] * (features + value[-1])
    return found


_MORE = {
    torch.ops.aten._trilinear: _trilinear,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
"""What torch's counter does not know."""


@contextmanager
def _without_fast_paths() -> Iterator[None]:
    """Attention and recurrent layers as products: torch counts nothing in its fused ones."""
    mkldnn: Any = torch.backends.mkldnn
    heads: Any = torch.backends.mha
    fused, before = heads.get_fastpath_enabled(), mkldnn.set_flags()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        heads.set_fastpath_enabled(False)
        mkldnn.set_flags(False)
        try:
            yield
        finally:
            heads.set_fastpath_enabled(fused)
            mkldnn.set_flags(before[0])


def time_line(runs: Runs, seconds: float, device: torch.device) -> tuple[Line, tuple[str, ...]]:
    """Seconds of both, run in turn; the median of the ratios of rounds. And where, in words."""
    before, after = time_in_turn(runs, seconds)
    ratios = [b / a for a, b in zip(before.times, after.times, strict=True) if a > 0]
    low, high = _of_medians(ratios) or (None, None)
    value = median(ratios) if ratios else math.nan
    line = Line("time", value, low, high, before.seconds, after.seconds)
    where = machine_text(_named(device))
    words = f"FLOPs and time are of the first batch, run in turn {before.readings} times: {where}"
    return line, (words, *_disturbed((before, after)))


def _of_medians(values: list[float]) -> tuple[float, float] | None:
    """The interval of a median, by the bootstrap over rounds."""
    if len(values) < 2:
        return None
    generator = torch.Generator().manual_seed(0)
    count = len(values)
    drawn = torch.randint(count, (draws(count), count), generator=generator)
    return interval(torch.tensor(values, dtype=torch.float64)[drawn].median(1).values)


def _disturbed(timings: tuple[Timing, ...]) -> tuple[str, ...]:
    """Whether something else ran on the machine meanwhile."""
    found = (disturbance(each.share, each.spread) for each in timings)
    return tuple(f"the machine was busy: {words}" for words in found if words is not None)[:1]


def _named(device: torch.device) -> str:
    return CPU if device.type == "cpu" else str(device)
