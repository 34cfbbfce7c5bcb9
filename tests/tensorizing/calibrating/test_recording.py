"""Moments in files: kept, continued, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.tensorizing.calibrating.models import Tiny, texts
from tests.tensorizing.calibrating.test_calibrate import same
from tncompile import Moments, calibrate
from tncompile.tensorizing.calibrating import calibrate as module
from tncompile.tensorizing.storing import read_tensors, write_tensors


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The moments of the small transformer."""
    path = tmp_path_factory.mktemp("moments") / "moments.safetensors"
    calibrate(Tiny(), [texts(4, 0)], file=path)
    return path


def test_a_file_gives_the_same_back(file: Path) -> None:
    same(Moments.load(file), calibrate(Tiny(), [texts(4, 0)]))
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_an_interrupted_run_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 2)
    model, batches, path = Tiny(), [texts(3, seed) for seed in range(5)], tmp_path / "some"
    reached: list[int] = []

    def interrupt(done: int, total: int) -> None:
        reached.append(done)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(model, batches, file=path, progress=interrupt)
    assert Moments.load(path).batches == 2
    whole = calibrate(model, batches, file=path)
    same(whole, calibrate(model, batches))
    same(Moments.load(path), whole)
    before = path.stat().st_mtime_ns
    same(calibrate(model, batches, file=path), whole)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="there are 4 batches, and the moments to continue have 5"):
        calibrate(model, batches[:4], file=path)


def test_other_data_does_not_continue(tmp_path: Path) -> None:
    """The batches of the file may come in another order; nothing is written where they differ."""
    model, batches, path = Tiny(), [texts(3, seed) for seed in range(4)], tmp_path / "some"
    calibrate(model, batches[:3], file=path)
    before = path.read_bytes()
    for data, seed in (([*batches[1:], batches[0]], 0), (batches, 1)):
        with pytest.raises(ValueError, match="are of other data, or another seed"):
            calibrate(model, data, file=path, seed=seed)
    assert path.read_bytes() == before
    turned = [batches[k] for k in (2, 0, 1, 3)]
    assert calibrate(model, turned, file=path).batches == 4


def test_shards_know_their_data(tmp_path: Path) -> None:
    """What was added goes on where its batches come first; files of before say nothing."""
    model, batches, path = Tiny(), [texts(3, seed) for seed in range(3)], tmp_path / "some"
    both = calibrate(model, batches[:1]) + calibrate(model, batches[1:2])
    both.save(path)
    same(calibrate(model, batches, file=path), calibrate(model, batches))
    replace(both, data=0).save(path)
    assert (Moments.load(path) + both).data == 0
    assert calibrate(model, [*batches[1:], batches[0]], file=path).batches == 3


def test_another_model_does_not_continue(file: Path, tmp_path: Path) -> None:
    model = Tiny()
    with pytest.raises(ValueError, match="are of other layers"):
        calibrate(model, [texts(4, 0)], file=file, layers=["up"])
    model.up = nn.Linear(6, 12)
    problem = "another model: up is `linear` of 10 × 6 in them and `linear` of 12 × 6"
    with pytest.raises(ValueError, match=problem):
        calibrate(model, [texts(4, 0)], file=file)
    with pytest.raises(ValueError, match="words is `embedding` of 6 × 11 in them and missing here"):
        calibrate(nn.Linear(2, 2), [torch.ones(1, 2)], file=file)
    with pytest.raises(FileNotFoundError):
        calibrate(Tiny(), [texts(4, 0)], file=tmp_path / "nowhere" / "file")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{}      ", b"PK\x03\x04", b"{}"]
)
def test_a_file_of_something_else(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file (is no whole file|holds no moments)"):
        Moments.load(path)


def test_half_of_a_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half"
    path.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="half is no whole file of safetensors"):
        Moments.load(path)
    with pytest.raises(IsADirectoryError):
        Moments.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        Moments.load(tmp_path / "none")


SPOILED: dict[str, tuple[object, str]] = {
    "version": (2, "its version is not 1: calibrate anew"),
    "layers": ([], "does not say of which layers"),
    "unreached": ([1], "`unreached` are no names"),
    "aliases": ({"a": 1}, "`aliases` are no names"),
    "samples": (-1, "`samples` is no count"),
    "batches": (True, "`batches` is no count"),
    "output": (10**400, "`output` is no sum of squares"),
}
LAYERS: dict[str, tuple[object, str]] = {
    "kind": (["dense", 6, 10, 1], "the kind of the layer 'up' is unknown"),
    "sizes": (["linear", 6, -10, 1], "the sizes of the layer 'up' are none"),
    "large": (["linear", 2**40, 10, 1], "`inputs` of the layer 'up' are not 1099511627776 × 1099"),
    "axes": (["linear", 6, 10, 1, 2, 3], "the axes of the layer 'up' are not those of its inputs"),
    "list": ("linear", "the kind of the layer 'up' is unknown"),
    "unhashable": ([[], 1, 1, 1], "the kind of the layer 'up' is unknown"),
}


@pytest.mark.parametrize("what", [*SPOILED, *LAYERS])
def test_hostile_words(what: str, file: Path, tmp_path: Path) -> None:
    tensors, metadata = read_tensors(file)
    said = json.loads(metadata["tncompile.moments"])
    if what in LAYERS:
        said["layers"]["up"], problem = LAYERS[what]
    else:
        said[what], problem = SPOILED[what]
    write_tensors(tmp_path / "file", tensors, {"tncompile.moments": json.dumps(said)})
    with pytest.raises(ValueError, match=problem) as caught:
        Moments.load(tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda t: None, "`outputs` of the layer 'up' are missing"),
        (lambda t: t[1:], "`outputs` of the layer 'up' are not 10 × 10"),
        (lambda t: t.to(torch.int64), "are not 10 × 10"),
        (lambda t: t * torch.nan, "are not finite"),
        (lambda t: -t, "are no sums of squares"),
        (lambda t: t * 0, "are nothing but zeros"),
    ],
)
def test_hostile_numbers(spoil: object, problem: str, file: Path, tmp_path: Path) -> None:
    tensors, metadata = read_tensors(file)
    spoiled = spoil(tensors.pop("outputs:up"))  # type: ignore[operator]
    if spoiled is not None:
        tensors["outputs:up"] = spoiled
    save_file(tensors, tmp_path / "file", metadata)
    with pytest.raises(ValueError, match=problem):
        Moments.load(tmp_path / "file")


def test_words_that_are_no_json(tmp_path: Path) -> None:
    for text in ("[" * 10**5, "{", "null"):
        write_tensors(tmp_path / "file", {"a": torch.ones(1)}, {"tncompile.moments": text})
        with pytest.raises(ValueError, match="file holds no moments"):
            Moments.load(tmp_path / "file")
