"""The documentation is true: its Python runs, its commands run, the files that it names exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import tncompile

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/design.md",
    "docs/language.md",
    "docs/modules.md",
    "docs/python.md",
    "docs/sharding.md",
    "CONTRIBUTING.md",
    "examples/digits/README.md",
)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language in a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    script = "\n".join(blocks(page, "python"))
    for k, text in enumerate(blocks("README.md", "tn")):
        (tmp_path / ("linear.tn" if k == 0 else f"block{k}.tn")).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_python_of_the_pages_is_typed(tmp_path: Path) -> None:
    """`mypy --strict` has nothing to say of what we show, and something of what is wrong."""
    for name, page in (("readme", "README.md"), ("python", "docs/python.md")):
        script = "\n".join(blocks(page, "python"))
        (tmp_path / f"{name}.py").write_text(script, encoding="utf-8")
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
        block = re.compile(rf"(?<=^```{language}\n).*?(?=^```)", re.MULTILINE | re.DOTALL)
        (ROOT / page).write_text(block.sub(lambda _: wanted, whole), encoding="utf-8")
    assert blocks(page, language) == [wanted], "pytest --update-golden rewrites it"


def readme_architecture() -> tncompile.Architecture:
    """What the README shows."""
    return tncompile.loads(blocks("README.md", "tn")[0]).instantiate("TT1024")


def test_the_readme_shows_the_example() -> None:
    assert blocks("README.md", "tn") == [(ROOT / "examples" / "linear.tn").read_text("utf-8")]


def test_source_in_the_readme_is_what_is_emitted(request: pytest.FixtureRequest) -> None:
    source = readme_architecture().source(batch=64)
    methods = source[source.index("    def forward(") : source.index("\n    @torch.inference_mode")]
    forward = dedent(methods).replace("\n\ndef ", "\n\n\ndef ")  # as functions of a file stand
    hold("README.md", "py", forward, request.config.getoption("--update-golden"))


def test_cost_table_in_the_readme_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    table = readme_architecture().cost(batch=64).table()
    hold("README.md", "text", table, request.config.getoption("--update-golden"))


def test_error_in_the_readme_is_what_is_printed(request: pytest.FixtureRequest) -> None:
    wrong = blocks("README.md", "tn")[0].replace("o[k], b[k]?)", "o[k])").split("\nnetwork TT")[0]
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(wrong, name="linear.tn").instantiate("MPO(ins = [8, 8], outs = [8, 8])")
    hold("README.md", "console", str(caught.value), request.config.getoption("--update-golden"))


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folders = (
        r"(?:tncompile|tests|examples|benchmarks|docs|grammar|language|network|planning|emission)"
    )
    for name in re.findall(rf"`({folders}/[\w/.-]+\.\w+)`", text):
        inside = name if (ROOT / name).exists() else f"tncompile/{name}"
        assert (ROOT / inside).exists(), f"{page} names {name}"


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
