"""What a type checker knows of emitted modules; they are classes of their own when they run.

Nothing here is there at run time, so annotations that name it are imported under `TYPE_CHECKING`:

    if TYPE_CHECKING:
        from tncompile.typed import TensorNetworkModule
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    class FoldedModule(nn.Module):
        """What `fold()` returns: for inference, with buffers and without parameters."""

        def __getattr__(self, name: str) -> Any:
            """A buffer."""

    class TensorNetworkModule(nn.Module):
        """What `Architecture.module()` returns.

        A tensor of the spec is an attribute, a family of them one that takes subscripts:
        `layer.G[2]`. Which there are depends on the spec, so their types are open.
        """

        batch_invariant: bool

        def fold(self) -> FoldedModule:
            """The twin for inference, in which all that depends on parameters alone is computed."""

        def __getattr__(self, name: str) -> Any:
            """A tensor of the spec, or a family of them."""
