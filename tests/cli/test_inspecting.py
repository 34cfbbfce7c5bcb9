"""What is asked of architectures with arguments that are none: a sentence, never a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tncompile
from tncompile.cli.application import run

Ask = Callable[[tncompile.Architecture], Any]


@pytest.fixture(scope="module")
def arch() -> tncompile.Architecture:
    return tncompile.load("std/linear.tn").instantiate("MPO(ins = [4, 8], outs = [8, 4])")


FAST: dict[str, Any] = {"search": "fast"}

WRONG: list[tuple[Ask, type[Exception], str]] = [
    (lambda a: a.report(8, sizes=5, **FAST), TypeError, "a mapping of names"),
    (lambda a: a.candidates(8, sizes="x", **FAST), TypeError, "a mapping of names"),
    (lambda a: a.diff(a, 8, sizes=[1], **FAST), TypeError, "a mapping of names"),
    (lambda a: a.symbolic(8, sizes=5, **FAST), TypeError, "a mapping of names"),
    (lambda a: a.report(8, weights=5, **FAST), TypeError, "a module or its state dict"),  # type: ignore[arg-type]
    (lambda a: a.report(8, weights={"G.0": 1}, **FAST), TypeError, "names and tensors"),  # type: ignore[dict-item]
    (lambda a: a.bonds({1: torch.ones(2)}), TypeError, "names and tensors"),  # type: ignore[dict-item]
    (lambda a: a.vary(None, [1]), TypeError, "a name"),  # type: ignore[arg-type]
    (lambda a: a.vary("batch", 5), TypeError, "a list of values"),  # type: ignore[arg-type]
    (lambda a: a.vary("batch", [None]), TypeError, "a number or a list"),  # type: ignore[list-item]
    (lambda a: a.vary("batch", [2], batch=[1, 2], **FAST), TypeError, "a batch size"),  # type: ignore[arg-type]
    (lambda a: a.cost(8, **FAST).at(sizes=5), TypeError, "a mapping of names"),  # type: ignore[arg-type]
    (lambda a: a.cost(8, **FAST).at(1.5), TypeError, "a batch size"),  # type: ignore[arg-type]
    (lambda a: a.cost(8, **FAST).resized("b[0]", 1.5), TypeError, "the size of"),  # type: ignore[arg-type]
    (lambda a: a.cost(8, **FAST).resized("b[0]", None), TypeError, "the size of"),  # type: ignore[arg-type]
    (lambda a: a.draw().png(zoom=1e6), ValueError, "zoom"),
]


@pytest.mark.parametrize(("ask", "error", "words"), WRONG)
def test_wrong_arguments(
    arch: tncompile.Architecture, ask: Ask, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ask(arch)


def test_integers_of_numpy(arch: tncompile.Architecture) -> None:
    import json

    found = arch.vary("ranks", list(np.arange(1, 3)), **FAST)
    assert json.loads(json.dumps(found.to_dict()))["values"] == [1, 2]
    lists = arch.vary("ins", [np.array([4, 8]), range(4, 6)], **FAST)  # type: ignore[list-item]
    assert lists.values == ((4, 8), (4, 5))
    cost = arch.cost(8, **FAST).at(np.int64(3))  # type: ignore[arg-type]
    assert json.loads(json.dumps(cost.to_dict()))["sizes"] == {"...": 3}


def test_what_has_no_value_there() -> None:
    text = (
        "network N(d: int = 12, h: int = 4) { index i = d, o = 3 bond r = d // h\n"
        "input x(..., i) tensor A(i, r) tensor B(r, o) output y(..., o) }"
    )
    count = tncompile.loads(text).instantiate().symbolic(8, **FAST).parameters
    with pytest.raises(ValueError, match="has no value there"):
        count.at(h=0)


def test_letters_of_any_name() -> None:
    text = (
        "network N(B: int = 4, batch: int = 5) { index i = B, o = batch bond r = 2\n"
        "input x(..., i) tensor A(i, r) tensor G(r, o) output y(..., o) }"
    )
    found = tncompile.loads(text).instantiate().symbolic(8, **FAST)
    assert found.multiply_adds is not None
    assert "B2" in found.multiply_adds.text()


def test_tied_networks_have_weights_elsewhere() -> None:
    model = tncompile.load("std/generative.tn").instantiate("BornMachine(sites = 4)")
    module = model.module(seed=0, search="fast")
    assert "<h3>" in model.report(4, weights=module, **FAST).html


@pytest.mark.parametrize("command", [["show", "--contraction"], ["cost", "--vary", "batch=1,2"]])
@pytest.mark.parametrize("lock", ["{}", "folder"])
def test_locks_that_cannot_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str], lock: str
) -> None:
    path = folder / "map.tnlock"
    if lock == "folder":
        path.mkdir()
    else:
        path.write_text(lock, encoding="utf-8")
    first, *rest = command
    assert run([first, "map.tn", *rest]) == 2
    assert "lock" in capsys.readouterr().err


def test_outputs_that_link_to_themselves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "loop.svg").symlink_to("loop.svg")
    assert run(["show", "map.tn", "-o", "loop.svg"]) == 2
    assert "cannot write loop.svg" in capsys.readouterr().err
