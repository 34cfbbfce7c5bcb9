"""A tree that merges patches of the image, level by level, until ten scores are left."""

from data import patch_features
from networks import SPEC
from torch import Tensor, nn


class PatchTree(nn.Module):
    """Images to the scores of a tree over 16 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = SPEC.instantiate("Tree").module(seed=0)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.tree(patch_features(images))
        return scores


def build() -> nn.Module:
    """The tree."""
    return PatchTree()
