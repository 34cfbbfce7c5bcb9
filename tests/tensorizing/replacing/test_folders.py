"""Folders of tensorized models: whole or not at all, read in a fresh process, hostile ones."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import FULL, GPT2, IDS, INPUTS, rewrite_text, seeded
from tncompile.tensorizing.replacing import folders, weights
from tncompile.tensorizing.replacing.tensorized import Tensorized

ROOT = Path(__file__).parents[3]

LOSSY = """
  embedding "wte" -> TTEmbedding(ranks = 3)
  conv1d "*.c_attn" -> MPO(ins = [2, 4], outs = [6, 4], ranks = 3)
  conv1d "*"        -> LowRank(rank = in_features // 4)
"""


@pytest.fixture(scope="module")
def done() -> Tensorized:
    """A GPT-2 with a tied head."""
    return tncompile.tensorize(seeded(GPT2), tncompile.Rewrite.loads(rewrite_text(LOSSY)))


@pytest.fixture(scope="module")
def saved(done: Tensorized, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It in a folder."""
    folder = tmp_path_factory.mktemp("saved") / "small"
    done.save(folder, model="tests.tensorizing.replacing.models:gpt2")
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A folder of one's own with the same files."""
    for path in saved.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("cls", list(FULL))
def test_any_model_is_read_as_it_was_written(cls: type[nn.Module], tmp_path: Path) -> None:
    model = seeded(cls).to(torch.bfloat16) if cls is GPT2 else seeded(cls)
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(rewrite_text(FULL[cls])))
    done.save(tmp_path / "out")
    other = cls().train()
    before = {key: value.clone() for key, value in other.state_dict().items()}
    read = tncompile.load_model(tmp_path / "out", model=other)
    assert [*read.state_dict()] == [*done.model.state_dict()]
    for key, value in done.model.state_dict().items():
        assert torch.equal(read.state_dict()[key], value)
        assert read.state_dict()[key].dtype == value.dtype
    assert all(torch.equal(before[key], value) for key, value in other.state_dict().items())
    with torch.no_grad():
        assert torch.equal(read.eval()(INPUTS[cls]), done.model(INPUTS[cls]))


def test_ties_are_there_again(saved: Path) -> None:
    read = tncompile.load_model(saved, model=GPT2)
    assert torch.equal(read.lm_head.weight, read.wte.weight)
    with torch.no_grad():
        read.wte.G[0].mul_(2.0)  # type: ignore[union-attr,index]
    assert torch.equal(read.lm_head.weight, read.wte.weight)
    assert not any(name.startswith("lm_head") for name, _ in read.named_parameters())
    assert not any(key.startswith("lm_head") for key in load_file(saved / "model.safetensors"))


def test_a_fresh_process_reads_it(saved: Path, done: Tensorized) -> None:
    code = (
        "import sys, torch, tncompile\n"
        f"model = tncompile.load_model({str(saved)!r}, "
        "model='tests.tensorizing.replacing.models:gpt2')\n"
        f"print(model(torch.tensor({IDS.tolist()})).double().sum().item())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert float(ran.stdout) == pytest.approx(done.model(IDS).double().sum().item(), rel=1e-6)


def test_networks_can_be_compiled_and_sources_run(saved: Path) -> None:
    spec = tncompile.load(saved / "model.tn")
    own = [path.stem for path in (saved / "networks").iterdir()]
    assert len(own) == len([name for name in spec if spec[name].kind == "network"]) - 3
    for name in own:
        scope: dict[str, object] = {}
        exec((saved / "networks" / f"{name}.py").read_text("utf-8"), scope)
        (made,) = (v for v in scope.values() if getattr(v, "__name__", "") == name)
        shapes = {k: v.shape for k, v in spec.instantiate(name).module().state_dict().items()}
        assert shapes == {key: value.shape for key, value in made().state_dict().items()}  # type: ignore[operator]


def test_the_report_is_there(saved: Path, done: Tensorized) -> None:
    report = json.loads((saved / "report.json").read_text("utf-8"))
    assert report == json.loads(json.dumps(done.report.to_dict()))
    assert (saved / "report.txt").read_text("utf-8") == f"{done.report!r}\n"


def test_code_that_a_folder_names_is_not_run(saved: Path) -> None:
    with pytest.raises(ValueError, match=r"imported only if you say so: model='tests\.tens"):
        tncompile.load_model(saved)


@pytest.mark.parametrize("step", ["_read", "write_weights", "require_equal", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_save_leaves_nothing(
    done: Tensorized,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: type[BaseException],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise error

    place = {"_read": folders, "replace": os}.get(step, weights)
    monkeypatch.setattr(place, step, interrupted)
    with pytest.raises(error):
        done.save(tmp_path / "a" / "out")
    assert [*(tmp_path / "a").iterdir()] == []


def test_what_is_there_is_not_overwritten(done: Tensorized, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    for target in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match="is there already"):
            done.save(target)
    with pytest.raises(ValueError, match="named as `module:callable`"):
        done.save(tmp_path / "new", model="os.system")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Extra(nn.Module):
    """A model with state that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def get_extra_state(self) -> object:
        return {"more": 1}

    def set_extra_state(self, state: object) -> None:
        del state


def test_state_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    rewrite = tncompile.Rewrite.loads(rewrite_text('linear "*" -> LowRank(rank = 2)'))
    with pytest.raises(ValueError, match="'_extra_state' of the model is no tensor"):
        tncompile.tensorize(Extra(), rewrite).save(tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


class _Bomb:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, ("exploded",)


def _edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return edit


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _tensors(
    change: Callable[[dict[str, torch.Tensor]], object], **metadata: str
) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        tied = {"tied": json.dumps(weights.Weights(path).tied)}
        save_file(tensors, path, metadata={**tied, **metadata})

    return edit


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "tncompile.json").unlink(), "tncompile.json"),
    "config is a list": (_write("tncompile.json", b"[]"), "not that of a tensorized model"),
    "config is deep": (_write("tncompile.json", b"[" * 100_000), "tncompile.json is no JSON"),
    "config is no text": (_write("tncompile.json", b"\xff\xfe"), "no text in UTF-8"),
    "another version": (_edit("tncompile.json", '"version": 1', '"version": 99'), "of version 1"),
    "code in the config": (
        _write("tncompile.json", b'{"version": 1, "model": "os:mkdir(\'exploded\')"}'),
        "no `module:callable`",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "cannot be read"),
    "a pickle": (_write("model.safetensors", pickle.dumps(_Bomb())), "no whole file"),
    "weights cut off": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-100]
        ),
        "no whole file",
    ),
    "a tensor is missing": (_tensors(lambda t: t.pop("h.0.ln.weight")), "is missing"),
    "a tensor too many": (_tensors(lambda t: t.update(x=torch.ones(1))), "belongs to nothing"),
    "another shape": (
        _tensors(lambda t: t.update({"h.0.ln.bias": torch.ones(3)})),
        r"h\.0\.ln\.bias is \[3\] and not \[8\]",
    ),
    "ties to nothing": (_tensors(lambda t: None, tied='{"a": "b"}'), "fits no tensors"),
    "ties of no object": (_tensors(lambda t: None, tied="[" * 99_999), "fits no tensors"),
    "no source": (lambda f: (f / "model.tn").unlink(), "model.tn"),
    "no rewrite": (_write("model.tn", b"network N() { tensor t() output y() }"), "no `rewrite`"),
    "source is no program": (_write("model.tn", b"import os"), "TN101"),
    "imports elsewhere": (_write("model.tn", b'import "../../etc/passwd"'), "TN206"),
    "another layer": (_edit("model.tn", '"h.0.attn.c_attn"', '"h.9.attn.c_attn"'), "TN701"),
    "another width": (_edit("model.tn", "inputs = 8", "inputs = 7"), "TN702"),
    "a huge rank": (_edit("model.tn", "ranks = [3]", "ranks = [1000000000]"), "is larger than"),
    "another rank": (_edit("model.tn", "ranks = [3]", "ranks = [4]"), "does not fit the model"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_folders_give_one_message(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, words = HOSTILE[case]
    monkeypatch.chdir(folder)
    change(folder)
    with pytest.raises((ValueError, OSError, tncompile.CompileError), match=words):
        tncompile.load_model(folder, model=GPT2)
    assert not (folder / "exploded").exists()


def test_another_model_does_not_fit(folder: Path) -> None:
    with pytest.raises(tncompile.CompileError, match="TN701"):
        tncompile.load_model(folder, model=lambda: GPT2(layers=1))
    with pytest.raises(ValueError, match=r"h\.2\.ln\.weight is missing"):
        tncompile.load_model(folder, model=lambda: GPT2(layers=3))
    with pytest.raises(tncompile.CompileError, match="TN702"):
        tncompile.load_model(folder, model=lambda: GPT2(width=10))
    for source, words in (
        ("nowhere_at_all:make", "cannot be imported"),
        ("os:nothing", "os has no nothing"),
        ("os:getpid", "makes a int"),
        ("os.getpid", "named as"),
        (lambda: 1 // 0, "raised ZeroDivisionError"),
    ):
        with pytest.raises(ValueError, match=words):
            tncompile.load_model(folder, model=source)  # type: ignore[arg-type]
