"""Folders of transformers: what is refused before transformers is asked, and what is copied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import tncompile
from tncompile.tensorizing.originals.companions import copy_companions

CONFIG = {"model_type": "bert", "architectures": ["BertModel"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks right until transformers reads it."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    return tmp_path


def _config(**more: object) -> Callable[[Path], object]:
    text = json.dumps({**CONFIG, **more})
    return lambda folder: (folder / "config.json").write_text(text, "utf-8")


def _index(content: object) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "one.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(content), "utf-8")

    return write


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no json": (lambda f: (f / "config.json").write_text("{", "utf-8"), "config.json is no JSON"),
    "no object": (lambda f: (f / "config.json").write_text("[]", "utf-8"), "no JSON object"),
    "deep": (lambda f: (f / "config.json").write_text("[" * 99_999, "utf-8"), "is no JSON"),
    "a pickle alone": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        r"has pickled weights \(pytorch_model.bin\), which are not read",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has neither model.safetensors"),
    "quantized": (
        _config(quantization_config={"quant_method": "gptq"}),
        r"is quantized \(gptq\): only plain weights",
    ),
    "tensorized": (_config(quantization_config={"quant_method": "tncompile"}), "already"),
    "quantized somehow": (_config(quantization_config=[]), "is quantized"),
    "adapters": (
        lambda f: (f / "adapter_config.json").write_text("{}", "utf-8"),
        "holds adapters: merge them",
    ),
    "shard elsewhere": (
        _index({"weight_map": {"a": "../one.safetensors"}}),
        "which is no file of safetensors here",
    ),
    "shard of pickle": (_index({"weight_map": {"a": "one.bin"}}), "which is no file of safeten"),
    "shard missing": (_index({"weight_map": {"a": "two.safetensors"}}), "two.safetensors, which"),
    "no map": (_index({"weight_map": ["one.safetensors"]}), "has no `weight_map`"),
    "map of numbers": (_index({"weight_map": {"a": 1}}), "has no `weight_map`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(folder: Path, case: str) -> None:
    change, words = REFUSED[case]
    change(folder)
    with pytest.raises(ValueError, match=words):
        tncompile.load_model(folder)


def test_a_model_beside_a_dense_folder_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="is a folder of transformers, which says what"):
        tncompile.load_model(folder, model=nn.Linear(1, 1))


def test_transformers_may_be_missing(folder: Path) -> None:
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "import tncompile\n"
        "try: tncompile.load_model(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
        "try: import tncompile.transformers\n"
        "except ValueError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == 2
    assert all("pip install 'tncompile[transformers]'" in line for line in lines)


def test_companions_are_copied_and_nothing_else(tmp_path: Path) -> None:
    source, target = tmp_path / "a" / "snapshots" / "source", tmp_path / "target"
    source.mkdir(parents=True)
    target.mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", "utf-8")
    blobs = tmp_path / "a" / "blobs"
    blobs.mkdir()
    (blobs / "1234").write_text("words", "utf-8")
    copied = ("tokenizer.json", "vocab.txt", "chat_template.jinja", "spiece.model", "LICENSE")
    for name in copied:
        (source / name).write_text("data", "utf-8")
    left = ("model.safetensors", "pytorch_model.bin", "modeling_mine.py", "config.json")
    for name in (*left, "model.safetensors.index.json", "generation_config.json"):
        (source / name).write_text("data", "utf-8")
    os.symlink(secret, source / "stolen.txt")
    os.symlink(blobs / "1234", source / "merges.txt")
    for name in ("1_Pooling", "checkpoint"):
        (source / name).mkdir()
        (source / name / "config.json").write_text("{}", "utf-8")
    parts = [{"path": ""}, {"path": "1_Pooling"}, {"path": "../.."}, {"path": ".."}, 3, {}]
    (source / "modules.json").write_text(json.dumps(parts), "utf-8")
    (target / "vocab.txt").write_text("mine", "utf-8")
    model = nn.Linear(1, 1)
    model.name_or_path = str(source)  # type: ignore[assignment]
    copy_companions(model, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {*copied, "merges.txt", "modules.json", "1_Pooling/config.json"}
    assert (target / "vocab.txt").read_text("utf-8") == "mine"
    assert (target / "merges.txt").read_text("utf-8") == "words"
    assert not (target / "merges.txt").is_symlink()


def test_a_model_that_came_from_nowhere_has_no_companions(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    for name in ("", "nowhere", 3, None):
        model.name_or_path = name  # type: ignore[assignment]
        copy_companions(model, tmp_path)
    assert [*tmp_path.iterdir()] == []
