"""Files and imports: what is found, what is refused, what a failed import silences."""

from __future__ import annotations

from pathlib import Path

import pytest

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linked import LinkedProgram
from tncompile.language.linking import link
from tncompile.language.linking.importing import LIBRARY, decode
from tncompile.language.syntax.source import SourceFile

GOOD = Path(__file__).parents[1] / "programs" / "good"
NETWORK = """network {name}(d: int = 4) {{
  index  i = d, o = d
  input  x(..., i)
  tensor A(i, o)
  output y(..., o)
}}
"""


def linked(text: str, folder: Path | None = None, root: Path | None = None) -> LinkedProgram:
    return link(SourceFile("main.tn", text), folder=folder, root=root)


def problems(text: str, folder: Path | None = None, root: Path | None = None) -> list[str]:
    with pytest.raises(CompileError) as caught:
        linked(text, folder, root)
    return [f"{d.code} {d.primary.span.text}" for d in caught.value.diagnostics]


def test_blocks_with_parameters_and_docs() -> None:
    path = GOOD / "library.tn"
    program = link(SourceFile(path.name, path.read_text(encoding="utf-8")), folder=GOOD)
    assert list(program.blocks) == ["MPO", "Arithmetic", "Small", "Again", "Other"]
    assert [block.imported for block in program.blocks.values()] == [
        True,
        True,
        False,
        False,
        False,
    ]
    arithmetic = program.blocks["Arithmetic"]
    assert [(p.name, p.type, p.default) for p in arithmetic.parameters] == [
        ("d", "int[m]", "[12, 18]"),
        ("flag", "bool", "false"),
        ("ratio", "float", "0.25"),
    ]
    assert program.blocks["Small"].doc == "Two sites."
    assert program.blocks["Again"].doc == "Two sites."
    assert program.blocks["Small"].parameters == ()
    assert program.warnings == ()
    assert resolve(program, "Again").parameters == resolve(program, "Small").parameters
    assert resolve(program, "Other").values["ratio"] == 0.0


def test_imports_in_folders_and_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "deep.tn").write_text('import "../base.tn"\nnetwork D = B(d = 3)\n')
    (tmp_path / "base.tn").write_text(NETWORK.format(name="B"))
    text = 'import "parts/deep.tn" { D, B }\nnetwork M = D\nnetwork K = B(2)\n'
    assert list(linked(text, tmp_path).blocks) == ["D", "B", "M", "K"]
    inside = (tmp_path / "parts" / "deep.tn").read_text()
    assert problems(inside, tmp_path / "parts") == ['TN206 "../base.tn"']
    assert list(linked(inside, tmp_path / "parts", tmp_path).blocks) == ["B", "D"]


def test_a_plain_import_brings_a_files_own_blocks(tmp_path: Path) -> None:
    (tmp_path / "a.tn").write_text('import "std/linear.tn" { MPO }\n' + NETWORK.format(name="A"))
    assert list(linked('import "a.tn"\nnetwork M = A\n', tmp_path).blocks) == ["A", "M"]


def test_text_without_a_folder_imports_the_library_only() -> None:
    assert "MPO" in linked('import "std/linear.tn" { MPO }').blocks
    assert problems('import "a.tn" { A }\nnetwork M = A\n') == ['TN206 "a.tn"']


@pytest.mark.parametrize(
    "path", ["", ".", "..", "sub", "a\\u0000b", "x" * 5000, "/", "std/", "std"]
)
def test_paths_that_are_no_files(tmp_path: Path, path: str) -> None:
    (tmp_path / "sub").mkdir()
    text = f'import "{path}"\nnetwork M = A\n'.replace("\\u0000", "\0")
    assert [line[:5] for line in problems(text, tmp_path)] in (["TN206"], ["TN103"])


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.tn").write_text(NETWORK.format(name="S"))
    (tmp_path / "root" / "a.tn").symlink_to(tmp_path / "secret.tn")
    (tmp_path / "root" / "loop.tn").symlink_to(tmp_path / "root" / "loop.tn")
    assert problems('import "a.tn"\nnetwork M = S\n', tmp_path / "root") == ['TN206 "a.tn"']
    assert problems('import "loop.tn"\n', tmp_path / "root") == ['TN206 "loop.tn"']


def test_cycles(tmp_path: Path) -> None:
    (tmp_path / "a.tn").write_text('import "b.tn"\n' + NETWORK.format(name="A"))
    (tmp_path / "b.tn").write_text('import "a.tn"\n' + NETWORK.format(name="B"))
    with pytest.raises(CompileError) as caught:
        link(SourceFile("a.tn", (tmp_path / "a.tn").read_text()), folder=tmp_path)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.primary.span.source.name) == ("TN206", "b.tn")
    assert problems('import "a.tn"\n', tmp_path) == ['TN206 "a.tn"']


def test_a_long_chain_of_imports_ends(tmp_path: Path) -> None:
    for k in range(80):
        (tmp_path / f"f{k}.tn").write_text(f'import "f{k + 1}.tn"\n')
    assert [line[:5] for line in problems('import "f0.tn"', tmp_path)] == ["TN206"]


def test_a_diamond_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "base.tn").write_text(NETWORK.format(name="B"))
    for side in ("l", "r"):
        (tmp_path / f"{side}.tn").write_text(f'import "base.tn"\nnetwork {side} = B\n')
    text = 'import "l.tn"\nimport "r.tn"\nimport "base.tn"\nnetwork M = l\nnetwork K = r\n'
    program = linked(text + "network L = B\n", tmp_path)
    assert list(program.blocks) == ["l", "r", "B", "M", "K", "L"]


def test_problems_of_an_imported_file_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.tn").write_text(NETWORK.format(name="A").replace("A(i, o)", "A(i, oo)"))
    (tmp_path / "b.tn").write_text("network B(")
    text = 'import "a.tn"\nimport "b.tn" { B }\nnetwork M = A\nnetwork K = B\n'
    with pytest.raises(CompileError) as caught:
        linked(text, tmp_path)
    found = [(d.code, d.primary.span.source.name) for d in caught.value.diagnostics]
    assert found == [("TN201", "a.tn"), ("TN102", "b.tn")]


def test_a_failed_import_silences_its_names_and_no_others(tmp_path: Path) -> None:
    text = 'import "gone.tn" { A }\nnetwork M = A(d = 3)\nnetwork K = M\nnetwork L = B\n'
    assert problems(text, tmp_path) == ['TN206 "gone.tn"', "TN201 B"]
    text = 'import "gone.tn"\nnetwork M = A(d = 3)\nnetwork L = B\n'
    assert problems(text, tmp_path) == ['TN206 "gone.tn"']


def test_all_problems_of_a_file_at_once() -> None:
    text = (
        NETWORK.format(name="A").replace("A(i, o)", "A(i, oo) init xavier")
        + NETWORK.format(name="B").replace("output", "bias")
        + "network C = A(e = 3)\nnetwork D = X\nnetwork B = A\n"
    )
    codes = [line[:5] for line in problems(text)]
    assert codes == ["TN201", "TN207", "TN406", "TN208", "TN201", "TN202"]


def test_instances_are_resolved_when_they_are_loaded() -> None:
    text = NETWORK.format(name="A").replace("o = d", "o = d - 4")
    instances = "network M = A\nnetwork K = A(d = 4)\nnetwork L = A(d = 5)\n"
    with pytest.raises(CompileError) as caught:
        linked(text + instances)
    assert [d.code for d in caught.value.diagnostics] == ["TN301"]


def test_bytes_that_are_not_utf8() -> None:
    assert decode(b"\xef\xbb\xbfnetwork", "a.tn").text == "network"
    with pytest.raises(CompileError) as caught:
        decode("é".encode("latin-1"), "a.tn")
    assert [d.code for d in caught.value.diagnostics] == ["TN103"]


STD = 'import "std/linear.tn" { MPO }\n'


def diagnostics(text: str, target: str | None = None) -> tuple[Diagnostic, ...]:
    try:
        file = linked(text)
        if target is not None:
            resolve(file, target)
    except CompileError as error:
        return error.diagnostics
    return ()


def test_a_mistake_in_an_imported_block_is_labelled_where_it_is_instantiated() -> None:
    (found,) = diagnostics(STD + "network V = MPO(ins = [4, 4], outs = [4, 4], inputs = 17)\n")
    assert found.primary.span.source.name == "std/linear.tn"
    (label,) = found.secondary
    assert (label.text, label.span.text, label.span.line) == ("instantiated here", "V", 2)
    assert label.span.source is not found.primary.span.source


@pytest.mark.parametrize(
    "target", ["MPO(ins = [4], outs = [4], inputs = 17)", "MPO(ins = [4])", "MPO(ins = 4)"]
)
def test_a_mistake_in_an_imported_block_is_labelled_in_the_target(target: str) -> None:
    (found,) = diagnostics(STD, target)
    assert found.primary.span.source.name == "std/linear.tn"
    assert found.secondary[-1].text == "instantiated here"
    assert found.secondary[-1].span.text == target


INSTANCE = (
    "network N(d: int = 2, r: int = 1) {\n  index i = d, o = d - r\n  input x(i)\n"
    "  tensor A(i, o)\n  output y(o)\n}\nnetwork M = N"
)


def test_a_mistake_that_an_instance_makes_is_labelled_at_it() -> None:
    (found,) = diagnostics(INSTANCE + "(r = 2)\n")
    assert [(label.text, label.span.line) for label in found.secondary] == [
        ("`d` is 2", 1),  # a default
        ("instantiated here", 7),
    ]
    (found,) = diagnostics(INSTANCE.replace("r: int = 1", "r: int = 2") + "\n")
    assert [label.text for label in found.secondary] == ["`d` is 2"]  # the block's own mistake
    required = INSTANCE.replace("  input", '  require r < 2, "small"\n  input')
    (found,) = diagnostics(required + "(r = 2)\n")
    assert [label.text for label in found.secondary] == ["`r` is 2"]  # labelled already


def test_the_library_is_named_as_in_an_import() -> None:
    path = LIBRARY / "linear.tn"
    file = link(SourceFile(str(path), path.read_text(encoding="utf-8")), folder=LIBRARY)
    assert file.source.name == "std/linear.tn"
    other = STD.replace("std/", "std/../std/")
    (found,) = diagnostics(other + "network V = MPO([4], [4], inputs = 17)\n")
    assert found.primary.span.source.name == "std/linear.tn"


def test_a_file_of_the_library_is_linked_once() -> None:
    """What else stands beside an import is not kept with it."""
    wrong = 'import "std/linear.tn" { MPO, MOP }\nnetwork M = MPO([4], [4])\n'
    for _ in range(2):
        assert problems(wrong) == ["TN201 MOP"]
    first, second = (
        linked(f'import "std/adapters.tn" {{ {name} }}\n').blocks[name].scope["MPO"]
        for name in ("LoRA", "QuanTA")
    )
    assert first.definition is second.definition
    text = (LIBRARY / "linear.tn").read_text(encoding="utf-8")
    one, other = (
        link(SourceFile("std/linear.tn", f"{text}{end}"), folder=LIBRARY)
        for end in ("", "network Longer = MPO([4], [4])\n")
    )
    assert list(other.blocks) == [*one.blocks, "Longer"]


@pytest.mark.parametrize("others", ["network B = A()\n", "network B = C()\nnetwork C = A()\n"])
def test_instances_that_define_each_other_are_one_mistake(others: str) -> None:
    text = f"network A = B()\n{others}"
    with pytest.raises(CompileError) as caught:
        link(SourceFile("a.tn", text))
    (diagnostic,) = caught.value.diagnostics
    assert "define each other" in diagnostic.message
    assert diagnostic.primary.span.line == 1
    assert len(diagnostic.secondary) == others.count("network")


def test_one_of_two_instances_that_define_each_other_is_written_out() -> None:
    """What the hint says is accepted."""
    body = "{ index i = 2 input x(..., i) tensor T(i) output y(...) }"
    linked = link(SourceFile("a.tn", f"network A() {body}\nnetwork B = A()\n"))
    assert list(linked.blocks) == ["A", "B"]
