"""What became of layers that were fitted anew: a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tncompile.notebook import as_html

if TYPE_CHECKING:
    from torch import nn

    from tncompile.tensorizing.replacing.tensorized import Tensorized


@dataclass(frozen=True)
class RefitLayer:
    """What became of one layer.

    before  the relative error of its outputs on the inputs that the smaller model gives it
    after   the same with what it has now
    how     `weight`, its network was fitted anew; `bias`, that moved alone; `kept`, neither helped,
            or nothing could be done
    stream  whether it makes up for the error of the residual stream, too: that is part of `before`
    why     why it was kept
    """

    name: str
    before: float
    after: float
    how: Literal["weight", "bias", "kept"]
    stream: bool = False
    why: str = ""


@dataclass(frozen=True, repr=False)
class Refit:
    """What `refit` returns; it prints as a table.

    tensorized  the model with new parameters, as `tensorize` returns it; `model` is its model
    layers      a `RefitLayer` for each layer that is replaced, in the order of the model

    >>> again = tncompile.refit(net, done, [torch.randn(200, 8)])
    >>> all(layer.after <= layer.before for layer in again.layers)
    True
    """

    tensorized: Tensorized
    layers: tuple[RefitLayer, ...]

    @property
    def model(self) -> nn.Module:
        """The smaller model.

        >>> tncompile.refit(net, done, [torch.randn(200, 8)]).model(torch.ones(2, 8)).shape
        torch.Size([2, 8])
        """
        return self.tensorized.model

    def table(self, width: int = 100) -> str:
        """A row a layer: errors of its outputs on the inputs that the smaller model gives it.

        >>> again = tncompile.refit(net, done, [torch.randn(200, 8)])
        >>> again.table().splitlines()[0].split()
        ['layer', 'refitted', 'error', 'before', 'now']
        """
        from tncompile.planning.wording import columns_text

        head = ("layer", "refitted", "error before", "now")
        rows = []
        for each in self.layers:
            how = f"{each.how}, with the stream" if each.stream else each.how
            errors = ("", "") if each.why else (f"{each.before:.4f}", f"{each.after:.4f}")
            said = f"kept: {each.why}" if each.why else how
            rows.append((each.name or "(the model)", said, *errors))
        return columns_text(head, rows, width, 2)

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return as_html(self.table())
