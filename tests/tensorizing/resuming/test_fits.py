"""Runs that were killed go on: the same model to the bit, nothing fitted twice, damage said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import FULL, GPT2, Mixtral, Padded, rewrite_text, seeded
from tncompile.tensorizing.replacing import tensorized
from tncompile.tensorizing.replacing.tensorized import Tensorized

ROOT = Path(__file__).parents[3]

LINES = """
  embedding "wte" -> TTEmbedding(ranks = 3)
  conv1d "*.c_attn" -> MPO(ins = [2, 4], outs = [6, 4], ranks = 3)
  conv1d "*"        -> LowRank
"""

KILLED = """
import os, signal, sys
import tncompile
from tests.tensorizing.replacing.models import gpt2, rewrite_text

def progress(done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

rewrite = tncompile.Rewrite.loads(rewrite_text(sys.argv[2]))
tncompile.tensorize(gpt2(), rewrite, tolerance=0.5, checkpoint=sys.argv[1], progress=progress)
"""


def run(checkpoint: Path | None, lines: str = LINES, **options: object) -> Tensorized:
    rewrite = tncompile.Rewrite.loads(rewrite_text(lines))
    options = {"tolerance": 0.5, **options}
    return tncompile.tensorize(seeded(GPT2), rewrite, checkpoint=checkpoint, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> Tensorized:
    """What a run that nothing interrupts ends with."""
    return run(None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run left that was killed before its fifth layer."""
    folder = tmp_path_factory.mktemp("kept") / "fits"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), LINES], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    return folder


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of layers that are fitted."""
    names: list[str] = []
    made = tensorized._made

    def noted(each: object, choice: object) -> object:
        names.append(each.layer.name)  # type: ignore[attr-defined]
        return made(each, choice)  # type: ignore[arg-type]

    monkeypatch.setattr(tensorized, "_made", noted)
    return names


def require_same(first: Tensorized, second: Tensorized) -> None:
    assert first.report == second.report
    ours, theirs = first.model.state_dict(), second.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    for (name, one), (_, other) in zip(
        first.model.named_parameters(), second.model.named_parameters(), strict=True
    ):
        assert (one.dtype, one.requires_grad) == (other.dtype, other.requires_grad), name


def test_a_killed_run_goes_on_to_the_same_end(
    folder: Path, whole: Tensorized, fitted: list[str]
) -> None:
    before = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(before) == 4
    require_same(run(folder), whole)
    assert len(fitted) == len(whole.report.rows) - 4
    assert set(before) < {path.name for path in folder.glob("*.safetensors")}
    fitted.clear()
    require_same(run(folder), whole)
    assert fitted == []


@pytest.mark.parametrize("cls", [Padded, Mixtral])
def test_all_kinds_of_layers_come_back(cls: type[nn.Module], tmp_path: Path) -> None:
    model = seeded(cls).to(torch.bfloat16).train()
    next(model.parameters()).requires_grad_(False)
    rewrite = tncompile.Rewrite.loads(rewrite_text(FULL[cls]))
    first, second = (
        tncompile.tensorize(model, rewrite, checkpoint=tmp_path / "fits") for _ in range(2)
    )
    require_same(first, second)
    require_same(first, tncompile.tensorize(model, rewrite))
    assert all(module.training for module in second.model.modules())


@pytest.mark.parametrize(
    ("lines", "options", "again"),
    [
        (LINES, {"seed": 1}, ["wte", "h.0.attn.c_attn", "h.0.attn.c_proj", "h.0.c_fc"]),
        (LINES, {"tolerance": 0.4}, ["h.0.attn.c_proj", "h.0.c_fc"]),
        (LINES.replace("ranks = 3", "ranks = 2"), {}, ["wte", "h.0.attn.c_attn"]),
    ],
)
def test_what_other_options_decide_on_is_fitted_anew(
    lines: str, options: dict[str, object], again: list[str], folder: Path, fitted: list[str]
) -> None:
    run(folder, lines, **options)
    assert [name for name in fitted if name == "wte" or name in again] == again
    assert len(fitted) == len(again) + 5


def test_another_metric_is_fitted_anew(tmp_path: Path, fitted: list[str]) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    rewrite = tncompile.Rewrite.loads(rewrite_text('linear "*" -> LowRank(rank = 3)'))
    batches = [torch.randn(64, 6) for _ in range(2)]
    for batch in (None, *batches, batches[0]):
        moments = None if batch is None else tncompile.calibrate(model, [batch])
        tncompile.tensorize(model, rewrite, moments=moments, checkpoint=tmp_path)
    assert fitted == ["0", "1"] * 3
    with torch.no_grad():
        model[1].bias.add_(1)
    tncompile.tensorize(model, rewrite, checkpoint=tmp_path)
    assert fitted == ["0", "1"] * 3 + ["1"]


def _rewritten(change: Callable[[dict[str, torch.Tensor], dict[str, str]], object]) -> object:
    def edit(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata())
        tensors = load_file(path)
        change(tensors, metadata)
        save_file(tensors, path, metadata)

    return edit


def _bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


DAMAGE: dict[str, tuple[object, str]] = {
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-9]), "no whole file of safetensors"),
    "empty": (lambda p: p.write_bytes(b""), "no whole file of safetensors"),
    "a pickle": (lambda p: torch.save({}, p), "no whole file of safetensors"),
    "a bit": (_bit, "its tensors are not those that were written"),
    "no words": (_rewritten(lambda t, m: m.clear()), "it is of another layer"),
    "no fit": (_rewritten(lambda t, m: m.update(fit="[]")), "says nothing of the fit"),
    "no errors": (
        _rewritten(lambda t, m: m.update(fit=json.dumps({"ranks": {}, "error": "0"}))),
        "its errors are no numbers",
    ),
    "ranks of text": (
        _rewritten(lambda t, m: m.update(fit='{"ranks": {"rank": "b"}, "error": 0.5}')),
        "its ranks are no numbers",
    ),
    "other ranks": (
        _rewritten(lambda t, m: m.update(fit='{"ranks": {"what": 1}, "error": 0.5}')),
        "is damaged, its layer is fitted anew",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_said_and_fitted_anew(
    case: str, folder: Path, whole: Tensorized, fitted: list[str]
) -> None:
    change, words = DAMAGE[case]
    path = sorted(folder.glob("*.safetensors"))[0]
    change(path)  # type: ignore[operator]
    with pytest.warns(UserWarning, match=words):
        require_same(run(folder), whole)
    assert len(fitted) == len(whole.report.rows) - 3
    assert path.exists()


def test_a_huge_rank_is_not_made(folder: Path, whole: Tensorized) -> None:
    def change(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        fit = json.loads(metadata["fit"])
        if fit["ranks"]:
            fit["ranks"] = dict.fromkeys(fit["ranks"], 10**9)
            found.append(1)
        metadata["fit"] = json.dumps(fit)

    found: list[int] = []
    for path in folder.glob("*.safetensors"):
        _rewritten(change)(path)  # type: ignore[operator]
    assert found
    with pytest.warns(UserWarning, match="is larger than what is stored"):
        require_same(run(folder), whole)


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(ValueError, match=r"holds 'thesis\.txt': fits are kept in a folder alone"):
        run(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        run(tmp_path / "thesis.txt")
    assert os.listdir(tmp_path) == ["thesis.txt"]
