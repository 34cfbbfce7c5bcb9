"""The documentation is true: its Python runs, its commands run, the files that it names exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import tncompile
from tncompile.cli.application import run

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "examples/digits/README.md",
    "examples/fashion/README.md",
    "examples/g2p/README.md",
    "examples/hamlet/README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)
GENERATED = {"docs/benchmarks.md", "docs/cost_model.md", "docs/planning.md"}
BENCHMARKS = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
SCRIPTS = (
    "README.md",
    "docs/bonds.md",
    "docs/cost.md",
    "docs/diff.md",
    "docs/emitted.md",
    "docs/python.md",
    "docs/report.md",
    "docs/tutorial.md",
)
"""Pages whose blocks of Python are one script, which runs beside the `linear.tn` of the README."""


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language in a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds `linear.tn`."""
    (tmp_path / "linear.tn").write_text(blocks("README.md", "tn")[0], encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", SCRIPTS)
@pytest.mark.filterwarnings("default")
def test_python_of_a_page_runs(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "\n".join(blocks(page, "python"))
    assert script
    monkeypatch.chdir(folder)
    exec(compile(script, page, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", sorted({*PAGES} - GENERATED))
def test_commands_of_a_page_run(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of a block of shell that begins with `tncompile`."""
    monkeypatch.chdir(folder)
    for line in "".join(blocks(page, "sh")).splitlines():
        command, *arguments = shlex.split(line, comments=True) or [""]
        if command == "tncompile":
            assert run(arguments) == 0, f"{line}: {capsys.readouterr().err}"


def test_python_of_the_pages_is_typed(tmp_path: Path) -> None:
    """`mypy --strict` has nothing to say of what we show, and something of what is wrong."""
    for page in {*SCRIPTS} - {"docs/tutorial.md"}:  # it replaces layers, which torch types closely
        script = "\n".join(blocks(page, "python"))
        (tmp_path / f"{Path(page).stem}.py").write_text(script, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(
        "import tncompile\n"
        "arch = tncompile.load('linear.tn').instantiate()\n"
        "arch.plan(minimize='tme')\n"
        "arch.plan(batch=['1'])\n"
        "arch.describe('torhc')\n"
        "arch.module().batch_invariant.nothing\n"
        "reveal_type(arch.module().fold())\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "."],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = [line.split(": ", 1) for line in done.stdout.splitlines() if ".py:" in line]
    assert {place.split(":")[0] for place, _ in said} == {"wrong.py"}, done.stdout + done.stderr
    lines = [place.split(":")[1] for place, message in said if message.startswith("error")]
    assert lines == ["3", "4", "5", "6"], done.stdout
    assert 'Revealed type is "tncompile.typed.FoldedModule"' in done.stdout


def hold(page: str, language: str, text: str, update: bool) -> None:
    """The only block of a language in a page is this text, trailing blanks apart."""
    wanted = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    if update:
        whole = (ROOT / page).read_text(encoding="utf-8")
        block = re.compile(rf"^```{language}\n.*?^```$", re.MULTILINE | re.DOTALL)
        whole = block.sub(lambda _: f"```{language}\n{wanted}```", whole)
        (ROOT / page).write_text(whole, encoding="utf-8")
    assert blocks(page, language) == [wanted], "pytest --update-golden rewrites it"


def readme_architecture() -> tncompile.Architecture:
    """What the README shows."""
    return tncompile.loads(blocks("README.md", "tn")[0]).instantiate("TT1024")


def test_the_readme_shows_the_example() -> None:
    files = [ROOT / "examples" / name for name in ("linear.tn", "feedforward.tn")]
    assert blocks("README.md", "tn") == [file.read_text("utf-8") for file in files]


def test_source_in_the_pages_is_what_is_emitted(request: pytest.FixtureRequest) -> None:
    update = request.config.getoption("--update-golden")
    source = readme_architecture().source(batch=64)
    methods = source[source.index("    def forward(") : source.index("\n    @torch.inference_mode")]
    forward = dedent(methods).replace("\n\ndef ", "\n\n\ndef ")  # as functions of a file stand
    hold("docs/emitted.md", "py", forward, update)
    body = methods[methods.index("    def _contract(") :].split('"""\n')[1].split("\n\n")[0]
    hold("README.md", "py", dedent(body), update)


def test_cost_table_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    table = readme_architecture().cost(batch=64).table()
    hold("docs/cost.md", "text", table, request.config.getoption("--update-golden"))


def test_difference_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    command = next(line for line in blocks("docs/diff.md", "sh")[0].splitlines())
    _, _, *calls = (argument.partition(":")[2] for argument in shlex.split(command))
    one, other = map(tncompile.load("std/linear.tn").instantiate, calls)
    table = one.diff(other).table()
    hold("docs/diff.md", "text", table, request.config.getoption("--update-golden"))


def test_times_in_the_readme_are_those_of_the_benchmarks() -> None:
    """A row of the README about a layer: the tuned module's times, and those of `nn.Linear`."""
    measured = {
        (workload.split(", [")[0], workload.split(", ")[-1], batch, mode): (tuned, dense)
        for workload, batch, mode, _, _, tuned, _, _, dense in re.findall(
            r"^\| (MPO .*?) \| (\d+) \| (\w+) " + r"\| (.*?) " * 6, BENCHMARKS, re.MULTILINE
        )
    }
    rows = re.findall(
        r"^\| `nn.Linear` (.*?), batch (\d+) .*?\| (\S+) ms \| (\S+) ms.*\n"
        r"\| MPO .*, (rank \d+) .*?\| (\S+) ms \| (\S+) ms",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(rows) == 2
    for shape, batch, *dense, rank, inference, training in rows:
        times = [measured[f"MPO {shape}", rank, batch, mode] for mode in ("inference", "training")]
        assert times == list(zip((inference, training), dense, strict=True))


def test_cost_in_letters_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    target = "MPO(ins = [32, 32], outs = [32, 32], ranks = 8)"
    figures = tncompile.load("std/linear.tn").instantiate(target).symbolic(batch=64)
    hold("docs/cost.md", "console", repr(figures), request.config.getoption("--update-golden"))


def test_error_in_the_readme_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    wrong = blocks("README.md", "tn")[0].replace("o[k], b[k]?)", "o[k])").split("\nnetwork TT")[0]
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(wrong, name="linear.tn").instantiate("MPO(ins = [8, 8], outs = [8, 8])")
    hold("README.md", "console", str(caught.value), request.config.getoption("--update-golden"))


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_a_page_exist(page: str) -> None:
    """Whatever looks like a path of the repository, of the package or of this page's folder."""
    text = re.sub(r"^```(?!sh).*?^```", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    text = re.sub(r"https?:\S+", "", text)
    roots = ROOT, ROOT / "tncompile", (ROOT / page).parent
    top = {path.name for root in roots for path in root.iterdir() if path.is_dir()}
    for name in re.findall(r"(?<![\w./-])(?:[\w.-]+/)+[\w.-]*+(?!…)", text):
        name = name.rstrip(".")
        if name.split("/")[0] not in top and not re.search(r"\.(py|md|tn|json|lark|sh|svg)$", name):
            continue  # two words with a slash between them
        assert any((root / name).exists() for root in roots), f"{page} names {name}"


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_make_targets_named_in_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / page).read_text(encoding="utf-8")))
        used = {name for name in named if f"`make {name}" in (ROOT / page).read_text()}
        assert used <= targets, f"{page} names {used - targets}"


def test_nothing_names_a_folder_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    homes = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w+")
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".tn", ".toml", ".lark", ".txt", ".sh", ""} and (
            path.is_file() and path != Path(__file__)
        ):
            assert not homes.search(path.read_text(encoding="utf-8")), name


def test_shell_environment_does_not_matter() -> None:
    """`tncompile` prints the same under the C locale."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tncompile.cli", "explain", "TN401"],
        env=environment,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("utf-8")
