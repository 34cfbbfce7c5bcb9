"""Measured plans and `explain-slow`: what is run, that it agrees, what is said; no times."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import tncompile
from tests.support import small_networks as small
from tncompile.cli.application import run
from tncompile.cli.changing import changes
from tncompile.compiler import norm_program
from tncompile.emission import GeneratedModule, emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import Initialization, initialize
from tncompile.language.diagnostics.errors import InternalError
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.host import threads
from tncompile.network.contraction import ContractionTree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning import BUILTIN, Variant, plan
from tncompile.planning.lock import read_lock
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.plan import ContractionPlan
from tncompile.program.interpreter import RowMajorGradient, time_steps
from tncompile.program.interpreter import run_program as interpret
from tncompile.program.operations import ContiguousGrad, Times
from tncompile.program.variants import Branches
from tncompile.simulation.dense_layer import Twin, dense_twin
from tncompile.simulation.modes import MODES, Mode
from tncompile.tuning.profiler import profile_steps
from tncompile.tuning.results import Trial, Tuning
from tncompile.tuning.timing import Timing, dense_layer, disagreeing, random_inputs, time_in_turn

LAYER = """\
network Layer(ins: int[n] = [4, 6], outs: int[n] = [6, 4], rank: int = 4) {
  index i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
  bond b = rank
  input x(..., (i[*]))
  tensor A(i[0], o[0], b)
  tensor B(b, i[1], o[1])
  output y(..., (o[*]))
}
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run beside each other."""
    with threads(1):
        yield


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings are those of a machine on which nothing else runs, whatever runs on this one."""
    from tncompile.tuning import autotuner as tuning

    def steady(*given: Any, **named: Any) -> tuple[Timing, ...]:
        found = time_in_turn(*given, **named)
        return tuple(readings(one.seconds, 0.01, one.readings) for one in found)

    monkeypatch.setattr(tuning, "time_in_turn", steady)


def readings(seconds: float, spread: float, count: int = 9, share: float = 1.0) -> Timing:
    """What some readings around a median come to."""
    half = seconds * spread / 2
    return Timing(seconds, seconds - half, seconds + half, count, share)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with one file in it."""
    (tmp_path / "layer.tn").write_text(LAYER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ── running things ──────────────────────────────────────────────────────────────────────────────


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


NETWORKS = {
    "mpo": small.mpo([4, 6, 8], [8, 6, 4], 6),
    "mps": small.mps(12, 2, 5, 3),
    "long mps": small.mps(80, 2, 4, 3),
    "tree": small.tree(8, 3, 4, 5),
    "norm": small.norm(8, 3),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_timed_steps_compute_what_the_program_says(name: str, training: bool) -> None:
    network = NETWORKS[name]
    planned = plan(network, batch=32, search="fast")
    weights = {p.key: torch.randn(p.shape) for p in network.parameters}
    inputs = random_inputs(network, planned.sizes)
    given = {one.name: value for one, value in zip(network.inputs, inputs, strict=True)}
    for variant in planned.variants:
        program = lower(network, variant.tree, variant.schedule, sizes=planned.sizes)
        made, spent = time_steps(
            network, program, weights, inputs, planned.sizes, training=training
        )
        due = interpret(network, program, weights, given)
        torch.testing.assert_close(made, due[0] if isinstance(due, tuple) else due)
        assert len(spent) == len(program.steps)
        assert all(one.forward >= 0 and one.backward >= 0 for one in spent)
        assert training or all(one.backward == 0 for one in spent)


def test_gradients_are_settled_as_in_a_module() -> None:
    network = tncompile.load("std/linear.tn").instantiate(
        "Monarch(ins = [64, 64], outs = [64, 64])"
    )
    program = lower(network.network, *_settling(network.plan(256)), sizes={"...": 8})
    assert any(isinstance(step.operation, ContiguousGrad) for step in program.steps)
    weights = {p.key: torch.randn(p.shape) for p in network.network.parameters}
    inputs = random_inputs(network.network, {"...": 8})
    made, spent = time_steps(network.network, program, weights, inputs, {"...": 8}, training=True)
    given = {network.network.inputs[0].name: inputs[0]}
    due = interpret(network.network, program, weights, given)
    assert isinstance(due, torch.Tensor)
    torch.testing.assert_close(made, due)
    assert sum(one.backward for one in spent) > 0


def test_a_gradient_that_is_settled_is_the_same_row_major() -> None:
    x = torch.randn(3, 4, 5, requires_grad=True)
    arriving = torch.randn(5, 3, 4).permute(1, 2, 0)
    made = RowMajorGradient.apply(x)
    assert torch.equal(made, x)
    (gradient,) = torch.autograd.grad(made, x, arriving)
    assert gradient.is_contiguous()
    assert torch.equal(gradient, arriving)


def _settling(planned: ContractionPlan) -> tuple[ContractionTree, Schedule]:
    """What is run in training steps, its first contraction settled whether it needs it or not."""
    variant = planned.variant(256, "training")
    return variant.tree, replace(variant.schedule, settled=variant.schedule.settled or (0,))


def test_a_loop_is_timed_as_a_whole() -> None:
    network = small.mpo([8, 8], [8, 8], 4)
    planned = plan(network, batch=64, search="fast")
    schedule = type(planned.main.schedule)(rows=16)
    program = lower(network, planned.main.tree, schedule, sizes=planned.sizes)
    assert program.loop is not None
    weights = {p.key: torch.randn(p.shape) for p in network.parameters}
    inputs = random_inputs(network, {"...": 50})
    made, _ = time_steps(network, program, weights, inputs, {"...": 50}, training=True)
    straight = lower(network, planned.main.tree, sizes=planned.sizes)
    due = interpret(network, straight, weights, {network.inputs[0].name: inputs[0]})
    assert isinstance(due, torch.Tensor)
    torch.testing.assert_close(made, due)


def test_rows_are_those_of_the_cost_table() -> None:
    network = NETWORKS["mpo"]
    planned = plan(network, batch=32, search="fast")
    main = planned.main
    program = lower(network, main.tree, main.schedule, sizes=planned.sizes)
    weights = {p.key: torch.randn(p.shape) for p in network.parameters}
    inputs = random_inputs(network, planned.sizes)
    rows = profile_steps(
        network,
        main.tree,
        main.schedule,
        program,
        weights,
        inputs,
        planned.sizes,
        BUILTIN,
        "training",
    )
    steps = main.cost.steps
    assert [row.result for row in rows[: len(steps)]] == [step.result for step in steps]
    assert sum(row.flops for row in rows) == main.cost.flops


# ── tuning ──────────────────────────────────────────────────────────────────────────────────────


def tuned_plan(path: Path) -> ContractionPlan:
    """The one plan of a lock file."""
    (entry,) = read_lock(path).entries.values()
    return entry.plan


def test_tuning_is_kept_and_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tune", "layer.tn", "--batch", "1,64", "--seconds", "0.01", "--training"]
    assert run(command) == 0
    text = capsys.readouterr().out
    assert "training step, batch 1 " in text
    assert "folded forward pass, batch 64" in text
    assert "predicted    measured  spread" in text
    assert "chosen" in text
    for block in text.split("\n\n")[1:-1]:
        rows = [line.split("  ")[0] for line in block.splitlines()]
        assert len(set(rows)) == len(rows), block
    assert sorted(path.name for path in folder.iterdir()) == ["layer.tn", "layer.tnlock"]
    planned = tuned_plan(folder / "layer.tnlock")
    assert planned.tuned is not None
    assert "torch" in planned.tuned
    assert any("measured" in variant.reason for variant in planned.variants)

    assert run(["compile", "layer.tn", "--batch", "8"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["compile", "layer.tn", "--search", "fast", "--machine", "cuda"]) == 0
    assert "note" not in capsys.readouterr().err  # another device, another plan
    assert run(["compile", "layer.tn", "--search", "fast"]) == 0
    assert "--search changes nothing: the lock file has a plan" in capsys.readouterr().err
    arch = tncompile.load("layer.tn").instantiate()  # as the command line: without any option
    assert arch.plan(8) == planned.with_batch(8)
    assert arch.plan(8).notes == ()
    assert arch.lock == folder / "layer.tnlock"
    assert "layer.tnlock" in repr(arch)
    assert f"measured on {planned.tuned}" in " ".join(arch.source().replace("#", "").split())
    assert arch.unlocked().plan(8).tuned is None
    assert arch.unlocked().lock is None
    assert arch.plan(8, minimize="memory") != planned.with_batch(8)
    before = (folder / "layer.tnlock").read_bytes()
    assert run(["compile", "layer.tn", "--lock"]) == 0
    assert (folder / "layer.tnlock").read_bytes() == before
    assert not json.loads(before)["plans"][0]["request"]["batch"]


def chosen_and_measured(tuning: Tuning, trial: Trial) -> Variant:
    """What runs at a measured size, once it is known to be among what was measured there."""
    chosen = tuning.plan.variant(trial.batch, trial.mode)
    measured = [(one.option.tree, one.option.schedule) for one in trial.tried]
    assert (chosen.tree, chosen.schedule) in measured
    return chosen


def test_an_architecture_follows_what_it_measured() -> None:
    arch = tncompile.loads(LAYER).instantiate()
    tuning = arch.tune((1, 16), seconds=0.01)
    assert {trial.mode for trial in tuning.trials} == {"inference", "folded"}
    assert arch.plan(5) == tuning.plan.with_batch(5)
    module = arch.module(batch=5, seed=0)
    assert module(torch.randn(5, 24)).shape == (5, 24)
    for trial in tuning.trials:
        assert 1 <= len(trial.tried) <= 6
        assert trial.fastest in trial.tried
        predicted = [one.predicted for one in trial.tried]
        assert predicted == sorted(predicted)
        chosen_and_measured(tuning, trial)


def test_what_is_chosen_at_a_measured_size_was_measured_there() -> None:
    """Estimates of what was not run do not win against what was, however near."""
    arch = tncompile.load("std/linear.tn").instantiate("MPO(ins = [4, 6, 4], outs = [6, 4, 4])")
    tuning = arch.tune((1, 64), training=True, seconds=0.05)
    for trial in tuning.trials:
        chosen = chosen_and_measured(tuning, trial)
        if f" at {trial.batch}" in chosen.reason:
            assert ": measured " in chosen.reason


# ── on a busy machine ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.2])
def test_what_measured_worse_is_never_chosen(
    monkeypatch: pytest.MonkeyPatch, spread: float, seed: int
) -> None:
    """Whichever program is fastest at a size, however many sizes there are."""
    from tncompile.tuning import autotuner as tuning

    drawn = Random(seed)

    def made_up(actions: list[object], budget: float, **named: object) -> tuple[Timing, ...]:
        return tuple(readings(drawn.uniform(1.0, 1.3), spread) for _ in actions)

    monkeypatch.setattr(tuning, "time_in_turn", made_up)
    monkeypatch.setattr(tuning, "disagreeing", lambda *given: None)
    arch = tncompile.loads(LAYER).instantiate()
    result = arch.tune([1, 2, 5, 20, 100, 300], search="fast", training=True)
    assert len(result.trials) == 18
    assert result.busy is None
    for trial in result.trials:
        chosen, best = result.chosen(trial).timing.seconds, trial.fastest.timing
        assert chosen <= min(best.high, 1.05 * best.seconds)
        if not spread:
            assert chosen == best.seconds
    rows = [line for line in repr(result).splitlines() if "  chosen" in line]
    assert len(rows) == 18
    stored = result.to_dict()["trials"]
    assert isinstance(stored, list)
    for trial, one in zip(result.trials, stored, strict=True):
        assert [row["spread"] for row in one["tried"]] == pytest.approx([spread] * len(trial.tried))
        assert sum(row["chosen"] for row in one["tried"]) == 1


BUSY = {
    "others took 40 % of the processor's time": readings(1e-3, 0.02, share=0.6),
    "half of the readings of one program lie 60 % apart": readings(1e-3, 0.6),
}


@pytest.mark.parametrize("why", BUSY)
def test_a_busy_machine_is_said_and_nothing_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    from tncompile.tuning import autotuner as tuning

    rounds: list[int] = []

    def disturbed(actions: list[object], budget: float, **named: object) -> tuple[Timing, ...]:
        rounds.append(len(actions))
        return tuple(BUSY[why] for _ in actions)

    monkeypatch.setattr(tuning, "time_in_turn", disturbed)
    assert run(["tune", "layer.tn", "--search", "fast"]) == 0
    shown = capsys.readouterr()
    assert f"the machine was busy: {why}" in shown.out
    assert "kept in" not in shown.out
    assert f"nothing is kept: the machine was busy ({why})" in shown.err
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]
    assert len(rounds) == 4  # inference and folded, each measured once more

    arch = tncompile.load("layer.tn").instantiate().locked()
    assert arch.tune(search="fast").busy == why
    assert arch.plan(search="fast").tuned is None
    assert arch.tune(search="fast", anyway=True).busy == why
    assert arch.plan(search="fast").tuned is not None

    assert run(["tune", "layer.tn", "--search", "fast", "--anyway", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["busy"] == why
    assert "kept in layer.tnlock" in shown.err
    assert (folder / "layer.tnlock").exists()


def test_what_was_held_up_once_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from tncompile.tuning import autotuner as tuning

    shares = iter([0.5, 1.0, 1.0])

    def measured(actions: list[object], budget: float, **named: object) -> tuple[Timing, ...]:
        share = next(shares)
        return tuple(readings(1e-3, 0.02, share=share) for _ in actions)

    monkeypatch.setattr(tuning, "time_in_turn", measured)
    assert tncompile.loads(LAYER).instantiate().tune(search="fast").busy is None
    assert next(shares, None) is None


def test_time_that_others_take_is_noticed() -> None:
    """Whoever sleeps has no processor, as somebody whose processor others have."""
    slept, worked = time_in_turn([lambda: time.sleep(0.01), lambda: sum(range(20_000))], 0.05)
    assert slept.share < 0.5
    assert worked.share > slept.share


def test_programs_that_disagree_are_our_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    from tncompile.tuning import autotuner as tuning

    monkeypatch.setattr(tuning, "disagreeing", lambda *given: 0)
    with pytest.raises(InternalError, match="computes something else than"):
        tncompile.loads(LAYER).instantiate().tune(4, seconds=0.01)


def test_an_interrupted_tuning_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tncompile.tuning import autotuner as tuning

    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "time_in_turn", interrupted)
    assert run(["tune", "layer.tn", "--seconds", "0.01"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]


WRONG = [
    ("tune layer.tn --batch 0", "--batch takes positive integers"),
    ("tune layer.tn --batch 1,,2", "--batch takes positive integers"),
    ("tune layer.tn --seconds nan", "--seconds takes a positive number"),
    ("tune layer.tn --seconds -1", "--seconds takes a positive number"),
    ("tune layer.tn --seconds soon", "--seconds takes a positive number"),
    ("tune layer.tn --threads 0", "--threads takes a positive integer"),
    ("tune layer.tn --threads 99999", "--threads takes up to 1,024"),
    ("tune layer.tn --lock nowhere/a.tnlock", "its folder cannot be written"),
    ("tune layer.tn --lock .", "cannot read the lock file"),
    ("tune layer.tn --lock layer.tn", "is the file that is tuned"),
    ("tune std/linear.tn Monarch --seconds 1", "--lock LOCK says where"),
    ("tune layer.tn --machine nowhere.json", "there is no machine profile"),
    ("compile layer.tn --machine nowhere.json", "there is no machine profile"),
    ("cost layer.tn --machine layer.tn", "is no machine profile"),
    ("cost layer.tn --memory-limit lots", "--memory-limit takes bytes"),
    ("compile layer.tn --memory-limit 0", "--memory-limit takes bytes"),
    ("explain-slow layer.tn --batch many", "--batch takes a positive integer"),
    ("explain-slow layer.tn --size n=2", "--size names no `batch` axis"),
    ("explain-slow layer.tn --seconds 0", "--seconds takes a positive number"),
    ("explain-slow nowhere.tn", "cannot read nowhere.tn"),
]


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command for command, _ in WRONG])
def test_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, message: str
) -> None:
    assert run(command.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") <= 2
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]


@pytest.mark.parametrize("command", ["tune", "explain-slow", "compile", "cost"])
def test_a_target_that_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run([command, "layer.tn", "Leyer"]) == 1
    assert "error[TN" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compile", "cost", "tune"])
def test_a_limit_that_nothing_keeps_to(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run([command, "layer.tn", "--memory-limit", "1K"]) == 1
    assert "error[TN502]" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]


# ── explain-slow ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("training", [False, True])
def test_explain_slow(folder: Path, capsys: pytest.CaptureFixture[str], training: bool) -> None:
    command = ["explain-slow", "layer.tn", "--batch", "16", "--seconds", "0.01", "--threads", "1"]
    assert run([*command, *(["--training"] if training else [])]) == 0
    text = capsys.readouterr().out
    assert ("backward" in text) is training
    assert ("fold() it" in text) is not training
    assert "dense nn.Linear" in text
    assert "of a product of 1024³" in text
    assert "a batch of 64 " in text
    assert "rank = 2 " in text
    assert "× the parameters" in text
    assert max(map(len, text.splitlines())) <= 110


def test_explain_slow_says_that_a_machine_is_busy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tncompile.cli import slow_report

    shares = [0.5]

    def measured(actions: list[object], *given: object, **named: object) -> tuple[Timing, ...]:
        return tuple(readings(1e-3, 0.02, share=shares[0]) for _ in actions)

    monkeypatch.setattr(slow_report, "time_in_turn", measured)
    assert run(["explain-slow", "layer.tn", "--seconds", "0.01"]) == 0
    assert "The machine was busy: others took 50 % of the proc" in capsys.readouterr().out
    shares[0] = 1.0
    assert run(["explain-slow", "layer.tn", "--seconds", "0.01"]) == 0
    assert "busy" not in capsys.readouterr().out


def test_explain_slow_without_a_dense_equivalent(capsys: pytest.CaptureFixture[str]) -> None:
    target = "MPSClassifier(sites = 6, rank = 3, classes = 4)"
    assert run(["explain-slow", "std/classifier.tn", target, "--seconds", "0.01"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "no dense layer to compare it with: a dense map of the 6 slices of `x`" in text


def test_explain_slow_of_a_bilinear_block(capsys: pytest.CaptureFixture[str]) -> None:
    target = "BilinearTN(12, 20, 6, rank = 3)"
    assert run(["explain-slow", "std/linear.tn", target, "--seconds", "0.01"]) == 0
    assert "dense nn.Bilinear" in capsys.readouterr().out
    twin = dense_twin(tncompile.load("std/linear.tn").instantiate(target).network, {"...": 4})
    assert isinstance(twin, Twin)
    with torch.profiler.profile() as seen:
        dense_layer(twin, "inference")()
    assert "aten::bilinear" in {event.name for event in seen.events()}


def test_changes_keep_what_goes_in_and_out() -> None:
    spec = tncompile.load("std/linear.tn")
    arch = spec.instantiate("MPO(ins = [8, 8], outs = [8, 8], ranks = 6)")
    found = changes(spec, arch)
    assert found[0].words == "ranks = [4]"
    assert found[0].parameters < 1
    assert any(change.words.startswith("ins = [4, 4, 4]") for change in found)
    for change in found:
        network: TensorNetwork = change.architecture.network
        assert network.inputs[0].axes[-1].length == 64
