"""Blocks beside low rank, fitted with as many parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from tncompile.choosing import RANKS, TERMS, Choice
from tncompile.converting import convert
from tncompile.language.diagnostics.errors import CompileError
from tncompile.spec import load
from tncompile.tensorizing.allocating.options import Option
from tncompile.tensorizing.allocating.subjects import Subject, as_layer
from tncompile.tensorizing.allocating.timing import Clock
from tncompile.tensorizing.fitting.fit import Effort

MATRICES = ("LowRank", "Interpolative")
KERNELS = ("Tucker2Conv", "TuckerConv")
TABLES = ("TTEmbedding", "MixedEmbedding")
"""What low rank of a linear map is, of a convolution and of a table: ranks follow from spectra."""

LIBRARY = ("std/linear.tn", "std/convolution.tn", "std/embedding.tn")

CLOSE = 1.3
"""How many times the least error that of a quick fit may be for a whole fit to follow. What whole
fits gained on quick ones: 1.2 for Monarch, 1.3 for MPO, 1 for LowRank."""

SIZED = ("ins", "outs", "inputs", "outputs", *RANKS, *TERMS)
"""Arguments that a layer does not decide by itself."""


def read_candidates(names: Iterable[str]) -> tuple[str, ...]:
    """The names of blocks. Raises ValueError for those that there are not."""
    if isinstance(names, str):
        names = (names,)
    found = tuple(dict.fromkeys(names))
    known = [name for file in LIBRARY for name in load(file).blocks]
    for name in found:
        if name not in known:
            raise ValueError(f"no candidate is called {name}: there are {', '.join(known)}")
    if not found:
        raise ValueError("there are no candidates")
    return found


def forms_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The forms of low rank among candidates; where none is, the usual ones of its kind."""
    found: list[str] = []
    if "LowRank" in names:  # whose like for tables it is
        names = (*names, "TTEmbedding")
    for forms, usual in ((MATRICES, MATRICES[:1]), (KERNELS, KERNELS), (TABLES, TABLES[:1])):
        found += [form for form in forms if form in names] or usual
    return tuple(found)


def contenders_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The candidates that are fitted to be compared."""
    return tuple(name for name in names if name not in (*MATRICES, *KERNELS, *TABLES))


def best_of(
    subject: Subject,
    given: Option,
    names: tuple[str, ...],
    seed: int,
    clock: Clock | None = None,
) -> Option:
    """What loses least of a layer among candidates of no more parameters than an option has.

    Candidates are compared by quick fits; those that come near the best are fitted whole. With a
    clock, costs are times, and none that takes longer is taken.
    """
    library = "std/convolution.tn" if subject.kind == "conv" else "std/linear.tn"
    blocks = load(library).blocks
    contenders = [name for name in contenders_of(names) if name in blocks]
    if subject.kind == "embedding" or not contenders or given.block is None:
        return given
    best: Option | None = given if {*MATRICES, *KERNELS} & {*names} else None
    if subject.kind == "conv":  # what is known of it is a bound
        assert given.block is not None
        best = _fitted(subject, given.block, given, seed, "full", **given.arguments) or given
    quick = [_fitted(subject, name, given, seed, "quick") for name in contenders]
    screened = sorted((each for each in quick if each is not None), key=lambda each: each.error)
    if clock is not None:
        timed = [clock.retimed(subject, each) for each in screened]
        screened = [each for each in timed if each.cost <= given.cost]
    for option in screened:
        if best is not None and option.error > CLOSE**2 * best.error:  # errors are squared
            break
        assert option.block is not None
        found = _fitted(subject, option.block, given, seed, "full", **option.arguments) or option
        if best is None or found.error < best.error:
            best = replace(found, cost=option.cost)
    return best or given


def _fitted(
    subject: Subject, block: str, given: Option, seed: int, effort: Effort, **arguments: object
) -> Option | None:
    """A block with the largest ranks that are within the parameters; None where none are."""
    part = None if arguments else given.parameters / subject.weight.numel()
    choice = Choice(part, None, subject.metric, None, seed, None, effort)
    try:
        made = convert(as_layer(subject), block, arguments, choice)
    except (CompileError, ValueError):
        return None
    biases = {bias.parameter for bias in made.architecture._map.biases}
    count = sum(each.numel() for key, each in made.fit.state_dict.items() if key not in biases)
    error = made.fit.error if made.fit.metric_error is None else made.fit.metric_error
    sizes = made.architecture.arguments
    needless = {
        whole
        for whole, split in (("inputs", "ins"), ("outputs", "outs"))
        if isinstance(sizes.get(split), tuple) and math.prod(sizes[split]) == sizes.get(whole)  # type: ignore[arg-type]
    }
    chosen = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sizes.items()
        if name in SIZED and name not in needless
    }
    return subject.fitted(block, chosen, count, error)
