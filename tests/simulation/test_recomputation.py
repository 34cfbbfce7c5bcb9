"""Parts of a batch that the backward pass makes again: the same numbers in less memory."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import tncompile
from benchmarks.memory import peak_allocated
from tests.support.looped import LOOPED, generated
from tests.support.memory import TEXT, held_bytes, random_inputs
from tests.support.modules import ALL, Subject
from tests.support.strategies import random_tree
from tncompile.compiler import norm_program
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import initialize
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.network.model import TensorNetwork
from tncompile.planning import BUILTIN, ContractionPlan
from tncompile.planning.wording import schedule_text
from tncompile.program.rewriting import straightened
from tncompile.program.variants import Branch, Branches
from tncompile.simulation.trace import trace

AGAIN = "_recomputed(part, "
BATCH = 1024
TARGET = "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4], ranks = 8)"

NETWORKS = (
    "MPO(ins = [4, 8, 4], outs = [4, 8, 4], rank = 4)",
    "MPO(ins = [8, 8, 12], outs = [12, 16, 16], rank = 16)",
    "MPO(ins = [4, 4, 4, 4], outs = [4, 4, 4, 4], rank = 8)",
    "Ring(n = 12, rank = 4)",
    "Ring(n = 150, rank = 5)",
    "Chain(n = 10, rank = 6)",
    "Chain(n = 196, rank = 8)",
    "Tree(patches = 16, chi = 5)",
    "Words()",
    "Letters(n = 12)",
    "Frozen()",
    "Bilinear()",
    "Padded()",
    "CP(ins = [4, 5, 6], outs = [6, 5, 4], rank = 7)",
)


@cache
def architecture() -> tncompile.Architecture:
    """A layer that is fastest part by part, and leaner where parts are made again."""
    torch.set_num_threads(1)
    return tncompile.loads('import "std/linear.tn"').instantiate(TARGET)


@cache
def planned(limit: int | None = None) -> ContractionPlan:
    """Its plan within a limit of memory."""
    return architecture().plan(BATCH, search="fast", memory_limit=limit)


def again(network: TensorNetwork, tree: int, rows: int) -> TensorProgram:
    """A program of some tree whose parts are made again."""
    return lower(network, random_tree(network, tree), Schedule(chunk_rows=rows, recompute=True))


def emitted(subject: Subject, rows: int = 3) -> tuple[nn.Module, TensorProgram]:
    """A module of float64 whose parts are made again, and its program."""
    program = again(subject.network, 4, rows)
    made = generated(subject, program)
    assert AGAIN in made.source
    return instantiate(made, dtype=torch.float64, seed=0), program


def leaves_for(subject: Subject, batch: int) -> list[Tensor]:
    """Inputs that want gradients, but for ids."""
    given = subject.inputs(batch, dtype=torch.float64, sizes={"n": batch, "s": 2, "t": 3})
    return [x.requires_grad_() if x.is_floating_point() else x for x in given]


def gradients(made: Tensor, wanting: list[Tensor]) -> tuple[Tensor | None, ...]:
    """Of something that is no multiple of the result, for these tensors."""
    return torch.autograd.grad(made.sin().sum(), wanting, allow_unused=True)


def step_peak(module: nn.Module, inputs: list[Tensor]) -> int:
    """Bytes that a training step takes at most, what was there before included."""

    def step() -> object:
        made = module(*inputs)
        gradient = torch.ones(made.shape)
        made.backward(gradient)
        return made, gradient

    step()
    module.zero_grad()
    for x in inputs:
        x.grad = None
    held = held_bytes([*module.parameters(), *module.buffers(), *inputs])
    peak = peak_allocated(step)
    module.zero_grad()
    return held + peak


# ── the same numbers ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("subject", LOOPED, ids=str)
def test_results_and_gradients_are_those_of_all_at_once(subject: Subject) -> None:
    torch.set_num_threads(1)
    module, program = emitted(subject)
    plain = instantiate(generated(subject, straightened(program)), dtype=torch.float64, seed=0)
    for batch in (0, 1, 3, 7):
        found = []
        for one in (module, plain):
            leaves = leaves_for(subject, batch)
            made = one(*leaves)
            wanting = [x for x in (*leaves, *one.parameters()) if x.requires_grad]
            found.append((made, *gradients(made, wanting)))
        for ours, due in zip(*found, strict=True):
            if ours is not None and due is not None:
                torch.testing.assert_close(ours, due, rtol=1e-10, atol=1e-10)
            else:  # a batch of nothing has no turn that could send anything
                assert all(k is None or not k.any() for k in (ours, due))


def subject_named(name: str) -> Subject:
    """A subject by its name."""
    return next(subject for subject in ALL if str(subject) == name)


def test_second_derivatives_are_exact() -> None:
    module, _ = emitted(subject_named("MPO"))
    plain = subject_named("MPO").module(torch.float64)
    plain.load_state_dict(module.state_dict())
    found = []
    for one in (module, plain):
        (x,) = leaves_for(subject_named("MPO"), 7)
        wanting = [x, *one.parameters()]
        first = torch.autograd.grad(one(x).sin().sum(), wanting, create_graph=True)
        total = torch.stack([k.square().sum() for k in first]).sum()
        found.append(torch.autograd.grad(total, wanting))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_going_back_twice_and_by_parts_of_the_result() -> None:
    module, _ = emitted(subject_named("MPO"))
    (x,) = leaves_for(subject_named("MPO"), 7)
    made = module(x)
    wanting = list(module.parameters())
    whole = torch.autograd.grad(made.square().sum(), wanting, retain_graph=True)
    again = torch.autograd.grad(made.square().sum(), wanting, retain_graph=True)
    first = torch.autograd.grad(made[:3].square().sum(), wanting, retain_graph=True)
    rest = torch.autograd.grad(made[3:].square().sum(), wanting)
    for one, other, a, b in zip(whole, again, first, rest, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, a + b, rtol=1e-10, atol=1e-10)


def test_transforms_of_functions_work() -> None:
    module, _ = emitted(subject_named("MPO"))
    (x,) = leaves_for(subject_named("MPO"), 7)
    held = {key: value.detach() for key, value in module.named_parameters()}

    def loss(parameters: dict[str, Tensor], given: Tensor) -> Tensor:
        made: Tensor = torch.func.functional_call(module, parameters, (given,))
        return made.square().sum()

    due = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    made = torch.func.grad(loss)(held, x.detach())
    for one, other in zip(made.values(), due, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    many = torch.func.vmap(torch.func.grad(loss), (None, 0))(held, x.detach().reshape(7, 1, 6))
    for one, other in zip(many.values(), due, strict=True):
        torch.testing.assert_close(one.sum(0), other, rtol=1e-10, atol=1e-10)
    stack = torch.func.vmap(module)(torch.stack([x, 2 * x]))
    torch.testing.assert_close(stack[0], module(x), rtol=1e-10, atol=1e-10)


def test_autocast_goes_back_as_it_went() -> None:
    module, program = emitted(subject_named("MPO"))
    straight = instantiate(
        generated(subject_named("MPO"), straightened(program)), dtype=torch.float32, seed=0
    )
    module = module.float()
    x = torch.randn(7, 6)
    found = []
    for one in (module, straight):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = one(x)
        assert made.dtype == torch.bfloat16
        found.append(torch.autograd.grad(made.float().sum(), list(one.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)


def test_turns_run_again_going_back_and_not_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turns run once under `no_grad`, twice in a training step."""
    module, _ = emitted(subject_named("MPO"))
    products: list[Tensor] = []
    mm = torch.mm

    def counted(left: Tensor, right: Tensor) -> Tensor:
        products.append(left)
        return mm(left, right)

    monkeypatch.setattr(torch, "mm", counted)
    with torch.no_grad():
        module(torch.randn(7, 6, dtype=torch.float64))
    forward = len(products)
    made = module(torch.randn(7, 6, dtype=torch.float64))
    assert len(products) == 2 * forward > 0
    made.sum().backward()
    assert len(products) > 2 * forward


# ── less memory ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", NETWORKS)
def test_predicted_peaks_are_measured(target: str) -> None:
    torch.set_num_threads(1)
    arch = tncompile.loads(TEXT).instantiate(target)
    network, plan = arch.network, arch.plan(67, search="fast")
    sizes, main = plan.sizes, plan.main
    for schedule in (
        replace(main.schedule, chunk_rows=16),
        replace(main.schedule, chunk_rows=16, recompute=True),
    ):
        program = lower(network, main.tree, schedule, sizes=sizes)
        module = running(arch, program)
        for through in (False, True) if schedule.recompute else (False,):
            drawn = random_inputs(network, arch.cost(67, search="fast"))
            inputs = drawn if through else [x.detach() for x in drawn]
            traced = trace(network, program, sizes, BUILTIN, training=True, through=through)
            measured = step_peak(module, inputs)
            assert abs(traced.peak - measured) <= 0.15 * measured, (schedule.chunk_rows, through)


def running(arch: tncompile.Architecture, program: TensorProgram) -> nn.Module:
    """A module that runs this program in eager mode."""
    only = (Branch(program, None, ""),)
    branches = Branches(straightened(program), only, only, only)
    plan = arch.plan(67, search="fast")
    made = emit(arch.network, plan, branches, initialize(arch.network, norm_program))
    return instantiate(made, seed=0)


def test_parts_made_again_take_less_memory_and_more_time() -> None:
    main, network = planned().main, architecture().network
    found = []
    for recompute in (False, True):
        schedule = replace(main.schedule, chunk_rows=64, recompute=recompute)
        program = lower(network, main.tree, schedule, sizes=planned().sizes)
        found.append(trace(network, program, planned().sizes, BUILTIN, training=True))
    plain, lean = found
    assert lean.peak < plain.peak / 2
    assert plain.total.seconds < lean.total.seconds < 2 * plain.total.seconds
    assert sum(work.multiply_adds for work in lean.forward) == sum(
        work.multiply_adds for work in plain.forward
    )


# ── planning ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_made_again_without_need() -> None:
    free = planned()
    peak = free.main.cost.figures.peak_bytes
    assert peak is not None
    for plan in (free, planned(peak)):
        assert not any(held.schedule.recompute for held in (*plan.variants, plan.whole))
    assert planned(peak).main.schedule == free.main.schedule
    assert "_recomputed" not in architecture().source(batch=BATCH, search="fast")


@pytest.mark.parametrize("share", [0.9, 0.5, 0.44])
def test_the_limit_is_kept(share: float) -> None:
    peak = planned().main.cost.figures.peak_bytes
    assert peak is not None
    limit = int(share * peak)
    plan = planned(limit)
    module = architecture().module(seed=0, plan=plan)
    measured = step_peak(module, [torch.randn(BATCH, 1024, requires_grad=True)])
    assert measured <= limit
    predicted = plan.main.cost.figures.peak_bytes
    assert predicted is not None
    assert predicted <= limit
    assert abs(predicted - measured) <= 0.15 * measured


def test_the_least_there_is_falls() -> None:
    network = architecture().network
    with pytest.raises(tncompile.CompileError) as caught:
        architecture().plan(BATCH, search="fast", memory_limit=5_000_000)
    found = re.search(r"at least ([\d,]+) bytes", str(caught.value))
    assert found is not None
    least = int(found[1].replace(",", ""))
    main = planned().main
    rows = [replace(main.schedule, chunk_rows=k) for k in (1, 4, 16, 64)]
    for schedule in (main.schedule.at_once, *rows):
        program = lower(network, main.tree, schedule, sizes=planned().sizes)
        traced = trace(network, program, planned().sizes, BUILTIN, training=True)
        assert least < traced.peak
    lean = planned(least)
    assert lean.main.schedule.recompute
    assert lean.main.cost.figures.peak_bytes == least


def test_the_plan_says_so_everywhere() -> None:
    peak = planned().main.cost.figures.peak_bytes
    assert peak is not None
    limit = int(0.5 * peak)
    plan = planned(limit)
    schedule = plan.main.schedule
    assert schedule.recompute
    assert schedule_text(schedule) == f"chunks of {schedule.chunk_rows}, recomputed in backward"
    assert ContractionPlan.from_json(plan.to_json()).main.schedule == schedule
    damaged = json.loads(plan.to_json())
    damaged["schedules"][0]["recompute"] = 1
    with pytest.raises(ValueError, match="valid boolean"):
        ContractionPlan.from_dict(damaged)
    cost = architecture().cost(BATCH, search="fast", memory_limit=limit, training=True)
    assert "recomputed in backward" in str(cost)
    source = architecture().source(plan=plan)
    assert source == architecture().source(plan=plan)
    assert "recomputed in" in source
    assert "from torch.utils.checkpoint import checkpoint" in source
    whole = source.split("def _contract(")[1].split("    def ")[0]
    assert "_recomputed" not in whole
    assert AGAIN not in source.split("class MPOFolded")[1]
    text = architecture().describe("tensor-program", batch=BATCH, search="fast", memory_limit=limit)
    assert "recomputed in backward" in text
