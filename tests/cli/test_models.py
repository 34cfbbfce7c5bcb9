"""Commands on models: what they show, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tncompile.cli.application import run

MODEL = '''import "std/linear.tn" { MPO }

"""Two maps with a nonlinearity between."""
model Two(width: int = 32, hidden: int = 64) {
  part up = MPO(ins = [4, width // 4], outs = [8, hidden // 8], ranks = 4)
  part down = Linear(hidden, width)
  batch t
  require t % 2 == 0, "pairs"
  input x(..., t, width)
  output x |> up |> gelu |> down
}

model Over(inner: part) {
  input x(..., 32)
  output inner(x)
}

model Wide(width: int) {
  part map = Linear(width, width)
  input x(..., width)
  output map(x)
}
'''


@pytest.fixture
def models(folder: Path) -> Path:
    (folder / "two.tn").write_text(MODEL, encoding="utf-8")
    return folder


def test_check_instantiates_models(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "two.tn"]) == 0
    said = capsys.readouterr().err
    assert said == (
        "1 file checked: no errors (1 block needs arguments: --with 'NAME(…)' instantiates one)\n"
    )
    wrong = MODEL.replace("Linear(hidden, width)", "Linear(hidden + 1, width)")
    (models / "two.tn").write_text(wrong, encoding="utf-8")
    assert run(["check", "two.tn"]) == 1
    assert "error[TN601]" in capsys.readouterr().err
    assert run(["check", "two.tn", "--with", "Wide(width = 4)"]) == 0


@pytest.mark.parametrize("stage", ["program", "model", "plan", "torch"])
def test_every_stage_of_a_model_can_be_printed(
    models: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    options = ["--batch", "2", "--size", "t=8", "--search", "fast"]
    assert run(["compile", "two.tn", "Two", "--emit", stage, *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    wanted = {"program": "model Two", "model": "part   up = MPO", "plan": "plan of MPO"}
    assert wanted.get(stage, "class Two(nn.Module)") in out


def test_plans_of_models_are_kept(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["compile", "two.tn", "Two", "--batch", "2", "--size", "t=8", "--search", "fast"]
    assert run([*call, "-o", "one.py", "--lock"]) == 0
    assert (models / "two.tnlock").exists()
    assert run([*call, "-o", "again.py"]) == 0
    assert (models / "one.py").read_text() == (models / "again.py").read_text()


def test_cost_of_a_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["cost", "two.tn", "Two", "--batch", "2", "--size", "t=8", "--search", "fast"]
    assert run(call) == 0
    table, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, table.splitlines())) <= 100
    for text in ("up", "MPO(ins = [4, 8]", "Linear(64, 32)", "saved activations", "nn.Linear"):
        assert text in table
    assert run([*call, "--training", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["sizes"] == {"...": 2, "t": 8}
    assert stored["mode"] == "training"
    assert [part["name"] for part in stored["root"]["parts"]] == ["up", "down"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("cost two.tn Two", "the size `t` of Two has no usual value; give one: --size t=64"),
        ("cost two.tn Two --size t=7", "pairs: `t % 2 == 0` is false (t = 7)"),
        ("cost two.tn Two --size q=7", "--size: `q` is no run-time size of Two (it has `t`)"),
        ("compile two.tn Two --size q=7", "--size: `q` is no run-time size of Two"),
        ("compile two.tn Two --emit network", "--emit takes program, model, plan, torch for a mod"),
        ("compile two.tn Two --emit nonsense", "--emit takes program, network, plan"),
        ("compile map.tn --emit model", "for a network, not 'model'"),
        ("compile two.tn Two --shard x", "--shard is about a leg of one network"),
        ("compile two.tn Two --channels-last", "--channels-last is for one network"),
        ("explain-slow two.tn Two", "explain-slow is for networks, and Model(Two) is a model"),
    ],
)
def test_wrong_usage_of_models(
    models: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert run(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_tuning_a_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["tune", "two.tn", "Two", "--batch", "2", "--size", "t=8", "--seconds", "0.2"]
    assert run([*call, "--search", "fast", "--anyway", "--json"]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == ["MPO(ins = [4, 8], outs = [8, 8], ranks = [4])"]
    assert "kept in two.tnlock" in err
    assert run(["tune", "two.tn", "Wide(width = 4)", "--seconds", "0.2"]) == 0
    assert "has no networks: there is nothing to measure" in capsys.readouterr().err


def test_blocks_lists_models(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["blocks", "two.tn"]) == 0
    out = capsys.readouterr().out
    assert "model Two(width: int = 32, hidden: int = 64)\n    Two maps with a nonlinearity" in out
    assert "model Over(inner: part)" in out
