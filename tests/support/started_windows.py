"""How large the convolution of a state is, on average."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.support.started import sum_of_products
from tncompile.initialization.norm import linear_map, norm_network
from tncompile.network.model import TensorNetwork


def mean_square(made: TensorNetwork, state: dict[str, Tensor]) -> float:
    """That of the output for white noise, from the squared norm of the kernel."""
    linear = linear_map(made)
    state = {key: value.to(torch.complex128) for key, value in state.items()}
    return sum_of_products(norm_network(linear), state).abs().item() / math.exp(linear.log_divisor)
