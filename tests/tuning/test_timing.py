"""Actions in turn, random inputs, programs that disagree; no times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

import tncompile
from tests.support import small_networks as small
from tncompile.compiler import norm_program
from tncompile.emission import GeneratedModule, emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import Initialization, initialize
from tncompile.language.diagnostics.errors import InternalError
from tncompile.lowering import TensorProgram, lower
from tncompile.network.contraction import operands
from tncompile.network.model import TensorNetwork
from tncompile.planning import plan
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.plan import ContractionPlan
from tncompile.program.operations import Times
from tncompile.program.variants import Branches
from tncompile.simulation.modes import MODES, Mode
from tncompile.tuning.timing import disagreeing, random_inputs, time_in_turn


def test_every_action_is_run_in_every_round() -> None:
    seen: list[int] = []
    timings = time_in_turn([lambda: seen.append(0), lambda: seen.append(1)], 0.01)
    assert len(timings) == 2
    assert all(0 <= one.low <= one.seconds <= one.high for one in timings)
    assert timings[0].readings == timings[1].readings >= 5
    assert {0, 1} == set(seen)


def test_whoever_is_far_behind_runs_no_further() -> None:
    def slow() -> None:
        time.sleep(0.01)

    first, second = time_in_turn([lambda: None, slow], 0.2, hopeless=2.0)
    assert second.readings == 5
    assert first.readings > second.readings


def test_inputs_are_those_of_the_network() -> None:
    spec = tncompile.load("std/embedding.tn")
    network = spec.instantiate("TTEmbedding(rows = [4, 5], columns = [2, 3])").network
    (ids,) = random_inputs(network, {"...": 50})
    assert ids.shape == (50,)
    assert ids.dtype == torch.int64
    assert 0 <= int(ids.min()) <= int(ids.max()) < 20
    (x,) = random_inputs(small.low_rank(8, 4, 2), {"...": 3})
    assert x.shape == (3, 8)
    assert torch.equal(x, random_inputs(small.low_rank(8, 4, 2), {"...": 3})[0])


def test_modules_that_differ_are_noticed() -> None:
    one, same, other = (torch.nn.Linear(3, 2) for _ in range(3))
    same.load_state_dict(one.state_dict())
    x = torch.randn(5, 3)
    for mode in ("training", "inference"):
        assert disagreeing([one, same], [x], mode) is None
        assert disagreeing([one, same, other], [x], mode) == 2

    class Detached(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.detach())

    apart = Detached(3, 2)
    apart.load_state_dict(one.state_dict())
    given = x.clone().requires_grad_()
    assert disagreeing([one, apart], [given], "inference") is None
    assert disagreeing([one, apart], [given], "training") == 1


SIGNED = """network Net() {
  index i[k in 0..4] = [8, 8, 2, 8][k]
  index o[k in 0..4] = [8, 4, 2, 4][k]
  bond p[k in 0..4] = 2
  bond q[k in 0..4] = 3
  input x(..., (i[*]))
  tensor U[k in 0..4](i[k], p[k])
  tensor K((p[*]), q[*])
  tensor W[k in 0..4](q[k], o[k])
  output y(..., (o[*]) as 50) log
}"""

SHARED = """network Net() {
  index s[k in 0..6] = 4
  bond b[k in 0..7] = 4
  input x(..., k in 0..6, s[k])
  tensor First(b[0])
  tensor A[k in 0..6](b[k], s[k], b[k + 1]) share k
  tensor Last(b[6])
  output y(...) log
}"""

ADAPTER = """network Net() {
  index i = 4, o = 4
  bond b = 4
  input x(..., i)
  tensor A(i, b)
  tensor B(b, o) init zeros
  output y(..., o)
}"""


def built(network: TensorNetwork, found: Sequence[TensorProgram]) -> list[torch.nn.Module]:
    """Modules of several programs, with equal parameters."""
    planned, start = plan(network, batch=4, search="fast"), initialize(network, norm_program)
    return [
        instantiate(emit(network, planned, Branches.single(one), start), seed=0) for one in found
    ]


def ways(network: TensorNetwork) -> list[TensorProgram]:
    """The programs of a few orders of contraction."""
    sizes = {"...": 4}
    problem = contraction_problem(network, operands(network), sizes)
    found = candidates(network, operands(network), problem, EFFORTS["fast"])
    return [lower(network, one.tree, sizes=sizes) for one in found[:4]]


def test_sound_programs_agree_whatever_the_draw() -> None:
    """Gradients of a logarithm are steep near zeros: in float32 no two orders agree there."""
    network = tncompile.loads(SIGNED).instantiate().network
    modules = built(network, ways(network))
    assert len(modules) > 1
    inputs = random_inputs(network, {"...": 4})
    for seed in range(20):
        torch.manual_seed(seed)
        for parameter in modules[0].parameters():
            torch.nn.init.normal_(parameter, std=10 ** (seed % 5 - 2))
        for module in modules[1:]:
            module.load_state_dict(modules[0].state_dict())
        given = [torch.randn_like(x).requires_grad_() for x in inputs]
        assert disagreeing(modules, given, "training") is None
    assert disagreeing(modules, inputs, "folded") is None


def miscounted(program: TensorProgram) -> TensorProgram:
    """The program with one factor too few in a sum of logarithms."""
    wrong = next(k for k, one in enumerate(program.steps) if isinstance(one.operation, Times))
    operation = program.steps[wrong].operation
    assert isinstance(operation, Times)
    step = replace(program.steps[wrong], operation=replace(operation, count=operation.count - 1))
    steps = (*program.steps[:wrong], step, *program.steps[wrong + 1 :])
    return replace(program, steps=steps)


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_program_is_found(mode: Mode) -> None:
    network = tncompile.loads(SHARED).instantiate().network
    one, other, *_ = ways(network)
    inputs = random_inputs(network, {"...": 4})
    assert disagreeing(built(network, [one, other, one]), inputs, mode) is None
    assert disagreeing(built(network, [one, other, miscounted(one)]), inputs, mode) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_program_is_found_behind_a_factor_of_zeros(mode: Mode) -> None:
    network = tncompile.loads(ADAPTER).instantiate().network
    other = tncompile.loads(ADAPTER.replace("A(i, b)", "A(b, i)")).instantiate().network
    inputs = random_inputs(network, {"...": 4})
    modules = [*built(network, ways(network)[:1]), *built(other, ways(other)[:1])]
    assert not modules[0](*inputs).any()
    assert disagreeing(modules, inputs, mode) == 1


def test_tuning_is_stopped_by_a_wrong_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from tncompile import compiler

    made: list[torch.nn.Module] = []

    def emitted(
        network: TensorNetwork,
        planned: ContractionPlan,
        held: Branches,
        start: Initialization,
        **options: Any,
    ) -> GeneratedModule:
        made.append(torch.nn.Module())
        program = miscounted(held.whole) if len(made) == 2 else held.whole
        return emit(network, planned, Branches.single(program), start, **options)

    monkeypatch.setattr(compiler, "emit", emitted)
    with pytest.raises(InternalError, match="computes something else than"):
        tncompile.loads(SHARED).instantiate().tune(4, training=True, seconds=0.01)
    assert len(made) > 1


def test_time_that_others_take_is_noticed() -> None:
    """Whoever sleeps has no processor, as somebody whose processor others have."""
    slept, worked = time_in_turn([lambda: time.sleep(0.01), lambda: sum(range(20_000))], 0.05)
    assert slept.share < 0.5
    assert worked.share > slept.share
