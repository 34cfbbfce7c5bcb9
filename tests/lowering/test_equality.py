"""Equal values are computed once: tied tensors, shared ones, uniform chains."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tncompile
from tncompile.lowering import TensorProgram, lower
from tncompile.network.contraction import operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.program.interpreter import run_program as run
from tncompile.program.operations import MatMul

UNIFORM = """
network Uniform(n: int) {
  index i = 3, o = 4
  bond b[k in 1..n] = 5
  input x(..., i)
  tensor First(i, b[1])
  tensor M[k in 1..n - 1](b[k], b[k + 1]) share k
  tensor Last(b[n - 1], o)
  output y(..., o)
}
"""


def programs(network: TensorNetwork, batch: int) -> list[TensorProgram]:
    sizes = {index.name: batch for index in network.indices if index.size is None}
    given = operands(network)
    found = candidates(
        network, given, contraction_problem(network, given, sizes), EFFORTS["normal"]
    )
    return [lower(network, one.tree, sizes=sizes) for one in found]


def products(program: TensorProgram) -> int:
    return sum(isinstance(step.operation, MatMul) for step in program.steps)


@pytest.mark.parametrize("n", [10, 35, 62, 130])
def test_a_uniform_chain_takes_the_logarithm_of_its_length_in_products(n: int) -> None:
    network = tncompile.loads(UNIFORM).instantiate("Uniform", n=n).network
    given = {
        parameter.key: torch.randn(parameter.shape, dtype=torch.float64) / 2
        for parameter in network.parameters
    }
    x = torch.randn(7, 3, dtype=torch.float64)
    due = x @ given["First"] @ torch.linalg.matrix_power(given["M"], n - 2) @ given["Last"]
    found = programs(network, 64)
    assert min(map(products, found)) <= 2 * math.log2(n) + 4
    for program in found:
        value = run(network, program, given, {"x": x})
        assert isinstance(value, Tensor)
        torch.testing.assert_close(value, due, rtol=1e-9, atol=1e-9 * due.abs().max().item())


def test_a_pair_that_stands_twice_is_contracted_once() -> None:
    text = """
    network Twice() {
      index a = 4, b = 4, c = 3
      bond p = 5, q = 5
      input x(..., a, b)
      tensor A(a, p)
      tensor U(p, c)
      tensor B(b, q) tie A
      tensor V(q, c) tie U
      output y(..., c)
    }
    """
    network = tncompile.loads(text).instantiate("Twice").network
    steps = len(operands(network)) - 1
    assert min(map(products, programs(network, 4096))) < steps


def test_equal_structures_of_different_tensors_stay_apart() -> None:
    text = UNIFORM.replace(" share k", "")
    network = tncompile.loads(text).instantiate("Uniform", n=10).network
    assert min(map(products, programs(network, 64))) == 10
