"""A workload at a batch size: everybody is built, checked against float64, then timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from benchmarks import emitted
from benchmarks.contract import Contender, Kind, Loaded, Mode, Run, UnavailableError, Workload
from benchmarks.measuring import (
    Step,
    Timing,
    as_parameters,
    gemm_rate,
    gradients_in,
    inference,
    matmul_flops,
    relative_error,
    repeats_for,
    seconds,
    shuffled_rounds,
    training,
)
from benchmarks.memory import peak_allocated
from benchmarks.neighbors import QUIET, Patience, now, others
from benchmarks.results import Measurement, Omission

OUTPUT_TOLERANCE = 2e-4
GRADIENT_TOLERANCE = 3e-3
"""Of float32 against float64, relative to the norm."""
GIVE_UP = 2.0
"""Whoever takes more seconds for a forward pass, the search for a path aside, is left out."""
COMPILED = {"compiled": "default", "compiled with reduce-overhead": "reduce-overhead"}
"""How compiled contenders are called, and the mode of `torch.compile`."""
TUNED = "tncompile, tuned"
"""The emitted module whose plan was chosen by measurement."""
ROWS_IN_BFLOAT16 = 64
"""Rows whose error stands for all in bfloat16."""
CLOSE, FINALISTS = 1.3, 3
"""Versions by hand that go into the rounds: so near to the best of a first look, and so many."""


@dataclass(frozen=True)
class Effort:
    """How much to measure: seconds for the rounds of a case, and what else is wanted."""

    budget: float
    memory: bool = True
    bfloat16: bool = True
    compiled: bool = False
    tries: int = 3
    rounds: int = 5
    """At least, however slow."""
    tuning: float = 0.0
    """Seconds to measure plans of the module at a batch size before the choice; 0 predicts."""
    patience: Patience = field(default_factory=Patience)
    square: int = 2048
    """Rows of the matrix product whose rate is the measure."""


QUICK = Effort(1.0, tries=1)
FULL = Effort(4.0, compiled=True, tries=2, rounds=15, tuning=6.0)


@dataclass(frozen=True)
class Entrant:
    """Somebody ready to run in float32, checked."""

    name: str
    kind: Kind
    folded: bool
    run: Run
    leaves: Sequence[Tensor]
    error: float
    low: float | None = None
    compiled: bool = False
    tuned: bool = False


Ready = tuple[Entrant, Callable[[], object]]
"""Somebody with what there is to time."""


@dataclass(frozen=True)
class Exact:
    """The answer in float64: output, gradients of parameters and inputs."""

    parameters: Mapping[str, Tensor]
    output: Tensor
    weight: Tensor
    """The gradient of the output: what training steps are given."""
    gradients: Mapping[str, Tensor]
    input_gradients: Sequence[Tensor | None]


class WrongAnswerError(Exception):
    """Somebody computes another map than the reference."""


def double(tensor: Tensor) -> Tensor:
    """A tensor in float64; ids stay ids."""
    return tensor.detach().double() if tensor.is_floating_point() else tensor


def exact_answer(
    workload: Workload, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor], mode: Mode
) -> Exact:
    """The reference in float64, with gradients where a training step is asked for."""
    trains = mode is Mode.TRAINING
    held = {n: double(p).requires_grad_(trains) for n, p in parameters.items()}
    given = [double(x) for x in inputs]
    if trains and workload.input_gradients:
        given = [x.requires_grad_() if x.is_floating_point() else x for x in given]
    output = workload.reference(held, *given)
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(output.shape, generator=generator)
    if trains:
        torch.autograd.backward(output, weight.double())
    return Exact(
        {n: p.detach() for n, p in held.items()},
        output.detach(),
        weight,
        {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in held.items()},
        [x.grad for x in given],
    )


def load(contender: Contender, exact: Exact, dtype: torch.dtype, fold: bool) -> Entrant:
    """A contender with the parameters of the reference, unchecked."""
    leaves = as_parameters(contender.leaves(exact.parameters), dtype)
    if fold:
        assert contender.fold is not None
        with torch.no_grad():
            run = contender.fold(leaves)
    else:
        run = contender.build(leaves)
    return Entrant(entered_name(contender, fold), contender.kind, fold, run, leaves, 0.0)


def checked_output(entrant: Entrant, exact: Exact, inputs: Sequence[Tensor]) -> float:
    """The relative error of a forward pass; `WrongAnswerError` where it is no rounding error."""
    call = inference(entrant.run, inputs)
    begin = time.perf_counter()
    found = call()
    if time.perf_counter() - begin > GIVE_UP and (taken := seconds(call, 1)) > GIVE_UP:
        raise UnavailableError(f"one forward pass took {taken:.0f} s")
    if found.shape != exact.output.shape:
        raise WrongAnswerError(
            f"{entrant.name}: {tuple(found.shape)}, not {tuple(exact.output.shape)}"
        )
    error = relative_error(found, exact.output)
    if not error < OUTPUT_TOLERANCE:
        raise WrongAnswerError(f"{entrant.name}: its output is off by {error:.2g}")
    return error


def check_gradients(
    entrant: Entrant,
    leaves_of: Callable[[Mapping[str, Tensor]], Sequence[Tensor]],
    exact: Exact,
    inputs: Sequence[Tensor],
    step: Callable[[], object],
) -> None:
    """`WrongAnswerError` unless the gradients of a step are those of the reference."""
    step()
    if isinstance(entrant.run, Loaded):
        gradients = list(entrant.run.gradients())
    else:
        gradients = [leaf.grad for leaf in entrant.leaves]
    found = gradients_in(exact.parameters, leaves_of, gradients)
    pairs = [(name, found[name], exact.gradients[name]) for name in exact.gradients]
    scale = max(want.norm().item() / want.numel() ** 0.5 for _, _, want in pairs)
    for name, got, want in pairs:
        level = max(want.norm().item(), 1e-3 * scale * want.numel() ** 0.5)
        error = (got - want).norm().item() / level
        if not error < GRADIENT_TOLERANCE:
            raise WrongAnswerError(f"{entrant.name}: the gradient of {name} is off by {error:.2g}")
    for x, want_x in zip(inputs, exact.input_gradients, strict=True):
        if want_x is not None and x.requires_grad:
            assert x.grad is not None
            error = relative_error(x.grad, want_x)
            if not error < GRADIENT_TOLERANCE:
                raise WrongAnswerError(
                    f"{entrant.name}: the gradient of an input is off by {error:.2g}"
                )


def in_bfloat16(contender: Contender, exact: Exact, inputs: Sequence[Tensor]) -> float | None:
    """The relative error of a forward pass in bfloat16; None where it cannot run.

    The first rows stand for all: a large product in bfloat16 takes minutes on some processors.
    """
    whole = len(exact.output)
    given = [x[:ROWS_IN_BFLOAT16] if len(x) == whole else x for x in inputs]
    given = [x.bfloat16() if x.is_floating_point() else x for x in given]
    try:
        entrant = load(contender, exact, torch.bfloat16, False)
        found = inference(entrant.run, given)()
    except (RuntimeError, TypeError, ValueError):
        return None
    return relative_error(found, exact.output[: len(found)])


def our_contender(
    workload: Workload, batch: int, held: nn.Module, tuning: float = 0.0
) -> Contender:
    """The emitted module as a contender like any other."""
    names = list(emitted.parameters(workload, held))

    def build(leaves: Sequence[Tensor]) -> Run:
        made = emitted.module(workload, batch, tuning).to(leaves[0].dtype)
        for name, leaf in zip(names, leaves, strict=True):
            owner, _, last = name.rpartition(".")
            assert isinstance(leaf, nn.Parameter)
            made.get_submodule(owner)._parameters[last] = leaf
        return made

    def fold(leaves: Sequence[Tensor]) -> Run:
        twin = emitted.folded(build(leaves))  # type: ignore[arg-type]
        assert twin is not None
        return twin

    foldable = emitted.folded(held) is not None
    return Contender(
        TUNED if tuning else "tncompile",
        Kind.OURS,
        lambda p: tuple(p[n] for n in names),
        build,
        fold if foldable else None,
    )


def candidates(
    workload: Workload, batch: int, mode: Mode, kinds: Iterable[Kind], *own: Contender
) -> list[tuple[Contender, bool]]:
    """Who runs in a case, each with whether it is folded."""
    wanted = set(kinds)
    made: list[tuple[Contender, bool]] = []
    for contender in (*own, *workload.contenders):
        if contender.kind not in wanted or not contender.suits(batch):
            continue
        if not contender.only_folded:
            made.append((contender, False))
        if contender.fold is not None and mode is Mode.INFERENCE:
            made.append((contender, True))
    return made


def shortlist(entrants: Sequence[Ready]) -> list[Ready]:
    """Everybody, but of the versions by hand only those that may turn out the fastest.

    Those are at the end, the fastest of a first look first.
    """
    quick = {
        entrant.name: repeats_for(call)[1]
        for entrant, call in entrants
        if entrant.kind is Kind.HAND
    }
    kept: list[Ready] = []
    for folded in (False, True):
        group = [(e, call) for e, call in entrants if e.name in quick and e.folded is folded]
        group.sort(key=lambda ready: quick[ready[0].name])
        best = min((quick[e.name] for e, _ in group), default=0.0)
        kept += [ready for ready in group if quick[ready[0].name] < CLOSE * best][:FINALISTS]
    kept.sort(key=lambda ready: quick[ready[0].name])
    return [*(ready for ready in entrants if ready[0].kind is not Kind.HAND), *kept]


def run_case(
    workload: Workload,
    batch: int,
    mode: Mode,
    effort: Effort,
    kinds: Iterable[Kind] = tuple(Kind),
) -> tuple[list[Measurement], list[Omission]]:
    """Everybody's numbers in one case, and who could not run."""
    inputs = workload.inputs(batch, torch.Generator().manual_seed(batch))
    held = emitted.module(workload, batch)
    try:
        exact = exact_answer(workload, emitted.parameters(workload, held), inputs, mode)
    except RuntimeError as error:  # of a machine with little memory
        reason = f"batch {batch:,}, {mode}: {str(error).splitlines()[0][:120]}"
        return [], [Omission(workload.name, "everybody: no reference", reason)]
    own = [our_contender(workload, batch, held)]
    if effort.tuning:
        own.append(our_contender(workload, batch, held, effort.tuning))
    if mode is Mode.TRAINING and workload.input_gradients:
        inputs = tuple(x.requires_grad_() if x.is_floating_point() else x for x in inputs)
    entrants: list[Ready] = []
    omissions: list[Omission] = []

    def enter(contender: Contender, fold: bool, how: str | None) -> Iterator[Ready]:
        try:
            yield prepare(contender, fold, how, exact, inputs, mode, effort)
        except (UnavailableError, WrongAnswerError) as error:
            omissions.append(Omission(workload.name, contender.name, str(error)))
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
            label = f"{contender.name}, {how}" if how else contender.name
            omissions.append(Omission(workload.name, label, reason))

    everybody = candidates(workload, batch, mode, kinds, *own)
    for contender, fold in everybody:
        for how in ways(contender, effort):
            entrants += enter(contender, fold, how)
    finalists = shortlist(entrants)
    if effort.compiled:
        fastest = next((e.name for e, _ in finalists if e.kind is Kind.HAND), None)
        for contender, fold in everybody:
            if entered_name(contender, fold) == fastest:
                finalists += enter(contender, fold, "compiled")
    return measured(workload, batch, mode, effort, finalists, inputs), omissions


def entered_name(contender: Contender, fold: bool) -> str:
    """How somebody is called who runs as it is or folded."""
    return f"{contender.name}, folded" if fold else contender.name


def ways(contender: Contender, effort: Effort) -> Iterator[str | None]:
    """As it is, and compiled where that is wanted: we in both modes, by hand only the fastest."""
    yield None
    if not effort.compiled or contender.kind is Kind.HAND or contender.name == TUNED:
        return
    for how, mode in COMPILED.items():
        if mode == "default" or contender.kind is Kind.OURS:
            yield how


def prepare(
    contender: Contender,
    fold: bool,
    how: str | None,
    exact: Exact,
    inputs: Sequence[Tensor],
    mode: Mode,
    effort: Effort,
) -> Ready:
    """Somebody loaded, checked, and what there is to time."""
    entrant = load(contender, exact, torch.float32, fold)
    if how is not None:
        torch._dynamo.reset()
        # Where a graph breaks, eager code is timed under the name of compiled code: not ours.
        whole = contender.kind is Kind.OURS
        run: Run = torch.compile(entrant.run, mode=COMPILED[how], fullgraph=whole)
        entrant = Entrant(
            f"{entrant.name}, {how}",
            entrant.kind,
            fold,
            run,
            entrant.leaves,
            0.0,
            compiled=True,
        )
    error = checked_output(entrant, exact, inputs)
    call: Callable[[], object]
    if mode is Mode.TRAINING:
        trained = entrant.run.parameters() if isinstance(entrant.run, Loaded) else entrant.leaves
        call = training(entrant.run, inputs, trained, exact.weight)
        check_gradients(entrant, contender.leaves, exact, inputs, call)
    else:
        call = inference(entrant.run, inputs)
    low = None
    if effort.bfloat16 and mode is Mode.INFERENCE and not fold and how is None:
        low = in_bfloat16(contender, exact, inputs)
    checked = Entrant(
        entrant.name,
        entrant.kind,
        fold,
        entrant.run,
        entrant.leaves,
        error,
        low,
        compiled=how is not None,
        tuned=contender.name == TUNED,
    )
    return checked, call


def quietest(steps: Sequence[Step], effort: Effort) -> tuple[float, dict[str, Timing], float]:
    """The rate of a large product, the times, and how many cores others used: of several tries."""
    best: tuple[float, dict[str, Timing], float] | None = None
    for _ in range(effort.tries):
        effort.patience.wait()
        since = now()
        before = gemm_rate(effort.square)
        times = shuffled_rounds(steps, effort.budget, least_rounds=effort.rounds)
        rate = max(before, gemm_rate(effort.square))
        found = (rate, times, others(since))
        if best is None or found[2] < best[2]:
            best = found
        if best[2] < QUIET:
            break
    assert best is not None
    return best


def measured(
    workload: Workload,
    batch: int,
    mode: Mode,
    effort: Effort,
    entrants: Sequence[Ready],
    inputs: Sequence[Tensor],
) -> list[Measurement]:
    """Times in shuffled rounds, then what a round must not disturb: memory and FLOPs."""
    steps = [Step(entrant.name, call) for entrant, call in entrants]
    bare = {}
    if batch == 1 and mode is Mode.INFERENCE:
        own = [e for e, _ in entrants if e.kind is Kind.OURS and not e.compiled and not e.tuned]
        bare = {e.name: f"the bare products of {e.name}" for e in own}
        steps += [Step(bare[e.name], emitted.bare_products(e.run, tuple(inputs))) for e in own]
    rate, times, disturbance = quietest(steps, effort)
    made = []
    for entrant, call in entrants:
        taken = times[entrant.name]
        made.append(
            Measurement(
                workload.name,
                workload.title,
                batch,
                mode,
                entrant.name,
                entrant.kind,
                entrant.folded,
                taken.median,
                taken.lower,
                taken.upper,
                taken.samples,
                0 if entrant.compiled else matmul_flops(mode, call),
                rate,
                peak_allocated(call) if effort.memory and not entrant.compiled else None,
                entrant.error,
                entrant.low,
                times[bare[entrant.name]].median if entrant.name in bare else None,
                entrant.compiled,
                entrant.tuned,
                disturbance,
            )
        )
    return made
