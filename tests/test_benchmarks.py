"""The benchmarks check what they time, and report it; nothing here looks at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import emitted, plotting
from benchmarks.__main__ import main
from benchmarks.contenders import tensorly_torch
from benchmarks.contract import (
    Contender,
    Kind,
    Mode,
    Run,
    UnavailableError,
    Workload,
    in_order,
    in_sequence,
)
from benchmarks.measuring import settle_allocator, shuffled_rounds
from benchmarks.neighbors import Patience, now, others
from benchmarks.orderstudy import STUDIES, multiply_adds, timed, trees
from benchmarks.reporting import rank_correlation, report
from benchmarks.results import Measurement, Omission, Results, ToolSpeed, machine, read, write
from benchmarks.running import Effort, run_case
from benchmarks.summary import cases, share
from benchmarks.toolspeed import cotengra_alone, tool_speed
from benchmarks.workloads import ALL
from benchmarks.workloads.linear import by_hand, tensor_train

EFFORT = Effort(0.0, tries=1, patience=Patience(0.0), square=64)
INSTALLED = (Kind.OURS, Kind.HAND, Kind.DENSE)


def small(**changes: object) -> Workload:
    """A tensor train of 24 inputs and 30 outputs."""
    held = tensor_train("small", (2, 3, 4), (5, 3, 2), 3, batches=(1, 20))
    return replace(held, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("batch", [1, 20])
def test_a_case(mode: Mode, batch: int) -> None:
    found, omitted = run_case(small(), batch, mode, EFFORT, INSTALLED)
    names = [m.contender for m in found]
    assert {"tncompile", "nn.Linear"} <= set(names)
    assert any(m.kind is Kind.HAND for m in found)
    assert omitted == []
    assert ("tncompile, folded" in names) is (mode is Mode.INFERENCE)
    for m in found:
        assert m.seconds > 0
        assert m.lower <= m.seconds <= m.upper
        assert m.flops > 0
        assert m.peak_bytes is not None
        assert m.peak_bytes > 0
        assert m.error_float32 is not None
        assert m.error_float32 < 1e-5
    ours = next(m for m in found if m.contender == "tncompile")
    assert (ours.bare_seconds is not None) is (batch == 1 and mode is Mode.INFERENCE)
    assert (ours.error_bfloat16 is not None) is (mode is Mode.INFERENCE)


@pytest.mark.parametrize("mode", list(Mode))
def test_peers_agree(mode: Mode) -> None:
    pytest.importorskip("opt_einsum")
    found, omitted = run_case(small(), 6, mode, EFFORT)
    ran = {m.contender for m in found}
    assert {"torch.einsum", "opt_einsum", "cotengra"} <= ran
    for each in omitted:  # those that are not installed, and nobody else
        assert "is not installed" in each.reason
    assert not {each.contender for each in omitted} & ran


def wrong_sign(held: Sequence[Tensor]) -> Run:
    """The weight with another sign."""
    return lambda x: -(x @ held[0].view(4, 6))


def wrong_gradient(held: Sequence[Tensor]) -> Run:
    """The right output, half of it without a gradient."""
    return lambda x: x @ (held[0].detach() / 2 + held[0] / 2).view(4, 6)


def one_site(contender: Contender) -> Workload:
    """A dense map of 4 inputs and 6 outputs with one contender."""
    text = "network D() { index i = 4, o = 6 input x(..., i) tensor W(i, o) output y(..., o) }"
    return Workload(
        "one",
        "One",
        (replace(small().networks[0], spec=text.replace(" ", "\n"), target="D()"),),
        (3,),
        lambda batch, generator: (torch.randn(batch, 4, generator=generator),),
        lambda parameters, x: x @ parameters["W"],
        (contender,),
    )


def test_a_wrong_answer_is_not_timed() -> None:
    held = one_site(by_hand("wrong", wrong_sign))
    found, omitted = run_case(held, 3, Mode.INFERENCE, EFFORT)
    assert {m.kind for m in found} == {Kind.OURS}
    assert [o.contender for o in omitted] == ["by hand: wrong"]
    assert "its output is off by" in omitted[0].reason


def test_a_wrong_gradient_is_not_timed() -> None:
    held = one_site(by_hand("wrong", wrong_gradient))
    found, _ = run_case(held, 3, Mode.INFERENCE, EFFORT)
    assert {m.kind for m in found} == {Kind.OURS, Kind.HAND}
    found, omitted = run_case(held, 3, Mode.TRAINING, EFFORT)
    assert {m.kind for m in found} == {Kind.OURS}
    assert "the gradient of W is off by" in omitted[0].reason


def test_whoever_is_missing_or_fails_is_named() -> None:
    def missing(held: Sequence[Tensor]) -> Run:
        raise UnavailableError("such a thing is not installed")

    def failing(held: Sequence[Tensor]) -> Run:
        raise TypeError("no such shape")

    for build, reason in ((missing, "such a thing is not"), (failing, "TypeError: no such shape")):
        held = one_site(Contender("somebody", Kind.PEER, in_order, build))
        _, omitted = run_case(held, 3, Mode.INFERENCE, EFFORT)
        assert [o.contender for o in omitted] == ["somebody"]
        assert reason in omitted[0].reason


def test_maps_in_sequence() -> None:
    up = tensor_train("up", (2, 3), (4, 3), 2, batches=(5,))
    down = tensor_train("down", (4, 3), (2, 3), 2, batches=(5,))
    both = in_sequence("both", "Both", (up, down), between=torch.relu)
    for mode in Mode:
        found, omitted = run_case(both, 5, mode, EFFORT, INSTALLED)
        assert omitted == []
        assert {"tncompile", "nn.Linear"} <= {m.contender for m in found}


def test_bare_products_are_the_modules_own() -> None:
    held = small()
    module = emitted.module(held, 1)
    calls: list[str] = []
    with emitted.Recorder() as recorder, torch.no_grad():
        module(torch.randn(1, 24))
    calls = [str(func) for func, _ in recorder.calls]
    assert calls
    emitted.bare_products(module, (torch.randn(1, 24),))()


def test_reference_of_every_workload() -> None:
    """At the smallest batch sizes every module computes the map that the reference has."""
    for workload in ALL:
        if workload.name in SMALL_ENOUGH:
            kinds = (Kind.OURS, Kind.HAND)
            light = replace(EFFORT, memory=False, bfloat16=False)
            found, omitted = run_case(workload, 2, Mode.INFERENCE, light, kinds)
            assert omitted == [], workload.name
            assert len({m.kind for m in found}) == 2, workload.name


SMALL_ENOUGH = {
    "ring-1024-r8",
    "cp-1024-r64",
    "tensorly-torch-35",
    "opt-einsum-132",
    "opt-einsum-220",
}


def test_workloads_have_their_own_names() -> None:
    names = [workload.name for workload in ALL]
    assert len(set(names)) == len(names)
    assert any(workload.quick for workload in ALL)
    for workload in ALL:
        assert set(workload.quick) <= set(workload.batches)
        assert any(c.kind is Kind.HAND for c in workload.contenders)


def test_neighbors() -> None:
    since = now()
    sum(range(200_000))
    assert others(since) >= 0
    patience = Patience(0.5)
    patience.wait(window=0.1)
    assert patience.left <= 0.5


def test_rounds() -> None:
    from benchmarks.measuring import Step

    calls: list[str] = []
    steps = [Step(name, partial(calls.append, name)) for name in "abc"]
    settle_allocator()
    times = shuffled_rounds(steps, budget=0.0, least_rounds=3)
    assert set(times) == set("abc")
    assert all(t.samples == 3 and t.lower <= t.median <= t.upper for t in times.values())


def results() -> Results:
    """A few measurements of a tiny workload, and one of everything else."""
    found: list[Measurement] = []
    omitted: list[Omission] = []
    for mode in Mode:
        measured, left_out = run_case(small(), 3, mode, EFFORT, INSTALLED)
        found += measured
        omitted += left_out
    peer = replace(found[0], contender="somebody", kind=Kind.PEER, seconds=found[0].seconds * 2)
    compiled = replace(found[0], contender="tncompile, compiled", compiled=True)
    return Results(
        machine(),
        (*found, peer, compiled),
        (*omitted, Omission("small", "somebody else", "it has no trains")),
        (ToolSpeed("Chain", 10, 0.1, 0.2, 0.3, None),),
        tuple(timed(replace(STUDIES[0], batches=(2,)), 2, 0.0))[:3],
    )


@pytest.fixture(scope="module")
def measured() -> Results:
    return results()


def test_results_are_kept(measured: Results, tmp_path: Path) -> None:
    write(measured, tmp_path / "held.json")
    assert read(tmp_path / "held.json") == measured
    assert read(tmp_path / "nothing.json") == Results()
    again = replace(measured.measurements[0], seconds=1.0)
    merged = measured.merged(Results(measurements=(again,)))
    assert [m for m in merged.measurements if m.case == again.case] == [again]
    assert merged.tool == measured.tool


def test_report(measured: Results) -> None:
    page = report(measured, "picture.svg", {"small": "a remark"})
    for part in (
        "# Benchmarks",
        "![Speed-up against the best peer](picture.svg)",
        "## Against the targets",
        "| MPO 24 → 30, [2, 3, 4] → [5, 3, 2], rank 3 | 3 | inference |",
        "## Under torch.compile",
        "| Chain | 10 | 0.10 | 0.20 | 0.30 | – |",
        "| somebody else | small | it has no trains |",
        "A remark.",
    ):
        assert part in page
    assert "nan" not in page.lower()
    assert report(measured, "picture.svg", {"small": "a remark"}) == page
    assert report(Results(machine())).startswith("# Benchmarks")


def test_summary(measured: Results) -> None:
    inference = next(case for case in cases(measured) if case.mode is Mode.INFERENCE)
    assert inference.peer is not None
    assert inference.folded is not None
    assert inference.ours.seconds == min(inference.module.seconds, inference.folded.seconds)
    assert share(inference.module) > 0


def test_plot(measured: Results, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plotting.plot(measured, tmp_path / "picture.svg")
    assert "<svg" in (tmp_path / "picture.svg").read_text(encoding="utf-8")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    assert "monarch-4096" in capsys.readouterr().out
    page = tmp_path / "deep" / "page.md"
    given = ["--only", "tensorly-torch-35", "--quick", "--no-peers", "--modes", "inference"]
    main([*given, "--patience", "0", "--output", str(page)])
    assert "tensorly/torch#35" in page.read_text(encoding="utf-8")
    assert read(page.with_suffix(".json")).measurements
    first = page.read_text(encoding="utf-8")
    main(["--render", "--output", str(page)])
    assert page.read_text(encoding="utf-8") == first
    for wrong in (["--only", "nothing-of-the-kind"], ["--modes", "flying"]):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        assert stop.value.code == 2


def test_orders() -> None:
    study = STUDIES[0]
    paths = trees(study, 1)
    assert len(paths) <= 15  # of the fifteen trees over four tensors
    work = [multiply_adds(study, path, 1) for path in paths]
    assert work == sorted(work)
    assert rank_correlation([1, 2, 3], [10, 30, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_tool_speed() -> None:
    held = tool_speed("TreeClassifier", "sites", 6)
    assert held.tensors >= 6
    assert cotengra_alone("MPSClassifier", 6) is not None


def test_what_other_layers_hold() -> None:
    pytest.importorskip("tltorch")
    held = small()
    names = {c.name for c in tensorly_torch.block_train((2, 3, 4), (5, 3, 2), (3, 3))}
    found, _ = run_case(held, 4, Mode.TRAINING, EFFORT)
    assert names <= {m.contender for m in found}
