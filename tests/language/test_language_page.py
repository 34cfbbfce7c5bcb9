"""The references are true: their files compile, in the layout and with the shapes they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import tncompile
from tncompile.language.typing.functions import FUNCTIONS as TABLE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "language.md").read_text(encoding="utf-8")
MODELS = (DOCS / "models.md").read_text(encoding="utf-8")
TEXTS = re.findall(r"^```tn\n(.*?)^```", PAGE + MODELS, re.MULTILINE | re.DOTALL)
FILES = [text for text in TEXTS if "\nrewrite " not in text]
FUNCTIONS = re.findall(r"^\| `.*? \| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)


def _name(text: str) -> str:
    """The last block that a file declares."""
    return [found[1] for found in re.finditer(r"^(?:network|model) (\w+)", text, re.MULTILINE)][-1]


def _comment(text: str, word: str) -> str | None:
    """What a comment says behind a word; its further lines are indented."""
    found = re.search(rf"^# {word}: (.+(?:\n#  .+)*)$", text, re.MULTILINE)
    return found and found[1]


def _shapes(text: str) -> list[tuple[int, ...]]:
    """`x (64, 12), z (4)` -> the two shapes."""
    return [
        tuple(int(size) for size in sizes.split(",") if size.strip())
        for sizes in re.findall(r"\(([\d, ]*)\)", text)
    ]


def _architectures(text: str) -> list[tncompile.Architecture]:
    """What the comment instantiates, or every block that needs no arguments."""
    spec = tncompile.loads(text)
    assert not spec.warnings
    assert spec.describe() == text, "not in the layout of `tncompile fmt`"
    ready = [
        name
        for name, block in spec.blocks.items()
        if all(parameter.default is not None for parameter in block.parameters)
    ]
    target = _comment(text, "instantiate")
    assert target or ready, "nothing to instantiate"
    return [spec.instantiate(each) for each in [*([target] if target else []), *ready]]


def test_the_signatures_of_functions_are_those_of_the_table() -> None:
    (block,) = re.findall(r"^```text\n(gelu.*?)^```", MODELS, re.MULTILINE | re.DOTALL)
    listed = re.split(r"\n|  ", block.strip())
    plain = {f"{name}(x)" for name in TABLE}
    assert listed == [f.signature for f in TABLE.values() if f.signature not in plain]


def test_the_page_has_examples() -> None:
    assert len(FILES) >= 20
    assert len(FUNCTIONS) == 10


@pytest.mark.parametrize("text", [text for text in TEXTS if text not in FILES])
def test_rewrites_are_right_as_far_as_they_go_without_a_model(text: str) -> None:
    spec = tncompile.loads(text)
    assert not spec.warnings
    assert spec.describe() == text, "not in the layout of `tncompile fmt`"
    assert tncompile.Rewrite.loads(text).lines


@pytest.mark.parametrize("text", FILES, ids=_name)
def test_files_compile_with_the_shapes_in_their_comments(text: str) -> None:
    torch.set_num_threads(1)
    architectures = _architectures(text)
    last = architectures[-1]
    for arch in architectures:
        assert not arch.warnings
        module = arch.module(seed=0)
        if keys := _comment(text, "keys"):
            held = {key: tuple(value.shape) for key, value in module.state_dict().items()}
            assert held == dict(zip(re.findall(r"([\w.]+) \(", keys), _shapes(keys), strict=True))
        forward = _comment(text, "forward")
        if forward and (not isinstance(arch, tncompile.Model) or arch is last):
            taken, _, given = forward.partition("gives ")
            integer = ["int\n" in text.rpartition("  input ")[2]]  # models of the pages take one
            if not isinstance(arch, tncompile.Model):
                integer = [taker.integer for taker in arch.network.inputs]
            inputs = [
                torch.zeros(shape, dtype=torch.int64) if ids else torch.randn(shape)
                for ids, shape in zip(integer, _shapes(taken), strict=True)
            ]
            made = module(*inputs)
            results = made if isinstance(made, tuple) else (made,)
            assert [tuple(result.shape) for result in results] == _shapes(given)
            assert all(bool(result.isfinite().all()) for result in results)


@pytest.mark.parametrize(("call", "value"), FUNCTIONS)
def test_functions_give_the_values_of_the_table(call: str, value: str) -> None:
    text = """network N(a: int[n] = [4, 8]) {{
      require {call} == {value}
      index i[k in 0..n] = a[k]
      tensor A(i[*])
      output y(i[*])
    }}"""
    tncompile.loads(text.format(call=call, value=value)).instantiate("N")
    wrong = f"{value} + [1]" if value.startswith("[") else f"{value} + 1"
    spec = tncompile.loads(text.format(call=call, value=wrong))
    with pytest.raises(tncompile.CompileError, match="TN302"):
        spec.instantiate("N")


def test_python_of_the_page_runs() -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(script, names)
    assert isinstance(names["layer"], torch.nn.Module)
