"""The command line as a user meets it: processes, streams, exit codes, files."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tncompile.cli import application, waiting, writing
from tncompile.cli.application import run
from tncompile.cli.reading import memory_limit

COMMANDS = ("check", "compile", "cost", "fmt", "explain", "blocks")

MAP = """network Map(d: int = 4, o: int = 3) {
  index i = d, j = o
  input x(..., i)
  tensor W(i, j)
  output y(..., j)
}
"""
WRONG = MAP.replace("tensor W(i, j)", "tensor W(i, k)")
TWO = MAP + MAP.replace("Map", "Other")
WARNED = MAP.replace("o: int = 3", "o: int = 3, spare: int = 1")

with_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="Linux has a device that is always full"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a few files."""
    for name, text in (("map", MAP), ("wrong", WRONG), ("two", TWO), ("warned", WARNED)):
        (tmp_path / f"{name}.tn").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_is_silent_on_standard_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "map.tn"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "1 file checked: no errors\n"


def test_check_reports_each_problem_at_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "wrong.tn", "map.tn"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[TN201]" in err
    assert "wrong.tn:4:15" in err
    assert "2 files checked: 1 error" in err


def test_check_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json", "wrong.tn"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert [problem["code"] for problem in json.loads(out)] == ["TN201"]
    assert run(["check", "--json", "map.tn"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_check_with_a_target(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "map.tn", "--with", "Map(d = 0)"]) == 1
    assert "error[TN301]" in capsys.readouterr().err
    assert run(["check", "map.tn", "--with", "Map(d = "]) == 1
    assert "error[TN102]" in capsys.readouterr().err


def test_warnings_do_not_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "warned.tn"]) == 0
    err = capsys.readouterr().err
    assert "warning[TN204]" in err
    assert "no errors, 1 warning" in err


def test_check_leaves_blocks_that_need_arguments(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "open.tn").write_text(MAP.replace("d: int = 4", "d: int"), encoding="utf-8")
    assert run(["check", "open.tn"]) == 0


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (MAP.replace("d: int = 4", "d: int"), " (1 block needs arguments: --with 'NAME("),
        (TWO.replace("d: int = 4", "d: int"), " (2 blocks need arguments: --with 'NAME("),
        ("# nothing\n", " (no blocks in it)"),
    ],
)
def test_check_says_what_it_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, note: str
) -> None:
    (folder / "open.tn").write_text(text, encoding="utf-8")
    assert run(["check", "open.tn"]) == 0
    assert f"1 file checked: no errors{note}" in capsys.readouterr().err


UNCOMPILED = """network C(a: int = 4) {
  window h = conv(size = 3)
  index  i = a, o = a
  input  x(..., i, h.in)
  tensor W(i, o, h.kernel)
  output y(..., o, h.out)
}

network Wide = C(a = 8)

model M() {
  part p = C()
  output p
}

rewrite R {
  linear "*" -> keep
}

"""


def test_check_says_what_cannot_be_compiled(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is well formed, so it is no error; but nothing of it can be compiled yet."""
    (folder / "later.tn").write_text(UNCOMPILED + MAP, encoding="utf-8")
    assert run(["check", "later.tn"]) == 0
    err = capsys.readouterr().err
    assert (
        "warning: later.tn: the network `C` (it has windows), the network `Wide` (it has windows), "
        "the model `M` and the rewrite `R` cannot be compiled yet; only the syntax is checked"
        in err
    )
    assert "1 file checked: no errors" in err
    assert run(["check", "--json", "later.tn"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert "cannot be compiled yet" in err
    assert run(["check", "map.tn"]) == 0
    assert "cannot be compiled" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ([], "name it: `Map`"),
        (["M"], "compile a network: `Map`"),
        (["Mp"], "did you mean `Map`?"),
        (["R"], "compile a network: `Map`"),
        (["C"], "compile another network, one without `window`"),
    ],
)
def test_targets_that_are_proposed_can_be_compiled(
    folder: Path, capsys: pytest.CaptureFixture[str], call: list[str], said: str
) -> None:
    (folder / "later.tn").write_text(UNCOMPILED + MAP, encoding="utf-8")
    assert run(["compile", "later.tn", *call]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "compile", "cost", "fmt", "blocks"])
@pytest.mark.parametrize("name", ["std/linaer.tn", "linear.tn"])
def test_a_file_of_the_library_that_was_meant_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    assert run([command, name]) == 2
    assert f"cannot read {name}: no such file or directory; did you mean std/linear.tn?" in (
        capsys.readouterr().err
    )


def test_ranks_that_cannot_be_are_told_by_every_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = "MPO(ins = [4, 8], outs = [8, 4], ranks = 1000)"
    instance = f'import "std/linear.tn" {{ MPO }}\n\nnetwork Wide = {call}\n'
    (folder / "wide.tn").write_text(instance, encoding="utf-8")
    quick = ["--batch", "8", "--search", "fast"]
    for arguments in (
        ["check", "wide.tn"],
        ["check", "std/linear.tn", "--with", call],
        ["compile", "std/linear.tn", call, "-o", "wide.py", *quick],
        ["cost", "std/linear.tn", call, *quick],
    ):
        assert run(arguments) == 0
        err = capsys.readouterr().err
        assert err.count("warning[TN307]") == 1
        assert "`b[0]` has size 1000, of which 32 are of use" in err


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


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_a_file_that_is_missing_does_not_keep_others_back(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (folder / "broken.tn").write_text("network N( {", encoding="utf-8")
    assert run([command, "missing.tn", "broken.tn", "map.tn"]) == 2
    err = capsys.readouterr().err
    assert "error: cannot read missing.tn: no such file" in err
    assert "error[TN1" in err
    assert command == "fmt" or "2 files checked: 1 error" in err


@with_full_device
@pytest.mark.parametrize("arguments", ["compile map.tn", "cost map.tn --json", "--help"])
def test_standard_output_that_is_full(folder: Path, arguments: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tncompile.cli", *arguments.split()],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2
    assert done.stderr == "error: cannot write to standard output: no space left on device\n"


def test_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for held, wanted in ((None, 100), ("60", 100), ("160", 160)):
        monkeypatch.delenv("COLUMNS", raising=False)
        if held:
            monkeypatch.setenv("COLUMNS", held)
        assert writing.columns() == wanted


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


def test_output_has_the_permissions_of_any_new_file(folder: Path) -> None:
    (folder / "plain").touch()
    expected = stat.S_IMODE((folder / "plain").stat().st_mode)
    assert run(["compile", "map.tn", "-o", "out.py"]) == 0
    assert stat.S_IMODE((folder / "out.py").stat().st_mode) == expected
    (folder / "out.py").chmod(0o640)
    assert run(["compile", "map.tn", "-o", "out.py"]) == 0
    assert stat.S_IMODE((folder / "out.py").stat().st_mode) == 0o640


def test_output_through_a_link_keeps_the_link(folder: Path) -> None:
    (folder / "real.py").write_text("old")
    (folder / "link.py").symlink_to("real.py")
    assert run(["compile", "map.tn", "-o", "link.py"]) == 0
    assert (folder / "link.py").is_symlink()
    assert "class Map(" in (folder / "real.py").read_text()


def test_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "out.py").write_text("old")

    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tncompile.files.os.replace", fails)
    assert run(["compile", "map.tn", "-o", "out.py"]) == 2
    assert (folder / "out.py").read_text() == "old"
    assert not list(folder.glob(".out*"))


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


def test_cost_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "map.tn", "--batch", "64", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["inference"]["multiply_adds"] == 64 * 4 * 3
    assert set(figures) >= {"inference", "training", "steps", "alternatives"}


def test_cost_with_named_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rows.tn").write_text(MAP.replace("...", "n").replace("index", "batch n\n  index", 1))
    assert run(["cost", "rows.tn", "--size", "n=10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inference"]["multiply_adds"] == 120


def test_fmt(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    untidy = "network  N( ) {index i=2\ninput x(i) # in\ntensor A(i) output y() }"
    (folder / "untidy.tn").write_text(untidy, encoding="utf-8")
    assert run(["fmt", "--check", "untidy.tn"]) == 1
    assert capsys.readouterr().out == "untidy.tn\n"
    assert (folder / "untidy.tn").read_text() == untidy
    assert run(["fmt", "untidy.tn"]) == 0
    assert (folder / "untidy.tn").read_text() != untidy
    assert "# in" in (folder / "untidy.tn").read_text()
    assert run(["fmt", "--check", "untidy.tn"]) == 0


def test_fmt_leaves_files_with_errors_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.tn").write_text("network N( {", encoding="utf-8")
    assert run(["fmt", "broken.tn", "map.tn"]) == 1
    assert "error[TN1" in capsys.readouterr().err
    assert (folder / "broken.tn").read_text() == "network N( {"


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "tn401"]) == 0
    assert "TN401" in capsys.readouterr().out
    assert run(["explain", "401"]) == 0
    assert "TN401" in capsys.readouterr().out
    assert run(["explain", "TN499"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no code 'TN499'" in err
    assert run(["explain", ""]) == 2
    assert "a code is wanted, like TN101" in capsys.readouterr().err


def test_blocks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'import "std/linear.tn" { LowRank }\n"""Four to three."""\n' + MAP
    (folder / "some.tn").write_text(text + "network Five = Map(d = 5)\n", encoding="utf-8")
    assert run(["blocks", "some.tn"]) == 0
    out = capsys.readouterr().out
    assert "network Map(d: int = 4, o: int = 3)\n    Four to three.\n" in out
    assert "network Five = Map(" in out
    assert re.search(r"network LowRank\(.*# imported", out)


def test_a_file_with_several_blocks_needs_a_target(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", "two.tn"]) == 1
    assert "error[TN201]: several blocks" in capsys.readouterr().err
    assert run(["compile", "two.tn", "Other"]) == 0


def test_imported_blocks_do_not_count(folder: Path) -> None:
    (folder / "one.tn").write_text('import "two.tn" { Map }\nnetwork Mine = Map(d = 5)\n')
    assert run(["compile", "one.tn"]) == 0


def test_imports_stay_under_the_root(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "up.tn").write_text('import "../map.tn" { Map }\nnetwork M = Map(d = 2)\n')
    assert run(["check", "inner/up.tn"]) == 1
    assert "TN206" in capsys.readouterr().err
    assert run(["check", "--root", ".", "inner/up.tn"]) == 0
    assert run(["compile", "--root", ".", "inner/up.tn"]) == 0
    assert run(["check", "--root", "nowhere", "inner/up.tn"]) == 2


@pytest.mark.parametrize("command", ["check -", "compile -", "cost -", "fmt -", "blocks -"])
def test_standard_input(command: str) -> None:
    done = process(command.split(), stdin=MAP)
    assert done.returncode == 0, done.stderr
    done = process(command.split(), stdin="network N( {")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "<stdin>:1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_not_utf8_is_a_diagnostic(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "latin.tn").write_bytes(MAP.encode() + b"# caf\xe9\n")
    for command in ("check", "compile", "cost", "fmt", "blocks"):
        assert run([command, "latin.tn"]) == 1
        assert "error[TN103]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("check missing.tn", "cannot read missing.tn: no such file"),
        ("compile missing.tn", "cannot read missing.tn: no such file"),
        ("fmt missing.tn", "cannot read missing.tn: no such file"),
        ("blocks missing.tn", "cannot read missing.tn: no such file"),
        ("check .", "cannot read .: is a directory"),
        ("compile .", "cannot read .: is a directory"),
        ("compile map.tn -o .", "cannot write .: it is a directory"),
        ("compile map.tn -o nowhere/out.py", "cannot write nowhere/out.py: no such file"),
        ("compile map.tn -o map.tn/out.py", "cannot write map.tn/out.py: not a directory"),
        ("compile map.tn --emit nonsense", "--emit takes program, network, plan"),
        ("compile map.tn --batch 1,two", "--batch takes positive integers"),
        ("compile map.tn --batch 0", "--batch takes positive integers"),
        ("compile map.tn --batch ,", "--batch takes positive integers"),
        ("cost map.tn --size n", "--size takes NAME=N"),
        ("cost map.tn --size n=-1", "--size n=N takes a positive integer, not '-1'"),
        ("cost map.tn --batch 0", "--batch takes a positive integer, not '0'"),
        ("chekc map.tn", "there is no command 'chekc'; did you mean 'check'?"),
        ("--verbose", "there is no option '--verbose'"),
        ("compile map.tn Map more", "unrecognized arguments: more"),
        ("compile map.tn --out x", "unrecognized arguments"),
        ("cost map.tn --size q=3", "--size names no `batch` axis 'q'; the block declares none"),
        ("cost map.tn --search hard", "invalid choice: 'hard'"),
        ("check", "the following arguments are required: FILE"),
        ("nonsense", "there is no command 'nonsense'; there are check, compile"),
        ("check --nonsense map.tn", "unrecognized arguments: --nonsense"),
    ],
)
def test_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert run(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_permissions(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuses)
    for command in COMMANDS:
        if command != "explain":
            assert run([command, "map.tn"]) == 2
            assert "cannot read map.tn: permission denied" in capsys.readouterr().err


def test_a_bug_of_ours_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tncompile

    def breaks(*arguments: object, **named: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(tncompile, "load", breaks)
    assert run(["compile", "map.tn"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[TN900]: a bug of tncompile, not of your file: KeyError: 'lost'" in err
    assert "report" in err
    assert "Traceback" not in err
    monkeypatch.setenv(application.TRACEBACK, "1")
    assert run(["compile", "map.tn"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import tncompile

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tncompile {tncompile.__version__}\n"


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` prints."""
    assert run([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_help_work(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"^ +(.*\btncompile .*)$", help_of(command, capsys), re.MULTILINE)
    examples = [line for line in examples if not line.startswith("Usage")]
    assert examples, "no example"
    for line in examples:
        script = line.replace("tncompile ", f"{shlex.quote(sys.executable)} -m tncompile.cli ", 1)
        if line.startswith("echo"):
            script = line.replace("| tncompile", f"| {sys.executable} -m tncompile.cli")
        done = subprocess.run(
            ["sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert command in ("check", "fmt") or done.stdout or "-o" in line


def test_commands_without_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(command in err for command in COMMANDS)
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == err


def test_options_may_stand_anywhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", "--emit", "network", "two.tn", "Other"]) == 0
    first = capsys.readouterr().out
    assert run(["compile", "two.tn", "--emit", "network", "Other"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colors_are_for_terminals(folder: Path, variables: dict[str, str], colored: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    master, terminal = os.openpty()
    subprocess.run(
        [sys.executable, "-m", "tncompile", "check", "wrong.tn"],
        stderr=terminal,
        cwd=folder,
        env={**environment, "TERM": "xterm", **variables},
        timeout=120,
    )
    os.close(terminal)
    seen = os.read(master, 65536).decode()
    os.close(master)
    assert "TN201" in seen
    assert ("\x1b[" in seen) is colored


def test_a_bar_appears_only_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = waiting.Bar("searching")
    bar.advance(1, 10)
    assert bar._drawn is None
    monkeypatch.setattr(waiting, "PATIENCE", -1.0)
    bar.advance(2, 10)
    assert bar._drawn is not None
    bar.wipe()
    assert bar._drawn is None


def test_nothing_waits_without_a_terminal() -> None:
    with waiting.waiting("searching") as progress:
        assert progress is None


def test_a_reader_that_leaves_early(folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} -m tncompile.cli compile map.tn | head -1"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr


def process(arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tncompile.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


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


# ── what must not be lost, or is not there ─────────────────────────────────────────────────────


def test_a_source_is_not_written_over_by_what_it_becomes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", "map.tn", "-o", "./map.tn"]) == 2
    assert "-o ./map.tn is the file that is compiled" in capsys.readouterr().err
    assert run(["tune", "map.tn", "--seconds", "1", "--lock", "map.tn"]) == 2
    assert "--lock map.tn is the file that is tuned" in capsys.readouterr().err
    assert Path("map.tn").read_text(encoding="utf-8") == MAP


@pytest.mark.parametrize("arguments", [["cost", "map.tn"], ["compile", "map.tn"]])
def test_a_closed_standard_output_is_said(
    folder: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    code = run(arguments)
    monkeypatch.undo()
    assert code == 2
    assert "cannot write to standard output: it is closed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"version": 99}', "is of version 99, written by a later tncompile"),
        ("[]", "is corrupt (version 3 is expected); move it away"),
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


def test_too_little_memory_is_no_bug(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain-slow", "map.tn", "--batch", str(2**45), "--seconds", "1"]
    assert run(command) == 1
    due = "not enough memory for this batch and these sizes; try smaller ones\n"
    assert capsys.readouterr().err.endswith(due)
    assert run(["compile", "map.tn", "--batch", str(2**63)]) == 2
    assert "up to 18 digits" in capsys.readouterr().err
