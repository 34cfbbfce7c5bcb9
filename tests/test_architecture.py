"""The shape of the repository: who imports whom, what loads late, what every code must have."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import networkx
import pytest

from tests.acceptance import ACCEPTANCE
from tncompile.language.diagnostics.diagnostic import Code

PACKAGE = Path(__file__).parents[1] / "tncompile"

ROOMS = (
    "language",
    "network",
    "machine",
    "program",
    "lowering",
    "simulation",
    "initialization",
    "planning",
    "emission",
    "models",
    "tuning",
    "tensorizing",
    "inspection/drawing",
    "inspection/charts",
    "inspection/bonds",
    "inspection/comparing",
    "inspection/symbolic",
    "inspection/varying",
    "inspection/report",
    "inspection",
    "compiler",
    "instantiated",
    "architecture",
    "model",
    "blocks",
    "spec",
    "choosing",
    "filling",
    "converting",
    "tensorizing/rewriting",
    "tensorizing/originals",
    "tensorizing/resuming",
    "tensorizing/replacing",
    "tensorizing/quantizing",
    "transformers",
    "tensorizing/adapting",
    "tensorizing/allocating",
    "tensorizing/comparing",
    "tensorizing/healing",
    "cli",
)
"""In the direction of the data: a room imports only from itself and from rooms before it."""

THIRD_PARTIES = {
    "lark": {"language/parsing"},
    "interegular": set[str](),
    "cotengra": {"planning/paths/optimizers.py"},
    "networkx": {"network/model.py"},
    "filelock": {"files.py"},
    "numpy": {
        "planning/paths/intervals.py",
        "inspection/drawing/networks/rows.py",
        "inspection/drawing/networks/stress.py",
    },
    "resvg_py": {"inspection/drawing/drawing.py"},
    "safetensors": {"tensorizing/storing.py"},
    "transformers": {"tensorizing/originals/pretrained.py", "tensorizing/replacing/quantizer.py"},
    "torch": {
        "cli/slow_report.py",
        "converting.py",
        "emission/loading.py",
        "inspection/bonds",
        "tensorizing",
        "tuning/timing.py",
        "program/interpreter.py",
        "tuning/step_timer.py",
        "machine/call_probes.py",
        "machine/convolution_probes.py",
        "machine/probe.py",
        "machine/probes.py",
        "machine/calibration.py",
        "machine/fitting.py",
        "machine/host.py",
    },
    "opt_einsum": set[str](),
}
"""The only files that may import each; type-checking imports do not count."""

LATE = (
    *("torch", "cotengra", "networkx", "lark", "pydantic", "filelock", "safetensors"),
    "transformers",
)
"""What `import tncompile` must not load."""


def modules() -> list[Path]:
    """Every file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run, wherever they stand."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from (found for other in node.orelse for found in statements(other))
                continue
            case ast.Import() | ast.ImportFrom():
                yield node
        yield from statements(node)


@cache
def imports(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The imports of a file that run; each file is read once for all tests."""
    return tuple(statements(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports when it runs."""
    for statement in imports(path):
        if isinstance(statement, ast.Import):
            yield from (each.name for each in statement.names)
        elif statement.module is not None:
            yield statement.module


def room(parts: Sequence[str]) -> str:
    """The room of a module of the package: the longest name of a room that it is in."""
    names = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in ROOMS), parts[0])


def test_imports_go_one_way() -> None:
    wrong: list[str] = []
    for path in modules():
        own = room(path.relative_to(PACKAGE).with_suffix("").parts)
        if own not in ROOMS:
            continue
        for name in imported(path):
            parts = name.split(".")
            known = parts[0] == "tncompile" and len(parts) > 1 and room(parts[1:]) in ROOMS
            if known and ROOMS.index(room(parts[1:])) > ROOMS.index(own):
                wrong.append(f"{path.relative_to(PACKAGE)}: {name} comes after {own}")
    assert wrong == []


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions count as well; those for type checkers alone do not."""
    names = {name_of(path) for path in modules()}
    graph = networkx.DiGraph()
    for path in modules():
        for statement in imports(path):
            if isinstance(statement, ast.Import):
                graph.add_edges_from((name_of(path), each.name) for each in statement.names)
                continue
            members = [f"{statement.module}.{each.name}" for each in statement.names]
            targets = names.intersection(members)  # modules of a package
            if len(targets) < len(members):
                targets |= names & {statement.module}
            graph.add_edges_from((name_of(path), target) for target in targets)
    cycles = [sorted(part) for part in networkx.strongly_connected_components(graph)]
    assert [part for part in cycles if len(part) > 1] == []


def test_third_parties_are_met_in_one_place() -> None:
    wrong: list[str] = []
    for path in modules():
        here = str(path.relative_to(PACKAGE).as_posix())
        for name in imported(path):
            owners = THIRD_PARTIES.get(name.split(".")[0])
            if owners is not None and not any(
                here == owner or here.startswith(f"{owner}/") for owner in owners
            ):
                wrong.append(f"{here}: {name} is imported outside of {owners}")
    assert wrong == []


def test_no_rooms_without_a_meaning() -> None:
    named = {part for path in modules() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not named & {"utils", "util", "common", "helpers", "core", "misc"}


LONGEST = 400
"""Lines of a file. Emitted ones, kept to compare with, are as long as they are."""


def test_no_file_is_longer_than_one_reads() -> None:
    folders = (PACKAGE, Path(__file__).parent)
    files = [path for folder in folders for path in folder.rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    written = {path: n for path, n in lengths.items() if not path.name.endswith(".torch.py")}
    assert not {str(path): n for path, n in written.items() if n > LONGEST}


def loaded_by(code: str) -> set[str]:
    """The top-level modules in `sys.modules` after some code ran in a process of its own."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_tncompile_loads_nothing_heavy() -> None:
    assert not loaded_by("import tncompile; tncompile.load; tncompile.CompileError") & set(LATE)


def test_loading_a_spec_loads_no_torch() -> None:
    loaded = loaded_by("import tncompile\nassert tncompile.load('std/linear.tn').blocks")
    assert "tncompile" in loaded
    assert not loaded & {"torch", "cotengra", "networkx"}


LIGHT = (
    "check std/linear.tn",
    "check std/transformer.tn",
    "fmt --check std/linear.tn",
    "explain TN401",
    "blocks std",
)


@pytest.mark.parametrize("command", LIGHT)
def test_light_commands_load_nothing_heavy(command: str) -> None:
    arguments = command.split()
    loaded = loaded_by(
        f"from tncompile.cli.application import run\nassert run({arguments}) == 0\nprint()"
    )
    assert not loaded & {*LATE, "numpy", "rich"}


def pages() -> set[str]:
    """The codes that have a page."""
    text = (PACKAGE / "language" / "diagnostics" / "diagnostics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^#+ .*?\b(TN\d{3})\b", text, re.MULTILINE))


def test_every_code_has_a_page() -> None:
    assert pages() == {str(code) for code in Code}


NOT_A_PROGRAM = {
    *(Code.INTERNAL, Code.NO_PLAN, Code.CANNOT_SPLIT),
    *(Code.NO_MATCH, Code.WEIGHT_MISFIT),
}
"""Codes that no file can show by itself: our own bugs, a limit or a leg that only a call names, and
what takes a model."""


def test_every_code_has_a_wrong_program() -> None:
    own = Path(__file__).parent / "programs" / "bad"
    folders = (ACCEPTANCE / "bad", ACCEPTANCE / "models" / "bad", own)
    shown = {path.name[:5] for folder in folders for path in folder.glob("TN*.tn")}
    wanted = {str(code) for code in Code if code not in NOT_A_PROGRAM}
    assert wanted <= shown, f"no program shows {sorted(wanted - shown)}"
