"""Scikit-learn's 1,797 handwritten digits, split once and for all, and features of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional

SIDE = 8
CLASSES = 10


@dataclass(frozen=True)
class Digits:
    """Images of shape (n, 8, 8) with pixels from 0 (paper) to 1 (ink), and labels of shape (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: list[int]) -> Digits:
        """Some of them."""
        return Digits(self.images[positions], self.labels[positions])


@dataclass(frozen=True)
class Splits:
    """1,257 digits to train on, 180 to choose settings by, and 360 that are looked at once."""

    train: Digits
    validation: Digits
    test: Digits


def load() -> Splits:
    """The splits: stratified, with a fixed seed that was never changed."""
    bunch = load_digits()
    every = Digits(
        torch.as_tensor(bunch.images, dtype=torch.float32) / 16, torch.as_tensor(bunch.target)
    )
    rest, test = train_test_split(
        list(range(len(every))), test_size=360, random_state=0, stratify=bunch.target
    )
    train, validation = train_test_split(
        rest, test_size=180, random_state=0, stratify=bunch.target[rest]
    )
    return Splits(every.at(train), every.at(validation), every.at(test))


def warped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned, scaled, slanted and moved a little, at random, as handwriting varies.

    At most 10 degrees, a tenth of the size either way, a slant of a tenth, and 0.8 pixels.
    """
    count = len(images)

    def within(bound: float) -> Tensor:
        return bound * (2 * torch.rand(count, generator=generator) - 1)

    angle, slant = within(0.17), within(0.1)
    wide, high = 1 + within(0.1), 1 + within(0.1)
    first = torch.stack([angle.cos() * wide, slant - angle.sin(), within(0.2)], dim=1)
    second = torch.stack([angle.sin(), angle.cos() * high, within(0.2)], dim=1)
    maps = torch.stack([first, second], dim=1)
    grid = functional.affine_grid(maps, [count, 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def nested_order() -> list[int]:
    """The 64 pixels by quadrants, within each by quadrants again: neighbors stay near (Z order).

    >>> nested_order()[:8]
    [0, 1, 8, 9, 2, 3, 10, 11]
    """

    def spread(number: int) -> int:
        return sum((number >> bit & 1) << 2 * bit for bit in range(3))

    places = [(2 * spread(row) + spread(column)) for row in range(SIDE) for column in range(SIDE)]
    return sorted(range(SIDE * SIDE), key=lambda pixel: places[pixel])


ORDER = torch.tensor(nested_order())


def pixel_features(images: Tensor) -> Tensor:
    """Each pixel u as the vector (1 - u, u), in nested order: shape (n, 64, 2)."""
    pixels = images.flatten(1)[:, ORDER]
    return torch.stack([1 - pixels, pixels], dim=-1)


def patch_features(images: Tensor) -> Tensor:
    """The products of the four pixel vectors of each 2 x 2 patch: shape (n, 16, 16)."""
    first, second, third, fourth = pixel_features(images).unflatten(1, (16, 4)).unbind(2)
    upper = (first[..., :, None] * second[..., None, :]).flatten(2)
    lower = (third[..., :, None] * fourth[..., None, :]).flatten(2)
    return (upper[..., :, None] * lower[..., None, :]).flatten(2)
