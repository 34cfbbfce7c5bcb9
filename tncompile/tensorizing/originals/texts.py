"""Texts for a model of transformers: batches of tokens, and what the model makes of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.originals.pretrained import imported_transformers, quiet

TOKENIZER = "tokenizer.json"

POOLING = Path("1_Pooling") / "config.json"
"""In folders of sentence-transformers: how a vector of a text is made."""


@dataclass(frozen=True)
class Texts:
    """Batches of tokens, as the model takes them: they may be gone through more than once."""

    tokenizer: Any
    lines: tuple[str, ...]
    batch: int
    length: int

    def __len__(self) -> int:
        return -(-len(self.lines) // self.batch)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for start in range(0, len(self.lines), self.batch):
            some = list(self.lines[start : start + self.batch])
            yield dict(
                self.tokenizer(
                    some,
                    padding=True,
                    truncation=True,
                    max_length=self.length,
                    return_tensors="pt",
                )
            )


def texts_of(
    folder: str | os.PathLike[str],
    file: str | os.PathLike[str],
    model: nn.Module,
    *,
    batch: int,
    length: int,
) -> Texts:
    """The lines of a file, tokenized by what is in the folder of a model; empty ones are left out.

    Raises ValueError for a folder without a tokenizer, a file without texts, and models that take
    two texts; `OSError` where the file cannot be read.
    """
    if not (Path(folder) / TOKENIZER).is_file():
        raise ValueError(f"{folder} has no {TOKENIZER}: name data as `module:callable`")
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise ValueError("the model takes two texts: name data as `module:callable`")
    try:
        content = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is no text in UTF-8") from None
    lines = tuple(line for each in content.splitlines() if (line := each.strip()))
    if not lines:
        raise ValueError(f"{file} has no texts: one a line")
    transformers = imported_transformers()
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                os.fspath(folder), local_files_only=True, trust_remote_code=False
            )
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
            longest = min(length, tokenizer.model_max_length)
            return Texts(tokenizer, lines, batch, _fitting(model, longest))
    except Exception as error:  # of any kind: its configuration decides which code is run
        words = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"the tokenizer in {folder} cannot be loaded: {type(error).__name__}: {words}"
        ) from error


def _fitting(model: nn.Module, length: int) -> int:
    """A length that the model has positions for."""
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    return min(length, most) if isinstance(most, int) and most > 0 else length


def pools(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder says that the vector of a text is the mean over its tokens."""
    try:
        found = json.loads((Path(folder) / POOLING).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("pooling_mode_mean_tokens") is True


def of_tokens(model: nn.Module, batch: Any) -> torch.Tensor:
    """What a model gives for each token, zero where there is none: logits, or last states."""
    result = model(**batch)
    found: torch.Tensor = result["logits"] if "logits" in result else result[0]
    mask: torch.Tensor = batch["attention_mask"]
    return found * mask.unsqueeze(-1) if found.dim() == 3 else found


def of_texts(model: nn.Module, batch: Any) -> torch.Tensor:
    """The mean of last states over tokens, of length 1: the vector of a text."""
    states: torch.Tensor = model(**batch)[0]
    mask = batch["attention_mask"].unsqueeze(-1).to(states)
    mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
    return torch.nn.functional.normalize(mean, dim=-1)
