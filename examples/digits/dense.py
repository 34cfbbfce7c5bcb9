"""The dense twin: the same perceptron in two nn.Linear."""

from data import CLASSES, SIDE
from torch import nn

HIDDEN = 512


def build() -> nn.Module:
    """64 pixels to 512 hidden features to 10 scores."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(SIDE * SIDE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
    )
