"""Networks are planned for the calls that layers are given, in a model and in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import rewrite_text
from tncompile.tensorizing.replacing.tensorized import Tensorized

LINES = 'conv "*" -> Tucker2Conv(in_rank = 6, out_rank = 6) linear "*" -> LowRank(rank = 2)'


PLANNED = "with a batch of 4, h.0 = 8, h.1 = 1"


def tall() -> nn.Module:
    """Long kernels, as of sounds; images of 8 × 1 are padded nearly everywhere."""
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 24, (16, 1), padding=(8, 0))
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(24 * 9, 3)).eval()


BATCHES = [torch.randn(4, 24, 8, 1, generator=torch.Generator().manual_seed(1)) for _ in range(2)]


def run(**options: object) -> Tensorized:
    rewrite = tncompile.Rewrite.loads(rewrite_text(LINES))
    return tncompile.tensorize(tall(), rewrite, **options)  # type: ignore[arg-type]


def planned(rows: int, **sizes: int) -> str:
    """The file of the convolution where it is planned so."""
    library = tncompile.load("std/convolution.tn")
    arch = library.instantiate(
        "Tucker2Conv", in_channels=24, out_channels=24, kernel_size=[16, 1], padding=[8, 0],
        in_rank=6, out_rank=6,
    )  # fmt: skip
    named = {name.replace("_", "."): size for name, size in sizes.items()}
    return arch.source(batch=rows, sizes=named, search="fast")


def body(source: str) -> list[str]:
    """A file without the comments at its head."""
    return [line for line in source.splitlines() if not line.startswith("#")]


def test_moments_and_the_user_say_what_is_planned_for(tmp_path: Path) -> None:
    moments = tncompile.calibrate(tall(), BATCHES)
    usual, small, asked = (
        run(**options)
        for options in ({}, {"moments": moments}, {"planned_for": {"0": (2, 64, 64), "*": [7]}})
    )
    assert [row.call for row in usual.report.rows] == [None, None]
    assert [row.call for row in small.report.rows] == [(4, 8, 1), (4,)]
    assert [row.call for row in asked.report.rows] == [(2, 64, 64), (7,)]
    sources = [body(each._placed[0].source()) for each in (usual, small, asked)]
    assert sources[1] == body(planned(4, h_0=8, h_1=1))
    assert sources[2] == body(planned(2, h_0=64, h_1=64))
    assert sources[0] == body(planned(64, h_0=32, h_1=32))
    assert PLANNED in small._placed[0].source().replace("\n# ", " ")
    assert sources[1] != sources[2]  # the plans differ, or this shows nothing
    for each, words in (
        (usual, "planned for 64 rows, images of 32 × 32, as no calls are known: 0, 3"),
        (small, "planned for 4 images of 8 × 1: 0\nplanned for 4 rows: 3"),
        (asked, "planned for 2 images of 64 × 64: 0\nplanned for 7 rows: 3"),
    ):
        assert words in repr(each.report)
    again = run(moments=moments, planned_for={"0": [9]})  # lengths are those of moments
    assert again.report.rows[0].call == (9, 8, 1)


def test_a_folder_is_planned_as_the_model_was(tmp_path: Path) -> None:
    small = run(moments=tncompile.calibrate(tall(), BATCHES))
    small.save(tmp_path / "small")
    read = tncompile.load_model(tmp_path / "small", model=tall)
    with torch.no_grad():
        assert torch.equal(read(BATCHES[0]), small.model(BATCHES[0]))
    weights = tmp_path / "small/model.safetensors"
    with open(weights, "r+b") as file_of_weights:  # what was read is not in the file any more
        file_of_weights.seek(-2000, 2)
        file_of_weights.write(b"\0" * 2000)
    with torch.no_grad():
        assert torch.equal(read(BATCHES[0]), small.model(BATCHES[0]))
    assert "Tucker2Conv" in type(read[0]).__name__  # type: ignore[index]
    (file,) = (tmp_path / "small/networks").glob("Tucker2Conv*.py")
    written = file.read_text("utf-8")
    assert PLANNED in written.replace("\n# ", " ")
    config = json.loads((tmp_path / "small/tncompile.json").read_text("utf-8"))
    assert config["planned_for"] == {"0": [4, 8, 1], "3": [4]}
    eight = tncompile.quantize(small, "int8")
    eight.save(tmp_path / "eight")
    read = tncompile.load_model(tmp_path / "eight", model=tall)
    with torch.no_grad():
        assert torch.equal(read(BATCHES[0]), eight.model(BATCHES[0]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"1": [3]}, "planned_for names 1, which is not replaced: there are 0, 3"),
        ({"0": [3, 4]}, "0 is planned for 3 images of 4: .* has 2 windows, and 1 lengths"),
        ({"0": [3, 0, 1]}, "has numbers from 1 to"),
        ({"0": []}, "is a number of rows, then lengths"),
        ({"0": [2.0]}, "has whole numbers, not 2.0"),
        ({"0": "33"}, "is a number of rows, then lengths"),
    ],
)
def test_calls_that_are_wrong(given: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        run(planned_for=given)
    done = run()
    done.save(tmp_path / "out")
    path = tmp_path / "out" / "tncompile.json"
    config = json.loads(path.read_text("utf-8")) | {"planned_for": given}
    path.write_text(json.dumps(config), encoding="utf-8")
    problem = words.replace("planned_for names", "`planned_for` names").partition(":")[0]
    with pytest.raises(ValueError, match=problem):
        tncompile.load_model(tmp_path / "out", model=tall)
