"""Fashion-MNIST as Debian packages it, or scikit-learn's digits where it is not installed."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where the package dataset-fashion-mnist puts it."""


@dataclass(frozen=True)
class Images:
    """Gray images of shape (n, 1, height, width) and their classes, of shape (n,)."""

    images: Tensor
    labels: Tensor


def fashion() -> tuple[Images, Images]:
    """60,000 pieces of clothing of 28 x 28 pixels to train on and 10,000 to test."""
    return read("train"), read("t10k")


def digits() -> tuple[Images, Images]:
    """1,437 handwritten digits of 8 x 8 pixels to train on and the last 360 to test."""
    bunch = load_digits()
    images = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] / 16 - 0.3
    labels = torch.as_tensor(bunch.target)
    return Images(images[:1437], labels[:1437]), Images(images[1437:], labels[1437:])


def read(name: str) -> Images:
    """The images and the labels of a split, from files in the format of MNIST (IDX)."""
    with gzip.open(FOLDER / f"{name}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(FOLDER / f"{name}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return Images(torch.tensor(pixels) / 255 - 0.3, torch.tensor(labels, dtype=torch.int64))
