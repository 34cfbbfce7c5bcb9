"""What calls of a model give its layers: counted, added, kept in files, and refused there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tncompile import Moments, calibrate
from tncompile.tensorizing.calibrating.calls import MOST, counted, usual_call
from tncompile.tensorizing.storing import read_tensors, write_tensors

KEY = "tncompile.moments"


class Sound(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.conv = nn.Conv2d(1, 4, (5, 1), padding=(2, 0))
        self.head = nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        heard = self.conv(x).mean((-2, -1)) + self.words(ids).mean(1)
        out: torch.Tensor = self.head(heard)
        return out


def batch(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(rows + length)
    return torch.randint(0, 9, (rows, 3)), torch.randn(rows, 1, length, 1)


BATCHES = [batch(4, 16), batch(4, 16), batch(2, 40), batch(1, 8)]


@pytest.fixture(scope="module")
def moments() -> Moments:
    torch.manual_seed(0)
    return calibrate(Sound(), BATCHES)


def test_calls_are_counted_and_the_median_is_planned_for(moments: Moments) -> None:
    model = Sound()
    assert moments.layers["conv"].calls == {(4, 16, 1): 2, (2, 40, 1): 1, (1, 8, 1): 1}
    assert moments.layers["words"].calls == {(12,): 2, (6,): 1, (3,): 1}
    usual = {
        name: usual_call(moments, sums, model.get_submodule(name))
        for name, sums in moments.layers.items()
    }
    assert usual == {"words": (6,), "conv": (4, 16, 1), "head": (2,)}
    single = calibrate(nn.Conv2d(1, 2, 3), [torch.randn(1, 6, 7)])
    assert single.layers[""].calls == {(1, 6, 7): 1}


def test_shards_are_added_and_files_keep_them(moments: Moments, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Sound()
    both = calibrate(model, BATCHES[:2]) + calibrate(model, BATCHES[2:])
    both.save(tmp_path / "both")
    for found in (both, Moments.load(tmp_path / "both")):
        assert {name: each.calls for name, each in found.layers.items()} == {
            name: each.calls for name, each in moments.layers.items()
        }


def test_no_more_than_some_are_kept() -> None:
    many = {(rows,): 1 for rows in range(1, MOST + 1)}
    found = counted(many, {(MOST + 1,): 1, (1,): 5})
    assert len(found) == MOST
    assert found[(1,)] == 6


def rewritten(path: Path, change: object) -> Path:
    tensors, metadata = read_tensors(path)
    said = json.loads(metadata[KEY])
    change(said)  # type: ignore[operator]
    write_tensors(path, tensors, {KEY: json.dumps(said)})
    return path


def test_a_file_of_before_takes_images_to_be_square(tmp_path: Path) -> None:
    conv = nn.Conv2d(2, 4, 3, padding=1)
    calibrate(conv, [torch.randn(5, 2, 12, 12)]).save(tmp_path / "old")
    old = Moments.load(rewritten(tmp_path / "old", lambda said: said.pop("calls")))
    assert old.layers[""].calls == {}
    assert usual_call(old, old.layers[""], conv) == (5, 12, 12)
    assert (old + calibrate(conv, [torch.randn(1, 2, 9, 4)])).layers[""].calls == {(1, 9, 4): 1}


@pytest.mark.parametrize(
    "calls", [[], {"conv": 1}, {"conv": [[1]]}, {"conv": [[0, 4, 4, 4]]}, {"conv": [[1, True]]},
              {"conv": [[1, 2], [1, 2, 3]]}, {"conv": [[1] * 6]}, {"conv": [[1, 2]] * 2000}]
)  # fmt: skip
def test_hostile_calls(calls: object, moments: Moments, tmp_path: Path) -> None:
    moments.save(tmp_path / "file")
    rewritten(tmp_path / "file", lambda said: said.update(calls=calls))
    with pytest.raises(
        ValueError, match=r"`calls` (are of no layers|of the layer 'conv' are no co)"
    ):
        Moments.load(tmp_path / "file")
