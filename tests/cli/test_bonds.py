"""`tncompile bonds`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import tncompile
from tncompile.cli.application import run

TRAIN = "MPO(ins = [4, 3], outs = [3, 4], ranks = 4)"


def test_a_fresh_start_and_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arch = tncompile.load("std/linear.tn").instantiate(TRAIN)
    module = arch.module(seed=3, search="fast")
    assert run(["bonds", "std/linear.tn", TRAIN, "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert "a fresh start" in err
    assert out.rstrip("\n") == repr(arch.bonds(module))
    save_file({key: 2 * value for key, value in module.state_dict().items()}, "w.safetensors")
    assert run(["bonds", "std/linear.tn", TRAIN, "--weights", "w.safetensors"]) == 0
    assert capsys.readouterr() == (out, "")  # a factor changes no share


def test_cuts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = "TensorRing(ins = [4, 3, 2], outs = [3, 4, 2], ranks = 2)"
    assert run(["bonds", "std/linear.tn", ring]) == 2
    assert "has loops" in capsys.readouterr().err
    assert run(["bonds", "std/linear.tn", ring, "--cut", "b[0], b[1]"]) == 0
    assert "b[0], b[1]" in capsys.readouterr().out
    tree = "HierarchicalTucker(ins = [3, 3, 3], outs = [2, 2, 2])"
    assert run(["bonds", "std/linear.tn", tree, "--cut", "v[0, 2]"]) == 0
    assert "v[0, 2]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["map.tn", "--weights", "none.safetensors"], "cannot read none.safetensors"),
        (["map.tn", "--weights", "map.tn"], "no whole file of safetensors"),
        (["map.tn", "--cut", "x"], "x is no bond"),
        (["map.tn", "--cut", ""], " is no bond"),
        (["map.tn", "--seed", "-1"], "seed"),
        (["std/transformer.tn", "FeedForward"], "this is a model"),
    ],
)
def test_wrong_calls(
    folder: Path, capsys: pytest.CaptureFixture[str], call: list[str], words: str
) -> None:
    assert run(["bonds", *call]) == 2
    assert words in capsys.readouterr().err


def test_weights_of_another_shape(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"W": torch.zeros(2, 2)}, "w.safetensors")
    assert run(["bonds", "map.tn", "--weights", "w.safetensors"]) == 2
    assert "'W' is 2 × 2, and 4 × 3" in capsys.readouterr().err
