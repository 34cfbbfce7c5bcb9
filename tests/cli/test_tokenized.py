"""`tncompile tensorize FOLDER --calibrate TEXTFILE`: texts through the tokenizer of a folder.

They are skipped where transformers, an extra, is not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import tncompile
from tncompile.cli.application import run

WORDS = ["[PAD]", "[UNK]", "the", "bond", "of", "a", "train", "is", "wide", "narrow", "leg"]

TEXTS = "the bond of a train is wide\n\na leg is narrow\nthe train is unheard of\n"

TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {
        "type": "WordLevel",
        "vocab": {word: number for number, word in enumerate(WORDS)},
        "unk_token": "[UNK]",
    },
}

LOADED = """
import sys, torch
import tncompile.transformers
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1]).eval()
with torch.no_grad():
    torch.save(model(torch.tensor([[2, 3, 4]])).last_hidden_state, sys.argv[2])
"""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=6, pad_token_id=0,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    for name, value in (
        ("tokenizer.json", TOKENIZER),
        ("tokenizer_config.json", {**names, "unk_token": "[UNK]"}),
    ):
        (tmp_path / "bert" / name).write_text(json.dumps(value), "utf-8")
    (tmp_path / "texts.txt").write_text(TEXTS, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


CALL = ["tensorize", "bert", "--budget", "0.7", "--multiple", "4", "-o", "out"]


@pytest.mark.parametrize("pooled", [False, True])
def test_texts_decide_and_transformers_loads_the_result(
    pooled: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if pooled:
        (folder / "bert/1_Pooling").mkdir()
        said = json.dumps({"pooling_mode_mean_tokens": True})
        (folder / "bert/1_Pooling/config.json").write_text(said, "utf-8")
    call = [*CALL, "--calibrate", "texts.txt", "--batch", "2", "--weights", "int8"]
    assert run(call) == 0
    out = capsys.readouterr().out
    assert "int8 LowRank" in out
    assert "planned for 5 rows" in out  # of 12, as a model has 6 positions, and 5
    assert (folder / "out/tokenizer.json").is_file()
    small = tncompile.load_model("out").eval()
    with torch.no_grad():
        mine = small(torch.tensor([[2, 3, 4]])).last_hidden_state  # type: ignore[union-attr]
    subprocess.run([sys.executable, "-c", LOADED, "out", "there.pt"], check=True)
    assert torch.equal(mine, torch.load("there.pt", weights_only=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "texts.txt").write_text("\n \n", "utf-8"), "has no texts: one a line"),
        (lambda f: (f / "texts.txt").write_bytes(b"\xff"), "is no text in UTF-8"),
        (lambda f: (f / "texts.txt").unlink(), "cannot read texts.txt"),
        (lambda f: (f / "bert/tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda f: (f / "bert/tokenizer.json").write_text("{", "utf-8"), "cannot be loaded"),
    ],
)
def test_texts_and_tokenizers_that_are_wrong(
    change: Any, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder)
    assert run([*CALL, "--calibrate", "texts.txt"]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / "out").exists()
