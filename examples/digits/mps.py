"""A matrix product state that reads the image pixel by pixel."""

from data import pixel_features
from networks import SPEC
from torch import Tensor, nn


class PixelChain(nn.Module):
    """Images to the scores of a chain over the 64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = SPEC.instantiate("Chain").module(seed=0)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.chain(pixel_features(images))
        return scores


def build() -> nn.Module:
    """The chain."""
    return PixelChain()
