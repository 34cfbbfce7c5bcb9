"""Networks some of whose tensors are complex."""

from __future__ import annotations

from collections.abc import Collection

from tncompile.compiler import compile, plan
from tncompile.emission import GeneratedModule
from tncompile.network.editing import edited
from tncompile.network.model import TensorNetwork


def with_complex(network: TensorNetwork, families: Collection[str]) -> TensorNetwork:
    """The network with the tensors of these families complex."""
    parameters = tuple(
        edited(parameter, complex=parameter.family in families) for parameter in network.parameters
    )
    return edited(network, parameters=parameters)


def generated(network: TensorNetwork, *, batch: int = 8) -> GeneratedModule:
    """The module of a network as a user gets it."""
    return compile(network, plan(network, batch=batch, search="fast"))
