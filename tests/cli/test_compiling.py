"""`tncompile compile` and `tncompile cost`: targets, stages, files, figures, locks."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

import tncompile
from tests.cli.conftest import MAP, UNCOMPILED, with_full_device
from tncompile.cli.application import run
from tncompile.cli.options import memory_limit


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ([], "name it: `Map`"),
        (["M"], "name a network or a model: `Map`"),
        (["Mp"], "did you mean `Map`?"),
        (["R"], "name a network or a model: `Map`"),
    ],
)
def test_targets_that_are_proposed_can_be_compiled(
    folder: Path, capsys: pytest.CaptureFixture[str], call: list[str], said: str
) -> None:
    (folder / "later.tn").write_text(UNCOMPILED + MAP, encoding="utf-8")
    assert run(["compile", "later.tn", *call]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["64k", "64K", "64 kB", "64 KiB", "65536", "0.0625m"])
def test_units_of_the_memory_limit(text: str) -> None:
    assert memory_limit(text) == 2**16


def test_a_memory_limit_that_is_told_is_enough(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What TN502 says a step takes at least, in the file's own bytes."""
    cost = ["cost", "map.tn", "--batch", "64", "--search", "fast", "--memory-limit"]
    assert run([*cost, "1k"]) == 1
    found = re.search(
        r"takes at least ([\d,]+) bytes, the memory limit is 1,024", capsys.readouterr().err
    )
    assert found is not None
    assert run([*cost, found[1].replace(",", "")]) == 0


def test_compile_to_standard_output_and_to_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", "map.tn"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "class Map(" in out
    assert run(["compile", "map.tn", "Map(d = 4)", "-o", "out.py"]) == 0
    assert capsys.readouterr().out == ""
    text = (folder / "out.py").read_text(encoding="utf-8")
    assert "class Map(" in text
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".tn") == ["out.py"]


@pytest.mark.parametrize("stage", ["program", "network", "plan", "tensor-program", "torch"])
def test_every_stage_can_be_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    assert run(["compile", "map.tn", "--emit", stage]) == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert err == ""


def test_compile_for_several_batch_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", "map.tn", "--batch", "4096, 1,64,1"]) == 0
    assert "class Map(" in capsys.readouterr().out


def test_cost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "map.tn", "--batch", "64"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "multiply-adds" in out.lower()
    assert run(["cost", "map.tn", "--training"]) == 0
    assert capsys.readouterr().out != out


def test_cost_in_letters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = "MPO(ins = [4, 8], outs = [8, 4], ranks = 4)"
    call = ["cost", "std/linear.tn", target, "--search", "fast", "--symbolic"]
    assert run(call) == 0
    said = capsys.readouterr().out
    assert (
        "parameters = 288\n  ins[0]·outs[0]·ranks + ins[1]·outs[1]·ranks + outs[0]·outs[1]" in said
    )
    assert "a forward pass\n" in said
    assert "with_bias = true" in said
    assert run([*call, "--training", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["mode"] == "training"
    assert figures["parameters"]["value"] == 288
    assert run(["cost", "std/transformer.tn", "FeedForward", "--symbolic"]) == 0
    said = capsys.readouterr().out
    assert "2·width·hidden + width + hidden" in said
    assert "Multiply-adds of the model as a whole: no polynomial" in said


def test_cost_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "map.tn", "--batch", "64", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["inference"]["multiply_adds"] == 64 * 4 * 3
    assert set(figures) >= {"inference", "training", "steps", "alternatives"}


def test_cost_with_named_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rows.tn").write_text(MAP.replace("...", "n").replace("index", "batch n\n  index", 1))
    assert run(["cost", "rows.tn", "--size", "n=10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inference"]["multiply_adds"] == 120


def test_a_file_with_several_blocks_needs_a_target(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", "two.tn"]) == 1
    assert "error[TN201]: several blocks" in capsys.readouterr().err
    assert run(["compile", "two.tn", "Other"]) == 0


def test_imported_blocks_do_not_count(folder: Path) -> None:
    (folder / "one.tn").write_text('import "two.tn" { Map }\nnetwork Mine = Map(d = 5)\n')
    assert run(["compile", "one.tn"]) == 0


def test_a_lock_is_kept_used_and_said_to_be_stale(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", "map.tn", "--lock", "-o", "one.py"]) == 0
    assert (folder / "map.tnlock").exists()
    (folder / "plain").touch()
    expected = stat.S_IMODE((folder / "plain").stat().st_mode)
    assert stat.S_IMODE((folder / "map.tnlock").stat().st_mode) == expected
    assert run(["compile", "map.tn", "-o", "two.py"]) == 0
    assert (folder / "one.py").read_bytes() == (folder / "two.py").read_bytes()
    (folder / "map.tn").write_text(MAP.replace("tensor W", "tensor V"), encoding="utf-8")
    capsys.readouterr()
    assert run(["compile", "map.tn", "-o", "two.py"]) == 0
    assert "a new one was searched (--lock keeps it)" in capsys.readouterr().err
    assert run(["compile", "map.tn", "--lock", "-o", "two.py"]) == 0
    assert "a new one was searched and kept" in capsys.readouterr().err
    (folder / "map.tnlock").write_text("{}", encoding="utf-8")
    assert run(["cost", "map.tn"]) == 2
    assert "corrupt" in capsys.readouterr().err
    assert run(["cost", "std/linear.tn", "MPO(ins = [2], outs = [2])", "--lock"]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"version": 99}', "is of version 99, written by a later tncompile"),
        ("[]", "is corrupt (version 4 is expected); move it away"),
        (None, "cannot use the lock file map.tnlock: is a directory"),
    ],
)
def test_what_is_no_lock_file_is_said(
    folder: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Path("map.tnlock")
    lock.mkdir() if content is None else lock.write_text(content, encoding="utf-8")
    assert run(["compile", "map.tn"]) == 2
    assert message in capsys.readouterr().err


@with_full_device
def test_a_device_is_no_lock_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "map.tn", "--seconds", "1", "--lock", "/dev/full"]) == 2
    assert "/dev/full is no regular file" in capsys.readouterr().err


CONV = ["std/convolution.tn", "Tucker2Conv(4, 4, in_rank = 2, out_rank = 2)", "--search", "fast"]


def test_images_that_come_channels_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", *CONV, "--channels-last", "--size", "h.0=8", "--size", "h.1=8"]) == 0
    assert "permute(0, 2, 3, 1)" in capsys.readouterr().out
    assert run(["compile", "std/linear.tn", "LowRank(4, 4, rank = 2)", "--channels-last"]) == 2
    assert "maps no images" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compile", "cost", "tune"])
def test_a_size_that_is_too_short_for_a_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    lock = ["--lock", str(tmp_path / "conv.tnlock")] if command == "tune" else []
    assert run([command, *CONV, *lock, "--size", "h.1=2"]) == 2
    said = "--size: the input along window `h[1]` must be at least 3 long, not 2"
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_kernel_longer_than_images_usually_are(capsys: pytest.CaptureFixture[str]) -> None:
    long = "CPConv(2, 2, kernel_size = [99, 1], rank = 2)"
    assert run(["cost", "std/convolution.tn", long, "--search", "fast"]) == 0
    assert "h.0 = 99" in capsys.readouterr().out


def test_costs_vary(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arch = tncompile.load("std/linear.tn").instantiate("MPO([4, 8], [8, 4])")
    call = ["cost", "std/linear.tn", "MPO([4, 8], [8, 4])", "--search", "fast", "--vary"]
    assert run([*call, "ranks = 2, 8"]) == 0
    assert capsys.readouterr().out == arch.vary("ranks", [2, 8], search="fast").table()
    assert run([*call, "batch=1,64,4096", "--json", "--training"]) == 0
    stored = json.loads(capsys.readouterr().out)
    sizes = arch.vary("batch", [1, 64, 4096], search="fast", training=True)
    assert stored == json.loads(json.dumps(sizes.to_dict()))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("ranks", "--vary takes NAME=V,V"),
        ("ranks=1,,2", "--vary takes NAME=V,V"),
        ("ranks=__import__('os')", "--vary takes NAME=V,V"),
        ("rank=2", "did you mean 'ranks'?"),
        ("batch=0", "must be positive"),
        ("batch=" + ",".join(["1"] * 201), "up to 200 values"),
    ],
)
def test_what_cannot_vary(
    folder: Path, capsys: pytest.CaptureFixture[str], written: str, words: str
) -> None:
    call = ["cost", "std/linear.tn", "MPO([4, 8], [8, 4])", "--search", "fast"]
    assert run([*call, "--vary", written]) == 2
    assert words in capsys.readouterr().err


def test_pictures_of_what_varies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["cost", "std/linear.tn", "MPO([4, 8], [8, 4])", "--search", "fast"]
    arch = tncompile.load("std/linear.tn").instantiate("MPO([4, 8], [8, 4])")
    assert run([*call, "--vary", "ranks=2,8", "-o", "ranks.svg"]) == 0
    made = arch.vary("ranks", [2, 8], search="fast")
    assert (folder / "ranks.svg").read_text(encoding="utf-8") == made.draw().svg + "\n"
    assert capsys.readouterr() == (made.table(), "wrote ranks.svg\n")
    for options in (
        ["-o", "x.svg"],
        ["--vary", "ranks=2", "-o", "x.txt"],
        ["--symbolic", "--vary", "ranks=2"],
    ):
        assert run([*call, *options]) == 2
    assert not list(folder.glob("x.*"))
